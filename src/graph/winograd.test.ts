import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runGraph } from "../../test/support/run-onnx.ts";
import * as g from "./index.ts";
import { lower } from "./lower.ts";
import { transposedWindowOf, windowOf } from "./rules/convolution.ts";
import type { Value } from "./value.ts";
import { fewerProducts, fewerProductsTransposed, transformsOf } from "./winograd.ts";

const windows = fc.record({
  stride: fc.integer({ min: 2, max: 3 }),
  taps: fc.integer({ min: 2, max: 3 }),
  tiles: fc.integer({ min: 1, max: 3 }),
  top: fc.integer({ min: 0, max: 4 }),
  columns: fc.record({
    kernel: fc.integer({ min: 1, max: 5 }),
    stride: fc.integer({ min: 1, max: 3 }),
    left: fc.integer({ min: 0, max: 2 }),
    right: fc.integer({ min: 0, max: 2 }),
  }),
});
const nodeOf = (y: Value) => {
  if (y.kind !== "result") throw new Error("an operator makes a result");
  return y.node;
};
/** The largest difference against the largest value. */
function distance(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  let [most, largest] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    most = Math.max(most, Math.abs(Number(a[i]) - Number(b[i])));
    largest = Math.max(largest, Math.abs(Number(b[i])));
  }
  return most / largest;
}

describe("convolutions with fewer products", () => {
  it("transforms_giveTheCorrelationOfRows [its definition; exact in float64]", () => {
    for (const [taps, reversed] of [
      [2, false],
      [3, false],
      [2, true],
      [3, true],
    ] as const) {
      const { input, kernel, output } = transformsOf(taps, reversed);
      const rows = input[0]!.map((_, i) => 3 * i * i - 7 * i + 2);
      const weights = [5, -3, 2].slice(0, taps);
      const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
      const ordered = reversed ? [...weights].reverse() : weights;
      const products = input.map((row, q) => dot(row, rows) * dot(kernel[q]!, ordered));
      output.forEach((row, j) => expect(dot(row, products)).toBeCloseTo(dot(weights, rows.slice(j)), 9));
    }
  });

  it("isTheRuntimesConv [ONNX Runtime's; 1e-5 of the largest: measured 2e-6]", async () => {
    await fc.assert(
      fc.asyncProperty(windows, async ({ stride, taps, tiles, top, columns }) => {
        // As many rows as give 4 a tile, less the padding above and with some to spare below.
        const height = (4 * tiles - 1) * stride + taps * stride - top;
        fc.pre(height >= 1);
        const x = g.input("x", [2, 3, height, 7]);
        const w = g.input("w", [4, 3, taps * stride, columns.kernel]);
        const y = g.conv(x, w, undefined, {
          strides: [stride, columns.stride],
          pads: [top, columns.left, 0, columns.right],
        });
        const window = windowOf(nodeOf(y), x.shape.slice(2), w.shape.slice(2));
        const found = await runGraph(g.graphOf("both", { y, fewer: fewerProducts(x, w, window, y.shape[2]!) }));
        expect(found["fewer"]!.shape).toEqual(found["y"]!.shape);
        expect(distance(found["fewer"]!.data, found["y"]!.data)).toBeLessThan(1e-5);
      }),
      { seed: 2026, numRuns: 60 },
    );
  });

  it("isTheRuntimesConvTranspose [ONNX Runtime's; 1e-5 of the largest: measured 2e-6]", async () => {
    let tried = 0;
    await fc.assert(
      fc.asyncProperty(windows, fc.nat(2), async ({ stride, taps, tiles, top, columns }, padding) => {
        const from = 4 * tiles - taps + 1 + Math.floor(top / stride);
        const before = top - (top % stride);
        fc.pre(from >= 1 && columns.kernel > columns.left + columns.right);
        tried++;
        const x = g.input("x", [2, 3, from, 5]);
        const w = g.input("w", [3, 4, taps * stride, columns.kernel]);
        const y = g.convTranspose(x, w, undefined, {
          strides: [stride, columns.stride],
          pads: [before, columns.left, 0, columns.right],
          outputPadding: [0, padding % columns.stride],
        });
        const window = transposedWindowOf(nodeOf(y), x.shape.slice(2), w.shape.slice(2));
        const fewer = fewerProductsTransposed(x, w, window, y.shape[2]!);
        const found = await runGraph(g.graphOf("both", { y, fewer }));
        expect(found["fewer"]!.shape).toEqual(found["y"]!.shape);
        expect(distance(found["fewer"]!.data, found["y"]!.data)).toBeLessThan(1e-5);
      }),
      { seed: 2026, numRuns: 80 },
    );
    expect(tried).toBeGreaterThan(40);
  });

  it("isTakenWhereItPays_withTheBias", async () => {
    const operators = (y: Value): string[] => {
      const graph = lower(g.graphOf("t", { y }));
      return g.topologicalNodes(graph.outputs.map((o) => o.value)).map((n) => n.op);
    };
    const x = g.input("x", [8, 64, 64, 64]);
    const [w, bias] = [g.input("w", [128, 64, 6, 6]), g.input("bias", [128])];
    const options = { strides: [2, 2], pads: [2, 2, 2, 2] };
    const y = g.conv(x, w, bias, options);
    expect(operators(y)).toContain("Add");
    const back = g.convTranspose(g.input("d", [8, 128, 32, 32]), w, g.input("b", [64]), options);
    expect(operators(back)).toContain("Add");
    // Without strides, of few channels, of many weights: as they are.
    for (const other of [
      g.conv(x, g.input("v", [128, 64, 3, 3])),
      g.conv(g.input("few", [8, 2, 128, 128]), g.input("v", [64, 2, 6, 6]), undefined, options),
      g.conv(g.input("deep", [16, 512, 8, 8]), g.input("v", [1024, 512, 6, 6]), undefined, options),
    ])
      expect(operators(other)).toEqual(["Conv"]);
    const both = await runGraph(g.graphOf("both", { y, lowered: lower(g.graphOf("t", { y })).outputs[0]!.value }));
    // Sums of 2,304 products that mostly cancel: measured 1.2e-5 of the largest.
    expect(distance(both["lowered"]!.data, both["y"]!.data)).toBeLessThan(1e-4);
  });
});
