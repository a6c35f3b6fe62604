import { broadcastShapes, operand, refuse, sameDType, type ShapeRule } from "../shape.ts";
import type { DType, Shape } from "../value.ts";

/** Output like the first operand. */
export const likeFirst: ShapeRule = (node) => {
  const { dtype, shape } = operand(node, 0);
  return [{ dtype, shape }];
};

const floating: readonly DType[] = ["float32", "float64", "float16"];

const floatUnary: ShapeRule = (node) => {
  const x = operand(node, 0);
  if (!floating.includes(x.dtype)) throw refuse(node, `needs a floating-point operand`, "LG-GRAPH-002");
  return [{ dtype: x.dtype, shape: x.shape }];
};

function broadcastAll(node: Parameters<ShapeRule>[0], from = 0): Shape {
  let shape: Shape = operand(node, from).shape;
  for (let i = from + 1; i < node.inputs.length; i++) {
    const next = broadcastShapes(shape, operand(node, i).shape);
    if (!next)
      throw refuse(node, `shapes [${shape.join(", ")}] and [${operand(node, i).shape.join(", ")}] do not broadcast`);
    shape = next;
  }
  return shape;
}

const arithmetic: ShapeRule = (node) => {
  sameDType(
    node,
    node.inputs.map((_, i) => i),
  );
  return [{ dtype: operand(node, 0).dtype, shape: broadcastAll(node) }];
};

const power: ShapeRule = (node) => [{ dtype: operand(node, 0).dtype, shape: broadcastAll(node) }];

const comparison: ShapeRule = (node) => {
  sameDType(node, [0, 1]);
  return [{ dtype: "bool", shape: broadcastAll(node) }];
};

const logical: ShapeRule = (node) => {
  for (let i = 0; i < node.inputs.length; i++)
    if (operand(node, i).dtype !== "bool") throw refuse(node, `needs bool operands`, "LG-GRAPH-002");
  return [{ dtype: "bool", shape: broadcastAll(node) }];
};

const where: ShapeRule = (node) => {
  if (operand(node, 0).dtype !== "bool") throw refuse(node, `the condition must be bool`, "LG-GRAPH-002");
  sameDType(node, [1, 2]);
  return [{ dtype: operand(node, 1).dtype, shape: broadcastAll(node) }];
};

const isSpecial: ShapeRule = (node) => [{ dtype: "bool", shape: operand(node, 0).shape }];

const clip: ShapeRule = (node) => {
  for (const i of [1, 2]) {
    const bound = node.inputs[i];
    if (bound && bound.shape.length !== 0) throw refuse(node, `bound ${i} must be a scalar`);
  }
  return likeFirst(node);
};

const prelu: ShapeRule = (node) => [{ dtype: operand(node, 0).dtype, shape: broadcastAll(node) }];

const floatUnaryOperators = [
  "Sqrt", "Exp", "Log", "Erf", "Tanh", "Sigmoid", "LeakyRelu", "Gelu", "Reciprocal", "Softsign", "Softplus", "HardSigmoid",
  "HardSwish", "Elu", "Selu", "Celu", "Mish", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Atan", "Asin", "Acos", "Floor", "Ceil",
  "Round", "ThresholdedRelu",
]; // prettier-ignore

export const elementwiseRules: Readonly<Record<string, ShapeRule>> = {
  ...Object.fromEntries(floatUnaryOperators.map((op) => [op, floatUnary])),
  ...Object.fromEntries(["Neg", "Abs", "Sign", "Relu", "Identity"].map((op) => [op, likeFirst])),
  ...Object.fromEntries(["Add", "Sub", "Mul", "Div", "Sum", "Mean", "Min", "Max", "Mod"].map((op) => [op, arithmetic])),
  ...Object.fromEntries(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"].map((op) => [op, comparison])),
  ...Object.fromEntries(["And", "Or", "Xor", "Not"].map((op) => [op, logical])),
  Pow: power,
  PRelu: prelu,
  Where: where,
  IsNaN: isSpecial,
  IsInf: isSpecial,
  Clip: clip,
};
