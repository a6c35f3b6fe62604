import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { discretise, radiomicFeatures, type Aggregation, type Region } from "../index.ts";

/** Phantom and values of the IBSI reference manual; see fixtures/ibsi_phantom.py. */
const { slices, features } = JSON.parse(
  readFileSync(new URL("../fixtures/ibsi-phantom.json", import.meta.url), "utf8"),
) as { slices: string[][]; features: Record<string, Record<string, number>> };

const values = Float64Array.from(slices.flat().join("").split("").map(Number));
const phantom: Region = {
  ...{ width: 5, height: 4, depth: 4 },
  // Outside the region stands what must not count.
  values: values.map((x) => (x === 0 ? 9 : x)),
  inside: Uint8Array.from(values, (x) => (x === 0 ? 0 : 1)),
};
const steps = { kind: "fixed-bin-size", size: 1, from: 1 } as const;

describe("radiomicFeatures", () => {
  it.each([
    "2D, averaged",
    "2D, slice-merged",
    "2.5D, direction-merged",
    "2.5D, merged",
    "3D, averaged",
    "3D, merged",
  ] as const satisfies Aggregation[])("digitalPhantom_hasThePublishedValues %s", (aggregation) => {
    const ours = radiomicFeatures(phantom, { discretisation: steps, aggregation });
    expect(Object.keys(ours).sort()).toEqual(Object.keys(features).sort());
    const dimensions = aggregation.split(",")[0]!;
    for (const [name, published] of Object.entries(features)) {
      const expected = published[aggregation] ?? published[dimensions] ?? published["all"]!;
      // The manual gives three significant digits: half a unit of the third.
      const tolerance = expected === 0 ? 0.0005 : 0.5001 * 10 ** (Math.floor(Math.log10(Math.abs(expected))) - 2);
      expect(Math.abs(ours[name]! - expected), `${name}: ${ours[name]} for ${expected}`).toBeLessThanOrEqual(tolerance);
    }
  });

  it("mirroredAndTurnedImages_haveTheSameFeatures", () => {
    // All matrices are symmetric in direction (IBSI manual, chapter 3: rotationally invariant on the grid).
    const n = 12;
    const image = Float64Array.from({ length: n * n }, (_, i) => (i * 7919) % 251);
    const turned = image.map((_, i) => image[(i % n) * n + (n - 1 - Math.floor(i / n))]!);
    const of = (pixels: Float64Array) =>
      radiomicFeatures(
        { width: n, height: n, depth: 1, values: pixels },
        { discretisation: { kind: "fixed-bin-number", bins: 8 } },
      );
    const [a, b] = [of(image), of(turned)];
    for (const name of Object.keys(a)) expect(b[name], name).toBeCloseTo(a[name]!, 9);
  });

  it("constantImage_hasNoUndefinedFeature", () => {
    const flat = { width: 6, height: 6, depth: 1, values: new Float64Array(36).fill(3) };
    const found = radiomicFeatures(flat, { discretisation: { kind: "fixed-bin-number", bins: 8 } });
    // By hand: one level, so no contrast, all pairs alike, and one zone of 36 pixels.
    expect(found).toMatchObject({
      "intensity.variance": 0,
      "intensity.skewness": 0,
      "glcm.contrast": 0,
      "glcm.correlation": 1,
      "glszm.largeEmphasis": 36 * 36,
      "ngtdm.coarseness": 1e6,
    });
    expect(Object.values(found).every(Number.isFinite)).toBe(true);
  });
});

describe("discretise", () => {
  const region = { width: 5, height: 1, depth: 1, values: [0, 24, 25, 50, 100] };
  it("fixedBinNumber_spansTheRange", () => {
    // By hand from 1 + floor(4 (x - 0) / 100): 1, 1 (0.96), 2, 3, and the maximum in the last bin.
    expect([...discretise(region, { kind: "fixed-bin-number", bins: 4 }).levels]).toEqual([1, 1, 2, 3, 4]);
  });
  it("fixedBinSize_beginsWhereItIsTold", () => {
    // By hand from 1 + floor((x + 10) / 20): 1, 2 (1.7), 2, 4, 6.
    const grey = discretise(region, { kind: "fixed-bin-size", size: 20, from: -10 });
    expect([...grey.levels]).toEqual([1, 2, 2, 4, 6]);
    expect(grey.count).toBe(6);
  });
  it("valuesBelowTheFirstBinAndEmptyRegions_areRefused", () => {
    expect(() => discretise(region, { kind: "fixed-bin-size", size: 20, from: 5 })).toThrow(/levels from 0/);
    expect(() => discretise({ ...region, inside: new Uint8Array(5) }, { kind: "fixed-bin-number", bins: 4 })).toThrow(
      /no voxel/,
    );
  });
});
