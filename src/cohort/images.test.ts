import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCohort } from "./cohort.ts";
import type { Cohort } from "./cohort.ts";
import { openImages } from "./images.ts";
import { writeCohort } from "./write.ts";
import type { CohortItem } from "./write.ts";

let root = "";
let cohort: Cohort;
const IMAGES = 20;
/** Image k holds the value k everywhere but in its first pixel, which is 255. */
function* items(): Generator<CohortItem> {
  for (let k = 0; k < IMAGES; k++) {
    const data = new Uint8Array(16 * 16).fill(k);
    data[0] = 255;
    const row = {
      file_name: `images/${k}.png`,
      patient_id: `p${k >> 1}`,
      note: k === 3 ? 'a "b", c' : null,
      ill: k % 3 ? 0 : 1,
    };
    yield { row, image: { width: 16, height: 16, channels: 1, bitDepth: 8, data } };
  }
}
const valueOf = (data: Float32Array) => Math.round(data.at(-1)! * 255);
const EACH = 4 * 16 * 16;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-images-"));
  await writeCohort(join(root, "cohort"), items());
  cohort = await openCohort(join(root, "cohort"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe("openImages", () => {
  it("reads_everyImage_inTheOrderAsked", async () => {
    using store = openImages(cohort, { size: 16, normalise: "none" });
    const order = [7, 0, 19, 7];
    const batch = await store.readBatch(order);
    expect(order.map((_, i) => valueOf(batch.subarray(i * 256, (i + 1) * 256)))).toEqual(order);
  });

  it("size_channelsAndNormalisation_areAppliedInOrder", async () => {
    using store = openImages(cohort, { size: { width: 4, height: 8 }, channels: 3, normalise: "standardise" });
    const data = await store.read(5);
    expect(data).toHaveLength(3 * 8 * 4);
    // Grey is repeated, and after the resize the mean is zero: float32 rounding over 96 values.
    expect(data.slice(0, 32)).toEqual(data.slice(64));
    expect(Math.abs(data.reduce((a, b) => a + b))).toBeLessThan(1e-4);
  });

  it("cache_staysWithinItsBytes_dropsTheLeastRecentlyUsed_andHitsAreTheSameArray", async () => {
    using store = openImages(cohort, { size: 16, normalise: "none", cacheBytes: 3 * EACH });
    const first = await store.read(0);
    for (const k of [1, 2]) await store.read(k);
    expect(await store.read(0)).toBe(first); // 1 is now the least recently used
    await store.read(3);
    expect(store.stats).toEqual({ hits: 1, misses: 4, bytes: 3 * EACH });
    expect(await store.read(0)).toBe(first);
    await store.read(1);
    expect(store.stats).toEqual({ hits: 2, misses: 5, bytes: 3 * EACH });
  });

  it("cacheOfZeroBytes_keepsNothing_andStillReads", async () => {
    using store = openImages(cohort, { size: 16, normalise: "none", cacheBytes: 0 });
    expect(valueOf(await store.read(4))).toBe(4);
    expect(store.stats.bytes).toBe(0);
  });

  it("simultaneousReadsOfOneImage_loadItOnce", async () => {
    using store = openImages(cohort, { size: 16 });
    const [a, b] = await Promise.all([store.read(2), store.read(2)]);
    expect(a).toBe(b);
    expect(store.stats.misses).toBe(1);
  });

  it("aFileThatVanishedOrBroke_isNamedByItsRow_andOthersStillRead", async () => {
    const dir = join(root, "broken");
    await writeCohort(dir, items());
    const broken = await openCohort(dir);
    await unlink(join(dir, "images/1.png"));
    await writeFile(join(dir, "images/2.png"), (await readFile(join(dir, "images/2.png"))).subarray(0, 40));
    using store = openImages(broken, { size: 16, normalise: "none", concurrency: 1 });
    await expect(store.read(1)).rejects.toThrow(expect.objectContaining({ code: "LG-COHORT-007" }));
    await expect(store.read(1)).rejects.toThrow(/data row 2/);
    await expect(store.read(2)).rejects.toThrow(expect.objectContaining({ code: "LG-IMAGE-001" }));
    await expect(store.read(2)).rejects.toThrow(/data row 3: file #/);
    expect(valueOf(await store.read(3))).toBe(3);
  });
});

describe("writeCohort", () => {
  it("whatWasWritten_readsBack_alsoQuotesAndBlanks", () => {
    expect(cohort.records).toHaveLength(IMAGES);
    expect(cohort.column("note").filter((v) => v !== null)).toEqual(['a "b", c']);
    expect(cohort.target("ill").positives).toBe(7); // multiples of three below 20
  });

  it("existingFolder_isRefusedAndLeftAlone", async () => {
    const refused = writeCohort(join(root, "cohort"), items());
    await expect(refused).rejects.toThrow(expect.objectContaining({ code: "LG-COHORT-014", exitCode: 3 }));
    expect((await openCohort(cohort.dir)).fingerprint).toBe(cohort.fingerprint);
  });

  it("failureHalfway_leavesNothingBehind", async () => {
    function* failing(): Generator<CohortItem> {
      yield* items().take(10);
      throw new Error("the source broke");
    }
    const before = await readdir(root);
    await expect(writeCohort(join(root, "half"), failing())).rejects.toThrow("the source broke");
    expect(await readdir(root)).toEqual(before);
  });

  it("failureWithFilesUnderWay_waitsForThem", async () => {
    // Large enough to be still encoding when the source breaks; a write into the removed folder would be an unhandled
    // rejection, which fails the run of the tests.
    function* failing(): Generator<CohortItem> {
      for (let k = 0; k < 5; k++) {
        const data = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 7919) % 251);
        yield { row: { file_name: `${k}.png` }, image: { width: 1024, height: 1024, channels: 1, bitDepth: 8, data } };
      }
      throw new Error("the source broke");
    }
    await expect(writeCohort(join(root, "under-way", "cohort"), failing())).rejects.toThrow("the source broke");
    expect(await readdir(join(root, "under-way"))).toEqual([]);
  });
});
