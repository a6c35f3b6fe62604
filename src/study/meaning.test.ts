import { describe, expect, it } from "vitest";
import { gaussianEpsilon, rdpOfStep, rdpToEpsilon, tradeOff, worstProfile } from "../privacy/index.ts";
import { attackerBound, meaningOf } from "./meaning.ts";

const plan = (steps: number, noiseMultiplier: number, probability: number) => ({
  steps,
  noiseMultiplier,
  sampling: { kind: "poisson" as const, probability },
  relation: "add-or-remove-one" as const,
});

describe("attackerBound", () => {
  it("oneGaussianRelease_isTheNormalCurve", () => {
    // scipy 1.17.1: norm.cdf(norm.ppf(0.01) + 1) = 0.09236224807369403 for mu = 1; an exchanged unit doubles mu:
    // norm.cdf(norm.ppf(0.01) + 2) = 0.37208058543549444.
    const bound = attackerBound(plan(100, 10, 1));
    expect(bound.truePositiveRate).toBeCloseTo(0.09236224807369403, 9);
    expect(bound.exact).toBe(true);
    const replaced = attackerBound({ ...plan(100, 10, 1), relation: "replace-one" });
    expect(replaced.truePositiveRate).toBeCloseTo(0.37208058543549444, 9);
  });

  it("isNeverAboveWhatEpsilonAndDeltaAloneSay", () => {
    for (const delta of [1e-3, 1e-5, 1e-7])
      for (const rate of [0.001, 0.05, 0.5]) {
        for (const noise of [0.3, 2, 20]) {
          const alone = 1 - tradeOff(worstProfile(gaussianEpsilon(noise, delta), delta))(rate);
          expect(attackerBound(plan(1, noise, 1), rate).truePositiveRate).toBeLessThanOrEqual(alone + 1e-9);
        }
        const rdp = rdpOfStep({ samplingProbability: 0.1, noiseMultiplier: 2 }).map((x) => 50 * x);
        const alone = 1 - tradeOff(worstProfile(rdpToEpsilon(rdp, delta).epsilon, delta))(rate);
        const sampled = attackerBound(plan(50, 2, 0.1), rate);
        expect(sampled.exact).toBe(false);
        expect(sampled.truePositiveRate).toBeLessThanOrEqual(alone + 1e-9);
      }
  });

  it("endlessNoise_isGuessing", () => {
    expect(attackerBound(plan(1, 1e6, 1)).truePositiveRate).toBeCloseTo(0.01, 6);
  });

  it("hardlyAnyNoise_promisesNothing", () => {
    expect(meaningOf(attackerBound(plan(1000, 0.5, 0.5)))).toContain("catches at most 100 % of those who were");
  });
});
