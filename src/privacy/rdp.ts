import { log1pExp, logAddExp, logExpm1, logSumExp } from "../math/special.ts";

/**
 * The Rényi orders at which privacy is followed: every tenth from 1.1 to 10.9, whole ones to 63, and four large ones for
 * small epsilons. Any set of orders gives a valid bound; this one is that of the reference accountants (dp_accounting;
 * Opacus has the same ones from 1.1 to 63 but for 11), so that figures can be compared digit by digit.
 */
export const rdpOrders: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => (11 + i) / 10),
  ...Array.from({ length: 53 }, (_, i) => 11 + i),
  128,
  256,
  512,
  1024,
];

/** One step of the mechanism: each unit joins with probability q, and Gaussian noise is added to the clipped sum. */
export interface SubsampledGaussian {
  readonly samplingProbability: number;
  /** Standard deviation of the noise divided by the clipping norm. */
  readonly noiseMultiplier: number;
}

/**
 * Rényi divergence bounds of one step of the Poisson-subsampled Gaussian mechanism, one per order (> 1), when a unit is
 * added or removed. Arguments are trusted: 0 <= q <= 1 and a positive noise multiplier. Relative error about 1e-12.
 *
 * With u = q (exp((2z - 1) / (2 sigma^2)) - 1) and z ~ N(0, sigma^2), the divergence of order a is
 * log E (1 + u)^a / (a - 1), and it bounds both directions. Source: Mironov, Talwar, Zhang, Rényi Differential Privacy
 * of the Sampled Gaussian Mechanism, 2019 (arXiv 1908.10530), theorems 4 and 5 and section 3.3.
 */
export function rdpOfStep(
  { samplingProbability: q, noiseMultiplier }: SubsampledGaussian,
  orders = rdpOrders,
): Float64Array {
  const rdp = new Float64Array(orders.length);
  if (q === 0) return rdp;
  const nodes = q === 1 ? null : quadratureNodes(q, noiseMultiplier, orders);
  orders.forEach((order, i) => {
    if (q === 1) rdp[i] = order / (2 * noiseMultiplier ** 2);
    else if (Number.isInteger(order)) rdp[i] = log1pExp(logMomentInteger(q, noiseMultiplier, order)) / (order - 1);
    else if (nodes) rdp[i] = log1pExp(logMomentFractional(nodes, order)) / (order - 1);
    else rdp[i] = logMomentInterpolated(q, noiseMultiplier, order) / (order - 1);
  });
  return rdp;
}

/**
 * Rényi divergence bounds of one step when a unit is replaced by another: the smaller of two proved bounds.
 *
 * 1. Remove the one, then add the other. Weak triangle inequality with exponents 2 and 2 (Mironov, Rényi Differential
 *    Privacy, 2017, arXiv 1702.07476, proposition 11), R lacking the unit:
 *    D_a(P, Q) <= (a - 1/2) / (a - 1) D_2a(P, R) + D_(2a - 1)(R, Q).
 * 2. With probability 1 - q neither takes part, otherwise the sums are 2C apart. exp((a - 1) D_a) is jointly convex
 *    (van Erven and Harremoës, Rényi Divergence and Kullback-Leibler Divergence, 2014, theorem 13), hence
 *    exp((a - 1) D_a) <= 1 - q + q exp((a - 1) a 2 / sigma^2). Exact for q = 1.
 *
 * Subsampling at half the noise multiplier (sensitivity 2C) is not used: it costs more than the first bound.
 */
export function rdpOfStepReplacing(step: SubsampledGaussian, orders = rdpOrders): Float64Array {
  const { samplingProbability: q, noiseMultiplier } = step;
  // Multiples of one tenth doubled in floating point must stay recognisable as integers.
  const doubled = orders.map((order) => Math.round(20 * order) / 10);
  const lessOne = orders.map((order) => Math.round(20 * order - 10) / 10);
  const [remove, add] = [rdpOfStep(step, doubled), rdpOfStep(step, lessOne)];
  return Float64Array.from(orders, (order, i) => {
    const triangle = ((order - 0.5) / (order - 1)) * remove[i]! + add[i]!;
    const apart = ((order - 1) * 2 * order) / noiseMultiplier ** 2;
    const mixture = log1pExp(Math.log(q) + logExpm1(apart)) / (order - 1);
    return Math.min(triangle, mixture);
  });
}

/**
 * Rényi divergences of the worst epsilon-differentially private mechanism, randomised response that keeps its bit with
 * probability exp(epsilon) / (1 + exp(epsilon)), one per order. Source: Mironov, Rényi Differential Privacy, 2017
 * (arXiv 1702.07476), proposition 5; that it is the worst: Kairouz, Oh, Viswanath, The Composition Theorem for
 * Differential Privacy, 2015 (arXiv 1311.0776), theorem 3.4.
 */
export function rdpOfPure(epsilon: number, orders = rdpOrders): Float64Array {
  return Float64Array.from(orders, (order) => {
    // log(p^a (1 - p)^(1 - a) + (1 - p)^a p^(1 - a)) with p = e^eps / (1 + e^eps), less a common factor.
    const moment = logAddExp(order * epsilon, (1 - order) * epsilon) - log1pExp(epsilon);
    return Math.min(epsilon, Math.max(0, moment / (order - 1)));
  });
}

/**
 * Converts Rényi divergence bounds into the smallest epsilon they prove at delta, and the order that proves it.
 * Source: Balle, Barthe, Gaboardi, Hsu, Sato, Hypothesis Testing Interpretations and Rényi Differential Privacy, 2020
 * (arXiv 1905.09982), theorem 21; Canonne, Kamath, Steinke, The Discrete Gaussian, 2020 (arXiv 2004.00010), prop. 12.
 */
export function rdpToEpsilon(
  rdp: ArrayLike<number>,
  delta: number,
  orders = rdpOrders,
): { epsilon: number; order: number } {
  let best = { epsilon: Infinity, order: orders[0]! };
  orders.forEach((order, i) => {
    const divergence = rdp[i]!;
    // Total variation is at most sqrt(1 - exp(-KL)) (Bretagnolle and Huber), and KL at most the divergence of any
    // order above 1: where that is within delta, epsilon is 0.
    const indistinguishable = -Math.expm1(-divergence) <= delta * delta;
    const bound = divergence + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);
    const epsilon = indistinguishable ? 0 : Math.max(0, bound);
    if (epsilon < best.epsilon) best = { epsilon, order };
  });
  return best;
}

/**
 * The smallest delta that Rényi divergence bounds prove at epsilon: the same theorem as {@link rdpToEpsilon}, solved for
 * delta, and never more than the bound on total variation.
 */
export function rdpToDelta(rdp: ArrayLike<number>, epsilon: number, orders = rdpOrders): number {
  return orders.reduce((least, order, i) => {
    const exponent = (order - 1) * (rdp[i]! - epsilon + Math.log1p(-1 / order)) - Math.log(order);
    return Math.min(least, Math.exp(exponent), Math.sqrt(-Math.expm1(-rdp[i]!)));
  }, 1);
}

// Below, "moment" is E (1 + u)^a - 1, which is a sum of positive terms in both computations: nothing cancels, however
// small q is, and in log space nothing overflows, however small sigma is.

/** log of the moment at a whole order: the binomial expansion less the expansion of 1. */
function logMomentInteger(q: number, sigma: number, order: number): number {
  const [logQ, logNotQ] = [Math.log(q), Math.log1p(-q)];
  const terms = new Float64Array(order - 1);
  let logBinomial = Math.log(order);
  for (let k = 2; k <= order; k++) {
    logBinomial += Math.log((order - k + 1) / k);
    terms[k - 2] = logBinomial + (order - k) * logNotQ + k * logQ + logExpm1((k * (k - 1)) / (2 * sigma * sigma));
  }
  return logSumExp(terms);
}

/** Shared by all fractional orders: t = z / sigma on an even grid, with u and log(1 + u) there. */
interface Nodes {
  readonly spacing: number;
  readonly sigma: number;
  readonly t: Float64Array;
  readonly u: Float64Array;
  readonly logOnePlusU: Float64Array;
}

/** Half-width of the normal density's support for these purposes: exp(-11^2 / 2) is 5e-27. */
const REACH = 11;
/** More nodes than this (noise multipliers below about 0.08) would be slow; a simpler bound is used instead. */
const MOST_NODES = 5000;

function quadratureNodes(q: number, sigma: number, orders: readonly number[]): Nodes | null {
  // The trapezoidal rule converges geometrically for an integrand that is analytic and bounded in a strip
  // |Im t| < a: its error is exp(a^2 / 2 - 2 pi a / h) (Trefethen and Weideman, SIAM Review 56, 2014). Here 1 + u
  // vanishes first at Im t = pi sigma; h is chosen to make the exponent -37.
  const strip = Math.min(0.95 * Math.PI * sigma, 6);
  const spacing = (2 * Math.PI * strip) / (37 + (strip * strip) / 2);
  const largest = orders.reduce((high, order) => (Number.isInteger(order) ? high : Math.max(high, order)), 2);
  const count = Math.ceil((largest / sigma + 2 * REACH) / spacing) + 1;
  if (count > MOST_NODES) return null;
  const t = Float64Array.from({ length: count }, (_, i) => -REACH + i * spacing);
  const logRatio = t.map((value) => value / sigma - 1 / (2 * sigma * sigma));
  return {
    spacing,
    sigma,
    t,
    u: logRatio.map((value) => q * Math.expm1(value)),
    logOnePlusU: logRatio.map((value) =>
      value < 30
        ? Math.log1p(q * Math.expm1(value))
        : Math.log(q) + value + Math.log1p(((1 - q) / q) * Math.exp(-value)),
    ),
  };
}

/** log of the moment at any order: the integral of ((1 + u)^a - 1 - a u) phi(t) dt, using E u = 0. */
function logMomentFractional({ spacing, sigma, t, u, logOnePlusU }: Nodes, order: number): number {
  const end = order / sigma + REACH;
  const terms: number[] = [];
  for (let i = 0; i < t.length && t[i]! <= end; i++)
    terms.push(logConvexGap(u[i]!, logOnePlusU[i]!, order) - 0.5 * t[i]! ** 2);
  return logSumExp(terms) + Math.log(spacing) - 0.5 * Math.log(2 * Math.PI);
}

/** log((1 + u)^a - 1 - a u), which Bernoulli's inequality makes non-negative, without cancellation or overflow. */
function logConvexGap(u: number, logOnePlusU: number, order: number): number {
  if (order * Math.abs(u) < 0.05) {
    // The binomial series from its quadratic term on.
    let term = 0.5 * order * (order - 1) * u * u;
    let sum = term;
    for (let k = 3; Math.abs(term) > 1e-17 * sum; k++) {
      term *= ((order - k + 1) / k) * u;
      sum += term;
    }
    return Math.log(sum);
  }
  const grown = order * logOnePlusU;
  if (grown < 40) return Math.log(Math.expm1(grown) - order * u);
  const line = logOnePlusU + Math.log(order - (order - 1) * Math.exp(-logOnePlusU));
  return grown + Math.log1p(-Math.exp(line - grown));
}

/**
 * An upper bound on log E (1 + u)^a at a fractional order: the chord between the neighbouring whole orders, above which
 * the function, a cumulant generating function and so convex, cannot rise.
 */
function logMomentInterpolated(q: number, sigma: number, order: number): number {
  const below = Math.floor(order);
  const at = (whole: number): number => (whole === 1 ? 0 : log1pExp(logMomentInteger(q, sigma, whole)));
  return at(below) + (order - below) * (at(below + 1) - at(below));
}
