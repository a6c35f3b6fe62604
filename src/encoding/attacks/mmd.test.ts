import { expect, it } from "vitest";
import { constant, graphOf } from "../../graph/index.ts";
import { startEngine } from "../../runtime/index.ts";
import { mmd, mmdBandwidths } from "./mmd.ts";

it("mmd_isTheSumOfKernelMeans", async () => {
  const [a, b] = [Float32Array.of(0, 0, 1, 2), Float32Array.of(1, 0, 0, 3)];
  const kernel = (p: Float32Array, i: number, q: Float32Array, j: number): number => {
    const d = (p[2 * i]! - q[2 * j]!) ** 2 + (p[2 * i + 1]! - q[2 * j + 1]!) ** 2;
    return mmdBandwidths.reduce((sum, s) => sum + Math.exp(-d / (2 * s)), 0);
  };
  const mean = (p: Float32Array, q: Float32Array): number =>
    (kernel(p, 0, q, 0) + kernel(p, 0, q, 1) + kernel(p, 1, q, 0) + kernel(p, 1, q, 1)) / 4;
  await using engine = await startEngine({ threads: 1 });
  const program = await engine.load(graphOf("m", { y: mmd(constant(a, [2, 2]), constant(b, [2, 2])) }));
  const { y } = await program.run({});
  // Straight from the definition, in float64; float32 keeps about six digits of sums near 19.
  expect(y!.data[0]).toBeCloseTo(mean(a, a) + mean(b, b) - 2 * mean(a, b), 4);
  expect(mmdBandwidths).toHaveLength(19);
});
