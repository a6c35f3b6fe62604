import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { resize, toPixels } from "../imaging/index.ts";
import { openCohort } from "./cohort.ts";
import { openImages } from "./images.ts";
import { cohortOverlap } from "./overlap.ts";
import { makePhantomCohort } from "./phantoms/make.ts";
import { writeCohort, type CohortItem } from "./write.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-overlap-"));
  await makePhantomCohort({ kind: "chest", patients: 12, seed: 1, imageSize: 96, out: join(root, "a") });
  await makePhantomCohort({ kind: "chest", patients: 12, seed: 2, imageSize: 96, out: join(root, "b") });
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Cohort b with two images of cohort a among its own, smaller and brighter and under new names. */
async function withCopies(copied: readonly number[]): Promise<string> {
  const [a, b] = [await openCohort(join(root, "a")), await openCohort(join(root, "b"))];
  using ofA = openImages(a, { size: 96, normalise: "none" });
  using ofB = openImages(b, { size: 96, normalise: "none" });
  async function* items(): AsyncGenerator<CohortItem> {
    for (const i of b.records.keys()) {
      const planes = { channels: 1, width: 96, height: 96, data: await ofB.read(i) };
      yield { row: { file_name: `${i}.png`, patient_id: `other-${i}` }, image: toPixels(planes) };
    }
    for (const i of copied) {
      const data = (await ofA.read(i)).map((x) => 0.1 + 0.8 * x);
      const image = toPixels(resize({ channels: 1, width: 96, height: 96, data }, { width: 70, height: 70 }));
      yield { row: { file_name: `copy-${i}.png`, patient_id: `new-${i}` }, image };
    }
  }
  const out = join(root, "copies");
  await writeCohort(out, items());
  return out;
}

it("resizedAndBrightenedCopiesUnderOtherNames_areFound_andNothingElse", async () => {
  const copied = [0, 7];
  const a = await openCohort(join(root, "a"));
  const other = await openCohort(await withCopies(copied));
  const { byIdentifier, pairs, imagesA } = await cohortOverlap(a, other);
  const first = other.records.length - copied.length + 1;
  expect(byIdentifier).toBe(0);
  expect(pairs.map(({ rowA, rowB }) => [rowA, rowB])).toEqual([
    [a.records[0]!.row, first],
    [a.records[7]!.row, first + 1],
  ]);
  expect(imagesA).toEqual(copied);
});

it("patientsOfTheSameName_areFound_withAllTheirImages", async () => {
  // Phantom patients are numbered alike in every cohort.
  const [a, b] = [await openCohort(join(root, "a")), await openCohort(join(root, "b"))];
  const { byIdentifier, imagesA } = await cohortOverlap(a, b);
  expect(byIdentifier).toBe(12);
  expect(imagesA).toHaveLength(a.records.length);
});
