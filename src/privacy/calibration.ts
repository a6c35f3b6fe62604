import { LeadglassError } from "../errors.ts";
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

const unreachable = (message: string, hint: string): LeadglassError =>
  new LeadglassError("LG-PRIVACY-003", `calibration: ${message}`, { hint });

/**
 * The least noise multiplier with which `steps` Poisson-sampled steps stay within the target, to 1e-6 relative and never
 * below it: the accountant's upper epsilon at the result does not exceed `target.epsilon`. With `truncation` the batches
 * are cut to a cap.
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
  const meets = (noise: number): boolean =>
    accountant.epsilon([eventWith(noise)], target.delta, relation).upper <= target.epsilon;

  let [low, high] = [0.5, 1];
  while (!meets(high)) {
    low = high;
    high *= 2;
    if (high > MOST_NOISE)
      throw unreachable(
        `no noise multiplier up to ${MOST_NOISE} meets epsilon ${target.epsilon} at delta ${target.delta}`,
        "raise epsilon or delta; very small epsilons are beyond what this accountant can prove",
      );
  }
  while (low < high && meets(low)) {
    high = low;
    low /= 2;
    if (low < LEAST_NOISE)
      throw unreachable(
        `epsilon ${target.epsilon} would be met with a noise multiplier below ${LEAST_NOISE}`,
        "choose an epsilon that protects somebody, usually 10 or less",
      );
  }
  while (high / low > 1 + NOISE_TOLERANCE) {
    const middle = Math.sqrt(low * high);
    if (meets(middle)) high = middle;
    else low = middle;
  }
  return high;
}

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
  const meets = (steps: number): boolean =>
    accountant.epsilon([eventOf(steps)], target.delta, relation).upper <= target.epsilon;
  if (!meets(1))
    throw unreachable(
      `one step with noise multiplier ${noiseMultiplier} already costs more than epsilon ${target.epsilon}`,
      "raise the noise multiplier or epsilon",
    );
  let [low, high] = [1, 2];
  while (meets(high)) {
    [low, high] = [high, high * 2];
    if (high > 2 ** 50)
      throw unreachable("more than 2^49 steps stay within the target", "lower the noise multiplier or epsilon");
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (meets(middle)) low = middle;
    else high = middle;
  }
  return low;
}
