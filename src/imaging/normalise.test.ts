import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { moments, normalise, range } from "./normalise.ts";
import type { Planes } from "./pixels.ts";

const planesOf = (values: readonly number[]): Planes => ({
  channels: 1,
  width: values.length,
  height: 1,
  data: Float32Array.from(values),
});
const pixels = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 50 });

describe("normalise", () => {
  it("minmax_fillsZeroToOne_orIsZeroForAConstant", () => {
    fc.assert(
      fc.property(pixels, (values) => {
        const { min, max } = range(normalise(planesOf(values), "minmax").data);
        return min === 0 && (max === 0 || Math.abs(max - 1) < 1e-6);
      }),
    );
  });

  it("standardise_hasMeanZeroAndDeviationOne_orIsZeroForAConstant", () => {
    fc.assert(
      fc.property(pixels, (values) => {
        const { mean, std } = moments(normalise(planesOf(values), "standardise").data);
        // Float32 pixels of a nearly flat image keep few digits: 1e-2 in the worst case accepted here.
        return Math.abs(mean) < 1e-2 && (std === 0 || Math.abs(std - 1) < 1e-2);
      }),
    );
  });

  it.each([0, 0.1, 1 / 3, 1, 1000.1])("constantImageOf %s_becomesZeros_neverNaN", (value) => {
    const planes = { channels: 1, width: 100, height: 100, data: new Float32Array(10_000).fill(value) };
    for (const mode of ["minmax", "standardise"] as const)
      expect(normalise(planes, mode).data.every((v) => v === 0)).toBe(true);
  });

  it("fixedConstants_applyPerChannelAsWritten", () => {
    const planes: Planes = { channels: 2, width: 1, height: 1, data: Float32Array.of(0.5, 0.5) };
    // (0.5 - 0.25) / 0.5 and (0.5 - 1) / 0.25
    expect([...normalise(planes, { mean: [0.25, 1], std: [0.5, 0.25] }).data]).toEqual([0.5, -2]);
    expect([...normalise(planes, { mean: 0.25, std: 0.5 }).data]).toEqual([0.5, 0.5]);
  });

  it.each([
    { mean: 0, std: 0 },
    { mean: 0, std: -1 },
    { mean: NaN, std: 1 },
    { mean: [0, 0], std: 1 },
  ])("constants %o_areRefused", (constants) => {
    expect(() => normalise(planesOf([1]), constants)).toThrow(expect.objectContaining({ code: "LG-IMAGE-007" }));
  });

  it("theInputIsNeverWrittenInto", () => {
    const planes = planesOf([1, 2, 4]);
    for (const mode of ["none", "minmax", "standardise", { mean: 1, std: 2 }] as const) normalise(planes, mode);
    expect([...planes.data]).toEqual([1, 2, 4]);
  });
});
