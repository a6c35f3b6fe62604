/**
 * What the attacker can make at home: the scheme is public, so it draws keys of its own and encodes the images that it
 * holds. No such key is the secret one, but what an encoding's lengths and likenesses are on average over keys is the same
 * for all, and a wide network is close to its average.
 */
import { mean, quantileSorted } from "../../math/statistics.ts";
import { startEngine } from "../../runtime/index.ts";
import { expandWords } from "../expand.ts";
import { startEncoder } from "../encode.ts";
import { releasedEncoding, shufflePermutation } from "../nonce.ts";
import { patchGrid, type ImageShape, type Scheme } from "../schemes/scheme.ts";
import { centred, pixelsOfPatches, reorder, vectors, type Vectors } from "./arrays.ts";
import { energies, standardiseRows } from "./decoder.ts";
import { meansOf } from "./means.ts";
import type { Products } from "./products.ts";

/** 32 bytes from a public name: a key of the attacker's own, or one of its nonces. */
export const ownBytes = (seed: number, name: string): Uint8Array =>
  new Uint8Array(expandWords(new Uint8Array(32), `attacker ${seed} ${name}`, 8).buffer);

/**
 * Images [images, patches, pixels of a patch] as a release under a key of the attacker's own would have them, noise and
 * dropping included; patches stay in their positions where the scheme releases all.
 */
export async function encodeAtHome(
  images: Vectors,
  scheme: Scheme,
  shape: ImageShape,
  { seed, key }: { readonly seed: number; readonly key: number },
): Promise<Vectors> {
  await using engine = await startEngine();
  const secret = ownBytes(seed, `key ${key}`);
  await using encoder = await startEncoder(engine, scheme, { secret }, shape);
  const { mean: centre, deviation } = scheme.pixels;
  const pixels = pixelsOfPatches(images, { ...shape, side: scheme.patch }).map((x) => x * deviation + centre);
  const size = pixels.length / images.images;
  const { patches } = patchGrid(scheme, shape);
  const each = patches * scheme.outputs;
  let released: Float32Array = new Float32Array();
  const chunk = 8;
  for (let start = 0; start < images.images; start += chunk) {
    const count = Math.min(chunk, images.images - start);
    const encoded = await encoder.encode(pixels.slice(start * size, (start + count) * size));
    for (let i = 0; i < count; i++) {
      const nonce = ownBytes(seed, `nonce ${key} ${start + i}`);
      const one = releasedEncoding(scheme, shape, encoded.subarray(i * each, (i + 1) * each), nonce);
      if (released.length === 0) released = new Float32Array(one.length * images.images);
      const whole = one.length === each;
      const order = shufflePermutation(nonce, patches);
      const back = new Int32Array(patches);
      order.forEach((patch, j) => (back[patch] = j));
      const set = vectors(one, 1, one.length / scheme.outputs, scheme.outputs);
      released.set(whole ? reorder(set, back).data : one, (start + i) * one.length);
    }
  }
  return vectors(released, images.images, released.length / images.images / scheme.outputs, scheme.outputs);
}

/** What hardly depends on the key. */
export interface Evidence {
  /** Logarithms of the lengths of patches around their slot's mean, [slots, images]. */
  readonly energies: Float32Array;
  /** Levels of the lengths of patches around the mean of all, whatever their order, [images, levels]. */
  readonly levels: Float32Array;
  /** Likeness of images slot by slot, [images, images]. */
  readonly slotGraph: Float32Array;
  /** Likeness of mean patches, [images, images]. */
  readonly meanGraph: Float32Array;
}

/** Image by image inner products, every patch weighted by the inverse root of its norm. */
async function imageGraph({ images, patches, width, data }: Vectors, { product }: Products): Promise<Float32Array> {
  const scaled = new Float32Array(data.length);
  for (let i = 0; i < images; i++) {
    let total = 0;
    for (let p = 0; p < patches; p++) {
      const at = (i * patches + p) * width;
      let squares = 0;
      for (let k = at; k < at + width; k++) squares += data[k]! ** 2;
      const norm = Math.sqrt(squares);
      total += norm;
      for (let k = at; k < at + width; k++) scaled[k] = data[k]! / Math.sqrt(norm + 1e-9);
    }
    for (let k = i * patches * width; k < (i + 1) * patches * width; k++) scaled[k]! /= Math.sqrt(total);
  }
  return product(scaled, scaled, { m: images, k: patches * width, n: images }, { transB: true });
}

const levelsOf = 32;

/** Lengths of an image's patches around the mean of all patches, and that of its mean patch, as logarithms at some levels. */
function lengthLevels({ images, patches, width, data }: Vectors): Float32Array {
  const centre = new Float64Array(width);
  data.forEach((x, at) => (centre[at % width]! += x / (images * patches)));
  const out = new Float32Array(images * (levelsOf + 1));
  for (let i = 0, at = 0; i < images; i++) {
    const lengths = new Float64Array(patches);
    const sum = new Float64Array(width);
    for (let p = 0; p < patches; p++) {
      let squares = 0;
      for (let k = 0; k < width; k++, at++) {
        const x = data[at]! - centre[k]!;
        sum[k]! += x;
        squares += x * x;
      }
      lengths[p] = Math.log(Math.sqrt(squares) + 1e-3);
    }
    lengths.sort();
    for (let l = 0; l < levelsOf; l++) out[i * (levelsOf + 1) + l] = quantileSorted(lengths, (l + 0.5) / levelsOf);
    out[i * (levelsOf + 1) + levelsOf] = Math.log(Math.hypot(...sum) / patches + 1e-3);
  }
  return out;
}

/** Evidence of encodings in common slots, or in any order where there are no slots. */
export async function evidenceOf(codes: Vectors, products: Products): Promise<Evidence> {
  const slots = centred(codes);
  const means = centred(meansOf(codes));
  return {
    energies: energies(slots),
    levels: lengthLevels(codes),
    slotGraph: await imageGraph(slots, products),
    meanGraph: await imageGraph(means, products),
  };
}

/** Evidence of the candidates under some keys of the attacker's own, averaged. */
export async function expectedEvidence(
  candidates: Vectors,
  scheme: Scheme,
  shape: ImageShape,
  products: Products,
  {
    seed,
    keys = 4,
    onProgress,
  }: {
    readonly seed: number;
    readonly keys?: number;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<Evidence> {
  const found: Evidence[] = [];
  for (let key = 0; key < keys; key++) {
    found.push(await evidenceOf(await encodeAtHome(candidates, scheme, shape, { seed, key }), products));
    onProgress?.(key + 1, keys);
  }
  const averaged = (of: (e: Evidence) => Float32Array): Float32Array =>
    of(found[0]!).map((_, at) => mean(found.map((e) => of(e)[at]!)));
  return {
    energies: averaged((e) => e.energies),
    levels: averaged((e) => e.levels),
    slotGraph: averaged((e) => e.slotGraph),
    meanGraph: averaged((e) => e.meanGraph),
  };
}

/** Minus squared distances of the columns' profiles, [columns of a, columns of b]; both [features, columns]. */
export function profileScores(a: Float32Array, b: Float32Array, columns: number): Float64Array {
  const features = a.length / columns;
  const out = new Float64Array(columns * columns);
  for (let f = 0; f < features; f++)
    for (let i = 0; i < columns; i++) {
      const x = a[f * columns + i]!;
      for (let j = 0; j < columns; j++) out[i * columns + j]! -= (x - b[f * columns + j]!) ** 2;
    }
  return out;
}

/** [rows, columns] as [columns, rows]. */
export const transposed = (data: Float32Array, rows: number): Float32Array => {
  const columns = data.length / rows;
  return Float32Array.from(data, (_, at) => data[(at % rows) * columns + Math.floor(at / rows)]!);
};

/** Levels [images, levels] of both sides, each level brought to deviation 1 on either side, as [levels, images]. */
export const comparableLevels = (levels: Float32Array, images: number): Float32Array =>
  standardiseRows(transposed(levels, images), levels.length / images);
