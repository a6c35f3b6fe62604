/** What a training says of itself, and which parts of that are for the owner of the data alone. */
import type { SyntheticOrigin } from "../cohort/index.ts";
import type { ScoreEvaluation } from "../evaluation/index.ts";
import type { PatientCost } from "../privacy/index.ts";
import type { RunResult } from "./run-folder.ts";

/** What `train --json` prints. */
export interface TrainReport {
  readonly run: string;
  readonly model: string;
  readonly parameters: number;
  readonly targets: readonly string[];
  readonly units: number;
  readonly images: number;
  readonly steps: number;
  readonly privacy: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: string;
    readonly relation: string;
    readonly noiseMultiplier: number;
    readonly clipNorm: number;
    readonly accountant: string;
    readonly insecureSeed: boolean;
    /** What the training itself released; what is for the owner alone is in `ownerOnly`. */
    readonly notAccounted: readonly string[];
    /** What everything accounted on the cohort so far comes to, this run with it. */
    readonly cumulative: { readonly epsilon: number; readonly delta: number };
  } | null;
  /** Which generator drew the training images, and what it has cost its patients; null for images of patients. */
  readonly synthetic: SyntheticOrigin | null;
  /**
   * Where images are the units: what the plan comes to for the patient who has most of them in the training, whose number of
   * images is nobody else's business. Null otherwise, and where sampling leaves nothing that is proved of several images.
   */
  readonly wholePatient: PatientCost | null;
  /** Parts of this report that no noise covers: for the owner of the data, and not to be passed on. */
  readonly ownerOnly: readonly (keyof TrainReport)[];
  /** Mean over targets of the AUROC on the validation split, and each target's; null without a validation split. */
  readonly validation: {
    /** True where the validation patients are as private as the others, so that these figures are for the owner alone. */
    readonly private: boolean;
    readonly auroc: number | null;
    readonly targets: Readonly<Record<string, ScoreEvaluation>>;
  } | null;
  /** The state of the training that was kept, where it was to be the best of several: after which of its steps. */
  readonly kept: { readonly step: number; readonly of: readonly number[] } | null;
  readonly nonFiniteUnits: number;
  readonly seconds: number;
  readonly secondsPerEpoch: number;
  readonly peakMemoryBytes: number;
  readonly reasons: readonly string[];
}

/** What of a private run's report is computed from its patients without noise. */
export const ownerOnly: readonly (keyof TrainReport)[] = [
  ...([
    "validation",
    "wholePatient",
    "images",
    "nonFiniteUnits",
    "seconds",
    "secondsPerEpoch",
    "peakMemoryBytes",
  ] as const),
];

/** A report as it is kept: what is for the owner alone lies apart. */
export function resultOf(report: TrainReport, thresholds: readonly number[]): RunResult {
  const apart = (name: string): boolean => (report.ownerOnly as readonly string[]).includes(name);
  const parts = Object.entries(report);
  return {
    thresholds,
    report: Object.fromEntries(parts.filter(([name]) => !apart(name))),
    ownerOnly: report.ownerOnly.length > 0 ? Object.fromEntries(parts.filter(([name]) => apart(name))) : null,
  };
}

/** The whole report of a finished run, for its owner. */
export const reportOf = ({ report, ownerOnly: own }: RunResult): TrainReport => ({
  ...(report as TrainReport),
  ...own,
});
