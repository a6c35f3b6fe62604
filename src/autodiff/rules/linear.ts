import { floatOf, intOf } from "../../graph/shape.ts";
import {
  gemm,
  matMul,
  mul,
  reshape,
  scalar,
  transpose,
  transposeLast,
  type Node,
  type Value,
} from "../../graph/index.ts";
import { sumTo, type GradientRule } from "../rule.ts";

// dA = dY B', dB = A' dY, each summed over the axes it was broadcast along. Vectors are matrices of one row or column.
const matMulGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const [a, b] = [node.inputs[0]!, node.inputs[1]!];
  const left = a.shape.length === 1 ? reshape(a, [1, ...a.shape]) : a;
  const right = b.shape.length === 1 ? reshape(b, [...b.shape, 1]) : b;
  const shape = [...dy.shape];
  if (b.shape.length === 1) shape.push(1);
  if (a.shape.length === 1) shape.splice(-1, 0, 1);
  const d = reshape(dy, shape);
  return [
    needs[0] ? reshape(sumTo(matMul(d, transposeLast(right)), left.shape), a.shape) : undefined,
    needs[1] ? reshape(rightGradient(left, d, right), b.shape) : undefined,
  ];
};

/** A' dY; against a plain matrix all leading axes are folded into the contraction, so that nothing has to be summed. */
function rightGradient(a: Value, dy: Value, b: Value): Value {
  if (b.shape.length > 2 || a.shape.length === 2) return sumTo(matMul(transposeLast(a), dy), b.shape);
  const [k, n] = [a.shape.at(-1)!, dy.shape.at(-1)!];
  return matMul(transpose(reshape(a, [-1, k]), [1, 0]), reshape(dy, [-1, n]));
}

/** Gemm's attributes with their defaults. */
export function gemmOptions(node: Node): { transA: boolean; transB: boolean; alpha: number; beta: number } {
  return {
    transA: intOf(node.attributes, "transA", 0) === 1,
    transB: intOf(node.attributes, "transB", 0) === 1,
    alpha: floatOf(node.attributes, "alpha", 1),
    beta: floatOf(node.attributes, "beta", 1),
  };
}

const gemmGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const [a, b, c] = [node.inputs[0]!, node.inputs[1]!, node.inputs[2]];
  const { transA, transB, alpha, beta } = gemmOptions(node);
  const da = (): Value =>
    transA
      ? gemm(b, dy, undefined, { transA: transB, transB: true, alpha })
      : gemm(dy, b, undefined, { transB: !transB, alpha });
  const db = (): Value =>
    transB
      ? gemm(dy, a, undefined, { transA: true, transB: transA, alpha })
      : gemm(a, dy, undefined, { transA: !transA, alpha });
  const dc = (): Value => sumTo(beta === 1 ? dy : mul(dy, scalar(beta, dy.dtype)), c!.shape);
  return [needs[0] ? da() : undefined, needs[1] ? db() : undefined, c && needs[2] ? dc() : undefined];
};

export const linearGradients: Readonly<Record<string, GradientRule>> = { MatMul: matMulGradient, Gemm: gemmGradient };
