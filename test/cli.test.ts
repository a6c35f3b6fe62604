/** The command line from end to end on a small drawn cohort, each command a process of its own. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { beforeAll, describe, expect, it } from "vitest";
import { decodeModel } from "../src/graph/index.ts";
import { leadglass, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const at = (name: string): string => join(root, name);

/** Runs with --json; fails unless standard output is one JSON document and nothing else. */
async function json<T = Record<string, unknown>>(...words: string[]): Promise<{ code: number | null; value: T }> {
  const { code, stdout } = await leadglass([...words, "--json"], { cwd: root });
  return { code, value: JSON.parse(stdout) as T };
}

interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The one ledger beside the runs. */
const ledgerFile = async (): Promise<string> => join("ledgers", (await readdir(at("ledgers")))[0]!);

const train = ["train", "--cohort", "cohort", "--target", "malignant"];

beforeAll(async () => {
  const made = await json(
    "cohort",
    "make",
    "--kind",
    "mass",
    "--patients",
    "70",
    "--image-size",
    "64",
    "--out",
    "cohort",
  );
  expect(made).toMatchObject({ code: 0, value: { patients: 70, kind: "mass" } });
  const trained = await leadglass([...train, "--out", "private", "--epsilon", "8", "--json"], { cwd: root });
  expect(trained.code, trained.stderr).toBe(0);
  await writeFile(at("train.json"), trained.stdout);
});

describe("a cohort, a private model, and what follows from it", () => {
  it("cohortCheck_findsNothingWrongWithAPhantom", async () => {
    const { code, value } = await json<{ images: number; splits: object; problems: unknown[] }>(
      "cohort",
      "check",
      "cohort",
    );
    expect(code).toBe(0);
    expect(Object.keys(value.splits)).toEqual(["train", "val", "test"]);
    expect(value).toMatchObject({ patients: 70, problems: [], unreadable: 0 });
  });

  it("train_reportsItsGuaranteeAndStaysWithinIt", async () => {
    const report = JSON.parse(await readFile(at("train.json"), "utf8")) as {
      privacy: { epsilon: number };
      secondsPerEpoch: number;
      peakMemoryBytes: number;
    };
    expect(report).toMatchObject({
      run: "private",
      targets: ["malignant"],
      privacy: { unit: "patient", relation: "add-or-remove-one", insecureSeed: false },
      validation: { auroc: expect.any(Number) as number },
    });
    expect(report.privacy.epsilon).toBeGreaterThan(7.9);
    expect(report.privacy.epsilon).toBeLessThanOrEqual(8);
    expect(report.secondsPerEpoch).toBeGreaterThan(0);
    expect(report.peakMemoryBytes).toBeGreaterThan(2 ** 20);
    expect((await readdir(at("private"))).sort()).toEqual([
      ...["ledger.jsonl", "model.onnx", "run.json", "weights.safetensors"],
    ]);
  });

  it("evaluate_hasIntervalsAroundItsValues_andWritesNothingButAnEntry_onceHoweverOftenItIsRepeated", async () => {
    const before = await readdir(root, { recursive: true });
    const { code, value } = await json<{
      metrics: {
        malignant: Record<"auroc" | "auprc", Interval> & { prevalence: number; positives: number; n: number };
      };
      groups: { column: string; value: string; n: number; target: string }[];
      n: number;
      patients: number;
      privacy: { epsilon: number };
    }>(...["evaluate", "--run", "private", "--cohort", "cohort"], "--group", "hospital", "--group", "sex,age");
    expect(code).toBe(0);
    const { auroc, auprc, prevalence, positives, n } = value.metrics.malignant;
    for (const { value: x, low, high } of [auroc, auprc]) {
      expect(low).toBeLessThanOrEqual(x);
      expect(x).toBeLessThanOrEqual(high);
    }
    expect(prevalence).toBeCloseTo(positives / n, 12);
    expect(new Set(value.groups.map((g) => g.column))).toEqual(new Set(["hospital", "sex", "age"]));
    const hospitals = value.groups.filter((g) => g.column === "hospital");
    expect(hospitals.reduce((sum, g) => sum + g.n, 0)).toBe(value.n);
    expect(value.privacy.epsilon).toBeLessThanOrEqual(8);
    expect(await readdir(root, { recursive: true })).toEqual(before);
    const ledger = await readFile(at(await ledgerFile()), "utf8");
    await json("evaluate", "--run", "private", "--cohort", "cohort", "--group", "hospital", "--group", "sex,age");
    expect(await readFile(at(await ledgerFile()), "utf8")).toBe(ledger);
    expect(JSON.parse(ledger.trimEnd().split("\n").at(-1)!)).toMatchObject({
      kind: "evaluation",
      access: "not accounted",
      splits: ["test"],
    });
  });

  it("predict_csvAndParquetHoldTheSameRows", async () => {
    const predict = ["predict", "--run", "private", "--cohort", "cohort", "--split", "all", "--out"];
    const csv = await json<{ rows: number; out: string }>(...predict, "p.csv");
    const parquet = await json<{ rows: number; out: string }>(...predict, "p.parquet");
    expect([csv.code, parquet.code]).toEqual([0, 0]);
    const fromCsv = parse(await readFile(at("p.csv")), {
      columns: true,
      cast: (x) => (/^[\d.e-]+$/.test(x) ? Number(x) : x),
    });
    const fromParquet = await parquetReadObjects({ file: await asyncBufferFromFile(at("p.parquet")) });
    expect(fromCsv).toHaveLength(csv.value.rows);
    expect(fromParquet).toEqual(fromCsv);
    expect(Object.keys(fromParquet[0]!)).toEqual([
      ...["file_name", "patient_id", "split", "malignant_probability", "malignant_predicted"],
    ]);
  });

  it("predict_doesNotOverwrite", async () => {
    await writeFile(at("kept.csv"), "mine");
    const { code, value } = await json("predict", "--run", "private", "--cohort", "cohort", "--out", "kept.csv");
    expect({ code, value }).toMatchObject({ code: 2, value: { error: { code: "LG-USAGE-003" } } });
    expect(await readFile(at("kept.csv"), "utf8")).toBe("mine");
  });

  it("export_writesAnOnnxModelOfTheAskedShape", async () => {
    const { code, value } = await json("export", "--run", "private", "--out", "m.onnx", "--rows", "4");
    expect({ code, value }).toMatchObject({ code: 0, value: { out: "m.onnx", rows: 4, targets: ["malignant"] } });
    const graph = decodeModel(await readFile(at("m.onnx")));
    expect(graph.inputs.map((i) => [i.name, i.shape])).toEqual([["image", [4, 1, 128, 128]]]);
    expect(graph.outputs.map((o) => [o.name, o.value.shape])).toEqual([
      ["logits", [4, 1]],
      ["probabilities", [4, 1]],
    ]);
  });

  it("ledger_isValidUntilAnEntryIsChanged", async () => {
    const shown = await json<{ entries: { kind: string }[]; valid: boolean; budgets: { epsilon: object }[] }>(
      ...["ledger", "show", "private"],
    );
    expect(shown).toMatchObject({ code: 0, value: { valid: true } });
    expect(shown.value.entries.map((e) => e.kind).slice(0, 7)).toEqual([
      ...["cohort-opened", "training", "public", "owner-only", "noisy-histogram", "owner-only", "finished"],
    ]);
    expect(await json("ledger", "verify", "private")).toMatchObject({ code: 0, value: { valid: true, problems: [] } });
    const path = at("private/ledger.jsonl");
    const text = await readFile(path, "utf8");
    await writeFile(path, text.replace("validation split", "vaIidation split"));
    const changed = await json<{ problems: { index: number }[] }>("ledger", "verify", "private");
    expect(changed).toMatchObject({ code: 4, value: { valid: false } });
    expect(changed.value.problems[0]!.index).toBe(5);
    await writeFile(path, text);
  });

  it("aRunThatStartsFromAnother_carriesItsLedger_andAFrozenParameterStaysAsItWas", async () => {
    const small = ["--model", "cnn", "--image-size", "32", "--epochs", "1"];
    expect(await json(...train, "--out", "first", ...small)).toMatchObject({ code: 0 });
    const next = await json<{ privacy: { notAccounted: string[] } }>(
      ...[...train, "--out", "second", ...small, "--epsilon", "8", "--init-from", "first", "--freeze", "conv*"],
    );
    expect(next.code).toBe(0);
    expect(next.value.privacy.notAccounted).toContain("training without privacy on the train split");
    const { readWeights } = await import("../src/study/run-folder.ts");
    const [before, after] = await Promise.all([readWeights(at("first")), readWeights(at("second"))]);
    const unchanged = Object.keys(before).filter((name) =>
      Buffer.from(before[name]!.buffer).equals(Buffer.from(after[name]!.buffer)),
    );
    expect(unchanged).toEqual(["conv1.weight", "conv2.weight", "conv3.weight", "conv4.weight"]);
  });

  it("severalTargetsAndATextColumn_areOneModelWithSeveralAnswers", async () => {
    const words = ["--target", "hospital=river", "--model", "mlp", "--epochs", "1", "--image-size", "32"];
    const { code, value } = await json(...train, ...words, "--out", "several");
    expect({ code, value }).toMatchObject({ code: 0, value: { targets: ["malignant", "hospital=river"] } });
  });
});

describe("without --json, a person reads tables on standard output and the rest on standard error", () => {
  it("evaluate_printsIntervalsPrevalenceAndEpsilonWithoutColour", async () => {
    const { code, stdout } = await leadglass(["evaluate", "--run", "private", "--cohort", "cohort"], { cwd: root });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^AUROC +0\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$/m);
    expect(stdout).toMatch(/^prevalence +0\.\d{3}$/m);
    expect(stdout).toMatch(/epsilon (8|7\.99\d+) at delta 0\.001 for each patient/);
    expect(stdout).toContain("NOT ACCOUNTED");
    // eslint-disable-next-line no-control-regex -- no escape sequence where there is no terminal
    expect(stdout).not.toMatch(/\u001b/);
  });

  it("train_saysWhatItChose_andWarnsOfASeed", async () => {
    const { code, stdout, stderr } = await leadglass(
      [...train, "--out", "seeded", "--epsilon", "3", "--seed", "1", "--epochs", "5"],
      { cwd: root },
    );
    expect(code).toBe(0);
    expect(stderr).toContain("insecureSeed");
    expect(stderr).toContain("calibrated to epsilon 3");
    expect(stdout).toContain("insecureSeed");
    expect(stdout).not.toContain("loss");
  });
});

describe("wrong usage exits with 2 and names what was meant", () => {
  it.each([
    [["train", "--cohrt", "x"], "LG-USAGE-001", "--cohort"],
    [["train", "--cohort", "x", "--target", "t", "--out", "o", "--epochs", "many"], "LG-USAGE-001", "whole number"],
    [["train", "--cohort", "x", "--target", "t", "--out", "o", "stray"], "LG-USAGE-001", "--help"],
    [["train", "--cohort", "x", "--target", "t"], "LG-USAGE-001", "--help"],
    [["trian"], "LG-USAGE-002", "Did you mean train?"],
    [["cohort", "mkae"], "LG-USAGE-002", "Did you mean cohort make?"],
    [
      [
        "accountant",
        "epsilon",
        "--accountant",
        "gaussian",
        "--noise-multiplier",
        "1",
        "--sampling-probability",
        "0.5",
        "--steps",
        "1",
        "--delta",
        "1e-5",
      ],
      "LG-PRIVACY-004",
      "pld",
    ],
  ])("%j", async (words, code, expected) => {
    const answer = await json<{ error: { code: string; message: string; hint: string } }>(...words);
    expect({ exit: answer.code, code: answer.value.error.code }).toEqual({ exit: 2, code });
    expect(answer.value.error.message + answer.value.error.hint).toContain(expected);
  });

  it("aPlainError_isTwoLinesOnStandardErrorAndNothingOnStandardOutput", async () => {
    expect(await leadglass(["evaluate", "--run", "nowhere", "--cohort", "cohort"], { cwd: root })).toEqual({
      code: 3,
      signal: null,
      stdout: "",
      stderr:
        "LG-TRAIN-002  nowhere: this folder holds no run (run.json cannot be read)\n" +
        "              Give the folder that train wrote with --out.\n",
    });
  });
});

describe("accountant", () => {
  const words = ["--sampling-probability", "0.01", "--steps", "1000", "--delta", "1e-5"];

  it("epsilonOfTheCalibratedNoise_isTheTarget", async () => {
    const noise = await json<{ noiseMultiplier: number }>("accountant", "noise", "--epsilon", "3", ...words);
    // dp_accounting 0.6.0: calibrate_dp_mechanism with RdpAccountant, tol=1e-5 (accounting vectors, id 207). Orders differ.
    expect(noise.value.noiseMultiplier).toBeCloseTo(0.8646065893866035, 3);
    const multiplier = String(noise.value.noiseMultiplier);
    const cost = await json<{ epsilon: { upper: number } }>(
      "accountant",
      "epsilon",
      "--noise-multiplier",
      multiplier,
      ...words,
    );
    expect(cost.value.epsilon.upper).toBeLessThanOrEqual(3);
    expect(cost.value.epsilon.upper).toBeGreaterThan(2.9999);
  });

  it("replaceOne_costsMoreThanAddOrRemove", async () => {
    const epsilon = async (relation: string) =>
      (
        await json<{ epsilon: { upper: number } }>(
          ...["accountant", "epsilon", "--noise-multiplier", "1", ...words, "--relation", relation],
        )
      ).value.epsilon.upper;
    // dp_accounting 0.6.0: rdp.RdpAccountant(), q=0.01, sigma=1, T=1000, delta=1e-5 (accounting vectors, id 83). Orders differ.
    expect(await epsilon("add-remove")).toBeCloseTo(2.101366525420273, 3);
    expect(await epsilon("replace")).toBeGreaterThan(2.2);
  });
});

it("demo_numbersItsFolderAndInterruptedLeavesNothing", async () => {
  await writeFile(at("demo"), "something that is there");
  const { start } = await import("./support/cli.ts");
  const { child, outcome } = start(["demo", "--out", "demo", "--patients", "120", "--json"], { cwd: root });
  // Drawing 120 patients takes seconds; the folder is made first.
  while (!(await readdir(root)).includes("demo-2")) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGINT");
  const { code, stdout } = await outcome;
  expect({ code, value: JSON.parse(stdout) as unknown }).toMatchObject({
    code: 5,
    value: { error: { code: "LG-INTERRUPTED-001" } },
  });
  expect(await readdir(root)).not.toContain("demo-2");
  await rm(at("demo"));
});
