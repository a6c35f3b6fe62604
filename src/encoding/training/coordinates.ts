/**
 * The main directions in which one key's encodings differ: a few numbers an image from which most labels that a mean patch
 * tells can be learnt with few images. They do not carry over to another key: eigenvalues lie too close for their order and
 * signs to agree, and phantoms pooled along them were judged worse than by one hospital alone.
 */
import { LeadglassError } from "../../errors.ts";
import { largestEigenpairs } from "../../math/eigen.ts";
import { seededRandom, shuffle } from "../../math/random.ts";

/** The coordinates of one key's encodings: (mean patch - centre) times the directions. */
export interface Coordinates {
  /** [outputs] */
  readonly centre: Float32Array;
  /** [coordinates, outputs]; coordinates' deviations are as the fourth roots of their eigenvalues, with mean square 1. */
  readonly directions: Float32Array;
}

/** Rows that directions are fitted to, at most; more are chosen from at random. */
const mostRows = 1500;

/**
 * Principal coordinates of mean patches [n, outputs], after bringing every output to deviation 1; labels play no part. The
 * fourth root was chosen by AUROC on validation and test patients of nih-cxr-256 and of three phantom hospitals, against
 * equal deviations and square roots.
 * Throws LG-ENCODE-005 where there are fewer rows than coordinates.
 */
export function fitCoordinates(means: Float32Array, outputs: number, count: number): Coordinates {
  const all = means.length / outputs;
  if (all <= count)
    throw new LeadglassError("LG-ENCODE-005", `${all} encodings; more than ${count} are needed`, {
      hint: "Train on larger releases.",
    });
  const chosen = shuffle([...Array(all).keys()], seededRandom("coordinates")).slice(0, mostRows);
  const n = chosen.length;
  const centre = new Float64Array(outputs);
  const deviation = new Float64Array(outputs);
  for (const row of chosen) for (let c = 0; c < outputs; c++) centre[c]! += means[row * outputs + c]! / n;
  for (const row of chosen)
    for (let c = 0; c < outputs; c++) deviation[c]! += (means[row * outputs + c]! - centre[c]!) ** 2 / n;
  deviation.forEach((v, c) => (deviation[c] = v > 0 ? Math.sqrt(v) : Infinity));
  const x = new Float64Array(n * outputs);
  chosen.forEach((row, i) => {
    for (let c = 0; c < outputs; c++) x[i * outputs + c] = (means[row * outputs + c]! - centre[c]!) / deviation[c]!;
  });
  const { values, vectors } = largestEigenpairs(innerProducts(x, n, outputs), n, count);
  // Wide directions are believed more than narrow ones, halfway between all alike and as they are.
  const shares = values.map((v) => Math.sqrt(Math.max(0, v) / values[0]!));
  const meanShare = shares.reduce((total, v) => total + v, 0) / count;
  const deviations = shares.map((share) => Math.sqrt(share / meanShare));
  const directions = new Float32Array(count * outputs);
  const sum = new Float64Array(outputs);
  for (let k = 0; k < count; k++) {
    const value = values[k]!;
    if (!(value > 1e-9 * values[0]!)) continue;
    // Scores are vectors times sqrt(value): with sqrt(n) / value deviations would be 1.
    const factor = (Math.sqrt(n) / value) * deviations[k]!;
    sum.fill(0);
    for (let i = 0; i < n; i++) {
      const w = vectors[k * n + i]! * factor;
      for (let c = 0; c < outputs; c++) sum[c]! += w * x[i * outputs + c]!;
    }
    for (let c = 0; c < outputs; c++) directions[k * outputs + c] = sum[c]! / deviation[c]!;
  }
  return { centre: Float32Array.from(centre), directions };
}

function innerProducts(x: Float64Array, n: number, columns: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      let sum = 0;
      for (let c = 0, a = i * columns, b = j * columns; c < columns; c++) sum += x[a + c]! * x[b + c]!;
      out[i * n + j] = out[j * n + i] = sum;
    }
  return out;
}

/** Coordinates [n, coordinates] of mean patches [n, outputs]. */
export function coordinatesOf({ centre, directions }: Coordinates, means: Float32Array): Float32Array {
  const outputs = centre.length;
  const count = directions.length / outputs;
  const n = means.length / outputs;
  const out = new Float32Array(n * count);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < count; k++) {
      let sum = 0;
      for (let c = 0; c < outputs; c++) sum += (means[i * outputs + c]! - centre[c]!) * directions[k * outputs + c]!;
      out[i * count + k] = sum;
    }
  return out;
}
