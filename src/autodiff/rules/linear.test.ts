import fc from "fast-check";
import { describe } from "vitest";
import { gemm, matMul } from "../../graph/index.ts";
import { linearGradients } from "./linear.ts";
import { broadcasting, testRules, type OperatorCase, type OperatorCases } from "./testing.ts";

const size = fc.integer({ min: 1, max: 4 });

const table: Record<string, OperatorCases> = {
  MatMul: {
    runs: 50,
    cases: fc
      .tuple(size, size, size, broadcasting(2), fc.constantFrom("matrices", "row", "column", "both"))
      .map(([m, k, n, [a, b], vectors]): OperatorCase => ({
        operands: [
          { shape: vectors === "row" || vectors === "both" ? [k] : [...a!.slice(-2), m, k] },
          { shape: vectors === "column" || vectors === "both" ? [k] : [...b!.slice(-2), k, n] },
        ],
        build: ([x, y]) => [matMul(x!, y!)],
        label: `MatMul of ${vectors}`,
      })),
  },
  Gemm: {
    runs: 50,
    cases: fc
      .tuple(
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(undefined, "all", "row", "column", "one", "scalar"),
        fc.constantFrom(1, 0.5),
        fc.constantFrom(1, -2),
      ) // prettier-ignore
      .map(([m, k, n, transA, transB, third, alpha, beta]): OperatorCase => {
        const c = { all: [m, n], row: [n], column: [m, 1], one: [1, 1], scalar: [] };
        return {
          operands: [
            { shape: transA ? [k, m] : [m, k] },
            { shape: transB ? [n, k] : [k, n] },
            ...(third ? [{ shape: c[third as keyof typeof c] }] : []),
          ],
          build: ([x, y, z]) => [gemm(x!, y!, z, { transA, transB, alpha, beta })],
          label: `Gemm transA ${transA} transB ${transB} alpha ${alpha} beta ${beta} third operand ${third}`,
        };
      }),
  },
};

describe("linear rules", () => {
  testRules(linearGradients, table);
});
