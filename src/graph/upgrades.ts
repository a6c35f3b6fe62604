/**
 * Older forms of operators, brought to that of opset 21: attributes that became operands, defaults that changed, operators
 * that were renamed. One entry per operator; each looks at what the node has rather than at version numbers where it can.
 * Source: the changelog of the ONNX operator schemas.
 */
import { attentionParts } from "./attention.ts";
import { unsupported, type ForeignNode } from "./foreign-node.ts";
import { expand, reshape, softmax, logSoftmax, unsqueeze, cast } from "./operators.ts";
import { floatOf, intOf, intsOf, stringOf } from "./shape.ts";
import { dataFrom } from "./tensor.ts";
import {
  constant, float32s, int64s, integersOf, sizeOf, type Attributes, type Constant, type DType, type Value,
} from "./value.ts"; // prettier-ignore

/** The node in today's form, or the values that it stands for. */
type Upgrade = (node: ForeignNode) => ForeignNode | readonly Value[];

/** Attributes without some. */
function without(attributes: Attributes, ...names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));
}

/** An operand put at `index`, with omitted ones before it where there are none. */
function withInput(node: ForeignNode, index: number, value: Value): (Value | undefined)[] {
  return Array.from({ length: Math.max(node.inputs.length, index + 1) }, (_, i) =>
    i === index ? value : node.inputs[i],
  );
}

/** An attribute of integers that became operand `index`. */
const intsToOperand =
  (attribute: string, index: number): Upgrade =>
  (node) => {
    const values = intsOf(node.attributes, attribute);
    if (!values || node.inputs[index]) return node;
    return {
      ...node,
      inputs: withInput(node, index, int64s(values)),
      attributes: without(node.attributes, attribute),
    };
  };

const axesToOperand = intsToOperand("axes", 1);

const scalarLike = (value: number, dtype: DType): Constant => constant(dataFrom(dtype, [value]), [], dtype);

const split: Upgrade = (given) => {
  const node = intsToOperand("split", 1)(given) as ForeignNode;
  if (node.inputs[1]) return node;
  const count = intOf(node.attributes, "num_outputs", node.outputs);
  if (count !== node.outputs)
    throw unsupported(node, `num_outputs is ${count} where ${node.outputs} outputs are named`);
  if (node.opset >= 18) return node;
  // Before opset 18 parts were equal and their number that of the outputs.
  const x = node.inputs[0]!;
  const axis = intOf(node.attributes, "axis", 0);
  const n = x.shape.at(axis)! / count;
  if (!Number.isInteger(n))
    throw unsupported(node, `${x.shape.at(axis)} elements do not divide into ${count} equal parts`);
  return { ...node, inputs: [x, int64s(Array<number>(count).fill(n))] };
};

const clip: Upgrade = (node) => {
  const dtype = node.inputs[0]!.dtype;
  const bound = (index: number, name: string): Value | undefined =>
    node.inputs[index] ?? (node.attributes[name] ? scalarLike(floatOf(node.attributes, name, 0), dtype) : undefined);
  const inputs = [node.inputs[0], asScalar(bound(1, "min")), asScalar(bound(2, "max"))];
  return { ...node, inputs, attributes: without(node.attributes, "min", "max") };
};

/** Some exporters write scalar operands as tensors of one element. */
function asScalar(value: Value | undefined): Value | undefined {
  if (value?.kind !== "constant" || value.shape.length === 0 || sizeOf(value.shape) !== 1) return value;
  return { ...value, shape: [] };
}

const pad: Upgrade = (node) => {
  const pads = intsOf(node.attributes, "pads");
  if (!pads) return { ...node, inputs: node.inputs.map((v, i) => (i === 2 ? asScalar(v) : v)) };
  const x = node.inputs[0]!;
  const value = scalarLike(floatOf(node.attributes, "value", 0), x.dtype);
  return { ...node, inputs: [x, int64s(pads), value], attributes: without(node.attributes, "pads", "value") };
};

const slice: Upgrade = (node) => {
  const [starts, ends, axes] = ["starts", "ends", "axes"].map((name) => intsOf(node.attributes, name));
  if (!starts || !ends) return node;
  const all = axes ?? starts.map((_, i) => i);
  return { ...node, inputs: [node.inputs[0], clampedInt64s(starts), clampedInt64s(ends), int64s(all)], attributes: {} };
};

/** A vector of int64 from attributes, which say "to the end" with the largest int64, which a double rounds up. */
export const clampedInt64s = (values: readonly number[]): Constant =>
  constant(
    BigInt64Array.from(values, (v) => (v >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(v))),
    [values.length],
  );

/** Before opset 13, softmax was over all axes from `axis` (1 by default) on, as one. */
const flatSoftmax =
  (build: (x: Value, axis: number) => Value): Upgrade =>
  (node) => {
    if (node.opset >= 13) return node;
    const x = node.inputs[0]!;
    const rank = x.shape.length;
    const given = intOf(node.attributes, "axis", 1);
    const axis = given < 0 ? given + rank : given;
    if (axis === rank - 1) return { ...node, attributes: { axis: { int: axis } } };
    const rows = sizeOf(x.shape.slice(0, axis));
    return [reshape(build(reshape(x, [rows, sizeOf(x.shape) / rows]), 1), x.shape)];
  };

const dropout: Upgrade = (node) => {
  const training = integersOf(node.inputs[2])?.[0] ?? 0;
  if ((node.inputs[2] && node.inputs[2].kind !== "constant") || training !== 0)
    throw unsupported(node, "dropout in training mode");
  const x = node.inputs[0]!;
  return node.outputs > 1 ? { ...node, inputs: [x], attributes: {} } : [x];
};

const batchNormalization: Upgrade = (node) => {
  if (node.outputs > 1 || intOf(node.attributes, "training_mode", 0) === 1)
    throw unsupported(node, "batch normalisation in training mode mixes patients");
  if (intOf(node.attributes, "spatial", 1) !== 1) throw unsupported(node, "statistics per position (spatial = 0)");
  return { ...node, attributes: without(node.attributes, "spatial", "momentum") };
};

const upsample: Upgrade = (node) => {
  const attribute = node.attributes["scales"];
  const scales = node.inputs[1] ?? (attribute && "floats" in attribute ? float32s(attribute.floats) : undefined);
  if (!scales) throw unsupported(node, "scales are missing");
  return resize({ ...node, op: "Resize", opset: 10, inputs: [node.inputs[0], scales] });
};

const resize: Upgrade = (node) => {
  const mode = stringOf(node.attributes, "mode", "nearest");
  // Resize-10 (and Upsample) took scales as operand 1 and had no choice of coordinates.
  if (node.opset < 11)
    return {
      ...node,
      inputs: [node.inputs[0], undefined, node.inputs[1]],
      attributes: {
        mode: { string: mode === "bilinear" ? "linear" : mode },
        coordinate_transformation_mode: { string: "asymmetric" },
        nearest_mode: { string: "floor" },
      },
    };
  const x = node.inputs[0]!;
  if (stringOf(node.attributes, "coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize")
    throw unsupported(node, "coordinate transformation tf_crop_and_resize");
  if (stringOf(node.attributes, "keep_aspect_ratio_policy", "stretch") !== "stretch")
    throw unsupported(node, "keep_aspect_ratio_policy other than stretch");
  // Opset 11 marked absent operands by empty tensors; the region of interest is for tf_crop_and_resize alone.
  const present = (v: Value | undefined): Value | undefined => (v && sizeOf(v.shape) > 0 ? v : undefined);
  const [scales, sizes] = [present(node.inputs[2]), present(node.inputs[3])];
  const axes = intsOf(node.attributes, "axes")?.map((a) => (a < 0 ? a + x.shape.length : a));
  const full = (v: Value | undefined, rest: readonly number[]): Value | undefined => {
    if (!v || !axes) return v;
    if (v.kind !== "constant") throw unsupported(node, "scales and sizes must be constants");
    const values = rest.map((n, i) => (axes.includes(i) ? v.data[axes.indexOf(i)]! : n));
    return constant(dataFrom(v.dtype, values), [rest.length], v.dtype);
  };
  return {
    ...node,
    inputs: [x, undefined, full(scales, x.shape.map(() => 1)), full(sizes, x.shape)],
    attributes: without(node.attributes, "axes"),
  }; // prettier-ignore
};

/** GroupNormalization-18 had one scale and bias per group. */
const groupNormalization: Upgrade = (node) => {
  const groups = intOf(node.attributes, "num_groups", 0);
  const channels = node.inputs[0]!.shape[1]!;
  const perChannel = (p: Value | undefined): Value | undefined => {
    if (node.opset >= 21 || !p || p.shape.length !== 1 || p.shape[0] !== groups || groups === channels) return p;
    return reshape(expand(unsqueeze(p, [1]), [groups, channels / groups]), [channels]);
  };
  return { ...node, inputs: node.inputs.map((v, i) => (i === 0 ? v : perChannel(v))) };
};

const size: Upgrade = (node) => [constant(BigInt64Array.of(BigInt(sizeOf(node.inputs[0]!.shape))), [])];

export const upgrades: Readonly<Record<string, Upgrade>> = {
  ...Object.fromEntries(
    ["Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp"].map((kind) => [
      `Reduce${kind}`,
      axesToOperand,
    ]),
  ),
  Squeeze: axesToOperand,
  Unsqueeze: axesToOperand,
  Split: split,
  Clip: clip,
  Pad: pad,
  Slice: slice,
  Softmax: flatSoftmax(softmax),
  LogSoftmax: flatSoftmax(logSoftmax),
  Dropout: dropout,
  BatchNormalization: batchNormalization,
  Upsample: upsample,
  Resize: resize,
  GroupNormalization: groupNormalization,
  Scatter: (node) => ({ ...node, op: "ScatterElements" }),
  Size: size,
  Attention: attentionParts,
  CastLike: (node) => [cast(node.inputs[0]!, node.inputs[1]!.dtype)],
};
