import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { isLeadglassError } from "../../errors.ts";
import { studyJsonSchema } from "./json-schema.ts";
import { parseStudyFile, readStudyFile } from "./read.ts";

const text = (lines: readonly string[]): string => lines.join("\n");
const start = ["cohorts:", "  chest: {phantom: chest, patients: 100}", "targets: [pneumonia]"];

/** What a reader is told: place and line, what is wrong, and what to write instead. */
function mistake(lines: readonly string[]): string {
  try {
    parseStudyFile(text(lines), "a.yaml");
  } catch (error) {
    if (!isLeadglassError(error) || error.code !== "LG-USAGE-004") throw error;
    return `${error.message} | ${error.hint}`;
  }
  throw new Error("this study file was taken");
}

describe("study files", () => {
  it("shortForm_isOneArmForEachEpsilon_withoutPrivacyFirst_andDefaultsAreFilledIn", () => {
    const study = parseStudyFile(
      text([
        "cohort: masses",
        "targets: [malignant]",
        "epsilon: [1, inf, 8, .inf]",
        "delta: 1e-4",
        "train: {model: cnn}",
      ]),
      "a.yaml",
    );
    expect(study).toMatchObject({ seeds: [1], split: "test", groups: [], margin: 0.05, hospitals: { count: 3 } });
    expect(study.cohorts).toEqual({ cohort: { folder: "masses" } });
    expect(study.arms.map(({ kind, name, epsilon }) => [kind, name, epsilon])).toEqual([
      ["open", "no privacy", null],
      ["private", "epsilon 8", 8],
      ["private", "epsilon 1", 1],
    ]);
    expect(study.arms[1]).toMatchObject({ delta: 1e-4, train: { model: "cnn" }, seeds: [1], cohort: "cohort" });
  });

  it("armsOfEveryKind_haveNames_andSeedsOfTheirOwnOrTheStudys", () => {
    const study = parseStudyFile(
      text([
        ...start,
        "seeds: [3, 3, 4]",
        "arms:",
        "  - {kind: open, seeds: [9]}",
        "  - {kind: private, name: ours, epsilon: [2, 1]}",
        "  - {kind: encodings, keys: one}",
        "  - {kind: synthetic, use: pretrain, epsilon: 2}",
      ]),
      "a.yaml",
    );
    expect(study.arms.map(({ name, seeds }) => [name, seeds])).toEqual([
      ["no privacy", [9]],
      ["ours, epsilon 2", [3, 4]],
      ["ours, epsilon 1", [3, 4]],
      ["neuracrypt, one key", [3, 4]],
      ["synthetic, pretrain, epsilon 2", [3, 4]],
    ]);
  });

  it("columnsBesideTheFirstCohort_areAskedOfTheStudy_andAreNoPartOfItsSource", () => {
    const line = 'chest: { folder: a, targets: [t, u], groups: ["age:40"], hospitals: { column: site } }';
    expect(parseStudyFile(text(["cohorts:", `  ${line}`, "epsilon: [1]"]), "a.yaml")).toMatchObject({
      ...{
        targets: ["t", "u"],
        groups: ["age:40"],
        hospitals: { column: "site" },
        cohorts: { chest: { folder: "a" } },
      },
    });
    const bare = parseStudyFile(text(["cohorts:", "  chest: { folder: a, targets: [t] }", "epsilon: [1]"]), "a.yaml");
    expect(bare.cohorts).toEqual({ chest: { folder: "a" } });
    expect(bare).toMatchObject({ groups: [], hospitals: { count: 3 } });
  });

  it("presets_replaceSettingsOfTheSameName_andMissingOnesAreNamed", () => {
    const lines = text([...start, "epsilon: [1]", "presets:", "  small: {seeds: [7], epsilon: [3]}"]);
    expect(parseStudyFile(lines, "a.yaml", "small")).toMatchObject({ seeds: [7], arms: [{ name: "epsilon 3" }] });
    expect(() => parseStudyFile(lines, "a.yaml", "smal")).toThrow(
      expect.objectContaining({ message: "a.yaml, line 5: presets: there is no preset smal", hint: "Did you mean small? Known: small." }), // prettier-ignore
    );
  });
});

describe("mistakes in study files are told with their line, what was expected and the nearest name", () => {
  it.each([
    [
      "unknown setting",
      [...start, "epsilon: [1]", "groop: [sex]"],
      /^a\.yaml, line 5: groop: there is no such setting \| Did you mean groups\? Known: name, question, cohorts/,
    ],
    [
      "unknown setting of an arm",
      [...start, "arms:", "  - kind: open", "    tain: {epochs: 2}"],
      /^a\.yaml, line 6: arms\.0\.tain: there is no such setting \| Did you mean train\? /,
    ],
    [
      "unknown setting of a training",
      [...start, "arms:", "  - kind: private", "    epsilon: 1", "    train:", "      modle: cnn"],
      /^a\.yaml, line 8: arms\.0\.train\.modle: there is no such setting \| Did you mean model\? /,
    ],
    [
      "wrong type",
      [...start, "epsilon: [1]", "seeds: yes"],
      /^a\.yaml, line 5: seeds: a list was expected, got the text "yes"/,
    ],
    [
      "epsilon as text",
      [...start, "arms:", "  - kind: private", "    epsilon: eight"],
      /^a\.yaml, line 6: arms\.0\.epsilon: a number above 0, (or inf|inf, or a list of them)[^|]*, got the text "eight"/,
    ],
    ["epsilon of nothing", [...start, "epsilon: [0]"], /^a\.yaml, line 4: epsilon\.0: expected number to be >0, got 0/],
    [
      "kind that there is not",
      [...start, "arms:", "  - kind: privat"],
      /^a\.yaml, line 5: arms\.0\.kind: the text "privat" is no kind of arm \| Did you mean private\? Known: open, private, encodings, synthetic\./,
    ],
    [
      "scheme that there is not",
      [...start, "arms:", "  - kind: encodings", "    scheme: neurocrypt"],
      /^a\.yaml, line 6: arms\.0\.scheme: one of neuracrypt, .* was expected, got the text "neurocrypt" \| Did you mean neuracrypt\? /,
    ],
    [
      "attack that there is not",
      [...start, "arms:", "  - kind: encodings", "    attacks:", "      - known-pair"],
      /^a\.yaml, line 7: arms\.0\.attacks\.0: one of .* was expected, got the text "known-pair" \| Did you mean known-pairs\? /,
    ],
    [
      "cohort that there is not",
      [...start, "arms:", "  - kind: open", "    cohort: chset"],
      /^a\.yaml, line 6: arms\.0\.cohort: there is no cohort "chset" \| Did you mean chest\? Known: chest\./,
    ],
    [
      "two arms of one name",
      [...start, "arms:", "  - {kind: open, name: ours}", "  - {kind: private, epsilon: 1, name: ours}"],
      /^a\.yaml, line 6: arms\.1\.name: two arms are called "ours" \| Give every arm a name of its own\./,
    ],
    [
      "arms that start from each other",
      [
        ...[...start, "arms:"],
        "  - {kind: open, name: a, startFrom: b}",
        "  - {kind: private, epsilon: 1, name: b, startFrom: a}",
      ],
      /^a\.yaml, line 5: arms\.0\.startFrom: it goes in a circle: a from b from a \| /,
    ],
    [
      "start that there is not",
      [...start, "arms:", "  - {kind: open, name: first}", "  - {kind: private, epsilon: 1, startFrom: frist}"],
      /^a\.yaml, line 6: arms\.1\.startFrom: there is no arm "frist" \| Did you mean first\? /,
    ],
    [
      "nothing to learn",
      ["cohort: a", "epsilon: [1]"],
      /^a\.yaml, line 1: targets: it is missing \| Add targets, a list of columns/,
    ],
    [
      "no cohort",
      ["targets: [t]", "epsilon: [1]"],
      /^a\.yaml, line 1: cohorts: it is missing \| Name one with cohort: FOLDER, or several under cohorts\./,
    ],
    [
      "decision about another target",
      [...start, "epsilon: [1]", "decision:", "  auroc: 0.7", "  target: pnemonia"],
      /^a\.yaml, line 7: decision\.target: "pnemonia" is none of the targets \| Did you mean pneumonia\? /,
    ],
    [
      "targets twice",
      ["cohorts:", "  chest: { phantom: chest, targets: [a] }", "targets: [b]", "epsilon: [1]"],
      /^a\.yaml, line 3: targets: it stands beside targets of cohort chest \| Leave one of the two out\./,
    ],
    [
      "groups of the second cohort",
      ["cohorts:", "  a: { folder: a, targets: [t] }", "  b: { folder: b, groups: [sex] }", "epsilon: [1]"],
      /^a\.yaml, line 3: cohorts\.b\.groups: it stands with a cohort that is not the first \| /,
    ],
    ["no YAML", ["cohort: a", "targets: [t", "epsilon: [1]"], /^a\.yaml, line \d: not YAML/],
  ])("%s", (_, lines, told) => {
    expect(mistake(lines)).toMatch(told);
  });
});

const studies = fileURLToPath(new URL("../../../studies/", import.meta.url));

describe("studies/", () => {
  it("everyStudyAndEveryPreset_isValid_andDrawnUnlessYouSayOtherwise", async () => {
    const files = (await readdir(studies)).filter((name) => name.endsWith(".yaml"));
    expect(files.sort()).toEqual(
      ["compare", "demo", "neuracrypt", "private-fair-accurate", "synthetic-data"].map((name) => `${name}.yaml`),
    );
    for (const file of files) {
      const { text: written, study } = await readStudyFile(`${studies}${file}`);
      expect(study.name, file).toBe(file.replace(".yaml", ""));
      expect(Object.values(study.cohorts).every((source) => "phantom" in source)).toBe(true);
      for (const [, preset] of written.matchAll(/^ {2}(small):$/gm))
        expect((await readStudyFile(`${studies}${file}`, preset)).study.arms.length).toBeGreaterThan(2);
    }
  });

  it("compareInSmall_hasTwoArmsOfEveryKind_andTwoSeeds", async () => {
    const { study } = await readStudyFile(`${studies}compare.yaml`, "small");
    for (const kind of ["open", "private", "encodings", "synthetic"])
      expect(study.arms.filter((arm) => arm.kind === kind)).toHaveLength(2);
    expect(study.seeds).toHaveLength(2);
  });

  // After a change of the schema: npx vitest run src/study/file -u
  it("jsonSchema_isTheOneThatIsPublished", async () => {
    await expect(`${JSON.stringify(studyJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(`${studies}study.schema.json`);
    expect(await readFile(`${studies}compare.yaml`, "utf8")).toContain("$schema=study.schema.json");
  });
});
