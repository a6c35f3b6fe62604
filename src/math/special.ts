/**
 * Special functions in float64, accurate to about 1e-13 relative wherever the result is not subnormal; the logarithmic
 * forms stay accurate where the plain ones underflow.
 */

const SQRT_PI = Math.sqrt(Math.PI);
/** Below this argument erf is summed as a series, above it erfc is a continued fraction. */
const ERF_SPLIT = 1.5;

/** Sum of 2^n x^(2n+1) / (2n+1)!!, which is erf(x) exp(x^2) sqrt(pi) / 2; every term is positive. DLMF 7.6.2. */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return sum;
}

/**
 * Scaled complement of the error function, exp(x^2) erfc(x), for x >= 1.5; does not underflow for large x.
 * Continued fraction in Steed-Lentz form. Source: DLMF 7.9.1.
 */
function erfcxTail(x: number): number {
  // exp(x^2) erfc(x) sqrt(pi) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...)))), evaluated by the modified Lentz method.
  let f = x;
  let c = x;
  let d = 0;
  for (let k = 1; k < 500; k++) {
    const a = k / 2;
    d = 1 / (x + a * d);
    c = x + a / c;
    const step = c * d;
    f *= step;
    if (Math.abs(step - 1) < 1e-16) break;
  }
  return 1 / (f * SQRT_PI);
}

/** Error function of any real x. Source: DLMF 7.2.1. */
export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  return x < ERF_SPLIT ? (2 / SQRT_PI) * Math.exp(-x * x) * erfSeries(x) : 1 - erfc(x);
}

/** Complementary error function 1 - erf(x), without cancellation for large x; 0 beyond about 26.5. Source: DLMF 7.2.2. */
export function erfc(x: number): number {
  return x < ERF_SPLIT ? 1 - erf(x) : Math.exp(-x * x) * erfcxTail(x);
}

/** Natural logarithm of erfc(x), finite for every finite x whose square is finite. */
export function logErfc(x: number): number {
  return x < ERF_SPLIT ? Math.log1p(-erf(x)) : -x * x + Math.log(erfcxTail(x));
}

/** Natural logarithm of the probability that a standard normal variable is at most x, also where that underflows. */
export function logNormalCdf(x: number): number {
  return logErfc(-x / Math.SQRT2) - Math.LN2;
}

/** log(exp(a) + exp(b)) without overflow; either may be -Infinity. */
export function logAddExp(a: number, b: number): number {
  const high = Math.max(a, b);
  if (high === -Infinity || high === Infinity) return high;
  return high + Math.log1p(Math.exp(Math.min(a, b) - high));
}

/** log of the sum of exp over the values, without overflow; -Infinity for none. */
export function logSumExp(values: ArrayLike<number>): number {
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) high = Math.max(high, values[i]!);
  if (high === -Infinity || high === Infinity) return high;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - high);
  return high + Math.log(sum);
}

/** log(exp(x) - 1) for x > 0 without overflow for large x or cancellation for small; -Infinity at 0. */
export function logExpm1(x: number): number {
  return x > 37 ? x + Math.log1p(-Math.exp(-x)) : Math.log(Math.expm1(x));
}

/** log(1 + exp(x)) without overflow and without losing small values. */
export function log1pExp(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}
