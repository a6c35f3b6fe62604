import { groupStatistics, perChannel, rowDots } from "../../graph/compositions.ts";
import { floatOf, intOf, normaliseAxis } from "../../graph/shape.ts";
import {
  add,
  apply,
  cast,
  expand,
  matMul,
  mul,
  neg,
  reciprocal,
  reduceSum,
  reshape,
  scalar,
  sizeOf,
  sqrt,
  sub,
  sum,
  type Node,
  type Value,
} from "../../graph/index.ts";
import { floats, noRule, sumTo, type GradientRule } from "../rule.ts";

/** Group count of a GroupNormalization, or the channel count for InstanceNormalization. */
export const groupsOf = (node: Node): number =>
  node.op === "InstanceNormalization" ? node.inputs[0]!.shape[1]! : intOf(node.attributes, "num_groups", 1);

/**
 * Per image and channel: the sum of dy and its product with the normalised image, both [batch, channels]. They are the
 * per-image gradients of bias and scale, and all that the input gradient needs besides.
 */
export function groupSums(
  node: Node,
  dy: Value,
): { bias: Value; scale: Value; centred: Value; inverseDeviation: Value } {
  const x = node.inputs[0]!;
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const groups = groupsOf(node);
  const { centred, inverseDeviation } = groupStatistics(x, groups, floatOf(node.attributes, "epsilon", 1e-5));
  const bias = reshape(reduceSum(reshape(dy, [batch * channels, -1]), [1]), [batch, channels]);
  const products = reshape(rowDots(dy, centred, batch * channels), [batch, groups, channels / groups]);
  const scale = reshape(mul(products, inverseDeviation), [batch, channels]);
  return { bias, scale, centred, inverseDeviation };
}

/** dx = A dy + (P c + Q) with c the centred image and A, P, Q constant over each channel or group: four passes. */
const groupGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const [x, gain] = [node.inputs[0]!, node.inputs[1]!];
  const rank = x.shape.length;
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const groups = groupsOf(node);
  const n = sizeOf(x.shape) / (batch * groups);
  const sums = groupSums(node, dy);
  const { centred, inverseDeviation: r } = sums;
  const dx = (): Value => {
    const perGroup = (v: Value): Value =>
      mul(
        reduceSum(reshape(mul(v, reshape(gain, [1, channels])), [batch, groups, channels / groups]), [2], true),
        scalar(-1 / n, x.dtype),
      );
    const spread = (v: Value): Value => {
      const expanded = mul(v, floats(new Float32Array(channels / groups).fill(1), [1, 1, channels / groups], x.dtype));
      return perChannel(expanded, batch, channels, rank);
    };
    const a = perChannel(mul(r, reshape(gain, [1, groups, channels / groups])), batch, channels, rank);
    const p = spread(mul(mul(r, r), perGroup(sums.scale)));
    const q = spread(mul(r, perGroup(sums.bias)));
    return add(mul(dy, a), add(mul(centred, p), q));
  };
  return [
    needs[0] ? dx() : undefined,
    needs[1] ? reduceSum(sums.scale, [0]) : undefined,
    needs[2] ? reduceSum(sums.bias, [0]) : undefined,
  ];
};

/** The normalised operand of a LayerNormalization: (x - mean) / deviation, shaped as x. */
export function layerNormalised(node: Node): { normalised: Value; inverseDeviation: Value } {
  const [, mean, inverse] =
    node.outputs.length === 3
      ? node.outputs
      : apply("LayerNormalization", node.inputs, node.attributes, { name: node.name });
  // Statistics are float32 whatever the operand is.
  const x = node.inputs[0]!;
  const inverseDeviation = cast(inverse!, x.dtype);
  return { normalised: mul(sub(x, cast(mean!, x.dtype)), inverseDeviation), inverseDeviation };
}

const layerGradient: GradientRule = (node, [dy, dMean, dInverse], needs) => {
  const statistics = needs[0] ? layerStatisticsGradient(node, dMean, dInverse) : undefined;
  if (!dy) return [statistics];
  const [x, gain, bias] = [node.inputs[0]!, node.inputs[1]!, node.inputs[2]];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), x.shape.length);
  const d = sizeOf(x.shape.slice(axis));
  const { normalised, inverseDeviation } = layerNormalised(node);
  const weighted = mul(dy, normalised);
  const dx = (): Value => {
    // Means over the normalised axes of dy g and dy g xhat, as products with the column g / d.
    const column = reshape(mul(gain, scalar(1 / d, x.dtype)), [d, 1]);
    const rows = (v: Value): Value => reshape(matMul(reshape(v, [-1, d]), column), inverseDeviation.shape);
    return mul(inverseDeviation, sub(sub(mul(dy, gain), rows(dy)), mul(normalised, rows(weighted))));
  };
  return [
    needs[0] ? (statistics ? add(dx(), statistics) : dx()) : undefined,
    needs[1] ? sumTo(weighted, gain.shape) : undefined,
    bias && needs[2] ? sumTo(dy, bias.shape) : undefined,
  ];
};

/** What flows back through the mean (1 / d each) and the inverse deviation r (-r^2 xhat / d), where a model uses them. */
function layerStatisticsGradient(node: Node, dMean: Value | undefined, dInverse: Value | undefined): Value | undefined {
  const x = node.inputs[0]!;
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", -1), x.shape.length);
  const share = scalar(1 / sizeOf(x.shape.slice(axis)), x.dtype);
  const parts: Value[] = [];
  if (dMean) parts.push(expand(mul(cast(dMean, x.dtype), share), x.shape));
  if (dInverse) {
    const { normalised, inverseDeviation: r } = layerNormalised(node);
    parts.push(mul(neg(mul(mul(cast(dInverse, x.dtype), share), mul(r, r))), normalised));
  }
  return parts.length > 0 ? sum(parts) : undefined;
}

/** The operand of an inference-mode BatchNormalization, normalised by the stored statistics, and 1 / their deviation. */
export function batchNormalised(node: Node): { normalised: Value; inverseDeviation: Value } {
  const [x, , , mean, variance] = node.inputs as readonly [Value, Value, Value, Value, Value];
  const [rank, channels] = [x.shape.length, x.shape[1]!];
  const epsilon = scalar(floatOf(node.attributes, "epsilon", 1e-5), variance.dtype);
  const inverseDeviation = perChannel(reciprocal(sqrt(add(variance, epsilon))), 1, channels, rank);
  return { normalised: mul(sub(x, perChannel(mean, 1, channels, rank)), inverseDeviation), inverseDeviation };
}

/** Inference form: an affine map with stored statistics, which have no gradient of their own. */
const batchGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const [x, gain] = [node.inputs[0]!, node.inputs[1]!];
  if (needs[3] || needs[4]) throw noRule(node, "stored statistics are not trainable");
  const { normalised, inverseDeviation } = batchNormalised(node);
  const channelGain = perChannel(gain, 1, gain.shape[0]!, x.shape.length);
  const sumChannels = (v: Value): Value => reshape(sumTo(v, channelGain.shape), gain.shape);
  return [
    needs[0] ? mul(dy, mul(inverseDeviation, channelGain)) : undefined,
    needs[1] ? sumChannels(mul(dy, normalised)) : undefined,
    needs[2] ? sumChannels(dy) : undefined,
  ];
};

export const normalizationGradients: Readonly<Record<string, GradientRule>> = {
  GroupNormalization: groupGradient,
  InstanceNormalization: groupGradient,
  LayerNormalization: layerGradient,
  BatchNormalization: batchGradient,
};
