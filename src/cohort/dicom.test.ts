import { mkdir, mkdtemp, readFile, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkCohort } from "./check.ts";
import { openCohort } from "./cohort.ts";
import { openImages } from "./images.ts";
import { openVolumes } from "./volumes.ts";

// Files and values by pydicom and others: ../imaging/dicom/fixtures/make_dicom.py.
interface Fixture {
  files: { name: string; file: string; stored: number[] }[];
  series: { files: string[]; canonical: number[] };
}
let fixture: Fixture;
let root = "";
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-dicom-"));
  const path = new URL("../imaging/dicom/fixtures/dicom.json", import.meta.url);
  fixture = JSON.parse(await readFile(path, "utf8")) as Fixture;
});
afterAll(() => rm(root, { recursive: true, force: true }));

const image = (name: string) => Buffer.from(fixture.files.find((file) => file.name === name)!.file, "base64");
const table = (names: readonly string[]) =>
  ["file_name,patient_id,split,ill", ...names.map((name, i) => `${name},p${i},${["train", "val", "test"][i >> 1]},${i % 2}`), ""].join("\n"); // prettier-ignore

/** Six images of different syntaxes. */
const syntaxes = ["implicit little", "monochrome1", "jpeg-ls", "jpeg extended", "jpeg 2000 8 bit", "rgb"];
async function imageFolder(edit: (dir: string) => Promise<void> = async () => undefined) {
  const dir = join(root, `c${count++}`);
  await mkdir(dir);
  for (const [i, name] of syntaxes.entries()) await writeFile(join(dir, `${i}.dcm`), image(name));
  await writeFile(join(dir, "metadata.csv"), table(syntaxes.map((_, i) => `${i}.dcm`)));
  await edit(dir);
  return dir;
}

/** Six series, in folders; the table names half of them with a slash. */
async function seriesFolder(edit: (dir: string) => Promise<void> = async () => undefined) {
  const dir = join(root, `c${count++}`);
  for (let i = 0; i < 6; i++) {
    await mkdir(join(dir, `1.2.${i}`), { recursive: true });
    for (const [k, file] of fixture.series.files.entries())
      await writeFile(join(dir, `1.2.${i}`, k % 2 === 0 ? `IM${k}` : `IM${k}.dcm`), changed(file, i));
    await writeFile(join(dir, `1.2.${i}`, "DICOMDIR"), "a list");
  }
  await writeFile(join(dir, "metadata.csv"), table([0, 1, 2, 3, 4, 5].map((i) => `1.2.${i}${i % 2 === 0 ? "/" : ""}`)));
  await edit(dir);
  return dir;
}
/** The slice with its last sample changed, so that no two series are the same. */
function changed(file: string, i: number): Buffer {
  const bytes = Buffer.from(file, "base64");
  if (i > 0) bytes.writeInt16LE(i, bytes.length - 2);
  return bytes;
}
const refused = (code: string): Error => expect.objectContaining({ code }) as Error;

describe("a cohort of DICOM images", () => {
  it("isRead_likeAnyOther_monochrome1Inverted", async () => {
    const cohort = await openCohort(await imageFolder());
    expect(cohort.medium).toBe("images");
    using store = openImages(cohort, { size: { width: 17, height: 13 }, normalise: "none" });
    expect(await store.read(1)).toHaveLength(17 * 13);
    using grey = openImages(cohort, { size: { width: 17, height: 13 }, normalise: "standardise" });
    // Standardised, an image is brighter than its mean exactly where its inverted numbers are below theirs.
    const { stored } = fixture.files.find((file) => file.name === "monochrome1")!;
    const mean = stored.reduce((sum, value) => sum + value, 0) / stored.length;
    (await grey.read(1)).forEach((value, i) => expect(value > 0).toBe(stored[i]! < mean));
  });

  it("check_countsThem_andWarnsOfTheirHeaders_andOfBurnedText", async () => {
    const named = async (dir: string) => {
      // (0010,0010) and (0028,0301) among the elements of an explicit file, in their order.
      const bytes = image("monochrome1");
      const at = bytes.indexOf(Buffer.from([0x20, 0, 0x0e, 0]));
      const end = bytes.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0]));
      const name = Buffer.from([0x10, 0, 0x10, 0, 0x50, 0x4e, 6, 0, ...Buffer.from("Doe^Jo")]);
      const burned = Buffer.from([0x28, 0, 0x01, 0x03, 0x43, 0x53, 4, 0, ...Buffer.from("YES ")]);
      await writeFile(join(dir, "1.dcm"), Buffer.concat([bytes.subarray(0, at), name, bytes.subarray(at, end), burned, bytes.subarray(end)])); // prettier-ignore
    };
    const check = await checkCohort(await imageFolder(named));
    expect(check).toMatchObject({ medium: "images", images: 6, unreadable: 0 });
    expect(check.formats).toEqual({
      "17 x 13, 1 channel, 16 bit": 3,
      "19 x 21, 1 channel, 16 bit": 1,
      "19 x 21, 1 channel, 8 bit": 1,
      "17 x 13, 3 channels, 8 bit": 1,
    });
    expect(check.problems).toMatchObject([
      { code: "LG-COHORT-025", severity: "warning", rows: [1, 2, 3, 4, 5, 6] },
      { code: "LG-COHORT-026", severity: "warning", rows: [2] },
    ]);
    expect(check.problems[0]!.message).toMatch(/^6 DICOM files, 1 of them/);
    expect(JSON.stringify(check)).not.toContain("Doe");
  });

  it("aDamagedFile_isListed_andOneWithoutARowToo", async () => {
    const damaged = async (dir: string) => {
      await writeFile(join(dir, "2.dcm"), image("jpeg-ls").subarray(0, 700));
      await writeFile(join(dir, "9.dcm"), image("rle"));
    };
    const check = await checkCohort(await imageFolder(damaged));
    expect(check.problems.map(({ code, rows }) => [code, rows])).toEqual([
      ["LG-IMAGE-014", [3]],
      ["LG-COHORT-025", [1, 2, 3, 4, 5, 6]],
      ["LG-COHORT-018", undefined],
    ]);
  });
});

describe("a cohort of DICOM series", () => {
  it("readsEachFolder_asOneVolume", async () => {
    const cohort = await openCohort(await seriesFolder());
    expect(cohort.medium).toBe("volumes");
    const window = { centre: 500, width: 10_000 };
    using store = openVolumes(cohort, { shape: [4, 3, 5], window });
    const expected = fixture.series.canonical.map((hu) => Math.min(1, Math.max(0, (hu - 500 + 5000) / 10_000)));
    // Single precision.
    (await store.read(0)).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
  });

  it("check_countsSlices_andNamesWhatIsWrong_byRow", async () => {
    const check = await checkCohort(await seriesFolder());
    expect(check).toMatchObject({ medium: "volumes", images: 6, unreadable: 0 });
    // 0.75 mm, of which either digit is the nearest.
    expect(Object.keys(check.formats)).toEqual([
      expect.stringMatching(/^5 x 3 x 4 voxels of 0\.[78] x 2\.0 x 2\.5 mm, DICOM$/),
    ]);
    expect(check.problems).toMatchObject([{ code: "LG-COHORT-025", message: expect.stringMatching(/^24 DICOM files, 0/) as string }]); // prettier-ignore

    // Slices 3, 1, 4 and 2; without the fourth file, 1, 3 and 4 are left.
    const gap = await checkCohort(await seriesFolder((dir) => unlink(join(dir, "1.2.2", "IM3.dcm"))));
    expect(gap.problems[0]).toMatchObject({ code: "LG-IMAGE-015", rows: [3] });
    const broken = await checkCohort(await seriesFolder((dir) => writeFile(join(dir, "1.2.2", "IM1.dcm"), "text")));
    expect(broken.problems[0]).toMatchObject({ code: "LG-IMAGE-014", rows: [3] });
    expect(broken.problems[0]!.message).toMatch(/^file #[0-9a-f]{6}, file #[0-9a-f]{6}: 4 bytes/);
  });

  it("aChangedSlice_changesTheFingerprint", async () => {
    const dir = await seriesFolder();
    const before = await openCohort(dir);
    await writeFile(join(dir, "1.2.3", "IM2"), Buffer.alloc(10));
    expect((await openCohort(dir)).fingerprint).not.toBe(before.fingerprint);
  });

  it("emptyFolders_andLinks_areRefused", async () => {
    const empty = seriesFolder(async (dir) => {
      await rm(join(dir, "1.2.4"), { recursive: true });
      await mkdir(join(dir, "1.2.4"));
    });
    await expect(openCohort(await empty)).rejects.toThrow(refused("LG-COHORT-007"));
    const linked = seriesFolder((dir) => symlink("/etc/hostname", join(dir, "1.2.4", "IM9")));
    await expect(openCohort(await linked)).rejects.toThrow(refused("LG-COHORT-005"));
    const mixed = seriesFolder(async (dir) => {
      await writeFile(join(dir, "a.dcm"), image("rle"));
      await writeFile(join(dir, "metadata.csv"), table(["1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.4", "a.dcm"]));
    });
    await expect(openCohort(await mixed)).rejects.toThrow(refused("LG-COHORT-023"));
  });
});
