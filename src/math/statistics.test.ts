import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { argsort, mean, midranks, normalCdf, normalQuantile, quantileSorted, variance } from "./statistics.ts";

const relative = (got: number, expected: number) => Math.abs(got - expected) / Math.abs(expected);
const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

describe("normal distribution", () => {
  // scipy 1.17.1: scipy.special.ndtr(x)
  it.each([
    [-37, 5.7255712225239266e-300],
    [-8, 6.22096057427174e-16],
    [-1.96, 0.024997895148220435],
    [0, 0.5],
    [1, 0.8413447460685429],
    [6, 0.9999999990134123],
  ])("normalCdf_agreesWithScipy at %d", (x, expected) => {
    expect(relative(normalCdf(x), expected)).toBeLessThan(1e-12);
  });

  // scipy 1.17.1: scipy.special.ndtri(p)
  it.each([
    [1e-300, -37.0470962993612],
    [1e-10, -6.361340902404056],
    [0.025, -1.9599639845400545],
    [0.3, -0.5244005127080409],
    [0.975, 1.959963984540054],
    [0.999999, 4.753424308817087],
  ])("normalQuantile_agreesWithScipy at %d", (p, expected) => {
    expect(relative(normalQuantile(p), expected)).toBeLessThan(1e-12);
  });

  it("normalQuantile_hasTheLimitsOfTheDistribution", () => {
    expect([0, 0.5, 1].map(normalQuantile)).toEqual([-Infinity, expect.closeTo(0, 15), Infinity]);
    expect([-0.1, 1.1, NaN].map(normalQuantile)).toEqual([NaN, NaN, NaN]);
  });

  it("normalQuantile_invertsNormalCdf", () => {
    fc.assert(
      fc.property(fc.double({ min: -30, max: 5, noNaN: true }), (x) => {
        // Above 5 the probability itself rounds by more than 1e-9 in x.
        expect(Math.abs(normalQuantile(normalCdf(x)) - x)).toBeLessThan(1e-9);
      }),
    );
  });
});

describe("moments and order statistics", () => {
  it("variance_isUnbiased", () => {
    // By hand: mean 5, squares 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, over 7.
    expect(variance([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(32 / 7, 12);
    expect(variance([3])).toBeNaN();
    expect(mean([])).toBeNaN();
  });

  it("quantileSorted_agreesWithNumpy", () => {
    // numpy 2.4.6: np.quantile([1, 2, 4, 8], [0, .1, .5, .9, 1])
    const sorted = [1, 2, 4, 8];
    expect([0, 0.1, 0.5, 0.9, 1].map((p) => quantileSorted(sorted, p))).toEqual(
      [1, 1.3, 3, 6.8, 8].map((x) => expect.closeTo(x, 12)),
    );
    expect(quantileSorted([], 0.5)).toBeNaN();
    expect(quantileSorted([1], 1.5)).toBeNaN();
  });

  it("midranks_sharesRanksAmongTies", () => {
    // scipy 1.17.1: scipy.stats.rankdata([3, 1, 3, 2, 3])
    expect([...midranks([3, 1, 3, 2, 3])]).toEqual([4, 1, 4, 2, 4]);
  });

  it("midranks_countSmallerAndHalfOfEqual", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 30 }), (values) => {
        const counted = values.map(
          (x) => values.filter((y) => y < x).length + (values.filter((y) => y === x).length + 1) / 2,
        );
        expect([...midranks(values)]).toEqual(counted);
      }),
    );
  });

  it("argsort_sortsAndKeepsTheOrderOfEquals", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(finite, fc.constantFrom(0, 1)), { maxLength: 30 }), (values) => {
        const order = [...argsort(values)];
        order.slice(1).forEach((j, k) => {
          const i = order[k]!;
          expect(values[i]! < values[j]! || (values[i]! === values[j]! && i < j)).toBe(true);
        });
        expect(order.toSorted((i, j) => i - j)).toEqual(values.map((_, i) => i));
      }),
    );
  });
});
