/** The whole evaluation of one target, overall and by group, as one plain value that goes to JSON as it is. */

import { LeadglassError } from "../errors.ts";
import { bootstrapIntervals, type BootstrapOptions } from "./bootstrap.ts";
import { defaultBands, groupRows, type Bands, type GroupColumn } from "./groups.ts";
import type { MetricInterval } from "./interval.ts";
import { finiteOrNull } from "./metrics.ts";
import { requireLength, type Patients } from "./observations.ts";

const reported = ["auroc", "auprc", "accuracy", "sensitivity", "specificity", "brier"] as const;

/** Counts and metrics of a set of rows. */
export interface Evaluation {
  /** Labelled rows (images), the patients they belong to, and the rows without a label. */
  n: number;
  patients: number;
  positives: number;
  missing: number;
  /** What a useless score gets as its AUPRC. */
  prevalence: number | null;
  auroc: MetricInterval;
  auprc: MetricInterval & { prevalence: number | null };
  accuracy: MetricInterval;
  sensitivity: MetricInterval;
  specificity: MetricInterval;
  brier: MetricInterval;
}

export interface GroupEvaluation extends Evaluation {
  column: string;
  /** Null for the rows where the column is missing. */
  value: string | null;
  /** Why the metrics are null, or null where they are not. */
  reason: string | null;
}

export interface ScoreEvaluation extends Evaluation {
  threshold: number;
  interval: { level: number; resamples: number; seed: number | string; method: "bca" | "percentile"; unit: "patient" };
  groups: GroupEvaluation[];
}

export interface EvaluateOptions extends BootstrapOptions {
  readonly patients: Patients;
  /** Attributes to break the result down by, one value a row. */
  readonly groups?: Readonly<Record<string, GroupColumn>>;
  /** Edges for numeric columns; by default `age`, `ageYears` and `age_years` at 30, 60, 70 and 80. */
  readonly bands?: Bands;
  /** A group with fewer patients gets counts and a reason, and no metrics; 10 by default. */
  readonly minimumPatients?: number;
}

/**
 * Evaluates probabilities against labels (1, 0, NaN for missing; one entry a row), with patient-resampled intervals
 * (see {@link bootstrapIntervals}) for all rows and for each group. A score of at least `threshold`, chosen elsewhere,
 * predicts positive. A group with one class or too few patients has null metrics and a reason; the whole is never
 * silently reduced to what can be evaluated: rows without a label and groups without a value are counted.
 * Throws LG-EVAL-001 to LG-EVAL-003 for unusable rows or options, LG-EVAL-004 when the whole has one class only,
 * LG-EVAL-005 for an unusable group column.
 */
export function evaluateScores({
  scores,
  labels,
  threshold,
  patients,
  groups = {},
  bands = defaultBands,
  minimumPatients = 10,
  seed,
  resamples = 2000,
  level = 0.95,
  method = "bca",
}: EvaluateOptions & {
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly threshold: number;
}): ScoreEvaluation {
  requireLength("scores", scores.length, "labels", labels.length);
  requireLength("patients", patients.length, "labels", labels.length);
  const evaluateRows = (rows: readonly number[]) => ({
    ...countRows(rows, labels, patients),
    metrics: () =>
      bootstrapIntervals({
        scores: rows.map((row) => scores[row]!),
        labels: rows.map((row) => labels[row]!),
        patients: rows.map((row) => patients[row]!),
        metrics: reported,
        threshold,
        ...{ seed, resamples, level, method },
      }),
  });
  const { metrics, ...counts } = evaluateRows(Array.from({ length: labels.length }, (_, row) => row));
  // Called first: it checks the rows, so that the counts below are of valid labels.
  const intervals = metrics();
  if (counts.positives === 0 || counts.positives === counts.n)
    throw new LeadglassError(
      "LG-EVAL-004",
      `labels: ${counts.positives} of ${counts.n} labelled images are positive; both classes are needed`,
      {
        hint: "Evaluate a split that holds both classes of the target.",
        fields: { positives: counts.positives, n: counts.n },
      },
    );
  return {
    threshold,
    ...assemble(counts, intervals),
    interval: { level, resamples, seed, method, unit: "patient" },
    groups: groupRows(groups, labels.length, bands).map(({ column, value, rows }) => {
      const { metrics, ...counts } = evaluateRows(rows);
      const reason = whyNot(counts, minimumPatients);
      return { column, value, reason, ...assemble(counts, reason === null ? metrics() : absent(reason)) };
    }),
  };
}

/**
 * Evaluates several targets of the same images: `scores` and `labels` are row-major matrices [rows, targets], and
 * thresholds has one entry a target. Everything else as {@link evaluateScores}, for each target by name.
 */
export function evaluateTargets({
  targets,
  scores,
  labels,
  thresholds,
  ...options
}: EvaluateOptions & {
  readonly targets: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly thresholds: ArrayLike<number>;
}): Record<string, ScoreEvaluation> {
  const cells = options.patients.length * targets.length;
  requireLength("scores", scores.length, "patients x targets", cells);
  requireLength("labels", labels.length, "patients x targets", cells);
  requireLength("thresholds", thresholds.length, "targets", targets.length);
  const column = (matrix: ArrayLike<number>, k: number) =>
    Float64Array.from({ length: options.patients.length }, (_, row) => matrix[row * targets.length + k]!);
  return Object.fromEntries(
    targets.map((target, k) => [
      target,
      evaluateScores({
        ...options,
        scores: column(scores, k),
        labels: column(labels, k),
        threshold: thresholds[k]!,
      }),
    ]),
  );
}

type Counts = Pick<Evaluation, "n" | "patients" | "positives" | "missing" | "prevalence">;

function countRows(rows: readonly number[], labels: ArrayLike<number>, patients: Patients): Counts {
  const labelled = rows.filter((row) => !Number.isNaN(labels[row]!));
  const positives = labelled.filter((row) => labels[row] === 1).length;
  return {
    n: labelled.length,
    patients: new Set(labelled.map((row) => patients[row]!)).size,
    positives,
    missing: rows.length - labelled.length,
    prevalence: finiteOrNull(positives / labelled.length),
  };
}

function whyNot({ n, patients, positives }: Counts, minimumPatients: number): string | null {
  if (n === 0) return "no labelled image";
  if (patients < minimumPatients) return `fewer than ${minimumPatients} patients`;
  if (positives === 0 || positives === n) return `only ${positives === 0 ? "negatives" : "positives"}`;
  return null;
}

type Reported = Record<(typeof reported)[number], MetricInterval>;

function absent(reason: string): Reported {
  const none = () =>
    ({ value: null, low: null, high: null, method: "none", undefinedResamples: 0, reason }) satisfies MetricInterval;
  return {
    auroc: none(),
    auprc: none(),
    accuracy: none(),
    sensitivity: none(),
    specificity: none(),
    brier: none(),
  };
}

function assemble(counts: Counts, intervals: Reported): Evaluation {
  return { ...counts, ...intervals, auprc: { ...intervals.auprc, prevalence: counts.prevalence } };
}
