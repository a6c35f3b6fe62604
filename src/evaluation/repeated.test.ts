import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { bootstrapIntervals, pairedDifference } from "./bootstrap.ts";
import { auroc } from "./metrics.ts";
import { repeatedMetric } from "./repeated.ts";

const random = seededRandom("repeated");
const n = 120;
const labels = Array.from({ length: n }, (_, i) => i % 2);
const patients = Array.from({ length: n }, (_, i) => `p${i >> 1}`);
const scores = (signal: number): number[] => labels.map((y) => signal * y + random.gaussian());
const common = { labels, patients, metric: "auroc", seed: 1 } as const;

describe("repeatedMetric", () => {
  it("ofOneTraining_isItsPercentileBootstrap", () => {
    const one = scores(1);
    const { auroc: expected } = bootstrapIntervals({ scores: one, labels, patients, metrics: ["auroc"], seed: 1, method: "percentile" }); // prettier-ignore
    const found = repeatedMetric({ ...common, scores: [one] });
    expect(found.value).toBe(expected.value);
    expect(found.low).toBeCloseTo(expected.low!, 12);
    expect(found.high).toBeCloseTo(expected.high!, 12);
    expect(found.difference).toBeNull();
  });
  it("valueIsTheMeanOverTrainings", () => {
    const three = [scores(1), scores(1), scores(0.2)];
    const each = three.map((s) => auroc(s, labels));
    const found = repeatedMetric({ ...common, scores: three });
    expect(found.each).toEqual(each);
    expect(found.value).toBeCloseTo((each[0]! + each[1]! + each[2]!) / 3, 12);
  });
  it("differenceIsPaired_soThatItIsNarrowerThanTheTwoIntervals", () => {
    const base = scores(1);
    const better = base.map((s, i) => s + 0.3 * labels[i]!);
    const { difference, low, high } = repeatedMetric({ ...common, scores: [better], against: [base] });
    const { auroc: paired } = pairedDifference({ scoresA: better, scoresB: base, labels, patients, metrics: ["auroc"], seed: 1, method: "percentile" }); // prettier-ignore
    expect(difference!.value).toBeCloseTo(paired.value!, 12);
    expect(difference!.low).toBeCloseTo(paired.low!, 12);
    expect(difference!.low).toBeGreaterThan(0);
    expect(difference!.high! - difference!.low!).toBeLessThan(high! - low!);
  });
  it("sameTrainings_differByNothing", () => {
    const two = [scores(1), scores(1)];
    expect(repeatedMetric({ ...common, scores: two, against: two }).difference).toMatchObject({ value: 0, low: 0, high: 0 }); // prettier-ignore
  });
});
