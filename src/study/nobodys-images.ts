/** Synthetic images that a training takes beside the real ones: whose they are not, and what their generator has cost. */
import { openCohort, type Cohort, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import type { LedgerBody, LedgerEntry } from "../privacy/index.ts";
import type { TrainingChoices } from "./settings.ts";
import { originEntry } from "./synthetic-origin.ts";

export interface NobodysImages {
  readonly cohort: Cohort;
  /** The targets of the training, among these images. */
  readonly targets: readonly Target[];
  /** Those with a label. */
  readonly images: readonly number[];
  readonly use: "pool" | "beside";
  /** What their mean gradient counts beside the pool's. */
  readonly weight: number;
}

/**
 * The synthetic cohort that the choices name; null where they name none.
 * Throws LG-USAGE-001 for options without it, LG-COHORT-... for a folder that cannot be read or lacks a target,
 * LG-TRAIN-002 where a resumed run began with other images.
 */
export async function openNobodysImages(
  choices: TrainingChoices,
  targets: readonly Target[],
): Promise<NobodysImages | null> {
  // prettier-ignore
  const { synthetic, syntheticUse, syntheticWeight, syntheticFingerprint } = choices;
  if (synthetic === undefined) {
    if (syntheticUse === undefined && syntheticWeight === undefined) return null;
    throw new LeadglassError("LG-USAGE-001", `--synthetic-${syntheticUse === undefined ? "weight" : "use"} is given without --synthetic`, { hint: "Give --synthetic DIR, or leave it out." }); // prettier-ignore
  }
  const use = syntheticUse ?? "beside";
  if (use === "pool" && syntheticWeight !== undefined)
    throw new LeadglassError("LG-USAGE-001", "--synthetic-weight is given for images in the pool, where each counts as a unit does", { hint: "Leave it out, or give --synthetic-use beside." }); // prettier-ignore
  const weight = syntheticWeight ?? 1;
  if (!(weight > 0 && Number.isFinite(weight)))
    throw new LeadglassError("LG-USAGE-001", `--synthetic-weight: a number above 0 was expected, ${weight} was given`);
  const cohort = await openCohort(synthetic);
  if (syntheticFingerprint !== undefined && cohort.fingerprint !== syntheticFingerprint)
    throw new LeadglassError("LG-TRAIN-002", `${synthetic}: the synthetic images have changed since this run began`, {
      hint: "Resume with the images the run was started with, or start a new run.",
    });
  // A target like sex=F is a column of zeros and ones among the images that synth sample draws.
  const twins = targets.map(({ name }) => cohort.target(name.replaceAll("=", " is ")));
  const images = cohort.records.flatMap((_, i) => (twins.some((t) => t.present[i] === 1) ? [i] : []));
  return { cohort, targets: twins, images, use, weight };
}

/**
 * What the ledger says of them. A generator that learned from the very patients of the training counts into its epsilon,
 * where the ledger knows it; where nothing says what a generator has cost, that is not accounted.
 */
export function nobodysEntries(
  { cohort: { synthetic: origin } }: NobodysImages,
  cohortFingerprint: string,
  { run, ledger }: { readonly run: string; readonly ledger: readonly LedgerEntry[] },
): LedgerBody[] {
  const unknown = (what: string): LedgerBody[] => [
    { kind: "not-accounted", cohortFingerprint, run, splits: ["train"], what },
  ];
  if (origin === null)
    return unknown("synthetic images of which nothing says who drew them, nor what that cost the patients behind them");
  const entry = originEntry(origin, cohortFingerprint, run);
  if (origin.cohort !== cohortFingerprint || entry.kind === "not-accounted") return [entry];
  return ledger.some(({ run: known }) => known === origin.run)
    ? [entry, { kind: "started-from", cohortFingerprint, run, from: origin.run }]
    : unknown("synthetic images of a generator of these patients, which this ledger does not know");
}
