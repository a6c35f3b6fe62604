import { integersOf } from "../value.ts";
import { intOf, normaliseAxis, operand, refuse, type Application, type ShapeRule } from "../shape.ts";

/** The axes a reduction runs over (operand 1; absent means all, unless noop_with_empty_axes). */
export function reductionAxes(node: Application): number[] {
  const x = operand(node, 0);
  const given = node.inputs[1] ? integersOf(node.inputs[1]) : undefined;
  if (node.inputs[1] && !given) throw refuse(node, "the axes must be a constant");
  if (!given || given.length === 0)
    return intOf(node.attributes, "noop_with_empty_axes", 0) === 1 ? [] : x.shape.map((_, i) => i);
  return given.map((axis) => normaliseAxis(node, axis, x.shape.length)).sort((a, b) => a - b);
}

const reduce: ShapeRule = (node) => {
  const x = operand(node, 0);
  const axes = reductionAxes(node);
  const keep = intOf(node.attributes, "keepdims", 1) === 1;
  const shape = keep ? x.shape.map((n, i) => (axes.includes(i) ? 1 : n)) : x.shape.filter((_, i) => !axes.includes(i));
  return [{ dtype: x.dtype, shape }];
};

const argument: ShapeRule = (node) => {
  const x = operand(node, 0);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  const keep = intOf(node.attributes, "keepdims", 1) === 1;
  const shape = keep ? x.shape.map((n, i) => (i === axis ? 1 : n)) : x.shape.filter((_, i) => i !== axis);
  return [{ dtype: "int64", shape }];
};

const alongAxis: ShapeRule = (node) => {
  const x = operand(node, 0);
  normaliseAxis(node, intOf(node.attributes, "axis", -1), x.shape.length);
  return [{ dtype: x.dtype, shape: x.shape }];
};

const cumulative: ShapeRule = (node) => {
  const { dtype, shape } = operand(node, 0);
  return [{ dtype, shape }];
};

const reductions = ["Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"];

export const reductionRules: Readonly<Record<string, ShapeRule>> = {
  ...Object.fromEntries(reductions.map((kind) => [`Reduce${kind}`, reduce])),
  ArgMax: argument,
  ArgMin: argument,
  Softmax: alongAxis,
  LogSoftmax: alongAxis,
  CumSum: cumulative,
};
