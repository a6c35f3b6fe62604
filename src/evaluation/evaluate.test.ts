import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { bootstrapIntervals } from "./bootstrap.ts";
import { evaluateScores, evaluateTargets, reported } from "./evaluate.ts";
import { confusionAt } from "./metrics.ts";

/** 120 patients with 1 or 2 images, 6 of them without a label; sex, age and hospital by patient. */
function makeCohort(seed = 1) {
  const random = seededRandom(seed, "evaluate.test");
  const rows = Array.from({ length: 120 }, (_, p) => {
    const label = random.uniform() < 0.4 ? 1 : 0;
    const patient = {
      ...{ patient: `p${p}`, label: p % 20 === 7 ? NaN : label },
      ...{ sex: p % 3 ? "F" : p % 2 ? "M" : "", age: (p * 7) % 95, hospital: p < 5 ? "small" : "large" },
    };
    return Array.from({ length: 1 + (p % 2) }, () => ({
      ...patient,
      score: 1 / (1 + Math.exp(-(random.gaussian() + 1.5 * label - 0.7))),
    }));
  }).flat();
  const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map((row) => row[name]);
  return {
    ...{ scores: column("score"), labels: column("label"), patients: column("patient") },
    groups: { sex: column("sex"), age: column("age"), hospital: column("hospital") },
  };
}

const close = (x: number) => expect.closeTo(x, 12);
const cohort = makeCohort();
const options = { ...cohort, threshold: 0.5, seed: 1, resamples: 200 };
const result = evaluateScores(options);

describe("evaluateScores", () => {
  it("isPlainJson", () => {
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  it("theWhole_hasTheCountsAndTheIntervalsOfBootstrapIntervals", () => {
    const intervals = bootstrapIntervals({ ...options, metrics: reported });
    const positives = cohort.labels.filter((label) => label === 1).length;
    // 180 images; patients 7, 27, ..., 107 are odd-numbered, hence have 2 images each, and no label.
    expect(result).toMatchObject({
      ...{ n: 168, patients: 114, missing: 12, positives, prevalence: positives / 168, threshold: 0.5 },
      ...{ ...intervals, auprc: { ...intervals.auprc, prevalence: positives / 168 } },
      interval: { level: 0.95, resamples: 200, seed: 1, method: "bca", unit: "patient" },
    });
  });

  it("groups_partitionTheRowsOfEachColumn", () => {
    for (const column of ["sex", "age", "hospital"]) {
      const groups = result.groups.filter((group) => group.column === column);
      for (const count of ["n", "positives", "missing"] as const)
        expect(groups.reduce((sum, group) => sum + group[count]!, 0)).toBe(result[count]);
    }
    expect(result.groups.map(({ column, value }) => [column, value])).toEqual([
      ...["F", "M", null].map((value) => ["sex", value]),
      ...["0-29", "30-59", "60-69", "70-79", "80+"].map((value) => ["age", value]),
      ...["large", "small"].map((value) => ["hospital", value]),
    ]);
  });

  it("aGroup_isEvaluatedAsIfItWereTheWhole", () => {
    const inGroup = cohort.groups.age.map((age) => age >= 30 && age < 60);
    const pick = <T>(values: T[]) => values.filter((_, i) => inGroup[i]);
    const {
      groups: _,
      threshold: __,
      fairness: ____,
      interval: ___,
      ...alone
    } = evaluateScores({
      ...options,
      ...{ scores: pick(cohort.scores), labels: pick(cohort.labels), patients: pick(cohort.patients), groups: {} },
    });
    expect(result.groups.find(({ value }) => value === "30-59")).toEqual({
      ...alone,
      ...{ column: "age", value: "30-59", reason: null, suppressed: null },
    });
  });

  it("aGroupThatCannotBeEvaluated_hasCountsAReasonAndNulls", () => {
    const byLabel = evaluateScores({
      ...options,
      groups: { truth: cohort.labels.map((label) => (Number.isNaN(label) ? "none" : `${label}`)) },
    });
    expect(byLabel.groups.map(({ value, n, reason }) => [value, n, reason])).toEqual([
      ["0", 168 - result.positives, "only negatives"],
      ["1", result.positives, "only positives"],
      ["none", 0, "no labelled image"],
    ]);
  });

  it("aSmallGroup_isVisibleToTheOwnerWithoutIntervals_andSuppressedInARelease", () => {
    const of = (evaluation: typeof result) => evaluation.groups.filter(({ column }) => column === "hospital");
    const [large, small] = of(result);
    expect(small).toMatchObject({ value: "small", n: 7, patients: 5, reason: null, suppressed: "small" });
    const { accuracy } = confusionAt(cohort.scores.slice(0, 7), cohort.labels.slice(0, 7), 0.5);
    expect(small!.accuracy).toMatchObject({
      ...{ value: close(accuracy!), low: null, high: null, method: "none", reason: "fewer than 10 patients" },
    });
    // All patients less those of the large hospital are those of the small one.
    expect(large).toMatchObject({ suppressed: "complement", auroc: { method: "bca" } });

    const released = evaluateScores({ ...options, release: true });
    for (const group of of(released)) {
      const { column, value, suppressed, reason, ...numbers } = group;
      expect([column, value]).toEqual(["hospital", value === "small" ? "small" : "large"]);
      expect([suppressed, reason]).toEqual(
        value === "small"
          ? ["small", "suppressed: fewer than 10 patients"]
          : ["complement", "suppressed: subtraction would show a group of too few patients"],
      );
      expect(JSON.stringify(numbers).replace(/"undefinedResamples":0/g, "")).not.toMatch(/:-?\d/);
    }
    const others = (evaluation: typeof result) => evaluation.groups.filter(({ suppressed }) => suppressed === null);
    expect(others(released)).toEqual(others(result));
  });

  it("minimumPatients_isTheCallersChoice", () => {
    const { groups } = evaluateScores({ ...options, minimumPatients: 2 });
    expect(groups.find(({ value }) => value === "small")).toMatchObject({
      suppressed: null,
      accuracy: { method: "bca" },
    });
  });

  it("by_makesIntersections", () => {
    const { groups } = evaluateScores({
      ...options,
      by: [["hospital"], ["sex", "age"]],
      bands: { age: [-Infinity, 40, Infinity] },
    });
    expect(groups.map(({ column, value }) => [column, value])).toEqual([
      ...["large", "small"].map((value) => ["hospital", value]),
      ...["F + under 40", "F + 40+", "M + under 40", "M + 40+", null].map((value) => ["sex+age", value]),
    ]);
    const women = cohort.groups.sex.filter(
      (sex, i) => sex === "F" && cohort.groups.age[i]! < 40 && !Number.isNaN(cohort.labels[i]),
    );
    expect(groups[2]).toMatchObject({ n: women.length });
  });

  it("bands_areTheCallersChoice", () => {
    const { groups } = evaluateScores({
      ...options,
      groups: { dose: cohort.groups.age.map((age) => (age === 0 ? NaN : age / 10)), age: cohort.groups.hospital },
      bands: { dose: [0, 2.5, 5, 10] },
    });
    expect(groups.map(({ value }) => value)).toEqual([
      "0 to below 2.5",
      "2.5 to below 5",
      "5-9",
      null,
      "large",
      "small",
    ]);
  });

  it.each([
    ["one class", { labels: cohort.labels.map(() => 0) }, "LG-EVAL-004"],
    ["a label of 3", { labels: cohort.labels.map(() => 3) }, "LG-EVAL-002"],
    ["logits", { scores: cohort.scores.map((score) => 8 * score - 4) }, "LG-EVAL-003"],
    ["a column of another length", { groups: { sex: ["F"] } }, "LG-EVAL-001"],
    ["an age that is a text", { groups: { age: cohort.groups.age.map(String) } }, "LG-EVAL-005"],
    ["a negative age", { groups: { age: cohort.groups.age.map((age) => age - 1) } }, "LG-EVAL-005"],
    ["as many groups as patients", { groups: { patient: cohort.patients } }, "LG-EVAL-005"],
    ["bands that do not ascend", { bands: { age: [0, 60, 30, 120] } }, "LG-EVAL-005"],
    ["patients of another length", { patients: ["a"] }, "LG-EVAL-001"],
    ["an intersection with a column that is not there", { by: [["sex", "ward"]] }, "LG-EVAL-005"],
  ])("isRefused: %s", (_, change, code) => {
    expect(() => evaluateScores({ ...options, ...change })).toThrow(expect.objectContaining({ code }));
  });
});

describe("evaluateTargets", () => {
  it("evaluatesEachColumnOfTheMatricesByName", () => {
    const other = makeCohort(2);
    const interleave = (a: number[], b: number[]) => a.flatMap((value, i) => [value, b[i]!]);
    const { patients, groups } = cohort;
    const both = evaluateTargets({
      ...{ targets: ["effusion", "nodule"], thresholds: [0.5, 0.4], patients, groups, seed: 1, resamples: 200 },
      scores: interleave(cohort.scores, other.scores),
      labels: interleave(cohort.labels, other.labels),
    });
    expect(both).toEqual({
      effusion: evaluateScores({ ...options, together: 2 }),
      nodule: evaluateScores({ ...options, together: 2, scores: other.scores, labels: other.labels, threshold: 0.4 }),
    });
  });

  it("matricesOfAnotherSize_areRefused", () => {
    expect(() => evaluateTargets({ ...options, targets: ["a", "b"], thresholds: [0.5, 0.5], groups: {} })).toThrow(
      expect.objectContaining({ code: "LG-EVAL-001" }),
    );
  });
});
