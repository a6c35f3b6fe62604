/** ModelProto and the messages in it, as plain data; no meaning is given to operators here. */
import {
  attributeTypes, bytesOf, delimited, eachField, fields, fixed32, fixed64, int64Of, literalMark, nested, Reader,
  unreadable, varint,
} from "./proto.ts"; // prettier-ignore
import { LeadglassError } from "../errors.ts";
import { dtypeOfNumber } from "./rules/layout.ts";
import { bytesPerElement, dataFrom, dataFromBytes } from "./tensor.ts";
import { constant, type Attribute, type Constant, type DType } from "./value.ts";

export interface ModelMessage {
  /** Version of the default operator set. */
  readonly opset: number;
  readonly graph: GraphMessage;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface GraphMessage {
  readonly name: string;
  readonly nodes: readonly NodeMessage[];
  readonly initializers: readonly TensorMessage[];
  readonly inputs: readonly ValueInfoMessage[];
  readonly outputs: readonly ValueInfoMessage[];
}

export interface TensorMessage {
  /** What nodes call it. */
  readonly name: string;
  /** Without a name where it is a literal. */
  readonly value: Constant;
}

export interface NodeMessage {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What is wrong with an attribute that has no meaning here is said only once somebody needs it. */
  readonly attributes: ReadonlyMap<string, Attribute | { readonly unsupported: string }>;
}

export interface ValueInfoMessage {
  readonly name: string;
  /** Number of the element type; 0 where the model does not say, or the value is no tensor. */
  readonly element: number;
  /** A number, or the name of a symbolic dimension, "" where it has none; undefined where the rank is not known. */
  readonly shape: readonly (number | string)[] | undefined;
}

/**
 * Reads the bytes of an ONNX file. Views into `bytes` are copied wherever they are kept.
 * Throws LG-GRAPH-004 where the bytes are not a model or its weights lie in another file.
 */
export function readModel(bytes: Uint8Array): ModelMessage {
  try {
    return modelOf(new Reader(bytes));
  } catch (cause) {
    if (cause instanceof LeadglassError) throw cause;
    // Left: the range and wire-type errors of the protobuf reader.
    throw new LeadglassError(
      "LG-GRAPH-004",
      `model: ${bytes.length} bytes are not an ONNX model (${cause instanceof Error ? cause.message : "unknown"})`,
      { hint: "Give the .onnx file itself; it may be truncated or of another format.", cause },
    );
  }
}

function modelOf(reader: Reader): ModelMessage {
  const f = fields.model;
  let graph: GraphMessage | undefined;
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  eachField(reader, (tag) => {
    if (tag === delimited(f.graph)) graph = graphOf(nested(reader));
    else if (tag === delimited(f.opsetImport)) {
      const { domain, version } = opsetOf(nested(reader));
      opsets.set(domain, version);
    } else if (tag === delimited(f.metadata)) {
      const { key, value } = entryOf(nested(reader));
      metadata.set(key, value);
    } else return false;
    return true;
  });
  const opset = opsets.get("") ?? opsets.get("ai.onnx");
  if (!graph) throw unreadable(`model: ${reader.len} bytes hold no graph; expected an ONNX ModelProto`);
  if (opset === undefined) throw unreadable("model: no version of the default operator set is given");
  return { opset, graph, metadata: Object.fromEntries(metadata) };
}

function opsetOf(reader: Reader): { domain: string; version: number } {
  let [domain, version] = ["", 0];
  eachField(reader, (tag) => {
    if (tag === delimited(fields.opset.domain)) domain = reader.string();
    else if (tag === varint(fields.opset.version)) version = Number(int64Of(reader));
    else return false;
    return true;
  });
  return { domain, version };
}

function entryOf(reader: Reader): { key: string; value: string } {
  let [key, value] = ["", ""];
  eachField(reader, (tag) => {
    if (tag === delimited(fields.entry.key)) key = reader.string();
    else if (tag === delimited(fields.entry.value)) value = reader.string();
    else return false;
    return true;
  });
  return { key, value };
}

function graphOf(reader: Reader): GraphMessage {
  const f = fields.graph;
  let name = "";
  const nodes: NodeMessage[] = [];
  const initializers: TensorMessage[] = [];
  const inputs: ValueInfoMessage[] = [];
  const outputs: ValueInfoMessage[] = [];
  eachField(reader, (tag) => {
    if (tag === delimited(f.node)) nodes.push(nodeOf(nested(reader)));
    else if (tag === delimited(f.name)) name = reader.string();
    else if (tag === delimited(f.initializer)) initializers.push(tensorOf(nested(reader), "initialiser"));
    else if (tag === delimited(f.input)) inputs.push(valueInfoOf(nested(reader)));
    else if (tag === delimited(f.output)) outputs.push(valueInfoOf(nested(reader)));
    else if (tag === delimited(f.sparseInitializer))
      throw new LeadglassError("LG-GRAPH-003", "model: sparse initialisers are not supported", {
        hint: "Store the weights as dense tensors.",
      });
    else return false;
    return true;
  });
  return { name, nodes, initializers, inputs, outputs };
}

function nodeOf(reader: Reader): NodeMessage {
  const f = fields.node;
  const node = { op: "", domain: "", name: "" };
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute | { unsupported: string }>();
  eachField(reader, (tag) => {
    if (tag === delimited(f.input)) inputs.push(reader.string());
    else if (tag === delimited(f.output)) outputs.push(reader.string());
    else if (tag === delimited(f.name)) node.name = reader.string();
    else if (tag === delimited(f.opType)) node.op = reader.string();
    else if (tag === delimited(f.domain)) node.domain = reader.string();
    else if (tag === delimited(f.attribute)) {
      const { name, attribute } = attributeOf(nested(reader));
      attributes.set(name, attribute);
    } else return false;
    return true;
  });
  return { ...node, inputs, outputs, attributes };
}

function attributeOf(reader: Reader): { name: string; attribute: Attribute | { unsupported: string } } {
  const f = fields.attribute;
  let [name, type, int, float, string] = ["", 0, 0, 0, ""];
  let tensor: Reader | undefined;
  const ints: number[] = [];
  const floats: number[] = [];
  eachField(reader, (tag) => {
    if (tag === delimited(f.name)) name = reader.string();
    else if (tag === varint(f.type)) type = reader.uint32();
    else if (tag === varint(f.i)) int = Number(int64Of(reader));
    else if (tag === fixed32(f.f)) float = reader.float();
    else if (tag === delimited(f.s)) string = reader.string();
    else if (tag === delimited(f.t)) tensor = nested(reader);
    else if (tag === varint(f.ints)) ints.push(Number(int64Of(reader)));
    else if (tag === delimited(f.ints)) {
      const packed = nested(reader);
      while (packed.pos < packed.len) ints.push(Number(int64Of(packed)));
    } else if (tag === fixed32(f.floats)) floats.push(reader.float());
    else if (tag === delimited(f.floats)) {
      const packed = nested(reader);
      while (packed.pos < packed.len) floats.push(packed.float());
    } else return false;
    return true;
  });
  if (type === attributeTypes.int) return { name, attribute: { int } };
  if (type === attributeTypes.float) return { name, attribute: { float } };
  if (type === attributeTypes.string) return { name, attribute: { string } };
  if (type === attributeTypes.ints) return { name, attribute: { ints } };
  if (type === attributeTypes.floats) return { name, attribute: { floats } };
  if (type === attributeTypes.tensor && tensor)
    return { name, attribute: { tensor: { ...tensorOf(tensor, `attribute ${name}`).value, name: undefined } } };
  const kinds = ["of no type", "", "", "", "a tensor", "a graph", "", "", "strings", "tensors", "graphs"];
  return { name, attribute: { unsupported: kinds[type] ?? `of type ${type}` } };
}

function valueInfoOf(reader: Reader): ValueInfoMessage {
  let name = "";
  let element = 0;
  let shape: (number | string)[] | undefined;
  const dimension = (dim: Reader): number | string => {
    let size: number | string = "";
    eachField(dim, (tag) => {
      if (tag === varint(fields.dimension.value)) size = Number(int64Of(dim));
      else if (tag === delimited(fields.dimension.parameter)) size = dim.string();
      else return false;
      return true;
    });
    return size;
  };
  const dimensions = (list: Reader): (number | string)[] => {
    const sizes: (number | string)[] = [];
    eachField(list, (tag) => {
      if (tag !== delimited(fields.shape.dimension)) return false;
      sizes.push(dimension(nested(list)));
      return true;
    });
    return sizes;
  };
  const tensorType = (type: Reader): void => {
    eachField(type, (tag) => {
      if (tag === varint(fields.tensorType.element)) element = type.uint32();
      else if (tag === delimited(fields.tensorType.shape)) shape = dimensions(nested(type));
      else return false;
      return true;
    });
  };
  eachField(reader, (tag) => {
    if (tag === delimited(fields.valueInfo.name)) name = reader.string();
    else if (tag === delimited(fields.valueInfo.type)) {
      const type = nested(reader);
      eachField(type, (inner) => {
        if (inner !== delimited(fields.type.tensor)) return false;
        tensorType(nested(type));
        return true;
      });
    } else return false;
    return true;
  });
  return { name, element, shape };
}

/** Element types that we do not compute with but whose values fit a wider one. */
const widened: Readonly<Record<number, DType>> = { 4: "int32", 5: "int32", 12: "int64", 13: "int64" };

function tensorOf(reader: Reader, role: string): TensorMessage {
  const f = fields.tensor;
  const shape: number[] = [];
  let [type, name, doc] = [0, "", ""];
  let raw: Uint8Array | undefined;
  let elsewhere = false;
  const chunks: ArrayLike<number | bigint>[] = [];
  const singles: (number | bigint)[] = [];
  eachField(reader, (tag) => {
    if (tag === varint(f.dims)) shape.push(Number(int64Of(reader)));
    else if (tag === delimited(f.dims)) {
      const packed = nested(reader);
      while (packed.pos < packed.len) shape.push(Number(int64Of(packed)));
    } else if (tag === varint(f.dataType)) type = reader.uint32();
    else if (tag === delimited(f.name)) name = reader.string();
    else if (tag === delimited(f.doc)) doc = reader.string();
    else if (tag === delimited(f.raw)) raw = bytesOf(reader);
    else if (tag === delimited(f.external)) {
      elsewhere = true;
      return false;
    } else if (tag === varint(f.location)) elsewhere ||= reader.uint32() === 1;
    else if (tag === delimited(f.floats)) chunks.push(packedFloats(bytesOf(reader), "float32"));
    else if (tag === delimited(f.doubles)) chunks.push(packedFloats(bytesOf(reader), "float64"));
    else if (tag === delimited(f.int32s) || tag === delimited(f.int64s) || tag === delimited(f.uint64s))
      chunks.push(packedIntegers(nested(reader), tag === delimited(f.uint64s)));
    else if (tag === fixed32(f.floats)) singles.push(reader.float());
    else if (tag === fixed64(f.doubles)) singles.push(reader.double());
    else if (tag === varint(f.int32s) || tag === varint(f.int64s)) singles.push(int64Of(reader));
    else if (tag === varint(f.uint64s)) singles.push(BigInt.asUintN(64, int64Of(reader)));
    else return false;
    return true;
  });
  const label = `${role} ${name}`.trim();
  if (elsewhere)
    throw unreadable(
      `model: ${label} stores its data in another file`,
      "Export the model as one file (in PyTorch: torch.onnx.export(..., external_data=False)).",
    );
  const dtype = dtypeOfNumber(type) ?? widened[type];
  if (!dtype)
    throw new LeadglassError(
      "LG-GRAPH-003",
      `model: ${label} has element type number ${type}, which is not supported`,
      {
        hint: "Export the model in float32.",
      },
    );
  const size = checkedSize(shape, label);
  const named = name && doc !== literalMark ? name : undefined;
  if (raw && dtypeOfNumber(type)) {
    const expected = size * bytesPerElement(dtype);
    if (raw.length !== expected)
      throw unreadable(
        `model: ${label} has ${raw.length} bytes; shape [${shape.join(", ")}] of ${dtype} needs ${expected}`,
      );
    return { name, value: constant(dataFromBytes(dtype, raw), shape, dtype, named) };
  }
  const values = raw ? unusualIntegers(raw, type, label) : joined([...chunks, singles]);
  if (values.length !== size)
    throw unreadable(`model: ${label} has ${values.length} elements; shape [${shape.join(", ")}] needs ${size}`);
  if (type === 13 && Array.from(values).some((v) => v > 2n ** 63n - 1n))
    throw unreadable(`model: ${label} holds uint64 values beyond int64, which is not supported`);
  return { name, value: constant(dataFrom(dtype, values), shape, dtype, named) };
}

/** The number of elements of a shape from a file. */
function checkedSize(shape: readonly number[], label: string): number {
  const size = shape.reduce((product, n) => product * n, 1);
  if (shape.some((n) => !Number.isSafeInteger(n) || n < 0) || !Number.isSafeInteger(size))
    throw unreadable(`model: ${label} claims shape [${shape.join(", ")}]`);
  return size;
}

function joined(chunks: readonly ArrayLike<number | bigint>[]): ArrayLike<number | bigint> {
  const filled = chunks.filter((c) => c.length > 0);
  return filled.length === 1 ? filled[0]! : filled.flatMap((c) => Array.from(c));
}

function packedFloats(bytes: Uint8Array, dtype: "float32" | "float64"): ArrayLike<number> {
  if (bytes.length % bytesPerElement(dtype) !== 0)
    throw unreadable(`model: ${bytes.length} bytes do not divide into ${dtype} elements`);
  return dataFromBytes(dtype, bytes) as Float32Array | Float64Array;
}

function packedIntegers(reader: Reader, unsigned: boolean): bigint[] {
  const values: bigint[] = [];
  while (reader.pos < reader.len) {
    const v = int64Of(reader);
    values.push(unsigned ? BigInt.asUintN(64, v) : v);
  }
  return values;
}

/** uint16, int16, uint32 and uint64 from raw bytes. */
function unusualIntegers(raw: Uint8Array, type: number, label: string): ArrayLike<number | bigint> {
  const array = { 4: Uint16Array, 5: Int16Array, 12: Uint32Array, 13: BigUint64Array }[type]!;
  if (raw.length % array.BYTES_PER_ELEMENT !== 0)
    throw unreadable(`model: ${label} has ${raw.length} bytes; expected a multiple of ${array.BYTES_PER_ELEMENT}`);
  return new array(new Uint8Array(raw).buffer);
}
