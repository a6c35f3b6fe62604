import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { augmentVolume } from "./augment-volume.ts";

const shape = [4, 5, 6] as const;
const [depth, height, width] = shape;
const data = Float32Array.from({ length: depth * height * width }, (_, i) => i);
const at = (z: number, y: number, x: number): number => data[(z * height + y) * width + x]!;
const clamp = (i: number, side: number): number => Math.min(side - 1, Math.max(0, i));

describe("augmentVolume", () => {
  it("everyView_isAShiftOfTheVolume_withTheNearestVoxelBeyondItsBorder_mirroredAboutHalfTheTime", () => {
    const seen = new Set<string>();
    let mirrored = 0;
    for (let seed = 0; seed < 200; seed++) {
      const view = augmentVolume(data, shape, { shift: 0.25, flipHorizontal: true }, seededRandom(seed, "view"));
      // Shifts of at most a quarter of each side, to whole voxels: 1 of 4, 1 of 5, 2 (1.5 rounded) of 6.
      const found = [];
      for (let dz = -1; dz <= 1; dz++)
        for (let dy = -1; dy <= 1; dy++)
          for (let dx = -2; dx <= 2; dx++)
            for (const flip of [false, true]) {
              const expected = (z: number, y: number, x: number): number =>
                at(clamp(z - dz, depth), clamp(y - dy, height), clamp((flip ? width - 1 - x : x) - dx, width));
              if (view.every((v, i) => v === expected(Math.floor(i / 30), Math.floor(i / 6) % 5, i % 6)))
                found.push({ key: [dz, dy, dx].join(), flip });
            }
      expect(found).toHaveLength(1);
      seen.add(found[0]!.key);
      mirrored += Number(found[0]!.flip);
    }
    expect(seen.size).toBeGreaterThan(20);
    // Binomial(200, 1/2): 60 to 140 is outside with probability 1.5e-8; the seeds are fixed.
    expect(mirrored).toBeGreaterThan(60);
    expect(mirrored).toBeLessThan(140);
  });

  it("withNothingToVary_isTheVolume_andTheSameSourceGivesTheSameView", () => {
    expect(augmentVolume(data, shape, {}, seededRandom(1, "view"))).toEqual(data);
    const view = () => augmentVolume(data, shape, { shift: 0.3 }, seededRandom(2, "view"));
    expect(view()).toEqual(view());
  });

  it("wrongAmountsAndLengths_areRefused", () => {
    const refused = expect.objectContaining({ code: "LG-IMAGE-008" }) as Error;
    expect(() => augmentVolume(data, shape, { shift: 2 }, seededRandom(1, "view"))).toThrow(refused);
    expect(() => augmentVolume(data, [4, 5, 5], {}, seededRandom(1, "view"))).toThrow(refused);
    expect(() => augmentVolume(data, shape, {}, seededRandom(1, "view"), { out: new Float32Array(3) })).toThrow(refused); // prettier-ignore
  });
});
