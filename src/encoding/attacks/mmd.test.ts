import { expect, it } from "vitest";
import { constant, graphOf } from "../../graph/index.ts";
import { seededRandom } from "../../math/random.ts";
import { startEngine } from "../../runtime/index.ts";
import { vectors } from "./arrays.ts";
import { breakByMmd, mmd, mmdBandwidths } from "./mmd.ts";

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

it("aLinearEncoderOfSkewedVectors_isBroken", async () => {
  const random = seededRandom(8, "mmd test");
  const [n, from, to] = [40, 4, 12];
  // Exponential coordinates of unequal size: neither signs nor axes are ambiguous.
  const x = Float32Array.from({ length: n * from }, (_, at) => -Math.log(1 - random.uniform()) * (1 + (at % from)));
  const weight = Float32Array.from({ length: from * to }, () => random.gaussian() / 2);
  const order = Array.from({ length: n }, (_, i) => (7 * i + 3) % n);
  const y = Float32Array.from({ length: n * to }, (_, at) => {
    const i = order[Math.floor(at / to)]!;
    let sum = 0;
    for (let k = 0; k < from; k++) sum += x[i * from + k]! * weight[k * to + (at % to)]!;
    return sum;
  });
  const { images } = await breakByMmd(
    { codes: vectors(y, n, 1, to), candidates: vectors(x, n, 1, from) },
    { seed: 1, steps: 1500, learningRate: 1e-2 },
  );
  const hits = images.filter((c, i) => c === order[i]).length;
  // Chance finds 1 of 40; P(Poisson(1) >= 20) < 1e-18.
  expect(hits).toBeGreaterThanOrEqual(20);
});
