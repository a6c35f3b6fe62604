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

/** Coefficients B_2k / (2k (2k - 1)) of Stirling's series. DLMF 5.11.1. */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400];
/** From here on eight terms of the series are exact to rounding. */
const STIRLING_FROM = 10;

/** log Gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2 for x >= 10. */
function stirlingRest(x: number): number {
  const square = x * x;
  return STIRLING.reduceRight((sum, coefficient) => sum / square + coefficient, 0) / x;
}

/** Natural logarithm of the gamma function for x > 0. Source: DLMF 5.11.1, moved up by 5.5.1 where x is small. */
export function logGamma(x: number): number {
  let product = 1;
  while (x < STIRLING_FROM) product *= x++;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + stirlingRest(x) - Math.log(product);
}

/** Natural logarithm of the beta function B(a, b) for a, b > 0, without the cancellation of three large logarithms. */
export function logBeta(a: number, b: number): number {
  const [small, large] = a < b ? [a, b] : [b, a];
  const sum = small + large;
  if (large < STIRLING_FROM) return logGamma(small) + logGamma(large) - logGamma(sum);
  const rest = stirlingRest(large) - stirlingRest(sum);
  // log(large / sum), kept where the two are nearly equal.
  const ratio = Math.log1p(-small / sum);
  if (small < STIRLING_FROM) return logGamma(small) + rest + small * (1 - Math.log(sum)) + (large - 0.5) * ratio;
  return (
    0.5 * Math.log((2 * Math.PI) / large) +
    stirlingRest(small) +
    rest +
    (small - 0.5) * Math.log(small / sum) +
    large * ratio
  );
}

/**
 * Regularised incomplete beta function I_x(a, b) for a, b > 0 and 0 <= x <= 1: the probability that a beta variable is
 * at most x, and for whole a <= n that a binomial one of n = a + b - 1 trials with probability x is at least a.
 * `y` is 1 - x where the caller knows it better than a subtraction does. Relative accuracy about 1e-12 up to a + b = 1e6.
 * Source: the continued fraction DLMF 8.17.22, and 8.17.4 where it converges slowly.
 */
export function regularizedBeta(x: number, a: number, b: number, y = 1 - x): number {
  if (!(x > 0)) return x === 0 ? 0 : NaN;
  if (!(y > 0)) return y === 0 ? 1 : NaN;
  if (x > (a + 1) / (a + b + 2)) return 1 - lowerBeta(y, b, a, x);
  return lowerBeta(x, a, b, y);
}

function lowerBeta(x: number, a: number, b: number, y: number): number {
  const front = Math.exp(a * Math.log(x) + b * Math.log(y) - logBeta(a, b)) / a;
  if (front === 0) return 0;
  // Modified Lentz; the denominators stay positive for x below (a + 1) / (a + b + 2).
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let f = d;
  for (let m = 1; m < 100_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d);
    c = 1 + even / c;
    f *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d);
    c = 1 + odd / c;
    const step = c * d;
    f *= step;
    if (Math.abs(step - 1) < 1e-16) break;
  }
  return front * f;
}

/**
 * The p-quantile of the beta distribution: the x with I_x(a, b) = p, to about 1e-12 relative.
 * Newton's iteration on {@link regularizedBeta}, kept between bounds by bisection.
 */
export function betaQuantile(p: number, a: number, b: number): number {
  if (!(p >= 0 && p <= 1)) return NaN;
  if (p === 0 || p === 1) return p;
  const logNorm = logBeta(a, b);
  let [low, high] = [0, 1];
  let x = a / (a + b);
  for (let step = 0; step < 200; step++) {
    const error = regularizedBeta(x, a, b) - p;
    if (error > 0) high = x;
    else low = x;
    const density = Math.exp((a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x) - logNorm);
    let next = x - error / density;
    // The left bound moves by factors while nothing is known of the order of magnitude.
    if (!(next > low && next < high)) next = low === 0 ? high / 8 : (low + high) / 2;
    if (Math.abs(next - x) <= 1e-14 * x) return next;
    x = next;
  }
  return x;
}
