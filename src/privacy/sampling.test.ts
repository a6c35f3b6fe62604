import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RandomSource, secureRandom, seededRandom } from "../math/random.ts";
import { planPrivateTraining } from "./plan.ts";
import type { DpPlan } from "./plan.ts";
import { poissonSample, sampleUnits, type Sampling, shuffledBatch } from "./sampling.ts";

describe("poissonSample", () => {
  it("sizesAreBinomialAndEveryUnitIsEquallyLikely [false alarms: 102 checks of 1.1e-9]", () => {
    const [n, q, draws] = [100, 0.3, 20_000];
    const source = secureRandom();
    const joined = new Float64Array(n);
    let [sizes, squares] = [0, 0];
    for (let draw = 0; draw < draws; draw++) {
      const sample = poissonSample(n, q, source);
      sizes += sample.length;
      squares += (sample.length - n * q) ** 2;
      for (const unit of sample) joined[unit]!++;
    }
    // |z| > 6.1 has probability 1.1e-9. The size has mean nq and variance nq(1 - q); its squared deviation has variance
    // 2 v^2 (1 + (1 - 6q(1 - q)) / (2v)), about 2 v^2.
    const variance = n * q * (1 - q);
    expect(Math.abs(sizes / draws - n * q) / Math.sqrt(variance / draws)).toBeLessThan(6.1);
    expect(Math.abs(squares / draws - variance) / Math.sqrt((2 * variance ** 2) / draws)).toBeLessThan(6.1);
    for (const count of joined) expect(Math.abs(count - draws * q) / Math.sqrt(draws * q * (1 - q))).toBeLessThan(6.1);
  });

  it("pairsOfUnitsJoinIndependently [false alarm: 1.1e-9]", () => {
    const source = secureRandom();
    const draws = 40_000;
    let together = 0;
    for (let draw = 0; draw < draws; draw++) if (poissonSample(2, 0.5, source).length === 2) together++;
    expect(Math.abs(together - draws / 4) / Math.sqrt((draws * 3) / 16)).toBeLessThan(6.1);
  });

  it("returnsDistinctUnitsInOrder_andTheExtremesAreCertain", () => {
    fc.assert(
      fc.property(fc.nat(40_000), fc.double({ min: 0, max: 1, noNaN: true }), fc.integer(), (n, q, seed) => {
        const sample = poissonSample(n, q, seededRandom(seed));
        sample.forEach((unit, i) => expect(unit < n && (i === 0 || unit > sample[i - 1]!)).toBe(true));
      }),
      { numRuns: 30 },
    );
    expect(poissonSample(20_000, 1, seededRandom(1))).toHaveLength(20_000);
    expect(poissonSample(20_000, 0, seededRandom(1))).toHaveLength(0);
    expect(poissonSample(0, 0.5, seededRandom(1))).toHaveLength(0);
  });

  it("coinsOnTheEdgeAreDecidedByMoreBits", () => {
    // q = (5 + 1/4) / 2^32: a first word of 5 is decided by whether the second is below 2^30; 4 joins and 6 does not.
    const q = 5.25 / 2 ** 32;
    const joins = (first: number, second: number): boolean => {
      const scripted = {
        ...seededRandom(1),
        words: (out: Uint32Array) => void out.fill(first),
        uint32: () => second,
      } satisfies RandomSource;
      return poissonSample(1, q, scripted).length === 1;
    };
    expect([joins(4, 2 ** 32 - 1), joins(5, 2 ** 30 - 1), joins(5, 2 ** 30), joins(6, 0)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("refusesImpossibleArguments", () => {
    for (const [n, q] of [
      [-1, 0.5],
      [1.5, 0.5],
      [10, -0.1],
      [10, 1.1],
      [10, NaN],
    ] as const)
      expect(() => poissonSample(n, q, seededRandom(1))).toThrow(expect.objectContaining({ code: "LG-PRIVACY-001" }));
  });
});

describe("sampleUnits", () => {
  const options = {
    target: { epsilon: 8, delta: 1e-4 },
    sampling: { kind: "poisson", probability: 0.5 },
    clipping: { kind: "flat", norm: 1 },
    steps: 10,
  } as const;

  it("usesThePlansProbability", () => {
    const plan = planPrivateTraining({ ...options, insecureSeed: true });
    expect(sampleUnits(plan, 1000, seededRandom(3))).toEqual(poissonSample(1000, 0.5, seededRandom(3)));
  });

  it("refusesASeededSourceUnlessThePlanSaysSo", () => {
    const plan = planPrivateTraining(options);
    expect(() => sampleUnits(plan, 10, seededRandom(3))).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-007", exitCode: 4 }),
    );
    expect(sampleUnits(plan, 10, secureRandom()).length).toBeLessThanOrEqual(10);
  });

  const planWith = (sampling: Sampling): DpPlan => ({
    ...planPrivateTraining({ ...options, insecureSeed: true }),
    sampling,
  });

  it("full_isEveryUnit", () => {
    expect([...sampleUnits(planWith({ kind: "full", probability: 1 }), 5, seededRandom(1))]).toEqual([0, 1, 2, 3, 4]);
  });

  it("truncation_keepsAUniformPartOfTheCap, and nothing else changes [false alarms: 101 checks of 1.1e-9]", () => {
    const [n, q, cap, draws] = [100, 0.3, 27, 20_000];
    const source = secureRandom();
    const plan = planWith({ kind: "truncated-poisson", probability: q, cap, cohortSize: n });
    const joined = new Float64Array(n);
    let total = 0;
    for (let draw = 0; draw < draws; draw++) {
      const sample = sampleUnits(plan, n, source);
      const ordered = sample.every((unit, i) => i === 0 || unit > sample[i - 1]!);
      if (sample.length > cap || !ordered) throw new RangeError("a sample is too large or out of order");
      total += sample.length;
      for (const unit of sample) joined[unit]!++;
    }
    // E min(X, 27) and its variance for X ~ Binomial(100, 0.3), by summing the probabilities.
    let [mean, square] = [0, 0];
    let probability = (1 - q) ** n;
    for (let k = 0; k <= n; k++) {
      mean += probability * Math.min(k, cap);
      square += probability * Math.min(k, cap) ** 2;
      probability *= (((n - k) / (k + 1)) * q) / (1 - q);
    }
    // |z| > 6.1 has probability 1.1e-9.
    expect(Math.abs(total / draws - mean) / Math.sqrt((square - mean * mean) / draws)).toBeLessThan(6.1);
    const share = mean / n;
    for (const count of joined)
      expect(Math.abs(count - draws * share) / Math.sqrt(draws * share * (1 - share))).toBeLessThan(6.1);
    const roomy = planWith({ kind: "truncated-poisson", probability: q, cap: n, cohortSize: n });
    expect(sampleUnits(roomy, n, seededRandom(3))).toEqual(poissonSample(n, q, seededRandom(3)));
  });

  it("shuffledBatches_holdEveryUnitOnceAPass_inANewOrderEachTime", () => {
    const plan = planWith({ kind: "shuffle", batchSize: 4, cohortSize: 10 });
    const pass = (first: number): number[] =>
      [0, 1, 2].flatMap((i) => [...sampleUnits(plan, 10, seededRandom(1), { step: first + i, orderSeed: "order" })]);
    const all = Array.from({ length: 10 }, (_, i) => i);
    expect(pass(0).toSorted((a, b) => a - b)).toEqual(all);
    expect(pass(3).toSorted((a, b) => a - b)).toEqual(all);
    expect(pass(3)).not.toEqual(pass(0));
    expect([0, 1, 2].map((step) => shuffledBatch(10, 4, "order", step).length)).toEqual([4, 4, 2]);
  });

  it("aCohortThatIsNotThePlans_isRefused_whereItsSizeDecidesTheCost", () => {
    const truncated = planWith({ kind: "truncated-poisson", probability: 0.1, cap: 5, cohortSize: 10 });
    const shuffled = planWith({ kind: "shuffle", batchSize: 4, cohortSize: 10 });
    for (const [plan, n] of [
      [truncated, 11],
      [shuffled, 11],
      [shuffled, 9],
    ] as const)
      expect(() => sampleUnits(plan, n, seededRandom(1))).toThrow(
        expect.objectContaining({ code: "LG-PRIVACY-005", exitCode: 4 }),
      );
    expect(sampleUnits(truncated, 9, seededRandom(1)).length).toBeLessThanOrEqual(5);
  });
});
