import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  apply,
  cast,
  clip,
  constant,
  gelu,
  input,
  int64s,
  less,
  mish,
  mul,
  pow,
  scalar,
  sizeOf,
  sum,
  where,
  type Attributes,
  type DType,
  type Value,
} from "../../graph/index.ts";
import { erf } from "../../math/special.ts";
import { gradients } from "../gradients.ts";
import { evaluate, type Domain } from "../testing.ts";
import { elementwiseGradients } from "./elementwise.ts";
import { broadcasting, shapes, testRules, type OperatorCase, type OperatorCases } from "./testing.ts";

const one =
  (op: string, attributes: Attributes = {}) =>
  (xs: readonly Value[]): Value[] => [apply(op, xs, attributes, { outputs: 1 })[0]!];

const unary = (
  op: string,
  domain: Domain,
  forward?: (x: number) => number,
  attributes: Attributes = {},
): OperatorCases => ({
  cases: shapes(0, 3).map((shape): OperatorCase => ({ operands: [{ shape, domain }], build: one(op, attributes), ...(forward ? { forward } : {}) })), // prettier-ignore
  runs: 6,
});

const binary = (op: string, first: Domain = "normal", second: Domain = "normal"): OperatorCases => ({
  cases: broadcasting(2).map(([a, b]) => ({
    operands: [{ shape: a!, domain: first }, { shape: b!, domain: second }], // prettier-ignore
    build: one(op),
  })),
  runs: 20,
});

const several = (op: string, domain: Domain, definition?: OperatorCase["build"]): OperatorCases => ({
  cases: fc.integer({ min: 1, max: 4 }).chain((count) =>
    broadcasting(count).map((found) => ({
      operands: found.map((shape, i) => ({ shape, domain, shift: 0.05 * i })),
      build: one(op),
      ...(definition ? { forward: { definition } } : {}),
    })),
  ),
  runs: 15,
});

/** Operators with boolean or integer results: they multiply a second operand, and give nothing to the first. */
const flat = (build: (x: Value) => Value, domain: Domain = "distinct"): OperatorCases => ({
  cases: shapes(1, 3).map((shape) => ({
    operands: [{ shape, domain }, { shape: [] }],
    build: ([x, z]) => [mul(cast(build(x!), x!.dtype), z!)],
  })),
  runs: 3,
});

const against = (op: string) => flat((x) => apply(op, [x, scalar(0.25, x.dtype)])[0]!);
const logical = (op: string) => flat((x) => apply(op, [less(x, scalar(1, x.dtype)), less(scalar(-1, x.dtype), x)])[0]!);

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const clamp01 = (x: number): number => Math.min(Math.max(x, 0), 1);
const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const bounds = fc.tuple(fc.boolean(), fc.boolean());

const table: Record<string, OperatorCases> = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  Div: binary("Div", "normal", "nonzero"),
  Pow: {
    runs: 20,
    cases: fc.oneof(
      broadcasting(2).map(([a, b]): OperatorCase => ({
        operands: [{ shape: a!, domain: "positive" }, { shape: b! }],
        build: one("Pow"),
      })),
      // Negative bases have whole exponents, of another element type if need be.
      fc.tuple(shapes(0, 3), fc.constantFrom(2, 3, -1)).map(([shape, exponent]): OperatorCase => ({
        operands: [{ shape, domain: "nonzero" }],
        build: ([x]) => [pow(x!, scalar(exponent, x!.dtype)), apply("Pow", [x, int64s([exponent])])[0]!],
      })),
    ),
  },
  Sum: several("Sum", "normal"),
  Mean: several("Mean", "normal", (xs) => [mul(sum(xs), scalar(1 / xs.length, xs[0]!.dtype))]),
  Max: several("Max", "distinct"),
  Min: several("Min", "distinct"),
  Where: {
    runs: 20,
    cases: fc.tuple(broadcasting(3), fc.infiniteStream(fc.boolean())).map(([[c, a, b], coins]) => ({
      operands: [
        { shape: c!, fixed: { dtype: "bool" as DType, values: [...coins.take(sizeOf(c!))].map(Number) } },
        { shape: a! },
        { shape: b! },
      ],
      build: ([condition, x, y]) => [where(condition!, x!, y!)],
    })),
  },
  PRelu: {
    cases: broadcasting(2, true).map(([x, slope]) => ({
      operands: [{ shape: x!, domain: "nonzero" }, { shape: slope! }],
      build: one("PRelu"),
      forward: { definition: ([v, s]) => [where(less(v!, scalar(0, v!.dtype)), mul(v!, s!), v!)] },
    })),
  },
  Identity: unary("Identity", "normal"),
  Neg: unary("Neg", "normal"),
  Abs: unary("Abs", "nonzero"),
  Sqrt: unary("Sqrt", "positive"),
  Exp: unary("Exp", "normal"),
  Log: unary("Log", "positive"),
  Sin: unary("Sin", "normal"),
  Cos: unary("Cos", "normal"),
  Reciprocal: unary("Reciprocal", "nonzero"),
  Erf: unary("Erf", "normal", erf),
  Tanh: unary("Tanh", "normal"),
  Sigmoid: unary("Sigmoid", "normal"),
  Softplus: unary("Softplus", "normal", softplus),
  Softsign: unary("Softsign", "nonzero", (x) => x / (1 + Math.abs(x))),
  Relu: unary("Relu", "nonzero"),
  LeakyRelu: {
    cases: fc.tuple(shapes(0, 3), fc.constantFrom(undefined, 0.2, -0.5)).map(([shape, alpha]) => ({
      operands: [{ shape, domain: "nonzero" }],
      build: one("LeakyRelu", alpha === undefined ? {} : { alpha: { float: alpha } }),
      forward: (x) => (x < 0 ? Math.fround(alpha ?? 0.01) * x : x),
    })),
  },
  Elu: {
    cases: fc.tuple(shapes(0, 3), fc.constantFrom(undefined, 0.5)).map(([shape, alpha]) => ({
      operands: [{ shape, domain: "nonzero" }],
      build: one("Elu", alpha === undefined ? {} : { alpha: { float: alpha } }),
      forward: (x) => (x < 0 ? (alpha ?? 1) * Math.expm1(x) : x),
    })),
  },
  HardSigmoid: {
    cases: fc.tuple(shapes(0, 3), fc.boolean()).map(([shape, defaults]) => ({
      operands: [{ shape, domain: "distinct" }],
      build: one("HardSigmoid", defaults ? {} : { alpha: { float: 0.75 }, beta: { float: 0.25 } }),
      forward: (x) => clamp01(defaults ? Math.fround(0.2) * x + 0.5 : 0.75 * x + 0.25),
    })),
  },
  HardSwish: unary("HardSwish", "distinct", (x) => x * clamp01(x / 6 + 0.5)),
  Gelu: {
    cases: fc.tuple(shapes(0, 3), fc.constantFrom("none" as const, "tanh" as const)).map(([shape, approximate]) => ({
      operands: [{ shape }],
      build: ([x]) => [gelu(x!, approximate)],
      forward: approximate === "tanh" ? geluTanh : (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
    })),
  },
  Mish: unary("Mish", "normal", (x) => x * Math.tanh(softplus(x))),
  Clip: {
    cases: fc.tuple(shapes(0, 3), bounds).map(([shape, [low, high]]) => ({
      operands: [{ shape, domain: "distinct" }],
      build: ([x]) => [clip(x!, low ? scalar(-0.75, x!.dtype) : undefined, high ? scalar(0.75, x!.dtype) : undefined)],
    })),
  },
  Cast: {
    cases: fc.tuple(shapes(0, 3), fc.constantFrom<DType>("float64", "float32", "int64", "bool")).map(([shape, to]) => ({
      operands: [{ shape, domain: "distinct" }, { shape: [] }],
      // There and back; through integers nothing flows but into the second operand.
      build: ([x, z]) => [mul(cast(cast(x!, to), x!.dtype), z!)],
      // In a float64 graph a cast to float32 would round away the step of the differences.
      ...(to.startsWith("float") ? { forward: { definition: ([x, z]) => [mul(x!, z!)] } } : {}),
    })),
  },
  Equal: against("Equal"),
  Greater: against("Greater"),
  GreaterOrEqual: against("GreaterOrEqual"),
  Less: against("Less"),
  LessOrEqual: against("LessOrEqual"),
  And: logical("And"),
  Or: logical("Or"),
  Xor: logical("Xor"),
  Not: flat((x) => apply("Not", [less(x, scalar(0, x.dtype))])[0]!),
  IsNaN: flat((x) => apply("IsNaN", [x])[0]!),
  IsInf: flat((x) => apply("IsInf", [x])[0]!),
  Sign: unary("Sign", "nonzero"),
  Floor: unary("Floor", "distinct"),
  Ceil: unary("Ceil", "distinct"),
  Round: unary("Round", "distinct"),
  Shape: flat((x) => apply("Shape", [x])[0]!),
  ArgMax: flat((x) => apply("ArgMax", [x])[0]!),
  ArgMin: flat((x) => apply("ArgMin", [x])[0]!),
};

describe("elementwise rules", () => {
  testRules(elementwiseGradients, table);

  it("mish_neitherOverflowsNorLosesItsTail", async () => {
    const at = [-1e30, -1e4, -200, -104, -88, -30, -17, -5, -1, 0, 1, 5, 17, 30, 88, 104, 200, 1e4, 1e30];
    const x = input("x", [at.length]);
    const seed = input("dy", [at.length]);
    const y = mish(x);
    const feeds = { x: Float32Array.from(at), dy: new Float32Array(at.length).fill(1) };
    // Mish'(x) = t + x (1 - t^2) s, with t = tanh(softplus(x)), s = sigmoid(x); double precision.
    const slope = (v: number): number => {
      const t = Math.tanh(softplus(v));
      return t + v * (1 - t * t) * (v > -700 ? 1 / (1 + Math.exp(-v)) : 0);
    };
    for (const lowered of [false, true]) {
      const found = await evaluate({ y, g: gradients(y, [x], seed)[0]! }, feeds, { lowered });
      at.forEach((v, i) => {
        // 2e-7 (1 + |x|): one or two roundings of a gate that lies in [0, 1], times x.
        const margin = 2e-7 * (1 + Math.abs(v));
        expect(Math.abs(Number(found["y"]!.data[i]) - v * Math.tanh(softplus(v))), `Mish(${v})`).toBeLessThan(margin);
        expect(Math.abs(Number(found["g"]!.data[i]) - slope(v)), `Mish'(${v})`).toBeLessThan(margin);
      });
    }
  });

  it("tiesOfMaximum_shareTheCotangentEqually", async () => {
    const [a, b] = [input("a", [3]), input("b", [3])];
    const [da, db] = gradients(apply("Max", [a, b])[0]!, [a, b], constant(Float32Array.of(1, 1, 1), [3]));
    const feeds = { a: Float32Array.of(2, 1, 0), b: Float32Array.of(1, 1, 1) };
    const found = await evaluate({ da: da!, db: db! }, feeds);
    // Where the operands are equal each gets half, so that the rule does not depend on their order.
    expect([...found["da"]!.data]).toEqual([1, 0.5, 0]);
    expect([...found["db"]!.data]).toEqual([0, 0.5, 1]);
  });

  it("clipWithTrainableBounds_isRefused", () => {
    const [x, low] = [input("x", [3]), input("low", [])];
    expect(() => gradients(clip(x, low), [low], x)).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-001", message: expect.stringContaining("Clip") }),
    );
  });
});
