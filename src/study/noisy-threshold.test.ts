import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cellsPerTarget, scoreCells, thresholdsOf } from "./noisy-threshold.ts";

describe("scoreCells", () => {
  it("oneUnit_movesEachTargetsCellsByAtMostOne_inSum, however many images it has", () => {
    const image = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, NaN), fc.nat(3));
    fc.assert(
      fc.property(fc.array(image, { minLength: 1, maxLength: 40 }), fc.nat(3), (images, gone) => {
        const cellsOf = (rows: typeof images): Float64Array =>
          scoreCells(rows.map((r) => r[0]), rows.map((r) => r[1]), rows.map((r) => r[2]), 1); // prettier-ignore
        const [whole, without] = [cellsOf(images), cellsOf(images.filter((row) => row[2] !== gone))];
        const moved = whole.map((cell, i) => cell - without[i]!);
        expect(Math.min(...moved)).toBeGreaterThanOrEqual(-1e-12);
        expect(moved.reduce((sum, x) => sum + x, 0)).toBeLessThanOrEqual(1 + 1e-12);
      }),
    );
  });
});

describe("thresholdsOf", () => {
  /** Cells of one target in which each of `of` has as many units with that score and label. */
  const cellsWith = (of: readonly (readonly [score: number, label: 0 | 1, units: number])[]): Float64Array =>
    scoreCells(
      of.flatMap(([score, , units]) => Array<number>(units).fill(score)),
      of.flatMap(([, label, units]) => Array<number>(units).fill(label)),
      Array.from({ length: of.reduce((sum, [, , units]) => sum + units, 0) }, (_, i) => i),
      1,
    );

  it("hardlyAnyNoise_separatesWhatCanBeSeparated", () => {
    // Negatives at .2 and .3, positives at .7 and .8: any edge between .3 and .7 has Youden's index 1.
    const cells = cellsWith([[0.2, 0, 500], [0.3, 0, 500], [0.7, 1, 300], [0.8, 1, 200]]); // prettier-ignore
    const [threshold] = thresholdsOf(cells, 0.01, undefined, 1);
    expect(threshold).toBeGreaterThan(0.3);
    expect(threshold).toBeLessThan(0.7);
    // The same far down, where one half would find nobody.
    const low = thresholdsOf(cellsWith([[0.02, 0, 900], [0.2, 1, 100]]), 0.01, undefined, 1); // prettier-ignore
    expect(low[0]).toBeGreaterThan(0.02);
    expect(low[0]).toBeLessThan(0.2);
  });

  it("noiseThatHidesEverything_givesOneHalf, and less gives the prevalence", () => {
    const cells = cellsWith([[0.3, 0, 900], [0.3, 1, 100]]); // prettier-ignore
    expect(thresholdsOf(cells, 1e4, undefined, 1)).toEqual([0.5]);
    // One in ten is positive: the edge nearest to log(1 / 9) = -2.197 in steps of 0.375 is -2.25, or 0.0953.
    const [threshold] = thresholdsOf(cells, 4, undefined, 1);
    expect(threshold).toBeCloseTo(1 / (1 + Math.exp(2.25)), 12);
    expect(cells).toHaveLength(cellsPerTarget);
  });
});
