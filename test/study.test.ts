/** Whole small studies on the command line: an arm that fails, what a cohort lacks, what is changed. */
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readRows, type StudyRecord } from "../src/study/results/index.ts";
import { leadglass, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const cohort = join(root, "cohort");
const train = "train: { model: cnn, imageSize: 32, epochs: 1, batch: 32 }";

async function study(name: string, lines: readonly string[]): Promise<string> {
  const file = join(root, `${name}.yaml`);
  await writeFile(
    file,
    ["name: small", "cohorts: { masses: { folder: cohort } }", "shortcuts: false", ...lines].join("\n"),
  );
  return file;
}

beforeAll(async () => {
  await leadglass(["cohort", "make", "--kind", "mass", "--patients", "60", "--image-size", "32", "--seed", "2", "--out", cohort]); // prettier-ignore
});

describe("study run", () => {
  it("armThatFails_isRecordedAsFailed_andTheOthersGoOn", async () => {
    const file = await study("failing", [
      "targets: [malignant]",
      "groups: [hospital]",
      "arms:",
      `  - { kind: open, ${train}, audits: [loss] }`,
      "  - { kind: open, name: nobody knows it, train: { model: nosuch } }",
      "  - { kind: private, epsilon: 4, startFrom: nobody knows it }",
      "decision: { patients: 1000, auroc: 0.5 }",
    ]);
    const out = join(root, "failing");
    const { code, stdout, stderr } = await leadglass(["study", "run", file, "--out", out, "--json"]);
    // Bad input, as one arm's settings were.
    expect(code, stderr).toBe(3);
    const { counts } = JSON.parse(stdout) as { counts: object };
    // The cohort, a training, its evaluation and the attack on it; what needs the failed training waits.
    expect(counts).toEqual({ done: 4, reused: 0, failed: 1, waiting: 3 });
    const record = JSON.parse(await readFile(join(out, "study.json"), "utf8")) as StudyRecord;
    expect(record.arms.map(({ name, state, error }) => [name, state, error?.code])).toEqual([
      ["no privacy", "done", undefined],
      ["nobody knows it", "failed", "LG-USAGE-001"],
      ["epsilon 4", "waiting", "LG-USAGE-001"],
    ]);
    expect(record.decision!.arms.map(({ reasons }) => reasons[0]!.evidence)).toEqual([
      expect.stringMatching(/^0\.\d+ \[/),
      expect.stringContaining("nosuch"),
      expect.stringContaining("nosuch"),
    ]);
    const rows = await readRows(join(out, "results.parquet"));
    const value = (metric: string) => rows.find((row) => row.metric === metric)?.value;
    // Of 60 patients: those of the training split, who are fewer than 1000.
    expect(value("training patients")).toBeGreaterThan(30);
    expect(record.decision!.arms[0]!.reasons[1]).toMatchObject({ meets: "yes", evidence: `trained on ${value("training patients")}` }); // prettier-ignore
    // Every number says what it was computed from, and that is there.
    for (const path of new Set(rows.map((row) => row.file))) await readFile(join(out, path));
    const entries = new Set(record.ledger.rows.length > 0 ? rows.map((row) => row.ledgerEntry) : []);
    expect(entries.size).toBeGreaterThan(0);
    expect(rows.some((row) => row.group?.startsWith("hospital="))).toBe(true);
    // What failed is tried again, and nothing else is done.
    const again = await leadglass(["study", "run", file, "--out", out, "--json"]);
    expect((JSON.parse(again.stdout) as { counts: object }).counts).toEqual({
      done: 0,
      reused: 4,
      failed: 1,
      waiting: 3,
    });
  });

  it("whatPrivateImagesAndPrivateTrainingCost_addsUp_whateverElseTheStudySpends", async () => {
    const arm = (budget: string) => [
      `  - { kind: synthetic, name: drawn first, use: pretrain, epsilon: ${budget}, delta: 1e-3, generator: { model: spectral, epsilon: 4, delta: 1e-3, imageSize: 32, perClass: 20 }, judge: false, ${train} }`,
    ];
    const proven = async (name: string, arms: readonly string[]) => {
      const file = await study(name, ["targets: [malignant]", "arms:", ...arms]);
      const { code, stdout, stderr } = await leadglass(["study", "run", file, "--out", join(root, name), "--json"]);
      expect(code, stderr).toBe(0);
      const { arms: records } = JSON.parse(stdout) as Pick<StudyRecord, "arms">;
      return records.find((record) => record.name === "drawn first")!;
    };
    const { epsilon, delta, attacker } = await proven("chained", arm("4"));
    // Two Gaussian mechanisms cost more than one, and less together than epsilons that are added.
    expect(epsilon).toBeGreaterThan(4.2);
    expect(epsilon).toBeLessThan(8);
    expect(delta).toBe(1e-3);
    expect(attacker).toBeNull();
    const beside = await proven("beside others", [...arm("4"), `  - { kind: private, epsilon: 4, delta: 1e-3, ${train} }`]); // prettier-ignore
    expect(beside.epsilon).toBe(epsilon);
  });

  it.each([
    ["target", ["targets: [malignent]", "epsilon: [inf]"], /malignent/],
    ["group", ["targets: [malignant]", "groups: [sexx]", "epsilon: [inf]"], /sexx/],
    ["split", ["targets: [malignant]", "split: holdout", "epsilon: [inf]"], /holdout/],
  ])("columnThatTheCohortLacks_isToldBeforeAnythingIsRun: %s", async (name, lines, told) => {
    const file = await study(name, lines);
    for (const words of [
      ["study", "check", file],
      ["study", "run", file, "--out", join(root, name)],
    ]) {
      const { code, stdout } = await leadglass([...words, "--json"]);
      expect([2, 3]).toContain(code);
      expect((JSON.parse(stdout) as { error: { message: string } }).error.message).toMatch(told);
    }
    await expect(readFile(join(root, name, "study.json"))).rejects.toThrow("ENOENT");
  });
});

describe("study check", () => {
  it("saysWhatWouldBeDone", async () => {
    const file = join(root, "compare.yaml");
    await copyFile(new URL("../studies/compare.yaml", import.meta.url), file);
    const { code, stdout } = await leadglass(["study", "check", file, "--preset", "small", "--json"]);
    expect(code).toBe(0);
    const { arms, work } = JSON.parse(stdout) as { arms: object[]; work: Record<string, number> };
    expect(arms).toHaveLength(8);
    // Two open, two private and two synthetic arms with two seeds each; two generators; four attacks on encodings.
    expect(work).toMatchObject({ train: 12, "train-releases": 4, encode: 2, attack: 4, generator: 2, membership: 6 });
  });
});
