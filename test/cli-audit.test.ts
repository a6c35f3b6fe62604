import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { leadglass, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const [cohort, run] = [join(root, "cohort"), join(root, "run")];
const slow = 300_000;

beforeAll(async () => {
  const made = await leadglass([
    "cohort",
    "make",
    "--patients",
    "80",
    "--image-size",
    "32",
    "--seed",
    "1",
    "--out",
    cohort,
  ]);
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const settings = ["--model", "texture", "--image-size", "32", "--epochs", "3", "--epsilon", "8", "--delta", "1e-3"];
  const words = ["train", "--cohort", cohort, "--target", "malignant", "--out", run, "--seed", "1", ...settings];
  const trained = await leadglass(words);
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
}, slow);

describe("audit membership", () => {
  it("prints_oneDocument_withTheKeysOthersRelyOn", { timeout: slow }, async () => {
    const { code, stdout, stderr } = await leadglass([
      "audit",
      "membership",
      "--run",
      run,
      "--cohort",
      cohort,
      "--json",
    ]);
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout) as {
      auroc: { value: number; low: number; high: number };
      tprAtFpr: Record<string, { value: number | null }>;
      epsilon: { lower: number; upper: number };
      bound: Record<string, number>;
    };
    expect(report).toMatchObject({ attack: "loss", confidence: 0.95, unit: "patient" });
    expect(Object.keys(report.tprAtFpr)).toEqual(["0.001", "0.01"]);
    expect(report.auroc.low).toBeLessThanOrEqual(report.auroc.value);
    expect(report.epsilon.lower).toBeLessThanOrEqual(report.epsilon.upper);
    expect(report.epsilon.upper).toBeLessThanOrEqual(8);
    // One full-batch Gaussian at epsilon 8 and delta 1e-3: the most that is caught is above guessing and below everything.
    expect(report.bound["0.01"]).toBeGreaterThan(0.01);
    expect(report.bound["0.01"]).toBeLessThan(1);
  });

  it("tells_aPerson_whatWasAssumed_andRefusesAWrongAttack", { timeout: slow }, async () => {
    const told = await leadglass(["audit", "membership", "--run", run, "--cohort", cohort, "--group", "hospital"]);
    expect(told, told.stderr).toMatchObject({ code: 0 });
    expect(told.stdout).toMatch(/AUROC +0\.\d+ \[/);
    expect(told.stdout).toMatch(/not enough non-members to tell: 12, and 1000 are needed/);
    expect(told.stdout).toMatch(/claimed: at most \d/);
    expect(told.stdout).toMatch(/It is assumed that\n +members are the patients of the train split/);
    const wrong = await leadglass(["audit", "membership", "--run", run, "--cohort", cohort, "--attack", "los"]);
    expect(wrong).toMatchObject({ code: 2, stdout: "" });
    expect(wrong.stderr).toMatch(/Did you mean loss/);
  });
});
