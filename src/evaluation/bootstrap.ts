/**
 * Bootstrap intervals that resample patients. Images of a patient resemble each other, so resampling images would
 * count one patient's evidence several times and give intervals that are too short.
 */

import { exactEdge, isEdge } from "./edge.ts";
import { bcaLevels, intervalAt, percentileLevels, type MetricInterval } from "./interval.ts";
import {
  finiteOrNull,
  metricTable,
  predictedPositives,
  requireForMetrics,
  tally,
  type MetricName,
  type Tally,
} from "./metrics.ts";
import {
  patientUnits,
  rankObservations,
  requireLength,
  type Patients,
  type PatientSample,
  type Ranking,
} from "./observations.ts";
import { patientDraws, requireResampling } from "./resamples.ts";

export interface BootstrapOptions {
  /** Resamples drawn; 2000 by default. */
  readonly resamples?: number;
  /** The same seed gives the same intervals. */
  readonly seed: number | string;
  /** Confidence level; 0.95 by default. */
  readonly level?: number;
  /** "bca" by default. */
  readonly method?: "bca" | "percentile";
}

/** Above this share of resamples without a value, what is left no longer stands for the sampling distribution. */
const largestUndefinedShare = 0.1;

/** The jackknife leaves out patients one by one up to this many, and else this many groups of them. */
const largestJackknife = 1000;

/**
 * Values with confidence intervals, by resampling patients with replacement, each with all its images.
 *
 * Scores, labels (1, 0, NaN for missing) and patients have one entry a row; rows without a label are left out, and so
 * are patients who have no other. Metrics at a threshold need `threshold`, and hold it fixed.
 * - "bca" (Efron 1987): bias from the share of resamples below the value, acceleration from the jackknife over
 *   patients (over 1000 interleaved groups of patients where there are more). Where either does not exist, "percentile".
 * - A resample in which a metric does not exist (AUROC without positives) is set aside for that metric and counted;
 *   above a share of 10 % the interval is null.
 * - A value of exactly 0 or 1 recurs in every resample, which would give an interval of no width. Instead the limit of
 *   Clopper and Pearson for as many independent patients is taken (see {@link exactEdge}), or null where there is none.
 *
 * Throws LG-EVAL-001, LG-EVAL-002 for unusable rows, LG-EVAL-003 for unusable options.
 */
export function bootstrapIntervals<M extends MetricName>({
  scores,
  labels,
  patients,
  metrics,
  threshold,
  ...options
}: {
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly patients: Patients;
  readonly metrics: readonly M[];
  readonly threshold?: number;
} & BootstrapOptions): Record<M, MetricInterval> {
  const ranking = rankObservations(scores, labels);
  const sample = patientSample(ranking, patients, metrics, threshold);
  const statistics = metrics.map((name) => metricTable[name].of);
  const draws = bootstrap([sample], ([t]) => statistics.map((statistic) => statistic(t!)), statistics.length, options);
  const intervals = metrics.map((name, k): [M, MetricInterval] => {
    const interval = draws.interval(k);
    const { value } = interval;
    return [name, isEdge(name, value) ? { ...interval, ...exactEdge(name, value, sample, draws.level) } : interval];
  });
  return Object.fromEntries(intervals) as Record<M, MetricInterval>;
}

/** The difference of a metric between two models on the same rows: positive where model A's value is larger. */
export interface PairedInterval extends MetricInterval {
  a: number | null;
  b: number | null;
  /**
   * Two-sided: twice the smaller share of resamples on either side of zero, itself among them (so never 0, and at
   * least 2 / (resamples + 1)).
   */
  pValue: number | null;
}

/**
 * Differences A - B of metrics of two models scored on the same images, resampling patients as
 * {@link bootstrapIntervals} does and both models with the same draw, so that what is hard for both cancels.
 * Each model has its own threshold. Where no resample tells the models apart there is no interval and no p-value.
 * Throws as {@link bootstrapIntervals}.
 */
export function pairedDifference<M extends MetricName>({
  scoresA,
  scoresB,
  labels,
  patients,
  metrics,
  thresholdA,
  thresholdB,
  ...options
}: {
  readonly scoresA: ArrayLike<number>;
  readonly scoresB: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly patients: Patients;
  readonly metrics: readonly M[];
  readonly thresholdA?: number;
  readonly thresholdB?: number;
} & BootstrapOptions): Record<M, PairedInterval> {
  requireLength("scoresA", scoresA.length, "scoresB", scoresB.length);
  const samples = [
    patientSample(rankObservations(scoresA, labels), patients, metrics, thresholdA),
    patientSample(rankObservations(scoresB, labels), patients, metrics, thresholdB),
  ];
  const statistics = metrics.map((name) => metricTable[name].of);
  const difference = ([ta, tb]: readonly Tally[]) => statistics.map((statistic) => statistic(ta!) - statistic(tb!));
  const draws = bootstrap(samples, difference, statistics.length, options);
  const whole = samples.map((sample) => tallyOf(sample, new Float64Array(sample.count).fill(1)));
  const entries = statistics.map((statistic, k): [M, PairedInterval] => {
    const interval = draws.interval(k);
    const values = draws.values[k]!;
    const below = values.filter((value) => value <= 0).length;
    const above = values.filter((value) => value >= 0).length;
    const pValue = Math.min(1, (2 * (Math.min(below, above) + 1)) / (values.length + 1));
    const [a, b] = whole.map((t) => finiteOrNull(statistic(t)));
    const paired = { ...interval, a: a!, b: b!, pValue: interval.low === null ? null : pValue };
    // No width is no evidence of equality: two perfect models, or twice the same.
    const flat = interval.low !== null && interval.low === interval.high;
    const nothing = {
      low: null,
      high: null,
      pValue: null,
      method: "none",
      reason: "the same in every resample",
    } as const;
    return [metrics[k]!, flat ? { ...paired, ...nothing } : paired];
  });
  return Object.fromEntries(entries) as Record<M, PairedInterval>;
}

/**
 * The difference of one metric between two models, with intervals at any level from the same draws.
 * Arguments and errors as {@link pairedDifference}.
 */
export function bootstrapDifference({
  scoresA,
  scoresB,
  labels,
  patients,
  metric,
  thresholdA,
  thresholdB,
  ...options
}: {
  readonly scoresA: ArrayLike<number>;
  readonly scoresB: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly patients: Patients;
  readonly metric: MetricName;
  readonly thresholdA?: number;
  readonly thresholdB?: number;
} & BootstrapOptions): {
  a: number | null;
  b: number | null;
  sample: PatientSample;
  interval: (level: number) => MetricInterval;
} {
  const sampleA = patientSample(rankObservations(scoresA, labels), patients, [metric], thresholdA);
  const sampleB = patientSample(rankObservations(scoresB, labels), patients, [metric], thresholdB);
  const { of } = metricTable[metric];
  const draws = bootstrap([sampleA, sampleB], ([a, b]) => [of(a!) - of(b!)], 1, options);
  const whole = (sample: PatientSample) => finiteOrNull(of(tallyOf(sample, new Float64Array(sample.count).fill(1))));
  return {
    ...{ a: whole(sampleA), b: whole(sampleB), sample: sampleA },
    interval: (level) => {
      const interval = draws.interval(0, level);
      // No width is no evidence of equality: two perfect models, or twice the same.
      return interval.low !== null && interval.low === interval.high
        ? { ...interval, low: null, high: null, method: "none", reason: "the same in every resample" }
        : interval;
    },
  };
}

function patientSample(
  ranking: Ranking,
  patients: Patients,
  metrics: readonly MetricName[],
  threshold: number | undefined,
): PatientSample {
  requireForMetrics(metrics, ranking, threshold);
  return {
    ranking,
    ...patientUnits(ranking, patients),
    cut: threshold === undefined ? 0 : predictedPositives(ranking, threshold),
  };
}

function tallyOf({ ranking, units, cut }: PatientSample, weights: Float64Array): Tally {
  return tally(ranking, units, weights, cut);
}

/** Draws the resamples of statistics that are functions of the tallies of samples with the same patients. */
function bootstrap(
  samples: readonly PatientSample[],
  statistics: (tallies: readonly Tally[]) => number[],
  statisticCount: number,
  { resamples = 2000, seed, level = 0.95, method = "bca" }: BootstrapOptions,
) {
  requireResampling(resamples, level);
  const { count } = samples[0]!;
  const evaluate = (weights: Float64Array) => statistics(samples.map((sample) => tallyOf(sample, weights)));
  const whole = evaluate(new Float64Array(count).fill(1));

  const columns = () => Array.from({ length: statisticCount }, (): number[] => []);
  const values = columns();
  const draw = patientDraws(seed, count);
  const weights = new Float64Array(count);
  for (let r = 0; r < resamples && count > 1; r++) {
    draw(weights);
    evaluate(weights).forEach((value, k) => Number.isFinite(value) && values[k]!.push(value));
  }
  for (const column of values) column.sort((x, y) => x - y);

  const jackknife = columns();
  const groups = Math.min(count, largestJackknife);
  for (let group = 0; method === "bca" && group < groups; group++) {
    for (let patient = 0; patient < count; patient++) weights[patient] = patient % groups === group ? 0 : 1;
    evaluate(weights).forEach((value, k) => jackknife[k]!.push(value));
  }

  const interval = (k: number, at = level): MetricInterval => {
    const value = finiteOrNull(whole[k]!);
    const undefinedResamples = resamples - values[k]!.length;
    const none = (reason: string) =>
      ({ value, low: null, high: null, method: "none", undefinedResamples, reason }) as const;
    if (value === null) return { ...none("not defined here"), undefinedResamples: resamples };
    if (count < 2) return none("only one patient");
    if (undefinedResamples > largestUndefinedShare * resamples)
      return none("not defined in more than 10 % of resamples: too few patients of a class");
    const bca = method === "bca" ? bcaLevels(values[k]!, value, jackknife[k]!, at) : undefined;
    return {
      value,
      ...intervalAt(values[k]!, bca ?? percentileLevels(at)),
      method: bca ? "bca" : "percentile",
      undefinedResamples,
    };
  };
  return { interval, values, level };
}
