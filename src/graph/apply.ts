import { convolutionRules } from "./rules/convolution.ts";
import { elementwiseRules } from "./rules/elementwise.ts";
import { layoutRules } from "./rules/layout.ts";
import { linearRules } from "./rules/linear.ts";
import { normalizationRules } from "./rules/normalization.ts";
import { reductionRules } from "./rules/reduction.ts";
import { refuse, type ShapeRule } from "./shape.ts";
import type { Attributes, Node, Result, Value } from "./value.ts";

/** Shape and element-type inference, by ONNX operator name. */
export const shapeRules: Readonly<Record<string, ShapeRule>> = {
  ...elementwiseRules,
  ...linearRules,
  ...convolutionRules,
  ...reductionRules,
  ...normalizationRules,
  ...layoutRules,
};

/**
 * Applies an ONNX operator: infers the types of its outputs and makes the node.
 * Throws LG-GRAPH-001/002 where the operands do not fit and LG-GRAPH-003 where the operator has no rule.
 * @param outputs how many outputs to keep; all that the rule describes, by default.
 */
export function apply(
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
  { name, outputs }: { name?: string | undefined; outputs?: number } = {},
): readonly Result[] {
  const application = { op, inputs, attributes, ...(name === undefined ? {} : { name }) };
  // An operator's name may come from a file: "constructor" is not one.
  const rule = Object.hasOwn(shapeRules, op) ? shapeRules[op] : undefined;
  if (!rule) throw refuse(application, `operator ${op} has no shape rule`, "LG-GRAPH-003");
  const types = rule(application).slice(0, outputs);
  const results: Result[] = [];
  const node: Node = { ...application, outputs: results };
  types.forEach((type, index) => results.push({ kind: "result", node, index, dtype: type.dtype, shape: type.shape }));
  return results;
}
