import { describe, expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { gaussianMu } from "../gaussian.ts";
import { auditOneRun } from "./guesses.ts";
import { auditPower, canariesNeeded } from "./power.ts";

describe("power of an audit", () => {
  it.each(["nothing", "gaussian"] as const)("median_isThatOfSimulatedAudits, assuming %s", (assume) => {
    const [delta, mu, canaries] = [1e-5, 2, 500];
    const power = auditPower(canaries, { mu, delta, assume });
    const coins = seededRandom(5, "power");
    const bounds: number[] = [];
    for (let repetition = 0; repetition < 101; repetition++) {
      const [inside, outside]: [number[], number[]] = [[], []];
      for (let i = 0; i < canaries; i++)
        if (coins.uniform() < 0.5) inside.push(mu + coins.gaussian());
        else outside.push(coins.gaussian());
      bounds.push(auditOneRun(inside, outside, { delta, assume }).epsilon);
    }
    bounds.sort((a, b) => a - b);
    // The real audit takes the best of several guessers and so lies a little higher; the median of 101 bounds with a
    // spread of about 0.3 has a standard error of 0.04. A tenth of the audits lie below the tenth: 10 of 101, and more
    // than 22 with probability below 1e-4. Fixed seed.
    expect(bounds[50]).toBeGreaterThan(power.median - 0.15);
    expect(bounds[50]).toBeLessThan(power.median + 0.5);
    expect(bounds.filter((bound) => bound < power.tenth - 1e-9).length).toBeLessThan(22);
  });

  it("moreCanaries_andStrongerAttacks_findMore_butNeverMoreThanThereIs", () => {
    const mu = gaussianMu(4, 1e-5);
    const medians = [100, 300, 1000, 3000].map((canaries) => auditPower(canaries, { mu, delta: 1e-5 }).median);
    expect(medians).toEqual(medians.toSorted((a, b) => a - b));
    expect(medians[0]).toBeGreaterThan(0);
    expect(medians[3]).toBeLessThan(4);
    expect(auditPower(1000, { mu: 3, delta: 1e-5 }).median).toBeGreaterThan(
      auditPower(1000, { mu: 1.5, delta: 1e-5 }).median,
    );
    expect(auditPower(1000, { mu: 0, delta: 1e-5 })).toMatchObject({ median: 0, tenth: 0 });
    expect(auditPower(1000, { mu: 0, delta: 1e-5 }).accuracy).toBeCloseTo(0.5, 12);
  });

  it("canariesNeeded_isTheFirstOfItsSteps_thatSuffices", () => {
    const options = { assume: "gaussian" as const, share: 0.5 };
    const needed = canariesNeeded({ epsilon: 8, delta: 1e-5 }, options)!;
    const at = (canaries: number) =>
      auditPower(canaries, { mu: gaussianMu(8, 1e-5), delta: 1e-5, assume: "gaussian" }).median;
    expect(at(needed)).toBeGreaterThanOrEqual(4);
    expect(at(needed / (String(needed).startsWith("5") ? 2.5 : 2))).toBeLessThan(4);
    // No number of guesses brings the bound that assumes nothing to 90 % of an epsilon of a Gaussian mechanism.
    expect(canariesNeeded({ epsilon: 1, delta: 1e-5 }, { share: 0.9 })).toBeNull();
  });
});
