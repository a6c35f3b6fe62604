import { LeadglassError } from "../errors.ts";
import { erfc } from "./special.ts";

/** Where random numbers come from. Two kinds exist: {@link secureRandom} and {@link seededRandom}. */
export interface RandomSource {
  /** True when the numbers come from the platform's cryptographic generator and cannot be reproduced. */
  readonly secure: boolean;
  /** A uniform integer in [0, 2^32). */
  uint32(): number;
  /** A uniform number in [0, 1), a multiple of 2^-53. */
  uniform(): number;
  /** A uniform integer in [0, n), without modulo bias; n is an integer from 1 to 2^53. */
  integer(n: number): number;
  /** A standard normal number. */
  gaussian(): number;
  /** `n` uniform bytes. */
  bytes(n: number): Uint8Array<ArrayBuffer>;
  /** Fills `out` with uniform 32-bit words; the fast way to many numbers. */
  words(out: Uint32Array<ArrayBuffer>): void;
  /** Wipes what is buffered; the source cannot be used afterwards. */
  [Symbol.dispose](): void;
}

const TWO_32 = 4294967296;
const TWO_53 = 9007199254740992;

/** Single draws go through a buffer this long, so that a few coins do not cost a whole block. */
const SMALL_BUFFER_WORDS = 256;

/** Builds a source on a generator that fills arrays of words; single draws erase each word as they hand it out. */
function sourceOf(
  secure: boolean,
  fillWords: (out: Uint32Array<ArrayBuffer>) => void,
  wipeState: () => void,
): RandomSource {
  const buffer = new Uint32Array(SMALL_BUFFER_WORDS);
  let position = SMALL_BUFFER_WORDS;
  let open = true;
  const fill = (out: Uint32Array<ArrayBuffer>): void => {
    if (!open) throw new LeadglassError("LG-BUG-001", "random source: used after it was disposed");
    fillWords(out);
  };
  const next = (): number => {
    if (position === SMALL_BUFFER_WORDS) {
      fill(buffer);
      position = 0;
    }
    const word = buffer[position]!;
    buffer[position++] = 0;
    return word;
  };
  const uniform = (): number => ((next() >>> 5) * 67108864 + (next() >>> 6)) / TWO_53;
  return {
    secure,
    uint32: next,
    uniform,
    integer(n) {
      if (!(Number.isInteger(n) && n >= 1 && n <= TWO_53))
        throw new LeadglassError("LG-BUG-001", `random integer: range ${n}; expected an integer from 1 to 2^53`);
      // Rejection: only draws below the largest multiple of n are used.
      if (n <= TWO_32) {
        const limit = TWO_32 - (TWO_32 % n);
        for (;;) {
          const draw = next();
          if (draw < limit) return draw % n;
        }
      }
      const limit = TWO_53 - (TWO_53 % n);
      for (;;) {
        const draw = (next() >>> 11) * TWO_32 + next();
        if (draw < limit) return draw % n;
      }
    },
    gaussian: () => gaussianFrom(next(), next(), uniform),
    bytes(n) {
      const words = new Uint32Array(Math.ceil(n / 4));
      fill(words);
      // Little-endian by hand, so that a seeded stream is the same on every machine.
      const out = new Uint8Array(n);
      for (let i = 0; i < n; i++) out[i] = words[i >>> 2]! >>> (8 * (i & 3));
      words.fill(0);
      return out;
    },
    words: fill,
    [Symbol.dispose]() {
      open = false;
      position = SMALL_BUFFER_WORDS;
      buffer.fill(0);
      wipeState();
    },
  };
}

/** The Web Cryptography limit on one getRandomValues call is 65,536 bytes; calls of that size are also the fastest. */
const BLOCK_WORDS = 16384;
/**
 * Makes a source backed by the platform's cryptographic generator (`crypto.getRandomValues`). Words are erased from the
 * internal buffer as they are handed out; dispose it (`using source = secureRandom()`) to erase the rest.
 * Throws LG-PRIVACY-009 where the platform has no such generator.
 */
export function secureRandom(): RandomSource {
  const { crypto } = globalThis;
  if (typeof crypto?.getRandomValues !== "function")
    throw new LeadglassError("LG-PRIVACY-009", "secureRandom: this platform has no crypto.getRandomValues", {
      hint: "use Node 24 or newer, or a browser page served over HTTPS",
    });
  return sourceOf(
    true,
    (out) => {
      for (let at = 0; at < out.length; at += BLOCK_WORDS) crypto.getRandomValues(out.subarray(at, at + BLOCK_WORDS));
    },
    () => undefined, // the generator's state is the platform's
  );
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** A bijection on 32-bit words in which every input bit moves about half the output bits: MurmurHash3's finaliser. */
function mix(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}

/** 128 bits that stand for a seed and a path; not cryptographic, but well mixed. */
function stateOf(seed: number | string, path: readonly (number | string)[]): [number, number, number, number] {
  for (const part of [seed, ...path])
    if (typeof part === "number" && !Number.isFinite(part))
      throw new LeadglassError("LG-BUG-001", `seededRandom: a seed or path part is ${part}; expected a finite number`);
  // JSON tells 1 from "1" and ["a", "b"] from ["a,b"], so different paths are different texts.
  const text = new TextEncoder().encode(JSON.stringify([seed, ...path]));
  // The fractional parts of the square roots of 2, 3, 5, 7: arbitrary distinct starting points.
  let [a, b, c, d] = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a];
  const absorb = (word: number): void => {
    a = mix(a ^ word);
    b = mix((b + a) ^ rotate(word, 8));
    c = mix((c + b) ^ rotate(word, 16));
    d = mix((d + c) ^ rotate(word, 24));
    a = (a + d) | 0;
  };
  for (const byte of text) absorb(byte);
  for (let round = 0; round < 4; round++) absorb(text.length + round);
  // All zeros is the one state the generator cannot leave.
  return (a | b | c | d) === 0 ? [1, 0, 0, 0] : [a, b, c, d];
}

/**
 * Makes a reproducible source: the same seed and path always give the same numbers, and different paths give streams
 * that behave as independent. Because a stream depends only on its path (`seededRandom(seed, "noise", step)`), a run
 * can be resumed at any step without replaying the ones before. Not cryptographic: never for noise that must protect.
 * Throws LG-BUG-001 when a part of the path is not a finite number or a text.
 * Source: xoshiro128**, Blackman and Vigna, Scrambled Linear Pseudorandom Number Generators, 2018 (arXiv 1805.01407).
 */
export function seededRandom(seed: number | string, ...path: readonly (number | string)[]): RandomSource {
  const state = Int32Array.from(stateOf(seed, path));
  const fill = (out: Uint32Array<ArrayBuffer>): void => {
    // The state lives in local variables while a block is drawn, which is several times as fast.
    let [s0, s1, s2, s3] = [state[0]!, state[1]!, state[2]!, state[3]!];
    for (let i = 0; i < out.length; i++) {
      out[i] = Math.imul(rotate(Math.imul(s1, 5), 7), 9);
      const t = s1 << 9;
      s2 ^= s0;
      s3 ^= s1;
      s1 ^= s2;
      s0 ^= s3;
      s2 ^= t;
      s3 = rotate(s3, 11);
    }
    state.set([s0, s1, s2, s3]);
  };
  return sourceOf(false, fill, () => state.fill(0));
}

/** Shuffles an array in place, every order equally likely (Fisher and Yates), and returns it. */
export function shuffle<T>(array: T[], source: RandomSource): T[] {
  for (let i = array.length - 1; i > 0; i--) {
    const j = source.integer(i + 1);
    [array[i], array[j]] = [array[j]!, array[i]!];
  }
  return array;
}

// The ziggurat: the normal density is covered by 256 layers of equal area, so that a layer and one uniform number
// decide nearly every draw. Source: Marsaglia and Tsang, The Ziggurat Method, J. Stat. Software 5(8), 2000; the layer
// and the coordinate come from separate bits, as Doornik (2005) found necessary.
const LAYERS = 256;
/** Right edge of the lowest rectangle: the root at which 256 equal areas close exactly at the top. */
const TAIL_START = 3.6541528853610088;
/** Coordinates are signed integers of 55 bits and a sign. */
const COORDINATE_SCALE = 2 ** 55;

const bell = (x: number): number => Math.exp(-0.5 * x * x);

/** The tables: edge of each layer, its height, coordinate-to-x factor, and coordinate below which a draw is accepted. */
function zigguratTables() {
  const area = TAIL_START * bell(TAIL_START) + Math.sqrt(Math.PI / 2) * erfc(TAIL_START / Math.SQRT2);
  const edge = new Float64Array(LAYERS + 1);
  edge[0] = area / bell(TAIL_START);
  edge[1] = TAIL_START;
  for (let i = 1; i < LAYERS - 1; i++) edge[i + 1] = Math.sqrt(-2 * Math.log(bell(edge[i]!) + area / edge[i]!));
  edge[LAYERS] = 0;
  return {
    edge,
    height: edge.map(bell),
    factor: edge.map((x) => x / COORDINATE_SCALE),
    accept: edge.map((x, i) => (i === LAYERS ? 0 : (edge[i + 1]! / x) * COORDINATE_SCALE)),
  };
}
const { edge, height, factor, accept } = zigguratTables();

/** A standard normal number from two words; `uniform` is called only in the 1.5 % of cases that they do not decide. */
function gaussianFrom(first: number, second: number, uniform: () => number): number {
  const layer = first & 255;
  const coordinate = (first >> 8) * TWO_32 + second;
  const x = coordinate * factor[layer]!;
  return Math.abs(coordinate) < accept[layer]! ? x : resolve(layer, x, uniform);
}

/** Decides a draw that fell outside its layer's sure part: in the wedge by comparison with the density, or in the tail. */
function resolve(layer: number, x: number, uniform: () => number): number {
  for (;;) {
    if (layer === 0) {
      // Beyond the last edge, exactly: Marsaglia, Generating a variable from the tail of the normal, 1964.
      for (;;) {
        const beyond = -Math.log(1 - uniform()) / TAIL_START;
        if (-2 * Math.log(1 - uniform()) > beyond * beyond) return x < 0 ? -TAIL_START - beyond : TAIL_START + beyond;
      }
    }
    const low = height[layer]!;
    if (low + uniform() * (height[layer + 1]! - low) < bell(x)) return x;
    layer = Math.floor(uniform() * LAYERS);
    const coordinate = 2 * uniform() - 1;
    x = coordinate * edge[layer]!;
    if (Math.abs(x) < edge[layer + 1]!) return x;
  }
}

/**
 * Fills `out` with independent normal numbers of mean 0 and standard deviation `sigma`. Each is computed in float64 from
 * 64 random bits with exact tails (values up to 13 standard deviations occur with their right probability) and rounded
 * once to float32; or to the nearest multiple of `grid`, a power of two, where that is given: exactly, as long as none
 * exceeds 2^24 grids. No number exceeds 13.8 standard deviations. Source: the ziggurat above.
 */
export function fillGaussian(source: RandomSource, out: Float32Array, sigma: number, grid = 0): void {
  if (!(sigma >= 0 && sigma < Infinity))
    throw new LeadglassError("LG-BUG-001", `fillGaussian: standard deviation ${sigma}; expected a finite number >= 0`);
  // Adding and taking off 1.5 x 2^52 grids leaves a float64 below 2^51 grids rounded to a multiple of the grid.
  const shift = 1.5 * 2 ** 52 * grid;
  const block = new Uint32Array(Math.min(BLOCK_WORDS, 2 * out.length));
  // The same memory as signed words: reading the coordinate's upper half with its sign is cheaper than making one.
  const signed = new Int32Array(block.buffer);
  const { uniform } = source;
  const perBlock = block.length / 2;
  // Undecided draws wait until the block is through: without calls the main loop runs a quarter faster.
  const undecided = new Uint16Array(perBlock);
  for (let start = 0; start < out.length; start += perBlock) {
    const count = Math.min(perBlock, out.length - start);
    source.words(count === perBlock ? block : block.subarray(0, 2 * count));
    let waiting = 0;
    for (let i = 0; i < count; i++) {
      const first = signed[2 * i]!;
      const layer = first & 255;
      const coordinate = (first >> 8) * TWO_32 + block[2 * i + 1]!;
      out[start + i] = coordinate * factor[layer]! * sigma + shift - shift;
      if (Math.abs(coordinate) >= accept[layer]!) undecided[waiting++] = i;
    }
    for (let k = 0; k < waiting; k++) {
      const i = undecided[k]!;
      const layer = signed[2 * i]! & 255;
      const coordinate = (signed[2 * i]! >> 8) * TWO_32 + block[2 * i + 1]!;
      out[start + i] = sigma * resolve(layer, coordinate * factor[layer]!, uniform) + shift - shift;
    }
  }
  block.fill(0);
}
