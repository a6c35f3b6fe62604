/**
 * What a person gets for bad input: a code, the place, the remedy, exit code 3, and nothing half-written. Every case
 * starts from the same good cohort, which trains, and spoils one thing.
 */
import { cp, readdir, readFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { leadglass, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const good = join(root, "good");
let cases = 0;

beforeAll(async () => {
  const made = await leadglass([
    "cohort",
    "make",
    "--patients",
    "40",
    "--image-size",
    "32",
    "--seed",
    "5",
    "--out",
    good,
  ]);
  expect(made.stderr + made.stdout).toContain("40 patients");
});

/** A copy of the good cohort; `edit` gets the table's lines, heading first. */
async function spoilt(edit: (lines: string[], dir: string) => string[] | Promise<string[]>): Promise<string> {
  const dir = join(root, `cohort-${cases++}`);
  await cp(good, dir, { recursive: true });
  const path = join(dir, "metadata.csv");
  const lines = (await readFile(path, "utf8")).trimEnd().split(/\r?\n/);
  await writeFile(path, `${(await edit(lines, dir)).join("\n")}\n`);
  return dir;
}

const quick = ["--target", "malignant", "--model", "mlp", "--image-size", "32", "--epochs", "1"];

/** Trains where it must be refused; checks that the folder of the run is as it was before. */
async function refusal(cohort: string, ...words: string[]) {
  const out = join(root, `run-${cases++}`);
  const before = await readdir(root);
  const { code, stdout } = await leadglass(["train", "--cohort", cohort, "--out", out, "--json", ...quick, ...words]);
  expect(await readdir(root), "nothing half-written").toEqual(before);
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } };
  return { exit: code, ...error };
}

/** Column `name` of a line, replaced. Cells of phantom cohorts hold no commas. */
function withCell(lines: readonly string[], line: number, name: string, value: string): string[] {
  const column = lines[0]!.split(",").indexOf(name);
  return lines.with(line, lines[line]!.split(",").with(column, value).join(","));
}

const cellOf = (lines: readonly string[], line: number, name: string): string =>
  lines[line]!.split(",")[lines[0]!.split(",").indexOf(name)]!;

const inSplit = (lines: readonly string[], split: string): number =>
  lines.findIndex((_, i) => i > 0 && cellOf(lines, i, "split") === split);

describe("bad input is refused with code, place and remedy, exit code 3, and nothing is written", () => {
  it("aMissingImage", async () => {
    const cohort = await spoilt(async (lines, dir) => {
      await unlink(join(dir, cellOf(lines, 3, "file_name")));
      return lines;
    });
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-007" });
    expect(message).toContain("metadata.csv, data row 3");
    expect(hint).not.toBe("");
  });

  it.each(["train", "val"])("aTruncatedPng_inSplit_%s", async (split) => {
    const cohort = await spoilt(async (lines, dir) => {
      await truncate(join(dir, cellOf(lines, inSplit(lines, split), "file_name")), 200);
      return lines;
    });
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-IMAGE-001" });
    expect(message).toMatch(/data row \d+/);
    expect(hint).not.toBe("");
  });

  it("aLabelThatIsNot0Or1OrBlank", async () => {
    const cohort = await spoilt((lines) => withCell(lines, 4, "malignant", "perhaps"));
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-012" });
    expect(message).toContain('data row 4: column "malignant"');
    // A message never carries a patient's value.
    expect(message + hint).not.toContain("perhaps");
    expect(hint).toContain("cohort.yaml");
  });

  it("aPatientInTwoSplits", async () => {
    const cohort = await spoilt((lines) => {
      const line = lines.findIndex(
        (_, i) => i > 1 && cellOf(lines, i, "patient_id") === cellOf(lines, i - 1, "patient_id"),
      );
      return withCell(lines, line, "split", cellOf(lines, line, "split") === "test" ? "train" : "test");
    });
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-009" });
    expect(message).toContain("metadata.csv");
    expect(hint).not.toBe("");
  });

  it("anEmptySplit", async () => {
    const cohort = await spoilt((lines) => lines.filter((_, i) => i === 0 || cellOf(lines, i, "split") !== "train"));
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-011" });
    expect(message).toContain('split "train"');
    expect(hint).toContain("val");
  });

  it("aTargetWithOneClass", async () => {
    const cohort = await spoilt((lines) =>
      lines.reduce((all, _, i) => (i === 0 ? all : withCell(all, i, "malignant", "0")), lines),
    );
    const { exit, code, message, hint } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-013" });
    expect(message).toContain("0 positive");
    expect(hint).not.toBe("");
  });

  it("aTargetWithOneClassInTheTrainSplit", async () => {
    const cohort = await spoilt((lines) =>
      lines.reduce(
        (all, _, i) => (i > 0 && cellOf(lines, i, "split") === "train" ? withCell(all, i, "malignant", "1") : all),
        lines,
      ),
    );
    const { exit, code, message } = await refusal(cohort);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-013" });
    expect(message).toContain('split "train"');
  });

  it.each(["0", "-1"])("anEpsilonOf_%s", async (epsilon) => {
    const { exit, code, message, hint } = await refusal(good, "--epsilon", epsilon);
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-PRIVACY-010" });
    expect(message).toContain("--epsilon");
    expect(hint).toContain("1 to 10");
  });

  it("aRunFolderThatExists_isLeftAsItWas", async () => {
    const out = join(root, "taken");
    await cp(good, out, { recursive: true });
    const before = await readdir(out, { recursive: true });
    const { code, stdout } = await leadglass(["train", "--cohort", good, "--out", out, "--json", ...quick]);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } };
    expect({ code, error: error.code }).toEqual({ code: 3, error: "LG-TRAIN-002" });
    expect(error.message).toContain(out);
    expect(error.hint).toContain("--out");
    expect(await readdir(out, { recursive: true })).toEqual(before);
  });

  it("aFolderWithoutATable", async () => {
    const { exit, code, message } = await refusal(join(good, "images"));
    expect({ exit, code }).toEqual({ exit: 3, code: "LG-COHORT-001" });
    expect(message).toContain("metadata.csv");
  });
});

it("aCsvWithAQuotedCommaAndAByteOrderMark_trains", async () => {
  const cohort = await spoilt((lines) => [
    `\uFEFF${lines[0]},remark`,
    ...lines.slice(1).map((line, i) => `${line},${i % 2 === 0 ? '"dense, left"' : '"said ""no"""'}`),
  ]);
  const { code, stdout } = await leadglass([
    ...["train", "--cohort", cohort, "--out", join(root, "quoted"), "--json", ...quick],
  ]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ targets: ["malignant"], privacy: null });
});

it("cohortCheck_listsEveryProblemAndExitsWith3", async () => {
  const cohort = await spoilt(async (lines, dir) => {
    await truncate(join(dir, cellOf(lines, 2, "file_name")), 200);
    await unlink(join(dir, cellOf(lines, 5, "file_name")));
    return lines;
  });
  const { code, stdout } = await leadglass(["cohort", "check", cohort, "--json"]);
  const { problems } = JSON.parse(stdout) as { problems: { code: string; rows: number[] }[] };
  expect(code).toBe(3);
  expect(problems.map((p) => [p.code, p.rows])).toEqual(
    expect.arrayContaining([
      ["LG-COHORT-007", [5]],
      ["LG-IMAGE-001", [2]],
    ]),
  );
});
