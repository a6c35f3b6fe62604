import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { equaliseHistogram, referencePlanes, toBytes } from "./reference.ts";
import { splineZoom } from "./spline.ts";

interface Fixture {
  floats: number[];
  zooms: { height: number; width: number; data: number[] }[];
  wholes: { bitDepth: 8 | 16; size: number; image: number[]; plain: number[]; inverted: number[] }[];
}
// scipy 1.17.1, numpy 2.4.6; made by fixtures/reference.py.
const fixture = JSON.parse(readFileSync(new URL("fixtures/reference.json", import.meta.url), "utf8")) as Fixture;

describe("splineZoom", () => {
  it.each(fixture.zooms)("equalsScipy, to $height x $width", ({ height, width, data }) => {
    const out = splineZoom(fixture.floats, { width: 11, height: 7 }, { width, height });
    expect(out).toHaveLength(data.length);
    // Doubles on both sides, in another order: 1e-10.
    data.forEach((value, i) => expect(Math.abs(out[i]! - value)).toBeLessThan(1e-10));
  });
  it("aSizeOfZero_isRefused", () => {
    expect(() => splineZoom([1], { width: 1, height: 1 }, { width: 0, height: 1 })).toThrow(
      expect.objectContaining({ code: "LG-IMAGE-006" }),
    );
  });
});

describe("referencePlanes", () => {
  it.each(fixture.wholes)(
    "equalsTheAuthorsSteps_exactly: $bitDepth bit to $size",
    ({ bitDepth, size, image, plain, inverted }) => {
      const data = bitDepth === 8 ? Uint8Array.from(image) : Uint16Array.from(image);
      const from = { width: 15, height: 12, channels: 1, bitDepth, data } as const;
      const bytes = (planes: { data: Float32Array }) => [...planes.data].map((x) => Math.round(255 * x));
      expect(bytes(referencePlanes(from, { size }))).toEqual(plain);
      expect(bytes(referencePlanes(from, { size, inverted: true }))).toEqual(inverted);
      expect(bytes(referencePlanes(from, { size, channels: 3 }))).toEqual([...plain, ...plain, ...plain]);
    },
  );
});

it("constantImages_stayConstant", () => {
  expect([...toBytes([7, 7])]).toEqual([0, 0]);
  // OpenCV leaves an image of one grey as it is.
  expect([...equaliseHistogram(Uint8Array.of(9, 9))]).toEqual([9, 9]);
});

it("equalisation_spreadsWhatIsThereOverTheWholeRange", () => {
  // Two of four pixels are darkest: 0; the others' cumulative shares are 1/2 and 1, so 127.5, to the even 128, and 255.
  expect([...equaliseHistogram(Uint8Array.of(50, 50, 60, 70))]).toEqual([0, 0, 128, 255]);
});
