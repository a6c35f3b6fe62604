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
import { constant, sizeOf, type Node, type Shape, type Value } from "./value.ts";

/** Rows that are made together: more would save little and cost digits. */
const outputs = 4;

/**
 * How much dearer than a product it is to move a number, to make one of a transformed weight, and to take one of its
 * gradient back (measured, Zen 3).
 */
const productsPerMove = 20;
const productsPerWeight = 60;
const productsPerWeightGradient = 180;
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

const without = (finite: readonly number[], a: number): number[] => finite.filter((b) => b !== a);
const product = (numbers: readonly number[]): number => numbers.reduce((n, a) => n * a, 1);

/** Toom and Cook's interpolation at the given points, of which one is infinity, transposed. */
function interpolation(at: readonly number[], taps: number): Transforms {
  const products = at.length;
  const finite = without(at, Infinity);
  const scale = (a: number): number => product(without(finite, a).map((b) => a - b));
  const last = (n: number): number[] => range(n).map((k) => Number(k === n - 1));
  return {
    input: at.map((a) => polynomial(without(finite, a))).map((row) => range(products).map((i) => row[i] ?? 0)),
    kernel: at.map((a) => (a === Infinity ? last(taps) : range(taps).map((k) => a ** k / scale(a)))),
    output: range(outputs).map((j) => at.map((a) => (a === Infinity ? last(outputs)[j]! : a ** j))),
  };
}

/**
 * At 0, 1, -1, 2, -2 and infinity, or as few of them as it takes; exact in float64. `reversed` is for a kernel whose taps
 * come from the last to the first: its values at the reciprocal points are multiples of those of the kernel itself, so its
 * transform of the kernel is the same, and the multiples go into that of the input.
 */
export function transformsOf(taps: number, reversed = false): Transforms {
  const at = [...points.slice(0, outputs + taps - 2), Infinity];
  const usual = interpolation(at, taps);
  if (!reversed) return usual;
  const found = interpolation(
    at.map((a) => (a === 0 ? Infinity : a === Infinity ? 0 : 1 / a)),
    taps,
  );
  // How the transforms of the reversed and of the usual kernel compare, by the first tap that either has.
  const multiple = (q: number): number => {
    const mine = [...found.kernel[q]!].reverse();
    const k = usual.kernel[q]!.findIndex((v) => v !== 0);
    return mine[k]! / usual.kernel[q]![k]!;
  };
  return { ...found, kernel: usual.kernel, input: found.input.map((row, q) => row.map((v) => v * multiple(q))) };
}

/** What both directions need to know of a window of rows and columns; undefined where it cannot be taken apart. */
function rowsOf({ kernel, strides, dilations }: Window): { stride: number; taps: number } | undefined {
  const [stride, taps] = [strides[0]!, kernel[0]! / strides[0]!];
  const fits = kernel.length === 2 && dilations.every((d) => d === 1) && (taps === 2 || taps === 3) && stride > 1;
  return fits ? { stride, taps } : undefined;
}

/**
 * Whether the products that are saved pay for the numbers that are moved, between an image, what a convolution makes of it
 * and the kernel; in any of the three directions.
 */
function pays(image: Shape, result: Shape, kernel: Shape, taps: number, perWeight = productsPerWeight): boolean {
  const products = outputs + taps - 1;
  // Each number of the result, of all channels of the image or of the result, by each place of the kernel.
  const direct = sizeOf(result) * sizeOf(kernel.slice(2)) * image[1]!;
  const saved = direct * (1 - products / (outputs * taps));
  const moved = (products / outputs) * (sizeOf(image) + sizeOf(result)) + sizeOf(result);
  const spent = productsPerMove * moved + (perWeight * sizeOf(kernel) * products) / taps;
  return direct >= leastProducts && spent < mostSpent * saved;
}

/** Matrices by what they depend on: one object wherever the same is needed, so that equal products are made once. */
const matrices = new Map<string, Value>();

function matrixOf(key: readonly unknown[], shape: Shape, fill: (numbers: Float32Array) => void): Value {
  const text = JSON.stringify(key);
  const known = matrices.get(text);
  if (known) return known;
  const numbers = new Float32Array(sizeOf(shape));
  fill(numbers);
  const made = constant(numbers, shape);
  matrices.set(text, made);
  return made;
}

/** From all rows and columns of a kernel to those of each product and phase, [products, rows x columns, stride x columns]. */
function kernelMatrix(stride: number, taps: number, columns: number): Value {
  const { kernel } = transformsOf(taps);
  const [from, to] = [stride * taps * columns, stride * columns];
  return matrixOf(["kernel", stride, taps, columns], [kernel.length, from, to], (numbers) => {
    kernel.forEach((row, q) => {
      for (let r = 0; r < stride * taps; r++)
        for (let c = 0; c < columns; c++)
          numbers[(q * from + r * columns + c) * to + (r % stride) * columns + c] = row[Math.floor(r / stride)]!;
    });
  });
}

/** The kernel's rows transformed, [products x a, b x stride, 1, columns] for a weight [a, b, rows, columns]. */
function kernelOf(w: Value, stride: number, taps: number): Value {
  const [a, b, rows, columns] = w.shape as [number, number, number, number];
  const made = matMul(reshape(w, [1, a * b, rows * columns]), kernelMatrix(stride, taps, columns));
  return reshape(made, [made.shape[0]! * a, b * stride, 1, columns]);
}

/**
 * Input rows transformed, [images, products x channels x stride, tiles, columns], where tile t of phase p is made of the
 * rows stride (outputs t + i) + p - before; rows outside the image are zeros.
 */
function inputOf(
  x: Value,
  { input }: Transforms,
  { stride, tiles, before }: { stride: number; tiles: number; before: number },
): Value {
  const [images, channels, rows, columns] = x.shape as [number, number, number, number];
  const products = input.length;
  const matrix = matrixOf(
    ["input", input, stride, tiles, before, rows],
    [1, products, 1, stride * tiles, rows],
    (numbers) => {
      input.forEach((coefficients, q) => {
        for (let p = 0; p < stride; p++)
          for (let t = 0; t < tiles; t++)
            coefficients.forEach((coefficient, i) => {
              const row = stride * (outputs * t + i) + p - before;
              if (row >= 0 && row < rows) numbers[((q * stride + p) * tiles + t) * rows + row] = coefficient;
            });
      });
    },
  );
  const made = matMul(matrix, reshape(x, [images, 1, channels, rows, columns]));
  return reshape(made, [images, products * channels * stride, tiles, columns]);
}

/** Products [images, products x channels x stride, tiles, columns] to [images, channels, tiles x outputs x stride, columns]. */
function outputOf(m: Value, { output }: Transforms, channels: number, stride: number): Value {
  const [images, , tiles, columns] = m.shape as [number, number, number, number];
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
  if (!pays(x.shape, y!.shape, w.shape, rows.taps)) return undefined;
  return withBias(fewerProducts(x, w, window, height), bias);
}

/** The same, whether it pays or not; `height` is that of the result. */
export function fewerProducts(x: Value, w: Value, window: Window, height: number): Value {
  const { stride, taps } = rowsOf(window)!;
  const [top, left, , right] = window.pads as [number, number, number, number];
  const transforms = transformsOf(taps);
  const seen = inputOf(x, transforms, { stride, tiles: height / outputs, before: top });
  const products = conv(seen, kernelOf(w, stride, taps), undefined, {
    strides: [1, window.strides[1]!],
    pads: [0, left, 0, right],
    group: outputs + taps - 1,
  });
  return outputOf(products, transforms, w.shape[0]!, 1);
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
  if (!pays(y!.shape, x.shape, w.shape, rows.taps)) return undefined;
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
  const transforms = transformsOf(taps, true);
  const seen = inputOf(x, transforms, { stride: 1, tiles: height / stride / outputs, before: taps - 1 - first });
  const kernel = kernelOf(w, stride, taps);
  const products = convTranspose(seen, kernel, undefined, {
    strides: [1, window.strides[1]!],
    pads: [0, left, 0, right],
    outputPadding: [0, window.outputPadding[1]!],
    group: outputs + taps - 1,
  });
  const made = (products.kind === "result" && transposedByProducts(products.node, seen, kernel, undefined)) || products;
  return outputOf(made, transforms, w.shape[1]!, stride);
}

/** A weight gradient as that of a convolution in groups, one for each product, along columns alone. */
export interface FewerWeightProducts {
  readonly image: Value;
  readonly cotangent: Value;
  readonly window: Window;
  readonly group: number;
  /** Of the weight in groups. */
  readonly shape: Shape;
  /** From its gradient to that of the weight itself. */
  readonly finish: (gradient: Value) => Value;
}

/**
 * The gradient of a weight [out, in, rows, columns] that maps `image` to something with cotangent `cotangent`, with fewer
 * products: the convolution of {@link fewerProducts} by its kernel, taken back. Undefined where it cannot be had or does
 * not pay.
 */
export function weightGradientByFewerProducts(
  image: Value,
  cotangent: Value,
  window: Window,
  weight: Shape,
): FewerWeightProducts | undefined {
  const rows = rowsOf(window);
  if (!rows || image.dtype !== "float32" || cotangent.shape[2]! % outputs !== 0) return undefined;
  if (!pays(image.shape, cotangent.shape, weight, rows.taps, productsPerWeightGradient)) return undefined;
  return fewerWeightProducts(image, cotangent, window, weight);
}

/** The same, whether it pays or not. */
export function fewerWeightProducts(
  image: Value,
  cotangent: Value,
  window: Window,
  weight: Shape,
): FewerWeightProducts {
  const { stride, taps } = rowsOf(window)!;
  const [out, channels, height, columns] = weight as [number, number, number, number];
  const [images, , of, width] = cotangent.shape as [number, number, number, number];
  const [top, left, , right] = window.pads as [number, number, number, number];
  const [products, tiles] = [outputs + taps - 1, of / outputs];
  const transforms = transformsOf(taps);
  const back = matrixOf(["back", taps], [1, products, outputs], (numbers) => {
    transforms.output.forEach((row, j) => row.forEach((v, q) => (numbers[q * outputs + j] = v)));
  });
  const apart = transpose(reshape(cotangent, [images, out, tiles, outputs, width]), [0, 3, 1, 2, 4]);
  const spread = matMul(back, reshape(apart, [images, outputs, out * tiles * width]));
  return {
    image: inputOf(image, transforms, { stride, tiles, before: top }),
    cotangent: reshape(spread, [images, products * out, tiles, width]),
    window: { kernel: [1, columns], strides: [1, window.strides[1]!], dilations: [1, 1], pads: [0, left, 0, right] },
    group: products,
    shape: [products * out, channels * stride, 1, columns],
    finish: (gradient) => {
      const [from, to] = [height * columns, stride * columns];
      const matrix = transpose(kernelMatrix(stride, taps, columns), [0, 2, 1]);
      const each = transpose(reshape(gradient, [products, out * channels, to]), [1, 0, 2]);
      const made = matMul(reshape(each, [out * channels, products * to]), reshape(matrix, [products * to, from]));
      return reshape(made, weight);
    },
  };
}
