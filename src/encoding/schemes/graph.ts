/** Encoders as ONNX graphs: [rows, channels, height, width] in [0, 1] to encodings [rows, patches, outputs] in order. */
import {
  add,
  apply,
  constant,
  div,
  gemm,
  graphOf,
  input,
  int64s,
  matMul,
  mul,
  reduceMean,
  relu,
  reshape,
  scalar,
  sqrt,
  sub,
  transpose,
  type Graph,
  type Value,
} from "../../graph/index.ts";
import type { Key } from "../keys.ts";
import { patchGrid, schemeNamed, type ImageShape, type Scheme } from "./scheme.ts";
import {
  drawWeights,
  normalisationEpsilon,
  type Affine,
  type EncoderWeights,
  type LayerStatistics,
} from "./weights.ts";

/**
 * The encoder of a key as a graph: input `image` [rows, channels, height, width] in [0, 1], output `encodings`
 * [rows, patches, outputs], patches row by row, before shuffling, dropping and noise. It holds the secret.
 * Source: Yala et al., NeuraCrypt, arXiv 2106.02484, and its published code; the variants are ours.
 */
export function encoderGraph(
  scheme: string | Scheme,
  key: Pick<Key, "secret">,
  { rows, ...shape }: ImageShape & { readonly rows: number },
): Graph {
  const found = schemeNamed(scheme);
  return encoderGraphOf(found, drawWeights(found, key, shape), { rows, ...shape });
}

/** The same with weights that are at hand, as an attacker's guess or a test has them. */
export function encoderGraphOf(
  scheme: Scheme,
  weights: EncoderWeights,
  { rows, ...shape }: ImageShape & { readonly rows: number },
): Graph {
  const image = input("image", [rows, shape.channels, shape.height, shape.width]);
  const { patches } = patchGrid(scheme, shape);
  const encodings = encode(scheme, weights, patchesOf(scheme, shape, image), rows);
  return graphOf(`encoder ${scheme.name}`, { encodings: reshape(encodings, [rows, patches, scheme.outputs]) }, [image]);
}

/** Normalised patches [rows x patches, channels x patch x patch]: channel, then row, then column. */
function patchesOf(scheme: Scheme, shape: ImageShape, image: Value): Value {
  const { patch, pixels } = scheme;
  const { down, across } = patchGrid(scheme, shape);
  const [rows, channels] = image.shape as [number, number];
  const [below, right] = [down * patch - shape.height, across * patch - shape.width];
  let x: Value = mul(sub(image, scalar(pixels.mean)), scalar(1 / pixels.deviation));
  if (below > 0 || right > 0)
    x = apply("Pad", [x, int64s([0, 0, 0, 0, 0, 0, below, right])], { mode: { string: "edge" } })[0]!;
  const split = reshape(x, [rows, channels, down, patch, across, patch]);
  return reshape(transpose(split, [0, 2, 4, 1, 3, 5]), [rows * down * across, channels * patch ** 2]);
}

const affine = (x: Value, { weight, bias }: Affine): Value => {
  const [out, inputs] = [bias.length, weight.length / bias.length];
  return gemm(x, constant(weight, [out, inputs]), constant(bias, [out]), { transB: true });
};

function encode(scheme: Scheme, weights: EncoderWeights, patches: Value, rows: number): Value {
  if (scheme.linear) return affine(patches, weights.first);
  const { width, depth } = scheme;
  const perImage = patches.shape[0]! / rows;
  const placed = (x: Value, table: Float32Array, combine: (a: Value, b: Value) => Value): Value =>
    reshape(combine(reshape(x, [rows, perImage, width]), constant(table, [1, perImage, width])), [
      rows * perImage,
      width,
    ]);
  /** Keyed signs stand before the last two activations, where there are two. */
  const signed = (x: Value, activation: number): Value => {
    const signs = weights.signs[activation - (depth - 1)];
    return signs && activation >= 0 ? placed(x, signs, mul) : x;
  };
  let x = relu(signed(affine(patches, weights.first), 0));
  weights.hidden.forEach((hidden, i) => {
    const statistics = weights.statistics[i];
    const normalised = statistics ? affine(x, folded(hidden, statistics)) : batchNormalised(affine(x, hidden));
    x = relu(signed(normalised, i + 1));
  });
  if (weights.position) x = placed(x, weights.position, add);
  if (weights.mixing) {
    const mixing = constant(weights.mixing, [1, perImage, perImage]);
    x = reshape(matMul(mixing, reshape(x, [rows, perImage, width])), [rows * perImage, width]);
  }
  return affine(relu(x), weights.last!);
}

/** Normalisation by fixed statistics as part of the layer before it, computed in float64 and rounded once. */
function folded({ weight, bias }: Affine, { mean, variance }: LayerStatistics): Affine {
  const inputs = weight.length / bias.length;
  const scale = variance.map((v) => 1 / Math.sqrt(v + normalisationEpsilon));
  return {
    weight: weight.map((w, i) => w * scale[Math.floor(i / inputs)]!),
    bias: bias.map((b, unit) => (b - mean[unit]!) * scale[unit]!),
  };
}

/** BatchNorm by the statistics of the batch, biased variance, without scale and shift (which are 1 and 0). */
function batchNormalised(x: Value): Value {
  const centred = sub(x, reduceMean(x, [0], true));
  const variance = reduceMean(mul(centred, centred), [0], true);
  return div(centred, sqrt(add(variance, scalar(normalisationEpsilon))));
}
