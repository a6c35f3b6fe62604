import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkCohort } from "../check.ts";
import { openCohort } from "../cohort.ts";
import { makePhantomCohort, phantomKinds } from "./make.ts";
import type { PhantomCohortOptions } from "./make.ts";

let root = "";
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-phantoms-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));
async function make(options: Partial<PhantomCohortOptions>) {
  // A volume has more voxels than an image has pixels.
  const imageSize = options.kind === "volume" ? 32 : 48;
  const out = join(root, `p${count++}`);
  const made = await makePhantomCohort({ kind: "chest", patients: 40, seed: 1, imageSize, ...options, out });
  return { ...made, out };
}

describe.each(phantomKinds)("makePhantomCohort %s", (kind) => {
  it("cohort_isSound_withAllColumnsAndSeveralImagesAPatient", async () => {
    const { out, images, patients } = await make({ kind });
    const check = await checkCohort(out);
    expect(check.problems.filter((p) => p.severity === "error")).toEqual([]);
    expect(check).toMatchObject({ images, patients });
    expect(Object.fromEntries(Object.entries(check.splits).map(([k, v]) => [k, v.patients]))).toEqual({
      train: 28, // 70, 15 and 15 % of 40
      val: 6,
      test: 6,
    });
    const cohort = await openCohort(out);
    expect(cohort.columns).toEqual(
      expect.arrayContaining("file_name patient_id split hospital age sex comorbidity view".split(" ")),
    );
    const perPatient = Map.groupBy(cohort.records, (r) => r.patientId);
    const sizes = new Set([...perPatient.values()].map((records) => records.length));
    expect([...sizes].sort()).toEqual(kind === "volume" ? [1, 2] : [1, 2, 3, 4]);
    const views = { chest: ["AP", "PA"], mass: ["CC", "MLO"], volume: ["pancreatic", "portal"] }[kind];
    expect(new Set(cohort.column("view"))).toEqual(new Set(views));
  });

  it("sameSeed_sameBytes_otherSeed_others", async () => {
    const digest = async (seed: number) => {
      const { out } = await make({ kind, seed, patients: 10 });
      const cohort = await openCohort(out);
      const hash = createHash("sha256").update(await readFile(join(out, "metadata.csv")));
      for (const { file } of cohort.records) hash.update(await readFile(join(out, file)));
      return hash.digest("hex");
    };
    const [one, again, other] = [await digest(3), await digest(3), await digest(4)];
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  it("aLargerCohort_holdsTheSamePatients", async () => {
    const small = await make({ kind, patients: 10 });
    const large = await make({ kind, patients: 20 });
    const path = (id: string) => (kind === "volume" ? `volumes/${id}-1.nii.gz` : `images/${id}-1.png`);
    for (const file of [path("phantom-00001"), path("phantom-00010")])
      expect(await readFile(join(small.out, file))).toEqual(await readFile(join(large.out, file)));
  });
});

describe("makePhantomCohort", () => {
  it("disease_goesWithAge_mildly", async () => {
    const { out } = await make({ patients: 600, imageSize: 32 });
    const cohort = await openCohort(out);
    const { labels } = cohort.target("cardiomegaly");
    const ages = cohort.column("age").map(Number);
    // One value a patient. Expected difference of means, by the risks of chest.ts: 0.02 a year at variance 16^2, about
    // 5 years; its standard error with 600 patients, of whom a quarter ill, is about 1.5.
    const seen = new Set<string>();
    const groups: [number[], number[]] = [[], []];
    cohort.records.forEach(({ patientId }, i) => {
      if (!seen.has(patientId)) groups[labels[i] as 0 | 1].push(ages[i]!);
      seen.add(patientId);
    });
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    const difference = mean(groups[1]) - mean(groups[0]);
    expect(difference).toBeGreaterThan(0.5);
    expect(difference).toBeLessThan(9.5);
    const share = groups[1].length / 600;
    expect(share).toBeGreaterThan(0.18);
    expect(share).toBeLessThan(0.4);
  });

  it.each([
    { patients: 0 },
    { patients: 2.5 },
    { imageSize: 8 },
    { imageSize: 1e9 },
    { difficulty: 2 },
    { seed: 0.5 },
    { kind: "volume" as const, imageSize: 256 },
    { kind: "pelvis" as "chest" },
    { kind: "constructor" as "chest" },
  ])("options %o_areRefused_andNothingIsWritten", async (options) => {
    await expect(make(options)).rejects.toThrow(expect.objectContaining({ code: "LG-COHORT-015" }));
  });

  it("existingFolder_isRefused", async () => {
    const again = makePhantomCohort({ kind: "chest", patients: 10, seed: 1, out: root });
    await expect(again).rejects.toThrow(expect.objectContaining({ code: "LG-COHORT-014" }));
  });
});
