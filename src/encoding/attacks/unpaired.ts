/**
 * The break without a known pair: who holds the originals of a release, but not which is which, finds out. No network is
 * trained. A random network keeps, roughly, which images resemble each other: the similarities among encodings and those
 * among originals are one graph drawn twice, and matching the graphs matches the images.
 */
import { LeadglassError } from "../../errors.ts";
import { assignBest } from "../../math/assignment.ts";
import { quantileSorted } from "../../math/statistics.ts";
import { centred, meanImage, pick, type Vectors } from "./arrays.ts";
import { decode, energies, fitDecoder, similarity, standardiseRows, type Decoder } from "./decoder.ts";
import { matchGraphs, normalScores } from "./matching.ts";
import type { Products } from "./products.ts";

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

/** For every patch, the similarities of all pairs of images at that place, standardised: [patches, pairs]. */
async function placeSimilarities(
  { images, patches, width, data }: Vectors,
  { product }: Products,
): Promise<Float32Array> {
  const pairs = (images * (images - 1)) / 2;
  const out = new Float32Array(patches * pairs);
  const place = new Float32Array(images * width);
  for (let p = 0; p < patches; p++) {
    for (let i = 0; i < images; i++) {
      const from = (i * patches + p) * width;
      place.set(data.subarray(from, from + width), i * width);
    }
    const gram = await product(place, place, { m: images, k: width, n: images }, { transB: true });
    for (let i = 0, at = p * pairs; i < images; i++)
      for (let j = i + 1; j < images; j++) out[at++] = gram[i * images + j]!;
  }
  return standardiseRows(out, patches);
}

/** Minus the mean squared difference of the quantiles of rows: evidence that needs no order within a row. */
function quantileEvidence(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const levels = Array.from({ length: 10 }, (_, k) => 0.05 + 0.1 * k);
  const quantiles = (data: Float32Array): Float32Array => {
    const length = data.length / n;
    const rows = Array.from({ length: n }, (_, r) => data.slice(r * length, (r + 1) * length).sort());
    const byLevel = Float32Array.from({ length: levels.length * n }, (_, at) =>
      quantileSorted(rows[at % n]!, levels[Math.floor(at / n)]!),
    );
    return standardiseRows(byLevel, levels.length);
  };
  const [qa, qb] = [quantiles(a), quantiles(b)];
  return Float32Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let l = 0; l < levels.length; l++) sum += (qa[l * n + i]! - qb[l * n + j]!) ** 2;
    return -sum / levels.length;
  });
}

const transposed = (data: Float32Array, rows: number): Float32Array => {
  const columns = data.length / rows;
  return Float32Array.from(data, (_, at) => data[(at % rows) * columns + Math.floor(at / rows)]!);
};

const scaled = (data: Float32Array, by: number): Float32Array => data.map((x) => x * by);

export interface UnpairedBreak {
  /** The candidate that each encoding is said to show. */
  readonly images: Int32Array;
  /** What the graphs alone said, before any key recovery. */
  readonly firstImages: Int32Array;
  /** The key, as far as a linear decoder goes, and the layout of slots. */
  readonly decoder: Decoder;
  readonly mean: Float32Array;
  readonly codeMean: Float32Array;
  /** Encodings decoded, minus `mean`. */
  readonly decoded: Vectors;
  /** Cosine of decoded encodings with candidates, [encodings, candidates]. */
  readonly scores: Float32Array;
}

/**
 * Matches encodings to as many candidates, which are their originals in unknown order (track 1 of the challenge).
 * `aligned` is un-shuffled; `candidates` are patches of pixels. Weights of the evidence were fixed on other images.
 * Throws LG-USAGE-001 unless there are as many candidates as encodings.
 */
export async function breakUnpaired(
  { aligned, candidates }: { readonly aligned: Vectors; readonly candidates: Vectors },
  products: Products,
  {
    rounds = 6,
    onProgress,
  }: { readonly rounds?: number; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<UnpairedBreak> {
  const { images: n, patches } = aligned;
  if (candidates.images !== n)
    throw new LeadglassError("LG-USAGE-001", `unpaired break: ${candidates.images} candidates for ${n} encodings`, {
      hint: "Give exactly the originals of the release, in any order.",
    });
  const { product } = products;
  const [codeMean, mean] = [meanImage(aligned), meanImage(candidates)];
  const [codes, pixels] = [centred(aligned, codeMean), centred(candidates, mean)];
  const steps = rounds + 2;
  const [imagesA, imagesB] = [await imageGraph(codes, products), await imageGraph(pixels, products)];
  const [energyA, energyB] = [energies(codes), energies(pixels)];
  // Standardised over images at each place, so that an image's profile is its own and not its template's.
  const profile = (e: Float32Array): Float32Array => transposed(standardiseRows(e.slice(), patches), patches);
  const firstImages = await matchGraphs(
    [[normalScores(imagesA, n), normalScores(imagesB, n)]],
    scaled(quantileEvidence(profile(energyA), profile(energyB), n), 0.1),
    n,
    products,
  );
  onProgress?.(1, steps);
  const [placesA, placesB] = [await placeSimilarities(codes, products), await placeSimilarities(pixels, products)];
  const pairs = placesA.length / patches;
  // Once images are matched, the similarities of pairs are in the same order on both sides: slots are compared directly.
  const layoutFor = async (match: Int32Array): Promise<Int32Array> => {
    const sorted = new Float32Array(placesB.length);
    for (let i = 0, at = 0; i < n; i++)
      for (let j = i + 1; j < n; j++, at++) {
        const [p, q] = [Math.min(match[i]!, match[j]!), Math.max(match[i]!, match[j]!)];
        const from = p * n - (p * (p + 1)) / 2 + q - p - 1;
        for (let s = 0; s < patches; s++) sorted[s * pairs + at] = placesB[s * pairs + from]!;
      }
    const scores = await product(placesA, sorted, { m: patches, k: pairs, n: patches }, { transB: true });
    return assignBest(scores, patches, patches);
  };
  let images = firstImages;
  let layout = await layoutFor(images);
  onProgress?.(2, steps);
  let decoder: Decoder | undefined;
  let decoded = codes;
  let scores = new Float32Array();
  for (let round = 0; round < rounds; round++) {
    decoder = await fitDecoder(codes, pick(pixels, images), layout, products, { rounds: 2, ridge: 0.1 });
    decoded = await decode(codes, decoder, products);
    scores = (await similarity(decoded, pixels, products)) as Float32Array<ArrayBuffer>;
    const next = assignBest(scores, n, n);
    const settled = next.every((c, i) => c === images[i]);
    images = next;
    layout = decoder.layout;
    onProgress?.(3 + round, steps);
    if (settled) break;
  }
  onProgress?.(steps, steps);
  return { images, firstImages, decoder: decoder!, mean, codeMean, decoded, scores };
}
