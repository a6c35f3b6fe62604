import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "./random.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

const symmetric = (n: number, seed: number): Float64Array => {
  const random = seededRandom(seed, "symmetric");
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = random.gaussian();
  return a;
};

describe("symmetricEigen", () => {
  it("secondDifferences_haveTheKnownValues", () => {
    // Closed form: the values of the matrix with 2 on and -1 beside the diagonal are 2 - 2 cos(k pi / (n + 1)).
    const n = 40;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
    }
    const values = symmetricEigen(a, n).values.sort();
    values.forEach((value, k) => expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)), 13));
  });

  it("vectorsAndValues_rebuildTheMatrix_andVectorsAreOrthonormal", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.integer({ min: 0, max: 1e6 }), (n, seed) => {
        const a = symmetric(n, seed);
        const { values, vectors } = symmetricEigen(a, n);
        for (let i = 0; i < n; i++)
          for (let j = 0; j < n; j++) {
            let [rebuilt, inner] = [0, 0];
            for (let k = 0; k < n; k++) {
              rebuilt += values[k]! * vectors![k * n + i]! * vectors![k * n + j]!;
              inner += vectors![i * n + k]! * vectors![j * n + k]!;
            }
            expect(Math.abs(rebuilt - a[i * n + j]!)).toBeLessThan(1e-11);
            expect(Math.abs(inner - (i === j ? 1 : 0))).toBeLessThan(1e-12);
          }
        const alone = symmetricEigen(a, n, { vectors: false });
        expect(alone.vectors).toBeNull();
        expect([...alone.values]).toEqual([...values]);
      }),
      { numRuns: 40 },
    );
  });

  it("aProductOfFewRows_hasThatRank_andItsTrace", () => {
    // 20 rows of 90 columns scaled over nine decades: 70 values are 0, and the trace is the sum of squares of all entries.
    const [rows, n] = [20, 90];
    const random = seededRandom(3, "rows");
    const x = Float64Array.from({ length: rows * n }, (_, i) => random.gaussian() * 10 ** ((i % n) / 10 - 8));
    const a = new Float64Array(n * n);
    for (let r = 0; r < rows; r++)
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j]! += x[r * n + i]! * x[r * n + j]!;
    const values = symmetricEigen(a, n).values.sort();
    const trace = x.reduce((sum, v) => sum + v * v, 0);
    for (const zero of values.subarray(0, n - rows)) expect(Math.abs(zero)).toBeLessThan(1e-13 * trace);
    expect(values.reduce((sum, v) => sum + v, 0) / trace).toBeCloseTo(1, 13);
  });

  it("lowRankAndZero_areExactEnough", () => {
    // u u' with |u|^2 = 30: one value 30, the others 0.
    const u = [1, 2, 3, 4];
    const values = symmetricEigen(Float64Array.from(u.flatMap((x) => u.map((y) => x * y))), 4).values.sort();
    expect(values[3]).toBeCloseTo(30, 12);
    for (const zero of values.subarray(0, 3)) expect(Math.abs(zero)).toBeLessThan(1e-13);
    expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
    expect(() => symmetricEigen(Float64Array.of(NaN), 1)).toThrow(/finite/);
  });
});
