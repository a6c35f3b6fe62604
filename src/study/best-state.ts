/** Which state of a training to keep, as validation patients have it: with noise where they are private. */
import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import { chooseBestOf, sumOfUnitScores, type Relation } from "../privacy/index.ts";

/**
 * What each unit says of a model, from 0 to 1: one minus the squared error of its probabilities (Brier's score), on
 * average over its images and targets with a label; 0 for a unit without any. `scores` and `labels` [images, targets] are
 * probabilities and 1, 0 or NaN for missing; `units` says whose each image is.
 */
export function unitScores(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  units: readonly (string | number)[],
  targets: number,
): Float64Array {
  const groups = [...Map.groupBy(units.keys(), (image) => units[image]!).values()];
  return Float64Array.from(groups, (images) => {
    const cells = images.flatMap((image) => Array.from({ length: targets }, (_, k) => image * targets + k));
    const known = cells.filter((cell) => !Number.isNaN(labels[cell]!));
    const sum = known.reduce((total, cell) => total + 1 - (scores[cell]! - labels[cell]!) ** 2, 0);
    return known.length > 0 ? sum / known.length : 0;
  });
}

/**
 * The index of the state to keep, from what each unit says of each. With `noise` by a noisy maximum of that epsilon:
 * units are added up exactly, so that one changes every sum by at most 1. Without it, of equal sums the later one.
 */
export function bestState(
  perUnit: readonly ArrayLike<number>[],
  noise: {
    readonly epsilon: number;
    readonly relation: Relation;
    readonly source: RandomSource;
    readonly insecureSeed: boolean;
  } | null,
): number {
  const sums = perUnit.map(sumOfUnitScores);
  if (sums.length === 0) throw new LeadglassError("LG-BUG-001", "a choice among no states");
  return noise ? chooseBestOf(sums, noise).index : sums.lastIndexOf(Math.max(...sums));
}
