/** The numbers of an encoder, drawn from its key by name, with the fixed statistics of its hidden layers. */
import { expandTensor, expandWords } from "../expand.ts";
import type { Key } from "../keys.ts";
import { patchGrid, type ImageShape, type Scheme } from "./scheme.ts";

/** Mean and variance of a hidden layer's units. */
export interface LayerStatistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

export interface EncoderWeights {
  /** [width, channels x patch x patch] and [width]; the linear scheme has [outputs, ...] and [outputs]. */
  readonly first: Affine;
  /** [width, width] and [width] of each hidden layer. */
  readonly hidden: readonly Affine[];
  /** One for each hidden layer where the statistics belong to the key; none otherwise. */
  readonly statistics: readonly LayerStatistics[];
  /** [patches, width], added; absent where the place does not enter so. */
  readonly position?: Float32Array;
  /** [patches, width] of +1 and -1, one for each of the last two activations; empty where the place does not enter so. */
  readonly signs: readonly Float32Array[];
  /** [patches, patches]; absent without mixing. */
  readonly mixing?: Float32Array;
  /** [outputs, width] and [outputs]; absent in the linear scheme. */
  readonly last?: Affine;
}

export interface Affine {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Weight [out, in] and bias [out] as PyTorch initialises Linear and Conv2d: uniform within 1 / sqrt(in). */
function affine(key: Pick<Key, "secret">, name: string, out: number, inputs: number): Affine {
  const bound = 1 / Math.sqrt(inputs);
  return {
    weight: expandTensor(key, `${name}.weight`, [out, inputs], { kind: "uniform", bound }),
    bias: expandTensor(key, `${name}.bias`, [out], { kind: "uniform", bound }),
  };
}

/**
 * Draws an encoder. Tensors depend on the key, their name and their sizes alone, so depth and position can be changed
 * without changing the rest.
 */
export function drawWeights(scheme: Scheme, key: Pick<Key, "secret">, shape: ImageShape): EncoderWeights {
  const { width, depth, outputs, patch, position, normalisation } = scheme;
  const inputs = shape.channels * patch ** 2;
  if (scheme.linear) return { first: affine(key, "first", outputs, inputs), hidden: [], statistics: [], signs: [] };
  const { patches } = patchGrid(scheme, shape);
  const first = affine(key, "first", width, inputs);
  const hidden = Array.from({ length: depth }, (_, i) => affine(key, `hidden.${i}`, width, width));
  return {
    first,
    hidden,
    statistics: normalisation === "key" ? calibrate(first, hidden, shape.channels, patch, width) : [],
    ...(position.kind === "added"
      ? {
          position: expandTensor(key, "position", [patches, width], { kind: "normal", deviation: 1 }).map(
            (v) => v * position.scale,
          ),
        }
      : {}),
    signs:
      position.kind === "keyed"
        ? [0, 1].map((k) => Float32Array.from(expandWords(key.secret, `signs.${k}`, patches * width), signOf))
        : [],
    ...(scheme.mixing
      ? {
          mixing: expandTensor(key, "mixing", [patches, patches], {
            kind: "normal",
            deviation: 1 / Math.sqrt(patches),
          }),
        }
      : {}),
    last: affine(key, "last", outputs, width),
  };
}

const signOf = (word: number): number => (word >>> 31 === 0 ? 1 : -1);

/** Made patches that statistics are taken from. */
const calibrationPatches = 64;

/**
 * Patches that stand for normalised images and come from no image: a brightness, a slope and a little noise each, drawn
 * from a public name under an all-zero secret. [patches, channels x patch x patch].
 */
export function calibrationInputs(channels: number, patch: number): Float32Array {
  const open = { secret: new Uint8Array(32) };
  const draw = (name: string, count: number, deviation: number): Float32Array =>
    expandTensor(open, `calibration.${name}`, [count], { kind: "normal", deviation });
  const brightness = draw("brightness", calibrationPatches, 1);
  const slopes = draw("slopes", 2 * calibrationPatches, 0.5);
  const area = patch ** 2;
  const out = draw("noise", calibrationPatches * channels * area, 0.1);
  for (let p = 0; p < calibrationPatches; p++)
    for (let i = 0; i < channels * area; i++) {
      const y = Math.floor((i % area) / patch) / patch - 0.5;
      const x = (i % patch) / patch - 0.5;
      out[p * channels * area + i]! += brightness[p]! + slopes[2 * p]! * x + slopes[2 * p + 1]! * y;
    }
  return out;
}

/**
 * Mean and biased variance of each unit of each hidden layer over the made patches, before normalisation. In float64, in a
 * fixed order, with exactly rounded operations: a function of the key alone, the same on every machine.
 */
function calibrate(
  first: Affine,
  hidden: readonly Affine[],
  channels: number,
  patch: number,
  width: number,
): LayerStatistics[] {
  if (hidden.length === 0) return [];
  let x = layer(Float64Array.from(calibrationInputs(channels, patch)), first, width);
  x.forEach((v, i) => (x[i] = Math.max(v, 0)));
  return hidden.map((each) => {
    x = layer(x, each, width);
    const statistics = unitStatistics(x, width);
    const { mean, variance } = statistics;
    const scale = variance.map((v) => 1 / Math.sqrt(v + normalisationEpsilon));
    for (let i = 0; i < x.length; i++) {
      const unit = i % width;
      x[i] = Math.max((x[i]! - mean[unit]!) * scale[unit]!, 0);
    }
    return statistics;
  });
}

/** Added to variances, as PyTorch's BatchNorm does. */
export const normalisationEpsilon = 1e-5;

/** x W' + b: [rows, in] -> [rows, out], each sum over the inputs in order. Eight rows at a time share a weight's load. */
function layer(x: Float64Array, { weight, bias }: Affine, out: number): Float64Array {
  const inputs = weight.length / out;
  const rows = x.length / inputs;
  const y = new Float64Array(rows * out);
  const block = 8;
  // [in, block] for each block of rows, so that the inner loop reads in order.
  const columns = new Float64Array(inputs * block);
  for (let start = 0; start < rows; start += block) {
    for (let i = 0; i < inputs; i++)
      for (let r = 0; r < block; r++) columns[i * block + r] = x[(start + r) * inputs + i]!;
    for (let o = 0; o < out; o++) {
      const b = bias[o]!;
      let [s0, s1, s2, s3, s4, s5, s6, s7] = [b, b, b, b, b, b, b, b];
      const row = o * inputs;
      for (let i = 0, at = 0; i < inputs; i++, at += 8) {
        const w = weight[row + i]!;
        s0 += w * columns[at]!;
        s1 += w * columns[at + 1]!;
        s2 += w * columns[at + 2]!;
        s3 += w * columns[at + 3]!;
        s4 += w * columns[at + 4]!;
        s5 += w * columns[at + 5]!;
        s6 += w * columns[at + 6]!;
        s7 += w * columns[at + 7]!;
      }
      [s0, s1, s2, s3, s4, s5, s6, s7].forEach((s, r) => (y[(start + r) * out + o] = s));
    }
  }
  return y;
}

function unitStatistics(x: Float64Array, width: number): LayerStatistics {
  const rows = x.length / width;
  const mean = new Float64Array(width);
  const variance = new Float64Array(width);
  for (let i = 0; i < x.length; i++) mean[i % width]! += x[i]! / rows;
  for (let i = 0; i < x.length; i++) variance[i % width]! += (x[i]! - mean[i % width]!) ** 2 / rows;
  return { mean, variance };
}
