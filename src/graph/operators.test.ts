import { describe, expect, it } from "vitest";
import { runGraph } from "../../test/support/run-onnx.ts";
import { isLeadglassError } from "../errors.ts";
import * as g from "./index.ts";
import * as operators from "./operators.ts";
import type { Value } from "./index.ts";

const made = new Map<string, Value>();
/** One input for each name, so that a graph may use it twice. */
function named(name: string, shape: readonly number[], dtype: g.DType): Value {
  const key = `${name}${shape.join("x")}`;
  if (!made.has(key)) made.set(key, g.input(key, shape, dtype));
  return made.get(key)!;
}
const f = (...shape: number[]): Value => named("x", shape, "float32");
const x = f(2, 3, 4);
const images = f(2, 4, 7, 6);
const volume = f(1, 2, 5, 4, 3);
const flags = (...shape: number[]): Value => named("b", shape, "bool");
const indices = (...shape: number[]): Value => named("i", shape, "int64");
const ones = (n: number): Value => g.float32s(Array<number>(n).fill(1));

/** Every builder on small operands: one value, or several outputs. */
const builders: Readonly<Record<string, () => Value | readonly Value[]>> = {
  ...Object.fromEntries(
    (["neg", "abs", "sign", "sqrt", "exp", "log", "erf", "tanh", "sigmoid", "relu", "reciprocal", "softsign", "softplus",
      "mish", "floor", "round", "identity", "isNaN", "isInf", "sin", "cos"] as const)
      .map((name) => [name, () => operators[name](x)]), // prettier-ignore
  ),
  ...Object.fromEntries(
    (["add", "sub", "mul", "div", "pow", "equal", "greater", "greaterOrEqual", "less", "lessOrEqual"] as const)
      .map((name) => [name, () => operators[name](x, f(3, 1))]), // prettier-ignore
  ),
  not: () => g.not(flags(2, 3)),
  and: () => g.and(flags(2, 3), flags(3)),
  or: () => g.or(flags(2, 1), flags(3)),
  matMul: () => [
    g.matMul(x, f(4, 5)), g.matMul(f(2, 1, 3, 4), f(5, 4, 2)), g.matMul(f(4), f(4, 5)), g.matMul(x, f(4)), g.matMul(f(4), f(4)),
  ], // prettier-ignore
  max: () => g.max(x, f(1, 4), f(3, 1)),
  min: () => g.min(x, f(1, 4)),
  sum: () => g.sum([x, f(1, 4), f(3, 1)]),
  where: () => g.where(flags(3, 1), x, f(4)),
  leakyRelu: () => g.leakyRelu(x, 0.2),
  hardSigmoid: () => g.hardSigmoid(x, -2, 1),
  gelu: () => [g.gelu(x), g.gelu(x, "tanh")],
  clip: () => [g.clip(x, g.scalar(0)), g.clip(x, undefined, g.scalar(1)), g.clip(x, g.scalar(0), g.scalar(1))],
  gemm: () => [
    g.gemm(f(2, 3), f(3, 5), f(5)),
    g.gemm(f(3, 2), f(5, 3), f(2, 1), { transA: true, transB: true, alpha: 2 }),
  ],
  conv: () => [
    g.conv(images, f(6, 4, 3, 3), ones(6), { pads: [1, 0, 1, 2], strides: [2, 1], dilations: [1, 2] }),
    g.conv(images, f(4, 1, 3, 3), undefined, { group: 4 }),
    g.conv(f(2, 3, 9), f(5, 3, 4), undefined, { strides: [3] }),
    g.conv(volume, f(3, 2, 2, 2, 2), undefined, { pads: [1, 1, 1, 1, 1, 1] }),
  ],
  convTranspose: () => [
    g.convTranspose(images, f(4, 3, 3, 3), ones(3), { strides: [2, 3], pads: [1, 1, 0, 1], outputPadding: [1, 0] }),
    g.convTranspose(images, f(4, 3, 2, 2), ones(6), { group: 2, dilations: [2, 1] }),
    g.convTranspose(volume, f(2, 3, 2, 2, 2), undefined, { strides: [2, 2, 2] }),
  ],
  maxPool: () => [
    ...Object.values(g.maxPool(images, [3, 2], { strides: [2, 2], pads: [1, 0, 1, 1] })),
    ...Object.values(g.maxPool(volume, [2, 2, 2])),
  ],
  averagePool: () => [
    g.averagePool(images, [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1], countIncludePad: true }),
    g.averagePool(f(2, 3, 9), [4]),
  ],
  globalAveragePool: () => [g.globalAveragePool(images), g.globalAveragePool(volume)],
  ...Object.fromEntries(
    (["reduceSum", "reduceMean", "reduceMax", "reduceMin", "reduceProd", "reduceSumSquare", "reduceL1", "reduceL2",
      "reduceLogSumExp"] as const)
      .map((name) => [name, () => [operators[name](x), operators[name](x, [-1, 0], true), operators[name](x, [1])]]), // prettier-ignore
  ),
  softmax: () => g.softmax(x, 1),
  logSoftmax: () => g.logSoftmax(x),
  layerNormalization: () => [
    ...Object.values(g.layerNormalization(x, ones(4), ones(4))),
    ...Object.values(g.layerNormalization(x, g.constant(new Float32Array(12), [3, 4]), undefined, { axis: 1 })),
  ],
  instanceNormalization: () => g.instanceNormalization(images, ones(4), ones(4)),
  groupNormalization: () => g.groupNormalization(images, ones(4), ones(4), 2),
  transpose: () => g.transpose(x, [2, 0, 1]),
  transposeLast: () => g.transposeLast(x),
  reshape: () => [g.reshape(x, [4, -1]), g.reshape(g.tanh(x), [24]), g.reshape(x, [1, 2, 3, 4, 1])],
  slice: () => [g.slice(x, [1, -3], [2, -1], [1, 2]), g.slice(x, [-1, 10], [-100, 0], [1, 2], [-1, -2]), g.slice(x, [5], [9], [0])], // prettier-ignore
  concat: () => [g.concat([x, f(2, 1, 4), f(2, 2, 4)], 1), g.concat([x, x], -1)],
  split: () => [...g.split(x, [1, 3], -1), ...g.split(x, [1, 1, 1], 1)],
  pad: () => [g.pad(x, [0, 1, 2, 0, 0, 1]), g.pad(x, [0, -1, 0, 1, 0, -2], g.scalar(3))],
  expand: () => [g.expand(f(3, 1), [2, 1, 4]), g.expand(x, [5, 1, 1, 4])],
  gather: () => [g.gather(x, indices(5, 2), 1), g.gather(x, g.scalar(-1, "int64"), 2), g.gather(x, indices(3))],
  gatherElements: () => g.gatherElements(x, indices(1, 3, 2), 2),
  scatterElements: () => g.scatterElements(x, indices(2, 1, 4), f(2, 1, 4), { axis: 1, reduction: "add" }),
  cast: () => (["float64", "float16", "int64", "int32", "int8", "uint8", "bool"] as const).map((t) => g.cast(x, t)),
  resizeNearest: () => [g.resizeNearest(images, [2, 4, 14, 3]), g.resizeNearest(volume, [1, 2, 7, 8, 9])],
  squeeze: () => g.squeeze(f(1, 3, 1), [0, -1]),
  unsqueeze: () => [g.unsqueeze(x, [0, -1]), g.unsqueeze(x, [2])],
  flatten: () => [g.flatten(x), g.flatten(x, 0), g.flatten(x, -1), g.flatten(x, 3)],
};

const unary = ["HardSwish", "Elu", "Selu", "Celu", "Tan", "Sinh", "Cosh", "Atan", "Asin", "Acos", "Ceil", "Round", "ThresholdedRelu", "Identity"]; // prettier-ignore

/** Operators that models bring and no builder makes, and attributes that builders never set. */
const others: Readonly<Record<string, () => readonly Value[]>> = {
  ...Object.fromEntries(unary.map((op) => [op, () => g.apply(op, [x])])),
  Mean: () => g.apply("Mean", [x, f(4), f(3, 1)]),
  Mod: () => g.apply("Mod", [x, f(3, 1)], { fmod: { int: 1 } }),
  Xor: () => g.apply("Xor", [flags(2, 3), flags(3)]),
  PRelu: () => g.apply("PRelu", [x, f(4)]),
  GlobalMaxPool: () => g.apply("GlobalMaxPool", [images]),
  ReduceLogSum: () => g.apply("ReduceLogSum", [g.exp(x), g.int64s([1])], { keepdims: { int: 0 } }),
  "ReduceSum over no axes": () => [
    ...g.apply("ReduceSum", [x, g.int64s([])], { noop_with_empty_axes: { int: 1 } }),
    ...g.apply("ReduceSum", [x, g.int64s([])]),
  ],
  ArgMax: () => [...g.apply("ArgMax", [x], { axis: { int: -2 } }), ...g.apply("ArgMax", [x], { keepdims: { int: 0 } })],
  ArgMin: () => g.apply("ArgMin", [x], { axis: { int: 1 } }),
  CumSum: () => g.apply("CumSum", [x, g.scalar(1, "int64")]),
  BatchNormalization: () => g.apply("BatchNormalization", [images, ones(4), ones(4), ones(4), ones(4)]),
  "BatchNormalization of vectors": () => g.apply("BatchNormalization", [f(3, 4), ones(4), ones(4), ones(4), ones(4)]),
  "LayerNormalization in float16": () =>
    g.apply("LayerNormalization", [g.cast(x, "float16"), g.constant(new Uint16Array(4), [4])]),
  Tile: () => g.apply("Tile", [x, g.int64s([2, 1, 3])]),
  Shape: () => [...g.apply("Shape", [x]), ...g.apply("Shape", [x], { start: { int: -2 }, end: { int: 10 } })],
  ConstantOfShape: () => [
    ...g.apply("ConstantOfShape", [g.int64s([2, 0, 3])]),
    ...g.apply("ConstantOfShape", [g.int64s([])], { value: { tensor: g.int64s([7]) } }),
  ],
  Range: () => [
    ...g.apply("Range", [g.scalar(1), g.scalar(2), g.scalar(0.3)]),
    ...g.apply("Range", [g.scalar(5, "int64"), g.scalar(0, "int64"), g.scalar(-2, "int64")]),
    ...g.apply("Range", [g.scalar(5, "int64"), g.scalar(0, "int64"), g.scalar(2, "int64")]),
  ],
  DepthToSpace: () => g.apply("DepthToSpace", [f(1, 8, 2, 3)], { blocksize: { int: 2 } }),
  SpaceToDepth: () => g.apply("SpaceToDepth", [f(1, 2, 4, 6)], { blocksize: { int: 2 } }),
  OneHot: () => [
    ...g.apply("OneHot", [indices(2, 3), g.scalar(5, "int64"), g.float32s([0, 1])]),
    ...g.apply("OneHot", [indices(2, 3), g.int64s([5]), g.float32s([0, 1])], { axis: { int: 1 } }),
  ],
  Dropout: () => g.apply("Dropout", [x]),
  "Resize by scales": () => [
    ...g.apply("Resize", [images, undefined, g.float32s([1, 1, 1.5, 0.6])]),
    // 10 * 0.3 is 3 in float32 arithmetic and 3.0000001192 with the float32 scale in doubles; 10 * 0.7 is 7 and 6.9999999.
    ...g.apply("Resize", [f(1, 1, 10, 10), undefined, g.float32s([1, 1, 0.3, 0.7])]),
  ],
  "Transpose by default": () => g.apply("Transpose", [x]),
  "Reshape with zeros": () => [
    ...g.apply("Reshape", [x, g.int64s([0, -1])]),
    ...g.apply("Reshape", [g.reshape(f(0, 3), [3, 0]), g.int64s([0, 4])], { allowzero: { int: 1 } }),
  ],
  "Squeeze without axes": () => g.apply("Squeeze", [f(1, 3, 1)]),
  "Pad by axes": () => g.apply("Pad", [x, g.int64s([1, 2]), undefined, g.int64s([-1])]),
  "Split by count": () => g.apply("Split", [f(2, 7)], { axis: { int: 1 }, num_outputs: { int: 3 } }),
  "Conv with SAME padding": () => [
    ...g.apply("Conv", [images, f(2, 4, 3, 2)], { auto_pad: { string: "SAME_UPPER" }, strides: { ints: [2, 2] } }),
    ...g.apply("Conv", [images, f(2, 4, 3, 2)], { auto_pad: { string: "SAME_LOWER" } }),
    ...g.apply("Conv", [images, f(2, 4, 3, 2)], { auto_pad: { string: "VALID" } }),
  ],
  "MaxPool, rounding up": () => [
    ...g.apply("MaxPool", [images], { kernel_shape: { ints: [2, 3] }, strides: { ints: [2, 2] }, ceil_mode: { int: 1 } }),
    ...g.apply("MaxPool", [f(1, 1, 6, 6)], { kernel_shape: { ints: [1, 1] }, strides: { ints: [3, 4] }, pads: { ints: [0, 0, 0, 0] }, ceil_mode: { int: 1 } }),
    ...g.apply("AveragePool", [f(1, 1, 7, 7)], { kernel_shape: { ints: [2, 2] }, strides: { ints: [3, 3] }, pads: { ints: [1, 1, 1, 1] }, ceil_mode: { int: 1 } }),
  ], // prettier-ignore
  "Max of one": () => [...g.apply("Max", [x]), ...g.apply("Sum", [x])],
  "Gather with int32": () => g.apply("Gather", [x, g.constant(Int32Array.of(1, 0), [2])]),
  "Pow with an integer exponent": () => g.apply("Pow", [x, g.int64s([2])]),
};

const wide = g.input("wide", [2, 3], "float64");
const w1 = f(4, 3, 3, 3);

/** For every shape rule: operands that do not fit. */
const misfits: Readonly<Record<string, () => unknown>> = {
  Add: () => g.add(x, f(5)),
  "Add of other types": () => g.add(f(2, 3), wide),
  Sqrt: () => g.sqrt(indices(2)),
  Pow: () => g.pow(x, f(5)),
  Greater: () => g.greater(x, f(5)),
  "Greater of other types": () => g.greater(f(2, 3), wide),
  And: () => g.and(flags(2), f(2)),
  "And of other shapes": () => g.and(flags(2), flags(3)),
  Where: () => g.where(flags(3, 1), x, f(5)),
  "Where by numbers": () => g.where(f(3, 1), x, x),
  Clip: () => g.clip(x, f(4)),
  PRelu: () => g.apply("PRelu", [x, f(5)]),
  MatMul: () => g.matMul(x, f(3, 4)),
  "MatMul of scalars": () => g.matMul(x, f()),
  "MatMul of batches": () => g.matMul(x, f(5, 4, 2)),
  Gemm: () => g.gemm(f(2, 3), f(2, 3)),
  "Gemm of tensors": () => g.gemm(x, f(4, 5)),
  "Gemm with a bias": () => g.gemm(f(2, 3), f(3, 5), f(2)),
  Conv: () => g.conv(images, w1),
  "Conv in groups": () => g.conv(images, f(3, 2, 3, 3), undefined, { group: 2 }),
  "Conv with a bias": () => g.conv(images, f(6, 4, 3, 3), ones(4)),
  "Conv with a large kernel": () => g.conv(images, f(6, 4, 9, 9)),
  "Conv with another rank": () => g.conv(images, f(6, 4, 3)),
  "Conv with strides for another rank": () => g.conv(images, f(6, 4, 3, 3), undefined, { strides: [1] }),
  ConvTranspose: () => g.convTranspose(images, f(3, 4, 3, 3)),
  "ConvTranspose with a bias": () => g.convTranspose(images, f(4, 3, 3, 3), ones(4)),
  MaxPool: () => g.maxPool(x, [3, 3]),
  AveragePool: () => g.averagePool(images, [9, 9]),
  GlobalAveragePool: () => g.globalAveragePool(f(2, 3)),
  ReduceSum: () => g.reduceSum(x, [3]),
  "ReduceSum over axes of a computation": () => g.apply("ReduceSum", [x, indices(1)]),
  ArgMax: () => g.apply("ArgMax", [x], { axis: { int: 3 } }),
  Softmax: () => g.softmax(x, 3),
  LayerNormalization: () => g.layerNormalization(x, ones(3)),
  "LayerNormalization with a bias": () => g.layerNormalization(x, ones(4), ones(3)),
  InstanceNormalization: () => g.instanceNormalization(images, ones(3), ones(4)),
  GroupNormalization: () => g.groupNormalization(images, ones(4), ones(4), 3),
  "GroupNormalization per group": () => g.groupNormalization(images, ones(2), ones(2), 2),
  BatchNormalization: () => g.apply("BatchNormalization", [images, ones(4), ones(4), ones(4), ones(3)]),
  Transpose: () => g.transpose(x, [0, 2, 2]),
  Reshape: () => g.reshape(x, [5, -1]),
  "Reshape with two unknowns": () => g.reshape(x, [-1, -1]),
  Slice: () => g.slice(x, [0], [1], [3]),
  "Slice without end": () => g.slice(x, [0, 1], [1], [0, 1]),
  "Slice standing still": () => g.slice(x, [0], [1], [0], [0]),
  Concat: () => g.concat([x, f(2, 3, 5)], 1),
  "Concat of other ranks": () => g.concat([f(2, 3), f(2, 3, 1)], 0),
  "Concat of other types": () => g.concat([f(2, 3), wide], 0),
  Split: () => g.split(x, [2, 2], 1),
  Pad: () => g.pad(x, [1, 1]),
  "Pad beyond nothing": () => g.pad(x, [0, 0, -3, 0, 0, -3]),
  Expand: () => g.expand(x, [5, 3, 4]),
  Gather: () => g.gather(x, f(2)),
  "Gather along no axis": () => g.gather(x, indices(2), 3),
  GatherElements: () => g.gatherElements(x, indices(2, 3)),
  "GatherElements by numbers": () => g.gatherElements(x, f(2, 3, 4)),
  ScatterElements: () => g.scatterElements(x, indices(2, 1, 4), f(2, 2, 4)),
  "ScatterElements of another rank": () => g.scatterElements(x, indices(2), f(2)),
  Resize: () => g.resizeNearest(images, [2, 4, 14]),
  Squeeze: () => g.squeeze(x, [0]),
  Unsqueeze: () => g.unsqueeze(x, [4]),
  Flatten: () => g.flatten(x, 4),
  Tile: () => g.apply("Tile", [x, g.int64s([2])]),
  DepthToSpace: () => g.apply("DepthToSpace", [images], { blocksize: { int: 3 } }),
  SpaceToDepth: () => g.apply("SpaceToDepth", [images], { blocksize: { int: 2 } }),
  OneHot: () => g.apply("OneHot", [indices(2), g.scalar(5, "int64"), g.float32s([0, 1])], { axis: { int: 2 } }),
  "Expand by a computation": () => g.apply("Expand", [x, indices(3)]),
};

describe("operators", () => {
  it("everyBuilder_isInTheTable", () => {
    const exported = Object.entries(operators).filter(([, value]) => typeof value === "function");
    expect(Object.keys(builders).sort()).toEqual(exported.map(([name]) => name).sort());
  });

  it("everyShapeRule_isCheckedAgainstTheRuntime", () => {
    const graphs = [...Object.values(builders), ...Object.values(others)].map((build) => [build()].flat());
    const seen = new Set(graphs.flatMap((values) => g.topologicalNodes(values).map((node) => node.op)));
    expect(Object.keys(g.shapeRules).filter((op) => !seen.has(op))).toEqual([]);
  });

  // The oracle is the shape and element type of what ONNX Runtime gives for the encoded graph.
  it.each(Object.entries({ ...builders, ...others }))("%s infers what ONNX Runtime computes", async (name, build) => {
    const values = [build()].flat();
    const graph = g.graphOf(name, Object.fromEntries(values.map((v, i) => [`out ${i}`, v])));
    const ran = await runGraph(graph);
    const [inferred, computed] = [values, Object.values(ran)].map((all) =>
      all.map(({ dtype, shape }) => ({ dtype, shape })),
    );
    expect(inferred).toEqual(computed);
  });

  it.each(Object.entries(misfits))("%s refuses misfits, naming operator, operands and shapes", (name, build) => {
    const op = name.split(" ")[0]!;
    let error: unknown;
    try {
      build();
    } catch (thrown) {
      error = thrown;
    }
    if (!isLeadglassError(error)) throw new Error(`not refused: ${error}`);
    expect(error.code).toMatch(/^LG-GRAPH-00[12]$/);
    expect(error.message.startsWith(`${op}: `)).toBe(true);
    const listed = (error.message.match(/operand \d+ is (?!omitted)/g) ?? []).length;
    expect(listed).toBeGreaterThan(0);
    expect(error.message.match(/operand \d+ is (float|int|bool)\d*\[[\d, ]*\]/g)).toHaveLength(listed);
  });
});
