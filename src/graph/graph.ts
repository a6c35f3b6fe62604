import { LeadglassError } from "../errors.ts";
import { apply } from "./apply.ts";
import { describe, type Constant, type Input, type Node, type Value } from "./value.ts";

/** A model: named outputs, and everything they reach. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
}

/**
 * Collects what `outputs` reach. Inputs come in the order given, then in order of discovery; a given input stays an input
 * even where nothing uses it.
 * Throws LG-GRAPH-005 where two inputs or two outputs share a name.
 */
export function graphOf(name: string, outputs: Readonly<Record<string, Value>>, inputs: readonly Input[] = []): Graph {
  const all = new Map<string, Input>();
  const meet = (i: Input): void => {
    const other = all.get(i.name);
    if (other && other !== i)
      throw new LeadglassError(
        "LG-GRAPH-005",
        `graph ${name}: two inputs are called ${i.name}: ${describe(other)} and ${describe(i)}`,
      );
    all.set(i.name, i);
  };
  inputs.forEach(meet);
  const entries = Object.entries(outputs).map(([outputName, value]) => ({ name: outputName, value }));
  for (const { value } of entries) if (value.kind === "input") meet(value);
  for (const node of topologicalNodes(Object.values(outputs)))
    for (const v of node.inputs) if (v?.kind === "input") meet(v);
  return { name, inputs: [...all.values()], outputs: entries };
}

/** Every node that `roots` reach, operands before users; deterministic; without recursion, so depth does not matter. */
export function topologicalNodes(roots: readonly Value[]): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, "open" | "done">();
  for (const root of roots) {
    if (root.kind !== "result") continue;
    const stack: Node[] = [root.node];
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      if (state.get(node) === "done") {
        stack.pop();
        continue;
      }
      if (state.get(node) === "open") {
        state.set(node, "done");
        order.push(node);
        stack.pop();
        continue;
      }
      state.set(node, "open");
      for (let i = node.inputs.length - 1; i >= 0; i--) {
        const v = node.inputs[i];
        if (v?.kind === "result" && !state.has(v.node)) stack.push(v.node);
      }
    }
  }
  return order;
}

/** Every constant and input that `roots` reach. */
export function leavesOf(roots: readonly Value[]): (Input | Constant)[] {
  const leaves = new Set<Input | Constant>();
  const meet = (v: Value | undefined): void => {
    if (v && v.kind !== "result") leaves.add(v);
  };
  roots.forEach(meet);
  for (const node of topologicalNodes(roots)) node.inputs.forEach(meet);
  return [...leaves];
}

/**
 * Rebuilds `roots` with some values replaced; what does not depend on a replaced value is shared, not copied.
 * `rewrite`, where given, may replace a whole node by other values (one per output) once its operands are rebuilt.
 */
export function substitute(
  roots: readonly Value[],
  replacements: ReadonlyMap<Value, Value>,
  rewrite?: (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined,
): Value[] {
  const rebuilt = new Map<Node, readonly Value[]>();
  const renew = (v: Value): Value => {
    const replacement = replacements.get(v);
    if (replacement) return replacement;
    if (v.kind !== "result") return v;
    return rebuilt.get(v.node)?.[v.index] ?? v;
  };
  for (const node of topologicalNodes(roots)) {
    const inputs = node.inputs.map((v) => v && renew(v));
    const rewritten = rewrite?.(node, inputs);
    if (rewritten) rebuilt.set(node, rewritten);
    else if (inputs.some((v, i) => v !== node.inputs[i]))
      rebuilt.set(node, apply(node.op, inputs, node.attributes, { name: node.name, outputs: node.outputs.length }));
  }
  return roots.map(renew);
}
