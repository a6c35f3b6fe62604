import { LeadglassError } from "../errors.ts";
import { apply } from "./apply.ts";
import { topologicalNodes, type Graph } from "./graph.ts";
import {
  attributeTypes,
  delimited,
  fields,
  fixed32,
  literalMark,
  trimmed,
  varint,
  Writer,
  writeInt64,
} from "./proto.ts";
import { dtypeNumber } from "./rules/layout.ts";
import { contentKey, rawBytes } from "./tensor.ts";
import type { Attribute, Constant, Input, Node, Result, TensorType, Value } from "./value.ts";

export interface EncodeOptions {
  /** Version of the default operator set, 20 to 23. The meaning of our operators is that of 21. */
  readonly opset?: number;
  /** Name of the program that made the model, shown by viewers. */
  readonly producer?: string;
  /** Text kept in the model beside the graph: class names, normalisation, where it came from. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Unnamed constants up to this many bytes are stored once however many equal objects stand for them. */
const smallBytes = 1024;
/** A protobuf message cannot be larger. */
const largestModel = 2 ** 31 - 1;

/**
 * Encodes a graph as an ONNX ModelProto (IR version 10): nodes in topological order, every node and value with a unique
 * name, static shapes for inputs and outputs. Names of inputs, outputs, named constants and named nodes are kept where
 * they are unique. Large constants are copied once, into the result.
 * Throws LG-GRAPH-005 where names clash, the opset does not fit, or the model would exceed 2 GiB.
 * Source: onnx.proto of ONNX 1.16 (IR version 10).
 */
export function encodeModel(
  graph: Graph,
  { opset = 21, producer = "leadglass", metadata = {} }: EncodeOptions = {},
): Uint8Array {
  if (!Number.isInteger(opset) || opset < 20 || opset > 23)
    throw new LeadglassError("LG-GRAPH-005", `encodeModel: opset ${opset}; expected 20, 21, 22 or 23`);
  const outputs = ownOutputs(graph);
  const nodes = topologicalNodes(outputs.map((o) => o.value));
  if (opset < 21 && nodes.some((node) => node.op === "GroupNormalization"))
    throw new LeadglassError(
      "LG-GRAPH-005",
      `encodeModel: GroupNormalization takes one scale per channel only from opset 21 on; got opset ${opset}`,
    );
  const names = nameEverything(graph, outputs, nodes);

  const body: Uint8Array[] = [graphHead(graph, outputs, nodes, names)];
  for (const c of names.constants)
    pushTensor(body, fields.graph.initializer, c, names.of(c), c.name === undefined ? literalMark : "");
  const head = Writer.create();
  head.uint32(varint(fields.model.irVersion)).uint32(10);
  head.uint32(delimited(fields.model.producerName)).string(producer);
  head.uint32(delimited(fields.model.opsetImport)).fork();
  head.uint32(varint(fields.opset.version)).uint32(opset).ldelim();
  for (const [key, value] of Object.entries(metadata)) {
    head.uint32(delimited(fields.model.metadata)).fork();
    head.uint32(delimited(fields.entry.key)).string(key);
    head.uint32(delimited(fields.entry.value)).string(value).ldelim();
  }
  const length = body.reduce((sum, part) => sum + part.length, 0);
  if (length + head.len > largestModel)
    throw new LeadglassError("LG-GRAPH-005", `encodeModel: ${length} bytes; an ONNX file holds at most 2 GiB`);
  head.uint32(delimited(fields.model.graph)).uint32(length);
  return concatenate([head.finish(), ...body]);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

interface Output {
  readonly name: string;
  readonly value: Value;
}

/** Every output as a result of its own: ONNX gives a tensor one name, so a second name needs an Identity. */
function ownOutputs(graph: Graph): Output[] {
  const inputs = new Map(graph.inputs.map((i) => [i.name, i]));
  const used = new Set<Value>();
  const seen = new Set<string>();
  return graph.outputs.map(({ name, value }) => {
    if (seen.has(name)) throw new LeadglassError("LG-GRAPH-005", `graph ${graph.name}: two outputs are called ${name}`);
    seen.add(name);
    const namesake = inputs.get(name);
    if (namesake && namesake === value) return { name, value };
    if (namesake)
      throw new LeadglassError(
        "LG-GRAPH-005",
        `graph ${graph.name}: ${name} is the name of an input and of an output that is another tensor`,
      );
    if (value.kind !== "result" || used.has(value)) return { name, value: apply("Identity", [value])[0]! };
    used.add(value);
    return { name, value };
  });
}

interface Names {
  /** Constants to store, in order of first use, each once. */
  readonly constants: readonly Constant[];
  readonly nodeName: (node: Node) => string;
  /** The name of a value; "" for an output that nothing uses. */
  readonly of: (value: Value) => string;
}

function nameEverything(graph: Graph, outputs: readonly Output[], nodes: readonly Node[]): Names {
  const unique = uniqueNames();
  const valueNames = new Map<Value, string>();
  const declared = new Set<Input>(graph.inputs);
  for (const i of graph.inputs) valueNames.set(i, unique(i.name));
  for (const { name, value } of outputs) if (value.kind === "result") valueNames.set(value, unique(name));

  const constants: Constant[] = [];
  const stored = new Map<string, Constant>();
  const standIn = new Map<Constant, Constant>();
  const used = new Set<Result>();
  const meet = (v: Value): void => {
    if (v.kind === "result") used.add(v);
    else if (v.kind === "input") {
      if (!declared.has(v))
        throw new LeadglassError("LG-GRAPH-005", `graph ${graph.name}: input ${v.name} is used but not declared`);
    } else if (!standIn.has(v)) {
      const key = v.name === undefined && v.data.byteLength <= smallBytes ? contentKey(v) : undefined;
      const equal = key === undefined ? undefined : stored.get(key);
      standIn.set(v, equal ?? v);
      if (equal) return;
      constants.push(v);
      if (key !== undefined) stored.set(key, v);
    }
  };
  for (const node of nodes) for (const v of node.inputs) if (v) meet(v);
  for (const { value } of outputs) meet(value);
  // Names that were given come before names that we make up.
  for (const c of constants) if (c.name !== undefined) valueNames.set(c, unique(c.name));
  for (const c of constants) if (c.name === undefined) valueNames.set(c, unique("literal", true));

  const uniqueNode = uniqueNames();
  const nodeNames = new Map<Node, string>();
  for (const node of nodes) if (node.name) nodeNames.set(node, uniqueNode(node.name));
  for (const node of nodes) if (!node.name) nodeNames.set(node, uniqueNode(node.op, true));
  for (const node of nodes)
    for (const result of node.outputs) {
      if (valueNames.has(result)) continue;
      const own = nodeNames.get(node)!;
      // Every part of a Split must be there; other operators need not compute what nothing reads.
      const needed = used.has(result) || result.index === 0 || node.op === "Split";
      valueNames.set(result, needed ? unique(result.index === 0 ? own : `${own}:${result.index}`) : "");
    }
  return {
    constants,
    nodeName: (node) => nodeNames.get(node)!,
    of: (v) => valueNames.get(v.kind === "constant" ? standIn.get(v)! : v)!,
  };
}

/** Hands out names, each once: the name itself, else with a number. `always` numbers the first one too. */
function uniqueNames(): (wanted: string, always?: boolean) => string {
  const taken = new Set<string>([""]);
  const next = new Map<string, number>();
  return (wanted, always = false) => {
    let name = wanted;
    let n = next.get(wanted) ?? 0;
    if (always) name = `${wanted}_${n++}`;
    while (taken.has(name)) name = `${wanted}_${n++}`;
    next.set(wanted, n);
    taken.add(name);
    return name;
  };
}

function graphHead(graph: Graph, outputs: readonly Output[], nodes: readonly Node[], names: Names): Uint8Array {
  const writer = Writer.create();
  for (const node of nodes) writeNode(writer, node, names);
  writer.uint32(delimited(fields.graph.name)).string(graph.name || "graph");
  for (const i of graph.inputs) writeValueInfo(writer, fields.graph.input, i.name, i);
  for (const { name, value } of outputs) writeValueInfo(writer, fields.graph.output, name, value);
  return writer.finish();
}

function writeNode(writer: Writer, node: Node, names: Names): void {
  writer.uint32(delimited(fields.graph.node)).fork();
  for (const name of trimmed(node.inputs.map((v) => (v ? names.of(v) : ""))))
    writer.uint32(delimited(fields.node.input)).string(name);
  for (const name of trimmed(node.outputs.map((r) => names.of(r))))
    writer.uint32(delimited(fields.node.output)).string(name);
  writer.uint32(delimited(fields.node.name)).string(names.nodeName(node));
  writer.uint32(delimited(fields.node.opType)).string(node.op);
  for (const [name, attribute] of Object.entries(node.attributes)) writeAttribute(writer, name, attribute);
  writer.ldelim();
}

function writeAttribute(writer: Writer, name: string, attribute: Attribute): void {
  const f = fields.attribute;
  writer.uint32(delimited(fields.node.attribute)).fork();
  writer.uint32(delimited(f.name)).string(name);
  let type: number;
  if ("int" in attribute) {
    type = attributeTypes.int;
    writeInt64(writer.uint32(varint(f.i)), attribute.int);
  } else if ("float" in attribute) {
    type = attributeTypes.float;
    writer.uint32(fixed32(f.f)).float(attribute.float);
  } else if ("string" in attribute) {
    type = attributeTypes.string;
    writer.uint32(delimited(f.s)).string(attribute.string);
  } else if ("ints" in attribute) {
    type = attributeTypes.ints;
    for (const n of attribute.ints) writeInt64(writer.uint32(varint(f.ints)), n);
  } else if ("floats" in attribute) {
    type = attributeTypes.floats;
    for (const x of attribute.floats) writer.uint32(fixed32(f.floats)).float(x);
  } else {
    type = attributeTypes.tensor;
    const parts: Uint8Array[] = [];
    pushTensor(parts, f.t, attribute.tensor);
    for (const part of parts) writer.raw(part);
  }
  writer.uint32(varint(f.type)).uint32(type).ldelim();
}

/** Appends a TensorProto field as parts: its small head, then a view of its data. */
function pushTensor(parts: Uint8Array[], field: number, c: Constant, name = "", doc = ""): void {
  const f = fields.tensor;
  const head = Writer.create();
  for (const n of c.shape) writeInt64(head.uint32(varint(f.dims)), n);
  head.uint32(varint(f.dataType)).uint32(dtypeNumber(c.dtype));
  if (name) head.uint32(delimited(f.name)).string(name);
  if (doc) head.uint32(delimited(f.doc)).string(doc);
  const raw = rawBytes(c.data);
  head.uint32(delimited(f.raw)).uint32(raw.length);
  const inner = head.finish();
  const outer = Writer.create()
    .uint32(delimited(field))
    .uint32(inner.length + raw.length);
  parts.push(outer.finish(), inner, raw);
}

function writeValueInfo(writer: Writer, field: number, name: string, type: TensorType): void {
  writer.uint32(delimited(field)).fork();
  writer.uint32(delimited(fields.valueInfo.name)).string(name);
  writer.uint32(delimited(fields.valueInfo.type)).fork();
  writer.uint32(delimited(fields.type.tensor)).fork();
  writer.uint32(varint(fields.tensorType.element)).uint32(dtypeNumber(type.dtype));
  writer.uint32(delimited(fields.tensorType.shape)).fork();
  for (const n of type.shape) {
    writer.uint32(delimited(fields.shape.dimension)).fork();
    writeInt64(writer.uint32(varint(fields.dimension.value)), n).ldelim();
  }
  writer.ldelim().ldelim().ldelim().ldelim();
}
