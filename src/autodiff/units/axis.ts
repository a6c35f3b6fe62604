import { LeadglassError } from "../../errors.ts";
import {
  broadcastShapes,
  intOf,
  intsOf,
  normaliseAxis,
  refuse,
  stringOf,
  type Application,
} from "../../graph/shape.ts";
import { reductionAxes } from "../../graph/rules/reduction.ts";
import { padAmounts, sliceRanges } from "../../graph/rules/layout.ts";
import { integersOf, sizeOf, topologicalNodes, type Node, type Shape, type Value } from "../../graph/index.ts";

/**
 * Where the units are in a tensor: along `axis`, unit-major, so that its size is rows x inner with rows = units x views.
 * Values that depend on no unit have none. A node for which no axis can be given mixes units, and is refused: a gradient
 * that depends on several patients cannot be clipped for one of them.
 */
export type UnitAxis = number;

interface Context {
  readonly node: Node;
  /** The unit axis of each operand; undefined where it depends on no unit. */
  readonly axes: readonly (UnitAxis | undefined)[];
  /** units x views */
  readonly rows: number;
}

/** The unit axis of the outputs, or undefined where units are mixed. */
type AxisRule = (context: Context) => UnitAxis | undefined;

const shapeOf = (node: Application, i: number): Shape => node.inputs[i]!.shape;

/** Broadcasting: axes are counted from the end, and must agree. */
const elementwise: AxisRule = ({ node, axes }) => {
  const rank = node.outputs[0]!.shape.length;
  let found: UnitAxis | undefined;
  for (const [i, axis] of axes.entries()) {
    if (axis === undefined) continue;
    const aligned = rank - shapeOf(node, i).length + axis;
    if (found !== undefined && found !== aligned) return undefined;
    if (shapeOf(node, i)[axis] !== node.outputs[0]!.shape[aligned]) return undefined;
    found = aligned;
  }
  return found;
};

const first: AxisRule = ({ axes }) => axes[0];

/** Operators that leave every axis alone but those they work along. */
const exceptAlong =
  (along: (node: Node) => readonly number[]): AxisRule =>
  ({ node, axes }) =>
    axes[0] === undefined || along(node).includes(axes[0]) || axes.slice(1).some((a) => a !== undefined)
      ? undefined
      : axes[0];

const matMul: AxisRule = ({ node, axes: [a, b] }) => {
  const rank = node.outputs[0]!.shape.length;
  const [ra, rb] = [shapeOf(node, 0).length, shapeOf(node, 1).length];
  if (ra < 2 || rb < 2) {
    // A vector operand: only what it is not contracted with can be units.
    if (ra >= 2 && b === undefined && a !== ra - 1) return a;
    if (rb >= 2 && a === undefined && b !== rb - 2) return b === rb - 1 ? rank - 1 : b;
    return undefined;
  }
  const left = a === undefined || a === ra - 1 ? undefined : rank - ra + a;
  const right = b === undefined || b === rb - 2 ? undefined : rank - rb + b;
  if (a !== undefined && b !== undefined) return left === right && left! < rank - 2 ? left : undefined;
  return left ?? right;
};

const gemm: AxisRule = ({ node, axes: [a, b, c] }) => {
  const left = a === undefined ? undefined : a === intOf(node.attributes, "transA", 0) ? 0 : -1;
  const right = b === undefined ? undefined : b === 1 - intOf(node.attributes, "transB", 0) ? 1 : -1;
  const third = c === undefined ? undefined : 2 - shapeOf(node, 2).length + c;
  const found = [left, right, third].filter((v) => v !== undefined);
  return found.length > 0 && found.every((v) => v === found[0] && v >= 0) ? found[0] : undefined;
};

/** Running sums keep rows apart only along a known axis that is not the units'. */
const cumulative: AxisRule = ({ node, axes }) => {
  const [direction] = integersOf(node.inputs[1]) ?? [];
  if (axes[0] === undefined || axes[1] !== undefined || direction === undefined) return undefined;
  return normaliseAxis(node, direction, shapeOf(node, 0).length) === axes[0] ? undefined : axes[0];
};

/** Batch statistics mix all images of a batch. */
const batchNormalization: AxisRule = (context) =>
  intOf(context.node.attributes, "training_mode", 0) === 1 ? undefined : perImage(context);

/** Every position of the units' axis must stay where it is: a scale of 1.1 can move rows without changing their number. */
const resize: AxisRule = (context) => {
  const { node, axes } = context;
  const scales = node.inputs[3] ? undefined : node.inputs[2];
  const moved = scales?.kind === "constant" && axes[0] !== undefined && Number(scales.data[axes[0]]) !== 1;
  const cropped = stringOf(node.attributes, "coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize";
  return moved || cropped ? undefined : exceptAlong(removed)(context);
};

/** Picks along another axis; indices may be smaller than the data, and then rows are missing. */
const gatherElements: AxisRule = ({ node, axes: [data, indices] }) => {
  if (data === undefined || along(node, 0).includes(data)) return undefined;
  if (indices !== undefined && indices !== data) return undefined;
  return node.outputs[0]!.shape[data] === shapeOf(node, 0)[data] ? data : undefined;
};

/** Images: units along the batch axis, weights the same for all of them. */
const perImage: AxisRule = ({ axes }) => (axes[0] === 0 && axes.slice(1).every((a) => a === undefined) ? 0 : undefined);

const reduce: AxisRule = ({ node, axes: [axis] }) => {
  const reduced = reductionAxes(node);
  if (axis === undefined || reduced.includes(axis)) return undefined;
  const keep = intOf(node.attributes, "keepdims", 1) === 1;
  return keep ? axis : axis - reduced.filter((r) => r < axis).length;
};

/** The axis of the new shape at which the same unit-major order goes on. */
const reshape: AxisRule = ({ node, axes: [axis], rows }) => {
  if (axis === undefined) return undefined;
  const [from, to] = [shapeOf(node, 0), node.outputs[0]!.shape];
  const outer = sizeOf(from.slice(0, axis));
  for (let i = 0, product = 1; i < to.length && product <= outer; product *= to[i]!, i++)
    if (product === outer && to[i]! % rows === 0 && to[i]! > 0) return i;
  return undefined;
};

const transpose: AxisRule = ({ node, axes: [axis] }) => {
  const rank = shapeOf(node, 0).length;
  const perm = intsOf(node.attributes, "perm") ?? [...Array(rank).keys()].reverse();
  return axis === undefined ? undefined : perm.indexOf(axis);
};

const along = (node: Node, fallback: number): number[] => [
  normaliseAxis(node, intOf(node.attributes, "axis", fallback), shapeOf(node, 0).length),
];

/** All parts lie along an axis that is not the units'. */
const concat: AxisRule = (context) => {
  const axis = along(context.node, 0)[0]!;
  const found = new Set(context.axes.filter((a) => a !== undefined));
  const [unit] = found;
  return found.size === 1 && unit !== axis ? unit : undefined;
};

const gather: AxisRule = ({ node, axes: [data, indices] }) => {
  const axis = along(node, 0)[0]!;
  if (data === undefined) return indices === undefined ? undefined : axis + indices;
  if (indices !== undefined || data === axis) return undefined;
  return data < axis ? data : data - 1 + shapeOf(node, 1).length;
};

const changed = (amounts: readonly boolean[]): number[] => amounts.flatMap((is, axis) => (is ? [axis] : []));

const expand: AxisRule = ({ node, axes: [axis] }) => {
  if (axis === undefined) return undefined;
  const [from, to] = [shapeOf(node, 0), node.outputs[0]!.shape];
  const moved = to.length - from.length + axis;
  return broadcastShapes(from, to) && from[axis] === to[moved] ? moved : undefined;
};

const removed = (node: Node): number[] => {
  const [from, to] = [shapeOf(node, 0), node.outputs[0]!.shape];
  return from.flatMap((n, i) => (n !== to[i] ? [i] : []));
};

const elementwiseOperators = [
  "Add",
  "Sub",
  "Mul",
  "Div",
  "Pow",
  "Sum",
  "Mean",
  "Max",
  "Min",
  "Where",
  "PRelu",
  "Equal",
  "Greater",
  "GreaterOrEqual",
  "Less",
  "LessOrEqual",
  "And",
  "Or",
  "Xor",
  "Mod",
];
const unaryOperators = [
  "Neg",
  "Abs",
  "Sign",
  "Sqrt",
  "Exp",
  "Log",
  "Erf",
  "Tanh",
  "Sigmoid",
  "Relu",
  "LeakyRelu",
  "Elu",
  "Selu",
  "Celu",
  "Gelu",
  "Mish",
  "Softplus",
  "Softsign",
  "HardSigmoid",
  "HardSwish",
  "Reciprocal",
  "Sin",
  "Cos",
  "Floor",
  "Ceil",
  "Round",
  "Identity",
  "Cast",
  "Not",
  "IsNaN",
  "IsInf",
  "Clip",
  "Dropout",
  "ThresholdedRelu",
];

const axisRules: Readonly<Record<string, AxisRule>> = {
  ...Object.fromEntries(elementwiseOperators.map((op) => [op, elementwise])),
  ...Object.fromEntries(unaryOperators.map((op) => [op, first])),
  ...Object.fromEntries(
    ["Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"].map((k) => [
      `Reduce${k}`,
      reduce,
    ]),
  ),
  MatMul: matMul,
  Gemm: gemm,
  ...Object.fromEntries(
    [
      "Conv",
      "ConvTranspose",
      "MaxPool",
      "AveragePool",
      "GlobalAveragePool",
      "GlobalMaxPool",
      "GroupNormalization",
      "InstanceNormalization",
      "DepthToSpace",
      "SpaceToDepth",
    ].map((op) => [op, perImage]),
  ),
  BatchNormalization: batchNormalization,
  LayerNormalization: exceptAlong((node) => {
    const rank = shapeOf(node, 0).length;
    const from = along(node, -1)[0]!;
    return [...Array(rank - from).keys()].map((i) => i + from);
  }),
  Softmax: exceptAlong((node) => along(node, -1)),
  LogSoftmax: exceptAlong((node) => along(node, -1)),
  CumSum: cumulative,
  Reshape: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Flatten: reshape,
  Transpose: transpose,
  Slice: exceptAlong((node) =>
    changed(sliceRanges(node).map((r, i) => r.step !== 1 || r.size !== shapeOf(node, 0)[i])),
  ),
  Pad: exceptAlong((node) => changed(padAmounts(node).map((p) => p.begin !== 0 || p.end !== 0))),
  Split: exceptAlong((node) => along(node, 0)),
  Concat: concat,
  Gather: gather,
  Expand: expand,
  Tile: exceptAlong(removed),
  Resize: resize,
  GatherElements: gatherElements,
};

/**
 * The unit axis of every value that depends on `images` (each with its units along the given axis).
 * Throws LG-AUTODIFF-002 where an operator mixes units, naming it and, where we know one, a replacement.
 */
export function unitAxes(
  roots: readonly Value[],
  images: ReadonlyMap<Value, UnitAxis>,
  rows: number,
): (value: Value) => UnitAxis | undefined {
  const found = new Map<Value, UnitAxis>(images);
  for (const node of topologicalNodes(roots)) {
    const axes = node.inputs.map((v) => (v ? found.get(v) : undefined));
    if (axes.every((a) => a === undefined)) continue;
    const axis = ruleOf(node)?.({ node, axes, rows });
    if (axis === undefined) throw mixing(node, axes);
    // Statistics of a LayerNormalization and indices of a pooling keep the axis too.
    node.outputs.forEach((y) => found.set(y, axis));
  }
  return (value) => found.get(value);
}

// An operator's name may come from a file: "constructor" is not one.
const ruleOf = (node: Node): AxisRule | undefined =>
  Object.hasOwn(axisRules, node.op) ? axisRules[node.op] : undefined;

const otherAxis = (verb: string): string =>
  `${verb} along an axis that is not the batch's: what is taken over a batch belongs to several patients.`;
const contraction = "Multiply so that the batch is an outer axis of the product: it must not be summed over.";
const keepBatch = "Keep the rows of a patient together: the batch axis may be split or joined with axes after it only.";

/** What to do instead, by operator. */
const remedies: Readonly<Record<string, string>> = {
  BatchNormalization:
    "Use GroupNormalization or LayerNormalization, or BatchNormalization with stored statistics (training_mode 0).",
  MatMul: contraction,
  Gemm: contraction,
  Reshape: keepBatch,
  Flatten: keepBatch,
  Squeeze: keepBatch,
  Unsqueeze: keepBatch,
  Softmax: otherAxis("Normalise"),
  LogSoftmax: otherAxis("Normalise"),
  LayerNormalization: otherAxis("Normalise"),
  CumSum: otherAxis("Sum"),
  Concat: otherAxis("Join"),
  Split: otherAxis("Cut"),
  Slice: otherAxis("Cut"),
  Pad: otherAxis("Pad"),
  Tile: otherAxis("Repeat"),
  Expand: otherAxis("Repeat"),
  Resize: otherAxis("Resize"),
  Gather: otherAxis("Gather"),
  GatherElements: otherAxis("Gather"),
};

function mixing(node: Node, axes: readonly (UnitAxis | undefined)[]): LeadglassError {
  const where = axes
    .flatMap((a, i) => (a === undefined ? [] : [`units lie along axis ${a} of operand ${i}`]))
    .join(", ");
  const reason = ruleOf(node)
    ? `the result would depend on several patients at once (${where})`
    : `it is not known whether ${node.op} keeps patients apart (${where})`;
  return new LeadglassError("LG-AUTODIFF-002", refuse(node, reason).message, {
    hint:
      remedies[node.op] ??
      (node.op.startsWith("Reduce")
        ? `${otherAxis("Reduce")} The mean over the batch is taken after clipping.`
        : "Use operators that treat every row of a batch alone."),
  });
}
