import { expect, it } from "vitest";
import { decide, type Answer, type Constraints } from "./decide.ts";
import { meanOverSeeds } from "./estimates.ts";
import type { ArmKind, ArmRecord, AttackRecord, StudyRecord } from "./record.ts";
import type { ResultRow } from "./rows.ts";

const arm = (name: string, kind: ArmKind, more: Partial<ArmRecord> = {}): ArmRecord => ({
  ...{ name, kind, about: "", settings: {}, state: "done", epsilon: null, delta: null, unit: null },
  ...{ assumptions: [], runs: [], pictures: [], notAccounted: [] },
  ...more,
});
const attack = (of: string, low: number, high: number, more: Partial<AttackRecord> = {}): AttackRecord => ({
  ...{ arm: of, attack: "matching", about: "", knowledge: [], success: { value: (low + high) / 2, low, high } },
  ...{ chance: 0.01, seconds: 1, valid: true, pictures: [] },
  ...more,
});
const study = (arms: readonly ArmRecord[], more: Partial<StudyRecord> = {}): StudyRecord => ({
  ...{ name: "s", file: "", sha256: "", codeVersion: "", node: "", startedAt: "", seconds: 1, seeds: [1, 2] },
  machine: { cores: 2, memoryBytes: 1, platform: "linux" },
  ...{ cohorts: [], targets: ["t", "u"], groups: [], arms, attacks: [], costs: [], shortcuts: {}, limits: [] },
  ledger: { rows: [], budgets: [] },
  ...more,
});
const auroc = (of: string, value: number | null, more: Partial<ResultRow> = {}): ResultRow => ({
  ...{ study: "s", arm: of, seed: 1, cohort: "c", split: "test", target: "t", group: null, metric: "auroc", value },
  ...{ low: value === null ? null : value - 0.05, high: value === null ? null : value + 0.05, images: 9, patients: 9 },
  ...{ epsilon: null, delta: null, attack: null, chance: null, ledgerEntry: null, file: "f" },
  ...more,
});

/** What is said of one arm. */
function answer(
  { attacks = [], shortcuts = {}, ...of }: Partial<ArmRecord> & Pick<ArmRecord, "kind"> & Partial<Pick<StudyRecord, "attacks" | "shortcuts">>, // prettier-ignore
  rows: readonly ResultRow[],
  constraints: Constraints,
): Answer {
  const record = study([arm("a", of.kind, of)], { attacks, shortcuts });
  return decide(record, rows, { target: "t", ...constraints }).arms[0]!.qualifies;
}

it.each<[string, number | null, Answer]>([
  ["above with its whole interval", 0.8, "yes"],
  ["within its interval", 0.72, "cannot tell"],
  ["below with its whole interval", 0.6, "no"],
  ["no value", null, "cannot tell"],
])("auroc_%s", (_, value, expected) => {
  expect(answer({ kind: "open" }, [auroc("a", value)], { auroc: 0.7 })).toBe(expected);
});

it("auroc_isAskedOfEverySeed_andOfEveryTargetUnlessOneIsNamed", () => {
  const rows = [auroc("a", 0.8), auroc("a", 0.72, { seed: 2 }), auroc("a", 0.5, { target: "u" })];
  // The lower of the two seeds reaches from 0.67 to 0.77.
  expect(answer({ kind: "open" }, rows, { auroc: 0.7 })).toBe("cannot tell");
  expect(answer({ kind: "open" }, rows, { auroc: 0.66 })).toBe("yes");
  expect(decide(study([arm("a", "open")]), rows, { auroc: 0.66 }).arms[0]!.qualifies).toBe("no");
});

it("auroc_thatAShortcutMayHaveEarned_isNoEvidence", () => {
  const shortcuts = { t: { verdict: "confounded", reasons: [] } };
  expect(answer({ kind: "open", shortcuts }, [auroc("a", 0.9)], { auroc: 0.7 })).toBe("cannot tell");
  expect(answer({ kind: "open", shortcuts }, [auroc("a", 0.5)], { auroc: 0.7 })).toBe("no");
});

it.each<[string, Partial<ArmRecord> & Pick<ArmRecord, "kind">, Answer]>([
  ["enough", { kind: "private", epsilon: 7.99, delta: 1e-4, unit: "patient" }, "yes"],
  ["too much", { kind: "private", epsilon: 8.01, delta: 1e-4, unit: "patient" }, "no"],
  ["of images, not of patients", { kind: "private", epsilon: 1, delta: 1e-4, unit: "image" }, "no"],
  ["nothing proven", { kind: "open" }, "no"],
  ["synthetic images of a private generator", { kind: "synthetic", epsilon: 3, delta: 1e-4, unit: "patient" }, "yes"],
])("epsilon_%s", (_, of, expected) => {
  expect(answer(of, [], { epsilon: 8 })).toBe(expected);
});

it.each<[string, ArmKind, AttackRecord[], number | undefined, Answer]>([
  ["encodings that an attack broke, though nothing is asked", "encodings", [attack("a", 0.9, 1)], undefined, "no"],
  ["encodings that an attack broke a little, within what is allowed", "encodings", [attack("a", 0.02, 0.04)], 0.5, "no"], // prettier-ignore
  ["encodings that were attacked in vain", "encodings", [attack("a", 0, 0.02)], 0.5, "cannot tell"],
  ["encodings that nobody attacked", "encodings", [], undefined, "cannot tell"],
  ["encodings whose attack does not break its own control", "encodings", [attack("a", 0, 0.02, { valid: false })], 0.5, "cannot tell"], // prettier-ignore
  ["a model whose members are told apart", "open", [attack("a", 0.7, 0.8, { chance: 0.5 })], 0.2, "no"],
  ["a model whose members are hardly told apart", "open", [attack("a", 0.52, 0.56, { chance: 0.5 })], 0.2, "yes"],
  ["a model whose attack's interval is wide", "open", [attack("a", 0.52, 0.7, { chance: 0.5 })], 0.2, "cannot tell"],
  ["a model that nobody attacked", "open", [], 0.2, "cannot tell"],
  ["a model of whom nothing is asked", "open", [attack("a", 0.9, 1, { chance: 0.5 })], undefined, "yes"],
])("attacks_%s", (_, kind, attacks, attackGain, expected) => {
  expect(answer({ kind, attacks }, [auroc("a", 0.9)], { auroc: 0.7, ...(attackGain === undefined ? {} : { attackGain }) })).toBe(expected); // prettier-ignore
});

it("worstGroup_isTheLowestOfAll_andEveryGroupCounts", () => {
  const rows = [auroc("a", 0.9, { group: "sex=F" }), auroc("a", 0.72, { group: "sex=M" })];
  expect(answer({ kind: "open" }, rows, { worstGroup: 0.6 })).toBe("yes");
  expect(answer({ kind: "open" }, rows, { worstGroup: 0.7 })).toBe("cannot tell");
  expect(answer({ kind: "open" }, rows, { worstGroup: 0.8 })).toBe("no");
  expect(answer({ kind: "open" }, [auroc("a", 0.9)], { worstGroup: 0.6 })).toBe("cannot tell");
  // A group that is too small for a value is no group that does well.
  expect(answer({ kind: "open" }, [...rows, auroc("a", null, { group: "age=75+" })], { worstGroup: 0.6 })).toBe("cannot tell"); // prettier-ignore
});

it("armThatFailed_qualifiesForNothing_andSaysWhy", () => {
  const error = { code: "LG-PRIVACY-001", message: "spent" };
  const { arms } = decide(study([arm("a", "private", { state: "failed", error, epsilon: 1, unit: "patient" })]), [], {
    epsilon: 8,
  });
  expect(arms[0]).toMatchObject({ qualifies: "cannot tell", reasons: [{ evidence: "LG-PRIVACY-001 spent" }, {}] });
});

it("meanOverSeeds_liesWithinTheOuterEnds", () => {
  const seeds = [
    { value: 0.6, low: 0.5, high: 0.65 },
    { value: 0.7, low: 0.55, high: 0.8 },
    { value: null, low: null, high: null },
  ];
  expect(meanOverSeeds(seeds)).toEqual({ value: expect.closeTo(0.65, 12) as number, low: 0.5, high: 0.8 });
  expect(meanOverSeeds(seeds.slice(2))).toBeNull();
});
