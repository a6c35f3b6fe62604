import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { delongTest, delongVariance } from "./delong.ts";
import { auroc } from "./metrics.ts";

interface Case {
  name: string;
  scoresA: number[];
  scoresB: number[];
  labels: number[];
  [expected: string]: unknown;
}

// Pair by pair from the definitions in DeLong, DeLong and Clarke-Pearson 1988, without ranks: fixtures/make_fixtures.py.
const { cases } = JSON.parse(readFileSync(new URL("./fixtures/delong.json", import.meta.url), "utf8")) as {
  cases: Case[];
};
const close = (x: unknown) => expect.closeTo(x as number, 12);

describe.each(cases)("DeLong by ranks against DeLong by pairs: $name", ({ scoresA, scoresB, labels, ...expected }) => {
  it("variance_agrees", () => {
    const [a, b] = [delongVariance(scoresA, labels), delongVariance(scoresB, labels)];
    expect(a).toMatchObject({ auroc: close(expected["a"]), variance: close(expected["varianceA"]) });
    expect(b).toMatchObject({ auroc: close(expected["b"]), variance: close(expected["varianceB"]) });
    // 1.959964 standard errors on either side: the normal 97.5 % quantile.
    expect(a.high - a.low).toBeCloseTo(2 * 1.959963984540054 * a.standardError, 12);
  });

  it("pairedTest_agrees", () => {
    expect(delongTest(scoresA, scoresB, labels)).toEqual({
      a: close(expected["a"]),
      b: close(expected["b"]),
      difference: close((expected["a"] as number) - (expected["b"] as number)),
      variance: close(expected["differenceVariance"]),
      z: expect.closeTo(expected["z"] as number, 9),
      pValue: expect.closeTo(expected["pValue"] as number, 9),
    });
  });

  it("rowsWithoutALabel_changeNothing", () => {
    expect(delongTest([5, ...scoresA], [NaN, ...scoresB], [NaN, ...labels])).toEqual(
      delongTest(scoresA, scoresB, labels),
    );
  });
});

it("delong_aurocIsTheSameAsAuroc", () => {
  for (const { scoresA, labels } of cases)
    expect(delongVariance(scoresA, labels).auroc).toBeCloseTo(auroc(scoresA, labels), 12);
});

it("delong_sameRankingTwice_hasNoTest", () => {
  const { scoresA, labels } = cases[0]!;
  const shifted = scoresA.map((score) => 2 * score + 3);
  expect(delongTest(scoresA, shifted, labels)).toMatchObject({ difference: 0, variance: 0, z: null, pValue: null });
});

it("delong_oneOfAClass_isRefused", () => {
  expect(() => delongVariance([1, 2, 3], [0, 0, 1])).toThrow(expect.objectContaining({ code: "LG-EVAL-004" }));
  expect(() => delongTest([1, 2, 3], [1, 2], [0, 0, 1])).toThrow(expect.objectContaining({ code: "LG-EVAL-001" }));
});

interface ClusteredCase {
  mixed: boolean;
  patients: number[];
  scoresA: number[];
  scoresB: number[];
  labels: number[];
  a: number;
  b: number;
  varianceA: number;
  varianceB: number;
  differenceVariance: number;
}

// Obuchowski 1997 by its definition, cluster by cluster in numpy: fixtures/make_statistics.py. One case has patients of one
// class each, the other patients with both.
const { clustered } = JSON.parse(readFileSync(new URL("./fixtures/statistics.json", import.meta.url), "utf8")) as {
  clustered: ClusteredCase[];
};

describe.each(clustered)("with several images a patient, mixed: $mixed", (each) => {
  const { scoresA, scoresB, labels, patients } = each;

  it("variances_areObuchowskis", () => {
    expect(delongVariance(scoresA, labels, { patients })).toMatchObject({
      ...{ auroc: close(each.a), variance: close(each.varianceA) },
    });
    expect(delongVariance(scoresB, labels, { patients }).variance).toBeCloseTo(each.varianceB, 12);
    const test = delongTest(scoresA, scoresB, labels, { patients });
    expect(test.variance).toBeCloseTo(each.differenceVariance, 12);
    expect(test.z).toBeCloseTo((each.a - each.b) / Math.sqrt(each.differenceVariance), 9);
  });

  it("aPatientForEveryRow_givesDelong", () => {
    const rows = labels.map((_, i) => i);
    expect(delongVariance(scoresA, labels, { patients: rows }).variance).toBeCloseTo(
      delongVariance(scoresA, labels).variance,
      12,
    );
  });

  it("ignoringThePatients_misjudgesTheVariance", () => {
    // Half of a score's spread is the patient's: that repeats evidence, but cancels between images of one patient.
    const ratio = delongVariance(scoresB, labels).variance / each.varianceB;
    if (each.mixed) expect(ratio).toBeGreaterThan(1);
    else expect(ratio).toBeLessThan(0.9);
  });
});

it("delong_onePatientWithPositives_isRefused", () => {
  const patients = ["a", "a", "b", "c"];
  expect(() => delongVariance([1, 2, 3, 4], [1, 1, 0, 0], { patients })).toThrow(
    expect.objectContaining({ code: "LG-EVAL-004" }),
  );
});
