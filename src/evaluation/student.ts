/** Student's t, for spreads that are themselves estimated from few patients or seeds. */

import { betaQuantile, regularizedBeta } from "../math/special.ts";
import { normalCdf } from "../math/statistics.ts";

/** P(T <= t) for `df` degrees of freedom, not necessarily whole. Source: DLMF 8.17, Abramowitz and Stegun 26.7.1. */
export function studentCdf(t: number, df: number): number {
  const tail = regularizedBeta(df / (df + t * t), df / 2, 0.5) / 2;
  return t < 0 ? tail : 1 - tail;
}

/** The t with P(T <= t) = p, for p in (0, 1). */
export function studentQuantile(p: number, df: number): number {
  if (p === 0.5) return 0;
  if (p < 0.5) return -studentQuantile(1 - p, df);
  const x = betaQuantile(2 * (1 - p), df / 2, 0.5);
  return Math.sqrt(df * (1 / x - 1));
}

/**
 * By how much an interval of plus and minus z standard errors must be widened where the standard error was estimated with
 * `df` degrees of freedom.
 */
export function studentRatio(z: number, df: number): number {
  // Beyond, the two agree to five digits.
  return df > 1e4 ? 1 : studentQuantile(normalCdf(z), df) / z;
}
