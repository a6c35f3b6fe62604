import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLeadglassError } from "../errors.ts";
import { dataFrom } from "../graph/tensor.ts";
import type { DType } from "../graph/index.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "./safetensors.ts";

// Written by safetensors 0.8.0 (Python); fixtures/make_safetensors.py holds the same values.
const reference = new Uint8Array(readFileSync(new URL("fixtures/reference.safetensors", import.meta.url)));

const tensor = (dtype: StoredTensor["dtype"], shape: number[], values: (number | bigint)[]): StoredTensor => ({
  dtype,
  shape,
  data: dataFrom(dtype === "bfloat16" ? "float16" : dtype, values),
});

const referenceTensors: Record<string, StoredTensor> = {
  "layer1.0.conv1.weight": tensor("float32", [2, 3], [-1, -0.75, -0.5, -0.25, 0, 0.25]),
  "10": tensor("float64", [2], [Math.PI, -0]),
  "9": tensor("int64", [2, 1], [2n ** 63n - 1n, -(2n ** 63n)]),
  "größe/肺": tensor("float32", [], [7.5]),
  // IEEE binary16: 1.5 = 0x3e00, -2 = 0xc000, 65504 = 0x7bff
  half: tensor("float16", [3], [0x3e00, 0xc000, 0x7bff]),
  indices: tensor("int32", [2], [-7, 8]),
  bytes: tensor("uint8", [3], [0, 255, 3]),
  signed: tensor("int8", [2], [-128, 127]),
  mask: tensor("bool", [3], [1, 0, 1]),
  empty: tensor("float32", [0, 3], []),
  'quote " and \\ and\ttab': tensor("float32", [1], [0.5]),
};

/** A file with this header, stated header length and this many bytes of data. */
function fileOf(header: string | Uint8Array, dataBytes = 0, stated?: bigint): Uint8Array {
  const encoded = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + encoded.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, stated ?? BigInt(encoded.length), true);
  bytes.set(encoded, 8);
  return bytes;
}

const refusal = (bytes: Uint8Array): string => {
  try {
    decodeSafetensors(bytes);
  } catch (error) {
    return isLeadglassError(error) ? `${error.code} ${error.message}` : `untagged ${String(error)}`;
  }
  return "accepted";
};

const f32 = (shape: string, begin: number, end: number): string =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe("safetensors", () => {
  it("decode_readsWhatTheReferenceImplementationWrote", () => {
    const { tensors, metadata } = decodeSafetensors(reference);
    expect(tensors).toEqual(referenceTensors);
    expect(metadata).toEqual({ format: "pt – von Hand" });
  });

  it("encode_givesTheBytesOfTheReferenceImplementation", () => {
    expect(encodeSafetensors(referenceTensors, { format: "pt – von Hand" })).toEqual(reference);
  });

  it("decode_readsAView_thatStartsInTheMiddleOfABuffer", () => {
    const padded = new Uint8Array(reference.length + 3);
    padded.set(reference, 3);
    expect(decodeSafetensors(padded.subarray(3)).tensors).toEqual(referenceTensors);
    expect(decodeSafetensors(Buffer.from(reference)).tensors).toEqual(referenceTensors);
  });

  it("decodedData_areCopies", () => {
    const bytes = encodeSafetensors({ x: tensor("float32", [1], [3]) });
    const { tensors } = decodeSafetensors(bytes);
    bytes.fill(0);
    expect(tensors["x"]!.data).toEqual(Float32Array.of(3));
  });

  it("roundTrip_keepsEveryTensor_andAlignsIt", () => {
    const dtypes: (DType | "bfloat16")[] = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool"]; // prettier-ignore
    const anyTensor = fc
      .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.nat(3), { maxLength: 3 }) })
      .map(({ dtype, shape }) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return tensor(
          dtype,
          shape,
          Array.from({ length: size }, (_, i) => (dtype === "bool" ? i % 2 : i % 100)),
        );
      });
    const name = fc.string({ unit: "grapheme" }).filter((n) => n !== "__metadata__" && n.isWellFormed());
    const named = fc.dictionary(fc.oneof(name, fc.constantFrom("__proto__", "7", "constructor", "")), anyTensor);
    fc.assert(
      fc.property(named, fc.dictionary(name, fc.string()), (tensors, metadata) => {
        const bytes = encodeSafetensors(tensors, metadata);
        const again = decodeSafetensors(bytes);
        expect(Object.entries(again.tensors).sort()).toEqual(Object.entries(tensors).sort());
        expect(Object.entries(again.metadata).sort()).toEqual(Object.entries(metadata).sort());
        const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
        expect(length % 8).toBe(0);
        const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
          string,
          { data_offsets: [number, number] }
        >;
        for (const [key, { data }] of Object.entries(tensors))
          expect(Object.getOwnPropertyDescriptor(header, key)!.value.data_offsets[0] % data.BYTES_PER_ELEMENT).toBe(0);
      }),
    );
  });

  it.each([
    ["nothing", new Uint8Array(0), "0 bytes; a file has at least 8"],
    ["a short length", new Uint8Array(7), "7 bytes; a file has at least 8"],
    ["a header past the end", fileOf("{}", 3, 6n), "claims 6 bytes; at most 5 are"],
    ["a header of 2^64 - 1 bytes", fileOf("{}", 0, 2n ** 64n - 1n), `claims ${2n ** 64n - 1n} bytes; at most 2 are`],
    ["no header", fileOf(""), "not JSON"],
    ["a header cut off", fileOf("{}", 0, 1n), "not JSON"],
    ["bytes that are not UTF-8", fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), "not JSON"],
    ["a byte order mark", fileOf("\ufeff{}"), "not JSON"],
    ["a header that starts with a space", fileOf(" {}"), "not a JSON object"],
    ["a list", fileOf("[]"), "not a JSON object"],
    ["null", fileOf("null"), "not a JSON object"],
    ["a tensor that is a number", fileOf('{"x":1}'), 'tensor "x" is not described'],
    ["a missing field", fileOf('{"x":{"dtype":"F32","shape":[]}}', 4), 'tensor "x" is not described'],
    ["a further field", fileOf(`{"x":${f32("[]", 0, 4).slice(0, -1)},"y":0}}`, 4), 'tensor "x" is not described'],
    ["an unknown type", fileOf('{"x":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]}}', 1), 'element type "F8_E4M3"; expected BOOL'], // prettier-ignore
    ["a type of the wrong kind", fileOf('{"x":{"dtype":["F32"],"shape":[],"data_offsets":[0,4]}}', 4), "element type"],
    ["a negative size", fileOf(`{"x":${f32("[-1]", 0, 4)}}`, 4), "not a list of whole numbers"],
    ["a size with a fraction", fileOf(`{"x":${f32("[1.5]", 0, 6)}}`, 6), "not a list of whole numbers"],
    ["a size that is text", fileOf(`{"x":${f32('["1"]', 0, 4)}}`, 4), "not a list of whole numbers"],
    ["a size beyond 2^53", fileOf(`{"x":${f32("[9007199254740993]", 0, 4)}}`, 4), "not a list of whole numbers"],
    ["sizes whose product overflows", fileOf(`{"x":${f32("[4294967296,4294967296]", 0, 0)}}`), "given 0 bytes; its shape and type take 7378"], // prettier-ignore
    ["three offsets", fileOf('{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4,4]}}', 4), "not two whole numbers"],
    ["reversed offsets", fileOf(`{"x":${f32("[1]", 4, 0)}}`, 4), "given -4 bytes; its shape and type take 4"],
    ["too few bytes for the shape", fileOf(`{"x":${f32("[2]", 0, 4)}}`, 4), "given 4 bytes; its shape and type take 8"],
    ["data past the end", fileOf(`{"x":${f32("[2]", 0, 8)}}`, 4), "fill 8 bytes, the file holds 4"],
    ["data without a tensor", fileOf(`{"x":${f32("[]", 0, 4)}}`, 5), "fill 4 bytes, the file holds 5"],
    ["a hole at the start", fileOf(`{"x":${f32("[]", 4, 8)}}`, 8), "begins at byte 4 of the data; expected 0"],
    ["a hole between", fileOf(`{"x":${f32("[]", 0, 4)},"y":${f32("[]", 5, 9)}}`, 9), "begins at byte 5 of the data; expected 4"], // prettier-ignore
    ["an overlap", fileOf(`{"x":${f32("[2]", 0, 8)},"y":${f32("[]", 4, 8)}}`, 8), "begins at byte 4 of the data; expected 8"], // prettier-ignore
    ["twice the same data", fileOf(`{"x":${f32("[]", 0, 4)},"y":${f32("[]", 0, 4)}}`, 4), "begins at byte 0 of the data; expected 4"], // prettier-ignore
    ["a name given twice", fileOf(`{"x":${f32("[]", 0, 4)},"x":${f32("[]", 0, 4)}}`, 4), 'name "x" is given 2 times; expected 1'], // prettier-ignore
    ["a name given twice, once escaped", fileOf(`{"x":${f32("[]", 0, 4)},"\\u0078":${f32("[]", 0, 4)}}`, 4), 'name "x" is given 2 times'], // prettier-ignore
    ["a field given twice", fileOf('{"x":{"dtype":"I64","dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4), 'name "dtype" is given 2 times'], // prettier-ignore
    ["metadata given twice", fileOf('{"__metadata__":{"a":"1","a":"2"}}'), 'name "a" is given 2 times'],
    ["metadata that are not text", fileOf('{"__metadata__":{"a":1}}'), "not an object of texts"],
    ["metadata that are a list", fileOf('{"__metadata__":["a"]}'), "not an object of texts"],
    ["half a character as a name", fileOf(`{"\\ud800":${f32("[]", 0, 4)}}`, 4), "not Unicode text"],
    ["a truth that is 2", (() => { const b = fileOf('{"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', 1); b[b.length - 1] = 2; return b; })(), "not 0 or 1"], // prettier-ignore
  ])("decode_refuses: %s", (_, bytes, message) => {
    expect(refusal(bytes)).toContain("LG-RUNTIME-003 safetensors: ");
    expect(refusal(bytes)).toContain(message);
  });

  it("decode_doesNotMistakeTextForNames", () => {
    const bytes = fileOf('{"__metadata__":{"a":"{\\"b\\":1,\\"b\\":2}","b\\\\":"\\\\","c":"}:"}}');
    expect(decodeSafetensors(bytes).metadata).toEqual({ a: '{"b":1,"b":2}', "b\\": "\\", c: "}:" });
  });

  it("damagedBytes_areRefusedWithACode_orReadAsAnotherValidFile", () => {
    fc.assert(
      fc.property(fc.nat(reference.length - 1), fc.nat(255), fc.nat(reference.length), (at, byte, length) => {
        const changed = reference.slice();
        changed[at] = byte;
        for (const bytes of [changed, reference.slice(0, length)])
          expect(refusal(bytes)).toMatch(/^(LG-RUNTIME-003 |accepted$)/);
      }),
      { numRuns: 500 },
    );
  });

  it("everyTruncation_isRefused", () => {
    for (let length = 0; length < reference.length; length++)
      expect(refusal(reference.subarray(0, length))).toContain("LG-RUNTIME-003");
  });

  it.each([
    ["data that do not fill the shape", "x", tensor("float32", [3], [1, 2]), "2 elements do not fill shape [3]"],
    ["the name of the metadata", "__metadata__", tensor("float32", [], [1]), "reserved"],
    ["half a character as a name", "\udc00", tensor("float32", [], [1]), "not Unicode"],
    ["data of another type", "x", { dtype: "int64", shape: [1], data: Float32Array.of(1) } as StoredTensor, "held in a BigInt64Array, got a Float32Array"], // prettier-ignore
  ])("encode_refuses: %s", (_, name, stored, message) => {
    expect(() => encodeSafetensors({ [name]: stored })).toThrow(message);
  });
});
