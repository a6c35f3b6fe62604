/** The largest eigenvalues of a symmetric matrix with their vectors. */
import { LeadglassError } from "../errors.ts";
import { seededRandom } from "./random.ts";

export interface Eigenpairs {
  /** Largest first. */
  readonly values: Float64Array;
  /** One vector a row, [count, n], of length 1 and orthogonal to the others. */
  readonly vectors: Float64Array;
}

/** Directions beyond those asked for; they make the others settle faster. */
const spare = 8;
/** Rounds of iteration; each shrinks what is outside by the ratio of eigenvalues. */
const rounds = 24;

/**
 * The `count` largest eigenpairs of a positive semidefinite matrix [n, n], by subspace iteration with a Rayleigh-Ritz step
 * at the end; deterministic. Eigenvalues that nearly agree may share their vectors' plane.
 * Throws LG-BUG-001 where `count` is not from 1 to n.
 * Source: Saad, Numerical Methods for Large Eigenvalue Problems, 2011, section 5.1.
 */
export function largestEigenpairs(matrix: Float64Array, n: number, count: number): Eigenpairs {
  if (!(count >= 1 && count <= n))
    throw new LeadglassError("LG-BUG-001", `eigenpairs: ${count} of a matrix of ${n} rows were asked for`);
  const k = Math.min(n, count + spare);
  const random = seededRandom("eigenpairs");
  let basis = Float64Array.from({ length: k * n }, () => random.gaussian());
  orthonormalise(basis, k, n);
  for (let i = 0; i < rounds; i++) {
    basis = timesSymmetric(basis, matrix, k, n);
    orthonormalise(basis, k, n);
  }
  const image = timesSymmetric(basis, matrix, k, n);
  const small = new Float64Array(k * k);
  for (let i = 0; i < k; i++)
    for (let j = i; j < k; j++) small[i * k + j] = small[j * k + i] = dotRows(image, i * n, basis, j * n, n);
  const { values, vectors } = jacobi(small, k);
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]!).slice(0, count);
  const out = new Float64Array(count * n);
  order.forEach((from, to) => {
    for (let j = 0; j < k; j++) {
      const w = vectors[j * k + from]!;
      for (let c = 0; c < n; c++) out[to * n + c]! += w * basis[j * n + c]!;
    }
  });
  return { values: Float64Array.from(order, (i) => values[i]!), vectors: out };
}

function dotRows(a: Float64Array, from: number, b: Float64Array, start: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[from + i]! * b[start + i]!;
  return sum;
}

/** Rows [k, n] times a symmetric matrix; four rows at a time share a load. */
function timesSymmetric(rows: Float64Array, matrix: Float64Array, k: number, n: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(k * n);
  for (let r = 0; r < k; r += 4) {
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => Math.min(r + i, k - 1) * n) as [number, number, number, number];
    for (let j = 0; j < n; j++) {
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let i = 0, at = j * n; i < n; i++, at++) {
        const m = matrix[at]!;
        s0 += m * rows[a + i]!;
        s1 += m * rows[b + i]!;
        s2 += m * rows[c + i]!;
        s3 += m * rows[d + i]!;
      }
      out[a + j] = s0;
      out[b + j] = s1;
      out[c + j] = s2;
      out[d + j] = s3;
    }
  }
  return out;
}

/** Gram and Schmidt, twice for accuracy; a row that vanishes stays zero. */
function orthonormalise(rows: Float64Array, k: number, n: number): void {
  for (let r = 0; r < k; r++) {
    for (let pass = 0; pass < 2; pass++)
      for (let q = 0; q < r; q++) {
        const overlap = dotRows(rows, r * n, rows, q * n, n);
        for (let i = 0; i < n; i++) rows[r * n + i]! -= overlap * rows[q * n + i]!;
      }
    const norm = Math.sqrt(dotRows(rows, r * n, rows, r * n, n));
    for (let i = 0; i < n; i++) rows[r * n + i]! *= norm > 1e-150 ? 1 / norm : 0;
  }
}

/** All eigenpairs of a small symmetric matrix by Jacobi's rotations; vectors in columns. Golub and Van Loan, 8.5. */
function jacobi(matrix: Float64Array, k: number): { values: Float64Array; vectors: Float64Array } {
  const a = matrix.slice();
  const vectors = new Float64Array(k * k);
  for (let i = 0; i < k; i++) vectors[i * k + i] = 1;
  for (let sweep = 0; sweep < 30; sweep++) {
    let [off, all] = [0, 0];
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        all += a[i * k + j]! ** 2;
        if (i !== j) off += a[i * k + j]! ** 2;
      }
    if (off <= 1e-24 * all) break;
    for (let p = 0; p < k; p++)
      for (let q = p + 1; q < k; q++) {
        const apq = a[p * k + q]!;
        if (apq === 0) continue;
        const theta = (a[q * k + q]! - a[p * k + p]!) / (2 * apq);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (let i = 0; i < k; i++) {
          const [x, y] = [a[i * k + p]!, a[i * k + q]!];
          a[i * k + p] = c * x - s * y;
          a[i * k + q] = s * x + c * y;
        }
        for (let i = 0; i < k; i++) {
          const [x, y] = [a[p * k + i]!, a[q * k + i]!];
          a[p * k + i] = c * x - s * y;
          a[q * k + i] = s * x + c * y;
          const [u, v] = [vectors[i * k + p]!, vectors[i * k + q]!];
          vectors[i * k + p] = c * u - s * v;
          vectors[i * k + q] = s * u + c * v;
        }
      }
  }
  return { values: Float64Array.from({ length: k }, (_, i) => a[i * k + i]!), vectors };
}
