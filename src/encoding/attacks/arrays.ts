/** What attackers look at, as plain arrays: sets of vectors for each image, and the score of a guess. */
import { LeadglassError } from "../../errors.ts";
import { clopperPearson } from "../../privacy/audit/clopper-pearson.ts";

/** Vectors of images, row-major [images, patches, width]: encodings, or the patches of pixels. */
export interface Vectors {
  readonly images: number;
  readonly patches: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Vectors of the given shape; throws LG-BUG-001 where the data does not fill it. */
export function vectors(data: Float32Array, images: number, patches: number, width: number): Vectors {
  if (data.length !== images * patches * width)
    throw new LeadglassError("LG-BUG-001", `vectors: ${data.length} numbers for [${images}, ${patches}, ${width}]`);
  return { images, patches, width, data };
}

/** The vectors of some images, copied. */
export function pick({ patches, width, data }: Vectors, indices: ArrayLike<number>): Vectors {
  const each = patches * width;
  const out = new Float32Array(indices.length * each);
  Array.from(indices).forEach((i, at) => out.set(data.subarray(i * each, (i + 1) * each), at * each));
  return { images: indices.length, patches, width, data: out };
}

/** Patches put in another order, the same for all images (`order` [patches]) or each its own ([images * patches]). */
export function reorder({ images, patches, width, data }: Vectors, order: ArrayLike<number>): Vectors {
  const out = new Float32Array(data.length);
  for (let i = 0; i < images; i++)
    for (let p = 0; p < patches; p++) {
      const from = i * patches + order[order.length === patches ? p : i * patches + p]!;
      out.set(data.subarray(from * width, (from + 1) * width), (i * patches + p) * width);
    }
  return { images, patches, width, data: out };
}

/** The mean image, [patches, width]. */
export function meanImage({ images, patches, width, data }: Vectors): Float32Array {
  const each = patches * width;
  const sums = new Float64Array(each);
  for (let i = 0, at = 0; i < images; i++) for (let k = 0; k < each; k++) sums[k]! += data[at++]!;
  return Float32Array.from(sums, (x) => x / images);
}

/** Every image minus a mean image, its own set's unless another is given. */
export function centred(set: Vectors, mean: Float32Array = meanImage(set)): Vectors {
  return { ...set, data: set.data.map((x, at) => x - mean[at % mean.length]!) };
}

/** Pixels [images, channels, height, width] as patches [images, patches, channels * side * side], row by row. */
export function patchesOfPixels(
  pixels: Float32Array,
  { channels, height, width, side }: { channels: number; height: number; width: number; side: number },
): Vectors {
  const [rows, columns] = [height / side, width / side];
  if (!Number.isInteger(rows) || !Number.isInteger(columns))
    throw new LeadglassError("LG-BUG-001", `patches: ${height} x ${width} pixels are not whole patches of ${side}`);
  const out = new Float32Array(pixels.length);
  const images = pixels.length / (channels * height * width);
  let at = 0;
  for (let i = 0; i < images; i++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        for (let k = 0; k < channels; k++)
          for (let y = 0; y < side; y++) {
            const from = ((i * channels + k) * height + r * side + y) * width + c * side;
            out.set(pixels.subarray(from, from + side), at);
            at += side;
          }
  return vectors(out, images, rows * columns, channels * side * side);
}

/** The inverse of {@link patchesOfPixels}. */
export function pixelsOfPatches(
  set: Vectors,
  { channels, height, width, side }: { channels: number; height: number; width: number; side: number },
): Float32Array {
  const out = new Float32Array(set.data.length);
  const [rows, columns] = [height / side, width / side];
  let at = 0;
  for (let i = 0; i < set.images; i++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        for (let k = 0; k < channels; k++)
          for (let y = 0; y < side; y++) {
            const to = ((i * channels + k) * height + r * side + y) * width + c * side;
            out.set(set.data.subarray(at, at + side), to);
            at += side;
          }
  return out;
}

/** A share with its exact 95 % interval. */
export interface Success {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The share of `hits` among `trials` with the interval of Clopper and Pearson. */
export const successOf = (hits: number, trials: number): Success => ({
  value: hits / trials,
  ...clopperPearson(hits, trials),
});

/** How often two lists agree, place by place. */
export function agreement(guess: ArrayLike<number>, truth: ArrayLike<number>): Success {
  let hits = 0;
  for (let i = 0; i < truth.length; i++) hits += Number(guess[i] === truth[i]);
  return successOf(hits, truth.length);
}
