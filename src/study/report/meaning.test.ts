import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianEpsilon } from "../../privacy/index.ts";
import { attackerBound, meaningOf } from "./meaning.ts";

const plan = (steps: number, noiseMultiplier: number, probability: number, epsilon: number, delta: number) => ({
  steps,
  noiseMultiplier,
  sampling: { probability },
  epsilon: { upper: epsilon },
  delta,
  relation: "add-or-remove-one",
});

describe("attackerBound", () => {
  it("oneGaussianRelease_isTheNormalCurve", () => {
    // scipy 1.17.1: norm.cdf(norm.ppf(0.01) + 1) = 0.09236224807369403 for mu = 1.
    expect(attackerBound(plan(100, 10, 1, 4, 1e-5)).truePositiveRate).toBeCloseTo(0.09236224807369403, 9);
  });

  it("exactBound_isNeverAboveTheOneOfItsEpsilonAndDelta", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.3, max: 20, noNaN: true }),
        fc.constantFrom(1e-3, 1e-5, 1e-7),
        fc.double({ min: 0.001, max: 0.5, noNaN: true }),
        (noise, delta, rate) => {
          const epsilon = gaussianEpsilon(noise, delta);
          const exact = attackerBound(plan(1, noise, 1, epsilon, delta), rate);
          const general = attackerBound(plan(1, noise, 0.5, epsilon, delta), rate);
          expect(exact.exact).toBe(true);
          expect(general.exact).toBe(false);
          expect(exact.truePositiveRate).toBeLessThanOrEqual(general.truePositiveRate + 1e-9);
        },
      ),
    );
  });

  it("epsilonZero_isGuessing", () => {
    expect(attackerBound(plan(1, 1, 0.5, 0, 0)).truePositiveRate).toBeCloseTo(0.01, 12);
  });

  it("largeEpsilon_promisesNothing", () => {
    expect(meaningOf(attackerBound(plan(1, 1, 0.5, 50, 1e-5)))).toContain("catches at most 100 % of those who were");
  });
});
