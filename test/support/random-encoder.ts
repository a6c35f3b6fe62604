/** The formula of the `neuracrypt` scheme on patches, for tests and benches of attacks: no key files, no releases. */
import { vectors, type Vectors } from "../../src/encoding/attacks/arrays.ts";
import type { Products } from "../../src/encoding/attacks/products.ts";
import { seededRandom, shuffle } from "../../src/math/random.ts";

export interface EncoderOptions {
  readonly width: number;
  /** Blocks of mixing, normalisation with fixed statistics, and ReLU; -1 is the linear scheme. */
  readonly depth: number;
  /** Factor on the secret position vectors. */
  readonly position?: number;
  /** Standard deviation of Gaussian noise, in deviations of the encoding. */
  readonly noise?: number;
  readonly seed: number | string;
}

/** Encodes patches of pixels; statistics of the normalisation come from `calibration`. No shuffle yet. */
export async function randomEncodings(
  images: Vectors,
  calibration: Vectors,
  { width, depth, position = 1, noise = 0, seed }: EncoderOptions,
  { product }: Products,
): Promise<Vectors> {
  const uniform = (name: string, rows: number, columns: number): Float32Array => {
    const random = seededRandom(seed, name);
    const bound = 1 / Math.sqrt(columns);
    return Float32Array.from({ length: rows * columns }, () => (2 * random.uniform() - 1) * bound);
  };
  const dense = async (x: Float32Array, name: string, fan: number, relu = false): Promise<Float32Array> => {
    const rows = x.length / fan;
    const bias = biasOf(name, fan);
    const y = await product(x, uniform(name, width, fan), { m: rows, k: fan, n: width }, { transB: true });
    for (let at = 0; at < y.length; at++) {
      const v = y[at]! + bias[at % width]!;
      y[at] = relu && v < 0 ? 0 : v;
    }
    return y;
  };
  const biasOf = (name: string, fan: number): Float32Array => {
    const random = seededRandom(seed, `${name}.bias`);
    return Float32Array.from({ length: width }, () => (2 * random.uniform() - 1) / Math.sqrt(fan));
  };
  const statistics: [Float64Array, Float64Array][] = [];
  const positions = seededRandom(seed, "position");
  const place = Float32Array.from({ length: images.patches * width }, () => position * positions.gaussian());
  const run = async (set: Vectors, calibrating: boolean): Promise<Float32Array> => {
    let x = await dense(set.data, "first", set.width, depth >= 0);
    if (depth < 0) return x;
    for (let block = 0; block < depth; block++) {
      x = await dense(x, `block${block}`, width);
      if (calibrating) statistics.push(momentsOf(x, width));
      const [mean, deviation] = statistics[block]!;
      for (let at = 0; at < x.length; at++) {
        const c = at % width;
        const v = (x[at]! - mean[c]!) / deviation[c]!;
        x[at] = v < 0 ? 0 : v;
      }
    }
    for (let at = 0; at < x.length; at++) x[at] = Math.max(0, x[at]! + place[at % place.length]!);
    return dense(x, "last", width);
  };
  if (depth > 0) await run(calibration, true);
  const data = await run(images, false);
  if (noise > 0) {
    const random = seededRandom(seed, "noise");
    let squares = 0;
    for (const x of data) squares += x * x;
    const sigma = noise * Math.sqrt(squares / data.length);
    for (let at = 0; at < data.length; at++) data[at]! += sigma * random.gaussian();
  }
  return vectors(data, images.images, images.patches, width);
}

function momentsOf(x: Float32Array, width: number): [Float64Array, Float64Array] {
  const [sum, squares] = [new Float64Array(width), new Float64Array(width)];
  const n = x.length / width;
  for (let at = 0; at < x.length; at++) {
    sum[at % width]! += x[at]!;
    squares[at % width]! += x[at]! ** 2;
  }
  return [sum.map((s) => s / n), squares.map((s, c) => Math.sqrt(Math.max(0, s / n - (sum[c]! / n) ** 2) + 1e-5))];
}

/** Every image's patches in an order of their own: the true position of each shuffled patch, [images * patches]. */
export function shuffledOrders(images: number, patches: number, seed: number | string): Int32Array {
  const random = seededRandom(seed, "shuffle");
  return Int32Array.from(Array.from({ length: images }, () => shuffle([...Array(patches).keys()], random)).flat());
}
