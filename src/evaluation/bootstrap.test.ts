import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { normalCdf } from "../math/statistics.ts";
import { bootstrapIntervals, pairedDifference } from "./bootstrap.ts";
import { delongTest, delongVariance } from "./delong.ts";
import { auroc, confusionAt, type MetricName } from "./metrics.ts";

interface Reference {
  low: number;
  high: number;
  standardError: number;
}

// scipy 1.17.1, scipy.stats.bootstrap with 40,000 resamples: fixtures/make_fixtures.py.
const scipy = JSON.parse(readFileSync(new URL("./fixtures/bootstrap.json", import.meta.url), "utf8")) as {
  scores: number[];
  labels: number[];
  BCa: Reference;
  percentile: Reference;
};

/**
 * Patients with 1 to 4 images, all of the patient's class; half of the score's spread within a class is the patient's.
 * The AUROC of the population is Phi(shift / sqrt(2 (1 + 0.25))).
 */
function clusteredCohort(seed: number, { patients: count = 60, shift = Math.SQRT2, noise = 0.5 } = {}) {
  const random = seededRandom(seed, "clusteredCohort");
  const rows: { score: number; label: number; patient: string }[] = [];
  for (let p = 0; p < count; p++) {
    const label = random.uniform() < 0.5 ? 1 : 0;
    const patientEffect = random.gaussian();
    for (let image = 1 + random.integer(4); image > 0; image--)
      rows.push({ score: shift * label + patientEffect + noise * random.gaussian(), label, patient: `p${p}` });
  }
  return {
    scores: rows.map((row) => row.score),
    labels: rows.map((row) => row.label),
    patients: rows.map((row) => row.patient),
    truth: normalCdf(shift / Math.sqrt(2 * (1 + noise * noise))),
  };
}

const everyMetric: MetricName[] = [
  ...(["auroc", "auprc", "prevalence", "accuracy", "sensitivity", "specificity"] as const),
  ...(["ppv", "npv", "f1", "balancedAccuracy"] as const),
];

describe("against scipy.stats.bootstrap, one image a patient", () => {
  it.each([
    ["bca", scipy.BCa],
    ["percentile", scipy.percentile],
  ] as const)("%s_agrees", (method, expected) => {
    const { scores, labels } = scipy;
    const { auroc: got } = bootstrapIntervals({
      ...{ scores, labels, patients: labels.map((_, i) => i), metrics: ["auroc"] as const },
      ...{ resamples: 40_000, seed: 1, method },
    });
    // A 2.5 % quantile of 40,000 draws has a Monte Carlo error of sqrt(.025 * .975 / 40000) / phi(1.96) = .0134 standard
    // errors, and sqrt(2) of that between two programs: 4 of those is .076. BCa reads further out (about 1 %): .12.
    const tolerance = 0.12 * expected.standardError;
    expect(Math.abs(got.low! - expected.low)).toBeLessThan(tolerance);
    expect(Math.abs(got.high! - expected.high)).toBeLessThan(tolerance);
    expect(got).toMatchObject({ value: auroc(scores, labels), method });
  });
});

describe("coverage", () => {
  const simulations = 300;
  const covered = (patientsOf: (cohort: ReturnType<typeof clusteredCohort>) => (string | number)[]) => {
    let count = 0;
    for (let seed = 0; seed < simulations; seed++) {
      const cohort = clusteredCohort(seed);
      const { auroc: interval } = bootstrapIntervals({
        ...{ ...cohort, patients: patientsOf(cohort), metrics: ["auroc"] as const },
        ...{ resamples: 400, seed },
      });
      if (interval.low! <= cohort.truth && cohort.truth <= interval.high!) count++;
    }
    return count;
  };

  it("resamplingPatients_coversTheTruthInAbout95Of100Cohorts", () => {
    // If coverage is .94 (measured .9525 with 400 other cohorts), fewer than 266 or more than 297 of 300 happen
    // with probability 1.5e-4 (binomial).
    const count = covered((cohort) => cohort.patients);
    expect(count).toBeGreaterThanOrEqual(266);
    expect(count).toBeLessThanOrEqual(297);
  });

  it("resamplingImages_doesNot_soThatTheTestAboveMeansSomething", () => {
    // Measured .80; at that rate more than 265 of 300 happen with probability 5e-5.
    expect(covered((cohort) => cohort.labels.map((_, i) => i))).toBeLessThan(266);
  });
});

describe("bootstrapIntervals", () => {
  const cohort = clusteredCohort(1);
  const options = { ...cohort, metrics: everyMetric, threshold: 0.7, resamples: 300, seed: 5 };

  it("sameSeed_givesTheSame_andAnotherSeedDoesNot", () => {
    expect(bootstrapIntervals(options)).toEqual(bootstrapIntervals(options));
    expect(bootstrapIntervals({ ...options, seed: 6 }).auroc).not.toEqual(bootstrapIntervals(options).auroc);
  });

  it("anInterval_doesNotDependOnTheOtherMetricsAskedFor", () => {
    expect(bootstrapIntervals({ ...options, metrics: ["f1"] }).f1).toEqual(bootstrapIntervals(options).f1);
  });

  it("valuesAreThoseOfTheWholeSample_insideTheirIntervals", () => {
    const got = bootstrapIntervals(options);
    const confusion = confusionAt(cohort.scores, cohort.labels, 0.7);
    for (const name of ["accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "balancedAccuracy"] as const)
      expect(got[name].value).toBeCloseTo(confusion[name]!, 12);
    for (const { value, low, high, undefinedResamples } of Object.values(got)) {
      expect(low!).toBeLessThan(value!);
      expect(high!).toBeGreaterThan(value!);
      expect(undefinedResamples).toBe(0);
    }
  });

  it("aHigherLevel_containsTheLowerOne", () => {
    const [wide, narrow] = [0.99, 0.8].map((level) => bootstrapIntervals({ ...options, level }).auroc);
    expect(wide!.low!).toBeLessThan(narrow!.low!);
    expect(wide!.high!).toBeGreaterThan(narrow!.high!);
  });

  it("repeatingEveryImage_changesNothing", () => {
    const twice = <T>(values: T[]) => [...values, ...values];
    const { auroc: once } = bootstrapIntervals(options);
    const { auroc: doubled } = bootstrapIntervals({
      ...options,
      ...{ scores: twice(cohort.scores), labels: twice(cohort.labels), patients: twice(cohort.patients) },
    });
    expect(doubled).toEqual({ ...once, value: close(once.value), low: close(once.low), high: close(once.high) });
  });

  it("rowsWithoutALabel_andTheirPatients_changeNothing", () => {
    const withMissing = {
      ...options,
      scores: [0.3, ...cohort.scores, 99],
      labels: [NaN, ...cohort.labels, NaN],
      patients: ["nobody", ...cohort.patients, cohort.patients[0]!],
    };
    expect(bootstrapIntervals(withMissing)).toEqual(bootstrapIntervals(options));
  });

  it("moreThanAThousandPatients_agreeWithDelong", () => {
    const { scores, labels, patients } = clusteredCohort(3, { patients: 2500 });
    // One image a patient, so that rows are independent as DeLong assumes.
    const first = patients.map((patient, i) => patients.indexOf(patient) === i);
    const pick = <T>(values: T[]) => values.filter((_, i) => first[i]);
    const one = { scores: pick(scores), labels: pick(labels), patients: pick(patients) };
    const { auroc: got } = bootstrapIntervals({ ...one, metrics: ["auroc"], resamples: 1000, seed: 2 });
    const expected = delongVariance(one.scores, one.labels);
    // Monte Carlo error of a 2.5 % quantile of 1,000 draws: .085 standard errors; 4 of those, false alarm 1 in 10,000.
    expect(got.method).toBe("bca");
    expect(Math.abs(got.low! - expected.low)).toBeLessThan(0.34 * expected.standardError);
    expect(Math.abs(got.high! - expected.high)).toBeLessThan(0.34 * expected.standardError);
  });
});

describe("where the bootstrap has nothing to say", () => {
  const patients = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const labels = patients.map((_, i) => (i < 8 ? 1 : 0));

  it("perfectScores_getTheExactLimit", () => {
    const scores = labels.map((label) => 0.2 + 0.6 * label);
    const got = bootstrapIntervals({
      ...{ scores, labels, patients, metrics: everyMetric, threshold: 0.5, resamples: 200, seed: 1 },
    });
    // Clopper and Pearson 1934 with k of k: low = .025^(1/k). 8 positives, 12 negatives, 20 patients, 8 disjoint pairs.
    // scipy 1.17.1: stats.binomtest(8, 8).proportion_ci().low = .63058, (12, 12) .73535, (20, 20) .83157
    expect(got).toMatchObject({
      auroc: { value: 1, low: expect.closeTo(0.63058, 5), high: 1, method: "exact" },
      sensitivity: { value: 1, low: expect.closeTo(0.63058, 5), high: 1, method: "exact" },
      specificity: { value: 1, low: expect.closeTo(0.73535, 5), high: 1, method: "exact" },
      accuracy: { value: 1, low: expect.closeTo(0.83157, 5), high: 1, method: "exact" },
      ppv: { value: 1, low: expect.closeTo(0.63058, 5), high: 1, method: "exact" },
      npv: { value: 1, low: expect.closeTo(0.73535, 5), high: 1, method: "exact" },
      auprc: { value: 1, low: null, high: null, method: "none", reason: "1 in every resample" },
    });
    const worst = bootstrapIntervals({
      ...{ scores: scores.map((s) => 1 - s), labels, patients, metrics: ["auroc"] as const, resamples: 200, seed: 1 },
    });
    expect(worst.auroc).toMatchObject({ value: 0, low: 0, high: expect.closeTo(1 - 0.63058, 5), method: "exact" });
  });

  it("exactLimits_countPatientsAndNotImages", () => {
    // 4 patients, each with one positive and one negative image: 2 disjoint pairs of patients, 4 positive patients.
    const got = bootstrapIntervals({
      ...{ scores: [0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1], labels: [1, 0, 1, 0, 1, 0, 1, 0] },
      ...{ patients: [1, 1, 2, 2, 3, 3, 4, 4], metrics: ["auroc", "sensitivity"] as const },
      ...{ threshold: 0.5, resamples: 100, seed: 1 },
    });
    expect(got.auroc.low).toBeCloseTo(0.025 ** (1 / 2), 12);
    expect(got.sensitivity.low).toBeCloseTo(0.025 ** (1 / 4), 12);
  });

  it("aConstantScore_hasAnAurocOfOneHalf_exactly", () => {
    const { auroc: got } = bootstrapIntervals({
      ...{ scores: labels.map(() => 0.3), labels, patients, metrics: ["auroc"] as const, resamples: 200, seed: 1 },
    });
    expect(got).toEqual({ value: 0.5, low: 0.5, high: 0.5, method: "percentile", undefinedResamples: 0 });
  });

  it("resamplesOfOneClass_areCounted_andTooManyOfThemTakeTheIntervalAway", () => {
    const run = (positives: number) =>
      bootstrapIntervals({
        scores: patients.map((_, i) => Math.sin(i)),
        labels: patients.map((_, i) => (i < positives ? 1 : 0)),
        ...{ patients, metrics: ["auroc", "accuracy"] as const, threshold: 0, resamples: 2000, seed: 3 },
      });
    // Without any of the 3 positives: .85^20 = 3.9 % of 2000, that is 78 with a standard deviation of 8.6; 4 of those.
    const some = run(3).auroc;
    expect(Math.abs(some.undefinedResamples - 78)).toBeLessThan(35);
    expect(some.low).not.toBeNull();
    // Of the only positive: .95^20 = 36 %.
    const none = run(1);
    expect(none.auroc).toMatchObject({ low: null, high: null, method: "none", reason: expect.stringMatching(/10 %/) });
    expect(none.accuracy).toMatchObject({ method: "bca", undefinedResamples: 0 });
  });

  it("oneClass_orOnePatient_hasNoInterval", () => {
    const run = (labels: number[], patients: number[]) =>
      bootstrapIntervals({
        ...{ scores: [0.2, 0.4, 0.6], labels, patients, metrics: ["auroc"] as const, resamples: 50, seed: 1 },
      }).auroc;
    expect(run([0, 0, 0], [1, 2, 3])).toEqual({
      ...{ value: null, low: null, high: null, method: "none", undefinedResamples: 50, reason: "not defined here" },
    });
    expect(run([0, 1, 0], [7, 7, 7])).toMatchObject({ value: 0.5, low: null, reason: "only one patient" });
  });

  it.each([
    ["patients of another length", { patients: ["a"] }, "LG-EVAL-001"],
    ["a patient without identifier", { patients: patients.map((p, i) => (i === 4 ? "" : p)) }, "LG-EVAL-001"],
    ["no threshold", { threshold: undefined }, "LG-EVAL-003"],
    ["no resamples", { resamples: 0 }, "LG-EVAL-003"],
    ["a level of 95", { level: 95 }, "LG-EVAL-003"],
  ])("isRefused: %s", (_, change, code) => {
    const options = { scores: labels.map((_, i) => i / 20), labels, patients, metrics: ["accuracy"] as const };
    expect(() => bootstrapIntervals({ ...options, threshold: 0.5, seed: 1, ...change })).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe("pairedDifference", () => {
  const { labels, patients, scores: scoresA } = clusteredCohort(9, { patients: 200 });
  const random = seededRandom(10);
  const scoresB = scoresA.map((score) => score + 0.5 * random.gaussian());
  const options = { scoresA, scoresB, labels, patients, metrics: ["auroc", "accuracy"] as const, seed: 1 };
  const thresholds = { thresholdA: 0.7, thresholdB: 0.6 };

  it("isTheDifferenceOfTheTwoValues_andChangesSignWithTheOrder", () => {
    const forward = pairedDifference({ ...options, ...thresholds, method: "percentile" });
    const backward = pairedDifference({
      ...{ ...options, scoresA: scoresB, scoresB: scoresA, thresholdA: 0.6, thresholdB: 0.7, method: "percentile" },
    });
    for (const name of options.metrics) {
      const [f, b] = [forward[name], backward[name]];
      expect(f.value).toBeCloseTo(f.a! - f.b!, 12);
      expect([b.value, b.low, b.high]).toEqual([close(-f.value!), close(-f.high!), close(-f.low!)]);
      expect(b.pValue).toBe(f.pValue);
    }
    expect(forward.auroc.a).toBe(auroc(scoresA, labels));
    expect(forward.accuracy.b).toBeCloseTo(confusionAt(scoresB, labels, 0.6).accuracy!, 12);
  });

  it("isNarrowerThanTwoSeparateIntervals_becauseTheSamePatientsAreHardForBoth", () => {
    const paired = pairedDifference({ ...options, ...thresholds }).auroc;
    const width = (scores: number[]) => {
      const { auroc } = bootstrapIntervals({ scores, labels, patients, metrics: ["auroc"], seed: 1 });
      return auroc.high! - auroc.low!;
    };
    expect(paired.high! - paired.low!).toBeLessThan(0.7 * Math.hypot(width(scoresA), width(scoresB)));
  });

  it("agreesWithDelongsTest_whereRowsAreIndependent", () => {
    const rows = labels.map((_, i) => i);
    const { auroc: got } = pairedDifference({ ...options, ...thresholds, patients: rows, resamples: 4000 });
    const { difference, variance } = delongTest(scoresA, scoresB, labels);
    const standardError = Math.sqrt(variance);
    // Monte Carlo error of a 2.5 % quantile of 4,000 draws: .042 standard errors; 4 of those and as much for skewness.
    expect(Math.abs(got.low! - (difference - 1.96 * standardError))).toBeLessThan(0.34 * standardError);
    expect(Math.abs(got.high! - (difference + 1.96 * standardError))).toBeLessThan(0.34 * standardError);
  });

  it("pValue_isSmallForADifferenceAndRejectsEqualModelsOnlyAsOftenAsItSays", () => {
    const useless = scoresA.map(() => random.gaussian());
    // The least there is with 2000 resamples.
    expect(pairedDifference({ ...options, scoresB: useless, ...thresholds }).auroc.pValue).toBeCloseTo(2 / 2001, 12);
    // Two equally noisy copies of one score, 200 cohorts: rejected at .05 more than 25 times with probability 9e-6.
    let rejected = 0;
    for (let seed = 0; seed < 200; seed++) {
      const cohort = clusteredCohort(seed, { patients: 50 });
      const noise = seededRandom(seed, "noise");
      const noisy = () => cohort.scores.map((score) => score + noise.gaussian());
      const { auroc } = pairedDifference({
        ...{ ...cohort, scoresA: noisy(), scoresB: noisy(), metrics: ["auroc"] as const, resamples: 200, seed },
      });
      if (auroc.pValue! < 0.05) rejected++;
    }
    expect(rejected).toBeLessThanOrEqual(25);
  });

  it("modelsThatNoResampleTellsApart_haveNoInterval", () => {
    const perfect = labels.map((label) => label + 0.1);
    const again = perfect.map((score) => score * 2);
    expect(pairedDifference({ ...options, scoresA: perfect, scoresB: again, ...thresholds }).auroc).toEqual({
      ...{ a: 1, b: 1, value: 0, low: null, high: null, pValue: null, method: "none" },
      ...{ undefinedResamples: 0, reason: "the same in every resample" },
    });
  });
});

function close(x: number | null) {
  return x === null ? null : expect.closeTo(x, 12);
}
