import { encode } from "fast-png";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage, encodePng } from "./codec.ts";
import { toPlanes } from "./pixels.ts";
import type { PixelImage } from "./pixels.ts";

const ramp16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const grey8 = (width: number, height: number): PixelImage => ({
  width,
  height,
  channels: 1,
  bitDepth: 8,
  data: Uint8Array.from({ length: width * height }, (_, i) => (i * 7) % 256),
});
const refusal = (code: string) => expect.objectContaining({ code }) as Error;

describe("decodeImage", () => {
  // Written by fast-png, another implementation: every one of the 65,536 grey values must come back.
  it("png16Grey_writtenByFastPng_comesBackExactly", async () => {
    const bytes = encode({ width: 256, height: 256, data: ramp16, depth: 16, channels: 1 });
    const image = await decodeImage(bytes);
    expect(image).toMatchObject({ width: 256, height: 256, channels: 1, bitDepth: 16 });
    expect(image.data).toEqual(ramp16);
  });

  it("png16Colour_writtenByFastPng_comesBackExactly", async () => {
    const data = Uint16Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 85) % 65536);
    const image = await decodeImage(encode({ width: 16, height: 16, data, depth: 16, channels: 3 }));
    expect(image).toMatchObject({ channels: 3, bitDepth: 16 });
    expect(image.data).toEqual(data);
  });

  it("encodePng_thenDecode_isTheIdentity_forEveryShapeDepthAndChannels", async () => {
    const arbitrary = fc
      .record({
        width: fc.integer({ min: 1, max: 9 }),
        height: fc.integer({ min: 1, max: 9 }),
        channels: fc.constantFrom(1 as const, 3 as const),
        bitDepth: fc.constantFrom(8 as const, 16 as const),
      })
      .chain((shape) => {
        const length = shape.width * shape.height * shape.channels;
        const top = shape.bitDepth === 8 ? 255 : 65535;
        return fc.array(fc.integer({ min: 0, max: top }), { minLength: length, maxLength: length }).map((values) => ({
          ...shape,
          data: shape.bitDepth === 8 ? Uint8Array.from(values) : Uint16Array.from(values),
        }));
      });
    await fc.assert(
      fc.asyncProperty(arbitrary, async (image) => {
        expect(await decodeImage(await encodePng(image))).toEqual(image);
      }),
      { numRuns: 50 },
    );
  });

  it("jpegGrey_isOneChannel_closeToWhatWasEncoded", async () => {
    const smooth = { ...grey8(32, 32), data: Uint8Array.from({ length: 1024 }, (_, i) => 4 * (i % 32) + 60) };
    const jpeg = await sharp(smooth.data, { raw: { width: 32, height: 32, channels: 1 } })
      .toColourspace("b-w")
      .jpeg({ quality: 95 })
      .toBuffer();
    const image = await decodeImage(jpeg);
    expect(image).toMatchObject({ channels: 1, bitDepth: 8, width: 32, height: 32 });
    // A ramp at quality 95 is quantised by about two grey levels.
    image.data.forEach((value, i) => expect(Math.abs(value - smooth.data[i]!)).toBeLessThanOrEqual(4));
  });

  it("exifOrientation6_isTurnedUpright", async () => {
    // 4 wide, 2 high, left half white; orientation 6 says: turn 90 degrees clockwise, so the upper half becomes white.
    const data = Uint8Array.from({ length: 8 * 16 * 16 }, (_, i) => (i % 64 < 32 ? 255 : 0));
    const jpeg = await sharp(data, { raw: { width: 64, height: 32, channels: 1 } })
      .toColourspace("b-w")
      .jpeg({ quality: 100 })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const image = await decodeImage(jpeg);
    expect([image.width, image.height]).toEqual([32, 64]);
    expect(image.data[0]).toBeGreaterThan(250);
    expect(image.data.at(-1)).toBeLessThan(5);
  });

  it("truncatedPng_isRefusedAtEveryLength_neverPartlyDecoded", async () => {
    const whole = await encodePng(grey8(64, 64));
    for (let length = 0; length < whole.length; length += length > whole.length - 30 ? 1 : 17)
      await expect(decodeImage(whole.slice(0, length))).rejects.toThrow(refusal("LG-IMAGE-001"));
    const bytes = whole.slice(0, -1);
    await expect(decodeImage(bytes, { name: "row 3" })).rejects.toThrow(/^row 3: \d+ bytes/);
  });

  it("truncatedJpegAndDamagedPng_areRefused", async () => {
    const noisy = Uint8Array.from({ length: 4096 }, (_, i) => (i * i * 31) % 256);
    const jpeg = await sharp(noisy, { raw: { width: 64, height: 64, channels: 1 } })
      .jpeg()
      .toBuffer();
    await expect(decodeImage(jpeg.subarray(0, jpeg.length >> 1))).rejects.toThrow(refusal("LG-IMAGE-001"));
    const png = Uint8Array.from(await encodePng({ ...grey8(64, 64), data: noisy }));
    png[png.length >> 1]! ^= 0xff;
    await expect(decodeImage(png)).rejects.toThrow(refusal("LG-IMAGE-001"));
  });

  it("arbitraryBytes_areRefusedWithOurError", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, signed) => {
        const png = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
        const input = signed ? Uint8Array.from([...png, ...bytes]) : bytes;
        await expect(decodeImage(input)).rejects.toThrow(refusal("LG-IMAGE-001"));
      }),
      { numRuns: 100 },
    );
  });

  it("svg_whichSharpWouldRender_isRefusedByItsFirstBytes", async () => {
    const svg = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    await expect(decodeImage(svg)).rejects.toThrow(refusal("LG-IMAGE-001"));
  });

  it("hostileSize_isRefusedBeforeItsPixelsAreAllocated", async () => {
    // A whole header that claims 60,000 x 60,000 (3.6e9 pixels, 3.4 GiB), with its right checksum, and no pixels.
    const bytes = Buffer.from(await encodePng(grey8(4, 4)));
    bytes.writeUInt32BE(60_000, 16);
    bytes.writeUInt32BE(60_000, 20);
    const { crc32 } = await import("node:zlib");
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    const before = process.memoryUsage.rss();
    await expect(decodeImage(bytes)).rejects.toThrow(refusal("LG-IMAGE-002"));
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 2 ** 20);
  });

  it("maxPixels_isALimitIncluded", async () => {
    const bytes = await encodePng(grey8(10, 10));
    expect((await decodeImage(bytes, { maxPixels: 100 })).width).toBe(10);
    await expect(decodeImage(bytes, { maxPixels: 99 })).rejects.toThrow(refusal("LG-IMAGE-002"));
  });

  it("alpha_opaqueIsDropped_otherIsRefusedUnlessAsked", async () => {
    const rgba = (alpha: number) => {
      const data = Uint8Array.from({ length: 64 }, (_, i) => (i % 4 === 3 ? alpha : i));
      return encode({ width: 4, height: 4, data, depth: 8, channels: 4 });
    };
    const opaque = await decodeImage(rgba(255));
    expect(opaque.channels).toBe(3);
    expect([...opaque.data.slice(0, 6)]).toEqual([0, 1, 2, 4, 5, 6]);
    await expect(decodeImage(rgba(128))).rejects.toThrow(refusal("LG-IMAGE-004"));
    expect((await decodeImage(rgba(128), { alpha: "drop" })).data).toEqual(opaque.data);
    const grey = encode({ width: 2, height: 1, data: Uint8Array.of(9, 255, 8, 255), depth: 8, channels: 2 });
    expect([...(await decodeImage(grey)).data]).toEqual([9, 8]);
    const grey16 = encode({ width: 2, height: 1, data: Uint16Array.of(999, 65535, 8, 65535), depth: 16, channels: 2 });
    expect([...(await decodeImage(grey16)).data]).toEqual([999, 8]);
  });

  it("encodePng_refusesDataThatDoesNotFit", async () => {
    await expect(encodePng({ ...grey8(4, 4), width: 5 })).rejects.toThrow(refusal("LG-IMAGE-005"));
    await expect(encodePng({ ...grey8(4, 4), bitDepth: 16 })).rejects.toThrow(refusal("LG-IMAGE-005"));
  });
});

describe("toPlanes", () => {
  it("colourToGrey_weighsByRec601Luma_andGreyToColourRepeats", () => {
    const rgb: PixelImage = { width: 1, height: 1, channels: 3, bitDepth: 8, data: Uint8Array.of(255, 0, 51) };
    // 0.299 * 1 + 0.587 * 0 + 0.114 * 0.2 = 0.3218; float32 rounding 1e-7.
    expect(toPlanes(rgb, { channels: 1 }).data[0]).toBeCloseTo(0.3218, 6);
    expect([...toPlanes({ ...grey8(2, 1), data: Uint8Array.of(0, 255) }, { channels: 3 }).data]).toEqual([
      0, 1, 0, 1, 0, 1,
    ]);
  });
});
