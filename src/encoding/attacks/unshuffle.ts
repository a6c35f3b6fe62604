/** Undoing the shuffle: a secret vector for each position, the same in every image, marks where a patch came from. */
import { assign } from "../../math/assignment.ts";
import { meanImage, reorder, successOf, type Success, type Vectors } from "./arrays.ts";
import type { Products } from "./products.ts";

export interface Unshuffled {
  /** The encodings with every patch in its slot; slots are positions up to one permutation, the same for all images. */
  readonly aligned: Vectors;
  /** Slot k of image i holds patch `order[i * patches + k]` of its encoding. */
  readonly order: Int32Array;
  /** What later encodings of the same key are matched to, [patches, width]. */
  readonly reference: Float32Array;
}

/** Images whose costs are computed by one product. */
const chunk = 8;

/** Assigns the patches of every image to the slots of a reference image [patches, width], least squares. */
export async function alignTo(
  reference: Float32Array,
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
    const dots = await product(reference, part, { m: patches, k: width, n: columns }, { transB: true });
    const squares = new Float64Array(columns);
    for (let c = 0, at = 0; c < columns; c++) for (let k = 0; k < width; k++) squares[c]! += part[at++]! ** 2;
    for (let i = 0; i < count; i++) {
      const costs = new Float64Array(patches * patches);
      for (let s = 0; s < patches; s++)
        for (let p = 0; p < patches; p++)
          costs[s * patches + p] = squares[i * patches + p]! - 2 * dots[s * columns + i * patches + p]!;
      order.set(assign(costs, patches, patches), (start + i) * patches);
    }
    onProgress?.(start + count, images);
  }
  return order;
}

/**
 * Puts the patches of all encodings of one key into common slots: the first image is the reference, then the mean of
 * what was aligned, `passes` times in all. Knows nothing but the encodings.
 * Source: the local unshuffling step of Carlini et al., NeuraCrypt is not private, 2021 (arXiv 2108.07256).
 */
export async function unshuffle(
  encodings: Vectors,
  products: Products,
  {
    passes = 3,
    onProgress,
  }: { readonly passes?: number; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Unshuffled> {
  let reference = encodings.data.slice(0, encodings.patches * encodings.width);
  let order = new Int32Array();
  let aligned = encodings;
  for (let pass = 0; pass < passes; pass++) {
    order = (await alignTo(reference, encodings, products, (done, total) =>
      onProgress?.(pass * total + done, passes * total),
    )) as Int32Array<ArrayBuffer>;
    aligned = reorder(encodings, order);
    reference = meanImage(aligned) as Float32Array<ArrayBuffer>;
  }
  return { aligned, order, reference };
}

/**
 * How many patches are in the slot of their position, given the true position of every shuffled patch
 * [images * patches]; a slot stands for the position that most images have there.
 */
export function unshuffleSuccess(
  { order, aligned: { images, patches } }: Unshuffled,
  positions: ArrayLike<number>,
): { readonly success: Success; readonly slots: Int32Array } {
  const votes = new Float64Array(patches * patches);
  const at = (i: number, s: number): number => positions[i * patches + order[i * patches + s]!]!;
  for (let i = 0; i < images; i++) for (let s = 0; s < patches; s++) votes[s * patches + at(i, s)]!--;
  const slots = assign(votes, patches, patches);
  let hits = 0;
  for (let i = 0; i < images; i++) for (let s = 0; s < patches; s++) hits += Number(at(i, s) === slots[s]);
  return { success: successOf(hits, images * patches), slots };
}
