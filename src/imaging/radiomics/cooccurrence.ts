/** GLCM: how often two grey levels are neighbours in a direction. */
import { eachPair, type GreyLevels, type Step } from "./region.ts";

/** Symmetric counts [levels x levels], row-major; level 1 first. */
export interface CooccurrenceMatrix {
  readonly levels: number;
  readonly counts: Float64Array;
}

/** The symmetric matrix of one direction. Source: IBSI reference manual (arXiv 1612.07003), section 3.6, family LFYI. */
export function cooccurrenceMatrix(grey: GreyLevels, step: Step): CooccurrenceMatrix {
  const { levels, count } = grey;
  const counts = new Float64Array(count * count);
  eachPair(grey, step, (from, to) => {
    const [i, j] = [levels[from]! - 1, levels[to]! - 1];
    if (i < 0 || j < 0) return;
    counts[i * count + j]!++;
    counts[j * count + i]!++;
  });
  return { levels: count, counts };
}

export const mergeCooccurrences = (matrices: readonly CooccurrenceMatrix[]): CooccurrenceMatrix => {
  const counts = new Float64Array(matrices[0]!.counts.length);
  for (const matrix of matrices) matrix.counts.forEach((n, at) => (counts[at]! += n));
  return { levels: matrices[0]!.levels, counts };
};

const entropyOf = (p: Float64Array): number => p.reduce((sum, x) => (x > 0 ? sum - x * Math.log2(x) : sum), 0);

/** Mean and variance of a distribution over `first`, `first + 1`, ... */
function moments(p: Float64Array, first: number): { average: number; variance: number } {
  const average = p.reduce((sum, x, k) => sum + (k + first) * x, 0);
  return { average, variance: p.reduce((sum, x, k) => sum + (k + first - average) ** 2 * x, 0) };
}

/**
 * The 25 features of a matrix; all NaN where no two voxels are neighbours. The correlation of a single grey level is 1,
 * its first information correlation 0: the manual leaves both open.
 * Source: IBSI reference manual, section 3.6.
 */
export function cooccurrenceFeatures({ levels: n, counts }: CooccurrenceMatrix): Record<string, number> {
  const total = counts.reduce((a, b) => a + b, 0);
  const marginal = new Float64Array(n);
  const differences = new Float64Array(n);
  const sums = new Float64Array(2 * n - 1);
  let [largest, energy, entropy, inverse, inverseNormal, moment, momentNormal, inverseVariance, product] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0,
  ];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const count = counts[i * n + j]!;
      if (count === 0) continue;
      const p = count / total;
      const d = Math.abs(i - j);
      marginal[i]! += p;
      differences[d]! += p;
      sums[i + j]! += p;
      largest = Math.max(largest, p);
      energy += p * p;
      entropy -= p * Math.log2(p);
      inverse += p / (1 + d);
      inverseNormal += p / (1 + d / n);
      moment += p / (1 + d * d);
      momentNormal += p / (1 + (d * d) / (n * n));
      if (d > 0) inverseVariance += p / (d * d);
      product += (i + 1) * (j + 1) * p;
    }
  const joint = moments(marginal, 1);
  const difference = moments(differences, 0);
  const sum = moments(sums, 2);
  const cluster = (power: number): number =>
    sums.reduce((all, p, k) => all + (k + 2 - 2 * joint.average) ** power * p, 0);
  const marginalEntropy = entropyOf(marginal);
  // Under independence both cross entropies are the sum of the marginal ones, because the matrix is symmetric.
  const independent = 2 * marginalEntropy;
  const features = {
    jointMaximum: largest,
    jointAverage: joint.average,
    jointVariance: joint.variance,
    jointEntropy: entropy,
    differenceAverage: difference.average,
    differenceVariance: difference.variance,
    differenceEntropy: entropyOf(differences),
    sumAverage: sum.average,
    sumVariance: sum.variance,
    sumEntropy: entropyOf(sums),
    angularSecondMoment: energy,
    contrast: differences.reduce((all, p, k) => all + k * k * p, 0),
    dissimilarity: difference.average,
    inverseDifference: inverse,
    normalisedInverseDifference: inverseNormal,
    inverseDifferenceMoment: moment,
    normalisedInverseDifferenceMoment: momentNormal,
    inverseVariance,
    correlation: joint.variance > 0 ? (product - joint.average ** 2) / joint.variance : 1,
    autocorrelation: product,
    clusterTendency: cluster(2),
    clusterShade: cluster(3),
    clusterProminence: cluster(4),
    informationCorrelation1: marginalEntropy > 0 ? (entropy - independent) / marginalEntropy : 0,
    informationCorrelation2: Math.sqrt(Math.max(0, 1 - Math.exp(-2 * (independent - entropy)))),
  };
  return total > 0 ? features : Object.fromEntries(Object.keys(features).map((name) => [name, NaN]));
}
