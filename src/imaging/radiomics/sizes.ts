/** Matrices of grey level against size: runs (GLRLM), zones (GLSZM) and dependences (NGLDM) have the same features. */
import { neighbourSteps, type GreyLevels, type Step } from "./region.ts";

/** Counts by grey level and size, each from 1; only what occurs. */
export interface SizeMatrix {
  /** By size x 2^16 + level: small integers for small sizes, which maps are fast with. */
  readonly counts: ReadonlyMap<number, number>;
  /** Voxels that the matrix describes, once for each matrix merged into it. */
  readonly voxels: number;
}

const stride = 2 ** 16;
const tally = (counts: Map<number, number>, level: number, size: number): void => {
  const key = size * stride + level;
  counts.set(key, (counts.get(key) ?? 0) + 1);
};
const voxelsOf = ({ levels }: GreyLevels): number => levels.reduce((n, level) => n + (level > 0 ? 1 : 0), 0);

/** Grey level run lengths of one direction. Source: IBSI reference manual (arXiv 1612.07003), section 3.7, family TP0I. */
export function runMatrix(grey: GreyLevels, [dx, dy, dz]: Step): SizeMatrix {
  const { width, height, depth, levels } = grey;
  const counts = new Map<number, number>();
  const offset = (dz * height + dy) * width + dx;
  const isIn = (x: number, y: number, z: number): boolean =>
    x >= 0 && x < width && y >= 0 && y < height && z >= 0 && z < depth;
  for (let z = 0, at = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, at++) {
        const level = levels[at]!;
        if (level === 0 || (isIn(x - dx, y - dy, z - dz) && levels[at - offset] === level)) continue;
        let length = 1;
        while (isIn(x + length * dx, y + length * dy, z + length * dz) && levels[at + length * offset] === level)
          length++;
        tally(counts, level, length);
      }
  return { counts, voxels: voxelsOf(grey) };
}

/** Zones of equal grey level, connected over edges and corners. Source: IBSI manual, section 3.8, family 9SAK. */
export function zoneMatrix(grey: GreyLevels, dimensions: 2 | 3): SizeMatrix {
  const { levels } = grey;
  const counts = new Map<number, number>();
  const seen = new Uint8Array(levels.length);
  const stack = new Uint32Array(levels.length);
  const neighbours = neighboursOf(grey, dimensions);
  for (let start = 0; start < levels.length; start++) {
    const level = levels[start]!;
    if (level === 0 || seen[start] === 1) continue;
    let [top, size] = [1, 0];
    stack[0] = start;
    seen[start] = 1;
    while (top > 0) {
      const at = stack[--top]!;
      size++;
      neighbours(at, (to) => {
        if (levels[to] !== level || seen[to] === 1) return;
        seen[to] = 1;
        stack[top++] = to;
      });
    }
    tally(counts, level, size);
  }
  return { counts, voxels: voxelsOf(grey) };
}

/**
 * How many voxels of its neighbourhood, itself among them, differ from a voxel by at most `coarseness` levels.
 * Source: IBSI manual, section 3.11, family REK0; pyradiomics calls it GLDM.
 */
export function dependenceMatrix(grey: GreyLevels, dimensions: 2 | 3, coarseness = 0): SizeMatrix {
  const { levels } = grey;
  const counts = new Map<number, number>();
  const neighbours = neighboursOf(grey, dimensions);
  for (let at = 0; at < levels.length; at++) {
    const level = levels[at]!;
    if (level === 0) continue;
    let size = 1;
    neighbours(at, (to) => {
      const other = levels[to]!;
      if (other > 0 && Math.abs(other - level) <= coarseness) size++;
    });
    tally(counts, level, size);
  }
  return { counts, voxels: voxelsOf(grey) };
}

/** Visits the neighbours of a voxel that lie in the volume. */
export function neighboursOf(
  { width, height, depth }: GreyLevels,
  dimensions: 2 | 3,
): (at: number, visit: (to: number) => void) => void {
  const steps = neighbourSteps(dimensions);
  const offsets = Int32Array.from(steps, ([dx, dy, dz]) => (dz * height + dy) * width + dx);
  const isWithin = (x: number, size: number): boolean => x >= 0 && x < size;
  return (at, visit) => {
    const x = at % width;
    const row = (at - x) / width;
    const y = row % height;
    const z = (row - y) / height;
    const isInner = x > 0 && x + 1 < width && y > 0 && y + 1 < height && (dimensions === 2 || (z > 0 && z + 1 < depth));
    for (let k = 0; k < offsets.length; k++) {
      if (!isInner) {
        const [dx, dy, dz] = steps[k]!;
        if (!isWithin(x + dx, width) || !isWithin(y + dy, height) || !isWithin(z + dz, depth)) continue;
      }
      visit(at + offsets[k]!);
    }
  };
}

export function mergeSizes(matrices: readonly SizeMatrix[]): SizeMatrix {
  const counts = new Map<number, number>();
  for (const matrix of matrices) for (const [key, n] of matrix.counts) counts.set(key, (counts.get(key) ?? 0) + n);
  return { counts, voxels: matrices.reduce((sum, { voxels }) => sum + voxels, 0) };
}

/**
 * The 16 features that the manual defines alike for run lengths, zone sizes and dependence counts, and the energy that it
 * defines for the last. All are NaN for an empty matrix.
 * Source: IBSI reference manual, sections 3.7, 3.8 and 3.11.
 */
export function sizeFeatures({ counts, voxels }: SizeMatrix): Record<string, number> {
  const [levelSums, sizeSums] = [new Map<number, number>(), new Map<number, number>()];
  let total = 0;
  for (const n of counts.values()) total += n;
  let [small, large, low, high, smallLow, smallHigh, largeLow, largeHigh] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [levelMean, sizeMean, entropy, energy] = [0, 0, 0, 0];
  for (const [key, n] of counts) {
    const level = key % stride;
    const size = (key - level) / stride;
    const p = n / total;
    const [i2, j2] = [level * level, size * size];
    levelSums.set(level, (levelSums.get(level) ?? 0) + n);
    sizeSums.set(size, (sizeSums.get(size) ?? 0) + n);
    small += p / j2;
    large += p * j2;
    low += p / i2;
    high += p * i2;
    smallLow += p / (i2 * j2);
    smallHigh += (p * i2) / j2;
    largeLow += (p * j2) / i2;
    largeHigh += p * i2 * j2;
    levelMean += p * level;
    sizeMean += p * size;
    entropy -= p * Math.log2(p);
    energy += p * p;
  }
  const squares = (sums: Map<number, number>): number => [...sums.values()].reduce((sum, n) => sum + n * n, 0);
  const spread = (sums: Map<number, number>, centre: number): number =>
    [...sums].reduce((sum, [x, n]) => sum + ((x - centre) ** 2 * n) / total, 0);
  const features = {
    smallEmphasis: small,
    largeEmphasis: large,
    lowGreyLevelEmphasis: low,
    highGreyLevelEmphasis: high,
    smallLowGreyLevelEmphasis: smallLow,
    smallHighGreyLevelEmphasis: smallHigh,
    largeLowGreyLevelEmphasis: largeLow,
    largeHighGreyLevelEmphasis: largeHigh,
    greyLevelNonUniformity: squares(levelSums) / total,
    normalisedGreyLevelNonUniformity: squares(levelSums) / total ** 2,
    sizeNonUniformity: squares(sizeSums) / total,
    normalisedSizeNonUniformity: squares(sizeSums) / total ** 2,
    percentage: total / voxels,
    greyLevelVariance: spread(levelSums, levelMean),
    sizeVariance: spread(sizeSums, sizeMean),
    entropy,
    energy,
  };
  return total > 0 ? features : Object.fromEntries(Object.keys(features).map((name) => [name, NaN]));
}
