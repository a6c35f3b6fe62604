import { openCohort } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { summariseLedger, type BudgetEntry, type Unit } from "../privacy/index.ts";
import { appendToCohortLedger, ledgerOfCohort } from "./cohort-ledger.ts";
import { codeVersion } from "./run-folder.ts";

export interface BudgetSet {
  readonly entry: BudgetEntry;
  /** The ledger file. */
  readonly path: string;
  /** The epsilon that the worst-off split has spent at the budget's delta. */
  readonly spent: number;
  /** The largest epsilon that one more access may have; null for none. */
  readonly fits: number | null;
}

/**
 * Enters a budget into the ledger of a cohort; it rules from there on. A budget below what is spent is entered too: then
 * nothing more can start. Throws LG-COHORT-..., LG-PRIVACY-008 and -011 as opening and appending do.
 */
export async function setBudget({
  cohort: dir,
  ledger,
  unit,
  epsilon,
  delta,
}: {
  readonly cohort: string;
  /** The folder of ledgers; looked for from the working folder unless given. */
  readonly ledger?: string;
  readonly unit: Unit;
  readonly epsilon: number;
  readonly delta: number;
}): Promise<BudgetSet> {
  const { fingerprint: cohortFingerprint } = await openCohort(dir);
  const path = await ledgerOfCohort(cohortFingerprint, { from: process.cwd(), ...(ledger ? { ledger } : {}) });
  const at = new Date().toISOString();
  const entries = await appendToCohortLedger(path, () => [
    { kind: "budget", cohortFingerprint, unit, epsilon, delta, at, codeVersion },
  ]);
  const entry = entries.at(-1);
  if (entry?.kind !== "budget") throw new LeadglassError("LG-BUG-001", "the budget was not entered");
  const { budgets } = summariseLedger(entries, { delta });
  const own = budgets.find((budget) => budget.cohortFingerprint === cohortFingerprint && budget.unit === unit);
  return { entry, path, spent: own?.budget?.spent ?? 0, fits: own?.budget?.fits ?? null };
}
