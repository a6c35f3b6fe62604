/** The verdict of a shortcut audit, kept beside the cohort's ledger so that it can stand beside every later AUROC. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { writeAtomically } from "../../training/checkpoint.ts";
import { textOf } from "../cohort-ledger.ts";
import type { ShortcutReport } from "./audit.ts";
import type { Region } from "./region.ts";

const verdictSchema = z.object({
  verdict: z.enum(["confounded", "no shortcut found", "too few patients to tell"]),
  reasons: z.array(z.string()),
  region: z.object({ x: z.number(), y: z.number(), width: z.number(), height: z.number() }),
});
const recordSchema = z.object({ cohortFingerprint: z.string(), targets: z.record(z.string(), verdictSchema) });

/** What was found of one target. */
export interface KnownVerdict {
  readonly verdict: ShortcutReport["verdict"];
  readonly reasons: readonly string[];
  readonly region: Region;
}

const placeOf = (ledger: string): string => ledger.replace(/\.jsonl$/, ".shortcuts.json");

/** Verdicts by target for a cohort, given the path of its ledger; none where no audit was made, or of another cohort. */
export async function readVerdicts(ledger: string, cohortFingerprint: string): Promise<Record<string, KnownVerdict>> {
  const text = await textOf(placeOf(ledger));
  if (text === undefined) return {};
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return {}; // Half written or edited: as if no audit had been made, which is said aloud.
  }
  const record = recordSchema.safeParse(found);
  return record.success && record.data.cohortFingerprint === cohortFingerprint ? record.data.targets : {};
}

/** Keeps a verdict. Throws what writing throws. */
export async function keepVerdict(
  ledger: string,
  cohortFingerprint: string,
  { target, verdict, reasons, region }: Pick<ShortcutReport, "target" | "verdict" | "reasons" | "region">,
): Promise<void> {
  const targets = { ...(await readVerdicts(ledger, cohortFingerprint)), [target]: { verdict, reasons, region } };
  await mkdir(dirname(ledger), { recursive: true });
  await writeAtomically(placeOf(ledger), `${JSON.stringify({ cohortFingerprint, targets }, null, 2)}\n`);
}

/** One line that stands beside an AUROC. */
export function verdictLine(known: KnownVerdict | undefined): string {
  if (known === undefined) return "not audited for shortcuts (leadglass cohort shortcuts)";
  return known.verdict === "confounded"
    ? `CONFOUNDED COHORT: ${known.reasons[0] ?? "a shortcut predicts the target."}`
    : `shortcut audit: ${known.verdict}`;
}
