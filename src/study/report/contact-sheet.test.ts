import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort } from "../../cohort/index.ts";
import { decodeImage, encodePng } from "../../imaging/index.ts";
import { contactSheet } from "./contact-sheet.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-sheet-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function folder(name: string, files: readonly (readonly [string, Uint8Array])[]) {
  const dir = join(root, name);
  await mkdir(dir);
  for (const [file, bytes] of files) await writeFile(join(dir, file), bytes);
  const rows = files.map(([file], i) => `${file},p${i},train,${i % 2}`);
  await writeFile(join(dir, "metadata.csv"), ["file_name,patient_id,split,ill", ...rows, ""].join("\n"));
  return openCohort(dir);
}

/** Shades of a row of tiles without gaps. */
const shades = async (png: Uint8Array) => (await decodeImage(png)).data;

describe("contactSheet", () => {
  it("dicomFiles_areShownAsOthersAre", async () => {
    // By pydicom and others: ../../imaging/dicom/fixtures/make_dicom.py.
    const text = await readFile(new URL("../../imaging/dicom/fixtures/dicom.json", import.meta.url), "utf8");
    const { files } = JSON.parse(text) as { files: { name: string; file: string }[] };
    const names = ["implicit little", "monochrome1", "jpeg-ls", "jpeg extended", "jpeg 2000 8 bit", "rgb"];
    const bytes = (name: string) => Buffer.from(files.find((file) => file.name === name)!.file, "base64");
    const cohort = await folder(
      "dicom",
      names.map((name, i) => [`${i}.dcm`, bytes(name)]),
    );
    const sheet = await contactSheet(cohort, cohort.target("ill"), { label: 0, split: "train", columns: 3, tile: 16 });
    const { width, height, data } = await decodeImage(sheet);
    expect([width, height]).toEqual([3 * 16 + 2 * 6, 16]);
    for (let c = 0; c < 3; c++) {
      const tile = Array.from({ length: 256 }, (_, i) => data[Math.floor(i / 16) * width + c * 22 + (i % 16)]!);
      expect(Math.max(...tile) - Math.min(...tile), `tile ${c} shows something`).toBeGreaterThan(60);
    }
  });

  it("eightBits_areShownAsTheyAre_andSixteenBitsSpreadOverTheirOwnRange", async () => {
    const flat = (value: number, bitDepth: 8 | 16) => ({
      ...{ width: 4, height: 4, channels: 1 as const, bitDepth },
      data: (bitDepth === 8 ? new Uint8Array(16) : new Uint16Array(16)).fill(value, 0, 8).fill(2 * value, 8),
    });
    // A twelve-bit image in sixteen bits, which would be black, and a dim eight-bit one, which stays dim.
    const png = await Promise.all([flat(40, 8), flat(1, 8), flat(1000, 16)].map(encodePng));
    const cohort = await folder("png", [["a.png", png[0]!], ["b.png", png[1]!], ["c.png", png[2]!]]); // prettier-ignore
    const options = { label: 0 as const, split: "train", columns: 2, tile: 4, gap: 0 };
    const row = [...(await shades(await contactSheet(cohort, cohort.target("ill"), options)))];
    expect(row.slice(0, 8)).toEqual([40, 40, 40, 40, 0, 0, 0, 0]);
    expect(row.slice(24)).toEqual([80, 80, 80, 80, 255, 255, 255, 255]);
  });

  it("volumes_showTheirMiddleSlice", { timeout: 60_000 }, async () => {
    const dir = join(root, "volumes");
    await makePhantomCohort({ kind: "volume", patients: 10, seed: 1, imageSize: 64, out: dir });
    const cohort = await openCohort(dir);
    const target = cohort.target(cohort.targets[0]!);
    const label = target.labels[cohort.imagesOf("train")[0]!] as 0 | 1;
    const data = await shades(await contactSheet(cohort, target, { label, split: "train", columns: 1, tile: 24 }));
    expect(new Set(data).size).toBeGreaterThan(20);
  });
});
