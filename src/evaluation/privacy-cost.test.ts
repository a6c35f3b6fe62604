import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { pairedDifference } from "./bootstrap.ts";
import { privacyCost } from "./privacy-cost.ts";

/** Patients with 1 or 2 images; the private scores are the others with more noise, and more yet for the old. */
function simulate(
  seed: number,
  { count = 600, noise = 0.2, forTheOld = noise }: { count?: number; noise?: number; forTheOld?: number } = {},
) {
  const random = seededRandom(seed, "privacy-cost.test");
  const rows = Array.from({ length: count }, (_, patient) => {
    const label = random.uniform() < 0.5 ? 1 : 0;
    const age = 30 + random.integer(60);
    return Array.from({ length: 1 + (patient % 2) }, () => {
      const score = 2.5 * label + random.gaussian();
      const noisy = score + (age >= 60 ? forTheOld : noise) * random.gaussian();
      return { patient, label, age, score, noisy, ward: patient < 6 ? "small" : "large" };
    });
  }).flat();
  const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map((row) => row[name]);
  return {
    ...{ privateScores: column("noisy"), nonPrivateScores: column("score"), labels: column("label") },
    ...{ patients: column("patient"), groups: { age: column("age") }, bands: { age: [-Infinity, 60, Infinity] } },
    ...{ seed, resamples: 400, ward: column("ward") },
  };
}

describe("privacyCost", () => {
  it("aSmallCostInManyPatients_isEquivalent", () => {
    const { overall, groups, amplified, sentence } = privacyCost(simulate(1));
    expect(overall).toMatchObject({ verdict: "equivalent", equivalence: { equivalent: true }, patients: 600 });
    expect(groups.map(({ value, verdict }) => [value, verdict])).toEqual([
      ["under 60", "equivalent"],
      ["60+", "equivalent"],
    ]);
    expect(amplified).toEqual([]);
    expect(sentence).toBe(
      "Over all patients: the two differ by less than 0.05; in every group the two differ by less than 0.05.",
    );
  });

  it("aLargeCostOfOneGroup_isFoundThereWithItsSign", () => {
    const { groups, amplified } = privacyCost(simulate(2, { forTheOld: 3 }));
    const [young, old] = groups;
    expect([young!.verdict, old!.verdict]).toEqual(["equivalent", "worse"]);
    expect(old!.difference.high!).toBeLessThan(-0.05);
    expect(old!.amplification.high!).toBeLessThan(0);
    expect(amplified).toEqual([
      { column: "age", value: "under 60", direction: "costs less" },
      { column: "age", value: "60+", direction: "costs more" },
    ]);
  });

  it("theSameCostForAll_isAmplifiedForNobody_inAtMost3Of20", () => {
    // At a joint level of .95 more than 3 of 20 happen with probability .016 (binomial), and seeds are fixed.
    const accused = Array.from({ length: 20 }, (_, seed) => seed).filter(
      (seed) => privacyCost({ ...simulate(seed, { count: 200, noise: 1 }), resamples: 300 }).amplified.length > 0,
    );
    expect(accused.length).toBeLessThanOrEqual(3);
  });

  it("fewPatients_areNoEvidenceOfFairness", () => {
    const { overall } = privacyCost(simulate(3, { count: 50, noise: 0.8 }));
    expect(overall.verdict).toBe("not enough patients to tell");
    expect(overall.difference.high! - overall.difference.low!).toBeGreaterThan(0.05);
    // Both models rank the few of a group perfectly: no resample tells them apart.
    const cohort = simulate(4);
    const few = [0.1, 0.2, 0.8, 0.9, 0.15, 0.85, 0.12, 0.88, 0.13, 0.87, 0.14, 0.86];
    const perfect = privacyCost({
      ...{ privateScores: few, nonPrivateScores: few.map((x) => 2 * x), labels: few.map((x) => (x > 0.5 ? 1 : 0)) },
      ...{ patients: few.map((_, i) => i), seed: 1, resamples: 200 },
    });
    expect(perfect.overall).toMatchObject({
      ...{ private: 1, nonPrivate: 1, verdict: "not enough patients to tell", equivalence: { equivalent: false } },
      difference: { value: 0, low: null, high: null, reason: "the same in every resample" },
    });
    const { groups } = privacyCost({ ...cohort, groups: { ward: cohort.ward } });
    expect(groups.map(({ value, verdict }) => [value, verdict])).toEqual([
      ["large", "equivalent"],
      ["small", "not enough patients to tell"],
    ]);
  });

  it("aGroupsNumbers_areThoseOfPairedDifference_widenedForFewOfAClass", () => {
    const { privateScores, nonPrivateScores, labels, patients, seed, resamples } = simulate(5, { count: 60, noise: 1 });
    const { overall } = privacyCost({ privateScores, nonPrivateScores, labels, patients, seed, resamples });
    const { auroc } = pairedDifference({
      ...{ scoresA: privateScores, scoresB: nonPrivateScores, labels, patients, seed, resamples },
      metrics: ["auroc"],
    });
    expect(overall).toMatchObject({ private: auroc.a, nonPrivate: auroc.b, difference: { value: auroc.value } });
    const ratio = (overall.difference.value! - overall.difference.low!) / (auroc.value! - auroc.low!);
    const rarer = Math.min(...[0, 1].map((label) => new Set(patients.filter((_, i) => labels[i] === label)).size));
    // scipy: stats.t.ppf(.975, df) / stats.norm.ppf(.975) falls from 1.056 at 24 to 1.046 at 29 degrees of freedom.
    expect(rarer).toBeGreaterThanOrEqual(25);
    expect(ratio).toBeGreaterThan(1.045);
    expect(ratio).toBeLessThan(1.057);
  });

  it("aRelease_showsNoNumberOfASuppressedGroup", () => {
    const cohort = simulate(6);
    const groups = { ward: cohort.ward.map((ward, i) => (ward === "small" ? ward : i % 2 ? "b" : "c")) };
    const run = (release: boolean) => privacyCost({ ...cohort, groups, release }).groups;
    const [b, , small] = run(false);
    expect(small).toMatchObject({ suppressed: "small", patients: 6, verdict: "not enough patients to tell" });
    expect(b!.verdict).not.toBeNull();
    const released = run(true).filter(({ suppressed }) => suppressed !== null);
    expect(released.map(({ suppressed }) => suppressed).toSorted()).toEqual(["complement", "small"]);
    for (const { column: _c, value: _v, sentence, ...numbers } of released) {
      expect(JSON.stringify(numbers).replaceAll("fewer than 10", "")).not.toMatch(/\d/);
      expect(sentence).toMatch(/^suppressed/);
    }
  });

  it("equivalenceIsClaimedWrongly_inAtMostOneOfTwenty", () => {
    // True AUROCs .9615 and .9115 by construction: Phi(2.5 / sqrt 2) and Phi(2.5 / sqrt(2 + 2 x noise^2)) with the noise
    // below; a difference of exactly the margin. 200 cohorts of 120 patients: at .05, more than 20 happen with
    // probability 9e-4.
    const noise = Math.sqrt((2.5 / 1.35) ** 2 / 2 - 1);
    let claimed = 0;
    for (let seed = 0; seed < 200; seed++) {
      const { groups: _g, ...cohort } = simulate(1000 + seed, { count: 120, noise });
      if (privacyCost({ ...cohort, resamples: 200 }).overall.verdict === "equivalent") claimed++;
    }
    expect(claimed).toBeLessThanOrEqual(20);
  });

  it.each([
    ["a margin of zero", { margin: 0 }, "LG-EVAL-003"],
    ["scores of another length", { privateScores: [1] }, "LG-EVAL-001"],
    ["no threshold for accuracy", { metric: "accuracy" as const }, "LG-EVAL-003"],
  ])("isRefused: %s", (_, change, code) => {
    expect(() => privacyCost({ ...simulate(1, { count: 30 }), ...change })).toThrow(expect.objectContaining({ code }));
  });
});
