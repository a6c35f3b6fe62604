import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LeadglassError } from "../../errors.ts";
import { decodeImage } from "../codec.ts";
import { axisCode } from "../nifti/affine.ts";
import { decodeDicom, dicomValues, readDicomHeader } from "./decode.ts";
import { identifyingAttributes } from "./identity.ts";
import { decodeDicomSeries, seriesToVolume } from "./series.ts";
import { dicomToPixels } from "./to-pixels.ts";

// Files by pydicom 3.0.2, imagecodecs 2026.3.6 and Pillow 12.3.0; expected values by them, or what was encoded without
// loss; the series' affine by nibabel 5.4.2 (fixtures/make_dicom.py).
interface Fixture {
  files: {
    name: string;
    file: string;
    stored: number[];
    frame?: number;
    tolerance?: number;
    values?: number[];
    rgb?: number[];
  }[];
  series: { files: string[]; affine: number[][]; data: number[]; canonical: number[] };
  real: { minimum: number; maximum: number; mean: number; first: number[]; last: number[]; origin: number[] };
}
const fixture = JSON.parse(readFileSync(new URL("fixtures/dicom.json", import.meta.url), "utf8")) as Fixture;
const bytesOf = (name: string) => new Uint8Array(Buffer.from(fixture.files.find((f) => f.name === name)!.file, "base64")); // prettier-ignore

const furthest = (got: ArrayLike<number>, expected: readonly number[]) => {
  expect(got).toHaveLength(expected.length);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(got[i]! - value)), 0);
};

/** "read", or the code and message of the refusal; another error fails the test that asks. */
async function outcome(bytes: Uint8Array, options = {}): Promise<string> {
  try {
    dicomToPixels(await decodeDicom(bytes, options));
    return "read";
  } catch (error) {
    if (!(error instanceof LeadglassError)) throw error;
    return `${error.code} ${error.message}`;
  }
}

/** A copy with the 16-bit value of a little-endian explicit element changed. */
function withUint16(bytes: Uint8Array, tag: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  const group = Buffer.from([(tag >>> 16) & 255, tag >>> 24, tag & 255, (tag >>> 8) & 255]);
  view.setUint16(Buffer.from(copy.buffer).indexOf(group) + 8, value, true);
  return copy;
}

describe("decodeDicom", () => {
  it.each(fixture.files)("storedValues_areThoseOfAnotherReader: $name", async (expected) => {
    const { frame, tolerance = 0 } = expected;
    const image = await decodeDicom(bytesOf(expected.name), { frame });
    // Lossy streams: inverse transforms round to one side or the other, chroma is interpolated in other ways.
    expect(furthest(image.data, expected.stored)).toBeLessThanOrEqual(tolerance);
    if (expected.values !== undefined) expect(furthest(dicomValues(image), expected.values)).toBe(0);
    // pydicom cuts fractions off where YBR becomes RGB, this rounds: 1 apart.
    if (expected.rgb !== undefined)
      expect(furthest(dicomToPixels(image).data, expected.rgb)).toBeLessThanOrEqual(expected.name === "ybr" ? 1 : 0);
  });

  it("windowAndPolarity_areSaid_andNotApplied", async () => {
    const image = await decodeDicom(bytesOf("explicit little, Hounsfield"));
    expect(image).toMatchObject({ window: { centre: 40, width: 400 }, modalityTransform: { slope: 2.5 } });
    expect(await decodeDicom(bytesOf("monochrome1"))).toMatchObject({ colour: "MONOCHROME1" });
  });

  it("aFrame_isChosen_orRefused", async () => {
    const bytes = bytesOf("three frames");
    expect(await outcome(bytes)).toMatch(/^LG-IMAGE-015 image: 3 frames$/);
    expect(await outcome(bytes, { frame: 3 })).toMatch(/^LG-IMAGE-015 .*frame 3 asked for/);
    expect(await outcome(bytes, { frame: 2 })).toBe("read");
  });

  it("tooManyPixels_areRefused_beforeAnyIsRead", async () => {
    expect(await outcome(bytesOf("rle"), { maxPixels: 100 })).toContain("LG-IMAGE-002 image: 17 x 13 pixels");
  });

  it.each([
    ["rows", 0x00280010, 0, "LG-IMAGE-014 image: 17 x 0 pixels"],
    ["more rows", 0x00280010, 65_535, "442 bytes of pixels; 2228190 expected of 17 x 65535"],
    ["fewer rows", 0x00280010, 2, "442 bytes of pixels; 68 expected"],
    ["samples", 0x00280002, 3, "LG-IMAGE-014 image: 3 samples a pixel, and MONOCHROME2"],
    ["bits allocated", 0x00280100, 24, "LG-IMAGE-015 image: 24 bits allocated"],
    ["bits stored", 0x00280101, 17, "LG-IMAGE-014 image: 17 bits stored"],
    ["high bit", 0x00280102, 3, "LG-IMAGE-014 image: 16 bits stored up to bit 3"],
  ])("aLyingHeader_isRefused: %s", async (_, tag, value, message) => {
    expect(await outcome(withUint16(bytesOf("explicit little, Hounsfield"), tag, value))).toContain(message);
  });

  it.each(["rle", "jpeg baseline", "jpeg extended", "jpeg lossless, predictor 1", "jpeg-ls", "jpeg 2000", "high-throughput jpeg 2000"])(
    "aStreamOfAnotherSize_isRefused: %s", async (name) => {
    expect(await outcome(withUint16(bytesOf(name), 0x00280010, 40_000))).toMatch(/^LG-IMAGE-014 image: .*(expected|decode)/);
  }); // prettier-ignore

  it.each(fixture.files.map(({ name }) => name))("everyTruncation_isRefused_neverRead: %s", async (name) => {
    const whole = bytesOf(name);
    const { frame } = fixture.files.find((f) => f.name === name)!;
    for (let length = 0; length < whole.length - 64; length += 1 + Math.floor(length / 8))
      expect(await outcome(whole.subarray(0, length), { frame })).toMatch(/^LG-IMAGE-01[45]/);
  });

  it.each(["explicit little, Hounsfield", "explicit big", "deflated", "rle", "jpeg extended", "jpeg progressive", "jpeg lossless, predictor 4", "jpeg-ls", "jpeg 2000", "high-throughput jpeg 2000", "two frames in fragments, no offset table"])(
    "anyBytes_areReadOrRefused_neverAnotherError: %s", async (name) => {
    const whole = bytesOf(name);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 128, max: whole.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
        async (edits) => {
          const bytes = Uint8Array.from(whole);
          for (const [at, value] of edits) bytes[at] = value;
          expect(await outcome(bytes, { frame: 0, maxPixels: 1e5 })).toMatch(/^(read|LG-IMAGE-0(02|14|15) )/);
        },
      ),
      { numRuns: 40 },
    );
  }); // prettier-ignore

  it.each(["jpeg-ls", "jpeg 2000"])("aDamagedStream_leavesTheNextImageAsItIs: %s", async (name) => {
    const { stored } = fixture.files.find((file) => file.name === name)!;
    const whole = bytesOf(name);
    for (let k = 1; k <= 40; k++) {
      const bytes = Uint8Array.from(whole);
      // Behind the header of 500 bytes and the stream's own.
      for (let i = 0; i < 4; i++) bytes[600 + ((k * 131 + i * 577) % (whole.length - 620))]! ^= 1 + ((k * 37) & 127);
      await outcome(bytes);
      if (k % 10 === 0) expect(furthest((await decodeDicom(whole)).data, stored)).toBe(0);
    }
  });
});

describe("dicomToPixels", () => {
  it("theFullRangeOfStoredBits_isTheFullRange", async () => {
    const image = await decodeDicom(bytesOf("signed 12 of 16"));
    const { bitDepth, data } = dicomToPixels(image);
    expect(bitDepth).toBe(16);
    // -2048 to 2047 on 0 to 65535.
    expect([...data]).toEqual([...image.data].map((value) => Math.round(((value + 2048) * 65_535) / 4095)));
  });

  it("monochrome1_isInverted_asIsAFallingScale", async () => {
    const image = await decodeDicom(bytesOf("monochrome1"));
    const { data } = dicomToPixels(image);
    expect([...data]).toEqual([...image.data].map((value) => 65_535 - Math.round((value * 65_535) / 4095)));
    const falling = { ...image, modalityTransform: { kind: "linear", slope: -1, intercept: 0 } } as const;
    expect([...dicomToPixels(falling).data]).toEqual([...data].map((value) => 65_535 - value));
  });

  it("valuesBeyondTheirBits_areRefused", async () => {
    const image = await decodeDicom(bytesOf("monochrome1"));
    expect(() => dicomToPixels({ ...image, bitsStored: 8 })).toThrow(expect.objectContaining({ code: "LG-IMAGE-014" }));
  });

  it("decodeImage_readsDicomByItsBytes", async () => {
    const { width, height, channels, bitDepth } = await decodeImage(bytesOf("rgb"));
    expect({ width, height, channels, bitDepth }).toEqual({ width: 17, height: 13, channels: 3, bitDepth: 8 });
  });
});

describe("identifyingAttributes", () => {
  it("filledOnes_areCounted_emptyOnesNot", () => {
    const bytes = bytesOf("explicit little, Hounsfield");
    expect(identifyingAttributes(bytes)).toBe(0);
    // (0010,0010) and (0010,0020), put before group 0020 as an explicit file has them.
    const at = Buffer.from(bytes.buffer).indexOf(Buffer.from([0x20, 0, 0x0e, 0, 0x55, 0x49]));
    const element = (id: number, vr: string, value: string) => Buffer.from([0x10, 0, id, 0, ...Buffer.from(vr), value.length, 0, ...Buffer.from(value)]); // prettier-ignore
    const with_ = (...values: [string, string]) =>
      new Uint8Array(Buffer.concat([bytes.subarray(0, at), element(0x10, "PN", values[0]), element(0x20, "LO", values[1]), bytes.subarray(at)])); // prettier-ignore
    expect(identifyingAttributes(with_("A^B ", "17"))).toBe(2);
    expect(identifyingAttributes(with_("A^B ", "  "))).toBe(1);
    expect(readDicomHeader(with_("A^B ", "17"))).toMatchObject({ rows: 13, burnedInText: "unsaid" });
    expect(JSON.stringify(readDicomHeader(with_("A^B ", "17")))).not.toContain("A^B");
  });
});

describe("decodeDicomSeries", () => {
  const files = fixture.series.files.map((file, i) => ({ name: `file ${i}`, bytes: () => new Uint8Array(Buffer.from(file, "base64")) })); // prettier-ignore
  const edited = (index: number, find: string, replace: string) =>
    files.map((file, i) => ({
      name: file.name,
      bytes: () => (i === index ? new Uint8Array(Buffer.from(Buffer.from(file.bytes()).toString("latin1").replace(find, replace), "latin1")) : file.bytes()), // prettier-ignore
    }));
  const refusal = (given: typeof files) =>
    decodeDicomSeries(given).then(() => "read", (error: LeadglassError) => `${error.code} ${error.message}`); // prettier-ignore

  it("slicesInAnyOrder_areSorted_rescaledEachByItsOwn_andPlacedAsNibabelDoes", async () => {
    const series = await decodeDicomSeries(files);
    expect(series.shape).toEqual([5, 3, 4]);
    expect(series.modality).toBe("CT");
    // Positions are written with 8 digits.
    expect(furthest(series.affine.flat(), fixture.series.affine.flat())).toBeLessThan(1e-6);
    expect([...series.data]).toEqual(fixture.series.data);
    const { shape, data, spacingMm } = seriesToVolume(series);
    expect(shape).toEqual([4, 3, 5]);
    expect([...data]).toEqual(fixture.series.canonical);
    expect(furthest(spacingMm, [2.5, 2, 0.75])).toBeLessThan(1e-6);
  });

  it("anyOrder_givesTheSameVolume", async () => {
    const whole = await decodeDicomSeries(files);
    for (const order of [[3, 2, 1, 0], [1, 3, 0, 2]]) expect(await decodeDicomSeries(order.map((i) => files[i]!))).toEqual(whole); // prettier-ignore
  });

  it("aGap_aDouble_andAStranger_areRefused_withTheirPlace", async () => {
    // Files 0 to 3 are slices 3, 1, 4 and 2.
    expect(await refusal(files.toSpliced(3, 1))).toMatch(/^LG-IMAGE-015 series: slices [12] and [23] of 3 \(file \d and file \d\) are .* mm apart; .* mm expected/); // prettier-ignore
    expect(await refusal([...files, files[1]!])).toContain("slices 1 and 2 of 5 (file 1 and file 1) lie at the same place"); // prettier-ignore
    expect(await refusal(edited(2, "1.2.3\0", "1.2.9\0"))).toContain("LG-IMAGE-015 file 2: a slice that belongs to another series"); // prettier-ignore
    expect(await refusal(edited(2, "2.0\\0.75", "2.0\\0.50"))).toContain("another pixel spacing");
    expect(await refusal([])).toContain("LG-IMAGE-015 series: no file");
    const flat = { name: "secondary", bytes: () => bytesOf("rle") };
    expect(await refusal([flat])).toContain("LG-IMAGE-015 secondary: no image position");
    expect(await refusal([{ name: "text", bytes: () => new Uint8Array(9) }])).toContain("LG-IMAGE-014 text: 9 bytes");
  });

  it("slicesBesideEachOther_areRefused", async () => {
    // Each slice is moved along its rows by half a millimetre more than the one before, as a gantry of 11 degrees does.
    const [along] = [[0, 1, 2].map((axis) => -fixture.series.affine[axis]![0]! / 0.75)];
    const tilted = files.map((file, i) => ({
      name: file.name,
      bytes: () => {
        const bytes = Buffer.from(file.bytes());
        const at = bytes.indexOf(Buffer.from([0x20, 0, 0x32, 0]));
        const length = bytes.readUInt16LE(at + 6);
        const moved = bytes.toString("latin1", at + 8, at + 8 + length).trim().split("\\").map((mm, axis) => (Number(mm) + 0.5 * [2, 0, 3, 1][i]! * (axis === 2 ? -1 : 1) * along![axis]!).toFixed(6)); // prettier-ignore
        bytes.write(moved.join("\\").padEnd(length), at + 8, "latin1");
        return new Uint8Array(bytes);
      },
    }));
    expect(await refusal(tilted)).toMatch(
      /LG-IMAGE-015 file \d: slice 2 of 4 lies 0\.50 mm beside the first: a tilted gantry/,
    );
  });

  it("tooManyVoxels_areRefused", async () => {
    await expect(decodeDicomSeries(files, { maxVoxels: 59 })).rejects.toThrow(expect.objectContaining({ code: "LG-IMAGE-002" })); // prettier-ignore
  });
});

const data = process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data");
const folder = join(data, "dicom");

interface Entry {
  file: string;
  rows?: number;
  cols?: number;
  has_pixel_data?: boolean;
  parse: string;
  expected?: string;
  transfer_syntax: string | null;
  pixels?: { status: string; min: number; max: number; mean: number; sha256_le: string; disputed?: string };
  cross_check?: { min: number; max: number; mean: number; sha256_le: string };
}

describe.skipIf(!existsSync(folder))("real files (skipped where LEADGLASS_DATA or ../shared/data is absent)", () => {
  const entries = existsSync(folder)
    ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Entry[])
    : [];
  const lossy = /\.4\.(50|51|53|55)$/;
  // Pixels that the manifest's reader, pydicom 2.3.1, has no decoder for; dcmtk's are expected, or none are known.
  const beyond = new Set(["1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.201"]);

  // Expected: the data's own manifest, by pydicom and gdcm, or dcmtk where that has none or the two disagree.
  it.each(entries)("file_isReadOrRefused_asTheManifestSays: $file", async (entry) => {
    const bytes = new Uint8Array(readFileSync(join(folder, entry.file)));
    const { pixels, cross_check: other } = entry;
    const wanted = pixels?.status === "ok" && pixels.disputed === undefined ? pixels : other;
    const readable = pixels?.status === "ok" || beyond.has(entry.transfer_syntax ?? "");
    if (entry.expected !== undefined || !readable) {
      expect(await outcome(bytes)).toMatch(/^LG-IMAGE-01[45]/);
      return;
    }
    const { frames, rows, columns } = readDicomHeader(bytes);
    expect([rows, columns]).toEqual([entry.rows, entry.cols]);
    const hash = createHash("sha256");
    let [min, max, sum, count] = [Infinity, -Infinity, 0, 0];
    for (let frame = 0; frame < frames; frame++) {
      const image = await decodeDicom(bytes, { frame });
      for (const value of image.data) {
        min = Math.min(min, value);
        max = Math.max(max, value);
        sum += value;
      }
      count += image.data.length;
      hash.update(new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength));
    }
    // No value in the manifest; OpenJPH 2.4.11 by @cornerstonejs/codec-openjph has this mean, and this is OpenJPEG.
    if (wanted === undefined) expect(sum / count).toBeCloseTo(127.1023, 4);
    else if (lossy.test(entry.transfer_syntax!)) {
      // A sample may be rounded to the other side, and chroma is interpolated in another way.
      expect(Math.abs(min - wanted.min)).toBeLessThanOrEqual(2);
      expect(Math.abs(max - wanted.max)).toBeLessThanOrEqual(2);
      expect(Math.abs(sum / count - wanted.mean)).toBeLessThan(0.02);
    } else expect(hash.digest("hex")).toBe(wanted.sha256_le);
  });
});

const series = join(data, "ct3d/ts_dicom_j2k");
describe.skipIf(!existsSync(series))("a real series (skipped where LEADGLASS_DATA or ../shared/data is absent)", () => {
  it("isReadAsPydicomDoes_andAsTheManifestSays", async () => {
    const files = readdirSync(series).map((name) => ({ name, bytes: () => new Uint8Array(readFileSync(join(series, name))) })); // prettier-ignore
    const read = await decodeDicomSeries(files);
    const manifest = (JSON.parse(readFileSync(join(data, "ct3d/manifest.json"), "utf8")) as Record<string, unknown>[]).find(({ file }) => file === "ts_dicom_j2k/")!; // prettier-ignore
    expect(read.shape).toEqual([manifest["cols"], manifest["rows"], manifest["slices"]]);
    const z = manifest["z_sorted"] as number[];
    z.forEach((mm, k) => expect(read.affine[2][3] + k * read.affine[2][2]).toBeCloseTo(mm, 6));
    // Expected: pydicom 3.0.2 with Pillow's OpenJPEG, slices sorted by z (fixtures/make_dicom.py).
    const { real } = fixture;
    let [min, max, sum] = [Infinity, -Infinity, 0];
    for (const value of read.data) {
      min = Math.min(min, value);
      max = Math.max(max, value);
      sum += value;
    }
    expect([min, max]).toEqual([real.minimum, real.maximum]);
    expect(sum / read.data.length).toBeCloseTo(real.mean, 6);
    expect(read.affine.map((row) => row[3])).toEqual(real.origin);
    const line = (k: number) => Array.from({ length: 8 }, (_, i) => read.data[(k * 512 + 256) * 512 + 64 * i]);
    expect(line(0)).toEqual(real.first);
    expect(line(19)).toEqual(real.last);
    expect(axisCode(read.affine)).toBe("LPS");
    const volume = seriesToVolume(read);
    expect(volume.shape).toEqual([20, 512, 512]);
    expect(volume.spacingMm).toEqual([2, 0.9765625, 0.9765625]);
    // In canonical axes the first stored row and column come last.
    expect(volume.data[(0 * 512 + 255) * 512 + 511]).toBe(real.first[0]);
  });
});
