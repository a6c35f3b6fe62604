/** Kernel ridge regression by conjugate gradients: a linear or smooth predictor for small studies, without training loops. */

/** Row-major features, `rows` x `columns`. */
export interface Table {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * Columns shifted and scaled to mean 0 and deviation 1 by the statistics of `reference` rows; a column that is constant
 * there becomes 0 everywhere. What is not finite counts as the mean.
 */
export function standardised({ rows, columns, data }: Table, reference: readonly number[]): Table {
  const out = new Float64Array(data.length);
  for (let c = 0; c < columns; c++) {
    let [n, sum, squares] = [0, 0, 0];
    for (const r of reference) {
      const x = data[r * columns + c]!;
      if (!Number.isFinite(x)) continue;
      n++;
      sum += x;
      squares += x * x;
    }
    const mean = n > 0 ? sum / n : 0;
    const deviation = n > 0 ? Math.sqrt(Math.max(0, squares / n - mean * mean)) : 0;
    if (!(deviation > 1e-9 * Math.max(1, Math.abs(mean)))) continue;
    for (let r = 0; r < rows; r++) {
      const x = data[r * columns + c]!;
      out[r * columns + c] = Number.isFinite(x) ? (x - mean) / deviation : 0;
    }
  }
  return { rows, columns, data: out };
}

/** Inner products of all rows divided by the number of columns, rows x rows. */
export function linearKernel({ rows, columns, data }: Table): Float64Array {
  const kernel = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++)
    for (let j = i; j < rows; j++) {
      let sum = 0;
      for (let c = 0, a = i * columns, b = j * columns; c < columns; c++) sum += data[a + c]! * data[b + c]!;
      kernel[i * rows + j] = kernel[j * rows + i] = sum / columns;
    }
  return kernel;
}

/** exp(-distance^2 / (2 columns)) of all rows, on top of the linear kernel: smooth and linear effects together. */
export function smoothKernel(table: Table): Float64Array {
  const linear = linearKernel(table);
  const { rows } = table;
  const squares = Float64Array.from({ length: rows }, (_, i) => linear[i * rows + i]!);
  return linear.map((product, at) => {
    const [i, j] = [Math.floor(at / rows), at % rows];
    return product + Math.exp(-(squares[i]! + squares[j]! - 2 * product) / 2);
  });
}

/**
 * Fits on the `fit` rows of a kernel matrix [rows, rows] and predicts for the `ask` rows: the targets' mean plus
 * k (K + ridge I)^-1 (y - mean), solved by conjugate gradients to 1e-4 or 100 iterations.
 */
export function kernelRidge(
  kernel: Float64Array,
  rows: number,
  targets: ArrayLike<number>,
  { fit, ask, ridge }: { readonly fit: readonly number[]; readonly ask: readonly number[]; readonly ridge: number },
): Float64Array {
  const n = fit.length;
  const mean = fit.reduce((sum, r) => sum + targets[r]!, 0) / n;
  const matrix = new Float64Array(n * n);
  fit.forEach((r, i) => fit.forEach((s, j) => (matrix[i * n + j] = kernel[r * rows + s]!)));
  const solution = new Float64Array(n);
  const residual = Float64Array.from(fit, (r) => targets[r]! - mean);
  const direction = residual.slice();
  const applied = new Float64Array(n);
  let norm = dot(residual, residual);
  const enough = 1e-8 * norm;
  for (let iteration = 0; iteration < 100 && norm > enough; iteration++) {
    for (let i = 0; i < n; i++) applied[i] = dotAt(matrix, i * n, direction) + ridge * direction[i]!;
    const step = norm / dot(direction, applied);
    for (let i = 0; i < n; i++) {
      solution[i]! += step * direction[i]!;
      residual[i]! -= step * applied[i]!;
    }
    const next = dot(residual, residual);
    for (let i = 0; i < n; i++) direction[i] = residual[i]! + (next / norm) * direction[i]!;
    norm = next;
  }
  return Float64Array.from(ask, (r) => fit.reduce((sum, s, i) => sum + kernel[r * rows + s]! * solution[i]!, mean));
}

const dotAt = (matrix: Float64Array, at: number, vector: Float64Array): number => {
  let sum = 0;
  for (let j = 0; j < vector.length; j++) sum += matrix[at + j]! * vector[j]!;
  return sum;
};
const dot = (a: Float64Array, b: Float64Array): number => dotAt(a, 0, b);
