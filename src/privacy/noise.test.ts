import { describe, expect, it } from "vitest";
import { secureRandom, seededRandom } from "../math/random.ts";
import { gaussianNoise } from "./noise.ts";
import { planPrivateTraining, type PlanOptions } from "./plan.ts";

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
    // sigma^2 = (3 * 0.5)^2; a mean square has standard error sigma^2 sqrt(2 / n), a mean product sigma^2 / sqrt(n).
    const variance = 2.25;
    for (const sum of [a, b]) expect(Math.abs(sum / n - variance) / (variance * Math.sqrt(2 / n))).toBeLessThan(6.1);
    expect(Math.abs(product / n) / (variance / Math.sqrt(n))).toBeLessThan(6.1);
  });

  it("reusesArraysOfTheRightLength_andOverwritesThem", () => {
    const plan = planPrivateTraining({ ...options, insecureSeed: true });
    const first = gaussianNoise(plan, { a: 10, b: 5 }, seededRandom(1));
    const before = first.a!.slice();
    const second = gaussianNoise(plan, { a: 10, b: 6 }, seededRandom(2), first);
    expect(second.a).toBe(first.a);
    expect(second.a).not.toEqual(before);
    expect(second.b).toHaveLength(6);
    expect(second.b).not.toBe(first.b);
  });

  it("refusesASeededSourceUnlessThePlanSaysSo, andASizeThatIsNone", () => {
    const plan = planPrivateTraining(options);
    expect(() => gaussianNoise(plan, { a: 1 }, seededRandom(1))).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-007" }),
    );
    expect(() => gaussianNoise(plan, { a: -1 }, secureRandom())).toThrow(/the size of a is -1/);
  });
});
