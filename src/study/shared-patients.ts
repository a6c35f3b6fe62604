/** Patients whom two cohorts share, found before weights learnt on one are trained on the other as if they were strangers. */
import { resolve } from "node:path";
import { cohortOverlap, openCohort, type Cohort } from "../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { readRun } from "./run-folder.ts";
import type { Progress } from "./rows.ts";

/**
 * Compares the cohort that a run was trained on with the one that its weights are to be trained on further, by
 * identifiers and by nearly identical images; the same cohort twice is no such case, its ledger adds up. A cohort that
 * cannot be found is told of.
 * Throws LG-COHORT-022 where they share patients, LG-USAGE-001 where `initCohort` is not the run's, and what opening a
 * cohort and reading its images throws.
 */
export async function refuseSharedPatients(
  dir: string,
  cohort: Cohort,
  {
    initCohort,
    onNote,
    onFeatures,
  }: {
    readonly initCohort?: string;
    readonly onNote?: (line: string) => void;
    readonly onFeatures?: Progress;
  },
): Promise<void> {
  const run = await readRun(dir);
  if (run.cohortFingerprint === cohort.fingerprint) return;
  const place = initCohort ?? (run.cohort === undefined ? undefined : resolve(dir, run.cohort));
  const other = place === undefined ? undefined : await openCohort(place).catch(nothing(initCohort === undefined));
  if (other?.fingerprint !== run.cohortFingerprint) {
    if (initCohort !== undefined)
      throw new LeadglassError("LG-USAGE-001", `--init-cohort ${initCohort}: ${dir} was trained on another cohort`, {
        hint: "Give the folder as it was when the run was trained.",
      });
    onNote?.(
      `The cohort of ${dir} is not at hand: whether patients of it are among these is not known. Name it with --init-cohort.`,
    );
    return;
  }
  if (other.medium !== "images" || cohort.medium !== "images") {
    const known = new Set(other.records.map(({ patientId }) => patientId));
    const shared = new Set(cohort.records.flatMap(({ patientId }) => (known.has(patientId) ? [patientId] : [])));
    refuse(cohort, dir, shared.size, 0);
    return;
  }
  const { byIdentifier, pairs } = await cohortOverlap(other, cohort, onFeatures ? { onProgress: onFeatures } : {});
  refuse(cohort, dir, byIdentifier, pairs.length, pairs[0]);
}

const nothing = (mayBeGone: boolean) => (error: unknown) => {
  if (mayBeGone && isLeadglassError(error)) return undefined;
  throw error;
};

function refuse(
  { place }: Cohort,
  dir: string,
  byIdentifier: number,
  pairs: number,
  first?: { readonly rowA: number; readonly rowB: number },
): void {
  if (byIdentifier === 0 && pairs === 0) return;
  const parts = [
    ...(byIdentifier > 0 ? [`${byIdentifier} patients by their identifier`] : []),
    ...(first
      ? [`${pairs} pairs of nearly identical images, the first data row ${first.rowA} there and ${first.rowB} here`]
      : []),
  ];
  throw new LeadglassError(
    "LG-COHORT-022",
    `${place}: shares ${parts.join(", and ")}, with the cohort that the weights in ${dir} were learnt on`,
    {
      hint: "Remove them from that cohort and train its weights again: otherwise they are tested on what was learnt of them, and their privacy is spent twice under two names.",
      fields: { patients: byIdentifier, pairs },
    },
  );
}
