import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rdpOfStep, rdpOfStepReplacing, rdpOrders, rdpToEpsilon } from "./rdp.ts";

/** Made by fixtures/make-rdp.py: direct integration of the definition at 40 digits. */
const fixture = JSON.parse(readFileSync(new URL("./fixtures/rdp.json", import.meta.url), "utf8")) as {
  records: [q: number, sigma: number, order: number, rdp: number][];
};

describe("rdpOfStep", () => {
  it("agreesWithDirectIntegration_fromTinyToHugeDivergences [relative 1e-12]", () => {
    expect(fixture.records).toHaveLength(125);
    for (const [samplingProbability, noiseMultiplier, order, expected] of fixture.records) {
      const [got] = rdpOfStep({ samplingProbability, noiseMultiplier }, [order]);
      const place = `q ${samplingProbability}, sigma ${noiseMultiplier}, order ${order}`;
      expect(Math.abs(got! / expected - 1), place).toBeLessThan(1e-12);
    }
  });

  it("isTheGaussianMechanismWithoutSampling: order / (2 sigma^2)", () => {
    // Mironov 2017, corollary 3.
    expect([...rdpOfStep({ samplingProbability: 1, noiseMultiplier: 2 }, [1.5, 8])]).toEqual([0.1875, 1]);
    expect([...rdpOfStep({ samplingProbability: 0, noiseMultiplier: 2 }, [1.5, 8])]).toEqual([0, 0]);
  });

  it("fractionalOrders_lieBetweenTheirNeighbours_alsoWhereTheyAreBoundedByAChord", () => {
    // Renyi divergence increases with the order (van Erven and Harremoes 2014, theorem 3). At 0.05 the chord is used.
    for (const noiseMultiplier of [0.05, 0.09, 0.7, 30]) {
      const rdp = rdpOfStep({ samplingProbability: 0.01, noiseMultiplier });
      for (let i = 1; i < rdp.length; i++) expect(rdp[i]!).toBeGreaterThanOrEqual(rdp[i - 1]! * (1 - 1e-12));
    }
  });

  it("theChord_isAnUpperBound", () => {
    // 1 + u >= q exp((2z - 1) / (2 sigma^2)), so log E (1 + u)^a >= a log q + (a^2 - a) / (2 sigma^2).
    const dominant = (2.5 * Math.log(1e-6) + 3.75 / 0.0032) / 1.5;
    const [got] = rdpOfStep({ samplingProbability: 1e-6, noiseMultiplier: 0.04 }, [2.5]);
    expect(got!).toBeGreaterThanOrEqual(dominant);
  });
});

describe("rdpOfStepReplacing", () => {
  it("boundsTheDivergenceOfMixturesThatDifferInOneUnit [trapezoidal integration in float64]", () => {
    // The pair that reference accountants use for an exchanged unit: (1 - q) N(0) + q N(1) against (1 - q) N(0) + q N(-1).
    const divergence = (q: number, sigma: number, order: number): number => {
      const logDensity = (z: number, shift: number): number => {
        const moved = (z * shift - 0.5 * shift * shift) / (sigma * sigma);
        return -(z * z) / (2 * sigma * sigma) + Math.log1p(q * Math.expm1(moved));
      };
      const step = sigma / 50;
      let sum = 0;
      for (let z = -order - 14 * sigma; z < 2 * order + 14 * sigma; z += step)
        sum += Math.exp(order * logDensity(z, 1) + (1 - order) * logDensity(z, -1)) * step;
      return Math.log(sum / (sigma * Math.sqrt(2 * Math.PI))) / (order - 1);
    };
    for (const [q, sigma] of [
      [0.04, 1.5],
      [0.3, 2],
      [0.9, 1],
      [0.99, 30],
    ] as const) {
      for (const order of [1.5, 2, 4.3, 8]) {
        const [bound] = rdpOfStepReplacing({ samplingProbability: q, noiseMultiplier: sigma }, [order]);
        const exact = divergence(q, sigma, order);
        expect(bound!).toBeGreaterThanOrEqual(exact);
        // Doubled orders grow fast, so only low ones (which decide epsilon here) stay close.
        if (order <= 2) expect(bound!).toBeLessThan(2 * exact);
      }
    }
  });

  it("withoutSampling_isExactlyDoubledSensitivity", () => {
    const [low, high] = rdpOfStepReplacing({ samplingProbability: 1, noiseMultiplier: 4 }, [1.5, 8]);
    expect(low).toBeCloseTo(0.1875, 12);
    expect(high).toBeCloseTo(1, 12);
  });
});

describe("rdpToEpsilon", () => {
  it("turnsAConstantCurveIntoTheReferencesEpsilon", () => {
    // dp_accounting (b5b0286) rdp_privacy_accountant_test.py::test_compute_epsilon_delta_pure_dp; 5e-8 there.
    const orders = Array.from({ length: 31 }, (_, i) => i + 2);
    const rdp = orders.map(() => 1.1);
    expect(rdpToEpsilon(rdp, 1e-5, orders)).toEqual({ epsilon: expect.closeTo(1.32783806176, 9), order: 32 });
  });

  it("isZero_whereNothingCanBeToldApartBeyondDelta_andNeverNegative", () => {
    // sqrt(1 - exp(-1e-12)) = 1e-6 < 1e-5.
    expect(rdpToEpsilon([1e-12], 1e-5, [2]).epsilon).toBe(0);
    // log 0.5 - log(0.9 * 2) < 0 at order 2: clipped.
    expect(rdpToEpsilon([0.1], 0.9, [2]).epsilon).toBe(0);
    expect(rdpToEpsilon([1e-9], 1e-5, [2]).epsilon).toBeGreaterThan(0);
  });

  it("reportsItsOrder_andAnyOrderGivesAValidLargerBound", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -6, max: 0, noNaN: true }),
        fc.double({ min: -0.3, max: 3, noNaN: true }),
        (logQ, logSigma) => {
          const rdp = rdpOfStep({ samplingProbability: 10 ** logQ, noiseMultiplier: 10 ** logSigma });
          const best = rdpToEpsilon(rdp, 1e-6);
          rdpOrders.forEach((order, i) => {
            const single = rdpToEpsilon([rdp[i]!], 1e-6, [order]).epsilon;
            expect(single).toBeGreaterThanOrEqual(best.epsilon);
            if (order === best.order) expect(single).toBe(best.epsilon);
          });
        },
      ),
      { numRuns: 50 },
    );
  });
});
