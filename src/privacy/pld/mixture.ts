import { logNormalCdf } from "../../math/special.ts";

/**
 * A pair of distributions on the line that an observer must tell apart: under P the outcome is normal with unit
 * deviation around means[j] with probability p[j], under Q with probability q[j]. No mean that P uses lies below one that
 * Q uses, so the privacy loss log(dP/dQ) never falls from left to right.
 */
export interface GaussianMixturePair {
  /** Ascending, in units of the noise's standard deviation. */
  readonly means: readonly number[];
  readonly p: readonly number[];
  readonly q: readonly number[];
  /** p - q, stated by whoever knows it without cancellation; adds up to 0. */
  readonly difference: readonly number[];
}

/** Scratch space: each component's exponent and factor of the quantity at hand. */
const MOST_COMPONENTS = 4096;
const exponents = new Float64Array(MOST_COMPONENTS);
const factors = new Float64Array(MOST_COMPONENTS).fill(1);

/** log(sum of weights[j] factors[j] exp(exponents[j])). */
function logWeighted(weights: readonly number[]): number {
  let top = -Infinity;
  for (let j = 0; j < weights.length; j++) if (weights[j]! > 0) top = Math.max(top, exponents[j]!);
  let sum = 0;
  for (let j = 0; j < weights.length; j++)
    if (weights[j]! > 0) sum += weights[j]! * factors[j]! * Math.exp(exponents[j]! - top);
  return top + Math.log(sum);
}

/**
 * log(P / Q) from the scratch space, where both are sums over the components. A small one is computed from P - Q, of
 * which the part that all components share is taken off first, so that it keeps its digits however seldom P uses
 * anything that Q does not.
 */
function logRatio({ q, difference }: GaussianMixturePair, logP: number, logQ: number): number {
  if (Math.abs(logP - logQ) > 0.5) return logP - logQ;
  let reference = 0;
  for (let j = 1; j < q.length; j++) if (q[j]! > q[reference]!) reference = j;
  let gap = 0;
  for (let j = 0; j < q.length; j++) {
    const relative = exponents[j]! - exponents[reference]!;
    const own = factors[j]! / factors[reference]!;
    gap += difference[j]! * (Math.expm1(relative) * own + (own - 1));
  }
  return Math.log1p(gap * factors[reference]! * Math.exp(exponents[reference]! - logQ));
}

/** The privacy loss log(dP/dQ) at x. */
export function lossAt(pair: GaussianMixturePair, x: number): number {
  const { means, p, q } = pair;
  for (let j = 0; j < means.length; j++) {
    exponents[j] = means[j]! * (x - 0.5 * means[j]!);
    factors[j] = 1;
  }
  return logRatio(pair, logWeighted(p), logWeighted(q));
}

/** What {@link mixtureMasses} finds about an interval. */
export interface IntervalMasses {
  logP: number;
  logQ: number;
  /** log(P / Q), to about 1e-15 of the difference between P and Q, also where that is a tiny part of either. */
  loss: number;
}

/** The probabilities of the interval from a to b, a < b, under P and Q, written into `out`. */
export function mixtureMasses(pair: GaussianMixturePair, a: number, b: number, out: IntervalMasses): void {
  const { means, p, q } = pair;
  const half = 0.5 * (b - a);
  const centre = a + half;
  for (let j = 0; j < means.length; j++) {
    const offset = centre - means[j]!;
    if (half * (Math.abs(offset) + 1) < 1) {
      exponents[j] = -0.5 * offset * offset;
      factors[j] = densityRatio(offset, half);
    } else {
      exponents[j] = logNormalBetween(a - means[j]!, b - means[j]!) - Math.log(b - a) + HALF_LOG_2PI;
      factors[j] = 1;
    }
  }
  const scale = Math.log(b - a) - HALF_LOG_2PI;
  const [logP, logQ] = [logWeighted(p), logWeighted(q)];
  out.loss = logRatio(pair, logP, logQ);
  out.logQ = logQ + scale;
  out.logP = out.logQ + out.loss;
}

const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);

/**
 * The normal probability of [x - t, x + t] divided by its width and by the density at x, for t (|x| + 1) < 1: the sum of
 * t^2k He_2k(x) / (2k + 1)!, the density's Taylor series integrated term by term. Source: DLMF 18.5.9 and 18.9.1.
 */
function densityRatio(x: number, t: number): number {
  let before = 0;
  let term = 1;
  let sum = 1;
  for (let n = 0; n < 60; n += 2) {
    for (const m of [n, n + 1]) {
      const next = (t * x * term - ((t * t * m) / (m + 1)) * before) / (m + 2);
      before = term;
      term = next;
    }
    sum += term;
    if (Math.abs(term) + Math.abs(before) < 1e-18 * Math.abs(sum)) break;
  }
  return sum;
}

/** log of the standard normal probability of [a, b], without cancellation in either tail; the ends may be infinite. */
export function logNormalBetween(a: number, b: number): number {
  if (a > 0) return logNormalBetween(-b, -a);
  if (b <= 0) {
    const [low, high] = [a === -Infinity ? -Infinity : logNormalCdf(a), logNormalCdf(b)];
    return high + Math.log1p(-Math.exp(low - high));
  }
  // Zero is inside and the interval not narrow (narrow ones are summed as a series): much of the whole is within.
  const below = a === -Infinity ? 0 : Math.exp(logNormalCdf(a));
  const above = b === Infinity ? 0 : Math.exp(logNormalCdf(-b));
  return Math.log1p(-below - above);
}

/**
 * The outcome in [low, high] whose loss is `loss`, to `tolerance` in the loss: Newton's method from `guess`, halving
 * where that leaves the bracket. The nearer end where the loss is not reached.
 */
export function outcomeOf(
  pair: GaussianMixturePair,
  loss: number,
  { low, high, guess, tolerance }: { low: number; high: number; guess: number; tolerance: number },
): number {
  const { means, p, q } = pair;
  if (means.length === 1 || (means.length === 2 && means[0] === 0 && q[0] === 1)) {
    // P adds means[1] with probability p[1]: the loss is log(1 - p[1] + p[1] exp(means[1] (x - means[1] / 2))).
    const [shift, sampled] = [means.at(-1)!, p.at(-1)!];
    const excess = loss > 500 ? Infinity : Math.expm1(loss) / sampled;
    const exponent = excess === Infinity ? loss - Math.log(sampled) : excess <= -1 ? -Infinity : Math.log1p(excess);
    return Math.min(high, Math.max(low, exponent / shift + 0.5 * shift));
  }
  let x = Math.min(high, Math.max(low, guess));
  for (let step = 0; step < 200 && low < high; step++) {
    const error = lossAt(pair, x) - loss;
    if (Math.abs(error) <= tolerance) return x;
    if (error > 0) high = x;
    else low = x;
    const next = x - error / slopeFromScratch(pair);
    x = next > low && next < high ? next : 0.5 * (low + high);
    if (x <= low || x >= high) break;
  }
  return x;
}

/** The derivative of the loss at the outcome that {@link lossAt} saw last: how far the mean means under P and Q differ. */
function slopeFromScratch({ means, p, q }: GaussianMixturePair): number {
  const meanUnder = (weights: readonly number[]): number => {
    const total = logWeighted(weights);
    let mean = 0;
    for (let j = 0; j < means.length; j++) mean += weights[j]! * Math.exp(exponents[j]! - total) * means[j]!;
    return mean;
  };
  return meanUnder(p) - meanUnder(q);
}
