/** What training on synthetic images owes to the patients whom their generator learned from. */
import type { SyntheticOrigin } from "../cohort/index.ts";
import type { LedgerBody, LedgerEntry } from "../privacy/index.ts";
import { readLedger } from "./run-folder.ts";

/** What a ledger says of images that a generator drew. */
export function originEntry(origin: SyntheticOrigin, cohortFingerprint: string, run: string): LedgerBody {
  const { privacy } = origin;
  const details = { generatorRun: origin.run, generatorCohort: origin.cohort };
  const patients = `cohort ${origin.cohort.slice(0, 16)}`;
  const common = { cohortFingerprint, run, details };
  return privacy && !origin.insecureSeed
    ? { kind: "public", ...common, what: `synthetic images, whose generator (${origin.model}) cost epsilon ${privacy.epsilon} at delta ${privacy.delta} for each ${privacy.unit} of ${patients}: what is learned from them costs nothing more` } // prettier-ignore
    : { kind: "not-accounted", ...common, what: `synthetic images, whose generator (${origin.model}) was trained on ${patients} ${privacy ? "with noise from a seed" : "without privacy"}` }; // prettier-ignore
}

/**
 * Where a run starts from weights that were learned from synthetic images of the very patients it trains on: that it also
 * started from their generator, so that its epsilon counts in. A generator that the ledger does not know is not accounted.
 */
export async function generatorsBehind(
  dir: string,
  cohortFingerprint: string,
  { run, ledger }: { readonly run: string; readonly ledger: readonly LedgerEntry[] },
): Promise<LedgerBody[]> {
  const { entries } = await readLedger(dir);
  const names = new Set(
    entries.flatMap(({ details }) =>
      details?.["generatorCohort"] === cohortFingerprint ? [String(details["generatorRun"])] : [],
    ),
  );
  return [...names].map(
    (name): LedgerBody =>
    ledger.some((entry) => entry.run === name)
      ? { kind: "started-from", cohortFingerprint, run, from: name }
      : { kind: "not-accounted", cohortFingerprint, run, splits: ["train"], what: "starting weights from images of a generator of these patients, which this ledger does not know" }, // prettier-ignore
  );
}
