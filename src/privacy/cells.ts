import type { RandomSource } from "../math/random.ts";
import { accountantNamed, type Relation } from "./accountant.ts";
import { calibrateNoise, type PrivacyTarget } from "./calibration.ts";
import { gaussianNoise, noiseScale } from "./noise.ts";
import type { DpPlan } from "./plan.ts";

/**
 * The noise multiplier with which cells are released once within a target, by the closed form of the Gaussian mechanism.
 * It counts in what one unit added or removed changes the cells by; a unit's weights are not negative and add up to at
 * most that, so that exchanging a unit moves the cells sqrt(2) as far, not twice.
 */
export function noiseOfCells(target: PrivacyTarget, relation: Relation = "add-or-remove-one"): number {
  const accountant = accountantNamed("gaussian");
  const noise = calibrateNoise({ target, samplingProbability: 1, steps: 1, relation, accountant });
  return relation === "replace-one" ? noise / Math.SQRT2 : noise;
}

/**
 * Cells of a histogram (or counts) with Gaussian noise, as a new array, and the standard deviation of the noise. One unit
 * changes the cells by at most `norm` in the Euclidean norm; the noise is `noiseMultiplier` times that. It comes from the
 * same place, under the same rules and rounded to the same kind of grid, as the noise of a training under `plan`.
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed.
 */
export function noisyCells(
  plan: DpPlan,
  cells: ArrayLike<number>,
  { norm, noiseMultiplier }: { readonly norm: number; readonly noiseMultiplier: number },
  source: RandomSource,
): { readonly cells: Float64Array; readonly deviation: number } {
  const how: DpPlan = { ...plan, noiseMultiplier, clipping: { kind: "flat", norm } };
  const { grid, deviation } = noiseScale(how, cells.length);
  const { noise } = gaussianNoise(how, { noise: cells.length }, source);
  return { cells: Float64Array.from(cells, (cell, i) => Math.round(cell / grid) * grid + noise![i]!), deviation };
}
