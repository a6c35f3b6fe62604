import { accountantNamed, bestAccountant } from "./accountant.ts";
import { calibrateNoise, type PrivacyTarget } from "./calibration.ts";
import type { Relation, Repetitions, SelectionEvent } from "./events.ts";

/** A search over settings whose whole cost is known before it begins. */
export interface SearchPlan {
  /** What the search costs, all its trainings together, at the target's delta. */
  readonly epsilon: number;
  readonly delta: number;
  /** What each training may cost by itself at the same delta: plan them with this. */
  readonly epsilonOfOne: number;
  /** The noise of each training. */
  readonly noiseMultiplier: number;
  /** The search, for an accountant. */
  readonly event: SelectionEvent;
}

/**
 * Plans a search for settings: the least noise with which a random number of trainings, of which only the best is
 * published, stays within the target (rdpOfSearch says on what conditions). Every training takes `steps` steps,
 * each of which a unit joins with `samplingProbability`, whatever else its settings are.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-003 where no noise meets the target.
 */
export function planSearch({
  target,
  repetitions,
  samplingProbability,
  steps,
  relation = "add-or-remove-one",
}: {
  readonly target: PrivacyTarget;
  readonly repetitions: Repetitions;
  readonly samplingProbability: number;
  readonly steps: number;
  readonly relation?: Relation;
}): SearchPlan {
  const rdp = accountantNamed("rdp");
  const whole = {
    name: "rdp",
    epsilon: (events, delta) =>
      rdp.epsilon([{ kind: "selection", of: events, repetitions, steps: 1 }], delta, relation),
  } as const satisfies typeof rdp;
  const noiseMultiplier = calibrateNoise({ target, samplingProbability, steps, relation, accountant: whole });
  const training = { kind: "poisson-gaussian", samplingProbability, noiseMultiplier, steps } as const;
  const one = accountantNamed(bestAccountant([training])).epsilon([training], target.delta, relation);
  return {
    epsilon: whole.epsilon([training], target.delta).upper,
    delta: target.delta,
    epsilonOfOne: one.upper,
    noiseMultiplier,
    event: { kind: "selection", of: [training], repetitions, steps: 1 },
  };
}
