/**
 * Binomial probabilities to about 1e-14 relative, for any number of trials.
 * Source: Loader, Fast and Accurate Computation of Binomial Probabilities, 2000.
 */

/** log n! less Stirling's approximation of it. Source: DLMF 5.11.1. */
function stirlingError(n: number): number {
  if (n === 0) return 0;
  if (n < 16) {
    let logFactorial = 0;
    for (let i = 2; i <= n; i++) logFactorial += Math.log(i);
    return logFactorial - ((n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI));
  }
  const square = n * n;
  return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * square)) / square) / square) / square) / n;
}

/** x log(x / mean) + mean - x, without cancellation where the two are close. */
function deviance(x: number, mean: number): number {
  if (x === 0) return mean;
  const ratio = (x - mean) / (x + mean);
  if (Math.abs(ratio) > 0.1) return x * Math.log(x / mean) + mean - x;
  // log(x / mean) = 2 artanh(ratio), as a series; its first term is taken out together with mean - x.
  let sum = (x - mean) * ratio;
  let power = 2 * x * ratio;
  for (let k = 3; k < 100; k += 2) {
    power *= ratio * ratio;
    const next = sum + power / k;
    if (next === sum) break;
    sum = next;
  }
  return sum;
}

/** log of the probability of k successes in n trials of probability p, 0 < p < 1. */
export function logBinomial(k: number, n: number, p: number): number {
  if (k < 0 || k > n) return -Infinity;
  if (k === 0) return n * Math.log1p(-p);
  if (k === n) return n * Math.log(p);
  const exponent =
    stirlingError(n) - stirlingError(k) - stirlingError(n - k) - deviance(k, n * p) - deviance(n - k, n * (1 - p));
  return exponent + 0.5 * Math.log(n / (2 * Math.PI * k * (n - k)));
}

/** The probability of at least k successes in n trials of probability p, 0 < p < 1. */
export function binomialTail(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n) return 0;
  // Of the two tails the one without the mean is summed, outward, until its terms no longer count.
  const upper = k > n * p;
  let sum = 0;
  let term = Math.exp(logBinomial(upper ? k : k - 1, n, p));
  for (let i = upper ? k : k - 1; i >= 0 && i <= n && term > 1e-18 * sum; i += upper ? 1 : -1) {
    sum += term;
    term *= upper ? ((n - i) / (i + 1)) * (p / (1 - p)) : (i / (n - i + 1)) * ((1 - p) / p);
  }
  return upper ? sum : 1 - sum;
}
