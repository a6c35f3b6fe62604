import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reliability, wilson } from "./calibration.ts";
import { confusionAt, ece } from "./metrics.ts";
import { binOf } from "./observations.ts";

interface Case {
  scores: number[];
  labels: number[];
  mcc: number;
  ece: Record<"10" | "15", number>;
  curves: Record<"equal-width" | "equal-mass", { frequency: number[]; meanProbability: number[] }>;
}

// torchmetrics 1.9.0, scikit-learn 1.9.1, statsmodels 0.15.0; made by fixtures/make_statistics.py.
const { calibration, wilson: intervals } = JSON.parse(
  readFileSync(new URL("./fixtures/statistics.json", import.meta.url), "utf8"),
) as { calibration: Case[]; wilson: { k: number; n: number; low: number; high: number }[] };
const close = (x: number) => expect.closeTo(x, 12);

describe.each(calibration)("against other implementations", ({ scores, labels, ...expected }) => {
  it("expectedError_isThatOfTorchmetrics", () => {
    // torchmetrics adds up in float32.
    for (const bins of [10, 15] as const)
      expect(reliability(scores, labels, { bins }).expectedError).toBeCloseTo(expected.ece[bins], 6);
    expect(ece(scores, labels)).toBeCloseTo(reliability(scores, labels).expectedError!, 12);
  });

  it.each(["equal-width", "equal-mass"] as const)("%s_isTheCurveOfScikitLearn", (binning) => {
    // scikit-learn leaves empty bins out.
    const bins = reliability(scores, labels, { binning }).bins.filter(({ n }) => n > 0);
    const { frequency, meanProbability } = expected.curves[binning];
    expect(bins.map((bin) => [bin.frequency, bin.meanProbability])).toEqual(
      frequency.map((share, k) => [close(share), close(meanProbability[k]!)]),
    );
  });

  it("mcc_isThatOfScikitLearn", () => {
    expect(confusionAt(scores, labels, 0.5).mcc).toBeCloseTo(expected.mcc, 12);
  });
});

it.each(intervals)("wilson_isThatOfStatsmodels: $k of $n", ({ k, n, low, high }) => {
  expect(wilson(k, n)).toEqual({ low: close(low), high: close(high) });
});

describe("reliability", () => {
  const rows = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.constantFrom(0, 1)), {
    minLength: 1,
    maxLength: 60,
  });

  it("bins_holdEveryRowOnce_withinTheirEdges", () => {
    fc.assert(
      fc.property(
        rows,
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom("equal-width", "equal-mass"),
        (each, bins, how) => {
          const scores = each.map(([score]) => score / 20);
          const labels = each.map(([, label]) => label);
          const got = reliability(scores, labels, { bins, binning: how as "equal-width" });
          expect(got.bins.reduce((sum, { n }) => sum + n, 0)).toBe(each.length);
          for (const { from, to, n } of got.bins) {
            expect(from).toBeLessThan(to);
            expect(scores.filter((s) => (s > from || (from === 0 && s === 0)) && s <= to)).toHaveLength(n);
          }
          // The mean of the bins' differences never exceeds the largest.
          expect(got.expectedError!).toBeLessThanOrEqual(got.largestError! + 1e-12);
        },
      ),
    );
  });

  it("aCalibratedScore_hasNoError_andAnOverconfidentOneItsExcess", () => {
    // By hand: of ten rows at .3 three are positive; of ten at .9 six.
    const scores = [...Array<number>(10).fill(0.3), ...Array<number>(10).fill(0.9)];
    const labels = scores.map((_, i) => ((i < 10 ? i < 3 : i < 16) ? 1 : 0));
    const got = reliability(scores, labels);
    expect(got).toMatchObject({ expectedError: close(0.15), largestError: close(0.3), n: 20, missing: 0 });
  });

  it("binOf_opensBinsBelow_alsoWhereProductsRound", () => {
    for (const count of [3, 7, 10, 15, 49])
      for (let k = 1; k <= count; k++) expect(binOf(k / count, count)).toBe(k - 1);
    expect([binOf(0), binOf(1), binOf(0.3 + 1e-15)]).toEqual([0, 9, 3]);
  });

  it("scoresThatAreNoProbabilities_orBinsThatAreNone_areRefused", () => {
    for (const run of [() => reliability([2, 0], [1, 0]), () => reliability([0.5], [1], { bins: 0 })])
      expect(run).toThrow(expect.objectContaining({ code: "LG-EVAL-003" }));
    expect(reliability([], [])).toMatchObject({ n: 0, expectedError: null, largestError: null });
  });
});
