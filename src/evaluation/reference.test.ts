import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { referenceEvaluation } from "./reference.ts";

interface Fixture {
  scores: number[];
  labels: number[];
  sex: string[];
  age: string[];
  threshold: number;
  mean: number[];
  standardDeviation: number[];
  age_gaps: { value: string; n: number; accuracyGap: number }[];
  sex_gap: number;
}
// scikit-learn 1.9.1 and numpy 2.4.6; made by fixtures/make_reference.py.
const fixture = JSON.parse(readFileSync(new URL("fixtures/reference.json", import.meta.url), "utf8")) as Fixture;
const { scores, labels, sex, age } = fixture;

describe("referenceEvaluation", () => {
  const report = referenceEvaluation({ targets: ["a"], scores, labels, groups: { sex, age }, seed: 1 });
  const own = report.targets["a"]!;

  it("thresholdAndAccuracyGaps_equalScikitLearns", () => {
    expect(own.threshold).toBe(fixture.threshold);
    expect(own.gaps["sex"]).toEqual([
      { value: "F minus M", n: 120, accuracyGap: expect.closeTo(fixture.sex_gap, 9) as number },
    ]);
    expect(own.gaps["age"]).toEqual(
      fixture.age_gaps.map((gap) => ({ ...gap, accuracyGap: expect.closeTo(gap.accuracyGap, 9) as number })),
    );
  });
  it.each(["auroc", "accuracy", "sensitivity", "specificity", "f1"] as const)("%s_isResampledAsTheirs", (name) => {
    const k = ["auroc", "accuracy", "sensitivity", "specificity", "f1"].indexOf(name);
    const [mean, deviation] = [fixture.mean[k]!, fixture.standardDeviation[k]!];
    // 1,000 draws with a fixed seed against 20,000: five standard errors of the mean, and of the deviation (2.3 % each).
    expect(Math.abs(own[name].mean - mean)).toBeLessThan(5 * deviation * Math.sqrt(1 / 1000 + 1 / 20000));
    expect(Math.abs(own[name].standardDeviation / deviation - 1)).toBeLessThan(0.12);
  });
  it("aMissingLabel_countsAsNegative_andAveragesAreOverTargets", () => {
    const two = (values: readonly number[]) => values.flatMap((value) => [value, value]);
    const both = referenceEvaluation({
      targets: ["a", "b"],
      scores: two(scores),
      labels: labels.flatMap((label) => [label, label === 0 ? NaN : 1]),
      seed: 1,
    });
    expect(both.average.auroc.mean).toBeCloseTo(own.auroc.mean, 12);
    expect(both.targets["b"]!.accuracy).toEqual(own.accuracy);
  });
  it("oneClass_isRefused", () => {
    expect(() => referenceEvaluation({ targets: ["a"], scores: [0.1, 0.2], labels: [0, 0], seed: 1 })).toThrow(
      expect.objectContaining({ code: "LG-EVAL-004" }),
    );
  });
});
