import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { augment } from "./augment.ts";
import type { Augmentation } from "./augment.ts";
import { moments } from "./normalise.ts";
import type { Planes } from "./pixels.ts";

const random = (seed: number, ...path: string[]) => seededRandom(seed, "augment test", ...path);
function noise(width: number, height: number, channels = 1, seed = 1): Planes {
  const source = random(seed, "pixels");
  const data = Float32Array.from({ length: width * height * channels }, () => source.uniform());
  return { channels, width, height, data };
}
/** A bright disc on black at (x, y), for what should move. */
function disc(size: number, x: number, y: number): Planes {
  const data = Float32Array.from({ length: size * size }, (_, i) =>
    Math.max(0, 1 - Math.hypot((i % size) - x, Math.floor(i / size) - y) / 6),
  );
  return { channels: 1, width: size, height: size, data };
}
function centreOf({ width, data }: Planes): [number, number] {
  let [sum, x, y] = [0, 0, 0];
  data.forEach((v, i) => ((sum += v), (x += v * (i % width)), (y += v * Math.floor(i / width))));
  return [x / sum, y / sum];
}
const everything: Augmentation = {
  flipHorizontal: true,
  flipVertical: true,
  rightAngles: true,
  shift: 0.1,
  rotate: 15,
  scale: 0.1,
  intensity: 0.2,
};

describe("augment", () => {
  it("nothingAsked_isTheIdentity", () => {
    const image = noise(9, 7, 3);
    expect(augment(image, {}, random(1)).data).toEqual(image.data);
  });

  it("sameSource_sameView_otherSource_otherView", () => {
    const image = noise(16, 16);
    expect(augment(image, everything, random(5)).data).toEqual(augment(image, everything, random(5)).data);
    expect(augment(image, everything, random(5)).data).not.toEqual(augment(image, everything, random(6)).data);
  });

  it("everyView_takesTheSameNumberOfDraws_whateverIsAskedFor", () => {
    const image = noise(8, 8);
    const [one, two] = [random(2), random(2)];
    augment(image, {}, one);
    augment(image, everything, two);
    expect(one.uint32()).toBe(two.uint32());
  });

  it("flipsAndRightAngles_permutePixelsExactly_andAllEightOccur", () => {
    const image = noise(6, 6);
    const sorted = [...image.data].sort();
    const seen = new Set<string>();
    const spec = { flipHorizontal: true, flipVertical: true, rightAngles: true };
    for (let seed = 0; seed < 200; seed++) {
      const view = augment(image, spec, random(seed)).data;
      expect([...view].sort()).toEqual(sorted);
      seen.add(view.join());
    }
    // The symmetries of the square: 8. All 16 draws are alike, so 200 of them miss one with probability below 1e-10.
    expect(seen.size).toBe(8);
  });

  it("flipHorizontal_mirrorsRows_orLeavesThem", () => {
    const image: Planes = { channels: 1, width: 3, height: 1, data: Float32Array.of(1, 2, 3) };
    const views = new Set(
      Array.from({ length: 40 }, (_, s) => augment(image, { flipHorizontal: true }, random(s)).data.join()),
    );
    expect(views).toEqual(new Set(["1,2,3", "3,2,1"]));
  });

  it("shift_movesByAtMostTheFraction_inBothDirections", () => {
    const image = disc(64, 32, 32);
    const moves = Array.from({ length: 100 }, (_, s) => centreOf(augment(image, { shift: 0.1 }, random(s)))[0] - 32);
    // 0.1 * 64 = 6.4 pixels; 0.1 for the disc's discretisation.
    expect(Math.max(...moves.map(Math.abs))).toBeLessThan(6.5);
    expect(Math.max(...moves)).toBeGreaterThan(4);
    expect(Math.min(...moves)).toBeLessThan(-4);
  });

  it("rotate_keepsTheDistanceFromTheCentre", () => {
    const image = disc(65, 48, 32);
    for (let seed = 0; seed < 30; seed++) {
      const [x, y] = centreOf(augment(image, { rotate: 30 }, random(seed)));
      // The disc stands 16 pixels from the middle pixel (32, 32); 0.2 for resampling.
      expect(Math.abs(Math.hypot(x - 32, y - 32) - 16)).toBeLessThan(0.2);
      expect(Math.abs(Math.atan2(y - 32, x - 32))).toBeLessThan((31 * Math.PI) / 180);
    }
  });

  it("scale_changesTheAreaWithinItsBounds", () => {
    const image = disc(64, 31.5, 31.5);
    const area = (p: Planes) => p.data.reduce((a, b) => a + b);
    const ratios = Array.from({ length: 60 }, (_, s) => area(augment(image, { scale: 0.2 }, random(s))) / area(image));
    // Area goes with the square of the enlargement: 1 / 1.44 to 1.44, 2 % for sampling a small disc.
    expect(Math.max(...ratios)).toBeLessThan(1.44 * 1.02);
    expect(Math.min(...ratios)).toBeGreaterThan(0.98 / 1.44);
    expect(Math.max(...ratios)).toBeGreaterThan(1.2);
  });

  it("intensity_isRelativeToTheImage_soNormalisationMayComeBefore", () => {
    const image = noise(16, 16);
    const moved = { ...image, data: image.data.map((v) => 5 * v - 2) };
    const [a, b] = [image, moved].map((p) => augment(p, { intensity: 0.3 }, random(9)).data) as [
      Float32Array,
      Float32Array,
    ];
    // The view of (5 v - 2) is 5 (view of v) - 2, to float32 rounding of values up to 5.
    a.forEach((v, i) => expect(Math.abs(b[i]! - (5 * v - 2))).toBeLessThan(1e-4));
    expect(moments(a).mean).not.toBeCloseTo(moments(image.data).mean, 3);
  });

  it("anyView_isFinite_andStaysWithinTheRangeWhenOnlyMoved", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom<"replicate" | "reflect">("replicate", "reflect"),
        (seed, side, edge) => {
          const image = noise(side, side, 2, 3);
          const { intensity: _, ...geometry } = everything;
          const view = augment(image, { ...geometry, shift: 1, rotate: 180 }, random(seed), { edge });
          const finite = augment(image, everything, random(seed)).data.every(Number.isFinite);
          return finite && view.data.every((v) => v >= 0 && v <= 1);
        },
      ),
    );
  });

  it("constantImage_staysConstant", () => {
    const image = { channels: 1, width: 8, height: 8, data: new Float32Array(64).fill(0.5) };
    expect(augment(image, everything, random(3)).data.every((v) => Math.abs(v - 0.5) < 1e-6)).toBe(true);
  });

  it("reflect_mirrorsAtTheBorder", () => {
    const image: Planes = { channels: 1, width: 4, height: 1, data: Float32Array.of(1, 2, 3, 4) };
    // A shift by a whole width in either direction shows the mirrored image: with "replicate", one border value.
    const shown = Array.from(
      { length: 50 },
      (_, s) => augment(image, { shift: 1 }, random(s), { edge: "reflect" }).data,
    );
    expect(shown.every((d) => Math.max(...d) - Math.min(...d) > 0.4)).toBe(true);
  });

  it("out_isFilledInPlace_andMustFit", () => {
    const image = noise(4, 4);
    const out = new Float32Array(16);
    expect(augment(image, {}, random(1), { out }).data).toBe(out);
    expect(out).toEqual(image.data);
    const short = { out: new Float32Array(15) };
    expect(() => augment(image, {}, random(1), short)).toThrow(expect.objectContaining({ code: "LG-IMAGE-008" }));
  });

  it.each([{ shift: -0.1 }, { shift: NaN }, { rotate: 181 }, { scale: 2 }, { intensity: 1.5 }])(
    "amount %o_isRefused",
    (spec) => {
      expect(() => augment(noise(4, 4), spec, random(1))).toThrow(expect.objectContaining({ code: "LG-IMAGE-008" }));
    },
  );

  it("rightAngles_ofAnOblong_areRefused", () => {
    const oblong = () => augment(noise(4, 5), { rightAngles: true }, random(1));
    expect(oblong).toThrow(expect.objectContaining({ code: "LG-IMAGE-008" }));
  });
});
