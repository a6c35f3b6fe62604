import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort } from "../cohort/index.ts";
import { auditMembership, type MembershipReport } from "./membership.ts";
import { drawHalves } from "./membership-shadows.ts";
import { trainRun } from "./train-run.ts";

const root = await mkdtemp(join(tmpdir(), "leadglass-membership-"));
const [cohort, run] = [join(root, "cohort"), join(root, "run")];
/** Trainings on a busy machine may take their time. */
const slow = 300_000;
afterAll(() => rm(root, { recursive: true, force: true }));

beforeAll(async () => {
  await makePhantomCohort({ kind: "mass", patients: 80, seed: 1, out: cohort, imageSize: 32 });
  await trainRun({
    cohort,
    targets: ["malignant"],
    out: run,
    choices: { model: "texture", imageSize: 32, epochs: 3 },
    seed: 1,
  });
}, slow);

describe("membership audit", () => {
  let loss: MembershipReport;
  beforeAll(async () => {
    loss = await auditMembership({ run, cohort, groups: ["hospital", "age"] });
  }, slow);

  it("counts_arePatientsOfTheSplits", async () => {
    const { patientsOf } = await openCohort(cohort);
    expect(loss).toMatchObject({
      unit: "patient",
      members: patientsOf("train").length,
      nonMembers: patientsOf("test").length,
      splits: { members: "train", nonMembers: "test", population: null },
      shadows: 0,
    });
    // Each patient has one label and one place in every grouping.
    for (const parts of [
      loss.byLabel,
      loss.groups.filter((g) => g.column === "hospital"),
      loss.groups.filter((g) => g.column === "age"),
    ]) {
      expect(parts.reduce((sum, part) => sum + part.members, 0)).toBe(loss.members);
      expect(parts.reduce((sum, part) => sum + part.nonMembers, 0)).toBe(loss.nonMembers);
    }
  });

  it("tooFewNonMembers_areSaid_insteadOfARate", () => {
    expect(loss.tprAtFpr["0.001"]).toMatchObject({
      value: null,
      reason: "not enough non-members to tell: 12, and 1000 are needed",
    });
    expect(loss.groups.some((group) => group.auroc === null && group.reason !== null)).toBe(true);
  });

  it("runWithoutPrivacy_claimsNothing_andItsKnowledgeIsListed", () => {
    expect(loss).toMatchObject({ epsilon: { upper: null, delta: 1e-5, pairs: 12 }, bound: null, confidence: 0.95 });
    expect(loss.knowledge.length).toBeGreaterThan(1);
    expect(loss.assumptions.join()).toMatch(/drawn by chance/);
  });

  it(
    "runWithCanaries_isRefused",
    async () => {
      const canaries = join(root, "canaries");
      const choices = { model: "texture", imageSize: 32, epochs: 1, canaries: "gradient 10" };
      await trainRun({ cohort, targets: ["malignant"], out: canaries, choices, seed: 1 });
      await expect(auditMembership({ run: canaries, cohort })).rejects.toMatchObject({
        code: "LG-TRAIN-002",
        message: expect.stringContaining("canaries") as string,
      });
    },
    slow,
  );

  it("anotherCohort_andUnfitShadows_areRefused", async () => {
    const other = join(root, "other");
    await makePhantomCohort({ kind: "mass", patients: 20, seed: 2, out: other, imageSize: 32 });
    await expect(auditMembership({ run, cohort: other })).rejects.toMatchObject({ code: "LG-TRAIN-002" });
    for (const request of [
      { shadows: 4 },
      { attack: "lira" as const, shadows: 3 },
      { attack: "rmia" as const, shadows: 2 },
    ])
      await expect(auditMembership({ run, cohort, ...request })).rejects.toMatchObject({ code: "LG-USAGE-001" });
  });

  it(
    "shadows_whenStopped_goOnWhereTheyWere_toTheSameResult",
    async () => {
      const [whole, parts] = [join(root, "whole"), join(root, "parts")];
      const request = { run, cohort, attack: "lira" as const, shadows: 4 };
      const expected = await auditMembership({ ...request, shadowDir: whole });
      const stop = new AbortController();
      const stopped = auditMembership({
        ...request,
        shadowDir: parts,
        signal: stop.signal,
        onShadow: ({ shadow, step }) => shadow === 1 && step === 1 && stop.abort(),
      });
      await expect(stopped).rejects.toMatchObject({ code: "LG-INTERRUPTED-001", exitCode: 5 });
      expect(await readdir(parts)).toEqual(["shadow-001.json"]);
      const before = await stat(join(parts, "shadow-001.json"));
      const notes: string[] = [];
      const resumed = await auditMembership({ ...request, shadowDir: parts, onNote: (line) => notes.push(line) });
      expect(resumed).toEqual(expected);
      expect(notes).toEqual(["1 of 4 shadow models are there already"]);
      expect((await stat(join(parts, "shadow-001.json"))).mtimeMs).toBe(before.mtimeMs);
      for (const name of await readdir(whole))
        expect(await readFile(join(parts, name), "utf8")).toBe(await readFile(join(whole, name), "utf8"));

      // The other attacks take the same shadows; the validation patients are those known not to be members.
      const trained: number[] = [];
      for (const attack of ["lira-offline", "rmia"] as const) {
        const report = await auditMembership({
          ...{ ...request, attack, shadowDir: parts },
          onShadow: ({ shadow }) => trained.push(shadow),
        });
        expect(report).toMatchObject({ attack, shadows: 4, splits: { population: "val" } });
        expect(report.auroc!.value).not.toBe(expected.auroc!.value);
      }
      expect(trained).toEqual([]);

      // A shadow of something else is not believed.
      const path = join(parts, "shadow-002.json");
      const kept = JSON.parse(await readFile(path, "utf8")) as { key: string };
      await writeFile(path, JSON.stringify({ ...kept, key: kept.key.replace(/^./, (c) => (c === "0" ? "1" : "0")) }));
      const again = await auditMembership({
        ...request,
        shadowDir: parts,
        onShadow: ({ shadow }) => trained.push(shadow),
      });
      expect(new Set(trained)).toEqual(new Set([1]));
      expect(again).toEqual(expected);
    },
    slow,
  );
});

describe("halves", () => {
  it("everyPatient_isInHalfOfTheShadows", () => {
    const halves = drawHalves(31, 8, "seed");
    for (let patient = 0; patient < 31; patient++)
      expect(halves.filter((half) => half.includes(patient))).toHaveLength(4);
    expect(halves.map((half) => half.length)).toEqual([16, 15, 16, 15, 16, 15, 16, 15]);
    expect(drawHalves(31, 4, "seed")).toEqual(halves.slice(0, 4));
    expect(drawHalves(31, 8, "other")).not.toEqual(halves);
  });
});
