/**
 * What a membership audit must show: a model that learnt its patients by heart is found out, and the same model trained at
 * epsilon 1 is not. Everything has a fixed seed, so that these figures are the same on every machine up to rounding.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../cohort/index.ts";
import { auditMembership } from "./membership.ts";
import type { TrainingChoices } from "./settings.ts";
import { trainRun } from "./train-run.ts";

const root = await mkdtemp(join(tmpdir(), "leadglass-membership-"));
const cohort = join(root, "cohort");
afterAll(() => rm(root, { recursive: true, force: true }));

// Half of the 400 patients of each label are members, half are not: the standard error of an AUROC of one half is 0.029.
beforeAll(async () => {
  await makePhantomCohort({ kind: "mass", patients: 400, seed: 1, out: cohort, imageSize: 32, difficulty: 1 });
  const table = join(cohort, "metadata.csv");
  const [header, ...rows] = (await readFile(table, "utf8")).trimEnd().split("\n");
  const columns = header!.split(",");
  const [patient, split, label] = ["patient_id", "split", "malignant"].map((name) => columns.indexOf(name)) as [
    number,
    number,
    number,
  ];
  const cells = rows.map((row) => row.split(","));
  const positive = new Set(cells.filter((row) => row[label] === "1").map((row) => row[patient]!));
  const ids = [...new Set(cells.map((row) => row[patient]!))];
  const places = [ids.filter((id) => positive.has(id)), ids.filter((id) => !positive.has(id))];
  const members = new Set(places.flatMap((stratum) => stratum.filter((_, i) => i % 2 === 0)));
  for (const row of cells) row[split] = members.has(row[patient]!) ? "train" : "test";
  await writeFile(table, [header, ...cells.map((row) => row.join(",")), ""].join("\n"));
});

const train = (out: string, choices: TrainingChoices) =>
  trainRun({
    cohort,
    targets: ["malignant"],
    out: join(root, out),
    choices: { model: "mlp", imageSize: 32, ...choices },
    seed: 1,
  });

describe("a model that was overfitted", () => {
  it("isFoundOut_andTheSameAtEpsilon1_isNot", async () => {
    await train("open", { epochs: 60 });
    await train("private", { epsilon: 1, delta: 1e-3 });
    const open = await auditMembership({ run: join(root, "open"), cohort });
    const closed = await auditMembership({ run: join(root, "private"), cohort });
    // The demand; .911 and .485 when it was written. For a private model of AUROC 1/2, .55 is exceeded by chance with
    // probability 4 %, were the seed not fixed.
    expect(open.auroc!.value).toBeGreaterThanOrEqual(0.8);
    expect(closed.auroc!.value).toBeLessThanOrEqual(0.55);
    // The open model refutes every claim below its bound; the private one must not refute its own.
    expect(open.epsilon.lower).toBeGreaterThan(1);
    expect(closed.epsilon.lower).toBeLessThanOrEqual(closed.epsilon.upper!);
    expect(closed.epsilon.upper).toBeLessThanOrEqual(1);
    const [caught, most] = [closed.tprAtFpr["0.01"]!, closed.bound!["0.01"]!];
    // At the price the threshold may truly have, the claim's bound is no lower than what was seen.
    expect(caught.low!).toBeLessThanOrEqual(Math.E * caught.fprInterval!.high + 1e-3);
    expect(most).toBeLessThanOrEqual(Math.E * 0.01 + 1e-3);
  });
});
