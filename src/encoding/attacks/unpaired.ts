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

/** What was believed after a step. */
export interface Stage {
  readonly name: string;
  readonly images?: Int32Array;
  readonly layout: Int32Array;
}

export interface UnpairedBreak {
  /** The candidate that each encoding is said to show. */
  readonly images: Int32Array;
  /** How the match grew, step by step. */
  readonly stages: readonly Stage[];
  /** The key, as far as a linear decoder goes, and the layout of slots. */
  readonly decoder: Decoder;
  readonly mean: Float32Array;
  readonly codeMean: Float32Array;
  /** Encodings decoded, minus `mean`. */
  readonly decoded: Vectors;
  /** How well the two graphs of images agree under the match, up to about 1; it needs no answers. */
  readonly agreement: number;
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
  const steps = rounds + 3;
  const graphs = async (places: Float32Array, energy: Float32Array): Promise<readonly [Float32Array, Float32Array]> => {
    const profiles = standardiseRows(energy.slice(), patches);
    return [
      normalScores(await product(profiles, profiles, { m: patches, k: n, n: patches }, { transB: true }), patches),
      normalScores(await product(places, places, { m: patches, k: pairs, n: patches }, { transB: true }), patches),
    ];
  };
  const pairs = (n * (n - 1)) / 2;
  const [energyA, energyB] = [energies(codes), energies(pixels)];
  const [placesA, placesB] = [await placeSimilarities(codes, products), await placeSimilarities(pixels, products)];
  onProgress?.(1, steps);
  // Which places vary together says where they are, and needs no image to be matched.
  const [slotsA, slotsB] = [await graphs(placesA, energyA), await graphs(placesB, energyB)];
  let layout = await matchGraphs(
    slotsA.map((graph, k) => [graph, slotsB[k]!] as const),
    scaled(quantileEvidence(energyA, energyB, patches), 0.3),
    patches,
    products,
  );
  onProgress?.(2, steps);
  const stages: Stage[] = [{ name: "graphs of slots", layout }];
  const imagesA = normalScores(await imageGraph(codes, products), n);
  const imagesB = normalScores(await imageGraph(pixels, products), n);
  // Standardised over images at each place, so that an image's profile is its own and not its template's.
  const profile = (e: Float32Array): Float32Array => transposed(standardiseRows(e.slice(), patches), patches);
  const [profileA, profileB] = [profile(energyA), profile(energyB)];
  const unordered = quantileEvidence(profileA, profileB, n);
  standardiseRows(profileA, n);
  standardiseRows(profileB, n);
  let agreed = -Infinity;
  const matchImages = async (): Promise<Int32Array> => {
    const inSlots = profileB.map((_, at) => profileB[at - (at % patches) + layout[at % patches]!]!);
    const maps = await product(profileA, inSlots, { m: n, k: patches, n }, { transB: true });
    let best = new Int32Array();
    agreed = -Infinity;
    // How much weight the evidence of single images deserves is not known: the graphs say which match fits best.
    for (const [unorderedWeight, mapWeight] of [
      [0.1, 0.5],
      [0, 1],
      [0.1, 0.2],
    ] as const) {
      const evidence = maps.map((x, at) => (mapWeight * x) / patches + unorderedWeight * unordered[at]!);
      const match = await matchGraphs([[imagesA, imagesB]], evidence, n, products);
      let sum = 0;
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) sum += imagesA[i * n + j]! * imagesB[match[i]! * n + match[j]!]!;
      if (sum / n ** 2 > agreed) {
        best = match as Int32Array<ArrayBuffer>;
        agreed = sum / n ** 2;
      }
    }
    return best;
  };
  const layoutFor = async (match: Int32Array): Promise<Int32Array> => {
    const sorted = new Float32Array(placesB.length);
    for (let i = 0, at = 0; i < n; i++)
      for (let j = i + 1; j < n; j++, at++) {
        const [p, q] = [Math.min(match[i]!, match[j]!), Math.max(match[i]!, match[j]!)];
        const from = p * n - (p * (p + 1)) / 2 + q - p - 1;
        for (let s = 0; s < patches; s++) sorted[s * pairs + at] = placesB[s * pairs + from]!;
      }
    // Once images are matched, the similarities of pairs are in the same order on both sides.
    const scores = await product(placesA, sorted, { m: patches, k: pairs, n: patches }, { transB: true });
    return assignBest(scores, patches, patches);
  };
  let images: Int32Array = await matchImages();
  onProgress?.(3, steps);
  layout = await layoutFor(images);
  stages.push({ name: "graphs of images", images, layout });
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
    stages.push({ name: `key recovery ${round + 1}`, images, layout });
    onProgress?.(4 + round, steps);
    if (settled) break;
  }
  onProgress?.(steps, steps);
  return { images, stages, decoder: decoder!, mean, codeMean, decoded, scores, agreement: agreed };
}
