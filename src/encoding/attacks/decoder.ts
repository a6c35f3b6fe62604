/** A linear decoder from aligned encodings to patches of pixels, and the images that decoded pixels belong to. */
import { solvePositive } from "../../math/positive-definite.ts";
import { assign, assignBest } from "../../math/assignment.ts";
import { reorder, vectors, type Vectors } from "./arrays.ts";
import type { Products } from "./products.ts";

export interface Decoder {
  /** From centred encodings to centred pixels, [width of an encoding, width of a patch]. */
  readonly weights: Float32Array;
  /** Slot s is position `layout[s]` of the raw image. */
  readonly layout: Int32Array;
  /** Share of the pixels' variance around the mean image that it explains on the pairs it was fitted on. */
  readonly explained: number;
}

/** Norm of every patch, logarithmic, [patches, images]: how much it differs from what is usual at its place. */
export function energies({ images, patches, width, data }: Vectors): Float32Array {
  const out = new Float32Array(patches * images);
  for (let i = 0, at = 0; i < images; i++)
    for (let p = 0; p < patches; p++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += data[at++]! ** 2;
      out[p * images + i] = Math.log(Math.sqrt(sum) + 1e-3);
    }
  return out;
}

/** Rows scaled to mean 0 and deviation 1, in place. */
export function standardiseRows(data: Float32Array, rows: number): Float32Array {
  const n = data.length / rows;
  for (let r = 0; r < rows; r++) {
    const row = data.subarray(r * n, (r + 1) * n);
    let [sum, squares] = [0, 0];
    for (const x of row) sum += x;
    const mean = sum / n;
    for (const x of row) squares += (x - mean) ** 2;
    const scale = 1 / (Math.sqrt(squares / n) + 1e-9);
    for (let k = 0; k < n; k++) row[k] = (row[k]! - mean) * scale;
  }
  return data;
}

/** [images, patches, width] as [patches, images * width]: what happens at each place, side by side. */
const byPatch = ({ images, patches, width, data }: Vectors): Float32Array => {
  const out = new Float32Array(data.length);
  for (let i = 0; i < images; i++)
    for (let p = 0; p < patches; p++) {
      const from = (i * patches + p) * width;
      out.set(data.subarray(from, from + width), (p * images + i) * width);
    }
  return out;
};

/** Slots by correlation of energy profiles over pairs; both sets centred, image i of one being image i of the other. */
export async function layoutFromEnergies(codes: Vectors, pixels: Vectors, { product }: Products): Promise<Int32Array> {
  const { images, patches } = codes;
  const [a, b] = [codes, pixels].map((set) => standardiseRows(energies(set), patches)) as [Float32Array, Float32Array];
  const scores = await product(a, b, { m: patches, k: images, n: patches }, { transB: true });
  return assignBest(scores, patches, patches);
}

/**
 * Fits a ridge regression from slots to positions on pairs, assigns slots to positions anew by its residuals, and
 * repeats until nothing moves. Both sets are centred, aligned, and in the same order of images.
 */
export async function fitDecoder(
  codes: Vectors,
  pixels: Vectors,
  start: Int32Array,
  products: Products,
  { rounds = 8, ridge = 0.01 }: { readonly rounds?: number; readonly ridge?: number } = {},
): Promise<Decoder> {
  const { product } = products;
  const { images, patches, width } = codes;
  const rows = images * patches;
  const size = { m: width, k: rows, n: width };
  const gram = await product(codes.data, codes.data, size, { transA: true });
  let trace = 0;
  for (let i = 0; i < width; i++) trace += gram[i * width + i]!;
  // The inverse is found once: only the pixels that slots are paired with change.
  const identity = new Float64Array(width * width);
  for (let i = 0; i < width; i++) identity[i * width + i] = 1;
  const inverse = Float32Array.from(solvePositive(gram, identity, width, { ridge: (ridge * trace) / width }));
  const places = byPatch(pixels);
  let [layout, weights, explained] = [start, new Float32Array(), 0];
  for (let round = 0; round < rounds; round++) {
    const paired = reorder(pixels, layout);
    const cross = await product(
      codes.data,
      paired.data,
      { m: width, k: rows, n: pixels.width },
      {
        transA: true,
      },
    );
    weights = (await product(inverse, cross, {
      m: width,
      k: width,
      n: pixels.width,
    })) as Float32Array<ArrayBuffer>;
    const guess = await decodeCentred(codes, weights, pixels.width, products);
    explained = explainedShare(guess.data, paired.data);
    const dots = await product(
      byPatch(guess),
      places,
      { m: patches, k: images * pixels.width, n: patches },
      { transB: true },
    );
    const squares = new Float64Array(patches);
    for (let p = 0, at = 0; p < patches; p++)
      for (let k = 0; k < images * pixels.width; k++) squares[p]! += places[at++]! ** 2;
    const next = assign(
      dots.map((x, at) => squares[at % patches]! - 2 * x),
      patches,
      patches,
    );
    const settled = next.every((p, s) => p === layout[s]);
    layout = next;
    if (settled) break;
  }
  return { weights, layout, explained };
}

/** Pixels of centred codes, still in slots. */
async function decodeCentred(
  codes: Vectors,
  weights: Float32Array,
  width: number,
  { product }: Products,
): Promise<Vectors> {
  const rows = codes.images * codes.patches;
  const data = await product(codes.data, weights, { m: rows, k: codes.width, n: width });
  return vectors(data, codes.images, codes.patches, width);
}

/** Pixels of centred codes in the positions of the image, minus the mean image. */
export async function decode(codes: Vectors, { weights, layout }: Decoder, products: Products): Promise<Vectors> {
  const slots = await decodeCentred(codes, weights, weights.length / codes.width, products);
  const back = new Int32Array(layout.length);
  layout.forEach((position, slot) => (back[position] = slot));
  return reorder(slots, back);
}

/** 1 - squared error / squares of the truth. */
export function explainedShare(guess: Float32Array, truth: Float32Array): number {
  let [error, total] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    error += (guess[i]! - truth[i]!) ** 2;
    total += truth[i]! ** 2;
  }
  return 1 - error / total;
}

/** Cosine of every guess with every candidate, [guesses, candidates]. */
export async function similarity(guesses: Vectors, candidates: Vectors, { product }: Products): Promise<Float32Array> {
  return product(
    unitRows(guesses.data, guesses.images),
    unitRows(candidates.data, candidates.images),
    { m: guesses.images, k: guesses.patches * guesses.width, n: candidates.images },
    { transB: true },
  );
}

/** Rows scaled to length 1; a row of zeros stays. */
function unitRows(data: Float32Array, rows: number): Float32Array {
  const n = data.length / rows;
  const out = data.slice();
  for (let r = 0; r < rows; r++) {
    const row = out.subarray(r * n, (r + 1) * n);
    let squares = 0;
    for (const x of row) squares += x * x;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let k = 0; k < n; k++) row[k]! *= scale;
  }
  return out;
}

/** The best candidate of every guess on its own. */
export const nearest = (scores: Float32Array, rows: number): Int32Array => {
  const n = scores.length / rows;
  return Int32Array.from({ length: rows }, (_, r) => {
    let best = 0;
    for (let c = 1; c < n; c++) if (scores[r * n + c]! > scores[r * n + best]!) best = c;
    return best;
  });
};
