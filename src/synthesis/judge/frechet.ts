/** The Frechet distance between two sets of features, each taken for a normal distribution. */
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom, type RandomSource } from "../../math/random.ts";
import { mean, variance } from "../../math/statistics.ts";
import { symmetricEigen } from "../../math/symmetric-eigen.ts";
import { drawRows, drawWeights, halves, rowsOf, type Figure, type Sample } from "./sample.ts";

interface Normal {
  readonly mean: Float64Array;
  /** [columns, columns], symmetric. */
  readonly covariance: Float64Array;
}

/** Mean and covariance (divisor: the sum of weights less one). */
function normalOf({ rows, columns, data }: Table, weights?: Float64Array): Normal {
  const centre = new Float64Array(columns);
  let total = 0;
  for (let r = 0; r < rows; r++) {
    const w = weights ? weights[r]! : 1;
    if (w === 0) continue;
    total += w;
    for (let c = 0; c < columns; c++) centre[c]! += w * data[r * columns + c]!;
  }
  for (let c = 0; c < columns; c++) centre[c]! /= total;
  const covariance = new Float64Array(columns * columns);
  const x = new Float64Array(columns);
  for (let r = 0; r < rows; r++) {
    const w = weights ? weights[r]! : 1;
    if (w === 0) continue;
    for (let c = 0; c < columns; c++) x[c] = data[r * columns + c]! - centre[c]!;
    for (let i = 0; i < columns; i++) {
      const scaled = (w * x[i]!) / (total - 1);
      for (let j = 0, at = i * columns; j <= i; j++) covariance[at + j]! += scaled * x[j]!;
    }
  }
  for (let i = 0; i < columns; i++)
    for (let j = 0; j < i; j++) covariance[j * columns + i] = covariance[i * columns + j]!;
  return { mean: centre, covariance };
}

/**
 * |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). The trace of the root is the sum of roots of the eigenvalues of
 * F' S2 F with S1 = F F', a symmetric matrix, so that nothing becomes complex where a covariance is singular.
 * Source: Dowson and Landau 1982; Heusel et al. 2017 (arXiv 1706.08500).
 */
function between(a: Normal, b: Normal): number {
  const n = a.mean.length;
  const { values, vectors } = symmetricEigen(a.covariance, n);
  // Row k of F' is the k-th eigenvector times the root of its value.
  const factor = vectors!;
  for (let k = 0; k < n; k++) {
    const root = Math.sqrt(Math.max(0, values[k]!));
    for (let i = 0; i < n; i++) factor[k * n + i]! *= root;
  }
  const half = new Float64Array(n * n);
  for (let k = 0; k < n; k++)
    for (let i = 0; i < n; i++) {
      const f = factor[k * n + i]!;
      if (f === 0) continue;
      for (let j = 0; j < n; j++) half[k * n + j]! += f * b.covariance[i * n + j]!;
    }
  const product = new Float64Array(n * n);
  for (let k = 0; k < n; k++)
    for (let l = 0; l <= k; l++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += half[k * n + j]! * factor[l * n + j]!;
      product[k * n + l] = product[l * n + k] = sum;
    }
  const roots = symmetricEigen(product, n, { vectors: false }).values;
  let distance = 0;
  for (let i = 0; i < n; i++)
    distance += (a.mean[i]! - b.mean[i]!) ** 2 + a.covariance[i * n + i]! + b.covariance[i * n + i]!;
  for (const root of roots) distance -= 2 * Math.sqrt(Math.max(0, root));
  return Math.max(0, distance);
}

/** The distance between two tables of the same columns, each with at least two rows. */
export const frechetDistance = (a: Table, b: Table): number => between(normalOf(a), normalOf(b));

export interface FrechetFigure extends Figure {
  /** The distance that the figures at smaller sample sizes lead to for infinitely many images. */
  readonly extrapolated: number;
}

/**
 * The distance between two samples. The interval is the value and 1.96 times its spread over `resamples` resamples of
 * units of both sides: what other samples of these sizes would give, bias included. The distance is biased upwards, about
 * as columns squared over rows; `extrapolated` is the intercept of a line through the distances of fractions 1/3, 1/2, 2/3
 * and 1 of both samples against the inverse fraction.
 * Source of the extrapolation: Chong and Forsyth 2020 (arXiv 1911.07023).
 */
export function frechetFigure(
  a: Sample,
  b: Sample,
  { seed, resamples = 60 }: { readonly seed: number; readonly resamples?: number },
): FrechetFigure {
  const random = seededRandom(seed, "judge", "frechet");
  const value = frechetDistance(a.table, b.table);
  const drawn = Array.from({ length: resamples }, () =>
    between(normalOf(a.table, drawWeights(a.units, random)), normalOf(b.table, drawWeights(b.units, random))),
  );
  const spread = 1.96 * Math.sqrt(variance(drawn));
  const points = [1 / 3, 1 / 2, 2 / 3].flatMap((share) =>
    Array.from({ length: 4 }, (): [number, number] => [
      1 / share,
      frechetDistance(part(a, share, random), part(b, share, random)),
    ]),
  );
  points.push([1, value], [1, value], [1, value], [1, value]);
  return { value, low: Math.max(0, value - spread), high: value + spread, extrapolated: intercept(points) };
}

const part = (sample: Sample, share: number, random: RandomSource): Table =>
  rowsOf(sample, drawRows(sample.units, Math.round(share * sample.units.length), random)).table;

function intercept(points: readonly (readonly [number, number])[]): number {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [x, y] = [mean(xs), mean(ys)];
  let [both, squares] = [0, 0];
  points.forEach(([px, py]) => {
    both += (px - x) * (py - y);
    squares += (px - x) ** 2;
  });
  return y - (both / squares) * x;
}

/** The distance between two random halves of a sample that share no unit: mean, least and most of `draws`. */
export function frechetBound(
  sample: Sample,
  { seed, draws = 10 }: { readonly seed: number; readonly draws?: number },
): Figure {
  const random = seededRandom(seed, "judge", "frechet bound");
  const found = Array.from({ length: draws }, () => {
    const [one, other] = halves(sample.units, random);
    return frechetDistance(rowsOf(sample, one).table, rowsOf(sample, other).table);
  });
  return { value: mean(found), low: Math.min(...found), high: Math.max(...found) };
}
