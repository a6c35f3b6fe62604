/** DeLong's variance of an AUROC and his test of two, in closed form: a cross-check on the bootstrap. */

import { LeadglassError } from "../errors.ts";
import { mean, midranks, normalCdf, normalQuantile, variance } from "../math/statistics.ts";
import { rankObservations, requireLength } from "./observations.ts";

export interface DelongEstimate {
  auroc: number;
  variance: number;
  standardError: number;
  /** auroc -+ z * standardError, not cut at 0 and 1. */
  low: number;
  high: number;
}

export interface DelongTest {
  a: number;
  b: number;
  /** a - b. */
  difference: number;
  variance: number;
  /** Null where the variance is zero. */
  z: number | null;
  /** Two-sided, null where z is. */
  pValue: number | null;
}

/**
 * The AUROC with DeLong's variance, in O(n log n). Every row counts as independent: with several images a patient the
 * variance is too small, and `bootstrapIntervals` is what to report.
 * Scores and labels (1, 0, NaN for missing) have one entry a row. Throws LG-EVAL-001, LG-EVAL-002, and LG-EVAL-004
 * for fewer than two positives or negatives.
 * Source: DeLong, DeLong and Clarke-Pearson 1988; by midranks, Sun and Xu 2014.
 */
export function delongVariance(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  { level = 0.95 }: { level?: number } = {},
): DelongEstimate {
  const { auroc, positives, negatives } = placements(scores, labels);
  const estimate = varianceOfMean(positives, negatives);
  const standardError = Math.sqrt(estimate);
  const reach = normalQuantile((1 + level) / 2) * standardError;
  return { auroc, variance: estimate, standardError, low: auroc - reach, high: auroc + reach };
}

/**
 * DeLong's test of two AUROCs on the same rows, which must be independent (see {@link delongVariance}).
 * Arguments, errors and source as there.
 */
export function delongTest(
  scoresA: ArrayLike<number>,
  scoresB: ArrayLike<number>,
  labels: ArrayLike<number>,
): DelongTest {
  requireLength("scoresA", scoresA.length, "scoresB", scoresB.length);
  const [a, b] = [placements(scoresA, labels), placements(scoresB, labels)];
  // The variance of a difference is the variance of the differences: never negative, and zero for equal rankings.
  const estimate = varianceOfMean(
    a.positives.map((placement, i) => placement - b.positives[i]!),
    a.negatives.map((placement, i) => placement - b.negatives[i]!),
  );
  const difference = a.auroc - b.auroc;
  const z = estimate > 0 ? difference / Math.sqrt(estimate) : null;
  return {
    a: a.auroc,
    b: b.auroc,
    difference,
    variance: estimate,
    z,
    pValue: z === null ? null : 2 * normalCdf(-Math.abs(z)),
  };
}

interface Placements {
  readonly auroc: number;
  /** For each positive, the share of negatives below it; for each negative, the share of positives above it. */
  readonly positives: Float64Array;
  readonly negatives: Float64Array;
}

function placements(scores: ArrayLike<number>, labels: ArrayLike<number>): Placements {
  const ranking = rankObservations(scores, labels);
  const [m, n] = [ranking.positives, ranking.negatives];
  if (m < 2 || n < 2)
    throw new LeadglassError(
      "LG-EVAL-004",
      `labels: ${m} positive and ${n} negative; at least two of each are needed`,
      {
        fields: { positives: m, negatives: n },
      },
    );
  // By row, so that two models' placements stand in the same order.
  const rows = ranking.rows.toSorted();
  const of = (label: number) =>
    Float64Array.from(
      rows.filter((row) => labels[row] === label),
      (row) => scores[row]!,
    );
  const [x, y] = [of(1), of(0)];
  const all = midranks([...x, ...y]);
  const [within, withinNegatives] = [midranks(x), midranks(y)];
  const positives = x.map((_, i) => (all[i]! - within[i]!) / n);
  const negatives = y.map((_, j) => 1 - (all[m + j]! - withinNegatives[j]!) / m);
  return { auroc: mean(positives), positives, negatives };
}

function varianceOfMean(positives: Float64Array, negatives: Float64Array): number {
  return variance(positives) / positives.length + variance(negatives) / negatives.length;
}
