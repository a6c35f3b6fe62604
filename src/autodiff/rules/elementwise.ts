import { geluParts, mishParts } from "../../graph/compositions.ts";
import { floatOf, stringOf } from "../../graph/shape.ts";
import {
  abs,
  add,
  cast,
  cos,
  div,
  equal,
  exp,
  expand,
  greater,
  greaterOrEqual,
  hardSigmoid,
  less,
  max,
  log,
  mul,
  neg,
  pow,
  scalar,
  sigmoid,
  sign,
  sin,
  sub,
  sum,
  where,
  and,
  lessOrEqual,
  type Node,
  type Value,
} from "../../graph/index.ts";
import { noRule, sumTo, unaryRule, type GradientRule } from "../rule.ts";

const number = (x: number, like: Value): Value => scalar(x, like.dtype);
const mask = (condition: Value, like: Value): Value => cast(condition, like.dtype);

/**
 * The cotangents of an elementwise operator's operands before they are summed over broadcast axes. The ordinary gradient
 * sums over all of them, the per-unit gradient over all but the unit's.
 */
export type LocalRule = (node: Node, dy: Value, needs: readonly boolean[]) => readonly (Value | undefined)[];

const twoOperands =
  (
    first: (dy: Value, a: Value, b: Value, y: Value) => Value,
    second: (dy: Value, a: Value, b: Value, y: Value) => Value,
  ): LocalRule =>
  (node, dy, needs) => {
    const [a, b, y] = [node.inputs[0]!, node.inputs[1]!, node.outputs[0]!];
    return [needs[0] ? first(dy, a, b, y) : undefined, needs[1] ? second(dy, a, b, y) : undefined];
  };

/** Max and Min: ties share the cotangent equally, so that the rule does not depend on the order of operands. */
const extremum: LocalRule = (node, dy, needs) => {
  const y = node.outputs[0]!;
  const hits = node.inputs.map((x) => mask(equal(x!, y), dy));
  const share = hits.length === 1 ? dy : div(dy, sum(hits));
  return hits.map((hit, i) => (needs[i] ? mul(share, hit) : undefined));
};

export const localRules: Readonly<Record<string, LocalRule>> = {
  Add: twoOperands(
    (dy) => dy,
    (dy) => dy,
  ),
  Sub: twoOperands(
    (dy) => dy,
    (dy) => neg(dy),
  ),
  Mul: twoOperands(
    (dy, _, b) => mul(dy, b),
    (dy, a) => mul(dy, a),
  ),
  Div: twoOperands(
    (dy, _, b) => div(dy, b),
    (dy, _, b, y) => neg(mul(dy, div(y, b))),
  ),
  Pow: (node, dy, needs) => {
    const [a, b, y] = [node.inputs[0]!, node.inputs[1]!, node.outputs[0]!];
    const exponent = cast(b, a.dtype);
    // d(a^b)/db = a^b log a; where a is 0 the power is 0 and so is its derivative for b > 0.
    const logarithm = (): Value => log(where(greater(a, number(0, a)), a, expand(number(1, a), a.shape)));
    return [
      needs[0] ? mul(dy, mul(exponent, pow(a, sub(exponent, number(1, a))))) : undefined,
      needs[1] ? mul(dy, mul(y, logarithm())) : undefined,
    ];
  },
  Sum: (node, dy, needs) => node.inputs.map((_, i) => (needs[i] ? dy : undefined)),
  Mean: (node, dy, needs) =>
    node.inputs.map((x, i) => (needs[i] ? mul(dy, number(1 / node.inputs.length, x!)) : undefined)),
  Max: extremum,
  Min: extremum,
  Where: (node, dy, needs) => {
    const zero = number(0, dy);
    const condition = node.inputs[0]!;
    return [
      undefined,
      needs[1] ? where(condition, dy, zero) : undefined,
      needs[2] ? where(condition, zero, dy) : undefined,
    ];
  },
  PRelu: (node, dy, needs) => {
    const [x, slope] = [node.inputs[0]!, node.inputs[1]!];
    const negative = less(x, number(0, x));
    return [
      needs[0] ? where(negative, mul(dy, slope), dy) : undefined,
      needs[1] ? where(negative, mul(dy, x), number(0, x)) : undefined,
    ];
  },
};

const reduceLocal =
  (local: LocalRule): GradientRule =>
  (node, [dy], needs) =>
    dy ? local(node, dy, needs).map((d, i) => d && sumTo(d, node.inputs[i]!.shape)) : [];

const gelu: GradientRule = unaryRule((dy, x, _, node) => {
  if (stringOf(node.attributes, "approximate", "none") === "none") {
    // d/dx x Phi(x) = Phi(x) + x phi(x), with phi the normal density.
    const { phi, z } = geluParts(x);
    const density = exp(sub(number(-0.5 * Math.log(2 * Math.PI), x), mul(z, z)));
    return mul(dy, add(phi, mul(x, density)));
  }
  // y = x g, g = sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
  const c = Math.sqrt(2 / Math.PI);
  const square = mul(x, x);
  const u = mul(x, add(number(c, x), mul(square, number(c * 0.044715, x))));
  const g = sigmoid(mul(u, number(2, x)));
  const du = add(number(c, x), mul(square, number(3 * c * 0.044715, x)));
  const dg = mul(mul(g, sub(number(1, x), g)), mul(number(2, x), du));
  return mul(dy, add(g, mul(x, dg)));
});

const clipRule: GradientRule = (node, [dy], needs) => {
  if (needs[1] || needs[2]) throw noRule(node, "trainable bounds have no gradient rule");
  const [x, low, high] = [node.inputs[0]!, node.inputs[1], node.inputs[2]];
  const conditions = [low && greaterOrEqual(x, low), high && lessOrEqual(x, high)].filter((v) => v !== undefined);
  if (!dy || conditions.length === 0) return [dy];
  return [where(conditions.length === 2 ? and(conditions[0]!, conditions[1]!) : conditions[0]!, dy, number(0, dy))];
};

const hardSigmoidRule = unaryRule((dy, _, y, node) => {
  const inside = and(greater(y, number(0, y)), less(y, number(1, y)));
  return where(inside, mul(dy, number(floatOf(node.attributes, "alpha", 0.2), y)), number(0, y));
});

const noGradient: GradientRule = () => [];

export const elementwiseGradients: Readonly<Record<string, GradientRule>> = {
  ...Object.fromEntries(Object.entries(localRules).map(([op, local]) => [op, reduceLocal(local)])),
  Identity: unaryRule((dy) => dy),
  Neg: unaryRule((dy) => neg(dy)),
  Abs: unaryRule((dy, x) => mul(dy, sign(x))),
  Sqrt: unaryRule((dy, _, y) => div(mul(dy, number(0.5, y)), y)),
  Exp: unaryRule((dy, _, y) => mul(dy, y)),
  Log: unaryRule((dy, x) => div(dy, x)),
  Sin: unaryRule((dy, x) => mul(dy, cos(x))),
  Cos: unaryRule((dy, x) => neg(mul(dy, sin(x)))),
  Reciprocal: unaryRule((dy, _, y) => neg(mul(dy, mul(y, y)))),
  Erf: unaryRule((dy, x) => mul(dy, mul(number(2 / Math.sqrt(Math.PI), x), exp(neg(mul(x, x)))))),
  Tanh: unaryRule((dy, _, y) => mul(dy, sub(number(1, y), mul(y, y)))),
  Sigmoid: unaryRule((dy, _, y) => mul(dy, mul(y, sub(number(1, y), y)))),
  Softplus: unaryRule((dy, x) => mul(dy, sigmoid(x))),
  Softsign: unaryRule((dy, x) => {
    const d = add(number(1, x), abs(x));
    return div(dy, mul(d, d));
  }),
  // One clamped pass is twice as fast as Sign; 1 for every positive float32 that is not denormal.
  Relu: unaryRule((dy, _, y) => mul(dy, y.dtype === "float32" ? hardSigmoid(y, 3e38, 0) : sign(y))),
  // By the result where it has the operand's sign: three passes, and the operand need not be kept. At 0 the slope, as PyTorch.
  LeakyRelu: unaryRule((dy, x, y, node) => {
    const slope = floatOf(node.attributes, "alpha", 0.01);
    if (x.dtype === "float32" && slope >= 0 && slope <= 1)
      return mul(dy, max(hardSigmoid(y, 3e38, 0), number(slope, x)));
    return where(less(x, number(0, x)), mul(dy, number(slope, x)), dy);
  }),
  Elu: unaryRule((dy, x, y, node) =>
    where(less(x, number(0, x)), mul(dy, add(y, number(floatOf(node.attributes, "alpha", 1), x))), dy),
  ),
  HardSigmoid: hardSigmoidRule,
  HardSwish: unaryRule((dy, x) => {
    const gate = hardSigmoid(x, 1 / 6, 0.5);
    const inside = and(greater(gate, number(0, x)), less(gate, number(1, x)));
    return mul(dy, add(gate, where(inside, mul(x, number(1 / 6, x)), number(0, x))));
  }),
  Gelu: gelu,
  // Mish = x t with t = 1 - 2 softsign(r^2): dy (t + (x - y t) s), five passes.
  Mish: unaryRule((dy, x) => {
    const { y, gate, slope } = mishParts(x);
    return mul(dy, add(gate, mul(sub(x, mul(y, gate)), slope)));
  }),
  Clip: clipRule,
  // Through integers and booleans nothing flows: a rounded number has derivative 0 almost everywhere.
  Cast: (node, [dy]) => {
    const [x, y] = [node.inputs[0]!, node.outputs[0]!];
    return dy && [x, y].every((v) => v.dtype.startsWith("float")) ? [cast(dy, x.dtype)] : [];
  },
  ...Object.fromEntries(
    [
      "Equal",
      "Greater",
      "GreaterOrEqual",
      "Less",
      "LessOrEqual",
      "And",
      "Or",
      "Not",
      "Xor",
      "IsNaN",
      "IsInf",
      "Sign",
      "Floor",
      "Ceil",
      "Round",
      "Shape",
      "ArgMax",
      "ArgMin",
    ].map((op) => [op, noGradient]),
  ),
};
