/** The normal distribution, moments, quantiles and ranks: what intervals and tests elsewhere are built from. */

import { erfc } from "./special.ts";

/** The standard normal distribution function P(Z <= x), with its relative precision kept in the lower tail. */
export function normalCdf(x: number): number {
  return erfc(-x / Math.SQRT2) / 2;
}

/**
 * The x with P(Z <= x) = p, to about 1e-13 relative; -Infinity and Infinity at 0 and 1, NaN outside.
 * Source: the starting value is Abramowitz and Stegun 26.2.23, refined by Halley's iteration on {@link normalCdf}.
 */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return NaN;
  if (p === 0) return -Infinity;
  // The lower half only: there normalCdf keeps its relative precision, and 1 - p is exact for p >= 1/2.
  if (p > 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(p));
  let x = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
  for (let step = 0; step < 3; step++) {
    const newton = (normalCdf(x) - p) * Math.sqrt(2 * Math.PI) * Math.exp((x * x) / 2);
    if (Number.isFinite(newton)) x -= newton / (1 + (x * newton) / 2);
  }
  return x;
}

/** The mean of the values; NaN when there are none. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

/** The unbiased sample variance (divisor n - 1); NaN for fewer than two values. */
export function variance(values: ArrayLike<number>): number {
  const centre = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i]! - centre) ** 2;
  return values.length < 2 ? NaN : sum / (values.length - 1);
}

/**
 * The p-quantile of values already sorted ascending, interpolating linearly between order statistics.
 * Source: definition 7 of Hyndman and Fan 1996 (the default of numpy and R).
 */
export function quantileSorted(sorted: ArrayLike<number>, p: number): number {
  if (sorted.length === 0 || !(p >= 0 && p <= 1)) return NaN;
  const position = p * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (position - below);
}

/** Ranks from 1; tied values share the mean of the ranks they span. */
export function midranks(values: ArrayLike<number>): Float64Array {
  const order = argsort(values);
  const ranks = new Float64Array(values.length);
  for (let start = 0, end: number; start < order.length; start = end) {
    const value = values[order[start]!]!;
    end = start + 1;
    while (end < order.length && values[order[end]!] === value) end++;
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + 1 + end) / 2;
  }
  return ranks;
}

/** The indices that sort the values ascending; equal values keep their order. Values must not be NaN. */
export function argsort(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from({ length: values.length }, (_, i) => i).sort((i, j) => values[i]! - values[j]! || i - j);
}
