/** Examples of what is done with the files that Leadglass leaves: serve a model, read a release, read results. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../src/cohort/index.ts";
import { record, rows } from "../src/study/report/testing.ts";
import { writeReport } from "../src/study/index.ts";
import type { StudySummary } from "../src/study/report/summary.ts";
import { studyFiles, writeRows } from "../src/study/results/index.ts";
import { leadglass } from "./support/cli.ts";

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

const python = process.env["LEADGLASS_PYTHON"] ?? "python3";
/** Why the Python examples with these packages cannot run here; null where they can. */
function missing(packages: readonly string[]): string | null {
  try {
    execFileSync(python, ["-c", `import ${packages.join(", ")}`], { stdio: "pipe" });
    return null;
  } catch {
    return `${python} with ${packages.join(", ")} is not here; name one that has them in LEADGLASS_PYTHON`;
  }
}

let root = "";
const at = (name: string): string => join(root, name);
/** File names and probabilities of the test images, as predict tells them. */
const expected: { file: string; probability: number }[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-deploy-"));
  await makePhantomCohort({ kind: "mass", patients: 12, seed: 1, imageSize: 64, out: at("cohort") });
  for (const words of [
    `train --cohort ${at("cohort")} --target malignant --out ${at("run")} --model cnn --image-size 64 --epochs 2`,
    `export --run ${at("run")} --out ${at("model.onnx")}`,
    `predict --run ${at("run")} --cohort ${at("cohort")} --out ${at("predictions.csv")}`,
  ]) {
    const { code, stderr } = await leadglass(words.split(" "));
    expect(code, stderr).toBe(0);
  }
  const [, ...lines] = (await readFile(at("predictions.csv"), "utf8")).trim().split("\n");
  for (const line of lines) {
    const cells = line.split(",");
    expected.push({ file: join(at("cohort"), cells[0]!), probability: Number(cells[3]) });
  }
  expect(expected.length).toBeGreaterThan(1);
});
afterAll(() => rm(root, { recursive: true, force: true }));

// The images are of the model's size and 8 bit, so nothing but the rounding of another session's kernels may differ.
const tolerance = 6;

describe("serve-model.ts", () => {
  it("answersWhatPredictSays_andRefusesWhatItCannotRead", async () => {
    const server = spawn(process.execPath, [path("examples/serve-model.ts"), at("model.onnx"), "malignant", "0"]);
    try {
      const [line] = (await once(server.stdout, "data")) as [Buffer];
      const url = /http:\S+/.exec(line.toString())![0];
      for (const { file, probability } of expected) {
        const response = await fetch(url, { method: "POST", body: await readFile(file) });
        expect(((await response.json()) as { malignant: number }).malignant).toBeCloseTo(probability, tolerance);
      }
      const refused = await fetch(url, { method: "POST", body: "no image" });
      expect(refused.status).toBe(422);
    } finally {
      server.kill();
    }
  });
});

describe("Python", () => {
  it("predict_onnx_answersWhatPredictSays", async ({ skip }) => {
    const reason = missing(["numpy", "onnxruntime", "PIL"]);
    if (reason !== null) skip(reason);
    const files = expected.map(({ file }) => file);
    const words = [path("examples/predict_onnx.py"), at("model.onnx"), ...files];
    const { stdout } = await promisify(execFile)(python, words);
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(expected.length);
    lines.forEach((line, i) =>
      expect((JSON.parse(line) as { malignant: number }).malignant).toBeCloseTo(expected[i]!.probability, tolerance),
    );
  });

  it("read_results_findsTheFiguresOfTheReport", async ({ skip }) => {
    const reason = missing(["duckdb"]);
    if (reason !== null) skip(reason);
    await writeFile(at(studyFiles.record), JSON.stringify(record));
    await writeRows(at(studyFiles.results), rows);
    await writeReport(root);
    const { stdout } = await promisify(execFile)(python, [path("examples/read_results.py"), root]);
    const { summary } = JSON.parse(await readFile(at("report.json"), "utf8")) as { summary: StudySummary };
    const known = summary.arms.flatMap(({ arm, auroc }) =>
      Object.entries(auroc).flatMap(
        ([target, { value, low, high, single }]) =>
        value === null || low === null || high === null
          ? []
          : [`${target}: ${arm.name} \\(.*\\): AUROC ${value.toFixed(3)} \\[${low.toFixed(3)}, ${high.toFixed(3)}\\], ${single.length} seeds`], // prettier-ignore
      ),
    );
    expect(known).toHaveLength(6);
    for (const line of known) expect(stdout).toMatch(new RegExp(`^${line}$`, "m"));
  });

  it("read_release_readsEveryShardAndLabel", async ({ skip }) => {
    const reason = missing(["numpy", "duckdb"]);
    if (reason !== null) skip(reason);
    for (const words of [
      `key make --out ${at("key")}`,
      `encode --cohort ${at("cohort")} --key ${at("key")} --out ${at("release")}`,
    ]) {
      const { code, stderr } = await leadglass(words.split(" "));
      expect(code, stderr).toBe(0);
    }
    const { stdout } = await promisify(execFile)(python, [path("examples/read_release.py"), at("release")]);
    const table = await readFile(join(at("cohort"), "metadata.csv"), "utf8");
    const [heading, ...lines] = table.trim().split("\n").map((line) => line.split(",")); // prettier-ignore
    const positive = lines.filter((cells) => cells[heading!.indexOf("malignant")] === "1").length;
    expect(stdout).toContain(`, ${lines.length} images\n`);
    expect(stdout).toContain(`malignant: ${positive} positive\n`);
  });
});
