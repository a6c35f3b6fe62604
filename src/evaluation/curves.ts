/** ROC and precision-recall curves as plain points. */

import { rankObservations } from "./observations.ts";

export interface RocPoint {
  readonly falsePositiveRate: number;
  readonly truePositiveRate: number;
  /** Predicted positive from this score up; Infinity at the first point, where nothing is. */
  readonly threshold: number;
}

export interface PrecisionRecallPoint {
  readonly recall: number;
  readonly precision: number;
  readonly threshold: number;
}

/**
 * The ROC curve from (0, 0) to (1, 1), one point for each distinct score, without those on a straight line between
 * their neighbours. Empty when a class is absent. Scores and labels (1, 0, NaN for missing) have one entry a row.
 * Throws LG-EVAL-001 and LG-EVAL-002.
 */
export function rocCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): RocPoint[] {
  const { counts, positives, negatives } = cumulativeCounts(scores, labels);
  if (positives === 0 || negatives === 0) return [];
  const corners = [{ tp: 0, fp: 0, threshold: Infinity }];
  for (const count of counts) {
    const [before, last] = [corners.at(-2), corners.at(-1)!];
    // Counts are integers, so that the cross product is exactly zero on a straight line.
    if (before && (last.tp - before.tp) * (count.fp - last.fp) === (count.tp - last.tp) * (last.fp - before.fp))
      corners.pop();
    corners.push(count);
  }
  return corners.map(({ tp, fp, threshold }) => ({
    falsePositiveRate: fp / negatives,
    truePositiveRate: tp / positives,
    threshold,
  }));
}

/**
 * The precision-recall curve by descending score, one point for each distinct score; the area under its steps is
 * `auprc`. Empty when there is no positive. Arguments and errors as {@link rocCurve}.
 */
export function precisionRecallCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): PrecisionRecallPoint[] {
  const { counts, positives } = cumulativeCounts(scores, labels);
  if (positives === 0) return [];
  return counts.map(({ tp, fp, threshold }) => ({ recall: tp / positives, precision: tp / (tp + fp), threshold }));
}

interface Count {
  readonly tp: number;
  readonly fp: number;
  readonly threshold: number;
}

/** True and false positives when everything from a distinct score up is predicted positive, by descending score. */
export function cumulativeCounts(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
): { counts: Count[]; positives: number; negatives: number; missing: number } {
  const ranking = rankObservations(scores, labels);
  const counts: Count[] = [];
  let tp = 0;
  for (let i = 0; i < ranking.scores.length; i++) {
    tp += ranking.labels[i]!;
    if (ranking.tieEnds[i] === 1) counts.push({ tp, fp: i + 1 - tp, threshold: ranking.scores[i]! });
  }
  return { counts, positives: ranking.positives, negatives: ranking.negatives, missing: ranking.missing };
}
