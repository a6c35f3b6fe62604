/** From a bootstrap distribution to the two ends of an interval. */

import { mean, normalCdf, normalQuantile, quantileSorted } from "../math/statistics.ts";

/** A value with its interval; what does not exist is null, and `reason` says why. Plain JSON. */
export interface MetricInterval {
  value: number | null;
  low: number | null;
  high: number | null;
  /** How the interval was made; "exact" is the rule for values at 0 or 1, see edge.ts. */
  method: "bca" | "percentile" | "exact" | "none";
  /** Resamples set aside because the metric does not exist in them. */
  undefinedResamples: number;
  reason?: string;
}

/** Probabilities at which the sorted bootstrap distribution is read. */
export interface Levels {
  readonly low: number;
  readonly high: number;
}

/** Equal tails of the bootstrap distribution. Source: Efron and Tibshirani 1993, chapter 13. */
export function percentileLevels(level: number): Levels {
  return { low: (1 - level) / 2, high: (1 + level) / 2 };
}

/**
 * Tails corrected for bias and acceleration; undefined where either does not exist: every resample on one side of the
 * value, or a jackknife that is constant or not defined somewhere.
 * `sorted` holds the statistic in each resample, ascending; `jackknife` with each unit left out.
 * Source: Efron 1987; Efron and Tibshirani 1993, equations 14.9 to 14.15. Resamples equal to the value count half, which
 * matters for proportions of few patients.
 */
export function bcaLevels(
  sorted: readonly number[],
  value: number,
  jackknife: readonly number[],
  level: number,
): Levels | undefined {
  const below = sorted.reduce((sum, x) => sum + (x < value ? 1 : x === value ? 0.5 : 0), 0);
  const bias = normalQuantile(below / sorted.length);
  const centre = mean(jackknife);
  let [squares, cubes] = [0, 0];
  for (const left of jackknife) {
    squares += (centre - left) ** 2;
    cubes += (centre - left) ** 3;
  }
  const acceleration = cubes / (6 * squares ** 1.5);
  if (!Number.isFinite(bias) || !Number.isFinite(acceleration)) return undefined;
  const corrected = (p: number) => {
    const z = bias + normalQuantile(p);
    return normalCdf(bias + z / (1 - acceleration * z));
  };
  const { low, high } = percentileLevels(level);
  return { low: corrected(low), high: corrected(high) };
}

/** The interval between two quantiles of the sorted bootstrap distribution. */
export function intervalAt(sorted: readonly number[], { low, high }: Levels): { low: number; high: number } {
  return { low: quantileSorted(sorted, low), high: quantileSorted(sorted, high) };
}
