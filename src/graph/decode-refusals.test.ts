import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLeadglassError, type LeadglassError } from "../errors.ts";
import * as g from "./index.ts";
import { delimited, fields, varint, Writer } from "./proto.ts";

type Write = (writer: Writer) => void;

const message =
  (field: number, ...parts: Write[]): Write =>
  (writer) => {
    writer.uint32(delimited(field)).fork();
    for (const part of parts) part(writer);
    writer.ldelim();
  };
const text =
  (field: number, value: string): Write =>
  (writer) =>
    void writer.uint32(delimited(field)).string(value);
const number =
  (field: number, value: number): Write =>
  (writer) =>
    void writer.uint32(varint(field)).uint64(value);

/** The bytes of a model over input x, float32[2], with opset 17 unless `version` says otherwise. */
function modelBytes(parts: readonly Write[], { version = 17, output = "y" } = {}): Uint8Array {
  const writer = Writer.create();
  message(fields.model.opsetImport, number(fields.opset.version, version))(writer);
  message(fields.model.graph, ...parts, valueInfo(fields.graph.input, "x", 2), valueInfo(fields.graph.output, output, 2))(writer); // prettier-ignore
  return writer.finish();
}

const valueInfo = (field: number, name: string, size: number, element = 1): Write =>
  message(
    field,
    text(fields.valueInfo.name, name),
    message(
      fields.valueInfo.type,
      message(
        fields.type.tensor,
        number(fields.tensorType.element, element),
        message(fields.tensorType.shape, message(fields.shape.dimension, number(fields.dimension.value, size))),
      ),
    ),
  );

const node = (op: string, inputs: readonly string[], outputs: readonly string[], ...more: Write[]): Write =>
  message(
    fields.graph.node,
    ...inputs.map((name) => text(fields.node.input, name)),
    ...outputs.map((name) => text(fields.node.output, name)),
    text(fields.node.opType, op),
    ...more,
  );

const tensor = (name: string, dims: readonly number[], type: number, ...more: Write[]): Write =>
  message(
    fields.graph.initializer,
    ...dims.map((n) => number(fields.tensor.dims, n)),
    number(fields.tensor.dataType, type),
    text(fields.tensor.name, name),
    ...more,
  );
const raw = (length: number): Write => text(fields.tensor.raw, "\0".repeat(length));

function errorOf(bytes: Uint8Array): LeadglassError {
  try {
    g.decodeModel(bytes);
  } catch (error) {
    if (isLeadglassError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const neg = node("Neg", ["x"], ["y"]);

describe("decodeModel refuses", () => {
  it("butReadsTheModelThatTheOthersAreMadeFrom", () => {
    expect(g.decodeModel(modelBytes([neg])).outputs[0]).toMatchObject({ name: "y", value: { shape: [2] } });
  });

  it.each<[string, Write]>([
    ["an unknown operator", node("NonMaxSuppression", ["x"], ["y"], text(fields.node.name, "/head/nms"))],
    ["the name of an object's own function", node("constructor", ["x"], ["y"], text(fields.node.name, "/head/nms"))],
    ["a known operator of another domain", node("Gelu", ["x"], ["y"], text(fields.node.name, "/head/nms"), text(fields.node.domain, "com.microsoft"))], // prettier-ignore
  ])("%s, naming operator, node and domain", (_, write) => {
    const error = errorOf(modelBytes([write]));
    expect(error.code).toBe("LG-GRAPH-003");
    expect(error.message).toContain("/head/nms");
    expect(error.message).toMatch(/operator (NonMaxSuppression|constructor) of domain ai.onnx|operator Gelu of domain com.microsoft/); // prettier-ignore
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["no bytes", new Uint8Array(0), /no graph/],
    [
      "another format",
      new TextEncoder().encode("\x89PNG\r\n\x1a\n and more"),
      /not an ONNX model|no graph|left in its/,
    ],
    ["no operator set", modelBytes([neg]).slice(4), /no version/],
    ["an operand that is defined nowhere", modelBytes([node("Add", ["x", "z"], ["y"])]), /reads z/],
    ["an output that is defined nowhere", modelBytes([neg], { output: "q" }), /output q/],
    ["a name defined twice", modelBytes([neg, neg]), /defines y/],
    ["more outputs than there are", modelBytes([node("Neg", ["x"], ["y", "z"])]), /names 2 outputs/],
    ["shapes that do not fit", modelBytes([tensor("w", [3], 1, raw(12)), node("Add", ["x", "w"], ["y"])]), /\[2\] and \[3\]/], // prettier-ignore
    ["a shape known only at run time", modelBytes([node("Cast", ["x"], ["s"], message(fields.node.attribute, text(1, "to"), number(3, 7), number(20, 2))), node("Reshape", ["x", "s"], ["y"])]), /operand 1 must be a constant/], // prettier-ignore
    ["an operator without operands", modelBytes([node("Neg", [], ["y"])]), /no operands/],
    ["weights in another file", modelBytes([tensor("w", [2], 1, number(fields.tensor.location, 1)), neg]), /w stores its data in another file/], // prettier-ignore
    ["fewer bytes than the shape needs", modelBytes([tensor("w", [2, 2], 1, raw(12)), neg]), /w has 12 bytes.* 16/],
    ["a shape of more elements than there can be", modelBytes([tensor("w", [2 ** 40, 2 ** 40], 1, raw(4)), neg]), /claims shape/], // prettier-ignore
    ["a large shape without data", modelBytes([tensor("w", [2 ** 40], 1), neg]), /0 elements; shape \[1099511627776\]/],
    ["an input of impossible size", modelBytes([neg, valueInfo(fields.graph.input, "z", 2 ** 53)]), /claims shape|symbolic/], // prettier-ignore
  ])("%s as unreadable", (_, bytes, reason) => {
    const error = errorOf(bytes);
    expect(error.message).toMatch(reason);
    expect(error.code).toBe("LG-GRAPH-004");
    expect(error.hint).not.toBe("");
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["text tensors", modelBytes([tensor("w", [1], 8), neg]), /w has element type number 8/],
    [
      "an input of another type",
      modelBytes([neg, valueInfo(fields.graph.input, "z", 2, 14)]),
      /input z has element type/,
    ],
    ["a subgraph", modelBytes([node("Neg", ["x"], ["y"], message(fields.node.attribute, text(1, "body"), number(20, 5)))]), /attribute body is a graph/], // prettier-ignore
    ["operator sets before 7", modelBytes([neg], { version: 6 }), /operator set 6/],
    ["operator sets of the future", modelBytes([neg], { version: 99 }), /operator set 99/],
    ["sparse initialisers", modelBytes([message(fields.graph.sparseInitializer), neg]), /sparse/],
  ])("%s as unsupported", (_, bytes, reason) => {
    const error = errorOf(bytes);
    expect(error.message).toMatch(reason);
    expect(error.code).toBe("LG-GRAPH-003");
  });

  it("aLengthBeyondItsMessage_withoutAllocatingIt", () => {
    const bytes = modelBytes([tensor("w", [2], 1, (w) => void w.uint32(delimited(fields.tensor.raw)).uint32(2 ** 31))]);
    expect(errorOf(bytes).message).toMatch(/claims 2147483648 bytes/);
  });

  it("everyTruncationAndEveryFlippedByte_withAnErrorOfOurs_orReadsIt", () => {
    const real = readFileSync(new URL("../../test/fixtures/onnx/cnn-17.onnx", import.meta.url));
    const outcome = (bytes: Uint8Array): string => {
      try {
        g.decodeModel(bytes, { dimensions: { batch: 2 } });
        return "read";
      } catch (error) {
        return isLeadglassError(error) ? error.code : `${error}`;
      }
    };
    const expected = ["read", "LG-GRAPH-003", "LG-GRAPH-004"];
    expect(outcome(real)).toBe("read");
    for (let n = 0; n < real.length - 1; n += 7) expect(expected).toContain(outcome(real.subarray(0, n)));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (flips) => {
        const bytes = new Uint8Array(real);
        for (const [at, value] of flips) bytes[at] = value;
        expect(expected).toContain(outcome(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});
