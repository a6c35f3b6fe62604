import { expect, it } from "vitest";
import { parseSweepFile } from "./file.ts";

const text = (lines: readonly string[]): string => lines.join("\n");

it("epsilons_areOrderedWithoutPrivacyFirst_andDefaultsFilledIn", () => {
  const file = parseSweepFile(
    text(["cohort: masses", "targets: [malignant]", "epsilon: [1, inf, 8, .inf]", "delta: 1e-4"]),
    "a.yaml",
  );
  expect(file).toMatchObject({ epsilon: [Infinity, 8, 1], seeds: [1], split: "test", groups: [], margin: 0.05 });
});

it.each([
  [["cohort: a", "targets: [t]", "epsilon: [0]"], /a\.yaml, line 3: epsilon\.0/],
  [["cohort: a", "targets: [t]", "epsilon: [1]", "train:", "  modle: cnn"], /a\.yaml, line 5: train\.modle/],
  [["cohort: a", "targets: []", "epsilon: [1]"], /a\.yaml, line 2: targets/],
  [["cohort: a", "targets: [t"], /a\.yaml, line \d: not YAML/],
  [["targets: [t]", "epsilon: [1]"], /a\.yaml, line 1: cohort/],
])("mistakes_areToldWithTheirLine %#", (lines, message) => {
  expect(() => parseSweepFile(text(lines), "a.yaml")).toThrow(expect.objectContaining({ code: "LG-USAGE-004" }));
  expect(() => parseSweepFile(text(lines), "a.yaml")).toThrow(message);
});
