import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bodyBox, cropVolume, resampleVolume } from "./volume-geometry.ts";
import type { ResampleTarget } from "./volume-geometry.ts";
import { AIR_HU, volumeTensor, windowed, windows } from "./volume.ts";
import type { Volume } from "./volume.ts";

type Triple = readonly [number, number, number];
interface Fixture {
  shape: Triple;
  spacing: Triple;
  source: number[];
  cases: { kernel: "linear" | "nearest"; target: ResampleTarget; shape: number[]; spacing: number[]; data: number[] }[];
}
const fixture = JSON.parse(readFileSync(new URL("fixtures/volume.json", import.meta.url), "utf8")) as Fixture;
const source: Volume = {
  shape: fixture.shape,
  spacingMm: fixture.spacing,
  data: Float32Array.from(fixture.source),
};

const side = (max: number) => fc.integer({ min: 1, max });
const shapes = fc.tuple(side(7), side(7), side(7));
const spacings = fc.tuple(...([0, 1, 2].map(() => fc.double({ min: 0.3, max: 6, noNaN: true })) as [fc.Arbitrary<number>, fc.Arbitrary<number>, fc.Arbitrary<number>])); // prettier-ignore
const filled = (shape: Triple, spacingMm: Triple, value: (z: number, y: number, x: number) => number): Volume => {
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  let i = 0;
  for (let z = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++) for (let x = 0; x < shape[2]; x++) data[i++] = value(z, y, x);
  return { shape, spacingMm, data };
};

describe("windowed", () => {
  it("ends_areZeroAndOne_centreIsHalf_beyondIsCutOff", () => {
    // By the definition: -160 = 40 - 400 / 2 and 240 = 40 + 400 / 2.
    expect([...windowed(Float32Array.of(-1024, -160, 40, 140, 240, 3071), "abdomen")]).toEqual([0, 0, 0.5, 0.75, 1, 1]);
    for (const window of Object.values(windows))
      expect(windowed(Float32Array.of(window.centre), window)[0]).toBeCloseTo(0.5, 6);
  });

  it.each([
    "pelvis",
    "constructor",
    { centre: 0, width: 0 },
    { centre: NaN, width: 1 },
    { centre: 0, width: Infinity },
  ])("window %o_isRefused", (window) => {
    expect(() => windowed(new Float32Array(1), window as "lung")).toThrow(
      expect.objectContaining({ code: "LG-IMAGE-011" }),
    );
  });
});

describe("resampleVolume", () => {
  // Expected: scipy.ndimage where voxels become smaller, Pillow's antialiased triangle where they become larger
  // (fixtures/volume.py). Values up to 1000 written with 4 decimals, sums in float32: 1e-3.
  it.each(fixture.cases)("values_areThoseOfSciPyOrPillow: $kernel to $target", ({ kernel, target, ...wanted }) => {
    const out = resampleVolume(source, target, { kernel });
    expect(out.shape).toEqual(wanted.shape);
    out.spacingMm.forEach((mm, a) => expect(mm).toBeCloseTo(wanted.spacing[a]!, 9));
    wanted.data.forEach((value, i) => expect(Math.abs(out.data[i]! - value)).toBeLessThan(1e-3));
  });

  it("itsOwnShapeOrSpacing_changesNothing", () => {
    expect(resampleVolume(source, { shape: source.shape })).toEqual(source);
    expect(resampleVolume(source, { spacingMm: source.spacingMm })).toEqual(source);
  });

  it("constant_staysConstant_andSpacingIsExact", () => {
    fc.assert(
      fc.property(shapes, spacings, spacings, (shape, from, to) => {
        const out = resampleVolume(filled(shape, from, () => -700), { spacingMm: to }); // prettier-ignore
        expect(out.spacingMm).toEqual(to);
        for (const value of out.data) expect(Math.abs(value + 700)).toBeLessThan(1e-3); // float32 sums
      }),
    );
  });

  it("nearest_makesNoNewValue", () => {
    fc.assert(
      fc.property(shapes, shapes, (shape, target) => {
        const labels = filled(shape, [1, 1, 1], (z, y, x) => (z * 5 + y * 3 + x) % 4);
        const out = resampleVolume(labels, { shape: target }, { kernel: "nearest" });
        for (const value of out.data) expect([0, 1, 2, 3]).toContain(value);
      }),
    );
  });

  it("aRamp_isReadAtTheTargetsPlaces_whenSpacingChanges", () => {
    // Linear interpolation of a ramp is the ramp. Centre-aligned: target voxel i of m lies at (i + 1/2 - m/2) * 0.5 mm from
    // the centre, which is source voxel 10 - 1/2; away from the edges.
    const ramp = filled([1, 1, 20], [1, 1, 1], (_z, _y, x) => x);
    const out = resampleVolume(ramp, { spacingMm: [1, 1, 0.5] });
    expect(out.shape).toEqual([1, 1, 40]);
    for (let i = 5; i < 35; i++) expect(out.data[i]).toBeCloseTo(9.5 + (i + 0.5 - 20) * 0.5, 5);
  });

  it("fineStripes_doNotAlias_whenVoxelsBecomeThreeTimesAsLarge", () => {
    // Stripes of two voxels' period, -100 and 100: sampling without smoothing would give +-100 in alternation. A triangle
    // of six voxels keeps at most 1/9 of them (weights 1 2 3 2 1 over 9: 1 - 2 + 3 - 2 + 1 = 1 of 9).
    const stripes = filled([1, 1, 60], [1, 1, 1], (_z, _y, x) => (x % 2 === 0 ? -100 : 100));
    const out = resampleVolume(stripes, { spacingMm: [1, 1, 3] });
    for (let i = 1; i < 19; i++) expect(Math.abs(out.data[i]!)).toBeLessThan(100 / 9 + 1e-3);
  });

  it.each([
    { shape: [0, 1, 1] },
    { shape: [1.5, 1, 1] },
    { shape: [4096, 4096, 4096] },
    { spacingMm: [0, 1, 1] },
    { spacingMm: [1, NaN, 1] },
    { spacingMm: [1e-9, 1, 1] },
  ])("target %o_isRefused", (target) => {
    const refused = expect.objectContaining({ code: "LG-IMAGE-011" }) as Error;
    expect(() => resampleVolume(source, target as unknown as ResampleTarget)).toThrow(refused);
  });
});

describe("cropVolume", () => {
  it("everyVoxel_isThatOfTheSource_orFill", () => {
    fc.assert(
      fc.property(shapes, shapes, (from, shape) => {
        const numbered = filled(from, [1, 2, 3], (z, y, x) => 1 + (z * 10 + y) * 10 + x);
        const out = cropVolume(numbered, { shape, fill: -5 });
        const shift = [0, 1, 2].map((a) => Math.floor((from[a]! - shape[a]!) / 2)); // the centres coincide
        expect(out).toEqual(
          filled(shape, [1, 2, 3], (...at) => {
            const [z, y, x] = at.map((value, a) => value + shift[a]!) as [number, number, number];
            return [z, y, x].every((value, a) => value >= 0 && value < from[a]!) ? 1 + (z * 10 + y) * 10 + x : -5;
          }),
        );
      }),
    );
  });

  it("padThenCrop_isTheVolumeAgain", () => {
    fc.assert(
      fc.property(shapes, fc.tuple(side(4), side(4), side(4)), (shape, more) => {
        const volume = filled(shape, [1, 1, 1], (z, y, x) => z * 100 + y * 10 + x);
        // An even number more, so that both sides get as many.
        const larger = cropVolume(volume, { shape: [shape[0] + 2 * more[0], shape[1] + 2 * more[1], shape[2] + 2 * more[2]] }); // prettier-ignore
        expect(cropVolume(larger, { shape })).toEqual(volume);
      }),
    );
  });

  it("aBox_isCutOut_alsoBeyondTheEdge", () => {
    const volume = filled([1, 3, 4], [1, 1, 1], (_z, y, x) => 10 * y + x);
    expect([...cropVolume(volume, { box: { start: [0, 1, 2], end: [1, 3, 4] } }).data]).toEqual([12, 13, 22, 23]);
    expect([...cropVolume(volume, { box: { start: [0, 2, 3], end: [1, 4, 5] }, fill: 7 }).data]).toEqual([23, 7, 7, 7]);
    expect([...cropVolume(volume, { shape: [1, 1, 1], box: { start: [0, 9, 9], end: [1, 10, 10] } }).data]).toEqual([
      0,
    ]);
  });
});

describe("bodyBox", () => {
  // A body of water, a table of two rows of carbon under a gap of air, and a wire.
  const hu = (z: number, y: number, x: number) =>
    z >= 1 && z <= 3 && y >= 4 && y <= 8 && x >= 2 && x <= 7 ? 0 : y === 1 || (y === 0 && x === 9) ? 50 : -1000;
  it("isThatOfTheBody_notOfTheTable", () => {
    expect(bodyBox(filled([5, 10, 10], [1, 1, 1], hu))).toEqual({ start: [1, 4, 2], end: [4, 9, 8] });
  });

  it("withoutABody_isTheWholeVolume", () => {
    expect(bodyBox(filled([2, 3, 4], [1, 1, 1], () => -1000))).toEqual({ start: [0, 0, 0], end: [2, 3, 4] });
  });

  it("anyVolume_boxHoldsALargestSet_byAnIndependentCount", () => {
    // Oracle: labels spread by repeated sweeps until nothing changes.
    fc.assert(
      fc.property(shapes, fc.integer(), (shape, seed) => {
        let state = seed | 1;
        const volume = filled(shape, [1, 1, 1], () => {
          state = (Math.imul(state, 1664525) + 1013904223) | 0;
          return state > 0 ? 0 : -1000;
        });
        const at = (z: number, y: number, x: number) => (z * shape[1] + y) * shape[2] + x;
        const label = volume.data.map((value, i) => (value > -200 ? i + 1 : 0));
        for (let changed = true; changed;) {
          changed = false;
          for (let z = 0; z < shape[0]; z++)
            for (let y = 0; y < shape[1]; y++)
              for (let x = 0; x < shape[2]; x++)
                for (const [dz, dy, dx] of [[1, 0, 0], [0, 1, 0], [0, 0, 1]] as const) {
                  if (z + dz >= shape[0] || y + dy >= shape[1] || x + dx >= shape[2]) continue;
                  const [a, b] = [at(z, y, x), at(z + dz, y + dy, x + dx)];
                  if (label[a] === 0 || label[b] === 0 || label[a] === label[b]) continue;
                  label[a] = label[b] = Math.min(label[a]!, label[b]!);
                  changed = true;
                } // prettier-ignore
        }
        const sizes = Map.groupBy([...label].filter((l) => l > 0), (l) => l); // prettier-ignore
        if (sizes.size === 0) return;
        const most = Math.max(...[...sizes.values()].map((members) => members.length));
        const { start, end } = bodyBox(volume);
        const boxes = [...sizes].flatMap(([l, members]) => {
          if (members.length < most) return [];
          const low: number[] = [...shape];
          const high = [0, 0, 0];
          label.forEach((other, i) => {
            if (other !== l) return;
            [Math.floor(i / shape[1] / shape[2]), Math.floor(i / shape[2]) % shape[1], i % shape[2]].forEach((v, a) => {
              low[a] = Math.min(low[a]!, v);
              high[a] = Math.max(high[a]!, v + 1);
            });
          });
          return [JSON.stringify([low, high])];
        });
        expect(boxes).toContain(JSON.stringify([start, end]));
      }),
    );
  });
});

describe("volumeTensor", () => {
  it("withASpacing_keepsSizes_andPadsWithAir", () => {
    const water = filled([4, 4, 4], [2, 2, 2], () => 0);
    const { shape, data } = volumeTensor(water, { shape: [6, 6, 6], spacingMm: [2, 2, 2], window: "abdomen" });
    expect(shape).toEqual([1, 6, 6, 6]);
    // Water is (0 + 160) / 400 in the abdominal window, air 0; 4^3 voxels of 6^3 are water.
    expect(data.filter((value) => value === Math.fround(0.4))).toHaveLength(64);
    expect(data.filter((value) => value === 0)).toHaveLength(216 - 64);
  });

  it("aboutTheBody_findsItWhereverItLies", () => {
    const at = (z0: number, y0: number, x0: number) =>
      filled([8, 9, 10], [1, 1, 1], (z, y, x) =>
        z >= z0 && z < z0 + 3 && y >= y0 && y < y0 + 4 && x >= x0 && x < x0 + 5 ? 60 + z - z0 : AIR_HU,
      );
    const options = { shape: [6, 6, 6], window: "abdomen", about: "body" } as const;
    const [one, other] = [volumeTensor(at(0, 1, 2), options), volumeTensor(at(5, 5, 5), options)];
    expect(one).toEqual(other);
    expect(one.data.every((value) => value > 0.5)).toBe(true); // nothing but body: stretched to the shape
    expect(volumeTensor(at(0, 1, 2), { ...options, about: "volume" })).not.toEqual(one);
  });

  it("aPlaceBeforeTheBack_isTheMiddle_whateverTheBelly", () => {
    // A mark 20 mm before the back and 5 voxels of 2 mm from the left of a body; the belly grows and the body moves.
    const at = (y0: number, belly: number, x0: number) =>
      filled([6, 40, 30], [2, 2, 2], (z, y, x) => {
        if (y < y0 || y >= y0 + belly || x < x0 || x >= x0 + 11) return AIR_HU;
        return y === y0 + 10 && x === x0 + 5 && z === 3 ? 200 : 0;
      });
    const tensor = (volume: Volume) =>
      volumeTensor(volume, { shape: [6, 8, 6], spacingMm: [2, 2, 2], window: "abdomen", about: { beforeBackMm: 20 } });
    const marks = [at(2, 20, 3), at(5, 30, 9), at(12, 26, 16)].map((v) => tensor(v).data.indexOf(Math.fround(0.9))); // (200 + 160) / 400
    // Row 10 of the body is the first past the middle of 8 rows, column 5 of its 11 the middle: 3 of 6.
    expect(marks).toEqual(Array(3).fill((3 * 8 + 4) * 6 + 3));
  });

  it("aPlaceBeforeTheBack_needsASpacing_andALength", () => {
    const water = filled([4, 4, 4], [2, 2, 2], () => 0);
    const refused = expect.objectContaining({ code: "LG-IMAGE-011" }) as Error;
    const options = { shape: [4, 4, 4], window: "abdomen" } as const;
    expect(() => volumeTensor(water, { ...options, about: { beforeBackMm: 20 } })).toThrow(refused);
    expect(() => volumeTensor(water, { ...options, spacingMm: [2, 2, 2], about: { beforeBackMm: -1 } })).toThrow(
      refused,
    );
  });

  it("windowComesLast_soThatTheEdgeOfBoneIsItsMean", () => {
    // Two voxels of 1000 HU and two of -160: averaged first, the mean 420 is above the window (1); windowed first it
    // would be 0.5.
    const edge = filled([1, 1, 4], [1, 1, 1], (_z, _y, x) => (x < 2 ? 1000 : -160));
    expect(volumeTensor(edge, { shape: [1, 1, 1], window: "abdomen" }).data[0]).toBe(1);
  });
});
