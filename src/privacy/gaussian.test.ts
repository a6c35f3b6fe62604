import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianDelta, gaussianEpsilon } from "./gaussian.ts";

describe("the Gaussian mechanism, exactly", () => {
  it("delta_agreesWithTheReference", () => {
    // dp_accounting (b5b0286) pld/accountant_test.py::test_get_smallest_gaussian_noise and
    // pld_privacy_accountant_test.py::test_gaussian_basic (three steps of sqrt 3 are one of 1); printed digits.
    expect(gaussianDelta(1 / 3, 1)).toBeCloseTo(0.78760074, 8);
    expect(gaussianDelta(1, 1)).toBeCloseTo(0.126936, 5);
  });

  it("epsilon_agreesWithFortyDigitArithmetic [relative 1e-12]", () => {
    // mpmath 1.3.0 at 40 digits: findroot of Phi(1/(2s) - e s) - exp(e) Phi(-1/(2s) - e s) - delta.
    const table: [sigma: number, delta: number, epsilon: number][] = [
      [0.5, 1e-5, 9.9972561464343],
      [1, 1e-5, 4.3771780956812245],
      [4, 1e-5, 0.9263415039982295],
      [10, 1e-6, 0.3968573776440836],
      [0.05, 1e-5, 284.3918494977425],
    ].map(([sigma, delta, epsilon]) => [sigma!, delta!, epsilon!]);
    for (const [sigma, delta, epsilon] of table)
      expect(Math.abs(gaussianEpsilon(sigma, delta) / epsilon - 1), `sigma ${sigma}`).toBeLessThan(1e-12);
  });

  it("epsilon_isTheSmallestThatMeetsDelta_andIsFiniteEverywhere", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -4, max: 6, noNaN: true }),
        fc.double({ min: -15, max: -0.01, noNaN: true }),
        (logSigma, logDelta) => {
          const [sigma, delta] = [10 ** logSigma, 10 ** logDelta];
          const epsilon = gaussianEpsilon(sigma, delta);
          expect(Number.isFinite(epsilon) && epsilon >= 0).toBe(true);
          expect(gaussianDelta(sigma, epsilon)).toBeLessThanOrEqual(delta);
          if (epsilon > 1e-6 && sigma > 0.01 && sigma < 1e3)
            expect(gaussianDelta(sigma, epsilon * (1 - 1e-6))).toBeGreaterThan(delta);
        },
      ),
    );
  });

  it("epsilon_isZeroWhereDeltaAloneCoversIt", () => {
    // At epsilon 0 delta is the total variation distance 2 Phi(1 / (2 sigma)) - 1, about 0.3989 / sigma.
    expect(gaussianEpsilon(1e6, 1e-6)).toBe(0);
    expect(gaussianEpsilon(1e5, 1e-6)).toBeGreaterThan(0);
  });
});
