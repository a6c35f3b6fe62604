/** Whether a probability of .3 is right three times in ten. */

import { LeadglassError } from "../errors.ts";
import { normalQuantile } from "../math/statistics.ts";
import { finiteOrNull, requireForMetrics } from "./metrics.ts";
import { binOf, rankObservations } from "./observations.ts";

/** The rows whose probabilities lie in one bin. */
export interface ReliabilityBin {
  /** The bin is (from, to]; the first holds 0 too. */
  from: number;
  to: number;
  n: number;
  /** Null where n is zero. */
  meanProbability: number | null;
  /** The share of positives, with Wilson's interval, which counts rows as independent. */
  frequency: number | null;
  low: number | null;
  high: number | null;
}

export interface Reliability {
  binning: "equal-width" | "equal-mass";
  bins: ReliabilityBin[];
  /** The distance between mean probability and frequency, averaged over rows. */
  expectedError: number | null;
  /** The largest such distance of a bin. */
  largestError: number | null;
  n: number;
  missing: number;
}

/**
 * A reliability curve: the share of positives among rows of similar probability.
 * Scores are probabilities, labels 1, 0 or NaN for missing, one entry a row. Bins are of equal width on [0, 1], each open
 * below, or hold nearly equal numbers of rows (the quantiles of the probabilities are the edges, and equal
 * probabilities stay together, so that there may be fewer bins than asked for). The intervals are for looking; several
 * images of a patient make them too short.
 * Throws LG-EVAL-001 and LG-EVAL-002 for unusable rows, LG-EVAL-003 for scores outside [0, 1] or an unusable number of bins.
 * Source: Naeini, Cooper and Hauskrecht 2015; equal mass, Nguyen and O'Connor 2015; the interval, Wilson 1927.
 */
export function reliability(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  {
    bins = 10,
    binning = "equal-width",
    level = 0.95,
  }: { bins?: number; binning?: "equal-width" | "equal-mass"; level?: number } = {},
): Reliability {
  if (!(Number.isInteger(bins) && bins >= 1 && bins <= 1000))
    throw new LeadglassError("LG-EVAL-003", `bins: ${bins}; a whole number from 1 to 1000 was expected`);
  const ranking = rankObservations(scores, labels);
  requireForMetrics(["ece"], ranking);
  const n = ranking.scores.length;
  const ascending = ranking.scores.toReversed();
  const positives = ranking.labels.toReversed();
  const inner =
    binning === "equal-width"
      ? Array.from({ length: bins - 1 }, (_, k) => (k + 1) / bins)
      : // The last of each share of the rows closes its bin.
        [
          ...new Set(Array.from({ length: bins - 1 }, (_, k) => ascending[Math.ceil(((k + 1) * n) / bins) - 1]!)),
        ].filter((edge) => edge > 0 && edge < ascending.at(-1)!);
  const edges = n === 0 && binning === "equal-mass" ? [0, 1] : [0, ...inner, 1];
  const counts = edges.slice(1).map(() => ({ n: 0, positives: 0, sum: 0 }));
  let bin = 0;
  ascending.forEach((score, i) => {
    if (binning === "equal-width") bin = binOf(score, bins);
    else while (bin < counts.length - 1 && score > edges[bin + 1]!) bin++;
    const count = counts[bin]!;
    count.n++;
    count.positives += positives[i]!;
    count.sum += score;
  });
  const gaps = counts.map((count) => Math.abs(count.sum - count.positives));
  return {
    binning,
    bins: counts.map((count, k) => ({
      ...{ from: edges[k]!, to: edges[k + 1]!, n: count.n },
      meanProbability: finiteOrNull(count.sum / count.n),
      frequency: finiteOrNull(count.positives / count.n),
      ...wilson(count.positives, count.n, level),
    })),
    expectedError: finiteOrNull(gaps.reduce((sum, gap) => sum + gap, 0) / n),
    largestError: n === 0 ? null : Math.max(...gaps.map((gap, k) => (counts[k]!.n === 0 ? 0 : gap / counts[k]!.n))),
    n,
    missing: ranking.missing,
  };
}

/** Wilson's score interval of k in n; null for n of zero. Source: Wilson 1927. */
export function wilson(k: number, n: number, level = 0.95): { low: number | null; high: number | null } {
  if (n === 0) return { low: null, high: null };
  const z = normalQuantile((1 + level) / 2);
  const centre = (k + (z * z) / 2) / (n + z * z);
  const reach = (z / (n + z * z)) * Math.sqrt((k * (n - k)) / n + (z * z) / 4);
  return { low: Math.max(0, centre - reach), high: Math.min(1, centre + reach) };
}
