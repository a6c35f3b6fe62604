/** What an attacker is given, and, apart from it, what only the owner knows: how right the attacker was. */
import type { RandomSource } from "../../math/random.ts";
import { seededRandom, shuffle } from "../../math/random.ts";
import { startEngine } from "../../runtime/index.ts";
import { startEncoder } from "../encode.ts";
import { makeKey, type Key } from "../keys.ts";
import { releasedEncoding, shufflePermutation } from "../nonce.ts";
import { patchGrid, releasedPatches, type ImageShape, type Scheme } from "../schemes/scheme.ts";
import { patchesOfPixels, pick, vectors, type Vectors } from "./arrays.ts";
import { meansOf } from "./means.ts";

/** Published, or held by the attacker. */
export interface AttackView {
  readonly scheme: Scheme;
  readonly shape: ImageShape;
  /** As released, patches in the order of each image's own shuffle. */
  readonly codes: Vectors;
  /** Originals in an order that says nothing, as patches of normalised pixels: those that the encodings show. */
  readonly candidates: Vectors;
  /** Pairs that the attacker knows. */
  readonly known: readonly { readonly encoding: number; readonly candidate: number }[];
  /** Other images of the same kind, none of them in the release, shaped as the candidates. */
  readonly outsiders?: Vectors;
  /** Images whose mean encodings are to be imitated, none of them in the release (track 2). */
  readonly targets?: Vectors;
  /** One label as published with the encodings, and as the attacker has it for its images; NaN where unknown. */
  readonly labels?: Readonly<Record<"codes" | "candidates" | "outsiders", Float32Array>>;
  /** An attribute that is not published: 0 or 1 for the patients whom the attacker knows, NaN for others. */
  readonly attribute?: { readonly name: string; readonly codes: Float32Array };
  readonly seed: number;
}

/** The owner's: for scoring only, no attack reads it. */
export interface AttackTruth {
  /** The candidate that each encoding shows. */
  readonly candidateOf: Int32Array;
  /** The position of every released patch, [images * patches]. */
  readonly positions: Int32Array;
  /** The patient behind each encoding, as numbers. */
  readonly patients: Int32Array;
  /** The attribute of every encoding, NaN where nobody knows it. */
  readonly attribute?: Float32Array;
  /** True mean encodings of the targets, [targets, outputs]. */
  readonly targetCodes?: Float32Array;
}

/** Pixels in [0, 1] as the patches that an encoder of this scheme reads; sides must be whole patches. */
export function schemePatches({ patch, pixels: { mean, deviation } }: Scheme, shape: ImageShape, pixels: Float32Array) {
  return patchesOfPixels(
    pixels.map((x) => (x - mean) / deviation),
    { ...shape, side: patch },
  );
}

/** The true positions of what is released of images with these nonces. */
export function positionsOf(scheme: Scheme, shape: ImageShape, nonces: readonly Uint8Array[]): Int32Array {
  const { patches } = patchGrid(scheme, shape);
  const kept = releasedPatches(scheme, shape);
  return Int32Array.from(nonces.flatMap((nonce) => [...shufflePermutation(nonce, patches).subarray(0, kept)]));
}

/**
 * Encodes images that the attacker holds and keeps both sides: for positive controls, benches and tests. `patients` has
 * one number an image; the first `known` encodings are known pairs.
 */
export async function stageRelease({
  pixels,
  patients,
  scheme,
  shape,
  labels,
  attribute,
  outside,
  known,
  seed,
  random,
  key = makeKey(),
}: {
  /** [images, channels, height, width] in [0, 1]. */
  readonly pixels: Float32Array;
  readonly patients: ArrayLike<number>;
  /** Labels of the images, and an attribute: 0, 1, or NaN where unknown. */
  readonly labels?: ArrayLike<number>;
  readonly attribute?: { readonly name: string; readonly values: ArrayLike<number> };
  /** Other images [images, channels, height, width] with their labels, and the number of them that are targets. */
  readonly outside?: { readonly pixels: Float32Array; readonly labels?: ArrayLike<number>; readonly targets: number };
  readonly scheme: Scheme;
  readonly shape: ImageShape;
  readonly known: number;
  readonly seed: number;
  readonly random: RandomSource;
  readonly key?: Pick<Key, "secret">;
}): Promise<{ readonly view: AttackView; readonly truth: AttackTruth }> {
  await using engine = await startEngine();
  await using encoder = await startEncoder(engine, scheme, key, shape);
  const { patches } = patchGrid(scheme, shape);
  const kept = releasedPatches(scheme, shape);
  const size = shape.channels * shape.height * shape.width;
  const images = pixels.length / size;
  const data = new Float32Array(images * kept * scheme.outputs);
  const nonces = Array.from({ length: images }, () => random.bytes(32));
  const each = patches * scheme.outputs;
  const chunk = 8;
  for (let start = 0; start < images; start += chunk) {
    const count = Math.min(chunk, images - start);
    const encoded = await encoder.encode(pixels.slice(start * size, (start + count) * size));
    for (let i = 0; i < count; i++)
      data.set(
        releasedEncoding(scheme, shape, encoded.subarray(i * each, (i + 1) * each), nonces[start + i]!),
        (start + i) * kept * scheme.outputs,
      );
  }
  const order = shuffle([...Array(images).keys()], random);
  const shown = new Float32Array(pixels.length);
  order.forEach((image, at) => shown.set(pixels.subarray(image * size, (image + 1) * size), at * size));
  const candidateOf = new Int32Array(images);
  order.forEach((image, at) => (candidateOf[image] = at));
  const codes = vectors(data, images, kept, scheme.outputs);
  const others = outside && schemePatches(scheme, shape, outside.pixels);
  const targetCount = outside?.targets ?? 0;
  const targets = others && targetCount > 0 ? pick(others, [...Array(targetCount).keys()]) : undefined;
  const targetCodes =
    outside && targets
      ? meansOf(
          vectors(
            await encoder.encode(outside.pixels.slice(0, targetCount * size)),
            ...([targetCount, patches, scheme.outputs] as const),
          ),
        ).data
      : undefined;
  const atCandidates = (values: ArrayLike<number>): Float32Array => Float32Array.from(order, (image) => values[image]!);
  return {
    view: {
      ...{ scheme, shape, seed, codes },
      candidates: schemePatches(scheme, shape, shown),
      known: Array.from({ length: known }, (_, encoding) => ({ encoding, candidate: candidateOf[encoding]! })),
      ...(others ? { outsiders: others } : {}),
      ...(targets ? { targets } : {}),
      ...(labels
        ? {
            labels: {
              codes: Float32Array.from(labels),
              candidates: atCandidates(labels),
              outsiders: Float32Array.from(
                { length: others?.images ?? 0 },
                (_, i) => outside?.labels?.[i] ?? Number.NaN,
              ),
            },
          }
        : {}),
      ...(attribute ? { attribute: { name: attribute.name, codes: halfKnown(attribute.values, seed) } } : {}),
    },
    truth: {
      candidateOf,
      positions: positionsOf(scheme, shape, nonces),
      patients: Int32Array.from(patients),
      ...(attribute ? { attribute: Float32Array.from(attribute.values) } : {}),
      ...(targetCodes ? { targetCodes } : {}),
    },
  };
}

/** An attribute as an attacker has it who knows half of the patients: the others' is NaN. */
export function halfKnown(values: ArrayLike<number>, seed: number): Float32Array {
  const unknown = shuffle([...Array(values.length).keys()], seededRandom(seed, "unknown")).slice(values.length >> 1);
  const out = Float32Array.from(values);
  for (const i of unknown) out[i] = Number.NaN;
  return out;
}
