import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dot } from "../testing.ts";
import { clipAutomatic, clipPerLayer } from "./clip.ts";
import { compileUnits, drawFeeds, oracle, type Run } from "./testing.ts";
import { unitModels } from "./testing-models.ts";

const model = (name: string) => {
  const found = unitModels.find((m) => m.name === name);
  if (!found) throw new RangeError(`no model is called ${name}`);
  return found;
};

describe("flat clipping", () => {
  // Instantiated, Gram, shared and joined parameters.
  const names = ["small convolutional network", "MatMul over few positions", "attention block", "a weight used twice"];

  it.each(names)("clippedGradient_hasBoundedNorm: %s", async (name) => {
    const layout = { units: 4, views: 2 };
    for (const clipNorm of [1e-6, 0.25, 1e6]) {
      await using step = await compileUnits(model(name), layout, { clipNorm });
      await fc.assert(
        fc.asyncProperty(fc.nat(1e6), fc.constantFrom(1e-3, 1, 30), async (seed, scale) => {
          const feeds = drawFeeds(model(name), layout, seed);
          feeds["x"] = Float32Array.from(Array.from(feeds["x"]!, Number), (v) => v * scale);
          for (let u = 0; u < layout.units; u++) {
            // Present alone, a unit's sum is its clipped gradient.
            const present = Array.from({ length: layout.units }, (_, i) => Number(i === u));
            const run = await step.run(feeds, present);
            const got = Math.sqrt(
              run.sums.reduce((total, s) => total + dot(s.data as Float32Array, s.data as Float32Array), 0),
            );
            // 1e-5: the norm, the factor and the product are float32.
            expect(got).toBeLessThanOrEqual(clipNorm * (1 + 1e-5));
            expect(Math.abs(got / Math.min(clipNorm, run.norms[u]!) - 1)).toBeLessThan(1e-5);
          }
        }),
        { seed: 2026, numRuns: 6 },
      );
    }
  });

  it("sensitivity_isTheClipNorm [adding a unit moves the sum by at most that]", async () => {
    const layout = { units: 3, views: 1 };
    const network = model("small convolutional network");
    await using step = await compileUnits(network, layout, { clipNorm: 0.5 });
    const feeds = drawFeeds(network, layout, 3);
    const [without, all] = [await step.run(feeds, [1, 1, 0]), await step.run(feeds, [1, 1, 1])];
    const moved = all.sums.flatMap((s, i) =>
      Array.from(s.data, Number).map((v, k) => v - Number(without.sums[i]!.data[k])),
    );
    expect(all.norms[2]).toBeGreaterThan(0.5);
    expect(Math.abs(Math.sqrt(dot(moved, moved)) - 0.5)).toBeLessThan(1e-5);
  });

  it("aUnitWhoseGradientCancels_neverHasNormNaN", async () => {
    // Three equal views whose weights add up to 0: Gram matrices multiply to a sum of large terms that cancels, and that
    // rounding leaves now above and now below 0. |A| |B| is about 200 here, its square 4e4; 30 roundings of 6e-8 leave 0.1
    // of the squared norm.
    const network = model("MatMul over few positions");
    const layout = { units: 8, views: 3 };
    await using step = await compileUnits(network, layout);
    for (let seed = 0; seed < 20; seed++) {
      const feeds = drawFeeds(network, layout, seed);
      const x = feeds["x"] as Float32Array;
      const size = x.length / 24;
      const weights = new Float32Array(24);
      for (let u = 0; u < 8; u++) {
        for (const v of [1, 2]) x.copyWithin((3 * u + v) * size, 3 * u * size, (3 * u + 1) * size);
        const [a, b] = [Math.fround(0.1 + 0.07 * u), Math.fround(0.3 + 0.01 * seed)];
        weights.set([a, b, -Math.fround(a + b)], 3 * u);
      }
      const run = await step.run({ ...feeds, weights });
      run.norms.forEach((n) => {
        expect(n).toBeLessThan(0.4);
      });
    }
  });
});

const length = (sums: Run["sums"]): number =>
  Math.sqrt(sums.reduce((total, s) => total + dot(s.data as Float32Array, s.data as Float32Array), 0));
const alone = (units: number, unit: number): number[] => Array.from({ length: units }, (_, i) => Number(i === unit));

describe("per-layer clipping", () => {
  // Instantiated, Gram and shared forms; parameters in one, two and as many layers as there are.
  const cases = ["small convolutional network", "attention block", "a weight used twice"].flatMap((name) =>
    [1, 2, Infinity].map((layers): [string, number] => [name, layers]),
  );

  it.each(cases)("eachLayer_hasItsPartOfTheNorm, and all together the norm: %s in %d layers", async (name, most) => {
    const network = model(name);
    const layout = { units: 3, views: 2 };
    const layers = Object.keys(network.parameters).map((_, i) => `layer ${i % most}`);
    const count = new Set(layers).size;
    const clipNorm = 0.3;
    const clip = (found: Parameters<typeof clipPerLayer>[0], present: Parameters<typeof clipPerLayer>[3]) =>
      clipPerLayer(found, clipNorm, layers, present);
    await using step = await compileUnits(network, layout, { clip });
    const feeds = drawFeeds(network, layout, 5);
    const units = await oracle(network, layout, feeds);
    for (let u = 0; u < layout.units; u++) {
      const run = await step.run(feeds, alone(layout.units, u));
      const normOf = (gradients: Run["sums"], layer: string): number =>
        length(gradients.filter((_, i) => layers[i] === layer));
      const factors = [...new Set(layers)].map((layer) => {
        const before = normOf(units[u]!, layer);
        const factor = Math.min(1, clipNorm / Math.sqrt(count) / before);
        // 1e-5: norms, factors and products are float32 on both sides.
        expect(Math.abs(normOf(run.sums, layer) / (factor * before) - 1)).toBeLessThan(1e-5);
        return factor;
      });
      expect(length(run.sums)).toBeLessThanOrEqual(clipNorm * (1 + 1e-5));
      expect(Math.abs(run.factors[u]! / Math.min(...factors) - 1)).toBeLessThan(1e-5);
      expect(Math.abs(run.norms[u]! / length(units[u]!) - 1)).toBeLessThan(1e-5);
    }
  });
});

describe("automatic clipping", () => {
  it.each(["small convolutional network", "attention block"])(
    "theClippedGradient_isNormTimesGOverGPlusGamma: %s",
    async (name) => {
      const network = model(name);
      const layout = { units: 3, views: 2 };
      const [clipNorm, gamma] = [0.7, 0.01];
      await using step = await compileUnits(network, layout, {
        clip: (found, present) => clipAutomatic(found, clipNorm, gamma, present),
      });
      const feeds = drawFeeds(network, layout, 6);
      const units = await oracle(network, layout, feeds);
      for (let u = 0; u < layout.units; u++) {
        const run = await step.run(feeds, alone(layout.units, u));
        const before = length(units[u]!);
        // arXiv 2206.07136, AUTO-S; 1e-5 for float32 on both sides.
        expect(Math.abs(length(run.sums) / ((clipNorm * before) / (before + gamma)) - 1)).toBeLessThan(1e-5);
        expect(length(run.sums)).toBeLessThan(clipNorm);
      }
    },
  );
});
