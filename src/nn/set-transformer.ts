import {
  add,
  concat,
  expand,
  gelu,
  layerNormalization,
  matMul,
  mul,
  reshape,
  scalar,
  slice,
  softmax,
  split,
  squeeze,
  transpose,
  transposeLast,
  type Value,
} from "../graph/index.ts";
import { ones, zeros, type Initialiser } from "./initialisers.ts";
import { dense, layerNorm } from "./layers.ts";
import type { Scope } from "./model.ts";

export interface SetTransformerOptions {
  readonly layers?: number;
  readonly heads?: number;
  /** Numbers of a head; independent of the width. */
  readonly headWidth?: number;
}

/** Standard normal numbers, as the published code starts tokens and head mixings. */
const normal: Initialiser = (shape, random) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.gaussian());

/**
 * The classifier of NeuraCrypt's code on sets of vectors [rows, elements, width]: a class token, no places, pre-norm blocks
 * whose attention maps are mixed over heads and normalised (re-attention), and a linear head on the class token. Its answer
 * does not depend on the order of the elements. With two outputs and the published sizes it has 20,998,226 parameters.
 * Source: arXiv 2106.02484 and its code; re-attention: Zhou et al., DeepViT, 2021.
 */
export function setTransformer(
  scope: Scope,
  x: Value,
  outputs: number,
  { layers = 1, heads = 8, headWidth = 64 }: SetTransformerOptions = {},
): Value {
  const [rows, , width] = x.shape as [number, number, number];
  const token = expand(scope.parameter("token", [1, 1, width], normal), [rows, 1, width]);
  let y: Value = concat([token, x], 1);
  for (let i = 0; i < layers; i++) {
    const block = scope.at(`layers.${i}`);
    y = add(y, reAttention(block.at("attention"), layerNorm(block.at("norm1"), y), heads, headWidth));
    const hidden = gelu(dense(block.at("fc1"), layerNorm(block.at("norm2"), y), 2 * width));
    y = add(y, dense(block.at("fc2"), hidden, width));
  }
  const answer = reshape(slice(y, [0], [1], [1]), [rows, width]);
  return dense(scope.at("head"), layerNorm(scope.at("norm"), answer), outputs);
}

/** Attention whose maps are mixed over the heads by a learned matrix and then normalised over the heads. */
function reAttention(scope: Scope, x: Value, heads: number, size: number): Value {
  const [rows, tokens, width] = x.shape as [number, number, number];
  const inner = heads * size;
  const qkv = dense(scope.at("qkv"), x, 3 * inner, { bias: false });
  const parts = split(transpose(reshape(qkv, [rows, tokens, 3, heads, size]), [2, 0, 3, 1, 4]), [1, 1, 1], 0);
  const [q, k, v] = parts.map((part) => squeeze(part, [0])) as [Value, Value, Value];
  const maps = softmax(matMul(mul(q, scalar(1 / Math.sqrt(size))), transposeLast(k)), -1);
  const mixing = scope.parameter("heads.weight", [heads, heads], normal);
  // [rows, i, j, heads] x [heads, heads]: einsum("bhij,hg->bgij").
  const mixed = matMul(transpose(maps, [0, 2, 3, 1]), mixing);
  const norm = layerNormalization(
    mixed,
    scope.parameter("heads.scale", [heads], ones),
    scope.parameter("heads.shift", [heads], zeros),
  ).y;
  const joined = matMul(transpose(norm, [0, 3, 1, 2]), v);
  return dense(scope.at("proj"), reshape(transpose(joined, [0, 2, 1, 3]), [rows, tokens, inner]), width);
}
