import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accountantNamed } from "./accountant.ts";
import { calibrateBatch, calibrateNoise, calibrateSteps } from "./calibration.ts";

const rdp = accountantNamed("rdp");
const costOf = (samplingProbability: number, noiseMultiplier: number, steps: number, delta: number): number =>
  rdp.epsilon([{ kind: "poisson-gaussian", samplingProbability, noiseMultiplier, steps }], delta).upper;

describe("calibrateNoise", () => {
  it("meetsTheTargetAndNoLessNoiseWould [relative 1e-4]", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -4, max: 0, noNaN: true }).map((x) => 10 ** x),
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0.1, max: 20, noNaN: true }),
        (samplingProbability, steps, epsilon) => {
          const noise = calibrateNoise({ target: { epsilon, delta: 1e-5 }, samplingProbability, steps });
          expect(costOf(samplingProbability, noise, steps, 1e-5)).toBeLessThanOrEqual(epsilon);
          expect(costOf(samplingProbability, noise * (1 - 1e-4), steps, 1e-5)).toBeGreaterThan(epsilon);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("agreesWithOtherImplementations", () => {
    const calibrated = (samplingProbability: number, steps: number, epsilon: number, delta: number): number =>
      calibrateNoise({ target: { epsilon, delta }, samplingProbability, steps });
    // dp_accounting 0.6.0 calibrate_dp_mechanism, RDP, tolerance 1e-5.
    expect(calibrated(0.01, 1000, 1, 1e-5)).toBeCloseTo(1.513132135011914, 4);
    expect(calibrated(0.004, 15000, 1, 6e-6)).toBeCloseTo(2.1688332960240713, 5);
    // Opacus 4d0ebc8 accountants_test.py::test_get_noise_multiplier_rdp_steps gives 1.3562 (it stops at epsilon - .01).
    expect(calibrated(0.04, 2000, 8, 1e-5)).toBeCloseTo(1.3562, 3);
  });

  it("gaussian_isTheClosedForm", () => {
    // dp_accounting (b5b0286) pld/accountant_test.py::test_get_smallest_gaussian_noise: 25 releases of sensitivity 6 need
    // noise 10, so a multiplier of 10 / 6.
    const accountant = accountantNamed("gaussian");
    const noise = calibrateNoise({
      target: { epsilon: 1, delta: 0.78760074 },
      samplingProbability: 1,
      steps: 25,
      accountant,
    });
    expect(noise).toBeCloseTo(10 / 6, 8);
  });

  it("refusesWhatCannotBe_sayingWhy", () => {
    const calibrated =
      (epsilon: number, delta = 1e-5, steps = 100) =>
      () =>
        calibrateNoise({ target: { epsilon, delta }, samplingProbability: 0.1, steps });
    for (const impossible of [calibrated(0), calibrated(-1), calibrated(Infinity), calibrated(NaN), calibrated(1, 0)])
      expect(impossible).toThrow(expect.objectContaining({ code: "LG-PRIVACY-001", exitCode: 2 }));
    expect(calibrated(1, 1e-5, 0)).toThrow(/steps is 0; expected a whole number of at least 1/);
    // At order 1024, the largest, epsilon is at least (log(1 / delta) - log 1024) / 1023 - 0.001 = 0.026 at any noise.
    expect(calibrated(1e-3, 1e-15)).toThrow(/no noise multiplier up to 10000000 meets epsilon 0.001/);
    expect(calibrated(0.03, 1e-15)).not.toThrow();
    expect(calibrated(1e9)).toThrow(expect.objectContaining({ code: "LG-PRIVACY-003", exitCode: 4 }));
  });
});

describe("calibrateSteps", () => {
  it("givesTheLastAffordableStep", () => {
    const target = { epsilon: 3, delta: 1e-5 };
    const steps = calibrateSteps({ target, samplingProbability: 0.01, noiseMultiplier: 0.9 });
    expect(costOf(0.01, 0.9, steps, 1e-5)).toBeLessThanOrEqual(3);
    expect(costOf(0.01, 0.9, steps + 1, 1e-5)).toBeGreaterThan(3);
  });

  it("refusesANoiseThatOneStepExceeds", () => {
    expect(() =>
      calibrateSteps({ target: { epsilon: 1, delta: 1e-5 }, samplingProbability: 1, noiseMultiplier: 0.5 }),
    ).toThrow(expect.objectContaining({ code: "LG-PRIVACY-003" }));
  });
});

describe("calibrateSteps and calibrateBatch", () => {
  it("findAgainWhatTheNoiseWasCalibratedTo", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0.2, max: 20, noNaN: true }),
        fc.constantFrom("add-or-remove-one" as const, "replace-one" as const),
        (batch, steps, epsilon, relation) => {
          const same = { target: { epsilon, delta: 1e-5 }, relation };
          const noiseMultiplier = calibrateNoise({ ...same, samplingProbability: batch / 1000, steps });
          // Noise is found to 1e-9 and never too small, so that not one step or unit more fits where epsilon depends on it.
          expect(calibrateSteps({ ...same, samplingProbability: batch / 1000, noiseMultiplier })).toBe(steps);
          expect(calibrateBatch({ ...same, units: 1000, noiseMultiplier, steps })).toBe(batch);
        },
      ),
      { numRuns: 15 },
    );
  });

  it("takeEveryUnit_whereEvenThatFits, and refuse where not even one does", () => {
    const target = { epsilon: 1, delta: 1e-5 };
    expect(calibrateBatch({ target, units: 300, noiseMultiplier: 1000, steps: 10 })).toBe(300);
    expect(() => calibrateBatch({ target, units: 10, noiseMultiplier: 0.3, steps: 1e6 })).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-003", exitCode: 4 }),
    );
    for (const units of [0, 1.5, NaN])
      expect(() => calibrateBatch({ target, units, noiseMultiplier: 1, steps: 10 })).toThrow(
        expect.objectContaining({ code: "LG-PRIVACY-001", fields: { parameter: "units" } }),
      );
  });

  it("byPrivacyLossDistributions_allowMoreStepsThanByRenyi, and the last one is the last", () => {
    const options = { target: { epsilon: 3, delta: 1e-5 }, samplingProbability: 0.01, noiseMultiplier: 1 };
    const pld = accountantNamed("pld");
    const steps = calibrateSteps({ ...options, accountant: pld });
    const upper = (n: number): number => pld.epsilon([{ kind: "poisson-gaussian", ...options, steps: n }], 1e-5).upper;
    expect(steps).toBeGreaterThan(calibrateSteps(options));
    expect(upper(steps)).toBeLessThanOrEqual(3);
    expect(upper(steps + 1)).toBeGreaterThan(3);
  });
});
