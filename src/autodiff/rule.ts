import { LeadglassError } from "../errors.ts";
import { equalShapes, refuse } from "../graph/shape.ts";
import {
  apply,
  constant,
  int64s,
  reduceSum,
  reshape,
  type Constant,
  type DType,
  type Node,
  type Shape,
  type Value,
} from "../graph/index.ts";

/**
 * A gradient rule: from a node and the cotangents of its outputs (undefined where nothing flows back) to the cotangents
 * of its operands. `needs[i]` is false where operand i's cotangent is not wanted; the rule may leave it out.
 */
export type GradientRule = (
  node: Node,
  cotangents: readonly (Value | undefined)[],
  needs: readonly boolean[],
) => readonly (Value | undefined)[];

/** Sums `value` over the axes along which `shape` was broadcast to it. */
export function sumTo(value: Value, shape: Shape): Value {
  if (equalShapes(value.shape, shape)) return value;
  const lead = value.shape.length - shape.length;
  const axes = value.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && value.shape[i] !== 1));
  return reshape(axes.length > 0 ? reduceSum(value, axes) : value, shape);
}

/** LG-AUTODIFF-001 for a node, or a form of its operator, that has no gradient rule: names the operator and the place. */
export const noRule = (node: Node, reason: string): LeadglassError =>
  new LeadglassError("LG-AUTODIFF-001", refuse(node, reason).message, {
    hint: `Express ${node.op} in operators that have a gradient rule, or train only parameters that come after it.`,
  });

/** A constant in the element type of the tensors that it meets: a gradient has the type of what it is the gradient of. */
export const floats = (values: ArrayLike<number>, shape: Shape, dtype: DType): Constant =>
  constant(dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values), shape);

/** Zeros that are made at run time and take no room in the model. */
export const zerosOf = (shape: Shape, dtype: DType): Value =>
  apply("ConstantOfShape", [int64s(shape)], { value: { tensor: floats([0], [1], dtype) } })[0]!;

/** A rule for an operator of one operand and one output. */
export const unaryRule =
  (gradient: (dy: Value, x: Value, y: Value, node: Node) => Value): GradientRule =>
  (node, [dy]) => [dy && gradient(dy, node.inputs[0]!, node.outputs[0]!, node)];
