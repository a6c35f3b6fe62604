/** The whole evaluation of one target, overall and by group, as one plain value that goes to JSON as it is. */

import { LeadglassError } from "../errors.ts";
import { bootstrapIntervals, type BootstrapOptions } from "./bootstrap.ts";
import { evaluateFairness, type Fairness } from "./fairness.ts";
import { defaultBands, groupRows, type Bands, type GroupColumn } from "./groups.ts";
import type { MetricInterval } from "./interval.ts";
import { finiteOrNull } from "./metrics.ts";
import { requireLength, type Patients } from "./observations.ts";
import { suppressed, suppressedReason, type Suppression } from "./suppression.ts";

export const reported = [
  ...(["auroc", "auprc", "accuracy", "sensitivity", "specificity", "falsePositiveRate", "selectionRate"] as const),
  ...(["f1", "mcc", "brier", "ece"] as const),
] as const;

/** The metrics of an evaluation. */
export type ReportedMetric = (typeof reported)[number];

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
  falsePositiveRate: MetricInterval;
  selectionRate: MetricInterval;
  f1: MetricInterval;
  mcc: MetricInterval;
  brier: MetricInterval;
  ece: MetricInterval;
}

type Counts = Pick<Evaluation, "n" | "patients" | "positives" | "missing" | "prevalence">;

export type GroupEvaluation = Omit<Evaluation, keyof Counts> & { [Name in keyof Counts]: Counts[Name] | null } & {
  /** The column, or those of an intersection as "sex+age". */
  column: string;
  /** Null for the rows where the column is missing. */
  value: string | null;
  /** Why the metrics are null, or null where they are not. */
  reason: string | null;
  /**
   * Whether a release leaves the group's numbers out: "small" where the patients are too few, "complement" where the
   * group would give away a small one by subtraction.
   */
  suppressed: Suppression | null;
};

export interface ScoreEvaluation extends Evaluation {
  threshold: number;
  interval: { level: number; resamples: number; seed: number | string; method: "bca" | "percentile"; unit: "patient" };
  groups: GroupEvaluation[];
  /** Comparison of the groups; null where there are none. */
  fairness: Fairness | null;
}

export interface EvaluateOptions extends BootstrapOptions {
  readonly patients: Patients;
  /** Attributes to break the result down by, one value a row. */
  readonly groups?: Readonly<Record<string, GroupColumn>>;
  /** Edges for numeric columns; by default `age`, `ageYears` and `age_years` at 30, 60, 70 and 80. */
  readonly bands?: Bands;
  /** The columns to group by, several for an intersection: each of `groups` alone by default. */
  readonly by?: readonly (readonly string[])[];
  /** A group with fewer patients gets values without intervals, which could not be trusted; 10 by default. */
  readonly minimumPatients?: number;
  /** Leaves out every number of the groups that a release must not show (see {@link suppressed}); false by default. */
  readonly release?: boolean;
  /** Of the fairness verdict, see {@link evaluateFairness}. */
  readonly falseAlarm?: number;
  readonly margin?: number;
  readonly together?: number;
}

/**
 * Evaluates probabilities against labels (1, 0, NaN for missing; one entry a row), with patient-resampled intervals
 * (see {@link bootstrapIntervals}) for all rows and for each group. A score of at least `threshold`, chosen elsewhere,
 * predicts positive. A group with one class has null metrics and a reason, and one of too few patients values without
 * intervals; the whole is never silently reduced to what can be evaluated: rows without a label and groups without a value
 * are counted.
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
  by,
  minimumPatients = 10,
  release = false,
  falseAlarm,
  margin,
  together,
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
  const parts = groupRows(groups, labels.length, bands, by);
  const hidden = suppressed(
    parts,
    parts.map(({ rows }) => countRows(rows, labels, patients).patients),
    minimumPatients,
  );
  return {
    threshold,
    ...assemble(counts, intervals),
    interval: { level, resamples, seed, method, unit: "patient" },
    groups: parts.map(({ column, value, rows }, i): GroupEvaluation => {
      const { metrics, ...counts } = evaluateRows(rows);
      const group = { column, value, suppressed: hidden[i]! };
      if (release && group.suppressed !== null) {
        const reason = suppressedReason(group.suppressed, minimumPatients);
        const nothing = { n: null, patients: null, positives: null, missing: null };
        return { ...group, reason, ...assemble({ ...nothing, prevalence: null }, absent(reason)) };
      }
      const reason = whyNot(counts);
      if (reason !== null) return { ...group, reason, ...assemble(counts, absent(reason)) };
      const few = counts.patients < minimumPatients;
      return { ...group, reason, ...assemble(counts, few ? withoutIntervals(metrics(), minimumPatients) : metrics()) };
    }),
    fairness:
      parts.length === 0
        ? null
        : evaluateFairness({
            ...{ scores, labels, threshold, patients, groups, bands, minimumPatients, release, seed, resamples, level },
            ...(by ? { by } : {}),
            ...(falseAlarm === undefined ? {} : { falseAlarm }),
            ...(margin === undefined ? {} : { margin }),
            ...(together === undefined ? {} : { together }),
          }),
  };
}

/**
 * Evaluates several targets of the same images: `scores` and `labels` are row-major matrices [rows, targets], and
 * thresholds has one entry a target. Everything else as {@link evaluateScores}, for each target by name; the confidence of
 * fairness statements holds for all targets together.
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
        together: targets.length,
        ...options,
        scores: column(scores, k),
        labels: column(labels, k),
        threshold: thresholds[k]!,
      }),
    ]),
  );
}

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

function whyNot({ n, positives }: Counts): string | null {
  if (n === 0) return "no labelled image";
  if (positives === 0 || positives === n) return `only ${positives === 0 ? "negatives" : "positives"}`;
  return null;
}

type Reported = Record<ReportedMetric, MetricInterval>;

const eachReported = (of: (name: ReportedMetric) => MetricInterval): Reported =>
  Object.fromEntries(reported.map((name) => [name, of(name)])) as Reported;

function absent(reason: string): Reported {
  return eachReported(() => ({
    ...{ value: null, low: null, high: null, method: "none", undefinedResamples: 0, reason },
  }));
}

function withoutIntervals(intervals: Reported, minimumPatients: number): Reported {
  const reason = `fewer than ${minimumPatients} patients`;
  return eachReported((name) => ({ ...intervals[name], low: null, high: null, method: "none", reason }));
}

function assemble<C extends { readonly prevalence: number | null }>(counts: C, intervals: Reported) {
  return { ...counts, ...intervals, auprc: { ...intervals.auprc, prevalence: counts.prevalence } };
}
