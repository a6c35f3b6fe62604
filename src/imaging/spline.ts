/** Resampling by quadratic splines, as `scipy.ndimage.zoom(order=2)` does it: interpolation, without antialiasing. */
import { LeadglassError } from "../errors.ts";

/** The pole of the inverse of the quadratic B-spline and its gain (Unser, Aldroubi and Eden 1993, table I). */
const pole = Math.sqrt(8) - 3;
const gain = 8;

/** Values on a line to the coefficients of the spline through them, in place; the line is mirrored about its end points. */
function toCoefficients(line: Float64Array): void {
  const n = line.length;
  if (n < 2) return;
  for (let i = 0; i < n; i++) line[i]! *= gain;
  const far = pole ** (n - 1);
  let [start, power] = [line[0]! + far * line[n - 1]!, pole];
  for (let i = 1; i < n - 1; i++, power *= pole) start += power * (line[i]! + far * line[n - 1 - i]!);
  line[0] = start / (1 - far * far);
  for (let i = 1; i < n; i++) line[i]! += pole * line[i - 1]!;
  line[n - 1] = ((pole * line[n - 2]! + line[n - 1]!) * pole) / (pole * pole - 1);
  for (let i = n - 2; i >= 0; i--) line[i] = pole * (line[i + 1]! - line[i]!);
}

/** For each of `to` places over `from` samples, end points on end points: three indices and their weights. */
function places(from: number, to: number): { index: Int32Array; weight: Float64Array } {
  const index = new Int32Array(3 * to);
  const weight = new Float64Array(3 * to);
  const mirrored = (i: number): number => (from === 1 ? 0 : i < 0 ? -i : i >= from ? 2 * (from - 1) - i : i);
  for (let k = 0; k < to; k++) {
    // Not beyond the last sample, where scipy's own rounding can step outside and give zeros.
    const x = to === 1 ? 0 : Math.min((k * (from - 1)) / (to - 1), from - 1);
    const middle = Math.floor(x + 0.5);
    const t = x - middle;
    [0.5 * (0.5 - t) ** 2, 0.75 - t * t, 0.5 * (0.5 + t) ** 2].forEach((w, j) => {
      index[3 * k + j] = mirrored(middle - 1 + j);
      weight[3 * k + j] = w;
    });
  }
  return { index, weight };
}

/**
 * Values [height, width], row-major, resampled to [to.height, to.width]. What it makes can overshoot the values it was
 * given. Throws LG-IMAGE-006 for a size that is not a whole number above 0.
 * Source: Unser, Aldroubi and Eden 1993, B-spline signal processing; checked against scipy.
 */
export function splineZoom(
  values: ArrayLike<number>,
  from: { readonly width: number; readonly height: number },
  to: { readonly width: number; readonly height: number },
): Float64Array {
  for (const side of [from.width, from.height, to.width, to.height])
    if (!Number.isInteger(side) || side < 1 || side > 16_384)
      throw new LeadglassError("LG-IMAGE-006", `splineZoom: side ${side}; a whole number from 1 to 16384 expected`);
  const coefficients = Float64Array.from(values);
  for (let y = 0; y < from.height; y++) toCoefficients(coefficients.subarray(y * from.width, (y + 1) * from.width));
  const column = new Float64Array(from.height);
  for (let x = 0; x < from.width; x++) {
    for (let y = 0; y < from.height; y++) column[y] = coefficients[y * from.width + x]!;
    toCoefficients(column);
    for (let y = 0; y < from.height; y++) coefficients[y * from.width + x] = column[y]!;
  }
  const [across, down] = [places(from.width, to.width), places(from.height, to.height)];
  const middle = new Float64Array(from.height * to.width);
  for (let y = 0; y < from.height; y++)
    for (let x = 0; x < to.width; x++) {
      let sum = 0;
      for (let j = 3 * x; j < 3 * x + 3; j++)
        sum += across.weight[j]! * coefficients[y * from.width + across.index[j]!]!;
      middle[y * to.width + x] = sum;
    }
  const out = new Float64Array(to.height * to.width);
  for (let y = 0; y < to.height; y++)
    for (let j = 3 * y; j < 3 * y + 3; j++)
      for (let x = 0; x < to.width; x++)
        out[y * to.width + x]! += down.weight[j]! * middle[down.index[j]! * to.width + x]!;
  return out;
}
