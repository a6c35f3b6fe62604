import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { normalQuantile } from "../math/statistics.ts";
import { pearson } from "./correlation.ts";
import { equivalenceTest } from "./equivalence.ts";
import { simultaneousIntervals } from "./simultaneous.ts";
import { studentCdf, studentQuantile } from "./student.ts";

interface Fixture {
  pearson: {
    x: number[];
    y: number[];
    r: number;
    pValue: number;
    fisher: { low: number; high: number };
    bootstrap: { low: number; high: number };
  }[];
  equivalence: {
    difference: number;
    standardError: number;
    margin: number;
    pAboveLower: number;
    pBelowUpper: number;
    pValue: number;
  }[];
  studentQuantile: { p: number; df: number; value: number }[];
}

// scipy 1.17.1 and statsmodels 0.15.0; made by fixtures/make_statistics.py.
const fixture = JSON.parse(readFileSync(new URL("./fixtures/statistics.json", import.meta.url), "utf8")) as Fixture;

it.each(fixture.studentQuantile)("studentQuantile_isThatOfScipy: p $p, df $df", ({ p, df, value }) => {
  expect(studentQuantile(p, df) / value).toBeCloseTo(1, 9);
  expect(studentCdf(value, df)).toBeCloseTo(p, 12);
  expect(studentCdf(-value, df)).toBeCloseTo(1 - p, 12);
});

describe.each(fixture.pearson)("pearson against scipy, $r", ({ x, y, ...expected }) => {
  it("r_fisherAndPValue_agree", () => {
    const got = pearson(x, y, { seed: 1 });
    expect(got.r).toBeCloseTo(expected.r, 12);
    expect(got.pValue! / expected.pValue).toBeCloseTo(1, 9);
    expect(got.fisher!.low).toBeCloseTo(expected.fisher.low, 9);
    expect(got.fisher!.high).toBeCloseTo(expected.fisher.high, 9);
  });

  it("bootstrap_agrees", () => {
    // Two programs' draws: 20,000 each, with a Monte Carlo error of a 2.5 % quantile of .019 standard errors each; the
    // standard error is about a quarter of the interval, and 4 errors of a difference .11 of that; BCa reads further out.
    const got = pearson(x, y, { seed: 1, resamples: 20_000 }).bootstrap!;
    const tolerance = 0.05 * (expected.bootstrap.high - expected.bootstrap.low);
    expect(got.method).toBe("bca");
    expect(Math.abs(got.low - expected.bootstrap.low)).toBeLessThan(tolerance);
    expect(Math.abs(got.high - expected.bootstrap.high)).toBeLessThan(tolerance);
  });
});

describe("pearson", () => {
  it("aConstantSeries_orTooFewPoints_haveNoCorrelation", () => {
    expect(pearson([1, 2, 3, 4], [0.1, 0.1, 0.1, 0.1], { seed: 1 })).toEqual({
      ...{ r: null, n: 4, fisher: null, bootstrap: null, pValue: null, reason: "a series is constant" },
    });
    expect(pearson([1, 2], [3, 4], { seed: 1 })).toMatchObject({ r: null, reason: "fewer than three points" });
    expect(pearson([1, 2, 4], [3, 4, 4], { seed: 1 })).toMatchObject({ fisher: null });
  });

  it("anInfiniteEpsilon_isRefusedWithAHint", () => {
    expect(() => pearson([1, 8, Infinity], [0, 0, 0], { seed: 1 })).toThrow(
      expect.objectContaining({ code: "LG-EVAL-002", hint: expect.stringMatching(/1\/epsilon/) }),
    );
    expect(() => pearson([1, 8], [0], { seed: 1 })).toThrow(expect.objectContaining({ code: "LG-EVAL-001" }));
  });
});

describe("equivalenceTest", () => {
  it.each(fixture.equivalence)(
    "isThatOfStatsmodels: $difference",
    ({ difference, standardError, margin, ...expected }) => {
      const got = equivalenceTest({ difference, standardError, margin });
      for (const name of ["pAboveLower", "pBelowUpper", "pValue"] as const)
        expect(got[name]).toBeCloseTo(expected[name], 9);
    },
  );

  it("agreesWithItsInterval", () => {
    // 1.644854 standard errors: the normal 95 % quantile.
    const inside = { difference: 0.05 - 1.644854 * 0.01 - 1e-6, standardError: 0.01, margin: 0.05 };
    expect(equivalenceTest(inside).pValue).toBeLessThan(0.05);
    expect(equivalenceTest({ ...inside, difference: inside.difference + 2e-6 }).pValue).toBeGreaterThan(0.05);
  });

  it("aMarginOfZero_isRefused", () => {
    expect(() => equivalenceTest({ difference: 0, standardError: 1, margin: 0 })).toThrow(
      expect.objectContaining({ code: "LG-EVAL-003" }),
    );
  });
});

describe("simultaneousIntervals", () => {
  const random = seededRandom(3, "simultaneous");
  const normal = (n = 4000) => Array.from({ length: n }, () => random.gaussian());
  const reach = (components: Parameters<typeof simultaneousIntervals>[0], options = {}) =>
    simultaneousIntervals(components, options).map(({ low, high }) => (high! - low!) / 2);

  it("one_isTheNormalInterval", () => {
    const draws = normal();
    // The draws' own deviation is within 4 of its errors, 1 / sqrt(8000), of one.
    expect(reach([{ value: 5, draws }])[0]! / 1.96).toBeGreaterThan(0.955);
    expect(reach([{ value: 5, draws }])[0]! / 1.96).toBeLessThan(1.045);
  });

  it("independentOnes_areSidaks_andTheSameTwiceIsOne", () => {
    const six = Array.from({ length: 6 }, () => ({ value: 0, draws: normal() }));
    // Sidak 1967: 1 - (1 + .95^(1/6)) / 2 in each tail.
    const sidak = normalQuantile((1 + 0.95 ** (1 / 6)) / 2);
    // A 95 % quantile of 4,000 draws of the largest is off by .04 at most 4 times its error; the deviation by .045.
    for (const got of reach(six)) expect(Math.abs(got / sidak - 1)).toBeLessThan(0.07);
    const draws = normal();
    const [alone] = reach([{ value: 0, draws }]);
    expect(
      reach([
        { value: 0, draws },
        { value: 0, draws: draws.map((x) => -3 * x) },
      ])[0],
    ).toBeCloseTo(alone!, 12);
  });

  it("coverAllTruthsTogetherInAbout95Of100", () => {
    // 20 independent means of 30, each resampled; the joint coverage of intervals that each hold at 95 % would be .36.
    const simulations = 200;
    let covered = 0;
    for (let s = 0; s < simulations; s++) {
      const samples = Array.from({ length: 20 }, () => normal(30));
      const components = samples.map((sample) => {
        const mean = sample.reduce((sum, x) => sum + x, 0) / 30;
        const error = Math.sqrt(sample.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 30 / 29);
        return { value: mean, draws: normal(500).map((x) => mean + error * x), degreesOfFreedom: 29 };
      });
      if (simultaneousIntervals(components).every(({ low, high }) => low! <= 0 && high! >= 0)) covered++;
    }
    // At .95, fewer than 177 or all 200 happen with probability 3e-4 (binomial); a little conservative is allowed.
    expect(covered).toBeGreaterThanOrEqual(177);
  });

  it("pValues_agreeWithTheIntervals_andAreNeverZero", () => {
    const draws = Array.from({ length: 3 }, () => normal());
    for (const shift of [0.5, 2, 2.3, 2.5, 3, 30]) {
      const got = simultaneousIntervals(
        draws.map((own, k) => ({ value: k === 0 ? shift : 0, draws: own.map((x) => x + (k === 0 ? shift : 0)) })),
      );
      const [low, pValue] = [got[0]!.low!, got[0]!.pValue!];
      // Equal up to where the quantile lies between two draws.
      if (Math.abs(low) > 0.02) expect(low > 0).toBe(pValue < 0.05);
      expect(pValue).toBeGreaterThanOrEqual(1 / 4001);
    }
  });

  it("fewDegreesOfFreedom_widenByStudentsRatio", () => {
    const draws = normal();
    const [wide] = reach([{ value: 0, draws, degreesOfFreedom: 4 }]);
    const [narrow] = reach([{ value: 0, draws }]);
    // scipy: stats.t.ppf(.975, 4) / stats.norm.ppf(.975) = 1.41658; the critical value is within .07 of 1.96.
    expect(Math.abs(wide! / narrow! - 1.41658)).toBeLessThan(0.03);
  });

  it("whatHasNoValueOrSpread_hasNoIntervalAndNoInfluence", () => {
    const draws = normal();
    const undefinedOften = draws.map((x, i) => (i % 5 === 0 ? NaN : x));
    const got = simultaneousIntervals([
      { value: 0, draws },
      { value: NaN, draws: draws.map(() => NaN) },
      { value: 1, draws: draws.map(() => 1) },
      { value: 0, draws: undefinedOften },
      { value: 0, draws, degreesOfFreedom: 0 },
    ]);
    expect(got.slice(1).map(({ low, pValue, reason }) => [low, pValue, reason])).toEqual([
      [null, null, "not defined here"],
      [null, null, "the same in every resample"],
      [null, null, expect.stringMatching(/10 %/)],
      [null, null, "too few patients of a class"],
    ]);
    expect(got[0]).toEqual(simultaneousIntervals([{ value: 0, draws }])[0]);
  });
});
