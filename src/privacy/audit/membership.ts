/**
 * Membership inference: scores that say how likely a unit was trained on, from what a model and its shadows answer. A
 * higher score speaks for a member. Units are rows of every array; a shadow is a model trained on a part of the units.
 */
import { LeadglassError } from "../../errors.ts";
import { argsort } from "../../math/statistics.ts";

/** What each shadow model answered for every unit, and which units it was trained on. */
export interface Shadow {
  readonly values: ArrayLike<number>;
  /** 1 where the shadow was trained on the unit. */
  readonly inside: ArrayLike<number>;
}

/** Probabilities are kept this far from 0 and 1: float32 answers are no finer. */
const finest = 2 ** -24;

/**
 * log(p / (1 - p)) of the probability given to the true answer: nearly normal over trainings, where p itself is not.
 * Source: Carlini, Chien, Nasr, Song, Terzis, Tramer, Membership Inference Attacks From First Principles, 2022 (arXiv
 * 2112.03570), section IV.
 */
export function logitConfidence(probability: number): number {
  const p = Math.min(1 - finest, Math.max(finest, probability));
  return Math.log(p / (1 - p));
}

export interface LiraOptions {
  /**
   * "online" compares shadows that were trained on the unit with those that were not; "offline" looks at the latter alone,
   * as an attacker must who learns of a unit only when the shadows are trained.
   */
  readonly variant: "online" | "offline";
  /** Units' own variances, or one for all units: with fewer than 64 shadows on a side their own are too rough. */
  readonly variance?: "own" | "global";
}

/** Shadows on each side from which a variance of each unit's own is taken by default. */
const enoughForOwnVariance = 64;

/**
 * Likelihood ratio attack. `target` holds the attacked model's {@link logitConfidence} of every unit and `shadows` those of
 * the shadow models. Online: log N(target; in) - log N(target; out), with a unit's own means. Offline: how many standard
 * deviations the target is above the shadows that were not trained on the unit, which increases with the probability the
 * paper takes and does not saturate.
 * Throws LG-PRIVACY-001 where a unit has too few shadows on a side that is needed.
 * Source: Carlini et al. 2022 (arXiv 2112.03570), algorithm 1, and its offline variant.
 */
export function liraScores(
  target: ArrayLike<number>,
  shadows: readonly Shadow[],
  { variant, variance }: LiraOptions,
): Float64Array {
  const [inside, outside] = [sideOf(target.length, shadows, 1), sideOf(target.length, shadows, 0)];
  const sides = variant === "online" ? [inside, outside] : [outside];
  const fewest = Math.min(...sides.flatMap((side) => side.map((s) => s.count)));
  const own = (variance ?? (fewest >= enoughForOwnVariance ? "own" : "global")) === "own";
  if (!(fewest >= (own ? 2 : 1)))
    throw new LeadglassError(
      "LG-PRIVACY-001",
      `LiRA: a unit has ${fewest} shadow models on a side; at least ${own ? 2 : 1} are needed`,
      { hint: "Train more shadow models, each on a random half of the units.", fields: { parameter: "shadows" } },
    );
  const spread = (side: readonly Side[]): ((unit: number) => number) => {
    if (own) return (unit) => Math.max(side[unit]!.squares / (side[unit]!.count - 1), least);
    const freedom = side.reduce((sum, s) => sum + s.count - 1, 0);
    const pooled = side.reduce((sum, s) => sum + s.squares, 0) / freedom;
    if (!(freedom > 0))
      throw new LeadglassError("LG-PRIVACY-001", "LiRA: no unit has two shadow models on a side", {
        hint: "Train at least four shadow models.",
        fields: { parameter: "shadows" },
      });
    return () => Math.max(pooled, least);
  };
  const outVariance = spread(outside);
  if (variant === "offline")
    return Float64Array.from(target, (x, unit) => (x - outside[unit]!.mean) / Math.sqrt(outVariance(unit)));
  const inVariance = spread(inside);
  const logDensity = (x: number, mean: number, variance: number): number =>
    -0.5 * Math.log(variance) - (x - mean) ** 2 / (2 * variance);
  return Float64Array.from(
    target,
    (x, unit) =>
      logDensity(x, inside[unit]!.mean, inVariance(unit)) - logDensity(x, outside[unit]!.mean, outVariance(unit)),
  );
}

/** Keeps a density finite where all shadows answered alike. */
const least = 1e-12;

interface Side {
  readonly count: number;
  readonly mean: number;
  /** Sum of squared differences from the mean. */
  readonly squares: number;
}

/** Moments of each unit over the shadows that were (1) or were not (0) trained on it. */
function sideOf(units: number, shadows: readonly Shadow[], inside: 0 | 1): Side[] {
  return Array.from({ length: units }, (_, unit) => {
    let [count, mean, squares] = [0, 0, 0];
    for (const shadow of shadows) {
      if (shadow.inside[unit] !== inside) continue;
      // Welford's update.
      const value = shadow.values[unit]!;
      const before = value - mean;
      mean += before / ++count;
      squares += before * (value - mean);
    }
    return { count, mean, squares };
  });
}

export interface RmiaOptions {
  /** Rows of units that are known not to be members: every score compares with these, itself excepted. */
  readonly population: readonly number[];
  readonly variant: "online" | "offline";
  /** How much likelier than a population unit a unit must have become; 1 by default. */
  readonly gamma?: number;
  /**
   * Offline: what shadows not trained on a unit would have answered had they been half the time; 0 takes them for always
   * sure, 1 for unchanged. 0.3 by default, as the paper's images.
   */
  readonly a?: number;
}

/**
 * Robust membership inference. `target` holds the probability that the attacked model gives to the true answer of every
 * unit, `shadows` those of the shadow models. A unit's ratio is that probability over its mean in shadows; the score is the
 * share of population units whose ratio, times gamma, is no larger. Units with equal shares are ordered by their ratios, by
 * less than one step of the share.
 * Throws LG-PRIVACY-001 where a unit has no shadow on a side that is needed, or the population is too small.
 * Source: Zarifzadeh, Liu, Shokri, Low-Cost High-Power Membership Inference Attacks, 2024 (arXiv 2312.03262), section 3; the
 * offline correction is P(x) = ((1 + a) P_out(x) + (1 - a)) / 2.
 */
export function rmiaScores(
  target: ArrayLike<number>,
  shadows: readonly Shadow[],
  { population, variant, gamma = 1, a = 0.3 }: RmiaOptions,
): Float64Array {
  const [inside, outside] = [sideOf(target.length, shadows, 1), sideOf(target.length, shadows, 0)];
  const fewest = Math.min(...(variant === "online" ? [inside, outside] : [outside]).flat().map((s) => s.count));
  if (!(fewest >= 1) || population.length < 2)
    throw new LeadglassError(
      "LG-PRIVACY-001",
      `RMIA: ${population.length} population units and at least ${fewest} shadow models on a side; 2 and 1 are needed`,
      { hint: "Train more shadow models, or give more units that are not members.", fields: { parameter: "shadows" } },
    );
  const ratios = Float64Array.from(target, (p, unit) => {
    const out = outside[unit]!.mean;
    const mean = variant === "online" ? (inside[unit]!.mean + out) / 2 : ((1 + a) * out + (1 - a)) / 2;
    return Math.max(p, finest) / Math.max(mean, finest);
  });
  const others = Float64Array.from(population, (unit) => ratios[unit]!).sort();
  const members = new Set(population);
  const place = new Float64Array(target.length);
  argsort(ratios).forEach((unit, rank) => (place[unit] = rank / target.length));
  return ratios.map((ratio, unit) => {
    const self = members.has(unit) && gamma * ratio <= ratio ? 1 : 0;
    const size = others.length - (members.has(unit) ? 1 : 0);
    return (countUpTo(others, ratio / gamma) - self + place[unit]!) / (size + 1);
  });
}

/** How many of the ascending values are at most `bound`. */
function countUpTo(sorted: Float64Array, bound: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
