import { LeadglassError, type ErrorCode } from "../errors.ts";
import { describe, integersOf, type Attributes, type Node, type Shape, type TensorType, type Value } from "./value.ts";

/** What a shape rule sees: a node that has no outputs yet. */
export type Application = Omit<Node, "outputs">;

/** From operands and attributes to the types of the outputs; throws where they do not fit. */
export type ShapeRule = (application: Application) => TensorType[];

/** An error that names the operator, every operand with its shape, and the reason. */
export function refuse(application: Application, reason: string, code: ErrorCode = "LG-GRAPH-001"): LeadglassError {
  const place = application.name ? `${application.op} (${application.name})` : application.op;
  const operands = application.inputs.map((v, i) => `operand ${i} is ${v ? describe(v) : "omitted"}`);
  return new LeadglassError(code, `${place}: ${reason}; ${operands.join(", ")}`, {
    hint: "Compare the shapes of the operands with the operator's definition in the ONNX specification.",
  });
}

/** The operand at `index`, which must be there. */
export function operand(application: Application, index: number): Value {
  const value = application.inputs[index];
  if (!value) throw refuse(application, `operand ${index} is missing`);
  return value;
}

/** The numbers of an operand that must be known when the graph is built (axes, target shapes, pads). */
export function knownIntegers(application: Application, index: number): number[] {
  const numbers = integersOf(operand(application, index));
  if (!numbers) throw refuse(application, `operand ${index} must be a constant`);
  return numbers;
}

export function sameDType(application: Application, indices: readonly number[]): void {
  const first = operand(application, indices[0]!);
  for (const i of indices) {
    const other = application.inputs[i];
    if (other && other.dtype !== first.dtype)
      throw refuse(application, `element types ${first.dtype} and ${other.dtype} differ`, "LG-GRAPH-002");
  }
}

/** Multidirectional (NumPy) broadcasting, or undefined where the shapes do not broadcast. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** A possibly negative axis as an index into `rank` axes. */
export function normaliseAxis(application: Application, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank)
    throw refuse(application, `axis ${axis} is outside a tensor of rank ${rank}`);
  return normal;
}

export const equalShapes = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

const pick = <T>(attributes: Attributes, name: string, field: string): T | undefined =>
  (attributes[name] as Record<string, T> | undefined)?.[field];

export const intOf = (attributes: Attributes, name: string, fallback: number): number =>
  pick<number>(attributes, name, "int") ?? fallback;
export const floatOf = (attributes: Attributes, name: string, fallback: number): number =>
  pick<number>(attributes, name, "float") ?? fallback;
export const stringOf = (attributes: Attributes, name: string, fallback: string): string =>
  pick<string>(attributes, name, "string") ?? fallback;
export const intsOf = (attributes: Attributes, name: string): readonly number[] | undefined =>
  pick<readonly number[]>(attributes, name, "ints");
