import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Planes } from "./pixels.ts";
import { resize } from "./resize.ts";
import type { Fit, Kernel } from "./resize.ts";

interface Fixture {
  width: number;
  height: number;
  source: number[];
  cases: { kernel: Kernel; width: number; height: number; fit: Fit; data: number[] }[];
}
const fixture = JSON.parse(readFileSync(new URL("fixtures/resize.json", import.meta.url), "utf8")) as Fixture;
const source: Planes = { channels: 1, width: 13, height: 9, data: Float32Array.from(fixture.source) };
const kernels = ["area", "bilinear", "bicubic", "lanczos3"] as const;

describe("resize", () => {
  // Expected values: Pillow, Image.resize in mode "F" (fixtures/resize.py). Float32 sums: 2e-6.
  for (const { kernel, width, height, fit, data } of fixture.cases)
    it(`${kernel}_${fit}_to${width}x${height}_equalsPillow`, () => {
      const out = resize(source, { width, height, kernel, fit });
      expect([out.width, out.height, out.data.length]).toEqual([width, height, width * height]);
      data.forEach((value, i) => expect(Math.abs(out.data[i]! - value)).toBeLessThan(2e-6));
    });

  it("constantImage_staysConstant_forEveryKernelAndSize", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...kernels),
        fc.constantFrom<Fit>("stretch", "crop"),
        ...([1, 2, 3, 4].map(() => fc.integer({ min: 1, max: 40 })) as [
          fc.Arbitrary<number>,
          fc.Arbitrary<number>,
          fc.Arbitrary<number>,
          fc.Arbitrary<number>, // prettier-ignore
        ]),
        (kernel, fit, w, h, width, height) => {
          const planes = { channels: 2, width: w, height: h, data: new Float32Array(2 * w * h).fill(0.7) };
          const out = resize(planes, { width, height, kernel, fit });
          // Weights sum to one up to rounding: 1e-6.
          return out.data.length === 2 * width * height && out.data.every((v) => Math.abs(v - 0.7) < 1e-6);
        },
      ),
    );
  });

  it("pad_keepsTheAspectAndFillsTheRestWithPadValue", () => {
    const planes = { channels: 1, width: 8, height: 4, data: new Float32Array(32).fill(1) };
    const { data } = resize(planes, { width: 8, height: 8, fit: "pad", padValue: -3 });
    // The image needs no scaling, so two rows are added above and two below.
    const rows = Array.from({ length: 8 }, (_, y) => data[y * 8]);
    expect(rows).toEqual([-3, -3, 1, 1, 1, 1, -3, -3]);
  });

  it("integers_areDividedByTheLargestValueOfTheirDepth", () => {
    const of = (bitDepth: 8 | 16, data: Uint8Array | Uint16Array) =>
      resize({ width: 2, height: 1, channels: 1, bitDepth, data }, { width: 2, height: 1 }).data;
    expect([...of(8, Uint8Array.of(0, 255))]).toEqual([0, 1]);
    expect([...of(16, Uint16Array.of(0, 65535))]).toEqual([0, 1]);
  });

  it.each([0, -1, 2.5, NaN, 1e9])("size %s_isRefusedBeforeAllocation", (width) => {
    expect(() => resize(source, { width, height: 4 })).toThrow(expect.objectContaining({ code: "LG-IMAGE-006" }));
  });
});
