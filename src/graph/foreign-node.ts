import { LeadglassError } from "../errors.ts";
import type { Application } from "./shape.ts";
import { describe } from "./value.ts";

/** A node as a file has it. */
export interface ForeignNode extends Application {
  readonly opset: number;
  /** How many outputs the file names. */
  readonly outputs: number;
}

/** LG-GRAPH-003 for a case of an operator that has no counterpart here. */
export function unsupported(node: Pick<ForeignNode, "op" | "name" | "inputs">, reason: string): LeadglassError {
  const place = `operator ${node.op}, node ${node.name ?? "without a name"}`;
  const operands = node.inputs.map((v) => (v ? describe(v) : "omitted")).join(", ");
  return new LeadglassError("LG-GRAPH-003", `${place}: ${reason}; operands: ${operands || "none"}`, {
    hint: "Export the model for inference with a recent opset (in PyTorch: model.eval(), opset_version=18 or later).",
    fields: { operator: node.op, node: node.name ?? "" },
  });
}
