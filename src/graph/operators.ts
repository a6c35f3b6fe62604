/**
 * Typed builders, one per ONNX operator (opset 21). Each infers its shape when called and refuses operands that do not
 * fit, naming the operator, the operand and the shapes (LG-GRAPH-001, LG-GRAPH-002).
 */
import { apply } from "./apply.ts";
import { dtypeNumber } from "./rules/layout.ts";
import { equalShapes } from "./shape.ts";
import { int64s, type Attributes, type DType, type Shape, type Value } from "./value.ts";

const one = (op: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value =>
  apply(op, inputs, attributes, { outputs: 1 })[0]!;

const unary =
  (op: string) =>
  (x: Value): Value =>
    one(op, [x]);
const binary =
  (op: string) =>
  (a: Value, b: Value): Value =>
    one(op, [a, b]);

export const neg = unary("Neg");
export const abs = unary("Abs");
export const sign = unary("Sign");
export const sqrt = unary("Sqrt");
export const exp = unary("Exp");
export const log = unary("Log");
export const erf = unary("Erf");
export const tanh = unary("Tanh");
export const sigmoid = unary("Sigmoid");
export const relu = unary("Relu");
export const reciprocal = unary("Reciprocal");
export const softsign = unary("Softsign");
export const softplus = unary("Softplus");
export const mish = unary("Mish");
export const floor = unary("Floor");
/** To the nearest whole number; halves to the even one. */
export const round = unary("Round");
export const identity = unary("Identity");
export const not = unary("Not");
export const isNaN = unary("IsNaN");
export const isInf = unary("IsInf");
export const sin = unary("Sin");
export const cos = unary("Cos");

export const add = binary("Add");
export const sub = binary("Sub");
export const mul = binary("Mul");
export const div = binary("Div");
export const pow = binary("Pow");
export const equal = binary("Equal");
export const greater = binary("Greater");
export const greaterOrEqual = binary("GreaterOrEqual");
export const less = binary("Less");
export const lessOrEqual = binary("LessOrEqual");
export const and = binary("And");
export const or = binary("Or");
/** Batched matrix product over the last two axes: [..., m, k] x [..., k, n] -> [..., m, n]. */
export const matMul = binary("MatMul");

/** Elementwise maximum, with broadcasting. */
export const max = (...xs: Value[]): Value => one("Max", xs);
/** Elementwise minimum, with broadcasting. */
export const min = (...xs: Value[]): Value => one("Min", xs);
/** Elementwise sum of any number of tensors. */
export const sum = (xs: readonly Value[]): Value => (xs.length === 1 ? xs[0]! : one("Sum", xs));
export const where = (condition: Value, a: Value, b: Value): Value => one("Where", [condition, a, b]);
/** max(x, 0) + slope min(x, 0). */
export const leakyRelu = (x: Value, slope = 0.01): Value => one("LeakyRelu", [x], { alpha: { float: slope } });
/** clamp(alpha x + beta, 0, 1): the one-pass affine map of ONNX. */
export const hardSigmoid = (x: Value, alpha: number, beta: number): Value =>
  one("HardSigmoid", [x], { alpha: { float: alpha }, beta: { float: beta } });
export const gelu = (x: Value, approximate: "none" | "tanh" = "none"): Value =>
  one("Gelu", [x], { approximate: { string: approximate } });
export const clip = (x: Value, low?: Value, high?: Value): Value => one("Clip", [x, low, high]);

/** alpha A' B' + beta C on matrices. */
export const gemm = (
  a: Value,
  b: Value,
  c?: Value,
  { transA = false, transB = false, alpha = 1, beta = 1 } = {},
): Value =>
  one("Gemm", c ? [a, b, c] : [a, b], {
    transA: { int: Number(transA) },
    transB: { int: Number(transB) },
    alpha: { float: alpha },
    beta: { float: beta },
  });

export interface ConvolutionOptions {
  readonly strides?: readonly number[];
  /** [begin..., end...] */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly group?: number;
}

const windowAttributes = (kernel: readonly number[], o: ConvolutionOptions): Attributes => ({
  kernel_shape: { ints: kernel },
  strides: { ints: o.strides ?? kernel.map(() => 1) },
  pads: { ints: o.pads ?? [...kernel, ...kernel].map(() => 0) },
  dilations: { ints: o.dilations ?? kernel.map(() => 1) },
});

/** Convolution: x [batch, channels, ...spatial], w [out, channels / group, ...kernel], bias [out]. */
export const conv = (x: Value, w: Value, bias?: Value, options: ConvolutionOptions = {}): Value =>
  one("Conv", bias ? [x, w, bias] : [x, w], {
    ...windowAttributes(w.shape.slice(2), options),
    group: { int: options.group ?? 1 },
  });

/** Transposed convolution: x [batch, channels, ...spatial], w [channels, out / group, ...kernel], bias [out]. */
export const convTranspose = (
  x: Value,
  w: Value,
  bias?: Value,
  options: ConvolutionOptions & { readonly outputPadding?: readonly number[] } = {},
): Value =>
  one("ConvTranspose", bias ? [x, w, bias] : [x, w], {
    ...windowAttributes(w.shape.slice(2), options),
    group: { int: options.group ?? 1 },
    output_padding: { ints: options.outputPadding ?? w.shape.slice(2).map(() => 0) },
  });

/** Maximum over windows, and the flat index of each maximum in x. */
export function maxPool(
  x: Value,
  kernel: readonly number[],
  options: ConvolutionOptions = {},
): { y: Value; indices: Value } {
  const [y, indices] = apply("MaxPool", [x], windowAttributes(kernel, options));
  return { y: y!, indices: indices! };
}

export function averagePool(
  x: Value,
  kernel: readonly number[],
  { countIncludePad = false, ...options }: ConvolutionOptions & { readonly countIncludePad?: boolean } = {},
): Value {
  const { kernel_shape, strides, pads } = windowAttributes(kernel, options);
  return one("AveragePool", [x], {
    kernel_shape: kernel_shape!,
    strides: strides!,
    pads: pads!,
    count_include_pad: { int: Number(countIncludePad) },
  });
}

/** Mean over all spatial positions: [batch, channels, ...spatial] -> [batch, channels, 1, ...]. */
export const globalAveragePool = unary("GlobalAveragePool");

const reduction =
  (op: string) =>
  (x: Value, axes?: readonly number[], keepDims = false): Value =>
    one(op, axes ? [x, int64s(axes)] : [x], { keepdims: { int: Number(keepDims) } });

export const reduceSum = reduction("ReduceSum");
export const reduceMean = reduction("ReduceMean");
export const reduceMax = reduction("ReduceMax");
export const reduceMin = reduction("ReduceMin");
export const reduceProd = reduction("ReduceProd");
export const reduceSumSquare = reduction("ReduceSumSquare");
export const reduceL1 = reduction("ReduceL1");
export const reduceL2 = reduction("ReduceL2");
export const reduceLogSumExp = reduction("ReduceLogSumExp");

export const softmax = (x: Value, axis = -1): Value => one("Softmax", [x], { axis: { int: axis } });
export const logSoftmax = (x: Value, axis = -1): Value => one("LogSoftmax", [x], { axis: { int: axis } });

/** Normalises over the axes from `axis` on; returns y, and the mean and inverse standard deviation it used. */
export function layerNormalization(
  x: Value,
  scale: Value,
  bias?: Value,
  { axis = -1, epsilon = 1e-5 } = {},
): { y: Value; mean: Value; inverseDeviation: Value } {
  const [y, mean, inverseDeviation] = apply("LayerNormalization", bias ? [x, scale, bias] : [x, scale], {
    axis: { int: axis },
    epsilon: { float: epsilon },
  });
  return { y: y!, mean: mean!, inverseDeviation: inverseDeviation! };
}

export const instanceNormalization = (x: Value, scale: Value, bias: Value, epsilon = 1e-5): Value =>
  one("InstanceNormalization", [x, scale, bias], { epsilon: { float: epsilon } });

/** GroupNormalization-21: scale and bias have one entry per channel. */
export const groupNormalization = (x: Value, scale: Value, bias: Value, groups: number, epsilon = 1e-5): Value =>
  one("GroupNormalization", [x, scale, bias], { num_groups: { int: groups }, epsilon: { float: epsilon } });

export const transpose = (x: Value, perm: readonly number[]): Value =>
  perm.every((p, i) => p === i) ? x : one("Transpose", [x], { perm: { ints: perm } });

/** Exchanges the last two axes. */
export function transposeLast(x: Value): Value {
  const r = x.shape.length;
  return transpose(x, [...Array(r - 2).keys(), r - 1, r - 2]);
}

/** One -1 may stand for what is left. A reshape of a reshape is one reshape. */
export function reshape(x: Value, shape: Shape): Value {
  const source = x.kind === "result" && x.node.op === "Reshape" ? x.node.inputs[0]! : x;
  const [y] = apply("Reshape", [source, int64s(shape)], { allowzero: { int: 1 } });
  return equalShapes(y!.shape, source.shape) ? source : y!;
}

export const slice = (
  x: Value,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
  steps: readonly number[] = axes.map(() => 1),
): Value => one("Slice", [x, int64s(starts), int64s(ends), int64s(axes), int64s(steps)]);

export const concat = (xs: readonly Value[], axis: number): Value =>
  xs.length === 1 ? xs[0]! : one("Concat", xs, { axis: { int: axis } });

export const split = (x: Value, sizes: readonly number[], axis: number): readonly Value[] =>
  apply("Split", [x, int64s(sizes)], { axis: { int: axis } });

/** Constant padding; `pads` is [begin..., end...] over all axes, and may be negative (cropping). */
export const pad = (x: Value, pads: readonly number[], value?: Value): Value =>
  pads.every((p) => p === 0) ? x : one("Pad", value ? [x, int64s(pads), value] : [x, int64s(pads)]);

export const expand = (x: Value, shape: Shape): Value =>
  equalShapes(x.shape, shape) ? x : one("Expand", [x, int64s(shape)]);

export const gather = (x: Value, indices: Value, axis = 0): Value =>
  one("Gather", [x, indices], { axis: { int: axis } });
export const gatherElements = (x: Value, indices: Value, axis = 0): Value =>
  one("GatherElements", [x, indices], { axis: { int: axis } });
export const scatterElements = (
  x: Value,
  indices: Value,
  updates: Value,
  { axis = 0, reduction: how = "none" }: { axis?: number; reduction?: "none" | "add" | "mul" | "max" | "min" } = {},
): Value => one("ScatterElements", [x, indices, updates], { axis: { int: axis }, reduction: { string: how } });

export const cast = (x: Value, dtype: DType): Value =>
  x.dtype === dtype ? x : one("Cast", [x], { to: { int: dtypeNumber(dtype) } });

/** Nearest-neighbour resize to `shape` (all axes), coordinates as ONNX "asymmetric" with floor: index = floor(i n / m). */
export const resizeNearest = (x: Value, shape: Shape): Value =>
  one("Resize", [x, undefined, undefined, int64s(shape)], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" },
  });

export const squeeze = (x: Value, axes: readonly number[]): Value => one("Squeeze", [x, int64s(axes)]);
export const unsqueeze = (x: Value, axes: readonly number[]): Value => one("Unsqueeze", [x, int64s(axes)]);
export const flatten = (x: Value, axis = 1): Value => one("Flatten", [x], { axis: { int: axis } });
