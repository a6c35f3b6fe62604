import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fillGaussian, secureRandom, seededRandom } from "../math/random.ts";
import { gaussianNoise, gaussianNoisePieces, noiseScale, noisyCount } from "./noise.ts";
import { erfc } from "../math/special.ts";
import { type AdaptiveClipping, sensitivityOf, sumNoiseMultiplier } from "./clipping.ts";
import { type DpPlan, planPrivateTraining, type PlanOptions } from "./plan.ts";

const options: PlanOptions = {
  noiseMultiplier: 3,
  delta: 1e-5,
  sampling: { kind: "poisson", probability: 0.1 },
  clipping: { kind: "flat", norm: 0.5 },
  steps: 10,
};

describe("gaussianNoise", () => {
  it("hasTheStandardDeviationNoiseMultiplierTimesNorm, independently in every tensor [false alarms: 3 of 1.1e-9]", () => {
    const n = 200_000;
    const { weight, bias } = gaussianNoise(planPrivateTraining(options), { weight: n, bias: n }, secureRandom());
    let [a, b, product] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      a += weight![i]! ** 2;
      b += bias![i]! ** 2;
      product += weight![i]! * bias![i]!;
    }
    // sigma^2 = (3 * 0.5)^2, raised for the rounding; a mean square has standard error sigma^2 sqrt(2 / n), a mean product sigma^2 / sqrt(n).
    const variance = (1.5 * (1 + noiseScale(planPrivateTraining(options), 2 * n).inflation)) ** 2;
    for (const sum of [a, b]) expect(Math.abs(sum / n - variance) / (variance * Math.sqrt(2 / n))).toBeLessThan(6.1);
    expect(Math.abs(product / n) / (variance / Math.sqrt(n))).toBeLessThan(6.1);
  });

  it("comesInPieces_whichAreThatOfTheWhole [where a piece holds whole blocks of the generator]", () => {
    const plan = planPrivateTraining({ ...options, insecureSeed: true });
    const sizes = { a: 3, b: 20_000, none: 0, c: 16_384 };
    const whole = gaussianNoise(plan, sizes, seededRandom(1));
    const pieces = [...gaussianNoisePieces(plan, sizes, seededRandom(1), { most: 8192 })];
    expect(pieces.map(({ name, from, data }) => [name, from, data.length])).toEqual([
      ["a", 0, 3],
      ...[0, 8192, 16_384].map((from) => ["b", from, Math.min(8192, 20_000 - from)]),
      ["none", 0, 0],
      ...[0, 8192].map((from) => ["c", from, 8192]),
    ]);
    for (const { name, from, data } of pieces)
      expect(data).toEqual(whole[name as keyof typeof sizes]!.subarray(from, from + data.length));
  });

  it("refusesASeededSourceUnlessThePlanSaysSo, andASizeThatIsNone", () => {
    const plan = planPrivateTraining(options);
    expect(() => gaussianNoise(plan, { a: 1 }, seededRandom(1))).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-007" }),
    );
    expect(() => gaussianNoise(plan, { a: -1 }, secureRandom())).toThrow(/the size of a is -1/);
  });
});

describe("noiseScale", () => {
  const planOf = (noiseMultiplier: number, norm: number): DpPlan =>
    planPrivateTraining({ ...options, noiseMultiplier, clipping: { kind: "flat", norm } });

  it("paysForTheRoundingOfTheSum_andKeepsEveryDrawExact", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5_000_000 }),
        fc.double({ min: -3, max: 3, noNaN: true }),
        fc.double({ min: -1, max: 1, noNaN: true }),
        (size, normExponent, noiseExponent) => {
          const [norm, noise] = [10 ** normExponent, 10 ** noiseExponent];
          const { grid, deviation, inflation } = noiseScale(planOf(noise, norm), size);
          expect(2 ** Math.round(Math.log2(grid))).toBe(grid);
          // Neighbouring rounded sums are at most norm + grid sqrt(d) apart; the ratio of noise to that is the plan's.
          expect(deviation / (norm + grid * Math.sqrt(Math.max(1, size))) / noise).toBeCloseTo(1, 12);
          // fillGaussian draws nothing beyond 13.8 deviations; whole numbers up to 2^24 are float32 numbers.
          expect(13.8 * deviation).toBeLessThan(2 ** 24 * grid);
          // The cost is the promised half of a percent, unless the grid is at its finest.
          if (inflation > 0.005) expect(grid).toBeLessThan((2.5 * deviation) / 2 ** 20);
        },
      ),
    );
  });

  it("costsLittleForTheModelsThereAre", () => {
    // The linear model on 259 texture features at epsilon 8; ResNet9 with 4.9 million parameters.
    expect(noiseScale(planOf(5.43, 1), 259).inflation).toBeLessThan(0.005);
    expect(noiseScale(planOf(1, 1), 4_900_000).inflation).toBeLessThan(0.005);
    expect(noiseScale(planOf(5.43, 1), 4_900_000).inflation).toBeLessThan(0.02);
  });

  it("refusesWhatFloat32CannotRound", () => {
    expect(() => noiseScale(planOf(1000, 1), 1e9)).toThrow(expect.objectContaining({ code: "LG-PRIVACY-003" }));
  });

  it("adaptiveClipping_scalesWithTheNormInForce, and leaves room for the count", () => {
    const plan = planPrivateTraining({
      ...options,
      expectedBatchSize: 50,
      clipping: { kind: "adaptive", norm: 1, countNoise: 2 },
    });
    const multiplier = sumNoiseMultiplier(plan.clipping, 3);
    expect(multiplier).toBeGreaterThan(3);
    for (const norm of [0.01, 1, 7]) {
      const { deviation, inflation } = noiseScale(plan, 100, norm);
      const bound = sensitivityOf(plan.clipping, "add-or-remove-one", norm);
      expect(deviation / (multiplier * bound * (1 + inflation))).toBeCloseTo(1, 12);
    }
  });
});

describe("noise on its grid", () => {
  it("hasTheProbabilitiesOfARoundedNormal [chi-square, seeded; false alarm of a fresh seed: 1e-9]", () => {
    // Coarse on purpose, a quarter of the deviation: cell k holds the normal between (k - 1/2) g and (k + 1/2) g.
    const [n, deviation, grid] = [1_000_000, 2, 0.5];
    const drawn = new Float32Array(n);
    fillGaussian(seededRandom("cells"), drawn, deviation, grid);
    expect(drawn.filter((v) => !Number.isInteger(v / grid))).toHaveLength(0);
    const counts = new Map<number, number>();
    for (const v of drawn) counts.set(v / grid, (counts.get(v / grid) ?? 0) + 1);
    const below = (x: number): number => 0.5 * erfc(-x / Math.SQRT2);
    let [chi, cells] = [0, 0];
    for (let k = -15; k <= 15; k++) {
      const expected = n * (below(((k + 0.5) * grid) / deviation) - below(((k - 0.5) * grid) / deviation));
      expect(expected).toBeGreaterThan(50);
      chi += ((counts.get(k) ?? 0) - expected) ** 2 / expected;
      cells++;
    }
    // A chi-square of 31 cells (about 31 degrees of freedom) exceeds 107 with probability 3e-10 (scipy.stats.chi2.sf).
    expect(cells).toBe(31);
    expect(chi).toBeLessThan(107);
  });

  it("isTheUnroundedNoise_rounded: the same seed moves each number by at most half a grid", () => {
    const [plain, gridded] = [new Float32Array(10_000), new Float32Array(10_000)];
    const grid = 2 ** -12;
    fillGaussian(seededRandom(3), plain, 1.5);
    fillGaussian(seededRandom(3), gridded, 1.5, grid);
    // Half a grid, and the float32 rounding of the plain number.
    plain.forEach((v, i) => expect(Math.abs(gridded[i]! - v)).toBeLessThanOrEqual(grid / 2 + 1e-6));
  });
});

describe("noisyCount", () => {
  const plan = planPrivateTraining({
    ...options,
    expectedBatchSize: 50,
    clipping: { kind: "adaptive", norm: 1, countNoise: 4 },
  });
  const clipping = plan.clipping as AdaptiveClipping;

  it("addsNoiseOfTheStatedDeviation, on a grid that holds every count [false alarms: 2 of 1.1e-9]", () => {
    using source = secureRandom();
    const n = 20_000;
    const drawn = Float64Array.from({ length: n }, () => noisyCount(plan, clipping, -7.5, source) + 7.5);
    const mean = drawn.reduce((a, b) => a + b, 0) / n;
    const square = drawn.reduce((a, b) => a + b * b, 0) / n;
    expect(Math.abs(mean) / (4 / Math.sqrt(n))).toBeLessThan(6.1);
    expect(Math.abs(square / 16 - 1) / Math.sqrt(2 / n)).toBeLessThan(6.1);
    // 4 / 2^20 is a power of two: that is the grid.
    expect(drawn.every((v) => Number.isInteger(v * 2 ** 18))).toBe(true);
  });

  it("refusesASeededSourceUnlessThePlanSaysSo", () => {
    expect(() => noisyCount(plan, clipping, 0, seededRandom(1))).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-007" }),
    );
  });
});
