import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makePhantomCohort } from "../../cohort/index.ts";
import type { SweepFile } from "./file.ts";
import { runSweep } from "./run.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-sweep-"));
  await makePhantomCohort({ kind: "mass", patients: 60, seed: 1, imageSize: 64, out: join(root, "cohort") });
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
  stages.length = 0;
  const again = await runSweep(file, { out, onProgress: (stage) => stages.push(stage) });
  expect(stages).toEqual([]);
  expect((await stat(weights)).mtimeMs).toBe(before.mtimeMs);
  expect(again.rows).toEqual(first.rows);
  expect((JSON.parse(await readFile(again.json, "utf8")) as { rows: unknown }).rows).toEqual(first.rows);
});
