import fc from "fast-check";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { isLeadglassError } from "../../errors.ts";
import type { Volume } from "../volume.ts";
import { axisCode, spacingOf } from "./affine.ts";
import type { Affine } from "./affine.ts";
import { decodeNifti } from "./decode.ts";
import { encodeNifti } from "./encode.ts";
import type { NiftiEncoding } from "./encode.ts";
import { toVolume } from "./to-volume.ts";

interface Fixture {
  files: {
    name: string;
    /** Gzipped, base64. */
    file: string;
    shape: number[];
    affine: number[][];
    values: number[];
    axes: string;
    canonical?: { shape: number[]; spacing: number[]; values: number[] };
  }[];
  orientations: { affine: Affine; axes: string }[];
}
const fixture = JSON.parse(readFileSync(new URL("fixtures/nifti.json", import.meta.url), "utf8")) as Fixture;
const file = (name: string) => Buffer.from(fixture.files.find((f) => f.name === name)!.file, "base64");
const near = (got: ArrayLike<number>, wanted: readonly number[], relative: number) =>
  wanted.forEach((value, i) =>
    expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(relative * Math.max(1, Math.abs(value))),
  );

describe("decodeNifti", () => {
  // Expected: nibabel 5.4.2 (fixtures/make_nifti.py), every data type, both versions and byte orders. Values are rounded
  // to float32 (6e-8); affines of a qform pass through float32 sines (1e-6).
  it.each(fixture.files)(
    "file_agreesWithNibabel_gzippedOrNot: $name",
    async ({ file, shape, affine, values, axes }) => {
      const zipped = Buffer.from(file, "base64");
      for (const bytes of [zipped, new Uint8Array(gunzipSync(zipped))]) {
        const image = await decodeNifti(bytes);
        expect(image.shape).toEqual(shape);
        expect(axisCode(image.affine)).toBe(axes);
        expect(image.data).toHaveLength(values.length);
        near(image.data, values, 6e-8);
        near(image.affine.flat(), affine.flat(), 1e-6);
      }
    },
  );

  // Expected: nibabel's as_closest_canonical. The spacing comes from a float32 affine (1e-6).
  it.each(fixture.files.filter((f) => f.canonical))("toVolume_isCanonical: $name", async ({ file, canonical }) => {
    const volume = toVolume(await decodeNifti(Buffer.from(file, "base64")));
    expect([...volume.shape].reverse()).toEqual(canonical!.shape);
    near([...volume.spacingMm].reverse(), canonical!.spacing, 1e-6);
    near(volume.data, canonical!.values, 6e-8);
  });

  it("randomAffines_haveNibabelsAxes", () => {
    for (const { affine, axes } of fixture.orientations) expect(axisCode(affine)).toBe(axes);
  });

  it("anyUnit_isBroughtToMillimetres", async () => {
    const bytes = gunzipSync(file("sform before qform"));
    const lengths = async (unit: number) => {
      const copy = new Uint8Array(bytes);
      copy[123] = unit; // xyzt_units of nifti1.h: 1 metre, 2 millimetre, 3 micrometre, 0 unknown
      return spacingOf((await decodeNifti(copy)).affine);
    };
    // The affine of the fixture has voxels of 2, 3 and 4 units; a float32 times 0.001 in double.
    near(await lengths(1), [2000, 3000, 4000], 1e-12);
    near(await lengths(2), [2, 3, 4], 1e-12);
    near(await lengths(3), [0.002, 0.003, 0.004], 1e-12);
    near(await lengths(0), [2, 3, 4], 1e-12);
  });

  const refusal = (bytes: Uint8Array, options?: Parameters<typeof decodeNifti>[1]) =>
    decodeNifti(bytes, options).then(
      () => "read",
      (error: unknown) => (isLeadglassError(error) ? `${error.code} ${error.message}` : Promise.reject(error as Error)),
    );
  /** The header of a small int16 file, little-endian NIfTI-1, with something changed. */
  const changed = (change: (view: DataView, bytes: Uint8Array) => void) => {
    const bytes = new Uint8Array(gunzipSync(file("slope and intercept")));
    change(new DataView(bytes.buffer), bytes);
    return bytes;
  };
  it.each([
    ["magic", (_: DataView, b: Uint8Array) => b.set([0x78], 344), "LG-IMAGE-009", "without its magic"],
    ["pair", (_: DataView, b: Uint8Array) => b.set([0x6e, 0x69, 0x31], 344), "LG-IMAGE-010", "second file"],
    ["analyze", (_: DataView, b: Uint8Array) => b.set([0, 0, 0, 0], 344), "LG-IMAGE-010", "ANALYZE"],
    ["no dimensions", (v: DataView) => v.setInt16(40, 0, true), "LG-IMAGE-009", "0 dimensions"],
    ["eight dimensions", (v: DataView) => v.setInt16(40, 8, true), "LG-IMAGE-009", "8 dimensions"],
    ["negative side", (v: DataView) => v.setInt16(44, -3, true), "LG-IMAGE-009", "-3 voxels along axis 2"],
    ["complex", (v: DataView) => v.setInt16(70, 32, true), "LG-IMAGE-010", "complex64 (32)"],
    ["rgb", (v: DataView) => v.setInt16(70, 128, true), "LG-IMAGE-010", "rgb24 (128)"],
    ["unheard of", (v: DataView) => v.setInt16(70, 999, true), "LG-IMAGE-009", "999"],
    ["bits", (v: DataView) => v.setInt16(72, 8, true), "LG-IMAGE-009", "8 bits a voxel; 16 expected"],
    ["offset", (v: DataView) => v.setFloat32(108, 348, true), "LG-IMAGE-009", "byte 348; at byte 352"],
    ["offset NaN", (v: DataView) => v.setFloat32(108, NaN, true), "LG-IMAGE-009", "byte NaN"],
    ["far offset", (v: DataView) => v.setFloat32(108, 3.2e9, true), "LG-IMAGE-009", "376 bytes; 3200000024 expected"],
    ["intercept", (v: DataView) => v.setFloat32(116, Infinity, true), "LG-IMAGE-009", "intercept Infinity"],
    ["slope", (v: DataView) => v.setFloat32(112, 3e38, true), "LG-IMAGE-009", "voxels are not finite"],
    ["singular", (v: DataView) => v.setFloat32(280, 0, true), "LG-IMAGE-010", "no inverse"],
    ["unit", (_: DataView, b: Uint8Array) => b.set([5], 123), "LG-IMAGE-009", "unit of length 5"],
    ["huge", (v: DataView) => [42, 44, 46].forEach((at) => v.setInt16(at, 32767, true)), "LG-IMAGE-002", "32767 x 32767"],
    ["longer", (v: DataView) => v.setInt16(42, 3, true), "LG-IMAGE-009", "376 bytes; 388 expected"],
  ] as const)("header_isRefused_withBothNumbers: %s", async (_name, change, code, message) => {
    // Unpacked and packed alike, and packed before anything is unpacked beyond what the header allows.
    for (const bytes of [changed(change), gzipSync(changed(change))]) {
      const got = await refusal(bytes);
      expect(got).toContain(code);
      expect(got).toContain(message);
    }
  }); // prettier-ignore

  it("integersBeyond2to53_areRefused", async () => {
    const bytes = new Uint8Array(gunzipSync(file("nifti1 little uint64")));
    new DataView(bytes.buffer).setBigUint64(352 + 8 * 5, 2n ** 53n, true);
    expect(await refusal(bytes)).toContain("voxel 5 of 12 is beyond 2^53");
  });

  it("everyTruncation_isRefused_neverRead", async () => {
    const whole = new Uint8Array(gunzipSync(file("slope and intercept")));
    const zipped = new Uint8Array(gzipSync(whole));
    for (const bytes of [whole, zipped])
      for (let length = 0; length < bytes.length; length += length < 340 ? 17 : 1)
        expect(await refusal(bytes.subarray(0, length))).toContain("LG-IMAGE-009");
  });

  it("aBombBehindASmallHeader_isNotUnpacked", async () => {
    const whole = new Uint8Array(gunzipSync(file("slope and intercept")));
    const bomb = gzipSync(Buffer.concat([whole, Buffer.alloc(2 ** 24)]));
    expect(await refusal(bomb)).toContain("more than 1048952 bytes once unpacked"); // 376 + 2^20
  });

  it("anyBytes_areReadOrRefused_neverAnotherError", async () => {
    const whole = new Uint8Array(gunzipSync(file("nifti1 little uint8")));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: 351 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
        async (edits) => {
          const bytes = new Uint8Array(whole);
          for (const [at, value] of edits) bytes[at] = value;
          expect(await refusal(bytes, { maxVoxels: 1e6 })).toMatch(/^(read|LG-IMAGE-0(02|09|10) )/);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("toVolume", () => {
  it("severalFrames_needAChoice", async () => {
    const image = await decodeNifti(file("four dimensions"));
    expect(() => toVolume(image)).toThrow(expect.objectContaining({ code: "LG-IMAGE-010" }));
    expect(() => toVolume(image, { frame: 2 })).toThrow(expect.objectContaining({ code: "LG-IMAGE-010" }));
    // The fixture stores 0 to 23 in C order of [2, 3, 2, 2], so frame 1 holds the odd numbers.
    const { data } = toVolume(image, { frame: 1 });
    expect([...data].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => 2 * i + 1));
  });

  it("aFileWithoutOrientation_isRefused_orTakenAsStored", async () => {
    const bytes = new Uint8Array(gunzipSync(file("slope and intercept")));
    const view = new DataView(bytes.buffer);
    view.setInt16(252, 0, true);
    view.setInt16(254, 0, true);
    [2, 3, 4].forEach((mm, i) => view.setFloat32(80 + 4 * i, mm, true));
    const image = await decodeNifti(bytes);
    expect(image.orientedBy).toBe("none");
    expect(() => toVolume(image)).toThrow(expect.objectContaining({ code: "LG-IMAGE-010" }));
    const volume = toVolume(image, { unoriented: "as-stored" });
    expect(volume.spacingMm).toEqual([4, 3, 2]);
    expect(volume.data).toEqual(image.data);
  });
});

describe("encodeNifti", () => {
  const volumes = fc
    .record({
      shape: fc.tuple(...([1, 2, 3].map(() => fc.integer({ min: 1, max: 6 })) as [fc.Arbitrary<number>, fc.Arbitrary<number>, fc.Arbitrary<number>])), // prettier-ignore
      spacing: fc.tuple(...([1, 2, 3].map(() => fc.integer({ min: 1, max: 40 })) as [fc.Arbitrary<number>, fc.Arbitrary<number>, fc.Arbitrary<number>])), // prettier-ignore
      seed: fc.nat({ max: 1000 }),
    })
    .map(({ shape, spacing, seed }): Volume => ({
      shape,
      spacingMm: [spacing[0] / 8, spacing[1] / 8, spacing[2] / 8], // exact in float32
      data: Float32Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, i) => (i * 37 + seed) % 256),
    }));

  it("decodedAgain_isTheSameVolume_forEveryTypeAndDirection", async () => {
    await fc.assert(
      fc.asyncProperty(
        volumes,
        fc.constantFrom("uint8", "int16", "float32"),
        fc.constantFrom("RAS", "LAS", "RPS", "RAI", "LPS", "LAI", "RPI", "LPI"),
        async (volume, dataType, axes) => {
          const encoding = { dataType, axes, originMm: [-10, 20, 30] } as NiftiEncoding;
          const image = await decodeNifti(await encodeNifti(volume, encoding));
          expect(image.dataType).toBe(dataType);
          expect(axisCode(image.affine)).toBe(axes);
          expect(toVolume(image)).toEqual(volume);
          // The voxel furthest left, back and down keeps its place, whichever end of the file it is at.
          const corner = image.affine.map(([a, b, c, d]) =>
            [a, b, c].reduce((sum, v, i) => sum + Math.min(0, v) * (image.shape[i]! - 1), d),
          );
          expect(corner).toEqual([-10, 20, 30]);
        },
      ),
    );
  });

  it("valuesThatDoNotFit_areRefused", async () => {
    const of = (value: number): Volume => ({ shape: [1, 1, 1], spacingMm: [1, 1, 1], data: Float32Array.of(value) });
    const refused = expect.objectContaining({ code: "LG-IMAGE-011" }) as Error;
    await expect(encodeNifti(of(0.5))).rejects.toThrow(refused);
    await expect(encodeNifti(of(32768))).rejects.toThrow(refused);
    await expect(encodeNifti(of(-1), { dataType: "uint8" })).rejects.toThrow(refused);
    await expect(encodeNifti({ ...of(1), shape: [1, 1, 2] })).rejects.toThrow(refused);
    await expect(encodeNifti({ ...of(1), shape: [1, 1, 40_000] })).rejects.toThrow(refused);
  });
});

const data = process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data");
const folder = join(data, "ct3d");

interface Entry {
  file: string;
  shape: number[];
  spacing_mm?: number[];
  affine?: number[][];
  orientation?: string;
  mean?: number;
  min: number;
  max: number;
  expect?: "ok" | "error";
}

describe.skipIf(!existsSync(folder))("real volumes (skipped where LEADGLASS_DATA or ../shared/data is absent)", () => {
  const entries = existsSync(folder)
    ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Entry[]).filter((e) => /\.nii/.test(e.file))
    : [];
  // Expected: the data's own manifest, made with nibabel. Values 1e-6 relative (float32), lengths as printed there.
  it.each(entries)("file_isReadAsTheManifestSays: $file", async (entry) => {
    const bytes = readFileSync(join(folder, entry.file));
    if (entry.expect === "error") {
      await expect(decodeNifti(bytes)).rejects.toThrow(expect.objectContaining({ code: "LG-IMAGE-009" }));
      return;
    }
    const image = await decodeNifti(bytes);
    expect(image.shape).toEqual(entry.shape);
    let [min, max, sum] = [Infinity, -Infinity, 0];
    for (const value of image.data) {
      min = Math.min(min, value);
      max = Math.max(max, value);
      sum += value;
    }
    near([min, max], [entry.min, entry.max], 1e-6);
    if (entry.mean !== undefined) expect(sum / image.data.length).toBeCloseTo(entry.mean, 3);
    if (entry.affine !== undefined) near(image.affine.flat(), entry.affine.slice(0, 3).flat(), 1e-9);
    if (entry.orientation !== undefined) expect(axisCode(image.affine)).toBe(entry.orientation);
    if (entry.spacing_mm !== undefined)
      spacingOf(image.affine).forEach((mm, i) => expect(mm).toBeCloseTo(entry.spacing_mm![i]!, 3));
    if (image.shape.slice(3).every((side) => side === 1)) expect(toVolume(image).data).toHaveLength(image.data.length);
  });
});
