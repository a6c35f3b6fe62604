import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makePhantomCohort } from "../../cohort/index.ts";
import type { SweepFile } from "./file.ts";
import { runSweep } from "./run.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-sweep-"));
  await makePhantomCohort({ kind: "mass", patients: 100, seed: 1, imageSize: 64, out: join(root, "cohort") });
});
afterAll(() => rm(root, { recursive: true, force: true }));

it("everyArmIsTrainedOnce_andWhatIsDoneIsNotDoneAgain", { timeout: 240_000 }, async () => {
  const file: SweepFile = {
    cohort: join(root, "cohort"),
    targets: ["malignant"],
    epsilon: [Infinity, 8],
    delta: 1e-3,
    unit: "patient",
    seeds: [1],
    split: "test",
    groups: ["view"],
    train: { imageSize: 64, epochs: 4 },
    margin: 0.05,
    shortcuts: true,
  };
  const out = join(root, "sweep");
  const stages: string[] = [];
  const first = await runSweep(file, { out, onProgress: (stage) => stages.push(stage) });
  expect(first.runs.map(({ arm }) => arm)).toEqual(["inf", "8"]);
  expect(first.failed).toEqual([]);
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(first.results) });
  expect(rows).toHaveLength(first.rows.length);
  const auroc = rows.filter((row) => row["metric"] === "auroc" && row["groupColumn"] === null);
  expect(auroc.map(({ arm, epsilon }) => [arm, epsilon === null])).toEqual([
    ["inf", true],
    ["8", false],
  ]);
  const weights = join(out, "runs", "epsilon-8-seed-1", "weights.safetensors");
  const before = await stat(weights);
  // A cost for the one private run, paired with the one without privacy; its groups are those that were asked for.
  expect(first.costs.map(({ arm, seed }) => [arm, seed])).toEqual([["8", 1]]);
  const { overall, groups } = first.costs[0]!.cost;
  const value = (arm: string) => auroc.find((row) => row["arm"] === arm)!["value"] as number;
  expect(overall.difference.value).toBeCloseTo(value("8") - value("inf"), 12);
  expect(groups.length).toBeGreaterThan(1);
  expect(Object.keys(first.shortcuts)).toEqual(["malignant"]);
  expect(rows[0]!["shortcuts"]).toBe(first.shortcuts["malignant"]!.verdict);
  const names = first.charts.map((path) => basename(path));
  expect(names).toEqual(
    ["utility", "groups-view", "gap-view", "roc", "precision-recall", "reliability"].map((n) => `malignant-${n}.svg`),
  );
  for (const path of first.charts) expect(await readFile(path, "utf8")).toMatch(/<svg[^]*<\/svg>/);
  stages.length = 0;
  const again = await runSweep(file, { out, onProgress: (stage) => stages.push(stage) });
  expect(stages).toEqual([]);
  expect((await stat(weights)).mtimeMs).toBe(before.mtimeMs);
  expect(again.rows).toEqual(first.rows);
  expect((JSON.parse(await readFile(again.json, "utf8")) as { rows: unknown }).rows).toEqual(first.rows);
});
