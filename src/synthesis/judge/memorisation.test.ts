import { describe, expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { aurocOf, canaryRanks, memorisation, memorisedIn, type MemorisationInput } from "./memorisation.ts";
import type { Vectors } from "./nearest.ts";

const length = 8;
/** Patients of two images each, the second near the first. */
function people(patients: number, seed: number): { vectors: number[][]; patients: number[] } {
  const random = seededRandom(seed, "people");
  const vectors: number[][] = [];
  for (let p = 0; p < patients; p++) {
    const face = Array.from({ length }, () => random.gaussian());
    for (let i = 0; i < 2; i++) vectors.push(face.map((x) => x + 0.3 * random.gaussian()));
  }
  return { vectors, patients: vectors.map((_, i) => i >> 1) };
}
const vectorsOf = (rows: number[][]): Vectors => ({
  ...{ count: rows.length, length },
  data: Float32Array.from(rows.flat()),
});
const strangers = (count: number, seed: number): number[][] =>
  people(count, seed).vectors.filter((_, i) => i % 2 === 0);

function cohort(
  seed: number,
  synthetic: (real: number[][]) => number[][],
  { inTraining = 60, all = 120, permutations = 999 } = {},
): MemorisationInput {
  const { vectors, patients } = people(all, seed);
  const trained = patients.map((p) => p < inTraining);
  return {
    real: vectorsOf(vectors),
    patients,
    trained,
    synthetic: vectorsOf(synthetic(vectors)),
    seed,
    permutations,
  };
}

const noisy = (rows: number[][], seed: number, size: number): number[][] => {
  const random = seededRandom(seed, "noise");
  return rows.map((row) => row.map((x) => x + size * random.gaussian()));
};

describe("memorisation", () => {
  it("copiesOf20TrainingImages_areFlagged_howeverManyHonestImagesHideThem", async () => {
    // 20 images of 20 patients copied with small noise among 200 honest ones: under the null, chance puts all 20 patients
    // among the 60 of 120 once in about 2^20 relabellings, and weights let the copies lead.
    const input = cohort(1, (real) => [
      ...noisy(real.slice(0, 40).filter((_, i) => i % 2 === 0), 1, 0.02), // prettier-ignore
      ...strangers(200, 99),
    ]);
    const report = await memorisation(input);
    expect(memorisedIn({ pixels: report })).toEqual(["pixels"]);
    expect(report.suspects.pValue).toBeLessThanOrEqual(0.001);
    const { share, expected } = report.suspects;
    expect(share!.low).toBeGreaterThan(expected!.high);
    expect(share!.low).toBeLessThanOrEqual(share!.value);
    // The closest of all are the copies, each beside its original.
    const originals = report.closest.slice(0, 20);
    expect(originals.map(({ synthetic }) => synthetic).sort((a, b) => a - b)).toEqual([...Array(20).keys()]);
    for (const { synthetic, real, ratio } of originals) {
      expect(real).toBe(2 * synthetic);
      expect(ratio).toBeLessThan(0.2);
    }
    expect(report.membership.auroc.low).toBeGreaterThan(0.5);
  });

  it("aGeneratorTrainedOn20ImagesThatCopiesThem_isFlagged", async () => {
    const input = cohort(
      2,
      (real) =>
        noisy(
          Array.from({ length: 200 }, (_, i) => real[i % 20]!),
          2,
          0.05,
        ),
      { inTraining: 10 },
    );
    const report = await memorisation(input);
    expect(memorisedIn({ pixels: report })).toEqual(["pixels"]);
    expect(report.suspects.share!.value).toBe(1);
    expect(report.distances.syntheticToTrain.median).toBeLessThan(report.distances.heldOutToTrain.median / 3);
  });

  it("otherRealPatients_areFlaggedNoMoreOftenThanClaimed", async () => {
    // Honest: strangers of the same population. At 1 % false alarms, more than 6 of 100 cohorts happen once in 10,000
    // (binomial tail: P(X > 6) = 7e-5); the seeds are fixed.
    let flagged = 0;
    let below = 0;
    for (let seed = 0; seed < 100; seed++) {
      const report = await memorisation(
        cohort(100 + seed, () => strangers(60, 5000 + seed), { inTraining: 30, all: 60, permutations: 199 }),
      );
      if (memorisedIn({ pixels: report }).length > 0) flagged++;
      if (report.suspects.pValue <= 0.5) below++;
    }
    expect(flagged).toBeLessThanOrEqual(6);
    // The p-value is not merely large: half of them lie below about a half (4 standard errors of 100 coins, and few
    // suspects make it coarse, on the large side).
    expect(below).toBeGreaterThan(25);
    expect(below).toBeLessThan(70);
  });

  it("blurredButHonestImages_areNotFlagged_thoughTheyAreNearToEverything", async () => {
    const input = cohort(3, () => strangers(200, 77).map((row) => row.map((x) => 0.3 * x)));
    const report = await memorisation(input);
    expect(report.distances.syntheticToTrain.median).toBeLessThan(report.distances.heldOutToTrain.median);
    expect(memorisedIn({ pixels: report })).toEqual([]);
  });
});

describe("canaries", () => {
  it("ranksAndExposure_areThoseOfTheDefinition", () => {
    const heldOut = Array.from({ length: 7 }, (_, i) => i + 1);
    // Carlini et al. 2019: log2 of the number of candidates less log2 of the rank.
    expect(canaryRanks([0.5, 4.5], heldOut)).toEqual([
      { rank: 1, among: 8, exposure: 3 },
      { rank: 5, among: 8, exposure: 3 - Math.log2(5) },
    ]);
  });
});

describe("aurocOf", () => {
  it("countsPairs", () => {
    // By hand: of 6 pairs, 4 won and 1 tied.
    expect(aurocOf([3, 2], [1, 2, 2.5])).toBeCloseTo((3 + 1.5) / 6, 12);
  });
});
