import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalCdf } from "../math/statistics.ts";
import { gaussianDelta } from "./gaussian.ts";
import { attackerTerms, positivePredictiveValue, type PrivacyProfile, tradeOff, worstProfile } from "./tradeoff.ts";

/** Made by fixtures/make-tradeoff.py with mpmath at 40 digits. */
const fixture = JSON.parse(readFileSync(new URL("./fixtures/tradeoff.json", import.meta.url), "utf8")) as {
  gaussian: [mu: number, falsePositiveRate: number, falseNegativeRate: number][];
  sampled: [q: number, sigma: number, rate: number, smaller: number, added: number, removed: number][];
};

const exactly = (delta: (epsilon: number) => number): PrivacyProfile => {
  return (epsilon) => ({ lower: delta(epsilon), upper: delta(epsilon) });
};
const gaussian = (mu: number): PrivacyProfile => exactly((epsilon) => gaussianDelta(1 / mu, epsilon));

/** One Poisson-sampled Gaussian step: the larger delta of the two directions, from the threshold where the densities' ratio is e^epsilon. */
const oneStep = (q: number, sigma: number): PrivacyProfile => {
  const mixture = (z: number): number => (1 - q) * normalCdf(z / sigma) + q * normalCdf((z - 1) / sigma);
  const none = (z: number): number => normalCdf(z / sigma);
  /** z at which mixture / N(0) is r > 1 - q. */
  const at = (ratio: number): number => sigma * sigma * Math.log((ratio - 1 + q) / q) + 0.5;
  return exactly((epsilon) => {
    const grown = Math.exp(epsilon);
    const above = at(grown);
    const removed = 1 - mixture(above) - grown * (1 - none(above));
    const below = at(1 / grown);
    const added = 1 / grown > 1 - q ? none(below) - grown * mixture(below) : 0;
    return Math.max(0, removed, added);
  });
};

const rate = fc.double({ min: 0, max: 1, noNaN: true });
const anyProfile = fc.oneof(
  fc.double({ min: 0.01, max: 8, noNaN: true }).map(gaussian),
  fc
    .tuple(fc.double({ min: 0, max: 20, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([epsilon, delta]) => worstProfile(epsilon, delta)),
  fc
    .tuple(fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.double({ min: 0.5, max: 5, noNaN: true }))
    .map(([q, sigma]) => oneStep(q, sigma)),
);

describe("tradeOff", () => {
  it("ofTheGaussian_isTheOneOfTheLikelihoodRatioTest [mpmath, 40 digits; absolute 1e-9, never above]", () => {
    expect(fixture.gaussian).toHaveLength(30);
    for (const [mu, falsePositiveRate, expected] of fixture.gaussian) {
      const got = tradeOff(gaussian(mu))(falsePositiveRate);
      const place = `mu ${mu}, rate ${falsePositiveRate}`;
      expect(Math.abs(got - expected), place).toBeLessThan(1e-9);
      expect(got, place).toBeLessThanOrEqual(expected + 1e-14);
    }
  });

  it("ofASampledStep_isBelowBothDirections_andReachesTheSmallerAtSmallRates [mpmath, 40 digits]", () => {
    expect(fixture.sampled).toHaveLength(16);
    for (const [q, sigma, falsePositiveRate, smaller, added, removed] of fixture.sampled) {
      const got = tradeOff(oneStep(q, sigma))(falsePositiveRate);
      const place = `q ${q}, sigma ${sigma}, rate ${falsePositiveRate}`;
      expect(got, place).toBeLessThanOrEqual(added + 1e-12);
      expect(got, place).toBeLessThanOrEqual(removed + 1e-12);
      // The curve of the larger delta is symmetric and convex; at the ends that changes nothing.
      if (falsePositiveRate <= 0.01) expect(Math.abs(got - smaller), place).toBeLessThan(1e-9);
    }
  });

  it("ofEpsilonAndDeltaAlone_isTheirPolygon", () => {
    // Kairouz, Oh, Viswanath 2015: max(0, 1 - delta - e^epsilon a, e^-epsilon (1 - delta - a)).
    for (const [epsilon, delta] of [
      [0, 0],
      [1, 1e-5],
      [8, 1e-4],
      [0.1, 0.3],
    ] as const)
      for (const a of [0, 1e-4, 0.01, 0.3, 0.9, 1]) {
        const expected = Math.max(0, 1 - delta - Math.exp(epsilon) * a, Math.exp(-epsilon) * (1 - delta - a));
        expect(tradeOff(worstProfile(epsilon, delta))(a)).toBeCloseTo(expected, 8);
      }
  });

  it("isFalling_convex_andNeverAboveGuessing", () => {
    fc.assert(
      fc.property(anyProfile, rate, rate, (profile, x, y) => {
        const curve = tradeOff(profile);
        const [low, high] = [Math.min(x, y), Math.max(x, y)];
        const [atLow, atHigh] = [curve(low), curve(high)];
        expect(atHigh).toBeLessThanOrEqual(atLow + 1e-9);
        expect(curve((low + high) / 2)).toBeLessThanOrEqual((atLow + atHigh) / 2 + 1e-8);
        expect(atLow).toBeLessThanOrEqual(1 - low + 1e-12);
        expect(atLow).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 40 },
    );
  });

  it("moreNoise_protectsMore", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.05, max: 5, noNaN: true }), rate, (mu, a) => {
        expect(tradeOff(gaussian(mu))(a)).toBeGreaterThanOrEqual(tradeOff(gaussian(1.1 * mu))(a) - 1e-9);
      }),
      { numRuns: 40 },
    );
  });

  it("refusesARateThatIsNone", () => {
    const curve = tradeOff(gaussian(1));
    for (const a of [-0.1, 1.1, NaN]) expect(() => curve(a)).toThrow(/false-positive rate is/);
  });
});

describe("attackerTerms", () => {
  it("ofTheGaussian_areTheKnownOnes", () => {
    // scipy 1.17.1, mu = 1: 2 norm.cdf(0.5) - 1 = 0.38292492254802624; norm.cdf(norm.ppf(a) + 1) for a = 0.01 and 0.001:
    // 0.09236224807369403 and 0.01829846840565661.
    const terms = attackerTerms(gaussian(1), { memberShare: 0.5 });
    expect(terms.advantage).toBeCloseTo(0.38292492254802624, 12);
    const [thousandth, hundredth] = terms.membership;
    expect(thousandth!.truePositiveRate).toBeCloseTo(0.01829846840565661, 9);
    expect(hundredth!.truePositiveRate).toBeCloseTo(0.09236224807369403, 9);
    // Bayes by hand: 0.0923622 / (0.0923622 + 0.01).
    expect(hundredth!.positivePredictiveValue).toBeCloseTo(0.09236224807369403 / 0.10236224807369403, 8);
    // Reconstruction at a prior is as hard as membership at that rate.
    expect(terms.reconstruction[1]).toEqual({ prior: 0.001, success: thousandth!.truePositiveRate });
  });

  it("ofNothingPublished_areGuessing", () => {
    const terms = attackerTerms(worstProfile(0, 0));
    expect(terms.advantage).toBe(0);
    for (const { falsePositiveRate, truePositiveRate, positivePredictiveValue } of terms.membership) {
      expect(truePositiveRate).toBeCloseTo(falsePositiveRate, 12);
      expect(positivePredictiveValue).toBeCloseTo(terms.memberShare, 10);
    }
    for (const { prior, success } of terms.reconstruction) expect(success).toBeCloseTo(prior, 12);
  });

  it("advantage_isTheLargestGapOfTheCurve", () => {
    fc.assert(
      fc.property(anyProfile, (profile) => {
        const curve = tradeOff(profile);
        const gaps = Array.from({ length: 101 }, (_, i) => 1 - curve(i / 100) - i / 100);
        const advantage = attackerTerms(profile).advantage;
        expect(Math.max(...gaps)).toBeLessThanOrEqual(advantage + 1e-9);
        expect(Math.max(...gaps)).toBeGreaterThan(advantage - 0.02); // the grid's width, twice
      }),
      { numRuns: 20 },
    );
  });

  it("predictiveValue_whereNobodyIsAccused_isZero", () => {
    expect(positivePredictiveValue({ truePositiveRate: 0, falsePositiveRate: 0, memberShare: 0.1 })).toBe(0);
  });

  it("worstProfile_refusesWhatIsNoGuarantee", () => {
    expect(() => worstProfile(-1, 0)).toThrow(/epsilon is -1/);
    expect(() => worstProfile(1, 1.5)).toThrow(/delta is 1.5/);
  });
});
