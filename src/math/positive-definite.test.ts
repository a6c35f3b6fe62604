import { expect, it } from "vitest";
import { solvePositive } from "./positive-definite.ts";
import { seededRandom } from "./random.ts";

it("solution_satisfiesTheEquations", () => {
  const [n, columns, ridge] = [17, 3, 0.1];
  const random = seededRandom(5);
  const m = Array.from({ length: n * n }, () => random.gaussian());
  const a = Float64Array.from({ length: n * n }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += m[Math.floor(at / n) * n + k]! * m[(at % n) * n + k]!;
    return sum;
  });
  const b = Float64Array.from({ length: n * columns }, () => random.gaussian());
  const x = solvePositive(a, b, n, { ridge });
  for (let i = 0; i < n; i++)
    for (let c = 0; c < columns; c++) {
      let sum = ridge * x[i * columns + c]!;
      for (let k = 0; k < n; k++) sum += a[i * n + k]! * x[k * columns + c]!;
      // Residual of a well-conditioned system in float64.
      expect(sum).toBeCloseTo(b[i * columns + c]!, 9);
    }
});

it("aMatrixThatIsNotPositive_isRefused", () => {
  expect(() => solvePositive([1, 2, 2, 1], [1, 1], 2)).toThrow("pivot 1");
});
