/** What an attack is: its knowledge, its control, and the findings that are scored apart from it. */
import { assignBest } from "../../math/assignment.ts";
import { seededRandom, shuffle } from "../../math/random.ts";
import { patchGrid, releasedPatches } from "../schemes/scheme.ts";
import { agreement, successOf, type Success, type Vectors } from "./arrays.ts";
import type { Guesswork } from "./guesswork.ts";
import type { Limits } from "./minimise.ts";
import type { Products } from "./products.ts";
import type { Unshuffled } from "./unshuffle.ts";
import type { AttackTruth, AttackView } from "./view.ts";

export interface Scored {
  readonly success: Success;
  readonly chance: number;
  /** Guesses of pairs until one is right, beside those of somebody who knows nothing. */
  readonly guesswork?: Guesswork;
  /** How the success grew. */
  readonly stages?: readonly { readonly name: string; readonly success: Success }[];
}

/** What an attack answers for each encoding, before anybody says how right it is. */
export interface Findings {
  /** Best candidate, or undefined where the attack names none. */
  readonly candidates?: Int32Array;
  /** Mean encodings of the targets, made without the key. */
  readonly imitations?: Vectors;
  readonly scored: (truth: AttackTruth) => Scored;
  readonly details?: Readonly<Record<string, number | string>>;
}

export interface Attack {
  readonly about: string;
  readonly knowledge: readonly string[];
  /**
   * What it must break before its failure on another means anything: the `linear` scheme; where it looks for positions,
   * which linear has not, the `shallow`est network; where it uses another key, the scheme under that very key: `breached`.
   */
  readonly control: "linear" | "shallow" | "breached";
  readonly run: (view: AttackView, tools: Tools) => Promise<Findings>;
}

export interface Tools {
  readonly products: Products;
  /** Un-shuffled once and shared by attacks on the same view. */
  readonly unshuffled: () => Promise<Unshuffled>;
  /** For attacks that train: how long, and where to keep what was done. */
  readonly limits: Limits;
  readonly onProgress?: (done: number, total: number) => void;
}

export const architecture = "the scheme and its sizes";
export const encodings = "the encodings";
export const originals = "the originals, in unknown order";
export const pairs = "some pairs of image and encoding";
export const others = "other images of the same kind";

/** True where every patch of an image is released. */
export const wholeImages = ({ scheme, shape }: AttackView): boolean =>
  releasedPatches(scheme, shape) === patchGrid(scheme, shape).patches;

/** True where slots found by un-shuffling can stand for positions. */
export const hasSlots = (view: AttackView): boolean =>
  !view.scheme.linear && view.scheme.position.kind !== "none" && wholeImages(view);

/** Squared distances of all rows of two sets with one vector an image, [images of a, images of b]. */
export async function distances(a: Vectors, b: Vectors, { product }: Products): Promise<Float64Array> {
  const k = a.patches * a.width;
  const squares = (set: Vectors): Float64Array => {
    const out = new Float64Array(set.images);
    set.data.forEach((x, at) => (out[Math.floor(at / k)]! += x * x));
    return out;
  };
  const [sa, sb] = [squares(a), squares(b)];
  const dots = await product(a.data, b.data, { m: a.images, k, n: b.images }, { transB: true });
  return Float64Array.from(dots, (x, at) => sa[Math.floor(at / b.images)]! + sb[at % b.images]! - 2 * x);
}

/**
 * The candidate of each encoding by least distance [encodings, candidates]: one to one, and, as the reference does, each
 * encoding on its own.
 */
export function matchesOf(
  away: Float64Array,
  n: number,
): { readonly images: Int32Array; readonly nearest: Int32Array } {
  const nearest = Int32Array.from({ length: n }, (_, i) => {
    let best = 0;
    for (let c = 1; c < n; c++) if (away[i * n + c]! < away[i * n + best]!) best = c;
    return best;
  });
  return {
    images: assignBest(
      away.map((x) => -x),
      n,
      n,
    ),
    nearest,
  };
}

/** Findings of an attack that names a candidate for every encoding. */
export const matched = (
  { images, nearest }: ReturnType<typeof matchesOf>,
  details: Findings["details"] = {},
): Findings => ({
  candidates: images,
  scored: ({ candidateOf }) => ({
    success: agreement(images, candidateOf),
    chance: 1 / candidateOf.length,
    stages: [
      { name: "each on its own", success: agreement(nearest, candidateOf) },
      { name: "one to one", success: agreement(images, candidateOf) },
    ],
  }),
  details,
});

/**
 * How often scores tell a yes from a no among equally many of both, chosen by `seed`: the upper half is said to be yes.
 * Chance is a half. `labels` other than 0 and 1 take no part.
 */
export function balancedSuccess(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  seed: number,
): { readonly success: Success; readonly chance: number } {
  const random = seededRandom(seed, "balanced");
  const of = (label: number): number[] =>
    shuffle(
      Array.from(labels).flatMap((l, i) => (l === label ? [i] : [])),
      random,
    );
  const [no, yes] = [of(0), of(1)];
  const each = Math.min(no.length, yes.length);
  const chosen = [...no.slice(0, each), ...yes.slice(0, each)].sort((i, j) => scores[i]! - scores[j]! || i - j);
  const hits = chosen.filter((i, rank) => (labels[i] === 1) === rank >= each).length;
  return { success: successOf(hits, chosen.length), chance: 0.5 };
}
