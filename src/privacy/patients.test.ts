import { describe, expect, it } from "vitest";
import { accountantNamed } from "./accountant.ts";
import { gaussianEpsilon } from "./gaussian.ts";
import { patientEpsilon } from "./patients.ts";

const event = (samplingProbability: number, noiseMultiplier: number, steps: number) =>
  ({ kind: "poisson-gaussian", samplingProbability, noiseMultiplier, steps }) as const;

describe("patientEpsilon", () => {
  it("fullBatches_areOneReleaseThatMovesKTimesAsFar", () => {
    // 100 steps at noise 20 are one at noise 2; four images move it four times: noise 0.5.
    const got = patientEpsilon([event(1, 20, 100)], 1e-4, 4);
    expect(got.how).toBe("exact");
    expect(got.epsilon).toBeCloseTo(gaussianEpsilon(0.5, 1e-4), 9);
    // Exchanged instead of added: twice as far.
    const exchanged = patientEpsilon([event(1, 20, 100)], 1e-4, 4, { relation: "replace-one" });
    expect(exchanged.epsilon).toBeCloseTo(gaussianEpsilon(0.25, 1e-4), 9);
  });

  it("oneImage_costsWhatTheImageCosts", () => {
    for (const sampled of [event(0.1, 5, 400), event(0.01, 1, 1000)]) {
      const image = accountantNamed("pld").epsilon([sampled], 1e-4).upper;
      expect(patientEpsilon([sampled], 1e-4, 1).epsilon).toBeCloseTo(image, 9);
    }
  });

  it("isNeverBelowTheTruth [numerical integration of two images in one sampled step]", () => {
    // Two images, each drawn with q: N(0, s^2) against (1-q)^2 N(0) + 2 q (1-q) N(1) + q^2 N(2); the true delta at the
    // epsilon claimed, by the trapezoidal rule, is at most the delta that was asked for. Both directions.
    for (const [q, s] of [
      [0.1, 0.8],
      [0.3, 1.5],
      [0.02, 0.6],
    ] as const)
      for (const delta of [1e-2, 1e-4]) {
        const { epsilon } = patientEpsilon([event(q, s, 1)], delta, 2);
        const density = (z: number, mean: number) =>
          Math.exp(-((z - mean) ** 2) / (2 * s * s)) / (s * Math.sqrt(2 * Math.PI));
        let [removed, added] = [0, 0];
        const width = s / 200;
        for (let z = -12 * s; z < 2 + 12 * s; z += width) {
          const without = density(z, 0);
          const mixed = (1 - q) ** 2 * without + 2 * q * (1 - q) * density(z, 1) + q * q * density(z, 2);
          removed += width * Math.max(0, mixed - Math.exp(epsilon!) * without);
          added += width * Math.max(0, without - Math.exp(epsilon!) * mixed);
        }
        expect(Math.max(removed, added), `q ${q}, sigma ${s}, delta ${delta}`).toBeLessThanOrEqual(delta * 1.0001);
      }
  });

  it("growsWithTheImages_andIsNullWhereNothingIsProved", () => {
    const costs = [1, 2, 4, 8].map((k) => patientEpsilon([event(0.1, 5, 400)], 1e-4, k).epsilon!);
    costs.reduce((less, more) => (expect(more).toBeGreaterThan(less), more));
    expect(patientEpsilon([event(0.01, 0.5, 1000)], 1e-4, 61, { relation: "replace-one" }).epsilon).toBeNull();
    expect(patientEpsilon([event(0.5, 1, 0)], 1e-4, 3).epsilon).toBe(0);
  });

  it("refusesWhatIsNoCount", () => {
    for (const images of [0, 1.5, -1, NaN])
      expect(() => patientEpsilon([event(1, 1, 1)], 1e-4, images)).toThrow(
        expect.objectContaining({ code: "LG-PRIVACY-001" }),
      );
  });
});
