/** Files of named tensors, as https://github.com/huggingface/safetensors describes them (version 0.8). */
import { LeadglassError } from "../errors.ts";
import { sizeOf, type DType, type Shape, type TensorData } from "../graph/index.ts";
import { dataFromBytes, rawBytes, zeros } from "../graph/tensor.ts";

export interface StoredTensor {
  readonly dtype: DType | "bfloat16";
  readonly shape: Shape;
  /** Row-major; 16-bit floats as their bit patterns. */
  readonly data: TensorData;
}

export interface Safetensors {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

interface StoredType {
  readonly code: string;
  readonly dtype: StoredTensor["dtype"];
  /** How the bits are held in memory. */
  readonly held: DType;
  readonly bytes: number;
}

const storedType = (code: string, dtype: StoredTensor["dtype"], held: DType, bytes: number): StoredType => ({
  code,
  dtype,
  held,
  bytes,
});

/** By alignment: writers put the last of these first, so that every tensor is aligned. */
const storedTypes: readonly StoredType[] = [
  storedType("BOOL", "bool", "bool", 1),
  storedType("U8", "uint8", "uint8", 1),
  storedType("I8", "int8", "int8", 1),
  storedType("F16", "float16", "float16", 2),
  storedType("BF16", "bfloat16", "float16", 2),
  storedType("I32", "int32", "int32", 4),
  storedType("F32", "float32", "float32", 4),
  storedType("F64", "float64", "float64", 8),
  storedType("I64", "int64", "int64", 8),
];

/** The limit of the reference implementation, in bytes; it keeps a forged length from costing memory. */
const longestHeader = 100_000_000;
const lengthBytes = 8;
const metadataKey = "__metadata__";

const unreadable = (what: string, cause?: unknown): LeadglassError =>
  new LeadglassError("LG-RUNTIME-003", `safetensors: ${what}`, {
    hint: "The file is damaged or not a safetensors file; fetch or export it again.",
    cause,
  });

/** A name from a file, short enough for a message. */
const quoted = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name);

const byteOrder = (a: Uint8Array, b: Uint8Array): number => {
  const first = a.findIndex((byte, i) => byte !== b[i]);
  return first < 0 || first >= b.length ? a.length - b.length : a[first]! - b[first]!;
};

/**
 * Writes named tensors and text: header length, JSON header padded to 8 bytes, then the data, each tensor aligned to its
 * element. Gives the bytes that the reference implementation gives (with at most one entry of metadata, whose order it
 * leaves open).
 * Throws LG-BUG-001 where data do not fill their shape or fit their type, or a name cannot be written.
 */
export function encodeSafetensors(
  tensors: Safetensors["tensors"],
  metadata: Safetensors["metadata"] = {},
): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const rows = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, key: encoder.encode(name), tensor, rank: checkedRank(name, tensor) }))
    .sort((a, b) => b.rank - a.rank || byteOrder(a.key, b.key));
  let end = 0;
  const entries = rows.map(({ name, tensor: { shape, data }, rank }): [string, unknown] => {
    const begin = end;
    end += data.byteLength;
    return [name, `{"dtype":"${storedTypes[rank]!.code}","shape":[${shape.join()}],"data_offsets":[${begin},${end}]}`];
  });
  const members = entries.map(([name, json]) => `${JSON.stringify(name)}:${String(json)}`);
  // Joined by hand: an object would move names that look like integers to its front.
  const annotated = Object.keys(metadata).length > 0 ? [`"${metadataKey}":${JSON.stringify(metadata)}`] : [];
  const header = encoder.encode(`{${[...annotated, ...members].join()}}`);
  const headerBytes = Math.ceil(header.length / lengthBytes) * lengthBytes;
  const start = lengthBytes + headerBytes;
  const bytes = new Uint8Array(start + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(header, lengthBytes);
  bytes.fill(0x20, lengthBytes + header.length, start);
  let at = start;
  for (const { tensor } of rows) {
    bytes.set(rawBytes(tensor.data), at);
    at += tensor.data.byteLength;
  }
  return bytes;
}

function checkedRank(name: string, { dtype, shape, data }: StoredTensor): number {
  const wrong = (what: string): LeadglassError =>
    new LeadglassError("LG-BUG-001", `safetensors, tensor ${quoted(name)}: ${what}`);
  const rank = storedTypes.findIndex((type) => type.dtype === dtype);
  if (rank < 0) throw wrong(`element type ${dtype} cannot be stored`);
  if (name === metadataKey || !name.isWellFormed()) throw wrong("this name is reserved or not Unicode text");
  const expected = zeros(storedTypes[rank]!.held, 0).constructor.name;
  if (data.constructor.name !== expected)
    throw wrong(`${dtype} is held in a ${expected}, got a ${data.constructor.name}`);
  if (data.length !== sizeOf(shape)) throw wrong(`${data.length} elements do not fill shape [${shape.join(", ")}]`);
  return rank;
}

/**
 * Reads the tensors and the text of a file; the data are copies. Names are own properties, whatever they are.
 * Throws LG-RUNTIME-003 for bytes that are not exactly such a file: lengths and offsets that leave the file, overlap or
 * leave holes, names given twice, sizes that disagree with shapes, element types that Leadglass does not hold.
 */
export function decodeSafetensors(bytes: Uint8Array): Safetensors {
  const { header, body } = partsOf(bytes);
  const { [metadataKey]: metadata = {}, ...described } = header;
  // A rest pattern keeps a member called __proto__ as an own property.
  const rows = Object.entries(described).map(([name, entry]) => ({ name, ...describedTensor(name, entry) }));
  let end = 0;
  for (const { name, begin, end: next } of [...rows].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== end)
      throw unreadable(
        `tensor ${quoted(name)} begins at byte ${begin} of the data; expected ${end}, where the one before it ends`,
      );
    end = next;
  }
  if (end !== body.length) throw unreadable(`the tensors fill ${end} bytes, the file holds ${body.length}`);
  return {
    tensors: Object.fromEntries(
      rows.map(({ name, type, shape, begin, end: last }) => {
        const content = body.subarray(begin, last);
        if (type.dtype === "bool" && content.some((byte) => byte > 1))
          throw unreadable(`tensor ${quoted(name)} is BOOL and holds a byte that is not 0 or 1`);
        return [name, { dtype: type.dtype, shape, data: dataFromBytes(type.held, content) }];
      }),
    ),
    metadata: checkedMetadata(metadata),
  };
}

function partsOf(bytes: Uint8Array): { header: Record<string, unknown>; body: Uint8Array } {
  if (bytes.length < lengthBytes) throw unreadable(`${bytes.length} bytes; a file has at least ${lengthBytes}`);
  const stated = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
  const left = bytes.length - lengthBytes;
  if (stated > BigInt(Math.min(left, longestHeader)))
    throw unreadable(`the header claims ${stated} bytes; at most ${Math.min(left, longestHeader)} are possible here`);
  const body = bytes.subarray(lengthBytes + Number(stated));
  const encoded = bytes.subarray(lengthBytes, lengthBytes + Number(stated));
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(encoded);
    header = JSON.parse(text);
  } catch (error) {
    throw unreadable("the header is not JSON in UTF-8", error);
  }
  if (!text.startsWith("{") || !isRecord(header)) throw unreadable("the header is not a JSON object");
  refuseRepeatedKeys(text);
  return { header, body };
}

/** JSON.parse keeps the last of equal keys in silence; two readers could then see two files. `json` must be valid. */
function refuseRepeatedKeys(json: string): void {
  const open: Set<string>[] = [];
  let text = "";
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === "{") open.push(new Set());
    else if (c === "}") open.pop();
    else if (c === '"') {
      const end = closingQuote(json, i);
      text = json.slice(i, end + 1);
      i = end;
    } else if (c === ":") {
      const key = JSON.parse(text) as string;
      if (!key.isWellFormed()) throw unreadable("a name in the header is not Unicode text");
      if (open.at(-1)!.has(key)) throw unreadable(`the name ${quoted(key)} is given 2 times; expected 1`);
      open.at(-1)!.add(key);
    }
  }
}

/** Where the text that begins at `start` ends: at the first quote after an even number of backslashes. */
function closingQuote(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); ; end = json.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (json[end - 1 - backslashes] === "\\") backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === "object" && x !== null && !Array.isArray(x);

const isSizes = (x: unknown): x is number[] =>
  Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);

interface DescribedTensor {
  readonly type: StoredType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

function describedTensor(name: string, entry: unknown): DescribedTensor {
  const fields = ["dtype", "shape", "data_offsets"];
  if (!isRecord(entry) || Object.keys(entry).length !== fields.length || !fields.every((f) => Object.hasOwn(entry, f)))
    throw unreadable(`tensor ${quoted(name)} is not described by ${fields.join(", ")}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const type = storedTypes.find((t) => t.code === dtype);
  if (!type)
    throw unreadable(
      `tensor ${quoted(name)} has element type ${quoted(String(dtype))}; expected ${storedTypes.map((t) => t.code).join(", ")}`,
    );
  if (!isSizes(shape)) throw unreadable(`the shape of tensor ${quoted(name)} is not a list of whole numbers >= 0`);
  if (!isSizes(offsets) || offsets.length !== 2)
    throw unreadable(`the data_offsets of tensor ${quoted(name)} are not two whole numbers >= 0`);
  const [begin, end] = offsets as [number, number];
  const size = sizeOf(shape) * type.bytes;
  if (end - begin !== size)
    throw unreadable(`tensor ${quoted(name)} is given ${end - begin} bytes; its shape and type take ${size}`);
  return { type, shape, begin, end };
}

function checkedMetadata(metadata: unknown): Record<string, string> {
  if (!isRecord(metadata) || Object.values(metadata).some((v) => typeof v !== "string"))
    throw unreadable(`${metadataKey} is not an object of texts`);
  return metadata as Record<string, string>;
}
