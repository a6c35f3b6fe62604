import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { auprc, auroc, brier, confusionAt, logLoss, prevalence, type MetricName } from "./metrics.ts";
import { precisionRecallCurve, rocCurve } from "./curves.ts";
import { maskLabels } from "./observations.ts";

interface Case {
  name: string;
  scores: number[];
  labels: number[];
  weights?: number[];
  threshold: number;
  expected: Partial<Record<MetricName, number | null>>;
  roc?: { falsePositiveRate: number[]; truePositiveRate: number[] };
  precisionRecall?: { recall: number[]; precision: number[] };
}

// scikit-learn 1.9.1; made by fixtures/make_fixtures.py.
const { cases } = JSON.parse(readFileSync(new URL("./fixtures/metrics.json", import.meta.url), "utf8")) as {
  cases: Case[];
};

// Sums of up to 3000 terms in another order: 1e-12.
const close = (x: number | null | undefined) => (typeof x === "number" ? expect.closeTo(x, 12) : null);
const nanToNull = (x: number) => (Number.isNaN(x) ? null : x);

const observations = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 12 }), fc.constantFrom(0, 1)), { minLength: 2, maxLength: 40 })
  .map((rows) => ({ scores: rows.map(([score]) => score / 12), labels: rows.map(([, label]) => label) }));

describe.each(cases)("against scikit-learn: $name", ({ scores, labels, weights, expected }) => {
  it("rankingAndProbabilityMetrics_agree", () => {
    expect({
      auroc: nanToNull(auroc(scores, labels, weights)),
      auprc: nanToNull(auprc(scores, labels, weights)),
      brier: brier(scores, labels, weights),
      logLoss: logLoss(scores, labels, weights),
    }).toEqual({
      auroc: close(expected.auroc),
      auprc: close(expected.auprc),
      brier: close(expected.brier),
      logLoss: close(expected.logLoss),
    });
  });
});

describe.each(cases.filter((c) => !c.weights))("rates against scikit-learn: $name", (each) => {
  const { scores, labels, threshold, expected } = each;
  it("ratesAtAThreshold_agree", () => {
    const confusion = confusionAt(scores, labels, threshold);
    for (const rate of ["accuracy", "sensitivity", "specificity", "ppv", "npv", "balancedAccuracy"] as const)
      expect({ [rate]: confusion[rate] }).toEqual({ [rate]: close(expected[rate]) });
    // Without positives, scikit-learn gives F1 its zero_division value where 2TP / (2TP + FP + FN) is 0 / FP = 0.
    if (typeof expected.f1 === "number") expect(confusion.f1).toEqual(close(expected.f1));
  });
});

describe.each(cases.filter(({ roc }) => roc))("curves against scikit-learn: $name", (each) => {
  const { scores, labels, roc, precisionRecall: expected } = each;
  it("rocCurve_isTheSameLine", () => {
    const { falsePositiveRate, truePositiveRate } = roc!;
    const ours = rocCurve(scores, labels);
    // Each of scikit-learn's points, which include those we drop, lies on one of our segments.
    falsePositiveRate.forEach((x, k) => {
      const y = truePositiveRate[k]!;
      const onSegment = ours.slice(1).some((to, i) => {
        const from = ours[i]!;
        const [dx, dy] = [to.falsePositiveRate - from.falsePositiveRate, to.truePositiveRate - from.truePositiveRate];
        const along = ((x - from.falsePositiveRate) * dx + (y - from.truePositiveRate) * dy) / (dx * dx + dy * dy);
        const across = (x - from.falsePositiveRate) * dy - (y - from.truePositiveRate) * dx;
        return along > -1e-9 && along < 1 + 1e-9 && Math.abs(across) < 1e-12;
      });
      expect(onSegment).toBe(true);
    });
  });

  it("precisionRecallCurve_hasTheSamePoints", () => {
    const { recall, precision } = expected!;
    // scikit-learn keeps going after full recall only up to the lowest score, as we do.
    expect(precisionRecallCurve(scores, labels).map((p) => [p.recall, p.precision])).toEqual(
      recall.map((r, k) => [close(r), close(precision[k]!)]),
    );
  });
});

describe("auroc", () => {
  it("isTheShareOfPairsInTheRightOrder", () => {
    fc.assert(
      fc.property(observations, ({ scores, labels }) => {
        let [pairs, concordant] = [0, 0];
        labels.forEach((positive, i) =>
          labels.forEach((negative, j) => {
            if (positive !== 1 || negative !== 0) return;
            pairs++;
            concordant += scores[i]! > scores[j]! ? 1 : scores[i] === scores[j] ? 0.5 : 0;
          }),
        );
        expect(auroc(scores, labels)).toBe(pairs === 0 ? NaN : concordant / pairs);
      }),
    );
  });

  it("isMirroredByNegatingScores_andUnchangedByMonotoneMaps", () => {
    fc.assert(
      fc.property(observations, ({ scores, labels }) => {
        const area = auroc(scores, labels);
        expect(
          nanToNull(
            auroc(
              Float64Array.from(scores, (s) => -s),
              labels,
            ),
          ),
        ).toEqual(close(nanToNull(1 - area)));
        expect(
          auroc(
            Float64Array.from(scores, (s) => Math.exp(3 * s)),
            labels,
          ),
        ).toBe(area);
      }),
    );
  });

  it("equalsTheAreaUnderTheRocCurve", () => {
    fc.assert(
      fc.property(observations, ({ scores, labels }) => {
        const curve = rocCurve(scores, labels);
        if (curve.length === 0) {
          expect(auroc(scores, labels)).toBeNaN();
          return;
        }
        const area = curve.slice(1).reduce((sum, to, i) => {
          const from = curve[i]!;
          const width = to.falsePositiveRate - from.falsePositiveRate;
          return sum + (width * (to.truePositiveRate + from.truePositiveRate)) / 2;
        }, 0);
        expect(area).toBeCloseTo(auroc(scores, labels), 12);
        expect([curve[0], curve.at(-1)]).toMatchObject([
          { falsePositiveRate: 0, truePositiveRate: 0 },
          { falsePositiveRate: 1, truePositiveRate: 1 },
        ]);
      }),
    );
  });
});

describe("weights and missing labels", () => {
  const metrics = { auroc, auprc, brier, logLoss } as const;
  const rows = observations.chain(({ scores, labels }) =>
    fc.record({
      scores: fc.constant(scores.map((s) => 0.1 + 0.8 * s)),
      labels: fc.constant(labels),
      counts: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: labels.length, maxLength: labels.length }),
    }),
  );

  it("integerWeights_areRepetitions", () => {
    fc.assert(
      fc.property(rows, ({ scores, labels, counts }) => {
        const repeat = (values: number[]) => values.flatMap((value, i) => Array<number>(counts[i]!).fill(value));
        for (const metric of Object.values(metrics))
          expect(nanToNull(metric(scores, labels, counts))).toEqual(
            close(nanToNull(metric(repeat(scores), repeat(labels)))),
          );
        expect(nanToNull(prevalence(labels, counts))).toEqual(close(nanToNull(prevalence(repeat(labels)))));
      }),
    );
  });

  it("missingLabels_areLeftOutAndCounted", () => {
    fc.assert(
      fc.property(rows, ({ scores, labels, counts }) => {
        const kept = (values: number[]) => values.filter((_, i) => counts[i]! > 0);
        const masked = maskLabels(labels, counts);
        // The score of a row without a label is never looked at.
        const holes = scores.map((score, i) => (counts[i]! > 0 ? score : NaN));
        for (const metric of Object.values(metrics))
          expect(nanToNull(metric(holes, masked))).toEqual(nanToNull(metric(kept(scores), kept(labels))));
        expect(confusionAt(holes, masked, 0.5)).toEqual({
          ...confusionAt(kept(scores), kept(labels), 0.5),
          missing: labels.length - kept(labels).length,
        });
      }),
    );
  });
});

describe("what cannot be evaluated", () => {
  it.each([
    ["other lengths", () => auroc([0.1, 0.2], [1]), "LG-EVAL-001"],
    ["a label of 2", () => auroc([0.1, 0.2], [1, 2]), "LG-EVAL-002"],
    ["a score that is NaN", () => auroc([0.1, NaN], [1, 0]), "LG-EVAL-002"],
    ["an infinite score", () => auroc([0.1, Infinity], [1, 0]), "LG-EVAL-002"],
    ["a negative weight", () => auroc([0.1, 0.2], [1, 0], [1, -1]), "LG-EVAL-002"],
    ["weights of another length", () => auroc([0.1, 0.2], [1, 0], [1]), "LG-EVAL-001"],
    ["a Brier score of logits", () => brier([-1, 2], [0, 1]), "LG-EVAL-003"],
    ["a log loss of logits", () => logLoss([0.5, 1.01], [0, 1]), "LG-EVAL-003"],
    ["a threshold of NaN", () => confusionAt([0.1, 0.2], [0, 1], NaN), "LG-EVAL-003"],
    ["a mask of another length", () => maskLabels([1, 0], [true]), "LG-EVAL-001"],
  ])("isRefused: %s", (_, run, code) => {
    expect(run).toThrow(expect.objectContaining({ code }));
  });

  it("messages_carryNoLabelAndNoScore", () => {
    expect(() => auroc([0.1, 0.2], [1, 7345])).toThrow(expect.not.objectContaining({ message: /7345/ }));
    expect(() => auroc([0.1, 0.2], [1, 7345])).toThrow(/row 1/);
  });

  it("rates_areNullWhereTheirDenominatorIsZero", () => {
    expect(confusionAt([0.2, 0.3], [0, 0], 0.5)).toEqual({
      threshold: 0.5,
      ...{ truePositives: 0, falsePositives: 0, trueNegatives: 2, falseNegatives: 0, missing: 0 },
      ...{ accuracy: 1, sensitivity: null, specificity: 1, ppv: null, npv: 1, f1: null, balancedAccuracy: null },
      ...{ mcc: null, falsePositiveRate: 0, selectionRate: 0 },
    });
    expect([auroc([], []), auroc([0.1], [1]), auprc([0.1], [0])]).toEqual([NaN, NaN, NaN]);
  });

  it("logLoss_isInfiniteForACertainMistake_andFiniteOtherwise", () => {
    expect(logLoss([0, 0.5], [1, 0])).toBe(Infinity);
    expect(logLoss([1, 0.5], [1, 0])).toBeCloseTo(Math.log(2) / 2, 12);
  });

  it("aScoreEqualToTheThreshold_isPositive", () => {
    expect(confusionAt([0.5, 0.5 - 1e-9], [1, 1], 0.5)).toMatchObject({ truePositives: 1, falseNegatives: 1 });
  });
});
