import { describe, expect, it } from "vitest";
import {
  add,
  apply,
  float32s,
  input,
  matMul,
  mul,
  reduceSum,
  relu,
  scalar,
  sum,
  tanh,
  type Value,
} from "../graph/index.ts";
import { dependents, gradientRules, gradients, pullBack } from "./gradients.ts";
import { convolutionGradients } from "./rules/convolution.ts";
import { elementwiseGradients } from "./rules/elementwise.ts";
import { layoutGradients } from "./rules/layout.ts";
import { linearGradients } from "./rules/linear.ts";
import { normalizationGradients } from "./rules/normalization.ts";
import { reductionGradients } from "./rules/reduction.ts";
import { evaluate } from "./testing.ts";

describe("gradients", () => {
  it("everyRule_comesFromATestedTable", () => {
    // Each of these tables has a test that fails for an operator without cases.
    const tested = [
      convolutionGradients,
      elementwiseGradients,
      layoutGradients,
      linearGradients,
      normalizationGradients,
      reductionGradients,
    ].flatMap(Object.keys);
    expect(Object.keys(gradientRules).sort()).toEqual(tested.sort());
    expect(new Set(tested).size, "no operator is in two tables").toBe(tested.length);
  });

  it("aValueUsedSeveralTimes_collectsAllCotangents", async () => {
    const x = input("x", [2]);
    const y = add(mul(x, x), sum([x, mul(x, scalar(3)), x]));
    const [g] = gradients(y, [x], float32s([1, 10]));
    // d/dx (x^2 + 5 x) = 2 x + 5, times the seed.
    const found = await evaluate({ g: g! }, { x: Float32Array.of(2, -1) });
    expect([...found["g"]!.data]).toEqual([9, 30]);
  });

  it("aPathThatIsNotWanted_costsNothing", () => {
    // An operator without rule lies on the way to the data only.
    const [data, w] = [input("data", [2, 3]), input("w", [3, 1])];
    const y = matMul(apply("Tan", [data])[0]!, w);
    expect(gradients(y, [w], input("dy", [2, 1]))[0]!.shape).toEqual([3, 1]);
  });

  it("aMissingRule_isNamedWithItsPlace", () => {
    const w = input("w", [3]);
    const y = relu(apply("Tan", [w], {}, { name: "decoder/tangent" })[0]!);
    expect(() => gradients(y, [w], y)).toThrow(
      expect.objectContaining({
        code: "LG-AUTODIFF-001",
        message: expect.stringMatching(/^Tan \(decoder\/tangent\): operator Tan has no gradient rule.*float32\[3\] w/),
        hint: expect.stringContaining("Tan"),
      }),
    );
  });

  it("anOperatorNamedAfterAnObjectMethod_hasNoRule", () => {
    const x = input("x", [3]);
    const [made] = apply("Neg", [x]);
    const outputs: Value[] = [];
    const node = { ...made!.node, op: "constructor", outputs } as unknown as NonNullable<typeof made>["node"];
    const y = { ...made!, node };
    outputs.push(y);
    expect(() => gradients(y, [x], x)).toThrow(expect.objectContaining({ code: "LG-AUTODIFF-001" }));
  });

  it("aParameterThatIsNotReached_isNamed", () => {
    const [x, w] = [input("x", [3]), input("stray", [3])];
    expect(() => gradients(relu(x), [x, w], x)).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-003", message: expect.stringContaining("stray") }),
    );
  });

  it("aParameterThatOnlyDecides_isNotReached", () => {
    // A comparison has no derivative, so nothing ever comes back to its operands.
    const [x, t] = [input("x", [3]), input("threshold", [])];
    const y = apply("Where", [apply("Greater", [x, t])[0]!, x, scalar(0)])[0]!;
    expect(() => gradients(y, [t], x)).toThrow(expect.objectContaining({ code: "LG-AUTODIFF-003" }));
  });

  it("seedsOfSeveralValues_addUp", async () => {
    const x = input("x", [2]);
    const [a, b] = [mul(x, scalar(2)), reduceSum(mul(x, x))];
    const seeds: [Value, Value][] = [[a, float32s([1, 1])], [b, scalar(10)]]; // prettier-ignore
    const g = pullBack(seeds, dependents([a, b], [x]))(x)!;
    const found = await evaluate({ g }, { x: Float32Array.of(1, 2) });
    // 2 + 10 * 2 x
    expect([...found["g"]!.data]).toEqual([22, 42]);
  });

  it("aDeepChain_isWalkedWithoutRecursion", () => {
    const x = input("x", [1]);
    let y: Value = x;
    for (let i = 0; i < 20_000; i++) y = tanh(y);
    expect(gradients(y, [x], x)[0]!.shape).toEqual([1]);
  });
});
