/** The orthonormal discrete cosine transform (DCT-II) of square images, by two products with its matrix. */

const matrices = new Map<number, Float64Array>();

/** Row k, column i: sqrt((2 or 1) / n) cos(pi k (2 i + 1) / (2 n)); row-major. */
function cosines(n: number): Float64Array {
  const known = matrices.get(n);
  if (known) return known;
  const made = new Float64Array(n * n);
  for (let k = 0; k < n; k++)
    for (let i = 0; i < n; i++)
      made[k * n + i] = Math.sqrt((k === 0 ? 1 : 2) / n) * Math.cos((Math.PI * k * (2 * i + 1)) / (2 * n));
  matrices.set(n, made);
  return made;
}

/** left x, where left is [n, n], transposed on request. */
function product(left: Float64Array, x: Float64Array, n: number, transposed: boolean): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++) {
      const a = transposed ? left[k * n + i]! : left[i * n + k]!;
      for (let j = 0; j < n; j++) out[i * n + j]! += a * x[k * n + j]!;
    }
  return out;
}

function transposed(x: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[j * n + i] = x[i * n + j]!;
  return out;
}

/** Coefficients [n, n] (vertical frequency first) of an image [n, n]; squares add up to the image's. */
export function cosineTransform(image: ArrayLike<number>, n: number): Float64Array {
  const c = cosines(n);
  const columns = product(c, Float64Array.from(image), n, false);
  return transposed(product(c, transposed(columns, n), n, false), n);
}

/** The image of coefficients. */
export function inverseCosineTransform(coefficients: Float64Array, n: number): Float64Array {
  const c = cosines(n);
  const columns = product(c, coefficients, n, true);
  return transposed(product(c, transposed(columns, n), n, true), n);
}
