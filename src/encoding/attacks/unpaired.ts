/**
 * The break without a known pair: who holds the originals of a release, but not which is which, finds out. No network is
 * trained. The attacker encodes the originals under keys of its own and compares what hardly depends on the key: how long
 * patches are, slot by slot, and which images resemble each other. Then a decoder is fitted on the match.
 */
import { LeadglassError } from "../../errors.ts";
import { assignBest } from "../../math/assignment.ts";
import { centred, meanImage, pick, type Vectors } from "./arrays.ts";
import { decode, fitDecoder, similarity, type Decoder } from "./decoder.ts";
import { matchGraphs, normalScores } from "./matching.ts";
import type { Products } from "./products.ts";
import { comparableLevels, profileScores, transposed, type Evidence } from "./surrogates.ts";

/** What was believed after a step. */
export interface Stage {
  readonly name: string;
  readonly images: Int32Array;
}

export interface UnpairedMatch {
  /** The candidate that each encoding is said to show. */
  readonly images: Int32Array;
  /** Slot s is position layout[s]; undefined where slots played no part. */
  readonly layout: Int32Array | undefined;
  /** How alike the two graphs of images are under the match, up to 1; it needs no answers. */
  readonly agreement: number;
  readonly stages: readonly Stage[];
  /** Higher where an encoding and a candidate fit, [encodings, candidates]. */
  readonly scores: Float64Array;
}

/** Correlation of the normal scores of two graphs, node i of one being node match[i] of the other. */
function graphsAgree(a: Float32Array, b: Float32Array, match: Int32Array): number {
  const n = match.length;
  let [sum, squares] = [0, 0];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      sum += a[i * n + j]! * b[match[i]! * n + match[j]!]!;
      squares += a[i * n + j]! ** 2;
    }
  return sum / squares;
}

/**
 * Matches encodings to as many candidates by the evidence of the release and that expected over keys. With `slots` patches
 * are compared place by place as well; otherwise in whatever order they are.
 * Throws LG-USAGE-001 unless there are as many candidates as encodings.
 */
export async function matchByEvidence(
  seen: Evidence,
  expected: Evidence,
  products: Products,
  { slots, rounds = 10 }: { readonly slots: boolean; readonly rounds?: number },
): Promise<UnpairedMatch> {
  const n = Math.round(Math.sqrt(seen.meanGraph.length));
  if (expected.meanGraph.length !== n * n)
    throw new LeadglassError(
      "LG-USAGE-001",
      `unpaired break: ${Math.sqrt(expected.meanGraph.length)} candidates for ${n} encodings`,
      { hint: "Give exactly the originals of the release, in any order." },
    );
  const stages: Stage[] = [];
  const [a, b] = [seen, expected].map((e) => normalScores(slots ? e.slotGraph : e.meanGraph, n)) as [
    Float32Array,
    Float32Array,
  ];
  let best: Omit<UnpairedMatch, "stages"> = {
    images: new Int32Array(n),
    layout: undefined,
    agreement: -Infinity,
    scores: new Float64Array(n * n),
  };
  const consider = (name: string, images: Int32Array, scores: Float64Array, layout?: Int32Array): void => {
    stages.push({ name, images });
    const agreement = graphsAgree(a, b, images);
    if (agreement > best.agreement) best = { images, layout, agreement, scores };
  };
  // Any order: the lengths of an image's patches, sorted.
  const unordered = profileScores(comparableLevels(seen.levels, n), comparableLevels(expected.levels, n), n);
  consider("lengths in any order", assignBest(unordered, n, n), unordered);
  if (slots) {
    const patches = seen.energies.length / n;
    const sorted = (e: Float32Array): Float32Array => {
      const byImage = transposed(e, patches);
      for (let i = 0; i < n; i++) byImage.subarray(i * patches, (i + 1) * patches).sort();
      return transposed(byImage, n);
    };
    let scores = profileScores(sorted(seen.energies), sorted(expected.energies), n);
    let images = assignBest(scores, n, n);
    consider("lengths in slots, sorted", images, scores);
    // Known images tell slots, known slots tell images: each in turn.
    for (let round = 0; round < rounds; round++) {
      const seenByImage = transposed(seen.energies, patches);
      const expectedByImage = transposed(expected.energies, patches);
      const matched = Float32Array.from(
        seenByImage,
        (_, at) => expectedByImage[images[Math.floor(at / patches)]! * patches + (at % patches)]!,
      );
      const layout = assignBest(profileScores(seenByImage, matched, patches), patches, patches);
      const placed = Float32Array.from(
        seen.energies,
        (_, at) => expected.energies[layout[Math.floor(at / n)]! * n + (at % n)]!,
      );
      scores = profileScores(seen.energies, placed, n);
      const next = assignBest(scores, n, n);
      const settled = next.every((c, i) => c === images[i]);
      images = next;
      consider(`lengths by slot ${round + 1}`, images, scores, layout);
      if (settled) break;
    }
  }
  // Where lengths leave doubt: which images resemble each other.
  if (best.agreement < 0.9) {
    const deviation = Math.sqrt(best.scores.reduce((sum, x) => sum + x * x, 0) / best.scores.length) || 1;
    for (const weight of [0.2, 1]) {
      const evidence = Float32Array.from(best.scores, (x) => (weight * x) / deviation);
      const images = await matchGraphs([[a, b]], evidence, n, products);
      consider(`graphs of images, weight ${weight}`, images, best.scores, best.layout);
    }
  }
  return { ...best, stages };
}

export interface UnpairedBreak extends Omit<UnpairedMatch, "scores"> {
  /** The key, as far as a linear decoder goes, and the layout of slots. */
  readonly decoder: Decoder;
  readonly mean: Float32Array;
  /** Cosine of decoded encodings with candidates, or, where decoding adds nothing, the evidence: [encodings, candidates]. */
  readonly scores: ArrayLike<number>;
}

/**
 * Fits a decoder on a match and renews the match by what it decodes, as long as the graphs agree better or nothing moves.
 * `aligned` is un-shuffled, `candidates` are patches of pixels; or both are mean patches.
 */
export async function decodeMatch(
  { aligned, candidates }: { readonly aligned: Vectors; readonly candidates: Vectors },
  match: UnpairedMatch,
  { seen, expected }: { readonly seen: Float32Array; readonly expected: Float32Array },
  products: Products,
  {
    rounds = 4,
    onProgress,
  }: { readonly rounds?: number; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<UnpairedBreak> {
  const { images: n, patches } = aligned;
  const mean = meanImage(candidates);
  const [codes, pixels] = [centred(aligned), centred(candidates, mean)];
  const [a, b] = [normalScores(seen, n), normalScores(expected, n)];
  const stages = [...match.stages];
  let { images, agreement, scores } = match as Omit<UnpairedMatch, "scores"> & { scores: ArrayLike<number> };
  let layout = match.layout ?? Int32Array.from({ length: patches }, (_, p) => p);
  let decoder: Decoder | undefined;
  for (let round = 0; round < rounds; round++) {
    const fitted = await fitDecoder(codes, pick(pixels, images), layout, products, { rounds: 2, ridge: 0.1 });
    const found = await similarity(await decode(codes, fitted, products), pixels, products);
    const next = assignBest(found, n, n);
    const agreed = graphsAgree(a, b, next);
    decoder ??= fitted;
    onProgress?.(round + 1, rounds);
    if (agreed < agreement) break;
    const settled = next.every((c, i) => c === images[i]);
    [decoder, images, agreement, layout, scores] = [fitted, next, agreed, fitted.layout, found];
    stages.push({ name: `decoder ${round + 1}`, images });
    if (settled) break;
  }
  return { images, layout, agreement, stages, decoder: decoder!, mean, scores };
}
