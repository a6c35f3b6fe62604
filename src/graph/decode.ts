import { LeadglassError, isLeadglassError } from "../errors.ts";
import { apply, shapeRules } from "./apply.ts";
import { foldNode } from "./fold.ts";
import type { Graph } from "./graph.ts";
import { readModel, type NodeMessage, type ValueInfoMessage } from "./messages.ts";
import { trimmed, unreadable } from "./proto.ts";
import { dtypeOfNumber } from "./rules/layout.ts";
import { unsupported, type ForeignNode } from "./foreign-node.ts";
import { clampedInt64s, upgrades } from "./upgrades.ts";
import {
  constant, float32s, input, scalar, sizeOf, type Attribute, type Attributes, type Constant, type Input,
  type Value,
} from "./value.ts"; // prettier-ignore

export interface DecodeOptions {
  /**
   * Sizes of symbolic dimensions, by their name in the model ("batch"), or by input and axis where they have none
   * ("images[0]").
   */
  readonly dimensions?: Readonly<Record<string, number>>;
  /** Keep the names of nodes, for error messages and viewers. Names of initialisers are always kept. */
  readonly keepNames?: boolean;
}

/** Operator sets whose meaning of our operators is that of 21, or can be brought to it. */
const [oldestOpset, newestOpset] = [7, 26];

/**
 * Reads an ONNX model as a graph with static shapes, in the operator forms of opset 21. Initialisers become constants with
 * their names; arithmetic on shapes and other literals is computed away; dropout in inference mode disappears.
 * Throws LG-GRAPH-004 where the bytes are not a model, its weights lie in another file, its shapes do not fit or a
 * symbolic dimension has no size; LG-GRAPH-003 where an operator is not supported.
 */
export function decodeModel(bytes: Uint8Array, { dimensions = {}, keepNames = true }: DecodeOptions = {}): Graph {
  const { opset, graph } = readModel(bytes);
  if (opset < oldestOpset || opset > newestOpset)
    throw new LeadglassError(
      "LG-GRAPH-003",
      `model: operator set ${opset} is not supported; expected ${oldestOpset} to ${newestOpset}`,
      { hint: "Export the model with opset_version=21." },
    );
  const values = new Map<string, Value>();
  const define = (name: string, value: Value, by: string): void => {
    if (values.has(name)) throw unreadable(`model: ${by} defines ${name}, which is defined already`);
    values.set(name, value);
  };
  for (const { name, value } of graph.initializers) define(name, value, "an initialiser");
  const inputs: Input[] = [];
  for (const info of graph.inputs) {
    // Models of IR version 3 list their initialisers as inputs too.
    if (values.get(info.name)?.kind === "constant") continue;
    const declared = inputOf(info, dimensions);
    inputs.push(declared);
    define(info.name, declared, "an input");
  }
  for (const node of graph.nodes) {
    const outputs = trimmed(node.outputs);
    const results = outputsOf(node, values, outputs.length, opset, keepNames);
    outputs.forEach((name, i) => {
      if (name !== "") define(name, results[i]!, placeOf(node));
    });
  }
  return {
    name: graph.name,
    inputs,
    outputs: graph.outputs.map(({ name }) => {
      const value = values.get(name);
      if (!value) throw unreadable(`model: output ${name} is defined by no node`);
      return { name, value };
    }),
  };
}

/** The text that was kept beside the graph (see `metadata` of encodeModel). Throws LG-GRAPH-004 as decodeModel does. */
export const decodeMetadata = (bytes: Uint8Array): Readonly<Record<string, string>> => readModel(bytes).metadata;

/** The inputs that a model declares, sizes as numbers or by their symbolic names. Throws LG-GRAPH-004 as decodeModel does. */
export function declaredInputs(bytes: Uint8Array): { name: string; shape: readonly (number | string)[] }[] {
  const { graph } = readModel(bytes);
  const known = new Set(graph.initializers.map(({ name }) => name));
  return graph.inputs
    .filter(({ name }) => !known.has(name))
    .map(({ name, shape }) => ({ name, shape: [...(shape ?? [])] }));
}

const placeOf = (node: NodeMessage): string => `node ${node.name || "without a name"} (${node.op})`;

function inputOf(info: ValueInfoMessage, dimensions: Readonly<Record<string, number>>): Input {
  const dtype = dtypeOfNumber(info.element);
  if (!dtype)
    throw new LeadglassError(
      "LG-GRAPH-003",
      `model: input ${info.name} has element type number ${info.element}, which is not supported`,
      { hint: "Inputs must be tensors of float32, float64, float16, int64, int32, int8, uint8 or bool." },
    );
  if (!info.shape)
    throw unreadable(`model: input ${info.name} has no shape`, "Export the model with an example input.");
  const shape = info.shape.map((n, axis) => {
    if (typeof n === "number" && n >= 0) return n;
    const place = `${info.name}[${axis}]`;
    const key = [n, place].find((k): k is string => typeof k === "string" && Object.hasOwn(dimensions, k));
    const size = key === undefined ? undefined : dimensions[key];
    if (size === undefined || !Number.isSafeInteger(size) || size < 0)
      throw unreadable(
        `model: input ${info.name} has a symbolic size ${n || "(unnamed)"} on axis ${axis}; got ${size ?? "no value"} for it`,
        `Give its size: decodeModel(bytes, { dimensions: { ${JSON.stringify(typeof n === "string" && n ? n : place)}: 1 } }).`,
      );
    return size;
  });
  if (!Number.isSafeInteger(sizeOf(shape)))
    throw unreadable(`model: input ${info.name} claims shape [${shape.join(", ")}]`);
  return input(info.name, shape, dtype);
}

/** The values of a node's outputs. */
function outputsOf(
  message: NodeMessage,
  values: ReadonlyMap<string, Value>,
  outputs: number,
  opset: number,
  keepNames: boolean,
): readonly Value[] {
  const { op, domain } = message;
  const inputs = trimmed(message.inputs).map((name) => {
    if (name === "") return undefined;
    const value = values.get(name);
    if (!value) throw unreadable(`model: ${placeOf(message)} reads ${name}, which nothing before it defines`);
    return value;
  });
  const known = op === "Constant" || Object.hasOwn(shapeRules, op) || Object.hasOwn(upgrades, op);
  if ((domain !== "" && domain !== "ai.onnx") || !known)
    throw new LeadglassError(
      "LG-GRAPH-003",
      `model: operator ${op} of domain ${domain || "ai.onnx"} (node ${message.name || "without a name"}) is not supported`,
      {
        hint: "Rewrite that part of the model with standard operators, or export it with functions inlined.",
        fields: { operator: op, node: message.name, domain: domain || "ai.onnx" },
      },
    );
  const name = message.name || undefined;
  const attributes = attributesOf(message, inputs);
  if (op === "Constant") return [constantOf(message, attributes)];
  const node: ForeignNode = { op, inputs, attributes, outputs, opset, ...(name === undefined ? {} : { name }) };
  try {
    if (inputs.length === 0) throw unreadable(`${op}: no operands`);
    const upgraded = Object.hasOwn(upgrades, op) ? upgrades[op]!(node) : node;
    if (isValues(upgraded)) return atLeast(outputs, upgraded.map(foldedValue), message);
    const results = apply(upgraded.op, upgraded.inputs, upgraded.attributes, {
      name: keepNames ? upgraded.name : undefined,
      outputs,
    });
    return atLeast(outputs, foldNode(results) ?? results, message);
  } catch (cause) {
    throw placed(cause, message);
  }
}

const isValues = (u: ForeignNode | readonly Value[]): u is readonly Value[] => Array.isArray(u);

const foldedValue = (v: Value): Value => (v.kind === "result" ? (foldNode(v.node.outputs)?.[v.index] ?? v) : v);

function atLeast(count: number, values: readonly Value[], message: NodeMessage): readonly Value[] {
  if (values.length >= count) return values;
  throw unreadable(`model: ${placeOf(message)} names ${count} outputs; the operator has ${values.length}`);
}

/** A refusal of a shape rule, as what it is here: a model that cannot be read, and where. */
function placed(cause: unknown, message: NodeMessage): unknown {
  if (!isLeadglassError(cause)) {
    // Operands of a kind that the operator never has; the rules trust their types.
    if (!(cause instanceof TypeError || cause instanceof RangeError || cause instanceof SyntaxError)) return cause;
    return new LeadglassError("LG-GRAPH-004", `model: ${placeOf(message)} has operands or attributes that do not fit`, {
      hint: "Check the model with onnx.checker.",
      cause,
    });
  }
  if (cause.code === "LG-GRAPH-003") return cause;
  return new LeadglassError("LG-GRAPH-004", `model: ${placeOf(message)}: ${cause.message}`, {
    hint: "Shapes must be known when the model is read: export it with a fixed input size, or give `dimensions`.",
    cause,
  });
}

function attributesOf(message: NodeMessage, inputs: readonly (Value | undefined)[]): Attributes {
  const entries: [string, Attribute][] = [];
  for (const [name, attribute] of message.attributes) {
    if ("unsupported" in attribute)
      throw unsupported(
        { op: message.op, name: message.name || undefined, inputs },
        `attribute ${name} is ${attribute.unsupported}`,
      );
    entries.push([name, attribute]);
  }
  return Object.fromEntries(entries);
}

/** The value of a Constant node. */
function constantOf(message: NodeMessage, attributes: Attributes): Constant {
  const [name, attribute] = Object.entries(attributes)[0] ?? ["", undefined];
  if (attribute && "tensor" in attribute)
    return constant(attribute.tensor.data, attribute.tensor.shape, attribute.tensor.dtype);
  if (name === "value_float" && attribute && "float" in attribute) return scalar(attribute.float);
  if (name === "value_int" && attribute && "int" in attribute) return { ...clampedInt64s([attribute.int]), shape: [] };
  if (name === "value_floats" && attribute && "floats" in attribute) return float32s(attribute.floats);
  if (name === "value_ints" && attribute && "ints" in attribute) return clampedInt64s(attribute.ints);
  throw unsupported(
    { op: message.op, name: message.name || undefined, inputs: [] },
    `a value of kind ${name || "none"}`,
  );
}
