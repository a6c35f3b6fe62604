/**
 * From a secret and a name to a tensor, bit for bit the same in every implementation that follows these lines:
 *
 * 1. tensor key = HKDF-SHA256 (RFC 5869) of the secret, salt "leadglass encoding 1", info the name in UTF-8, 32 bytes;
 * 2. words = keystream of ChaCha20 (RFC 8439) under it, nonce zero, counter from 0, as 32-bit integers, lowest byte first;
 * 3. uniform on (-b, b): word w gives ((w + 1/2) / 2^31 - 1) b, in float64, rounded once to float32;
 *    normal: word w gives the quantile of (w + 1/2) / 2^32 by {@link normalQuantileExact} times the deviation, likewise.
 *
 * Only +, -, x, / and square root occur, which IEEE 754 rounds the same everywhere; nothing may be fused or reordered.
 */
import { chacha20 } from "@noble/ciphers/chacha.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { sizeOf, type Shape } from "../graph/index.ts";
import type { Key } from "./keys.ts";

export type Distribution =
  { readonly kind: "uniform"; readonly bound: number } | { readonly kind: "normal"; readonly deviation: number };

/** Words of keystream drawn at a time. */
const blockWords = 1 << 16;

/** The words that a secret and a name give, from the first on. Works on hosts of either byte order. */
export function expandWords(secret: Uint8Array, name: string, count: number): Uint32Array {
  const words = new Uint32Array(count);
  eachBlock(secret, name, count, (block, start) => words.set(block, start));
  return words;
}

function eachBlock(
  secret: Uint8Array,
  name: string,
  count: number,
  take: (words: Uint32Array, start: number) => void,
): void {
  const key = hkdf(sha256, secret, utf8ToBytes("leadglass encoding 1"), utf8ToBytes(name), 32);
  const nonce = new Uint8Array(12);
  const zeros = new Uint8Array(4 * Math.min(blockWords, count));
  const stream = new Uint8Array(zeros.length);
  const view = new DataView(stream.buffer);
  const words = new Uint32Array(zeros.length / 4);
  for (let start = 0; start < count; start += blockWords) {
    const n = Math.min(blockWords, count - start);
    chacha20(key, nonce, zeros.subarray(0, 4 * n), stream.subarray(0, 4 * n), start / 16);
    for (let i = 0; i < n; i++) words[i] = view.getUint32(4 * i, true);
    take(words.subarray(0, n), start);
  }
  key.fill(0);
  stream.fill(0);
  words.fill(0);
}

/** A tensor of a key, by name: row-major float32 of `shape`; the same on every machine. */
export function expandTensor(
  key: Pick<Key, "secret">,
  name: string,
  shape: Shape,
  distribution: Distribution,
): Float32Array {
  const out = new Float32Array(sizeOf(shape));
  eachBlock(key.secret, name, out.length, (words, start) => {
    const n = words.length;
    if (distribution.kind === "uniform") {
      const { bound } = distribution;
      for (let i = 0; i < n; i++) out[start + i] = ((words[i]! + 0.5) / 2147483648 - 1) * bound;
    } else {
      const { deviation } = distribution;
      for (let i = 0; i < n; i++) out[start + i] = normalQuantileExact((words[i]! + 0.5) / 4294967296) * deviation;
    }
  });
  return out;
}

/**
 * The natural logarithm of a float64 in (0, 1), by a fixed sequence of exactly rounded operations: x = m 2^e with m from
 * sqrt(1/2) on, s = (m - 1) / (m + 1), log x = 2 (s + s^3/3 + ... + s^25/25) + e log 2.
 */
function logExact(x: number): number {
  let e = 0;
  while (x < 0.7071067811865476) {
    x *= 2;
    e -= 1;
  }
  const s = (x - 1) / (x + 1);
  const t = s * s;
  let sum = 0;
  for (let k = 25; k >= 1; k -= 2) sum = sum * t + 1 / k;
  return 2 * s * sum + e * 0.6931471805599453;
}

/** Numerators and denominators of PPND16, highest power first. */
const central = [
  [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
    133.14166789178438, 3.3871328727963665,
  ],
  [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
    42.31333070160091, 1,
  ],
] as const;
const middle = [
  [
    0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  [
    1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
] as const;
const far = [
  [
    2.0103343992922881e-7, 0.000027115555687434876, 0.0012426609473880784, 0.026532189526576124, 0.29656057182850487,
    1.7848265399172913, 5.463784911164114, 6.657904643501103,
  ],
  [
    2.0442631033899397e-15, 1.421511758316446e-7, 0.000018463183175100548, 0.0007868691311456133, 0.014875361290850615,
    0.1369298809227358, 0.599832206555888, 1,
  ],
] as const;

function rational([above, below]: readonly [readonly number[], readonly number[]], x: number): number {
  let p = above[0]!;
  let q = below[0]!;
  for (let i = 1; i < 8; i++) {
    p = p * x + above[i]!;
    q = q * x + below[i]!;
  }
  return p / q;
}

/**
 * The standard normal quantile of u in (0, 1), with a relative error near 1e-16.
 * Source: Wichura, Algorithm AS 241: The percentage points of the normal distribution, Applied Statistics 37, 1988
 * (PPND16), with the logarithm above.
 */
export function normalQuantileExact(u: number): number {
  const q = u - 0.5;
  if (q >= -0.425 && q <= 0.425) return q * rational(central, 0.180625 - q * q);
  const r = Math.sqrt(-logExact(q < 0 ? u : 1 - u));
  const z = r <= 5 ? rational(middle, r - 1.6) : rational(far, r - 5);
  return q < 0 ? -z : z;
}
