import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply, input, mul, reshape, sizeOf } from "../../graph/index.ts";
import { relativeError, type Evaluated, type Feed } from "../testing.ts";
import { unitGradients } from "./gradients.ts";
import { checkUnits, clippedSum, compileUnits, drawFeeds, oracle, unitTolerance } from "./testing.ts";
import { unitModels } from "./testing-models.ts";

const layouts = [1, 2, 3, 5].flatMap((units) => [1, 2, 3].map((views) => ({ units, views })));

describe("per-unit gradients", () => {
  it("modelNames_areUnique", () => {
    expect(new Set(unitModels.map((m) => m.name)).size).toBe(unitModels.length);
  });

  it.each(unitModels)("perUnitGradients_equalThoseOfEachUnitAlone: $name", async (model) => {
    for (const [i, layout] of layouts.entries()) await checkUnits(model, layout, 100 + i, i % 2 === 1);
  });

  it("perUnitGradients_sumToTheBatchGradient", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...unitModels),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(1e6),
        async (model, units, views, seed) => {
          await using step = await compileUnits(model, { units, views });
          const run = await step.run(drawFeeds(model, { units, views }, seed));
          run.totals.forEach((total, i) => {
            expect(relativeError(total.data, run.batch[i]!.data), `${model.name}: parameter ${i}`).toBeLessThan(
              unitTolerance,
            );
          });
        },
      ),
      { seed: 2026, numRuns: 120 },
    );
  });

  it.each(unitModels)("paddingAndBrokenUnits_changeNoOtherUnit: $name", async (model) => {
    const layout = { units: 4, views: 2 };
    const feeds = drawFeeds(model, layout, 7);
    const alone = await oracle(model, layout, feeds);
    const clipNorm = Math.fround(0.5 * clippedSum(alone, 1).norms[0]!);
    const [first, second] = alone as [Evaluated[], Evaluated[]];
    const expected = clippedSum([first, second], clipNorm);
    await using step = await compileUnits(model, layout, { clipNorm });

    // Units 2 and 3 are padding: numbers like any other, but no weight.
    const weights = Float32Array.from(Array.from(feeds["weights"]!, Number), (w, row) => (row < 4 ? w : 0));
    const padded = await step.run({ ...feeds, weights }, [1, 1, 0, 0]);
    expect(padded.norms.slice(2), "norms of padding").toEqual([0, 0]);
    padded.sums.forEach((s, i) => {
      expect(relativeError(s.data, expected.sums[i]!), `sum of parameter ${i}`).toBeLessThan(unitTolerance);
    });

    // A unit whose images are not numbers spoils the sum only if its norm says so, and no other norm at all.
    const whole = await step.run(feeds);
    const broken: Record<string, Feed> = { ...feeds };
    let poisoned = false;
    for (const [name, d] of Object.entries(model.data)) {
      if (d.indices) continue;
      poisoned = true;
      const shape = d.shape(8);
      const [axis, inner] = [d.axis ?? 0, sizeOf(shape.slice((d.axis ?? 0) + 1))];
      const own = shape[axis]! / layout.units;
      broken[name] = Float32Array.from(Array.from(feeds[name]!, Number), (x, at) =>
        Math.floor((Math.floor(at / inner) % shape[axis]!) / own) === 2 ? NaN : x,
      );
    }
    if (!poisoned) return;
    const run = await step.run(broken);
    expect([0, 1, 3].map((u) => run.norms[u])).toEqual([0, 1, 3].map((u) => whole.norms[u]));
    // Where the gradient does not depend on the images' numbers it stays finite, and so does the sum.
    const finite = run.sums.every((s) => s.data.every((v) => Number.isFinite(Number(v))));
    expect(finite || !Number.isFinite(run.norms[2])).toBe(true);
  });

  it("aParameterThatIsNotReached_isRefusedByName", () => {
    const [x, used, unused] = [input("x", [2, 3]), input("used", [3]), input("unused", [3])];
    const seed = input("seed", [2, 3]);
    expect(() => unitGradients(mul(x, used), seed, [used, unused], new Map([[x, 0]]), { units: 2, views: 1 })).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-003", message: expect.stringContaining("unused") }),
    );
  });

  it("aParameterWithNumbersForEveryRow_isRefusedByName", () => {
    const [x, rowwise, seed] = [input("x", [4, 3]), input("rowwise", [2, 2, 3]), input("seed", [4, 3])];
    const loss = mul(x, reshape(rowwise, [4, 3]));
    expect(() => unitGradients(loss, seed, [rowwise], new Map([[x, 0]]), { units: 2, views: 2 })).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-002", message: expect.stringContaining("rowwise") }),
    );
  });

  it("anOperatorWithoutGradient_isRefusedByNameAndPlace", () => {
    const [x, w, seed] = [input("x", [2, 3]), input("w", [3]), input("seed", [2, 3])];
    const loss = apply("Mod", [x, w], { fmod: { int: 1 } }, { name: "head/mod" })[0]!;
    expect(() => unitGradients(loss, seed, [w], new Map([[x, 0]]), { units: 2, views: 1 })).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-001", message: expect.stringContaining("Mod (head/mod)") }),
    );
  });
});
