import { reductionAxes } from "../../graph/rules/reduction.ts";
import { intOf, normaliseAxis } from "../../graph/shape.ts";
import {
  cast,
  div,
  equal,
  exp,
  expand,
  greater,
  mul,
  reduceProd,
  reduceSum,
  reshape,
  scalar,
  sign,
  sizeOf,
  softmax,
  sub,
  where,
  type Node,
  type Value,
} from "../../graph/index.ts";
import type { GradientRule } from "../rule.ts";

/** A reduced tensor with its axes put back as 1, so that it broadcasts against the operand. */
function restore(node: Node, reduced: Value): Value {
  const axes = reductionAxes(node);
  return reshape(
    reduced,
    node.inputs[0]!.shape.map((n, i) => (axes.includes(i) ? 1 : n)),
  );
}

const reducing =
  (gradient: (dy: Value, x: Value, y: Value, count: number) => Value): GradientRule =>
  (node, [dy]) => {
    if (!dy) return [];
    const x = node.inputs[0]!;
    const y = restore(node, node.outputs[0]!);
    const count = sizeOf(x.shape) / sizeOf(y.shape);
    return [expand(gradient(restore(node, dy), x, y, count), x.shape)];
  };

/** Ties share the cotangent equally. */
const extremum: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const axes = reductionAxes(node);
  if (axes.length === 0) return [dy];
  const hits = cast(equal(x, restore(node, node.outputs[0]!)), x.dtype);
  const count = reduceSum(hits, axes, true);
  return [mul(hits, div(restore(node, dy), count))];
};

/** The product of the other factors, also where a factor is 0: then only its own derivative may differ from 0. */
const productGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const [zero, one] = [scalar(0, x.dtype), scalar(1, x.dtype)];
  const axes = reductionAxes(node);
  if (axes.length === 0) return [dy];
  const isZero = equal(x, zero);
  const safe = where(isZero, one, x);
  const hits = cast(isZero, x.dtype);
  const otherZeros = sub(reduceSum(hits, axes, true), hits);
  const others = div(reduceProd(safe, axes, true), safe);
  return [mul(restore(node, dy), where(greater(otherZeros, zero), zero, others))];
};

/** x / |x|, and 0 where all of x is 0, as in PyTorch: a padded row must not become NaN. */
const normGradient = (dy: Value, x: Value, y: Value): Value => {
  const isZero = equal(y, scalar(0, x.dtype));
  return mul(where(isZero, scalar(0, x.dtype), div(dy, where(isZero, scalar(1, x.dtype), y))), x);
};

const softmaxGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const y = node.outputs[0]!;
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), y.shape.length);
  return [mul(y, sub(dy, reduceSum(mul(dy, y), [axis], true)))];
};

const logSoftmaxGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), x.shape.length);
  return [sub(dy, mul(softmax(x, axis), reduceSum(dy, [axis], true)))];
};

export const reductionGradients: Readonly<Record<string, GradientRule>> = {
  ReduceSum: reducing((dy) => dy),
  ReduceMean: reducing((dy, x, _, count) => mul(dy, scalar(1 / count, x.dtype))),
  ReduceSumSquare: reducing((dy, x) => mul(mul(dy, scalar(2, x.dtype)), x)),
  ReduceL1: reducing((dy, x) => mul(dy, sign(x))),
  ReduceL2: reducing(normGradient),
  ReduceProd: productGradient,
  ReduceLogSum: reducing((dy, _, y) => div(dy, exp(y))),
  ReduceLogSumExp: reducing((dy, x, y) => mul(dy, exp(sub(x, y)))),
  ReduceMax: extremum,
  ReduceMin: extremum,
  Softmax: softmaxGradient,
  LogSoftmax: logSoftmaxGradient,
};
