import {
  apply,
  cast,
  concat,
  constant,
  equal,
  matMul,
  mul,
  pad,
  reduceSum,
  reshape,
  scalar,
  sizeOf,
  slice,
  transpose,
  transposeLast,
  where,
  type Node,
  type Shape,
  type Value,
} from "../../graph/index.ts";
import type { Window } from "../../graph/rules/convolution.ts";
import { intOf, normaliseAxis } from "../../graph/shape.ts";
import { ruleOf } from "../gradients.ts";
import { noRule, sumTo } from "../rule.ts";
import { convTransposeWindow, convWindow, weightFactors, weightProducts } from "../rules/convolution.ts";
import { localRules } from "../rules/elementwise.ts";
import { nonNegative } from "../rules/layout.ts";
import { gemmOptions } from "../rules/linear.ts";
import { batchNormalised, groupSums, layerNormalised } from "../rules/normalization.ts";
import type { UnitAxis } from "./axis.ts";

/** A batch axis of units x views rows, unit-major: a unit's views lie together. */
export interface UnitLayout {
  readonly units: number;
  readonly views: number;
}

/**
 * What one use of an operand gives to its per-unit gradient: either whole, as parts [units, n] that make up [units, size]
 * side by side, or as two factors whose product over positions it is. `finish` takes a sum over units, [size], to the
 * operand's shape; it only permutes, so norms of the unfinished form are norms of the gradient, and except where
 * `reordered` it only reshapes, so that those of several uses of one operand may be added.
 */
export interface UnitContribution {
  readonly instantiate: () => readonly Value[];
  readonly finish: (sum: Value) => Value;
  readonly factors?: UnitFactors;
  readonly reordered?: boolean;
  /** The operand holds numbers for every row: right for something expanded, wrong for a parameter itself. */
  readonly perRow?: boolean;
}

/**
 * The product over positions of left and right: [units, positions, p] and [units, positions, q], or with `channelsFirst`
 * [p, units, positions] and [q, units, positions].
 */
export interface UnitFactors {
  readonly left: Value;
  readonly right: Value;
  readonly channelsFirst: boolean;
}

export interface UseOfOperand {
  readonly node: Node;
  /** Which operand of the node. */
  readonly index: number;
  readonly cotangents: readonly (Value | undefined)[];
  readonly layout: UnitLayout;
  readonly axisOf: (value: Value) => UnitAxis | undefined;
}

type UnitRule = (use: UseOfOperand, dy: Value) => UnitContribution | undefined;

const range = (n: number): number[] => [...Array(n).keys()];

/** [.., rows x inner at `axis`, ..] -> [units, views x inner, the other axes in order]. */
function foldUnits(value: Value, axis: UnitAxis, units: number): Value {
  const others = range(value.shape.length).filter((i) => i !== axis);
  const front = transpose(value, [axis, ...others]);
  return reshape(front, [units, value.shape[axis]! / units, ...others.map((i) => value.shape[i]!)]);
}

const whole = (gradient: Value, shape: Shape): UnitContribution => ({
  instantiate: () => [gradient],
  finish: (sum) => reshape(sum, shape),
});

/** Sums a cotangent that was broadcast from `shape` over everything but the units. */
function broadcastSum({ node, index, layout, axisOf }: UseOfOperand, local: Value): UnitContribution {
  const { shape } = node.inputs[index]!;
  const axis = axisOf(node.outputs[0]!)!;
  const aligned = [...Array<number>(local.shape.length - shape.length).fill(1), ...shape];
  if (aligned[axis] !== 1) return ownRows(sumTo(local, aligned), axis, shape, layout.units);
  const folded = foldUnits(local, axis, layout.units);
  const rest = aligned.filter((_, i) => i !== axis);
  const axes = [1, ...rest.flatMap((n, i) => (n === 1 && folded.shape[i + 2] !== 1 ? [i + 2] : []))];
  return whole(reshape(reduceSum(folded, axes), [layout.units, sizeOf(shape)]), shape);
}

/**
 * An operand with numbers for every row, such as a class token expanded over the batch: a unit's gradient is its own rows
 * of `gradient`, which is shaped as the operand with leading axes of 1, and zero elsewhere.
 */
function ownRows(gradient: Value, axis: UnitAxis, shape: Shape, units: number): UnitContribution {
  const own = reshape(foldUnits(gradient, axis, units), [1, units, -1]);
  const diagonal = constant(
    Uint8Array.from({ length: units * units }, (_, i) => Number(i % (units + 1) === 0)),
    [units, units, 1],
    "bool",
  );
  const rank = gradient.shape.length;
  const others = range(rank).filter((i) => i !== axis);
  const front = [axis, ...others];
  return {
    // Not a product with zeros: what is not finite in one unit must not reach another.
    instantiate: () => [reshape(where(diagonal, own, scalar(0, own.dtype)), [units, sizeOf(shape)])],
    finish: (sum) =>
      reshape(transpose(reshape(sum, front.map((i) => gradient.shape[i]!)), range(rank).map((i) => front.indexOf(i))), shape), // prettier-ignore
    reordered: true,
    perRow: true,
  };
}

/** left' right over the positions of a unit: the dense layer, whichever way its weight is stored. */
function outerProduct(left: Value, right: Value, shape: Shape): UnitContribution {
  return {
    instantiate: () => [reshape(matMul(transposeLast(left), right), [left.shape[0]!, sizeOf(shape)])],
    finish: (sum) => reshape(sum, shape),
    factors: { left, right, channelsFirst: false },
  };
}

const matMulRule: UnitRule = ({ node, index, layout, axisOf }, dy) => {
  const [a, b] = [node.inputs[0]!, node.inputs[1]!];
  const axis = axisOf(a);
  if (index !== 1 || b.shape.length !== 2 || a.shape.length < 2 || axis === undefined) return undefined;
  const rows = (v: Value): Value => reshape(foldUnits(v, axis, layout.units), [layout.units, -1, v.shape.at(-1)!]);
  return outerProduct(rows(a), rows(dy), b.shape);
};

const gemmRule: UnitRule = (use, dy) => {
  const { node, index, layout, axisOf } = use;
  const { transA, transB, alpha, beta } = gemmOptions(node);
  if (index === 2) return broadcastSum(use, beta === 1 ? dy : mul(dy, scalar(beta, dy.dtype)));
  const [a, b] = [node.inputs[0]!, node.inputs[1]!];
  if (index !== 1 || axisOf(a) === undefined) return undefined;
  const fold = (v: Value): Value => reshape(v, [layout.units, v.shape[0]! / layout.units, v.shape[1]!]);
  const x = fold(transA ? transpose(a, [1, 0]) : a);
  const d = fold(alpha === 1 ? dy : mul(dy, scalar(alpha, dy.dtype)));
  return transB ? outerProduct(d, x, b.shape) : outerProduct(x, d, b.shape);
};

/** The weight of a convolution from `image` to something with cotangent `cotangent`, as {@link weightFactors} has them. */
function kernelContribution(
  image: Value,
  cotangent: Value,
  { window, group }: { window: Window; group: number },
  { units }: UnitLayout,
  shape: Shape,
): UnitContribution {
  const each = weightFactors(image, cotangent, window, group, units, shape);
  const all = weightFactors(image, cotangent, window, group, 1, shape, { together: true });
  const perUnit = (v: Value): Value => reshape(v, [v.shape[2]!, units, v.shape[3]! / units]);
  return {
    instantiate: () => weightProducts(each).map((product) => reshape(product, [units, -1])),
    finish: each.finish,
    reordered: each.reordered,
    // One product of all units is a product over all positions, so their channels come first.
    ...(group === 1 && each.rights.length === 1
      ? { factors: { left: perUnit(all.left), right: perUnit(all.rights[0]!), channelsFirst: true } }
      : {}),
  };
}

const convRule: UnitRule = (use, dy) => {
  const { node, index, layout } = use;
  if (index === 2) return channelBias(use, dy);
  if (index !== 1) return undefined;
  return kernelContribution(node.inputs[0]!, dy, convWindow(node), layout, node.inputs[1]!.shape);
};

const convTransposeRule: UnitRule = (use, dy) => {
  const { node, index, layout } = use;
  if (index === 2) return channelBias(use, dy);
  if (index !== 1) return undefined;
  return kernelContribution(dy, node.inputs[0]!, convTransposeWindow(node), layout, node.inputs[1]!.shape);
};

/** Sums dy [images, channels, ...] over the images of each unit and all positions: [units, channels]. */
function channelSums(dy: Value, units: number): Value {
  const channels = dy.shape[1]!;
  return reduceSum(reshape(dy, [units, dy.shape[0]! / units, channels, sizeOf(dy.shape.slice(2))]), [1, 3]);
}

const channelBias = ({ node, index, layout }: UseOfOperand, dy: Value): UnitContribution =>
  whole(channelSums(dy, layout.units), node.inputs[index]!.shape);

const groupRule: UnitRule = ({ node, index, layout: { units } }, dy) => {
  if (index === 0) return undefined;
  const sums = groupSums(node, dy);
  const perImage = index === 1 ? sums.scale : sums.bias;
  const channels = perImage.shape[1]!;
  return whole(channelSums(perImage, units), [channels]);
};

const batchRule: UnitRule = (use, dy) => {
  if (use.index === 1) return channelBias(use, mul(dy, batchNormalised(use.node).normalised));
  return use.index === 2 ? channelBias(use, dy) : undefined;
};

const layerRule: UnitRule = (use, dy) => {
  if (use.index === 0) return undefined;
  return broadcastSum(use, use.index === 1 ? mul(dy, layerNormalised(use.node).normalised) : dy);
};

/** Rows of a table picked by per-unit indices: a product with one-hot rows. */
const gatherRule: UnitRule = ({ node, index, layout: { units }, axisOf }, dy) => {
  const [table, indices] = [node.inputs[0]!, node.inputs[1]!];
  const axis = axisOf(indices);
  if (
    index !== 0 ||
    axis === undefined ||
    normaliseAxis(node, intOf(node.attributes, "axis", 0), table.shape.length) !== 0
  )
    return undefined;
  const n = table.shape[0]!;
  const inner = sizeOf(table.shape.slice(1));
  const picked = reshape(foldUnits(nonNegative(cast(indices, "int64"), n), axis, units), [units, -1, 1]);
  const numbers = constant(BigInt64Array.from(range(n), BigInt), [1, 1, n]);
  const oneHot = cast(equal(picked, numbers), dy.dtype);
  return outerProduct(oneHot, reshape(foldUnits(dy, axis, units), [units, -1, inner]), table.shape);
};

const unitRules: Readonly<Record<string, UnitRule>> = {
  MatMul: matMulRule,
  Gemm: gemmRule,
  Conv: convRule,
  ConvTranspose: convTransposeRule,
  GroupNormalization: groupRule,
  InstanceNormalization: groupRule,
  BatchNormalization: batchRule,
  LayerNormalization: layerRule,
  Gather: gatherRule,
};

/**
 * The axis along which an operand that depends on no unit has a row for each row of the output: a mask or an expanded
 * token for every image. Undefined where all rows share it.
 */
function rowsOf(node: Node, index: number, outputAxis: UnitAxis): UnitAxis | undefined {
  const { shape } = node.inputs[index]!;
  const rank = node.outputs[0]!.shape.length;
  const aligned = outputAxis - (rank - shape.length);
  const broadcast = aligned >= 0 && shape[aligned] !== 1 ? aligned : undefined;
  if (node.op === "Concat") return outputAxis;
  if (node.op === "MatMul") return outputAxis < rank - 2 ? broadcast : undefined;
  if (node.op === "Gemm") {
    const { transA, transB } = gemmOptions(node);
    if (index === 2) return broadcast;
    if (index !== outputAxis) return undefined;
    return index === 0 ? Number(transA) : Number(!transB);
  }
  return Object.hasOwn(localRules, node.op) ? broadcast : undefined;
}

/** Cuts every operand and cotangent unit by unit and applies the ordinary rule to each: right for any operator, if slow. */
function oneByOne({ node, index, cotangents, layout: { units }, axisOf }: UseOfOperand): UnitContribution {
  const rule = ruleOf(node);
  const outputAxis = axisOf(node.outputs[0]!)!;
  const cut = (value: Value, axis: UnitAxis, unit: number): Value => {
    const size = value.shape[axis]! / units;
    return slice(value, [unit * size], [(unit + 1) * size], [axis]);
  };
  const { shape } = node.inputs[index]!;
  const own = rowsOf(node, index, outputAxis);
  const rows = range(units).map((unit) => {
    const inputs = node.inputs.map((v, i) => {
      const axis = v && (axisOf(v) ?? rowsOf(node, i, outputAxis));
      return v === undefined || axis === undefined ? v : cut(v, axis, unit);
    });
    const part = apply(node.op, inputs, node.attributes, { name: node.name, outputs: node.outputs.length })[0]!.node;
    const dys = cotangents.map((dy, i) => dy && cut(dy, axisOf(node.outputs[i]!)!, unit));
    const gradient = rule(part, dys, node.inputs.map((_, i) => i === index))[index]; // prettier-ignore
    if (!gradient) throw noRule(node, `no gradient for operand ${index}`);
    if (own === undefined) return reshape(gradient, [1, sizeOf(shape)]);
    const size = shape[own]! / units;
    const at = (before: number): number[] => shape.map((_, i) => (i === own ? before : 0));
    return reshape(pad(gradient, [...at(unit * size), ...at((units - 1 - unit) * size)]), [1, sizeOf(shape)]);
  });
  return { ...whole(concat(rows, 0), shape), perRow: own !== undefined && shape[own] !== 1 };
}

/** The contribution of one use of a trainable operand. Throws LG-AUTODIFF-001 where the operator has no gradient at all. */
export function contributionOf(use: UseOfOperand): UnitContribution {
  const { node, index, cotangents } = use;
  const dy = cotangents[0];
  if (dy && cotangents.slice(1).every((c) => c === undefined)) {
    const special = unitRules[node.op]?.(use, dy);
    if (special) return special;
    const local = localRules[node.op]?.(
      node,
      dy,
      node.inputs.map((_, i) => i === index),
    )[index];
    if (local) return broadcastSum(use, local);
  }
  return oneByOne(use);
}
