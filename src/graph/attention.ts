import { unsupported, type ForeignNode } from "./foreign-node.ts";
import { add, expand, matMul, mul, reshape, softmax, transpose, unsqueeze, where } from "./operators.ts";
import { floatOf, intOf } from "./shape.ts";
import { dataFrom } from "./tensor.ts";
import { constant, scalar, type Value } from "./value.ts";

/**
 * Attention-23 as the products it stands for: softmax(Q K' scale + mask) V over heads. Queries, keys and values are
 * [batch, heads, positions, width] or [batch, positions, heads x width]; fewer heads of keys than of queries are repeated.
 * Throws LG-GRAPH-003 for caches, soft caps and windows.
 * Source: the operator's definition in ONNX; Vaswani et al. 2017, 3.2.1.
 */
export function attentionParts(node: ForeignNode): readonly Value[] {
  if (node.outputs > 1 || node.inputs.slice(4).some((v) => v !== undefined))
    throw unsupported(node, "a cache of keys and values, or the matrix of scores as an output");
  if (floatOf(node.attributes, "softcap", 0) !== 0) throw unsupported(node, "softcap other than 0");
  for (const side of ["left_window_size", "right_window_size"])
    if (intOf(node.attributes, side, -1) >= 0) throw unsupported(node, `${side} other than -1`);
  const [q, k, v, mask] = node.inputs;
  if (!q || !k || !v) throw unsupported(node, "queries, keys or values are missing");
  const [queryHeads, keyHeads] = ["q_num_heads", "kv_num_heads"].map((name) => intOf(node.attributes, name, 0));
  const queries = byHead(node, q, queryHeads!);
  const heads = queries.shape[1]!;
  const [keys, values] = [k, v].map((x) => repeatHeads(node, byHead(node, x, keyHeads!), heads)) as [Value, Value];
  const width = queries.shape[3]!;
  const scale = scalar(floatOf(node.attributes, "scale", 1 / Math.sqrt(width)), q.dtype);
  let scores = matMul(mul(queries, scale), transpose(keys, [0, 1, 3, 2]));
  if (intOf(node.attributes, "is_causal", 0) === 1) scores = where(causalMask(scores.shape), scores, lowest(q));
  if (mask?.dtype === "bool") scores = where(mask, scores, lowest(q));
  else if (mask) scores = add(scores, mask);
  const y = matMul(softmax(scores, -1), values);
  if (q.shape.length === 4) return [y];
  const [batch, positions] = q.shape;
  return [reshape(transpose(y, [0, 2, 1, 3]), [batch!, positions!, heads * values.shape[3]!])];
}

/** [batch, positions, heads x width] as [batch, heads, positions, width]. */
function byHead(node: ForeignNode, x: Value, heads: number): Value {
  if (x.shape.length === 4) return x;
  const [batch, positions, features] = x.shape;
  if (x.shape.length !== 3 || heads < 1 || features! % heads !== 0)
    throw unsupported(node, `${heads} heads do not fit operands of rank ${x.shape.length}`);
  return transpose(reshape(x, [batch!, positions!, heads, features! / heads]), [0, 2, 1, 3]);
}

/** Every head of keys serves as many neighbouring heads of queries as there are to each. */
function repeatHeads(node: ForeignNode, x: Value, heads: number): Value {
  const [batch, own, positions, width] = x.shape as [number, number, number, number];
  if (own === heads) return x;
  if (heads % own !== 0) throw unsupported(node, `${heads} heads of queries for ${own} of keys`);
  const repeated = expand(unsqueeze(x, [2]), [batch, own, heads / own, positions, width]);
  return reshape(repeated, [batch, heads, positions, width]);
}

const lowest = (like: Value): Value => constant(dataFrom(like.dtype, [-Infinity]), [], like.dtype);

/** Query i sees keys 0 to i. */
function causalMask(shape: readonly number[]): Value {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const seen = Uint8Array.from({ length: rows * columns }, (_, at) => Number(at % columns <= Math.floor(at / columns)));
  return constant(seen, [rows, columns], "bool");
}
