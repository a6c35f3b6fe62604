import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { confusionAt } from "./metrics.ts";
import { chooseThreshold, type ThresholdRule } from "./threshold.ts";

const observations = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 15 }), fc.constantFrom(0, 1)), { minLength: 2, maxLength: 40 })
  .map((rows) => ({ scores: rows.map(([score]) => score / 10 - 0.5), labels: rows.map(([, label]) => label) }))
  .filter(({ labels }) => labels.includes(0) && labels.includes(1));

/** Every operating point there is: below, between and above the scores. */
function allPoints(scores: number[], labels: number[]) {
  return [...new Set(scores), Infinity].map((from) => {
    const { sensitivity, specificity } = confusionAt(scores, labels, from === Infinity ? 1e9 : from);
    return { sensitivity: sensitivity!, specificity: specificity! };
  });
}

describe("chooseThreshold", () => {
  it("youden_isTheLargestSumOfSensitivityAndSpecificity", () => {
    fc.assert(
      fc.property(observations, ({ scores, labels }) => {
        const chosen = chooseThreshold(scores, labels);
        const points = allPoints(scores, labels);
        const best = Math.max(...points.map((p) => p.sensitivity + p.specificity));
        expect(chosen.sensitivity + chosen.specificity).toBeCloseTo(best, 12);
        const mostSensitive = Math.max(
          ...points.filter((p) => p.sensitivity + p.specificity > best - 1e-9).map((p) => p.sensitivity),
        );
        expect(chosen.sensitivity).toBe(mostSensitive);
      }),
    );
  });

  it("aRequiredRate_isReachedAndTheOtherIsTheBestThere", () => {
    fc.assert(
      fc.property(observations, fc.constantFrom(0, 0.3, 0.5, 0.9, 1), ({ scores, labels }, wanted) => {
        const points = allPoints(scores, labels);
        for (const [fixed, other] of [
          ["sensitivity", "specificity"],
          ["specificity", "sensitivity"],
        ] as const) {
          const chosen = chooseThreshold(scores, labels, { rule: { [fixed]: wanted } as unknown as ThresholdRule });
          expect(chosen[fixed]).toBeGreaterThanOrEqual(wanted);
          expect(chosen[other]).toBe(Math.max(...points.filter((p) => p[fixed] >= wanted).map((p) => p[other])));
        }
      }),
    );
  });

  it("theReportedRates_areThoseAtTheThreshold_alsoUnderFloat32Noise", () => {
    fc.assert(
      fc.property(observations, fc.constantFrom<ThresholdRule>("youden", { sensitivity: 0.8 }), (rows, rule) => {
        const chosen = chooseThreshold(rows.scores, rows.labels, { rule });
        // Scores differ by 0.1 at least; another device's arithmetic by about 1e-6.
        for (const noise of [-1e-6, 0, 1e-6]) {
          const scores = rows.scores.map((score, i) => Math.fround(score) + (i % 2 ? noise : -noise));
          expect(confusionAt(scores, rows.labels, chosen.threshold)).toMatchObject({
            sensitivity: chosen.sensitivity,
            specificity: chosen.specificity,
          });
        }
      }),
    );
  });

  it("liesMidwayBetweenAdjacentScores", () => {
    // By hand: the gap between 0.4 and 0.8 separates the classes.
    expect(chooseThreshold([0.1, 0.4, 0.8, 0.9, NaN], [0, 0, 1, 1, NaN])).toEqual({
      threshold: expect.closeTo(0.6, 12),
      rule: "youden",
      ...{ sensitivity: 1, specificity: 1, positives: 2, negatives: 2, missing: 1 },
    });
    // Everything positive: half the nearest gap, 0.3, below the lowest.
    expect(chooseThreshold([0.1, 0.4], [1, 0], { rule: { sensitivity: 1 } }).threshold).toBeCloseTo(-0.05, 12);
    // Nothing positive: half the nearest gap above the highest.
    expect(chooseThreshold([0.1, 0.4], [1, 0], { rule: { specificity: 1 } }).threshold).toBeCloseTo(0.55, 12);
  });

  it("neighbouringFloats_haveTheUpperAsThreshold", () => {
    const above = 0.5 + Number.EPSILON / 2;
    expect(chooseThreshold([0.5, above], [0, 1])).toMatchObject({ threshold: above, sensitivity: 1, specificity: 1 });
  });

  it.each([[0.3], [0], [-2]])("aConstantScore_%d_predictsAllPositiveWithAMargin", (score) => {
    const { threshold } = chooseThreshold([score, score], [0, 1]);
    expect(threshold).toBeLessThanOrEqual(score - 0.1);
  });

  it("oneClass_isRefused", () => {
    expect(() => chooseThreshold([0.1, 0.2], [1, 1])).toThrow(expect.objectContaining({ code: "LG-EVAL-004" }));
  });

  it("aRateOutsideZeroToOne_isRefused", () => {
    for (const rule of [{ sensitivity: 90 }, { specificity: NaN }])
      expect(() => chooseThreshold([0.1, 0.2], [1, 0], { rule })).toThrow(
        expect.objectContaining({ code: "LG-EVAL-003" }),
      );
  });
});
