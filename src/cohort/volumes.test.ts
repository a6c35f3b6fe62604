import { mkdir, mkdtemp, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeNifti, encodePng, volumeTensor } from "../imaging/index.ts";
import type { NiftiEncoding, Volume } from "../imaging/index.ts";
import { checkCohort } from "./check.ts";
import { openCohort } from "./cohort.ts";
import { openImages } from "./images.ts";
import { openVolumes } from "./volumes.ts";

let root = "";
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-volumes-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Volume k: air, and a block of k Hounsfield units that is off the middle in every direction. */
const volumeOf = (k: number): Volume => ({
  shape: [4, 5, 6],
  spacingMm: [5, 2, 2],
  data: Float32Array.from({ length: 120 }, (_, i) => (i % 6 > 2 && i % 30 > 11 && i > 59 ? k : -1000)),
});
const files = ["a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz", "e.nii.gz", "f.nii.gz"];
const table = (names: readonly string[]) =>
  [
    "file_name,patient_id,split,ill",
    ...names.map((name, i) => `${name},p${i},${["train", "val", "test"][i >> 1]},${i % 2}`),
    "",
  ].join("\n");

async function folder(edit: (dir: string) => Promise<void> = async () => undefined, names = files) {
  const dir = join(root, `v${count++}`);
  await mkdir(dir);
  for (const [i, name] of names.entries()) await writeFile(join(dir, name), await encodeNifti(volumeOf(10 * i)));
  await writeFile(join(dir, "metadata.csv"), table(names));
  await edit(dir);
  return dir;
}
const rewrite = (name: string, k: number, encoding: NiftiEncoding) => async (dir: string) =>
  writeFile(join(dir, name), await encodeNifti(volumeOf(k), encoding));

const options = { shape: [4, 4, 4], window: "abdomen" } as const;
const refused = (code: string): Error => expect.objectContaining({ code }) as Error;

describe("openVolumes", () => {
  it("reads_windowedTensors_whicheverWayTheFileRuns", async () => {
    const cohort = await openCohort(await folder(rewrite("b.nii.gz", 10, { axes: "LPI", dataType: "float32" })));
    expect(cohort.medium).toBe("volumes");
    using store = openVolumes(cohort, options);
    expect([store.channels, store.depth, store.height, store.width]).toEqual([1, 4, 4, 4]);
    const batch = await store.readBatch([1, 5, 0]);
    [1, 5, 0].forEach((k, i) =>
      expect(batch.subarray(64 * i, 64 * (i + 1))).toEqual(volumeTensor(volumeOf(10 * k), options).data),
    );
  });

  it("cache_staysWithinItsBytes", async () => {
    using store = openVolumes(await openCohort(await folder()), { ...options, cacheBytes: 2 * 4 * 64 });
    const first = await store.read(0);
    expect(await store.read(0)).toBe(first);
    for (const k of [1, 2, 3]) await store.read(k);
    expect(store.stats).toEqual({ hits: 1, misses: 4, bytes: 2 * 4 * 64 });
  });

  it("aDamagedOrMissingFile_isNamedByItsRow_neverByItsName", async () => {
    const dir = await folder((d) => writeFile(join(d, "c.nii.gz"), "no volume"));
    const cohort = await openCohort(dir);
    await unlink(join(dir, "d.nii.gz"));
    using store = openVolumes(cohort, options);
    const message = /data row 3: file #[0-9a-f]{6}: 9 bytes/;
    await expect(store.read(2)).rejects.toThrow(expect.objectContaining({ code: "LG-IMAGE-009", message: expect.stringMatching(message) as string })); // prettier-ignore
    await expect(store.read(3)).rejects.toThrow(refused("LG-COHORT-007"));
  });

  it("imagesAndVolumes_areNotMixed_norTakenForEachOther", async () => {
    const png = await encodePng({ width: 8, height: 8, channels: 1, bitDepth: 8, data: new Uint8Array(64) });
    const mixed = await folder(async (dir) => {
      await writeFile(join(dir, "f.png"), png);
      await writeFile(join(dir, "metadata.csv"), table(files.with(5, "f.png")));
    });
    await expect(openCohort(mixed)).rejects.toThrow(refused("LG-COHORT-023"));
    const volumes = await openCohort(await folder());
    expect(() => openImages(volumes, { size: 8 })).toThrow(refused("LG-COHORT-024"));
    expect(() => openVolumes({ ...volumes, medium: "images" }, options)).toThrow(refused("LG-COHORT-024"));
  });
});

describe("checkCohort of volumes", () => {
  it("aSoundCohort_isCounted_andNothingIsWrong", async () => {
    const check = await checkCohort(await folder());
    expect(check).toMatchObject({ medium: "volumes", images: 6, patients: 6, unreadable: 0, problems: [] });
    expect(check.formats).toEqual({ "6 x 5 x 4 voxels of 2.0 x 2.0 x 5.0 mm, int16": 6 });
  });

  it("identicalVolumes_areFound_howeverTheyAreStored", async () => {
    // f holds what a holds, stored the other way round and in another type.
    const check = await checkCohort(await folder(rewrite("f.nii.gz", 0, { axes: "LPS", dataType: "float32" })));
    expect(check.problems).toMatchObject([{ code: "LG-COHORT-019", severity: "error", rows: [1, 6] }]);
  });

  it("unreadableConstantAndOrphanVolumes_areListed", async () => {
    const check = await checkCohort(
      await folder(async (dir) => {
        await writeFile(join(dir, "b.nii.gz"), (await encodeNifti(volumeOf(1))).subarray(0, 60));
        const flat = { ...volumeOf(0), data: new Float32Array(120).fill(-1000) };
        await writeFile(join(dir, "c.nii.gz"), await encodeNifti(flat));
        await writeFile(join(dir, "g.nii"), "no row");
      }),
    );
    expect(check.unreadable).toBe(1);
    expect(check.problems.map(({ code, rows }) => [code, rows])).toEqual([
      ["LG-IMAGE-009", [2]],
      ["LG-COHORT-020", [3]],
      ["LG-COHORT-018", undefined],
    ]);
  });
});
