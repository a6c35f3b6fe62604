/** Eigenvalues and eigenvectors of real symmetric matrices. */
import { LeadglassError } from "../errors.ts";

export interface SymmetricEigen {
  /** In no particular order. */
  readonly values: Float64Array;
  /** Row k is the unit eigenvector of value k, [n, n] row-major; null where they were not asked for. */
  readonly vectors: Float64Array | null;
}

/**
 * Decomposes a symmetric matrix [n, n] (only its lower triangle is read): Householder reflections to a tridiagonal
 * matrix, then the implicit QL iteration. Backward stable: values are right to a few units of rounding of the largest.
 * Throws LG-BUG-001 where an entry is not finite.
 * Source: Golub and Van Loan, Matrix Computations, 4th edition, sections 8.3.1 and 8.3.3.
 */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
  { vectors = true }: { readonly vectors?: boolean } = {},
): SymmetricEigen {
  if (matrix.length !== n * n || !matrix.every(Number.isFinite))
    throw new LeadglassError("LG-BUG-001", `symmetricEigen: expected ${n} x ${n} finite numbers`);
  const a = matrix.slice();
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  const reflections = tridiagonalise(a, n, diagonal, beside);
  const q = vectors ? new Float64Array(n * n) : null;
  if (q) {
    for (let i = 0; i < n; i++) q[i * n + i] = 1;
    // The eigenvectors of the matrix are H1 H2 ... applied to those of the tridiagonal one: start from the product's rows.
    for (let k = reflections.length - 1; k >= 0; k--) reflect(q, n, reflections[k]!);
    transpose(q, n);
  }
  qlImplicit(diagonal, beside, n, q);
  return { values: diagonal, vectors: q };
}

/** I - 2 v v' acts on coordinates from `from` on. */
interface Reflection {
  readonly from: number;
  readonly v: Float64Array;
}

/** Columns of `a` below the first subdiagonal become zero, one reflection a column. */
function tridiagonalise(a: Float64Array, n: number, diagonal: Float64Array, beside: Float64Array): Reflection[] {
  const reflections: Reflection[] = [];
  for (let k = 0; k + 2 < n; k++) {
    const from = k + 1;
    const m = n - from;
    const v = Float64Array.from({ length: m }, (_, i) => a[(from + i) * n + k]!);
    const norm = Math.hypot(...blockwise(v));
    diagonal[k] = a[k * n + k]!;
    if (norm === 0) {
      beside[k] = 0;
      continue;
    }
    const alpha = v[0]! > 0 ? -norm : norm;
    beside[k] = alpha;
    v[0]! -= alpha;
    const length = Math.hypot(...blockwise(v));
    for (let i = 0; i < m; i++) v[i]! /= length;
    // A <- (I - 2vv') A (I - 2vv') = A - 2 v w' - 2 w v', w = A v - (v' A v) v.
    const w = new Float64Array(m);
    for (let i = 0; i < m; i++) {
      const row = (from + i) * n + from;
      let sum = 0;
      for (let j = 0; j < i; j++) {
        sum += a[row + j]! * v[j]!;
        w[j]! += a[row + j]! * v[i]!;
      }
      w[i]! += sum + a[row + i]! * v[i]!;
    }
    let inner = 0;
    for (let i = 0; i < m; i++) inner += v[i]! * w[i]!;
    for (let i = 0; i < m; i++) w[i]! -= inner * v[i]!;
    for (let i = 0; i < m; i++) {
      const row = (from + i) * n + from;
      for (let j = 0; j <= i; j++) a[row + j]! -= 2 * (v[i]! * w[j]! + w[i]! * v[j]!);
    }
    reflections.push({ from, v });
  }
  if (n >= 2) {
    diagonal[n - 2] = a[(n - 2) * n + n - 2]!;
    beside[n - 2] = a[(n - 1) * n + n - 2]!;
  }
  diagonal[n - 1] = a[n * n - 1]!;
  return reflections;
}

/** Norms of blocks: spreading a long array into a call would overflow the stack. */
function blockwise(v: Float64Array): number[] {
  const norms: number[] = [];
  for (let i = 0; i < v.length; i += 1024) norms.push(Math.hypot(...v.subarray(i, i + 1024)));
  return norms;
}

function reflect(q: Float64Array, n: number, { from, v }: Reflection): void {
  const w = new Float64Array(n);
  for (let i = 0; i < v.length; i++) {
    const row = (from + i) * n;
    for (let j = 0; j < n; j++) w[j]! += v[i]! * q[row + j]!;
  }
  for (let i = 0; i < v.length; i++) {
    const row = (from + i) * n;
    const twice = 2 * v[i]!;
    for (let j = 0; j < n; j++) q[row + j]! -= twice * w[j]!;
  }
}

function transpose(q: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) [q[i * n + j], q[j * n + i]] = [q[j * n + i]!, q[i * n + j]!];
}

const mostIterations = 60;

/** Diagonalises the tridiagonal matrix in place; rows of `q` turn with it. */
function qlImplicit(d: Float64Array, e: Float64Array, n: number, q: Float64Array | null): void {
  // Against the whole matrix, not the neighbours on the diagonal: where many values are 0, those are rounding errors too.
  const negligible = Number.EPSILON * d.reduce((most, x, i) => Math.max(most, Math.abs(x) + Math.abs(e[i]!)), 0);
  for (let l = 0; l < n; l++)
    for (let iteration = 0; ; iteration++) {
      let m = l;
      while (m + 1 < n && Math.abs(e[m]!) > negligible) m++;
      if (m === l) break;
      if (iteration === mostIterations)
        throw new LeadglassError("LG-BUG-001", `symmetricEigen: no convergence in ${mostIterations} iterations`);
      // Wilkinson's shift, then a bulge chased up from m to l by plane rotations.
      const half = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      const root = Math.hypot(half, 1);
      let g = d[m]! - d[l]! + e[l]! / (half + (half >= 0 ? root : -root));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        const r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1]! -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        const t = (d[i]! - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        if (q) turn(q, n, i, c, s);
      }
      if (i >= l) continue;
      d[l]! -= p;
      e[l] = g;
      e[m] = 0;
    }
}

function turn(q: Float64Array, n: number, i: number, c: number, s: number): void {
  const [upper, lower] = [i * n, (i + 1) * n];
  for (let k = 0; k < n; k++) {
    const f = q[lower + k]!;
    const h = q[upper + k]!;
    q[lower + k] = s * h + c * f;
    q[upper + k] = c * h - s * f;
  }
}
