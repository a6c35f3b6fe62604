/** What is drawn afresh for each image: the order of its patches, which of them are released, and noise. */
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expandTensor, expandWords } from "./expand.ts";
import { patchGrid, releasedPatches, type ImageShape, type Scheme } from "./schemes/scheme.ts";

/** Bytes of a nonce. */
export const nonceBytes = 32;

/** The nonce of one image, from the secret nonce of its release and the image's number in the cohort. */
export const imageNonce = (release: Uint8Array, image: number): Uint8Array =>
  hkdf(sha256, release, utf8ToBytes("leadglass encoding 1"), utf8ToBytes(`image ${image}`), nonceBytes);

/**
 * The order in which an image's patches are released: `order[j]` is the patch that comes j-th. Every order is equally
 * likely: Fisher and Yates with draws from ChaCha20, those that would favour some being drawn again.
 */
export function shufflePermutation(nonce: Uint8Array, patches: number): Uint32Array {
  const order = Uint32Array.from({ length: patches }, (_, i) => i);
  let words = expandWords(nonce, "shuffle 0", 2 * patches + 16);
  let [at, more] = [0, 0];
  for (let i = patches - 1; i > 0; i--) {
    const n = i + 1;
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word: number;
    do {
      if (at === words.length) [words, at] = [expandWords(nonce, `shuffle ${++more}`, 2 * patches + 16), 0];
      word = words[at++]!;
    } while (word >= limit);
    const j = word % n;
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * What is released of one encoded image: its patches in the order of its nonce, as many as the scheme keeps, scaled to the
 * scheme's norm and with its noise where it has one.
 * @param encoding [patches, outputs], in order.
 * @returns [released patches, outputs]
 */
export function releasedEncoding(
  scheme: Scheme,
  shape: ImageShape,
  encoding: Float32Array,
  nonce: Uint8Array,
): Float32Array {
  const { outputs, noise } = scheme;
  const { patches } = patchGrid(scheme, shape);
  const order = shufflePermutation(nonce, patches).subarray(0, releasedPatches(scheme, shape));
  const out = new Float32Array(order.length * outputs);
  order.forEach((patch, j) => out.set(encoding.subarray(patch * outputs, (patch + 1) * outputs), j * outputs));
  if (noise) {
    let squares = 0;
    for (const v of out) squares += v * v;
    const scale = Math.min(1, noise.clip / Math.sqrt(squares));
    const drawn = expandTensor({ secret: nonce }, "noise", [out.length], {
      kind: "normal",
      deviation: noise.deviation,
    });
    for (let i = 0; i < out.length; i++) out[i] = out[i]! * scale + drawn[i]!;
  }
  return out;
}

/** What the noise of a scheme proves about one image; null without noise, where nothing is proven. */
export interface NoiseBound {
  /** The two most different encodings are this many standard deviations of the noise apart. */
  readonly mu: number;
  /** The most that a release tells of its image, in nats: the capacity of the Gaussian channel at this norm. */
  readonly informationNats: number;
}

/**
 * The formal bound of a scheme's noise, for an attacker who knows the key. Encodings lie within a ball of radius `clip`, so
 * two images differ by at most 2 clip: Gaussian differential privacy with mu = 2 clip / deviation for each image (Dong,
 * Roth and Su 2022, theorem 1). The information is at most d/2 log(1 + clip^2 / (d deviation^2)) nats in d numbers
 * (Cover and Thomas, Elements of Information Theory, chapter 9).
 */
export function noiseBound(scheme: Scheme, shape: ImageShape): NoiseBound | null {
  if (scheme.noise === null) return null;
  const { deviation, clip } = scheme.noise;
  const numbers = releasedPatches(scheme, shape) * scheme.outputs;
  return {
    mu: (2 * clip) / deviation,
    informationNats: (numbers / 2) * Math.log1p((clip / deviation) ** 2 / numbers),
  };
}
