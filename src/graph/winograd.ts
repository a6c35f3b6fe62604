/**
 * Convolutions with fewer products (Winograd 1980; Lavin and Gray 2015, arXiv 1509.09308), along the rows of an image: of
 * `outputs` neighbouring rows, each a sum over `taps` rows of the kernel, all come from outputs + taps - 1 products instead
 * of outputs x taps. Columns are convolved as usual, by the runtime's own convolution in as many groups as there are
 * products: everything is standard operators. A strided kernel is cut into the phases of its stride, each with stride 1.
 */
import { add, conv, convTranspose, matMul, reshape, transpose } from "./operators.ts";
import { transposedWindowOf, windowOf, type Window } from "./rules/convolution.ts";
import { intOf } from "./shape.ts";
import { transposedByProducts } from "./transposed-convolution.ts";
import { constant, sizeOf, type Node, type Value } from "./value.ts";

/** Rows that are made together: more would save little and cost digits. */
const outputs = 4;

/** How much dearer than a product it is to move a number, and to make one of a transformed weight (measured, Zen 3). */
const productsPerMove = 20;
const productsPerWeight = 60;
/** At most so much of what is saved may be spent on transforms. */
const mostSpent = 2 / 3;
/** Products below which nothing is worth taking apart. */
const leastProducts = 2 ** 30;

interface Transforms {
  /** Of input rows, [products][outputs + taps - 1]. */
  readonly input: readonly (readonly number[])[];
  /** Of kernel rows, [products][taps]. */
  readonly kernel: readonly (readonly number[])[];
  /** Back to output rows, [outputs][products]. */
  readonly output: readonly (readonly number[])[];
}

const points = [0, 1, -1, 2, -2];
const range = (n: number): number[] => [...Array(n).keys()];

/** Coefficients, lowest first, of the product of x - root over all roots. */
const polynomial = (roots: readonly number[]): number[] =>
  roots.reduce((p, root) => [...p, 0].map((_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0)), [1]);

/** Toom and Cook's interpolation at outputs + taps - 2 points and at infinity, transposed. Float64; exact for these points. */
export function transformsOf(taps: number): Transforms {
  const products = outputs + taps - 1;
  const finite = points.slice(0, products - 1);
  const others = (i: number): number[] => finite.filter((_, j) => j !== i);
  const padded = (row: readonly number[], length: number): number[] => range(length).map((i) => row[i] ?? 0);
  return {
    input: [...finite.map((_, i) => polynomial(others(i))), polynomial(finite)].map((row) => padded(row, products)),
    kernel: [
      ...finite.map((a, i) => range(taps).map((k) => a ** k / others(i).reduce((n, b) => n * (a - b), 1))),
      range(taps).map((k) => Number(k === taps - 1)),
    ],
    output: range(outputs).map((j) => [...finite.map((a) => a ** j), Number(j === outputs - 1)]),
  };
}

/** What both directions need to know of a window of rows and columns; undefined where it cannot be taken apart. */
function rowsOf({ kernel, strides, dilations }: Window): { stride: number; taps: number } | undefined {
  const [stride, taps] = [strides[0]!, kernel[0]! / strides[0]!];
  const fits = kernel.length === 2 && dilations.every((d) => d === 1) && (taps === 2 || taps === 3) && stride > 1;
  return fits ? { stride, taps } : undefined;
}

/** Whether the products that are saved pay for the numbers that are moved. */
function pays(sizes: { direct: number; taps: number; moved: number; weights: number }): boolean {
  const saved = sizes.direct * (1 - (outputs + sizes.taps - 1) / (outputs * sizes.taps));
  const spent = productsPerMove * sizes.moved + productsPerWeight * sizes.weights;
  return sizes.direct >= leastProducts && spent < mostSpent * saved;
}

/**
 * The kernel's rows transformed, [products x a, b x stride, 1, columns] for a weight [a, b, rows, columns]; `reversed` for
 * a transposed convolution, which meets the rows of its input from the last tap to the first.
 */
function kernelOf(w: Value, stride: number, taps: number, reversed: boolean): Value {
  const [a, b, rows, columns] = w.shape as [number, number, number, number];
  const { kernel } = transformsOf(taps);
  const [from, to] = [rows * columns, stride * columns];
  const matrix = new Float32Array(kernel.length * from * to);
  kernel.forEach((row, q) => {
    for (let r = 0; r < rows; r++) {
      const tap = Math.floor(r / stride);
      for (let c = 0; c < columns; c++)
        matrix[(q * from + r * columns + c) * to + (r % stride) * columns + c] = row[reversed ? taps - 1 - tap : tap]!;
    }
  });
  const made = matMul(reshape(w, [1, a * b, from]), constant(matrix, [kernel.length, from, to]));
  return reshape(made, [kernel.length * a, b * stride, 1, columns]);
}

/**
 * Input rows transformed, [images, products x channels x stride, tiles, columns], where tile t of phase p is made of the
 * rows stride (outputs t + i) + p - before; rows outside the image are zeros.
 */
function inputOf(
  x: Value,
  taps: number,
  { stride, tiles, before }: { stride: number; tiles: number; before: number },
): Value {
  // prettier-ignore
  const [images, channels, rows, columns] = x.shape as [number, number, number, number];
  const { input } = transformsOf(taps);
  const products = input.length;
  const matrix = new Float32Array(products * stride * tiles * rows);
  input.forEach((coefficients, q) => {
    for (let p = 0; p < stride; p++)
      for (let t = 0; t < tiles; t++)
        coefficients.forEach((coefficient, i) => {
          const row = stride * (outputs * t + i) + p - before;
          if (row >= 0 && row < rows) matrix[((q * stride + p) * tiles + t) * rows + row] = coefficient;
        });
  });
  const made = matMul(
    constant(matrix, [1, products, 1, stride * tiles, rows]),
    reshape(x, [images, 1, channels, rows, columns]),
  );
  return reshape(made, [images, products * channels * stride, tiles, columns]);
}

/** Products [images, products x channels x stride, tiles, columns] to [images, channels, tiles x outputs x stride, columns]. */
function outputOf(m: Value, taps: number, channels: number, stride: number): Value {
  const [images, , tiles, columns] = m.shape as [number, number, number, number];
  const { output } = transformsOf(taps);
  const products = output[0]!.length;
  const matrix = constant(Float32Array.from(output.flat()), [1, outputs, products]);
  const rows = matMul(matrix, reshape(m, [images, products, channels * stride * tiles * columns]));
  const apart = transpose(reshape(rows, [images, outputs, channels, stride, tiles, columns]), [0, 2, 4, 1, 3, 5]);
  return reshape(apart, [images, channels, tiles * outputs * stride, columns]);
}

const withBias = (y: Value, bias: Value | undefined): Value => (bias ? add(y, reshape(bias, [-1, 1, 1])) : y);

/** A strided convolution of two spatial axes with fewer products; undefined where it cannot be had or does not pay. */
export function convByFewerProducts(node: Node, x: Value, w: Value, bias: Value | undefined): Value | undefined {
  const [y] = node.outputs;
  if (x.shape.length !== 4 || x.dtype !== "float32" || intOf(node.attributes, "group", 1) !== 1) return undefined;
  const window = windowOf(node, x.shape.slice(2), w.shape.slice(2));
  const rows = rowsOf(window);
  const [, , height] = y!.shape as [number, number, number];
  if (!rows || height % outputs !== 0) return undefined;
  const { taps } = rows;
  const more = (outputs + taps - 1) / outputs;
  const direct = sizeOf(y!.shape) * sizeOf(w.shape.slice(1));
  const weights = (sizeOf(w.shape) * (outputs + taps - 1)) / taps;
  const moved = more * (sizeOf(x.shape) + sizeOf(y!.shape)) + sizeOf(y!.shape);
  return pays({ direct, taps, moved, weights }) ? withBias(fewerProducts(x, w, window, height), bias) : undefined;
}

/** The same, whether it pays or not; `height` is that of the result. */
export function fewerProducts(x: Value, w: Value, window: Window, height: number): Value {
  const { stride, taps } = rowsOf(window)!;
  const [top, left, , right] = window.pads as [number, number, number, number];
  const seen = inputOf(x, taps, { stride, tiles: height / outputs, before: top });
  const products = conv(seen, kernelOf(w, stride, taps, false), undefined, {
    strides: [1, window.strides[1]!],
    pads: [0, left, 0, right],
    group: outputs + taps - 1,
  });
  return outputOf(products, taps, w.shape[0]!, 1);
}

/** The same for a transposed convolution. */
export function convTransposeByFewerProducts(
  node: Node,
  x: Value,
  w: Value,
  bias: Value | undefined,
): Value | undefined {
  const [y] = node.outputs;
  if (x.shape.length !== 4 || x.dtype !== "float32" || intOf(node.attributes, "group", 1) !== 1) return undefined;
  const window = transposedWindowOf(node, x.shape.slice(2), w.shape.slice(2));
  const rows = rowsOf(window);
  const [, , height] = y!.shape as [number, number, number];
  if (!rows || height % (outputs * rows.stride) !== 0 || window.pads[0]! % rows.stride !== 0) return undefined;
  const { taps } = rows;
  const more = (outputs + taps - 1) / outputs;
  const direct = sizeOf(x.shape) * sizeOf(w.shape.slice(1));
  const weights = (sizeOf(w.shape) * (outputs + taps - 1)) / taps;
  const moved = more * (sizeOf(x.shape) + sizeOf(y!.shape)) + sizeOf(y!.shape);
  if (!pays({ direct, taps, moved, weights })) return undefined;
  return withBias(fewerProductsTransposed(x, w, window, height), bias);
}

/** The same, whether it pays or not; `height` is that of the result. */
export function fewerProductsTransposed(
  x: Value,
  w: Value,
  window: ReturnType<typeof transposedWindowOf>,
  height: number,
): Value {
  const { stride, taps } = rowsOf(window)!;
  const [top, left, , right] = window.pads as [number, number, number, number];
  // Row stride i + p of the uncut result is the sum over taps k of x[i - k] and kernel row stride k + p.
  const first = top / stride;
  const seen = inputOf(x, taps, { stride: 1, tiles: height / stride / outputs, before: taps - 1 - first });
  const kernel = kernelOf(w, stride, taps, true);
  const products = convTranspose(seen, kernel, undefined, {
    strides: [1, window.strides[1]!],
    pads: [0, left, 0, right],
    outputPadding: [0, window.outputPadding[1]!],
    group: outputs + taps - 1,
  });
  const made = (products.kind === "result" && transposedByProducts(products.node, seen, kernel, undefined)) || products;
  return outputOf(made, taps, w.shape[1]!, stride);
}
