import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply, constant, input, int64s, logSoftmax, reduceL2, reduceProd, softmax } from "../../graph/index.ts";
import { gradients } from "../gradients.ts";
import { evaluate, type Domain } from "../testing.ts";
import { reductionGradients } from "./reduction.ts";
import { shapes, testRules, type OperatorCase, type OperatorCases } from "./testing.ts";

/** Any axes, also negative ones, none given (all), an empty list that means all, or one that means no reduction. */
const reduction = (op: string, domain: Domain): OperatorCases => ({
  runs: 20,
  cases: shapes(1, 4, 3).chain((shape) =>
    fc
      .tuple(
        fc.subarray([...shape.keys()]),
        fc.boolean(),
        fc.constantFrom("some", "absent", "empty", "noop"),
        fc.boolean(),
      )
      .map(([chosen, negative, how, keep]): OperatorCase => {
        const axes = how === "some" ? chosen.map((a) => (negative ? a - shape.length : a)) : [];
        return {
          operands: [{ shape, domain }],
          build: ([x]) => [
            apply(op, how === "absent" ? [x] : [x, int64s(axes)], {
              keepdims: { int: Number(keep) },
              noop_with_empty_axes: { int: Number(how === "noop") },
            })[0]!,
          ],
          label: `${op} of [${shape.join()}] over [${axes.join()}] (${how}) keepdims ${keep}`,
        };
      }),
  ),
});

const normalising = (build: typeof softmax): OperatorCases => ({
  cases: shapes(1, 4).chain((shape) =>
    fc.integer({ min: -shape.length, max: shape.length - 1 }).map((axis) => ({
      operands: [{ shape }],
      build: ([x]) => [build(x!, axis)],
      label: `axis ${axis} of [${shape.join()}]`,
    })),
  ),
});

const table: Record<string, OperatorCases> = {
  ReduceSum: reduction("ReduceSum", "normal"),
  ReduceMean: reduction("ReduceMean", "normal"),
  ReduceSumSquare: reduction("ReduceSumSquare", "normal"),
  ReduceL1: reduction("ReduceL1", "nonzero"),
  ReduceL2: reduction("ReduceL2", "nonzero"),
  ReduceProd: reduction("ReduceProd", "nonzero"),
  ReduceLogSum: reduction("ReduceLogSum", "positive"),
  ReduceLogSumExp: reduction("ReduceLogSumExp", "normal"),
  ReduceMax: reduction("ReduceMax", "distinct"),
  ReduceMin: reduction("ReduceMin", "distinct"),
  Softmax: normalising(softmax),
  LogSoftmax: normalising(logSoftmax),
};

const ones = (n: number) => constant(new Float32Array(n).fill(1), [n]);

describe("reduction rules", () => {
  testRules(reductionGradients, table);

  it("productOfZeros_hasFiniteDerivatives", async () => {
    const x = input("x", [3, 3]);
    const found = await evaluate(
      { g: gradients(reduceProd(x, [1]), [x], ones(3))[0]! },
      { x: Float32Array.of(2, 3, 4, 0, 3, 4, 0, 0, 4) },
    );
    // The product of the other two factors of each row.
    expect([...found["g"]!.data]).toEqual([12, 8, 6, 12, 0, 0, 0, 0, 0]);
  });

  it("normOfZeros_hasDerivativeZero", async () => {
    const x = input("x", [2, 2]);
    const found = await evaluate(
      { g: gradients(reduceL2(x, [1]), [x], ones(2))[0]! },
      { x: Float32Array.of(0, 0, 3, 4) },
    );
    // x / |x|; 0 at 0, as PyTorch has it. 0.6 and 0.8 are rounded to float32.
    expect([...found["g"]!.data]).toEqual([0, 0, 0.6, 0.8].map(Math.fround));
  });
});
