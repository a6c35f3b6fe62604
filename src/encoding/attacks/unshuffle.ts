/** Undoing the shuffle: a secret vector for each position, the same in every image, marks where a patch came from. */
import { assignBest } from "../../math/assignment.ts";
import { solvePositive } from "../../math/positive-definite.ts";
import { centred, meanImage, reorder, successOf, type Success, type Vectors } from "./arrays.ts";
import type { Products } from "./products.ts";

export interface Unshuffled {
  /** The encodings with every patch in its slot; slots are positions up to one permutation, the same for all images. */
  readonly aligned: Vectors;
  /** Slot k of image i holds patch `order[i * patches + k]` of its encoding. */
  readonly order: Int32Array;
  /** What later encodings of the same key are aligned to, [patches, width]. */
  readonly marks: Float32Array;
}

/** Images whose costs are computed by one product. */
const chunk = 8;

/** Every row's best column, where no two rows want the same: then no assignment is better. */
function bestEach(scores: Float64Array, n: number): Int32Array | undefined {
  const taken = new Uint8Array(n);
  const out = new Int32Array(n);
  for (let s = 0; s < n; s++) {
    let best = 0;
    for (let p = 1; p < n; p++) if (scores[s * n + p]! > scores[s * n + best]!) best = p;
    if (taken[best]) return undefined;
    taken[best] = 1;
    out[s] = best;
  }
  return out;
}

/** Assigns the patches of every image to slots: the greatest sum of inner products with `marks` [patches, width]. */
export async function alignTo(
  marks: Float32Array,
  encodings: Vectors,
  { product }: Products,
  onProgress?: (done: number, total: number) => void,
): Promise<Int32Array> {
  const { images, patches, width, data } = encodings;
  const order = new Int32Array(images * patches);
  for (let start = 0; start < images; start += chunk) {
    const count = Math.min(chunk, images - start);
    const columns = count * patches;
    const part = data.subarray(start * patches * width, (start + count) * patches * width);
    // Squared lengths of marks and patches are the same in every one-to-one assignment, so products alone decide.
    const dots = await product(marks, part, { m: patches, k: width, n: columns }, { transB: true });
    for (let i = 0; i < count; i++) {
      const scores = new Float64Array(patches * patches);
      for (let s = 0; s < patches; s++)
        for (let p = 0; p < patches; p++) scores[s * patches + p] = dots[s * columns + i * patches + p]!;
      order.set(bestEach(scores, patches) ?? assignBest(scores, patches, patches), (start + i) * patches);
    }
    onProgress?.(start + count, images);
  }
  return order;
}

/**
 * The slots' means through the inverse of the covariance within slots: what images share at a place counts, what they
 * differ in (brightness, above all) does not.
 */
async function discriminant(aligned: Vectors, mean: Float32Array, { product }: Products): Promise<Float32Array> {
  const { images, patches, width } = aligned;
  const { data } = centred(aligned, mean);
  const scatter = await product(data, data, { m: width, k: images * patches, n: width }, { transA: true });
  let trace = 0;
  for (let k = 0; k < width; k++) trace += scatter[k * width + k]!;
  const columns = new Float64Array(width * patches);
  for (let s = 0; s < patches; s++) for (let k = 0; k < width; k++) columns[k * patches + s] = mean[s * width + k]!;
  const solved = solvePositive(scatter, columns, width, { ridge: (0.01 * trace) / width });
  const scale = trace / width;
  return Float32Array.from(mean, (_, at) => scale * solved[(at % width) * patches + Math.floor(at / width)]!);
}

/**
 * Puts the patches of all encodings of one key into common slots: the first image is the reference, then the mean of
 * what was aligned, and from the third pass a linear discriminant, until nothing moves. Knows nothing but the encodings.
 * Source: the local unshuffling step of Carlini et al., NeuraCrypt is not private, 2021 (arXiv 2108.07256), with the
 * covariance within slots taken into account.
 */
export async function unshuffle(
  encodings: Vectors,
  products: Products,
  {
    passes = 12,
    onProgress,
  }: { readonly passes?: number; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Unshuffled> {
  let marks: Float32Array = encodings.data.slice(0, encodings.patches * encodings.width);
  let order: Int32Array = new Int32Array();
  let aligned = encodings;
  for (let pass = 0; pass < passes; pass++) {
    const before = order;
    order = await alignTo(marks, encodings, products, (done, total) =>
      onProgress?.(pass * total + done, passes * total),
    );
    if (pass > 2 && order.every((p, at) => p === before[at])) break;
    aligned = reorder(encodings, order);
    const mean = meanImage(aligned);
    marks = pass === 0 ? mean : await discriminant(aligned, mean, products);
  }
  return { aligned, order, marks };
}

/**
 * How many patches are in the slot of their position, given the true position of every released patch
 * [images * patches], out of `all` positions; a slot stands for the position that most images have there.
 */
export function unshuffleSuccess(
  { order, aligned: { images, patches } }: Pick<Unshuffled, "order" | "aligned">,
  positions: ArrayLike<number>,
  all: number = patches,
): { readonly success: Success; readonly slots: Int32Array } {
  const votes = new Float64Array(patches * all);
  const at = (i: number, s: number): number => positions[i * patches + order[i * patches + s]!]!;
  for (let i = 0; i < images; i++) for (let s = 0; s < patches; s++) votes[s * all + at(i, s)]!++;
  const slots = assignBest(votes, patches, all);
  let hits = 0;
  for (let i = 0; i < images; i++) for (let s = 0; s < patches; s++) hits += Number(at(i, s) === slots[s]);
  return { success: successOf(hits, images * patches), slots };
}
