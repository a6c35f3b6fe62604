/**
 * The part of the ONNX wire format that we write and read: field numbers of onnx.proto (IR version 10) and the two or three
 * primitives that every message needs. Wire types: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
 */
import protobuf from "protobufjs/minimal.js";
import { LeadglassError } from "../errors.ts";

export const { Reader, Writer } = protobuf;
export type Reader = protobuf.Reader;
export type Writer = protobuf.Writer;

/** Field numbers by message. */
export const fields = {
  model: { irVersion: 1, producerName: 2, graph: 7, opsetImport: 8, metadata: 14, functions: 25 },
  opset: { domain: 1, version: 2 },
  entry: { key: 1, value: 2 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12, sparseInitializer: 15 },
  node: { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 },
  attribute: { name: 1, f: 2, i: 3, s: 4, t: 5, g: 6, floats: 7, ints: 8, strings: 9, type: 20 },
  tensor: {
    dims: 1,
    dataType: 2,
    segment: 3,
    floats: 4,
    int32s: 5,
    strings: 6,
    int64s: 7,
    name: 8,
    raw: 9,
    doubles: 10,
    uint64s: 11,
    doc: 12,
    external: 13,
    location: 14,
  },
  valueInfo: { name: 1, type: 2 },
  type: { tensor: 1 },
  tensorType: { element: 1, shape: 2 },
  shape: { dimension: 1 },
  dimension: { value: 1, parameter: 2 },
} as const;

/** AttributeProto.AttributeType. */
export const attributeTypes = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7, strings: 8 } as const;

/** Marks (in TensorProto.doc_string) an initialiser that had no name of its own: a literal, never a parameter. */
export const literalMark = "literal";

export const varint = (field: number): number => field << 3;
export const fixed64 = (field: number): number => (field << 3) | 1;
export const delimited = (field: number): number => (field << 3) | 2;
export const fixed32 = (field: number): number => (field << 3) | 5;

/** LG-GRAPH-004, for bytes that are not the model they should be. */
export const unreadable = (message: string, hint = "Export the model again; the file may be truncated or not ONNX.") =>
  new LeadglassError("LG-GRAPH-004", message, { hint });

/** A reader over one nested message, which cannot read beyond it: lengths are checked before anything is allocated. */
export function nested(reader: Reader): Reader {
  const { start, end } = extent(reader);
  return new Reader(reader.buf.subarray(start, end));
}

/** The bytes of a length-delimited field, as a view. */
export function bytesOf(reader: Reader): Uint8Array {
  const { start, end } = extent(reader);
  return reader.buf.subarray(start, end);
}

function extent(reader: Reader): { start: number; end: number } {
  const length = reader.uint32();
  const start = reader.pos;
  const end = start + length;
  if (end > reader.len)
    throw unreadable(`model: a field claims ${length} bytes where ${reader.len - start} are left in its message`);
  reader.pos = end;
  return { start, end };
}

/** Reads every field of a message; `visit` gets the tag (field and wire type) and returns false for what it does not know. */
export function eachField(reader: Reader, visit: (tag: number) => boolean): void {
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!visit(tag)) reader.skipType(tag & 7, 0, tag >>> 3);
  }
}

/** Names without the omitted ones ("") at the end. */
export function trimmed(names: readonly string[]): readonly string[] {
  let n = names.length;
  while (n > 0 && names[n - 1] === "") n--;
  return names.slice(0, n);
}

/** A signed 64-bit varint, exactly. */
export function int64Of(reader: Reader): bigint {
  const parts = [0, 0, 0];
  for (let i = 0; i < 10; i++) {
    if (reader.pos >= reader.len) throw unreadable("model: a number is cut off at the end of its message");
    const byte = reader.buf[reader.pos++]!;
    // Three parts of 28, 28 and 8 bits stay exact in doubles.
    parts[Math.floor(i / 4)]! += (byte & 127) * 2 ** (7 * (i % 4));
    if (byte < 128) {
      const [low, middle, high] = parts as [number, number, number];
      if (middle === 0 && high === 0) return BigInt(low);
      return BigInt.asIntN(64, (BigInt(high) << 56n) | (BigInt(middle) << 28n) | BigInt(low));
    }
  }
  throw unreadable("model: a number has more than ten bytes");
}

/** Writes an integer as a signed 64-bit varint, clamped to what 64 bits hold (ONNX models use the extremes as "to the end"). */
export function writeInt64(writer: Writer, value: number): Writer {
  if (!Number.isInteger(value))
    throw new LeadglassError("LG-GRAPH-005", `encodeModel: ${value} where the ONNX format needs an integer`);
  if (value < 2 ** 63) return writer.int64(Math.max(value, -(2 ** 63)));
  for (let i = 0; i < 8; i++) writer.raw(Uint8Array.of(255));
  return writer.raw(Uint8Array.of(127));
}
