import { isLeadglassError, LeadglassError } from "../errors.ts";
import {
  type Accountant,
  accountantNamed,
  checkDelta,
  checkEvent,
  type Event,
  LEAST_NOISE,
  MOST_NOISE,
  type Relation,
  requireParameter,
} from "./accountant.ts";
import type { TruncatedPoissonGaussianEvent } from "./events.ts";

/** What a run may cost: epsilon at delta. */
export interface PrivacyTarget {
  readonly epsilon: number;
  readonly delta: number;
}

/** Throws LG-PRIVACY-001 unless epsilon is positive and finite and delta lies strictly between 0 and 1. */
export function checkTarget(where: string, { epsilon, delta }: PrivacyTarget): void {
  requireParameter(where, "epsilon", epsilon, epsilon > 0 && epsilon < Infinity, "a finite number above 0");
  checkDelta(where, delta);
}

/** The noise found is at most this much larger, relatively, than the least that meets the target. */
const NOISE_TOLERANCE = 1e-6;
/** And where a closed form, or Rényi divergences, give epsilon without a grid. */
const EXACT_NOISE_TOLERANCE = 1e-9;

const unreachable = (message: string, hint: string): LeadglassError =>
  new LeadglassError("LG-PRIVACY-003", `calibration: ${message}`, { hint });

/**
 * Narrows a bracket until its ends are `tolerance` apart; f is above 0 at one end and not at the other, and need not be
 * smooth. Returns the end at which it is above 0, then the other one. Source: Chandrupatla, A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
 * without using derivatives, 1997.
 */
function narrowed(
  f: (x: number) => number,
  [low, atLow]: readonly [number, number],
  [high, atHigh]: readonly [number, number],
  tolerance: number,
): readonly [number, number] {
  let [a, b] = [high, low];
  let [fa, fb] = [atHigh, atLow];
  let t = 0.5;
  for (let round = 0; round < 200 && Math.abs(b - a) > tolerance; round++) {
    const x = a + t * (b - a);
    const fx = f(x);
    const crosses = fx > 0 !== fa > 0;
    const [c, fc] = crosses ? [b, fb] : [a, fa];
    if (crosses) [b, fb] = [a, fa];
    [a, fa] = [x, fx];
    const [xi, phi] = [(a - b) / (c - b), (fa - fb) / (fc - fb)];
    const smooth = phi ** 2 < xi && (1 - phi) ** 2 < 1 - xi;
    t = smooth
      ? ((fa / (fb - fa)) * fc) / (fb - fc) + ((((c - a) / (b - a)) * fa) / (fc - fa)) * (fb / (fc - fb))
      : 0.5;
    const least = Math.min(0.5, (0.5 * tolerance) / Math.abs(b - a));
    t = Number.isFinite(t) ? Math.min(1 - least, Math.max(least, t)) : 0.5;
  }
  return fa > 0 ? [a, b] : [b, a];
}

/** How much further than its target something is, on a scale on which cost is nearly a line; never Infinity. */
const excess = (epsilon: number, target: number): number =>
  Math.max(-700, Math.min(700, Math.log(epsilon) - Math.log(target)));

/**
 * The least noise multiplier with which `steps` Poisson-sampled steps stay within the target, and never below it: the
 * accountant's upper epsilon at the result does not exceed `target.epsilon`. To 1e-6 relative by privacy loss
 * distributions, and to 1e-9 otherwise. With `truncation` the batches are cut to a cap.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-003 where no admissible noise meets the target.
 */
export function calibrateNoise({
  target,
  samplingProbability,
  steps,
  relation = "add-or-remove-one",
  accountant = accountantNamed("rdp"),
  truncation,
}: {
  target: PrivacyTarget;
  samplingProbability: number;
  steps: number;
  relation?: Relation;
  accountant?: Accountant;
  truncation?: Pick<TruncatedPoissonGaussianEvent, "cohortSize" | "batchCap">;
}): number {
  checkTarget("calibration", target);
  requireParameter("calibration", "steps", steps, steps >= 1, "a whole number of at least 1");
  const eventWith = (noiseMultiplier: number): Event => {
    const numbers = { samplingProbability, noiseMultiplier, steps };
    return truncation
      ? { kind: "truncated-poisson-gaussian", ...truncation, ...numbers }
      : { kind: "poisson-gaussian", ...numbers };
  };
  checkEvent("calibration", eventWith(1));
  // Back from a logarithm, the ends of what is admissible are not quite themselves.
  const noiseAt = (logNoise: number): number => Math.min(MOST_NOISE, Math.max(LEAST_NOISE, Math.exp(logNoise)));
  const excessAt = (logNoise: number): number =>
    excess(accountant.epsilon([eventWith(noiseAt(logNoise))], target.delta, relation).upper, target.epsilon);

  const first = Math.log(startingNoise());
  let high: readonly [number, number] = [first, excessAt(first)];
  let low: readonly [number, number] = high;
  let stride = Math.log(accountant.name === "pld" ? 1.1 : 2);
  for (; high[1] > 0; stride = Math.min(2 * stride, Math.LN2)) {
    if (high[0] >= Math.log(MOST_NOISE))
      throw unreachable(
        `no noise multiplier up to ${MOST_NOISE} meets epsilon ${target.epsilon} at delta ${target.delta}`,
        "raise epsilon or delta; very small epsilons are beyond what this accountant can prove",
      );
    low = high;
    const next = Math.min(high[0] + stride, Math.log(MOST_NOISE));
    high = [next, excessAt(next)];
  }
  for (; low[1] <= 0; stride = Math.min(2 * stride, Math.LN2)) {
    if (low[0] <= Math.log(LEAST_NOISE))
      throw unreachable(
        `epsilon ${target.epsilon} would be met with a noise multiplier below ${LEAST_NOISE}`,
        "choose an epsilon that protects somebody, usually 10 or less",
      );
    high = low;
    const next = Math.max(low[0] - stride, Math.log(LEAST_NOISE));
    low = [next, excessAt(next)];
  }
  const tolerance = accountant.name === "pld" && samplingProbability < 1 ? NOISE_TOLERANCE : EXACT_NOISE_TOLERANCE;
  return noiseAt(narrowed(excessAt, low, high, tolerance)[1]);

  /** By Rényi divergences, which take a hundredth of the time and are seldom a tenth off. */
  function startingNoise(): number {
    if (accountant.name !== "pld" || truncation !== undefined) return 1;
    try {
      return calibrateNoise({ target, samplingProbability, steps, relation }) / 1.05;
    } catch (error) {
      if (isLeadglassError(error) && error.code === "LG-PRIVACY-003") return 1;
      throw error;
    }
  }
}

/** The largest whole number that passes, if those that pass are the first ones, up to `most`; 0 where none does. */
function lastThatPasses(most: number, excessOf: (n: number) => number): number {
  const first = excessOf(1);
  if (first > 0) return 0;
  let low: readonly [number, number] = [1, first];
  let high: readonly [number, number] = low;
  while (high[1] <= 0) {
    if (high[0] === most) return most;
    low = high;
    const next = Math.min(most, high[0] * 4);
    high = [next, excessOf(next)];
  }
  // On a logarithmic scale the ends come within one of each other; the whole numbers between are then tried in turn.
  const near = narrowed(
    (x) => excessOf(Math.max(1, Math.round(Math.exp(x)))),
    [Math.log(low[0]), low[1]],
    [Math.log(high[0]), high[1]],
    0.5 / high[0],
  )[1];
  let n = Math.max(1, Math.round(Math.exp(near)));
  while (n > 1 && excessOf(n) > 0) n--;
  while (n < most && excessOf(n + 1) <= 0) n++;
  return n;
}

/** More steps than this are refused: they would cost nothing that could be told from nothing. */
const MOST_STEPS = 2 ** 50;

/**
 * The largest number of steps with the given noise that stays within the target.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-003 where even one step costs too much, or where no
 * number of steps would reach the target.
 */
export function calibrateSteps({
  target,
  samplingProbability,
  noiseMultiplier,
  relation = "add-or-remove-one",
  accountant = accountantNamed("rdp"),
}: {
  target: PrivacyTarget;
  samplingProbability: number;
  noiseMultiplier: number;
  relation?: Relation;
  accountant?: Accountant;
}): number {
  checkTarget("calibration", target);
  const eventOf = (steps: number): Event => ({ kind: "poisson-gaussian", samplingProbability, noiseMultiplier, steps });
  checkEvent("calibration", eventOf(1));
  const steps = lastThatPasses(MOST_STEPS, (n) =>
    excess(accountant.epsilon([eventOf(n)], target.delta, relation).upper, target.epsilon),
  );
  if (steps === 0)
    throw unreachable(
      `one step with noise multiplier ${noiseMultiplier} already costs more than epsilon ${target.epsilon}`,
      "raise the noise multiplier or epsilon",
    );
  if (steps === MOST_STEPS)
    throw unreachable("2^50 steps stay within the target", "lower the noise multiplier or epsilon");
  return steps;
}

/**
 * The largest expected batch with which `steps` Poisson-sampled steps stay within the target, out of `units` that each
 * join a step with probability batch / units; `units` itself where every one may join every step.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-003 where even one unit a step costs too much.
 */
export function calibrateBatch({
  target,
  units,
  noiseMultiplier,
  steps,
  relation = "add-or-remove-one",
  accountant = accountantNamed("rdp"),
}: {
  target: PrivacyTarget;
  units: number;
  noiseMultiplier: number;
  steps: number;
  relation?: Relation;
  accountant?: Accountant;
}): number {
  checkTarget("calibration", target);
  requireParameter("calibration", "units", units, Number.isSafeInteger(units) && units >= 1, "a whole number from 1");
  requireParameter("calibration", "steps", steps, steps >= 1, "a whole number of at least 1");
  const eventOf = (batch: number): Event => ({
    kind: "poisson-gaussian",
    samplingProbability: batch / units,
    noiseMultiplier,
    steps,
  });
  checkEvent("calibration", eventOf(1));
  const batch = lastThatPasses(units, (n) =>
    excess(accountant.epsilon([eventOf(n)], target.delta, relation).upper, target.epsilon),
  );
  if (batch > 0) return batch;
  throw unreachable(
    `${steps} steps with noise multiplier ${noiseMultiplier} cost more than epsilon ${target.epsilon} even with one of ${units} units a step`,
    "raise the noise multiplier or epsilon, or take fewer steps",
  );
}
