/**
 * Metrics of binary scores. All of them are read off one tally, which a single pass over the ranked observations makes;
 * that pass takes a weight per unit, so resampling patients is the same pass with other weights.
 */

import { LeadglassError } from "../errors.ts";
import { rankObservations, requireLength, type Ranking } from "./observations.ts";

/** Weighted sums over the observations from which every metric follows. */
export interface Tally {
  readonly positives: number;
  readonly negatives: number;
  /** Weight of the (positive, negative) pairs in the right order, ties counting one half. */
  readonly concordant: number;
  /** Precision summed over positives at their own score; divided by `positives` it is the average precision. */
  readonly precisionSum: number;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly squaredError: number;
  readonly logLoss: number;
  /** Within each bin of scores the difference between their sum and that of the labels; its size, summed over bins. */
  readonly calibrationGap: number;
}

/** A metric as a function of the tally. */
export interface Metric {
  readonly title: string;
  readonly of: (t: Tally) => number;
  /** Whether it needs a threshold, or scores that are probabilities. */
  readonly needs?: "threshold" | "probabilities";
  /** The least and the largest value there is; [0, 1] unless told. */
  readonly range?: readonly [number, number];
}

const weight = (t: Tally) => t.positives + t.negatives;
const sensitivity = (t: Tally) => t.truePositives / t.positives;
const falsePositiveRate = (t: Tally) => t.falsePositives / t.negatives;
const specificity = (t: Tally) => (t.negatives - t.falsePositives) / t.negatives;

/** Not defined, as any correlation, where labels or predictions are all alike. Source: Matthews 1975. */
function matthews(t: Tally): number {
  const predicted = t.truePositives + t.falsePositives;
  const covariance = t.truePositives * t.negatives - t.falsePositives * t.positives;
  return covariance / Math.sqrt(predicted * (weight(t) - predicted) * t.positives * t.negatives);
}

/** Every metric by name. A metric is NaN where it does not exist (a class or a prediction that does not occur). */
export const metricTable = {
  auroc: { title: "AUROC", of: (t) => t.concordant / (t.positives * t.negatives) },
  auprc: { title: "AUPRC", of: (t) => t.precisionSum / t.positives },
  prevalence: { title: "Prevalence", of: (t) => t.positives / weight(t) },
  accuracy: {
    title: "Accuracy",
    of: (t) => (t.truePositives + t.negatives - t.falsePositives) / weight(t),
    needs: "threshold",
  },
  sensitivity: { title: "Sensitivity", of: sensitivity, needs: "threshold" },
  specificity: { title: "Specificity", of: specificity, needs: "threshold" },
  ppv: {
    title: "Positive predictive value",
    of: (t) => t.truePositives / (t.truePositives + t.falsePositives),
    needs: "threshold",
  },
  npv: {
    title: "Negative predictive value",
    of: (t) => (t.negatives - t.falsePositives) / (weight(t) - t.truePositives - t.falsePositives),
    needs: "threshold",
  },
  f1: {
    title: "F1",
    of: (t) => (2 * t.truePositives) / (t.positives + t.truePositives + t.falsePositives),
    needs: "threshold",
  },
  balancedAccuracy: {
    title: "Balanced accuracy",
    of: (t) => (sensitivity(t) + specificity(t)) / 2,
    needs: "threshold",
  },
  mcc: { title: "Matthews correlation", of: matthews, needs: "threshold", range: [-1, 1] },
  falsePositiveRate: { title: "False-positive rate", of: falsePositiveRate, needs: "threshold" },
  selectionRate: {
    title: "Selection rate",
    of: (t) => (t.truePositives + t.falsePositives) / weight(t),
    needs: "threshold",
  },
  brier: { title: "Brier score", of: (t) => t.squaredError / weight(t), needs: "probabilities" },
  logLoss: { title: "Log loss", of: (t) => t.logLoss / weight(t), needs: "probabilities" },
  ece: { title: "Expected calibration error", of: (t) => t.calibrationGap / weight(t), needs: "probabilities" },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metricTable;

/** Throws LG-EVAL-003 when a metric needs a threshold that is not given, or probabilities and the scores are not. */
export function requireForMetrics(metrics: readonly MetricName[], ranking: Ranking, threshold?: number): void {
  for (const name of metrics) {
    const { needs }: Metric = metricTable[name];
    if (needs === "threshold" && !Number.isFinite(threshold))
      throw new LeadglassError("LG-EVAL-003", `${name}: no threshold; a finite number was expected`, {
        hint: "Choose one on validation data with chooseThreshold, then keep it.",
      });
    // Ranked: the first score is the highest and the last the lowest.
    if (needs === "probabilities" && (ranking.scores[0]! > 1 || ranking.scores.at(-1)! < 0))
      throw new LeadglassError("LG-EVAL-003", `${name}: scores outside [0, 1]; probabilities were expected`, {
        hint: "Apply the sigmoid to logits first.",
      });
  }
}

/** How many of the ranked observations are predicted positive: those with score >= threshold. */
export function predictedPositives(ranking: Ranking, threshold: number): number {
  let [low, high] = [0, ranking.scores.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranking.scores[middle]! >= threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * One pass over the ranking. Observation i has weight `weights[units[i]]`; the first `cut` are predicted positive.
 * Squared error and log loss mean something only where scores are probabilities ({@link requireForMetrics}).
 */
export function tally(ranking: Ranking, units: Uint32Array, weights: ArrayLike<number>, cut = 0): Tally {
  const { scores, labels, tieEnds, binEnds, squaredErrors, logLosses } = ranking;
  let [positives, negatives, concordant, precisionSum] = [0, 0, 0, 0];
  let [truePositives, falsePositives, squaredError, logLoss] = [0, 0, 0, 0];
  let [tiedPositives, tiedNegatives, binGap, calibrationGap] = [0, 0, 0, 0];
  for (let i = 0; i < labels.length; i++) {
    const w = weights[units[i]!]!;
    if (w !== 0) {
      squaredError += w * squaredErrors[i]!;
      logLoss += w * logLosses[i]!;
      binGap += w * (scores[i]! - labels[i]!);
      if (labels[i] === 1) {
        tiedPositives += w;
        if (i < cut) truePositives += w;
      } else {
        tiedNegatives += w;
        if (i < cut) falsePositives += w;
      }
    }
    if (tieEnds[i] === 0) continue;
    concordant += tiedNegatives * (positives + tiedPositives / 2);
    positives += tiedPositives;
    negatives += tiedNegatives;
    if (tiedPositives > 0) precisionSum += (tiedPositives * positives) / (positives + negatives);
    tiedPositives = tiedNegatives = 0;
    if (binEnds[i] === 0) continue;
    calibrationGap += Math.abs(binGap);
    binGap = 0;
  }
  return {
    ...{ positives, negatives, concordant, precisionSum, truePositives, falsePositives },
    ...{ squaredError, logLoss, calibrationGap },
  };
}

function value(
  name: MetricName,
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  const ranking = rankObservations(scores, labels);
  requireForMetrics([name], ranking);
  return metricTable[name].of(tally(ranking, ranking.rows, checkedWeights(labels.length, weights)));
}

function checkedWeights(length: number, weights?: ArrayLike<number>): ArrayLike<number> {
  if (weights === undefined) return new Float64Array(length).fill(1);
  requireLength("weights", weights.length, "labels", length);
  for (let row = 0; row < length; row++)
    if (!(weights[row]! >= 0 && weights[row]! < Infinity))
      throw new LeadglassError("LG-EVAL-002", `weights, row ${row}: not a finite number of at least 0`);
  return weights;
}

/**
 * The area under the ROC curve: the probability that a positive scores higher than a negative, ties counting one half.
 * Scores, labels (1, 0, NaN for missing) and the optional weights have one entry a row; NaN when a class is absent.
 * Throws LG-EVAL-001 and LG-EVAL-002 for rows that cannot be evaluated.
 * Source: Hanley and McNeil 1982.
 */
export function auroc(scores: ArrayLike<number>, labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("auroc", scores, labels, weights);
}

/**
 * Average precision: precision at each positive's score, averaged over positives, without interpolation.
 * Compare it with the prevalence, which is what a useless score gets. Arguments and errors as {@link auroc};
 * NaN when there is no positive.
 */
export function auprc(scores: ArrayLike<number>, labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("auprc", scores, labels, weights);
}

/** The weighted share of positives among labelled rows. Arguments and errors as {@link auroc}. */
export function prevalence(labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("prevalence", new Float64Array(labels.length), labels, weights);
}

/**
 * The mean squared difference between probability and label. Arguments and errors as {@link auroc}, and LG-EVAL-003
 * when a score is not in [0, 1]. Source: Brier 1950.
 */
export function brier(scores: ArrayLike<number>, labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("brier", scores, labels, weights);
}

/**
 * The mean negative log-likelihood in nats; Infinity where a label was given probability 0 (nothing is clipped).
 * Arguments and errors as {@link brier}.
 */
export function logLoss(scores: ArrayLike<number>, labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("logLoss", scores, labels, weights);
}

/**
 * The expected calibration error in ten bins of equal width, each open below: the difference between mean probability
 * and share of positives, averaged over bins by their size. With few rows it is too large, for chance alone moves bins
 * off the diagonal. Arguments and errors as {@link brier}. Source: Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017.
 */
export function ece(scores: ArrayLike<number>, labels: ArrayLike<number>, weights?: ArrayLike<number>): number {
  return value("ece", scores, labels, weights);
}

/** Counts at a threshold and the rates that follow; a rate is null where its denominator is zero. */
export interface Confusion {
  threshold: number;
  truePositives: number;
  falsePositives: number;
  trueNegatives: number;
  falseNegatives: number;
  /** Rows without a label, which are counted nowhere else. */
  missing: number;
  accuracy: number | null;
  sensitivity: number | null;
  specificity: number | null;
  ppv: number | null;
  npv: number | null;
  f1: number | null;
  balancedAccuracy: number | null;
  mcc: number | null;
  falsePositiveRate: number | null;
  selectionRate: number | null;
}

/**
 * The confusion matrix and its rates when score >= threshold predicts positive.
 * Scores and labels as {@link auroc}. Throws LG-EVAL-001, LG-EVAL-002, and LG-EVAL-003 for a threshold that is NaN or infinite.
 */
export function confusionAt(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold: number): Confusion {
  const ranking = rankObservations(scores, labels);
  requireForMetrics(["accuracy"], ranking, threshold);
  const t = tally(ranking, ranking.rows, checkedWeights(labels.length), predictedPositives(ranking, threshold));
  const rate = (name: MetricName) => finiteOrNull(metricTable[name].of(t));
  return {
    threshold,
    truePositives: t.truePositives,
    falsePositives: t.falsePositives,
    trueNegatives: t.negatives - t.falsePositives,
    falseNegatives: t.positives - t.truePositives,
    missing: ranking.missing,
    accuracy: rate("accuracy"),
    sensitivity: rate("sensitivity"),
    specificity: rate("specificity"),
    ppv: rate("ppv"),
    npv: rate("npv"),
    f1: rate("f1"),
    balancedAccuracy: rate("balancedAccuracy"),
    mcc: rate("mcc"),
    falsePositiveRate: rate("falsePositiveRate"),
    selectionRate: rate("selectionRate"),
  };
}

/** JSON has no NaN and no Infinity: what does not exist is null there. */
export function finiteOrNull(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}
