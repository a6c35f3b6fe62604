import { intOf, normaliseAxis, operand, refuse, sameDType, type ShapeRule } from "../shape.ts";
import { sizeOf } from "../value.ts";

/** LayerNormalization-17: outputs y, mean and inverse standard deviation. */
const layer: ShapeRule = (node) => {
  const x = operand(node, 0);
  sameDType(node, [0, 1, 2]);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), x.shape.length);
  const normalised = x.shape.slice(axis);
  for (const i of [1, 2]) {
    const p = node.inputs[i];
    if (p && (sizeOf(p.shape) !== sizeOf(normalised) || p.shape.length > normalised.length))
      throw refuse(node, `operand ${i} must have shape [${normalised.join(", ")}]`);
  }
  // ONNX computes statistics in float32 (stash_type 1). In float64 the runtime has no kernel that gives them at all; graphs
  // in float64 exist to check gradients, where the operator is replaced by its definition.
  const statistics = {
    dtype: x.dtype === "float64" ? x.dtype : ("float32" as const),
    shape: x.shape.map((n, i) => (i < axis ? n : 1)),
  };
  return [{ dtype: x.dtype, shape: x.shape }, statistics, statistics];
};

const perChannel: ShapeRule = (node) => {
  const x = operand(node, 0);
  if (x.shape.length < 3) throw refuse(node, "needs images [batch, channels, ...spatial]");
  for (let i = 1; i < node.inputs.length; i++) {
    const p = operand(node, i);
    if (p.shape.length !== 1 || p.shape[0] !== x.shape[1])
      throw refuse(node, `operand ${i} must have shape [${x.shape[1]}]`);
  }
  return [{ dtype: x.dtype, shape: x.shape }];
};

const group: ShapeRule = (node) => {
  const x = operand(node, 0);
  const groups = intOf(node.attributes, "num_groups", 0);
  if (groups < 1 || x.shape[1]! % groups !== 0)
    throw refuse(node, `${x.shape[1]} channels do not divide into ${groups} groups`);
  return perChannel(node);
};

const batch: ShapeRule = (node) => {
  const x = operand(node, 0);
  if (intOf(node.attributes, "training_mode", 0) === 1)
    throw refuse(
      node,
      "training mode computes statistics over the batch, which mixes patients; use GroupNormalization",
      "LG-GRAPH-003",
    );
  for (let i = 1; i < 5; i++) {
    const p = operand(node, i);
    if (p.shape.length !== 1 || p.shape[0] !== x.shape[1])
      throw refuse(node, `operand ${i} must have shape [${x.shape[1]}]`);
  }
  return [{ dtype: x.dtype, shape: x.shape }];
};

export const normalizationRules: Readonly<Record<string, ShapeRule>> = {
  LayerNormalization: layer,
  InstanceNormalization: perChannel,
  GroupNormalization: group,
  BatchNormalization: batch,
};
