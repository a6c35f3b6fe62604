import { mkdtemp, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makePhantomCohort } from "../cohort/index.ts";
import { trainRun } from "./train-run.ts";

let root = "";
const at = (name: string): string => join(root, name);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-shared-"));
  // Phantoms are numbered, so two cohorts of other seeds have patients of the same names, with other images.
  for (const [name, seed] of [
    ["a", 1],
    ["b", 2],
  ] as const)
    // prettier-ignore
    await makePhantomCohort({ kind: "mass", patients: 40, seed, imageSize: 32, out: at(name) });
});
afterAll(() => rm(root, { recursive: true, force: true }));

const train = (cohort: string, out: string, more: Partial<Parameters<typeof trainRun>[0]> = {}) =>
  trainRun({
    ...{ cohort: at(cohort), targets: ["malignant"], out: at(out), seed: 1 },
    choices: { model: "texture", imageSize: 32, epochs: 1 },
    ...more,
  });

it("weightsOfAnotherCohortWithTheSamePatients_areRefused_andNothingIsLeft", { timeout: 120_000 }, async () => {
  await train("a", "first");
  await expect(train("b", "second", { initFrom: at("first") })).rejects.toThrow(
    expect.objectContaining({ code: "LG-COHORT-022", fields: { patients: 40, pairs: 0 } }),
  );
  await expect(stat(at("second"))).rejects.toThrow("ENOENT");
  // The same cohort again is no other: its ledger adds up.
  await train("a", "again", { initFrom: at("first") });

  await rename(at("a"), at("moved"));
  await expect(train("b", "third", { initFrom: at("first"), initCohort: at("moved") })).rejects.toThrow(
    expect.objectContaining({ code: "LG-COHORT-022" }),
  );
  await expect(train("b", "fourth", { initFrom: at("first"), initCohort: at("b") })).rejects.toThrow(
    expect.objectContaining({ code: "LG-USAGE-001" }),
  );
  const notes: string[] = [];
  await train("b", "fifth", { initFrom: at("first"), onNote: (line) => notes.push(line) });
  expect(notes.join("\n")).toContain("whether patients of it are among these is not known");
});
