import { describe, expect, it } from "vitest";
import { largestEigenpairs } from "./eigen.ts";

describe("largestEigenpairs", () => {
  it("secondDifferences_haveTheirKnownEigenvalues", () => {
    // 2 on the diagonal and -1 beside it: eigenvalues 4 sin^2(k pi / (2 (n + 1))), vectors sin(j k pi / (n + 1)).
    const n = 12;
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      matrix[i * n + i] = 2;
      if (i > 0) matrix[i * n + i - 1] = matrix[(i - 1) * n + i] = -1;
    }
    const { values, vectors } = largestEigenpairs(matrix, n, 3);
    values.forEach((v, i) => {
      const k = n - i;
      expect(v).toBeCloseTo(4 * Math.sin((k * Math.PI) / (2 * (n + 1))) ** 2, 10);
      let overlap = 0;
      for (let j = 0; j < n; j++)
        overlap += vectors[i * n + j]! * Math.sin(((j + 1) * k * Math.PI) / (n + 1)) * Math.sqrt(2 / (n + 1));
      expect(Math.abs(overlap)).toBeCloseTo(1, 8);
    });
  });

  it("lowRank_isRecovered_whereTheRestIsZero", () => {
    const n = 40;
    const direction = (f: number): Float64Array => Float64Array.from({ length: n }, (_, i) => Math.cos(f * (i + 0.5) * (Math.PI / n)) * Math.sqrt(2 / n)); // prettier-ignore
    const [u, v] = [direction(1), direction(2)];
    const matrix = Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return 9 * u[i]! * u[j]! + 4 * v[i]! * v[j]!;
    });
    // Cosine vectors of different frequency are orthonormal (DCT-II), so the eigenvalues are 9 and 4.
    const { values } = largestEigenpairs(matrix, n, 4);
    [9, 4, 0, 0].forEach((expected, i) => expect(values[i]).toBeCloseTo(expected, 8));
  });
});
