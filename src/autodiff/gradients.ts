import { LeadglassError } from "../errors.ts";
import { sum, topologicalNodes, type Node, type Value } from "../graph/index.ts";
import { noRule, type GradientRule } from "./rule.ts";
import { convolutionGradients } from "./rules/convolution.ts";
import { elementwiseGradients } from "./rules/elementwise.ts";
import { layoutGradients } from "./rules/layout.ts";
import { linearGradients } from "./rules/linear.ts";
import { normalizationGradients } from "./rules/normalization.ts";
import { reductionGradients } from "./rules/reduction.ts";

/** Reverse-mode gradient rules, by ONNX operator name. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  ...elementwiseGradients,
  ...linearGradients,
  ...convolutionGradients,
  ...reductionGradients,
  ...normalizationGradients,
  ...layoutGradients,
};

/** The gradient rule of a node. Throws LG-AUTODIFF-001 where there is none. */
export function ruleOf(node: Node): GradientRule {
  // An operator's name may come from a file: "constructor" is not one.
  const rule = Object.hasOwn(gradientRules, node.op) ? gradientRules[node.op] : undefined;
  if (!rule) throw noRule(node, `operator ${node.op} has no gradient rule`);
  return rule;
}

/** Which values can be reached from `sources`: the sources themselves, and every output that depends on one. */
export function dependents(roots: readonly Value[], sources: Iterable<Value>): (value: Value) => boolean {
  const reached = new Set<Value>(sources);
  for (const node of topologicalNodes(roots))
    if (node.inputs.some((v) => v && reached.has(v))) node.outputs.forEach((y) => reached.add(y));
  return (value) => reached.has(value);
}

/**
 * Cotangents of everything that `wanted` accepts, walking back from `seeds` (an output and its cotangent each).
 * `visit`, where given, sees every node on the way with the cotangents of its outputs.
 * Throws LG-AUTODIFF-001, naming operator and place, where a rule is missing.
 */
export function pullBack(
  seeds: readonly (readonly [Value, Value])[],
  wanted: (value: Value) => boolean,
  visit?: (node: Node, cotangents: readonly (Value | undefined)[]) => void,
): (value: Value) => Value | undefined {
  const parts = new Map<Value, Value[]>();
  const totals = new Map<Value, Value>();
  const give = (value: Value, cotangent: Value): void => {
    const list = parts.get(value);
    if (list) list.push(cotangent);
    else parts.set(value, [cotangent]);
  };
  const total = (value: Value): Value | undefined => {
    const known = totals.get(value);
    if (known) return known;
    const list = parts.get(value);
    if (!list) return undefined;
    const made = sum(list);
    totals.set(value, made);
    return made;
  };
  seeds.forEach(([value, cotangent]) => give(value, cotangent));
  for (const node of topologicalNodes(seeds.map(([value]) => value)).reverse()) {
    const cotangents = node.outputs.map(total);
    if (cotangents.every((c) => c === undefined)) continue;
    visit?.(node, cotangents);
    const needs = node.inputs.map((v) => v !== undefined && wanted(v));
    if (!needs.includes(true)) continue;
    const rule = ruleOf(node);
    rule(node, cotangents, needs).forEach((cotangent, i) => {
      if (cotangent && needs[i]) give(node.inputs[i]!, cotangent);
    });
  }
  return total;
}

/**
 * Gradients of a scalar (or, with `seed`, of <seed, value>) with respect to `parameters`, as values to be added to the
 * graph. Shapes are those of the parameters.
 * Throws LG-AUTODIFF-001 for an operator without a rule, LG-AUTODIFF-003 for a parameter that `value` does not reach.
 */
export function gradients(value: Value, parameters: readonly Value[], seed: Value): Value[] {
  const cotangentOf = pullBack([[value, seed]], dependents([value], parameters));
  return parameters.map((p, i) => {
    const cotangent = cotangentOf(p);
    if (!cotangent) throw unreached(p, i);
    return cotangent;
  });
}

export function unreached(parameter: Value, index: number): LeadglassError {
  const name = "name" in parameter && parameter.name ? parameter.name : `number ${index}`;
  return new LeadglassError("LG-AUTODIFF-003", `parameter ${name} does not influence the loss`, {
    hint: "Remove it from the trainable parameters, or use it in the model.",
  });
}
