import { describe, expect, it } from "vitest";
import { evaluate } from "../autodiff/testing.ts";
import { input } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { parameterCount } from "./model.ts";
import { ringFeatures, ringsLinear } from "./rings.ts";

const size = 128;
const at = (f: (x: number, y: number) => number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => f((2 * (i % size) + 1) / size - 1, (2 * Math.floor(i / size) + 1) / size - 1)); // prettier-ignore

async function featuresOf(...images: readonly Float32Array[]): Promise<number[][]> {
  const rows = images.length;
  const image = input("image", [rows, 1, size, size]);
  const data = new Float32Array(rows * size * size);
  images.forEach((pixels, i) => data.set(pixels, i * size * size));
  const { f } = await evaluate({ f: ringFeatures(image) }, { image: data });
  const n = f!.shape[1]!;
  return images.map((_, i) => Array.from(f!.data as Float32Array).slice(i * n, (i + 1) * n));
}

/** Places of the radial numbers of the finest octave: after five ring means and five log energies. */
const radial = [10, 11, 12, 13, 14];

describe("ring features", () => {
  it("are91_ofWhichALinearModelReads64Components", async () => {
    expect((await featuresOf(new Float32Array(size * size)))[0]).toHaveLength(91);
    expect(parameterCount(ringsLinear({ rows: 1, channels: 1, imageSize: 128, outputs: 1 }))).toBe(65);
  });

  it("ofADisc_areTheDiscsBrightnessByRing", async () => {
    // A disc of radius 0.5 fills the first two of five rings. By hand: its share p of pixels is pi / 16 (0.1963, by
    // counting pixels too); with 255 b + 1 for a deviation b = sqrt(p (1 - p)), (1 - p) 255 / (255 b + 1) inside.
    const disc = at((x, y) => Number(Math.hypot(x, y) <= 0.5));
    const p = disc.reduce((s, v) => s + v, 0) / disc.length;
    expect(p).toBeCloseTo(Math.PI / 16, 2);
    const deviation = 255 * Math.sqrt(p * (1 - p)) + 1;
    const [inside, outside] = [(1.5 * 255 * (1 - p)) / deviation, (-1.5 * 255 * p) / deviation];
    const [found] = await featuresOf(disc);
    [inside, inside, outside, outside, outside].forEach((v, ring) => expect(found![ring]).toBeCloseTo(v, 3));
  });

  it("tellOutlinesFromSpicules", async () => {
    // Waves that run outwards from the middle, and around it: the sign of the radial numbers is their definition.
    const [outlines, spicules] = await featuresOf(
      at((x, y) => 0.5 + 0.3 * Math.sin(0.6 * Math.PI * 64 * Math.hypot(x, y))),
      at((x, y) => 0.5 + 0.3 * Math.sin(24 * Math.atan2(y, x))),
    );
    for (const i of radial.slice(1, 4)) expect(outlines![i]).toBeGreaterThan(3);
    for (const i of radial.slice(0, 2)) expect(spicules![i]).toBeLessThan(-1);
  });

  it("doNotChange_whenTheImageIsTurnedOrMirrored", async () => {
    using random = seededRandom("rings");
    const image = at(() => random.uniform());
    const turned = Float32Array.from(image, (_, i) => image[(size - 1 - (i % size)) * size + Math.floor(i / size)]!);
    const mirrored = Float32Array.from(image, (_, i) => image[Math.floor(i / size) * size + size - 1 - (i % size)]!);
    const [a, b, c] = await featuresOf(image, turned, mirrored);
    // Halving starts at a corner, so that coarser octaves are only nearly the same: the finest and all pixels' are exact.
    const exact = [...Array(20).keys(), ...Array.from({ length: 11 }, (_, i) => 80 + i)];
    for (const i of exact)
      for (const other of [b!, c!]) expect(Math.abs(other[i]! - a![i]!), String(i)).toBeLessThan(2e-3);
  });
});
