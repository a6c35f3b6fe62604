/** The kernel distance (KID): squared maximum mean discrepancy with a cubic kernel, without bias at any sample size. */
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { mean } from "../../math/statistics.ts";
import { drawWeights, halves, percentileFigure, type Figure, type Sample } from "./sample.ts";

/** (x'y / columns + 1)^3 of all pairs of rows, [a.rows, b.rows]. Source: Binkowski et al. 2018 (arXiv 1801.01401). */
function cubicKernel(a: Table, b: Table): Float32Array {
  const { columns } = a;
  const out = new Float32Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < b.rows; j++) {
      let sum = 0;
      for (let c = 0, x = i * columns, y = j * columns; c < columns; c++) sum += a.data[x + c]! * b.data[y + c]!;
      out[i * b.rows + j] = (sum / columns + 1) ** 3;
    }
  return out;
}

/** Weighted mean of the kernel over pairs; with `units`, over pairs of different units only. */
function meanOfPairs(
  kernel: Float32Array,
  rows: Float64Array,
  columns: Float64Array,
  units?: readonly number[],
): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < rows.length; i++) {
    const w = rows[i]!;
    if (w === 0) continue;
    let [inner, weights] = [0, 0];
    for (let j = 0, at = i * columns.length; j < columns.length; j++) {
      if (units && units[i] === units[j]) continue;
      inner += columns[j]! * kernel[at + j]!;
      weights += columns[j]!;
    }
    sum += w * inner;
    total += w * weights;
  }
  return sum / total;
}

/**
 * The kernel distance between two samples with a 95 % interval over resampled units (percentiles, 200 resamples).
 * Pairs within a unit are left out, so that images of one patient, which resemble each other, add no bias; where each row
 * is its own unit this is the usual unbiased estimate, which may be below 0.
 */
export function kernelFigure(a: Sample, b: Sample, { seed }: { readonly seed: number }): Figure {
  const [aa, bb, ab] = [cubicKernel(a.table, a.table), cubicKernel(b.table, b.table), cubicKernel(a.table, b.table)];
  const distance = (wa: Float64Array, wb: Float64Array): number =>
    meanOfPairs(aa, wa, wa, a.units) + meanOfPairs(bb, wb, wb, b.units) - 2 * meanOfPairs(ab, wa, wb);
  const ones = ({ units }: Sample): Float64Array => new Float64Array(units.length).fill(1);
  const random = seededRandom(seed, "judge", "kernel");
  return percentileFigure(
    distance(ones(a), ones(b)),
    Array.from({ length: 200 }, () => distance(drawWeights(a.units, random), drawWeights(b.units, random))),
  );
}

/** The kernel distance between two random halves of a sample that share no unit: mean, least and most of `draws`. */
export function kernelBound(
  sample: Sample,
  { seed, draws = 20 }: { readonly seed: number; readonly draws?: number },
): Figure {
  const random = seededRandom(seed, "judge", "kernel bound");
  const kernel = cubicKernel(sample.table, sample.table);
  const found = Array.from({ length: draws }, () => {
    const [one, other] = halves(sample.units, random).map((rows) => {
      const weights = new Float64Array(sample.units.length);
      for (const row of rows) weights[row] = 1;
      return weights;
    }) as [Float64Array, Float64Array];
    const within = (w: Float64Array): number => meanOfPairs(kernel, w, w, sample.units);
    return within(one) + within(other) - 2 * meanOfPairs(kernel, one, other);
  });
  return { value: mean(found), low: Math.min(...found), high: Math.max(...found) };
}
