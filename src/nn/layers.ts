import {
  add,
  conv,
  div,
  gelu,
  gemm,
  groupNormalization,
  layerNormalization,
  leakyRelu,
  matMul,
  mish,
  mul,
  reduceMax,
  reduceMean,
  reduceMin,
  relu,
  reshape,
  scalar,
  sizeOf,
  softmax,
  sqrt,
  sub,
  transpose,
  transposeLast,
  split,
  squeeze,
  type Value,
} from "../graph/index.ts";
import { ones, truncatedNormal, uniformFan, zeros, type Initialiser } from "./initialisers.ts";
import type { Scope } from "./model.ts";

export type Activation = "relu" | "mish" | "gelu" | "leaky-relu";

const activations: Readonly<Record<Activation, (x: Value) => Value>> = {
  relu,
  mish,
  gelu: (x) => gelu(x),
  "leaky-relu": (x) => leakyRelu(x, 0.2),
};

export const activate = (kind: Activation, x: Value): Value => activations[kind](x);

/** Dense layer over the last axis: [..., in] -> [..., out]; weight [out, in] as PyTorch stores it. */
export function dense(
  scope: Scope,
  x: Value,
  out: number,
  { bias = true, weight = uniformFan() }: { bias?: boolean; weight?: Initialiser } = {},
): Value {
  const features = x.shape.at(-1)!;
  const w = scope.parameter("weight", [out, features], weight);
  const b = bias ? scope.parameter("bias", [out], weight === zeros ? zeros : uniformFan(features)) : undefined;
  const y = gemm(reshape(x, [-1, features]), w, b, { transB: true });
  return reshape(y, [...x.shape.slice(0, -1), out]);
}

/**
 * Convolution over images or volumes [rows, channels, ...spatial]; weight [out, channels, ...kernel]. Kernel, stride and
 * padding are the same along all axes, or given for each.
 */
export function convolution(
  scope: Scope,
  x: Value,
  out: number,
  kernel: number | readonly number[],
  {
    stride = 1,
    padding = 0,
    bias = true,
    weight = uniformFan(),
    standardised = false,
  }: {
    stride?: number | readonly number[];
    padding?: number | readonly number[];
    bias?: boolean;
    weight?: Initialiser;
    standardised?: boolean;
  } = {},
): Value {
  const [channels, rank] = [x.shape[1]!, x.shape.length - 2];
  const along = (v: number | readonly number[]): readonly number[] =>
    typeof v === "number" ? Array<number>(rank).fill(v) : v;
  const raw = scope.parameter("weight", [out, channels, ...along(kernel)], weight);
  const w = standardised ? standardisedWeight(raw) : raw;
  const b = bias ? scope.parameter("bias", [out], uniformFan(channels * sizeOf(along(kernel)))) : undefined;
  return conv(x, w, b, { strides: along(stride), pads: [...along(padding), ...along(padding)] });
}

/**
 * A convolution's weight with each filter brought to mean 0 and deviation 1 / sqrt(fan in), so that no step changes a
 * filter's size, only its shape. Source: Qiao et al. 2019 (arXiv 1903.10520); under privacy De et al. 2022.
 */
function standardisedWeight(weight: Value): Value {
  const [out, ...rest] = weight.shape as [number, ...number[]];
  const fan = sizeOf(rest);
  const flat = reshape(weight, [out, fan]);
  const centred = sub(flat, reduceMean(flat, [1], true));
  const variance = reduceMean(mul(centred, centred), [1], true);
  // 1e-4 / fan is what arXiv 2101.08692 puts under the root.
  return reshape(div(centred, sqrt(mul(add(variance, scalar(1e-4 / fan)), scalar(fan)))), weight.shape);
}

/** Group normalisation with trainable scale and bias; `groups` is lowered to a divisor of the channels where needed. */
export function groupNorm(scope: Scope, x: Value, groups: number): Value {
  const channels = x.shape[1]!;
  return groupNormalization(
    x,
    scope.parameter("weight", [channels], ones),
    scope.parameter("bias", [channels], zeros),
    groups,
  );
}

/** Layer normalisation over the last axis. */
export function layerNorm(scope: Scope, x: Value): Value {
  const width = x.shape.at(-1)!;
  return layerNormalization(x, scope.parameter("weight", [width], ones), scope.parameter("bias", [width], zeros)).y;
}

/** Multi-head self-attention over tokens [rows, tokens, width]; qkv rows ordered [q, k, v][head][within head]. */
export function selfAttention(scope: Scope, x: Value, heads: number): Value {
  const [rows, tokens, width] = x.shape as [number, number, number];
  const size = width / heads;
  const qkv = dense(scope.at("qkv"), x, 3 * width, { weight: truncatedNormal(0.02) });
  const parts = split(transpose(reshape(qkv, [rows, tokens, 3, heads, size]), [2, 0, 3, 1, 4]), [1, 1, 1], 0);
  const [q, k, v] = parts.map((part) => squeeze(part, [0])) as [Value, Value, Value];
  // The scale goes on the queries, which are smaller than the logits.
  const logits = matMul(mul(q, scalar(1 / Math.sqrt(size))), transposeLast(k));
  const mixed = matMul(softmax(logits, -1), v);
  const joined = reshape(transpose(mixed, [0, 2, 1, 3]), [rows, tokens, width]);
  return dense(scope.at("proj"), joined, width, { weight: truncatedNormal(0.02) });
}

/**
 * Attention pooling of a sequence [rows, tokens, width] -> [rows, width]: the query is the mean over the tokens, keys and
 * values are the tokens; the arithmetic of PyTorch's MultiheadAttention, with `in_proj_weight` cut into that of the query
 * and that of keys and values, ordered [k, v][head][within head].
 */
export function attentionPooling(scope: Scope, x: Value, heads: number): Value {
  const [rows, tokens, width] = x.shape as [number, number, number];
  const size = width / heads;
  // PyTorch draws its in_proj_weight as one: Xavier uniform over [3 width, width].
  const weight = uniformFan((2 * width) / 3);
  const query = dense(scope.at("q"), reduceMean(x, [1]), width, { weight });
  const keysAndValues = dense(scope.at("kv"), x, 2 * width, { weight });
  const parts = split(transpose(reshape(keysAndValues, [rows, tokens, 2, heads, size]), [2, 0, 3, 1, 4]), [1, 1], 0);
  const [k, v] = parts.map((part) => squeeze(part, [0])) as [Value, Value];
  const q = mul(reshape(query, [rows, heads, 1, size]), scalar(1 / Math.sqrt(size)));
  const mixed = matMul(softmax(matMul(q, transposeLast(k)), -1), v);
  return dense(scope.at("out_proj"), reshape(mixed, [rows, width]), width);
}

/** Pre-norm transformer block with a GELU layer of four times the width. */
export function transformerBlock(scope: Scope, x: Value, heads: number): Value {
  const width = x.shape.at(-1)!;
  const attended = add(x, selfAttention(scope, layerNorm(scope.at("norm1"), x), heads));
  const hidden = gelu(
    dense(scope.at("fc1"), layerNorm(scope.at("norm2"), attended), 4 * width, { weight: truncatedNormal(0.02) }),
  );
  return add(attended, dense(scope.at("fc2"), hidden, width, { weight: truncatedNormal(0.02) }));
}

/** How pixels are scaled before a network sees them; fixed constants are public or counted, per-image ones cost nothing. */
export type Normalisation =
  | { readonly kind: "none" }
  | { readonly kind: "standardise" }
  | { readonly kind: "minmax" }
  | { readonly kind: "fixed"; readonly mean: number; readonly deviation: number };

/** Normalises images [rows, channels, ...] by constants or by each image's own statistics; constant images become 0. */
export function normalise(x: Value, how: Normalisation): Value {
  if (how.kind === "none") return x;
  if (how.kind === "fixed") return mul(sub(x, scalar(how.mean)), scalar(1 / how.deviation));
  const flat = reshape(x, [x.shape[0]!, sizeOf(x.shape.slice(1))]);
  if (how.kind === "minmax") {
    const low = reduceMin(flat, [1], true);
    const range = sub(reduceMax(flat, [1], true), low);
    return reshape(div(sub(flat, low), add(range, scalar(1e-6))), x.shape);
  }
  const { centred, deviation } = imageStatistics(flat);
  return reshape(div(centred, add(deviation, scalar(1 / 255))), x.shape);
}

/** Mean, deviation and centred pixels of each row of [rows, pixels]. */
export function imageStatistics(flat: Value): { mean: Value; deviation: Value; centred: Value } {
  const mean = reduceMean(flat, [1], true);
  const centred = sub(flat, mean);
  return { mean, centred, deviation: sqrt(reduceMean(mul(centred, centred), [1], true)) };
}
