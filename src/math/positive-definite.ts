import { LeadglassError } from "../errors.ts";

/**
 * Solves (A + ridge I) X = B for a symmetric A [n, n] and B [n, columns], both row-major, by Cholesky's method.
 * Throws LG-BUG-001 where A + ridge I is not positive definite.
 */
export function solvePositive(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  n: number,
  { ridge = 0 }: { readonly ridge?: number } = {},
): Float64Array {
  const columns = b.length / n;
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]! + (i === j ? ridge : 0);
      for (let k = 0, p = i * n, q = j * n; k < j; k++) sum -= lower[p + k]! * lower[q + k]!;
      if (i !== j) lower[i * n + j] = sum / lower[j * n + j]!;
      else if (sum > 0) lower[i * n + i] = Math.sqrt(sum);
      else throw new LeadglassError("LG-BUG-001", `solvePositive: pivot ${i} of ${n} is not positive`);
    }
  const x = Float64Array.from(b);
  const take = (to: number, from: number, factor: number): void => {
    for (let c = 0, p = to * columns, q = from * columns; c < columns; c++) x[p + c]! -= factor * x[q + c]!;
  };
  const divide = (row: number): void => {
    const pivot = lower[row * n + row]!;
    for (let c = row * columns; c < (row + 1) * columns; c++) x[c]! /= pivot;
  };
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) take(i, k, lower[i * n + k]!);
    divide(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    divide(i);
    for (let k = 0; k < i; k++) take(k, i, lower[i * n + k]!);
  }
  return x;
}
