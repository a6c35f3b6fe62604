import { integersOf, sizeOf, type DType, type Shape } from "../value.ts";
import {
  broadcastShapes,
  equalShapes,
  intOf,
  intsOf,
  knownIntegers,
  normaliseAxis,
  operand,
  refuse,
  sameDType,
  stringOf,
  type Application,
  type ShapeRule,
} from "../shape.ts";

const transpose: ShapeRule = (node) => {
  const x = operand(node, 0);
  const perm = intsOf(node.attributes, "perm") ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  if (perm.length !== x.shape.length || x.shape.some((_, i) => !perm.includes(i)))
    throw refuse(node, `perm [${perm.join(", ")}] is not a permutation of ${x.shape.length} axes`);
  return [{ dtype: x.dtype, shape: perm.map((p) => x.shape[p]!) }];
};

/** The target shape of a Reshape with 0 (copy) and -1 (infer) resolved. */
const reshape: ShapeRule = (node) => {
  const x = operand(node, 0);
  const allowZero = intOf(node.attributes, "allowzero", 0) === 1;
  const target = knownIntegers(node, 1).map((n, i) => (n === 0 && !allowZero ? (x.shape[i] ?? 0) : n));
  const size = sizeOf(x.shape);
  const known = target.filter((n) => n !== -1).reduce((a, b) => a * b, 1);
  const shape = target.map((n) => (n === -1 ? size / known : n));
  if (
    target.filter((n) => n === -1).length > 1 ||
    shape.some((n) => !Number.isInteger(n) || n < 0) ||
    sizeOf(shape) !== size
  )
    throw refuse(node, `${size} elements do not fill shape [${target.join(", ")}]`);
  return [{ dtype: x.dtype, shape }];
};

/** Start, end and step of a Slice on every axis, clamped as ONNX does. */
export function sliceRanges(node: Application): { start: number; step: number; size: number }[] {
  const x = operand(node, 0);
  const [starts, ends] = [knownIntegers(node, 1), knownIntegers(node, 2)];
  const axes = (node.inputs[3] ? knownIntegers(node, 3) : starts.map((_, i) => i)).map((a) =>
    normaliseAxis(node, a, x.shape.length),
  );
  const steps = node.inputs[4] ? knownIntegers(node, 4) : starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
    throw refuse(node, "starts, ends, axes and steps must have one length");
  const ranges = x.shape.map((n) => ({ start: 0, step: 1, size: n }));
  axes.forEach((axis, i) => {
    const n = x.shape[axis]!;
    const step = steps[i]!;
    if (step === 0) throw refuse(node, "a step of 0");
    const wrap = (v: number): number => (v < 0 ? v + n : v);
    const start = Math.min(Math.max(wrap(starts[i]!), 0), step > 0 ? n : n - 1);
    const end = Math.min(Math.max(wrap(ends[i]!), step > 0 ? 0 : -1), n);
    ranges[axis] = { start, step, size: Math.max(0, Math.ceil((end - start) / step)) };
  });
  return ranges;
}

const slice: ShapeRule = (node) => [{ dtype: operand(node, 0).dtype, shape: sliceRanges(node).map((r) => r.size) }];

const concat: ShapeRule = (node) => {
  sameDType(
    node,
    node.inputs.map((_, i) => i),
  );
  const first = operand(node, 0);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), first.shape.length);
  let total = 0;
  for (let i = 0; i < node.inputs.length; i++) {
    const { shape } = operand(node, i);
    if (shape.length !== first.shape.length || shape.some((n, a) => a !== axis && n !== first.shape[a]))
      throw refuse(node, `operands must agree on every axis but ${axis}`);
    total += shape[axis]!;
  }
  return [{ dtype: first.dtype, shape: first.shape.map((n, a) => (a === axis ? total : n)) }];
};

/** Sizes of the parts of a Split. */
export function splitSizes(node: Application): number[] {
  const x = operand(node, 0);
  const n = x.shape[normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length)]!;
  const given = node.inputs[1] ? knownIntegers(node, 1) : undefined;
  const count = intOf(node.attributes, "num_outputs", 0);
  if (!given && count < 1) throw refuse(node, "needs sizes or num_outputs");
  const chunk = Math.ceil(n / count);
  const sizes = given ?? Array.from({ length: count }, (_, i) => Math.max(0, Math.min(chunk, n - i * chunk)));
  if (sizes.reduce((a, b) => a + b, 0) !== n) throw refuse(node, `parts of ${sizes.join(" + ")} do not make ${n}`);
  return sizes;
}

const split: ShapeRule = (node) => {
  const x = operand(node, 0);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  return splitSizes(node).map((size) => ({ dtype: x.dtype, shape: x.shape.map((n, a) => (a === axis ? size : n)) }));
};

/** Elements added (or, where negative, removed) at the begin and end of every axis by a Pad. */
export function padAmounts(node: Application): { begin: number; end: number }[] {
  const x = operand(node, 0);
  const pads = knownIntegers(node, 1);
  const axes = (node.inputs[3] ? knownIntegers(node, 3) : x.shape.map((_, i) => i)).map((a) =>
    normaliseAxis(node, a, x.shape.length),
  );
  if (pads.length !== 2 * axes.length) throw refuse(node, `${pads.length} pads do not fit ${axes.length} axes`);
  const amounts = x.shape.map(() => ({ begin: 0, end: 0 }));
  axes.forEach((axis, i) => (amounts[axis] = { begin: pads[i]!, end: pads[i + axes.length]! }));
  return amounts;
}

const pad: ShapeRule = (node) => {
  const x = operand(node, 0);
  const shape = padAmounts(node).map(({ begin, end }, i) => x.shape[i]! + begin + end);
  if (shape.some((n) => n < 0)) throw refuse(node, "more is removed than there is");
  return [{ dtype: x.dtype, shape }];
};

const expand: ShapeRule = (node) => {
  const x = operand(node, 0);
  const target = knownIntegers(node, 1);
  const shape = broadcastShapes(x.shape, target);
  if (!shape) throw refuse(node, `does not broadcast to [${target.join(", ")}]`);
  return [{ dtype: x.dtype, shape }];
};

const gather: ShapeRule = (node) => {
  const [x, indices] = [operand(node, 0), operand(node, 1)];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  if (indices.dtype !== "int64" && indices.dtype !== "int32")
    throw refuse(node, "indices must be int64 or int32", "LG-GRAPH-002");
  return [{ dtype: x.dtype, shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)] }];
};

/** Indices into one axis, of the rank of the data and no larger on the other axes. */
function elementIndices(node: Application): void {
  const [x, indices] = [operand(node, 0), operand(node, 1)];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  if (indices.dtype !== "int64" && indices.dtype !== "int32")
    throw refuse(node, "indices must be int64 or int32", "LG-GRAPH-002");
  if (indices.shape.length !== x.shape.length || indices.shape.some((n, i) => i !== axis && n > x.shape[i]!))
    throw refuse(node, `indices must have ${x.shape.length} axes, none but axis ${axis} larger than the data's`);
}

const gatherElements: ShapeRule = (node) => {
  elementIndices(node);
  return [{ dtype: operand(node, 0).dtype, shape: operand(node, 1).shape }];
};

const scatterElements: ShapeRule = (node) => {
  const [x, indices, updates] = [operand(node, 0), operand(node, 1), operand(node, 2)];
  elementIndices(node);
  sameDType(node, [0, 2]);
  if (!equalShapes(indices.shape, updates.shape)) throw refuse(node, "indices and updates must have one shape");
  return [{ dtype: x.dtype, shape: x.shape }];
};

const castTypes: Readonly<Record<number, DType>> = {
  1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64",
}; // prettier-ignore

/** The ONNX number of an element type. */
export const dtypeNumber = (dtype: DType): number =>
  Number(Object.entries(castTypes).find(([, name]) => name === dtype)![0]);
/** The element type with an ONNX number, or undefined where we do not support it. */
export const dtypeOfNumber = (number: number): DType | undefined => castTypes[number];

const cast: ShapeRule = (node) => {
  const dtype = castTypes[intOf(node.attributes, "to", 0)];
  if (!dtype)
    throw refuse(node, `element type number ${intOf(node.attributes, "to", 0)} is not supported`, "LG-GRAPH-003");
  return [{ dtype, shape: operand(node, 0).shape }];
};

/** Output sizes of a Resize; only mode nearest has further support. */
const resize: ShapeRule = (node) => {
  const x = operand(node, 0);
  const sizes = node.inputs[3] ? knownIntegers(node, 3) : undefined;
  const scales = node.inputs[2];
  if (sizes) {
    if (sizes.length !== x.shape.length) throw refuse(node, `sizes must have ${x.shape.length} entries`);
    return [{ dtype: x.dtype, shape: sizes }];
  }
  if (scales?.kind !== "constant" || scales.data.length !== x.shape.length)
    throw refuse(node, `scales must be a constant with ${x.shape.length} entries`);
  // The runtime multiplies in float32: 10 * 0.7 is 7 there and a little less in doubles.
  return [{ dtype: x.dtype, shape: x.shape.map((n, i) => Math.floor(Math.fround(n * Number(scales.data[i])))) }];
};

const squeeze: ShapeRule = (node) => {
  const x = operand(node, 0);
  const axes = node.inputs[1] ? knownIntegers(node, 1).map((a) => normaliseAxis(node, a, x.shape.length)) : undefined;
  if (axes?.some((a) => x.shape[a] !== 1)) throw refuse(node, "only axes of size 1 can be squeezed");
  return [{ dtype: x.dtype, shape: x.shape.filter((n, i) => (axes ? !axes.includes(i) : n !== 1)) }];
};

const unsqueeze: ShapeRule = (node) => {
  const x = operand(node, 0);
  const given = knownIntegers(node, 1);
  const axes = given.map((a) => normaliseAxis(node, a, x.shape.length + given.length));
  const shape: number[] = [];
  for (let i = 0, j = 0; i < x.shape.length + axes.length; i++) shape.push(axes.includes(i) ? 1 : x.shape[j++]!);
  return [{ dtype: x.dtype, shape }];
};

const flatten: ShapeRule = (node) => {
  const x = operand(node, 0);
  const given = intOf(node.attributes, "axis", 1);
  const axis = given < 0 ? given + x.shape.length : given;
  if (axis < 0 || axis > x.shape.length) throw refuse(node, `axis ${given} is outside 0 to ${x.shape.length}`);
  return [{ dtype: x.dtype, shape: [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))] }];
};

const tile: ShapeRule = (node) => {
  const x = operand(node, 0);
  const repeats = knownIntegers(node, 1);
  if (repeats.length !== x.shape.length) throw refuse(node, `repeats must have ${x.shape.length} entries`);
  return [{ dtype: x.dtype, shape: x.shape.map((n, i) => n * repeats[i]!) }];
};

const shapeOf: ShapeRule = (node) => {
  const rank = operand(node, 0).shape.length;
  const wrap = (v: number): number => Math.min(Math.max(v < 0 ? v + rank : v, 0), rank);
  const [start, end] = [wrap(intOf(node.attributes, "start", 0)), wrap(intOf(node.attributes, "end", rank))];
  return [{ dtype: "int64", shape: [Math.max(0, end - start)] }];
};

const constantOfShape: ShapeRule = (node) => {
  const value = node.attributes["value"];
  return [{ dtype: value && "tensor" in value ? value.tensor.dtype : "float32", shape: knownIntegers(node, 0) }];
};

const range: ShapeRule = (node) => {
  const [start, limit, delta] = [0, 1, 2].map((i) => {
    const v = operand(node, i);
    if (v.kind !== "constant") throw refuse(node, "start, limit and delta must be constants");
    return Number(v.data[0]);
  });
  return [{ dtype: operand(node, 0).dtype, shape: [Math.max(0, Math.ceil((limit! - start!) / delta!))] }];
};

const depthToSpace: ShapeRule = (node) => {
  const { dtype, shape } = operand(node, 0);
  const b = intOf(node.attributes, "blocksize", 1);
  if (shape.length !== 4 || shape[1]! % (b * b) !== 0) throw refuse(node, `needs channels in multiples of ${b * b}`);
  return [{ dtype, shape: [shape[0]!, shape[1]! / (b * b), shape[2]! * b, shape[3]! * b] }];
};

const spaceToDepth: ShapeRule = (node) => {
  const { dtype, shape } = operand(node, 0);
  const b = intOf(node.attributes, "blocksize", 1);
  if (shape.length !== 4 || shape[2]! % b !== 0 || shape[3]! % b !== 0)
    throw refuse(node, `needs sides in multiples of ${b}`);
  return [{ dtype, shape: [shape[0]!, shape[1]! * b * b, shape[2]! / b, shape[3]! / b] }];
};

const oneHot: ShapeRule = (node) => {
  const [indices, values] = [operand(node, 0), operand(node, 2)];
  const [depth] = knownIntegers(node, 1);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), indices.shape.length + 1);
  return [
    { dtype: values.dtype, shape: [...indices.shape.slice(0, axis), depth!, ...indices.shape.slice(axis)] as Shape },
  ];
};

const dropout: ShapeRule = (node) => {
  const x = operand(node, 0);
  const training = node.inputs[2];
  if (training && integersOf(training)?.[0] !== 0)
    throw refuse(node, "dropout in training mode is not supported; export the model in eval mode", "LG-GRAPH-003");
  return [
    { dtype: x.dtype, shape: x.shape },
    { dtype: "bool", shape: x.shape },
  ];
};

/** Modes of Resize that change what nearest means; others are refused by whoever needs them. */
export const resizeMode = (node: Application): string => stringOf(node.attributes, "mode", "nearest");

export const layoutRules: Readonly<Record<string, ShapeRule>> = {
  Transpose: transpose,
  Reshape: reshape,
  Slice: slice,
  Concat: concat,
  Split: split,
  Pad: pad,
  Expand: expand,
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  Cast: cast,
  Resize: resize,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Flatten: flatten,
  Tile: tile,
  Shape: shapeOf,
  ConstantOfShape: constantOfShape,
  Range: range,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  OneHot: oneHot,
  Dropout: dropout,
};
