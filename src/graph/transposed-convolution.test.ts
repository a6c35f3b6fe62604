import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runGraph } from "../../test/support/run-onnx.ts";
import * as g from "./index.ts";
import { lower } from "./lower.ts";
import { transposedWindowOf } from "./rules/convolution.ts";
import { spreadProducts } from "./transposed-convolution.ts";

const far = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);

const axis = fc.record({
  kernel: fc.integer({ min: 1, max: 4 }),
  stride: fc.integer({ min: 1, max: 3 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  from: fc.integer({ min: 1, max: 3 }),
  begin: fc.integer({ min: 0, max: 2 }),
  end: fc.integer({ min: 0, max: 2 }),
});

describe("transposed convolution as two products", () => {
  it("isThatOfTheRuntime [ONNX Runtime's ConvTranspose; 1e-5: sums of at most 48 numbers below 1]", async () => {
    let tried = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(axis, { minLength: 1, maxLength: 2 }),
        fc.integer({ min: 1, max: 2 }),
        async (axes, group) => {
          const extent = axes.map((a) => (a.from - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - a.begin - a.end);
          fc.pre(extent.every((n) => n >= 1));
          tried++;
          const x = g.input("x", [3, 5 * group, ...axes.map((a) => a.from)]);
          const w = g.input("w", [5 * group, 2, ...axes.map((a) => a.kernel)]);
          const y = g.convTranspose(x, w, undefined, {
            group,
            strides: axes.map((a) => a.stride),
            dilations: axes.map((a) => a.dilation),
            pads: [...axes.map((a) => a.begin), ...axes.map((a) => a.end)],
          });
          if (y.kind !== "result") throw new Error("an operator makes a result");
          const window = transposedWindowOf(y.node, x.shape.slice(2), w.shape.slice(2));
          const composed = spreadProducts(x, w, window, group, y.shape.slice(2));
          const found = await runGraph(g.graphOf("both", { y, composed }));
          expect(found["composed"]!.shape).toEqual(found["y"]!.shape);
          expect(far(found["composed"]!.data as Float32Array, found["y"]!.data as Float32Array)).toBeLessThan(1e-5);
        },
      ),
      { seed: 2026, numRuns: 60 },
    );
    expect(tried).toBeGreaterThan(40);
  });

  it("keepsTheBias", async () => {
    const [x, w, bias] = [g.input("x", [2, 1024, 2, 2]), g.input("w", [1024, 64, 4, 4]), g.input("bias", [64])];
    const y = g.convTranspose(x, w, bias, { strides: [2, 2], pads: [1, 1, 1, 1] });
    const lowered = lower(g.graphOf("t", { y })).outputs[0]!.value;
    const found = await runGraph(g.graphOf("both", { y, lowered }));
    // Sums of 4,096 products of numbers below 1.
    expect(far(found["lowered"]!.data as Float32Array, found["y"]!.data as Float32Array)).toBeLessThan(1e-3);
  });

  it("isTakenForSmallMapsOfManyWeightsAlone", () => {
    const operators = (batch: number, channels: number, size: number): string[] => {
      const x = g.input("x", [batch, channels, size, size]);
      const w = g.input("w", [channels, 64, 4, 4]);
      const graph = lower(
        g.graphOf("t", { y: g.convTranspose(x, w, undefined, { strides: [2, 2], pads: [1, 1, 1, 1] }) }),
      );
      return g.topologicalNodes(graph.outputs.map((o) => o.value)).map((n) => n.op);
    };
    expect(operators(4, 1024, 4)).not.toContain("ConvTranspose");
    // One image, few weights, a large map.
    expect(operators(1, 1024, 4)).toContain("ConvTranspose");
    expect(operators(4, 512, 2)).toContain("ConvTranspose");
    expect(operators(4, 1024, 8)).toContain("ConvTranspose");
  });
});
