/** Intervals that hold for all of several values at once. */

import { midranks, normalQuantile, quantileSorted, variance } from "../math/statistics.ts";
import { studentRatio } from "./student.ts";

/** A value that is estimated, with what the resamples made of it; resample r is the same draw of patients for all. */
export interface Component {
  readonly value: number;
  /** One a resample; NaN where it does not exist there. */
  readonly draws: readonly number[];
  /** What the variance of the draws misses (see small-samples.ts). */
  readonly addedVariance?: number;
  /** Of the spread; the interval is widened by Student's ratio. Infinite by default. */
  readonly degreesOfFreedom?: number;
}

export interface SimultaneousInterval {
  value: number | null;
  low: number | null;
  high: number | null;
  /** Against zero, adjusted for the number of values: never below 1 / (resamples + 1). */
  pValue: number | null;
  reason?: string;
}

const largestUndefinedShare = 0.1;

/**
 * Intervals around all components that contain all true values together with probability `level`: each value plus and
 * minus one critical value times its standard error. The critical value is the quantile, over resamples, of the largest
 * deviation; deviations are made comparable as the normal quantiles of their ranks, so that one skewed or discrete component does
 * not widen the others. What the values share (patients, or a group compared with each of the others) makes the
 * critical value smaller than Bonferroni's, which is its upper bound; the value for a single one is its lower bound. Few
 * degrees of freedom widen a component's own interval by Student's ratio. `range` cuts intervals to what is possible.
 * A component without a value, a spread or enough resamples gets nulls and a reason and does not count.
 * Source: single-step max-T, Westfall and Young 1993, section 2.3; balanced by ranks, Beran 1988; Romano and Wolf 2010.
 */
export function simultaneousIntervals(
  components: readonly Component[],
  { level = 0.95, range = [-Infinity, Infinity] }: { level?: number; range?: readonly [number, number] } = {},
): SimultaneousInterval[] {
  const spreads = components.map(({ draws, addedVariance = 0 }) => {
    const defined = draws.filter(Number.isFinite);
    if (defined.length < (1 - largestUndefinedShare) * draws.length || defined.length < 2) return NaN;
    return Math.sqrt(variance(defined) + addedVariance);
  });
  const whyNot = ({ value, degreesOfFreedom = Infinity }: Component, k: number) => {
    if (!Number.isFinite(value)) return "not defined here";
    if (!(degreesOfFreedom >= 1)) return "too few patients of a class";
    if (Number.isNaN(spreads[k]!)) return "not defined in more than 10 % of resamples: too few patients of a class";
    return spreads[k]! === 0 ? "the same in every resample" : undefined;
  };
  const reasons = components.map(whyNot);
  const used = components.flatMap((_, k) => (reasons[k] === undefined ? [k] : []));
  const resamples = components[0]?.draws.length ?? 0;
  // Of each resample: how far out in its own distribution the component is that is furthest out, as a one-sided share.
  const extremes = new Float64Array(resamples).fill(0.5);
  for (const k of used) {
    tailShares(components[k]!.draws).forEach((share, r) => {
      // NaN, where the value does not exist, is less than nothing.
      if (share < extremes[r]!) extremes[r] = share;
    });
  }
  const largest = extremes
    .sort()
    .map((share) => -normalQuantile(share))
    .reverse();
  const bonferroni = normalQuantile(1 - (1 - level) / (2 * Math.max(1, used.length)));
  const reached = quantileSorted(largest, level);
  // The largest score that ranks can give says no more than that it is at least as large.
  const critical =
    reached < largest.at(-1)! ? Math.min(bonferroni, Math.max(reached, normalQuantile((1 + level) / 2))) : bonferroni;
  const cut = (x: number) => Math.min(range[1], Math.max(range[0], x));
  return components.map(({ value, degreesOfFreedom = Infinity }, k) => {
    const reason = reasons[k];
    if (reason !== undefined)
      return { value: Number.isFinite(value) ? value : null, low: null, high: null, pValue: null, reason };
    const standardError = spreads[k]! * studentRatio(critical, degreesOfFreedom);
    const further = resamples - countBelow(largest, Math.abs(value) / standardError);
    return {
      value,
      low: cut(value - critical * standardError),
      high: cut(value + critical * standardError),
      pValue: (further + 1) / (resamples + 1),
    };
  });
}

/** The share of values on the nearer side of each, from its rank; NaN where a value is. */
function tailShares(values: readonly number[]): Float64Array {
  const defined = values.filter(Number.isFinite);
  const ranks = midranks(defined);
  const n = defined.length;
  let next = 0;
  return Float64Array.from(values, (value) => {
    if (!Number.isFinite(value)) return NaN;
    const rank = ranks[next++]!;
    return Math.min(rank, n + 1 - rank) / (n + 1);
  });
}

/** How many of the ascending values are below x. */
function countBelow(sorted: ArrayLike<number>, x: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}
