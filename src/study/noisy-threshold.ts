/** A decision threshold from validation patients who are private too: from a histogram of their scores with noise. */
import { noisyCells, type DpPlan } from "../privacy/index.ts";
import type { RandomSource } from "../math/random.ts";

/** Edges between bins, in log odds: bins as wide as the eye can tell, from one in three hundred to as much less than all. */
const edges = Array.from({ length: 31 }, (_, i) => 0.375 * (i - 15));
const bins = edges.length + 1;

/** Cells for each target: negatives bin by bin, then positives. */
export const cellsPerTarget = 2 * bins;

const probabilityOf = (logOdds: number): number => 1 / (1 + Math.exp(-logOdds));
const thresholds = edges.map(probabilityOf);

/**
 * Scores of units as cells [targets, 2 x bins]: each of a unit's images with a label weighs one over their number, so
 * that a unit adds at most 1 to each target's cells. `scores` and `labels` [images, targets] are probabilities and 1, 0
 * or NaN for missing; `units` says whose each image is.
 */
export function scoreCells(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  units: readonly (string | number)[],
  targets: number,
): Float64Array {
  const cells = new Float64Array(targets * cellsPerTarget);
  for (const images of Map.groupBy(units.keys(), (image) => units[image]!).values())
    for (let k = 0; k < targets; k++) {
      const known = images.filter((image) => !Number.isNaN(labels[image * targets + k]!));
      for (const image of known) {
        const score = scores[image * targets + k]!;
        const bin = thresholds.filter((threshold) => score >= threshold).length;
        cells[k * cellsPerTarget + labels[image * targets + k]! * bins + bin]! += 1 / known.length;
      }
    }
  return cells;
}

/**
 * A threshold for each target by Youden's index on cells with noise of standard deviation `deviation`. Another edge than
 * the expected one is taken only where it is better by more than two deviations of what noise alone would make of it: few
 * patients then get the expected threshold, and many the best. Expected is the prevalence, which is best for a calibrated
 * model (shifted by the weight that positives had in the training), and one half where noise hides the prevalence.
 * Everything here is computed from the noisy cells and public numbers.
 */
export function thresholdsOf(
  cells: ArrayLike<number>,
  deviation: number,
  positiveWeights: readonly number[] | undefined,
  targets: number,
): number[] {
  return Array.from({ length: targets }, (_, k) => {
    const at = (label: 0 | 1, bin: number): number => cells[k * cellsPerTarget + label * bins + bin]!;
    const total = (label: 0 | 1): number => {
      let sum = 0;
      for (let bin = 0; bin < bins; bin++) sum += at(label, bin);
      return sum;
    };
    const [negatives, positives] = [total(0), total(1)];
    const visible = 2 * deviation * Math.sqrt(bins);
    const hidden = Math.min(negatives, positives) <= visible;
    const wanted = hidden ? 0 : Math.log(positives / negatives) + Math.log(positiveWeights?.[k] ?? 1);
    const start = edges.reduce(
      (best, edge, i) => (Math.abs(edge - wanted) < Math.abs(edges[best]! - wanted) ? i : best),
      edges.indexOf(0),
    );
    if (hidden) return thresholds[start]!;
    // Youden's index at edge i minus that at the first; bins from i + 1 on lie above edge i.
    const index = new Float64Array(edges.length);
    for (let i = 1; i < edges.length; i++) index[i] = index[i - 1]! - at(1, i) / positives + at(0, i) / negatives;
    const noise = deviation * Math.hypot(1 / positives, 1 / negatives);
    const gain = (i: number): number => index[i]! - index[start]! - 2 * noise * Math.sqrt(Math.abs(i - start));
    let best = start;
    for (let i = 0; i < edges.length; i++) if (gain(i) > gain(best)) best = i;
    return thresholds[best]!;
  });
}

/** Releases the cells once, with noise, and chooses thresholds on what was released. */
export function noisyThresholds(
  cells: Float64Array,
  options: {
    readonly plan: DpPlan;
    readonly noiseMultiplier: number;
    readonly targets: number;
    readonly positiveWeights: readonly number[] | undefined;
    readonly source: RandomSource;
  },
): number[] {
  const { plan, noiseMultiplier, targets, positiveWeights, source } = options;
  const norm = Math.sqrt(targets);
  const { cells: released, deviation } = noisyCells(plan, cells, { norm, noiseMultiplier }, source);
  return thresholdsOf(released, deviation, positiveWeights, targets);
}
