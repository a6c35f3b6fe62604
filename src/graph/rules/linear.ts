import { broadcastShapes, intOf, operand, refuse, sameDType, type ShapeRule } from "../shape.ts";

/** Batched matrix product over the last two axes (MatMul-13); a vector operand gains, then loses, an axis of 1. */
const matMul: ShapeRule = (node) => {
  const [a, b] = [operand(node, 0), operand(node, 1)];
  sameDType(node, [0, 1]);
  if (a.shape.length === 0 || b.shape.length === 0) throw refuse(node, "scalars have no matrix product");
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape;
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape;
  const [k, k2] = [left.at(-1), right.at(-2)];
  if (k !== k2) throw refuse(node, `inner dimensions ${k} and ${k2} differ`);
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2));
  if (!batch) throw refuse(node, "batch dimensions do not broadcast");
  const rows = a.shape.length === 1 ? [] : [left.at(-2)!];
  const columns = b.shape.length === 1 ? [] : [right.at(-1)!];
  return [{ dtype: a.dtype, shape: [...batch, ...rows, ...columns] }];
};

/** alpha A' B' + beta C (Gemm-13). */
const gemm: ShapeRule = (node) => {
  const [a, b] = [operand(node, 0), operand(node, 1)];
  sameDType(node, [0, 1, 2]);
  if (a.shape.length !== 2 || b.shape.length !== 2) throw refuse(node, "operands must be matrices");
  const [m, k] = intOf(node.attributes, "transA", 0) ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const [k2, n] = intOf(node.attributes, "transB", 0) ? [b.shape[1]!, b.shape[0]!] : [b.shape[0]!, b.shape[1]!];
  if (k !== k2) throw refuse(node, `inner dimensions ${k} and ${k2} differ`);
  const c = node.inputs[2];
  if (c) {
    const sum = broadcastShapes(c.shape, [m, n]);
    if (!sum || sum.length !== 2 || sum[0] !== m || sum[1] !== n)
      throw refuse(node, `operand 2 does not broadcast to [${m}, ${n}]`);
  }
  return [{ dtype: a.dtype, shape: [m, n] }];
};

export const linearRules: Readonly<Record<string, ShapeRule>> = { MatMul: matMul, Gemm: gemm };
