import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomGraph } from "../../test/support/random-graphs.ts";
import { feedsFor, runGraph, runModel } from "../../test/support/run-onnx.ts";
import { isLeadglassError } from "../errors.ts";
import * as g from "./index.ts";
import type { Graph, Value } from "./index.ts";

const roundTrip = (graph: Graph): Graph => g.decodeModel(g.encodeModel(graph));
const nodesOf = (graph: Graph): g.Node[] => g.topologicalNodes(graph.outputs.map((o) => o.value));

/** The constants of a graph, each object once, by name. */
function constantsOf(graph: Graph): g.Constant[] {
  return g.leavesOf(graph.outputs.map((o) => o.value)).filter((v) => v.kind === "constant");
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return isLeadglassError(error) ? error.code : String(error);
  }
  return "no error";
}

/** Results with zeros of one sign: a literal that decoding computes away may come out as 0 where the runtime says -0. */
const withoutSigns = (results: Awaited<ReturnType<typeof runModel>>): unknown =>
  Object.fromEntries(
    Object.entries(results).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Array.from(data, (x) => (x === 0 ? 0 : x)) },
    ]),
  );

describe("encodeModel and decodeModel", () => {
  it("roundTrip_givesTheSameBytes_andTheSameResultsInOnnxRuntime", async () => {
    await fc.assert(
      fc.asyncProperty(randomGraph(), async (graph) => {
        const again = roundTrip(graph);
        // Decoding computes literals away, so bytes settle after one round.
        const settled = g.encodeModel(again);
        expect(g.encodeModel(g.decodeModel(settled))).toEqual(settled);
        expect(again.inputs).toEqual(graph.inputs);
        const feeds = feedsFor(graph);
        const [before, after] = [await runModel(g.encodeModel(graph), feeds), await runModel(settled, feeds)];
        expect(withoutSigns(after)).toEqual(withoutSigns(before));
        // What we infer is what the runtime computes.
        for (const { name, value } of graph.outputs) expect(before[name]!.shape).toEqual(value.shape);
      }),
      { numRuns: 150 },
    );
  });

  it("roundTrip_isExactAtOnce_whereNothingCanBeComputedAway", () => {
    const x = g.input("x", [2, 3, 8, 8]);
    const w = g.constant(new Float32Array(4 * 3 * 9).fill(0.5), [4, 3, 3, 3], "float32", "conv.weight");
    const pooled = g.maxPool(g.conv(x, w, undefined, { pads: [1, 1, 1, 1] }), [2, 2]);
    const y = g.reduceMean(g.clip(g.leakyRelu(pooled.y), g.scalar(0)), [2, 3]);
    const bytes = g.encodeModel(g.graphOf("net", { y, indices: pooled.indices }));
    expect(g.encodeModel(g.decodeModel(bytes))).toEqual(bytes);
  });

  it("keepsTypes_ofInputsAndStoredTensors", async () => {
    const constants = [
      g.constant(Float32Array.of(1.5, -0, NaN), [3]),
      g.constant(Float64Array.of(Math.PI), []),
      g.constant(Uint16Array.of(0x3c00, 0x8000), [2], "float16"),
      g.constant(BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)), [2, 1]),
      g.constant(Int32Array.of(-7), [1]),
      g.constant(Int8Array.of(-128, 127), [2]),
      g.constant(Uint8Array.of(255), [1]),
      g.constant(Uint8Array.of(1, 0), [2], "bool"),
      g.constant(new Float32Array(0), [0, 3]),
    ];
    const inputs = (["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"] as const).map(
      (dtype) => g.input(`in_${dtype}`, [2], dtype),
    );
    const outputs = Object.fromEntries([...constants, ...inputs].map((v, i) => [`out${i}`, v]));
    const again = roundTrip(g.graphOf("types", outputs, inputs));
    expect(again.inputs).toEqual(inputs);
    constants.forEach((c, i) => {
      const { value } = again.outputs[i]!;
      const operand = value.kind === "result" ? value.node.inputs[0]! : value;
      expect(operand).toMatchObject({ dtype: c.dtype, shape: c.shape, data: c.data });
    });
    const ran = await runModel(g.encodeModel(g.graphOf("types", Object.fromEntries(constants.filter((c) => c.dtype !== "float16").map((c, i) => [`out${i}`, c])))), {}); // prettier-ignore
    expect(Array.from(ran["out2"]!.data)).toEqual([2n ** 63n - 1n, -(2n ** 63n)]);
  });

  it("keepsAttributesOfEveryKind_andInt64Extremes", () => {
    const x = g.input("x", [2, 3]);
    const attributes: g.Attributes = {
      axis: { int: -1 },
      low: { int: -(2 ** 63) },
      high: { int: 2 ** 63 },
      large: { int: 2 ** 40 + 1 },
      alpha: { float: 0.5 },
      mode: { string: "naïve" },
      ints: { ints: [0, -3, 2 ** 33] },
      none: { ints: [] },
      floats: { floats: [0.25, -2] },
      value: { tensor: g.float32s([1, 2]) },
    };
    const [y] = g.apply("Softmax", [x], attributes);
    expect(nodesOf(roundTrip(g.graphOf("test", { y: y! })))[0]!.attributes).toEqual(attributes);
  });

  it("storesEqualSmallLiteralsOnce_andNamedConstantsEach", () => {
    const x = g.input("x", [4]);
    const named = (name: string): Value => g.constant(Float32Array.of(1, 2, 3, 4), [4], "float32", name);
    const large = new Float32Array(400);
    const y = g.add(g.add(g.add(x, g.float32s([5])), g.add(x, g.float32s([5]))), g.add(named("a"), named("b")));
    const z = g.add(g.expand(x, [100, 4]), g.constant(large, [100, 4]));
    const constants = constantsOf(roundTrip(g.graphOf("test", { y, z, w: g.expand(x, [100, 4]) })));
    expect(constants.map((c) => c.name)).toEqual([undefined, "a", "b", undefined, undefined]);
    expect(constants.map((c) => c.data.length)).toEqual([1, 4, 4, 2, 400]);
  });

  it("keepsNodeNames_madeUnique", () => {
    const x = g.input("x", [2]);
    const [a] = g.apply("Neg", [x], {}, { name: "block/neg" });
    const [b] = g.apply("Neg", [a!], {}, { name: "block/neg" });
    const names = nodesOf(roundTrip(g.graphOf("test", { y: g.tanh(b!) }))).map((n) => n.name);
    expect(names).toEqual(["block/neg", "block/neg_0", "Tanh_0"]);
    const bare = nodesOf(g.decodeModel(g.encodeModel(g.graphOf("test", { y: b! })), { keepNames: false }));
    expect(bare.map((n) => n.name)).toEqual([undefined, undefined]);
  });

  it("givesOutputsTheirNames_evenOfInputsConstantsAndOneValueTwice", async () => {
    const x = g.input("x", [2]);
    const t = g.tanh(x);
    const graph = g.graphOf("test", { Tanh_0: g.neg(t), a: t, b: t, x, copy: x, literal_0: g.float32s([1, 2]) });
    const ran = await runGraph(graph);
    expect(Object.keys(ran)).toEqual(["Tanh_0", "a", "b", "x", "copy", "literal_0"]);
    expect(ran["a"]).toEqual(ran["b"]);
    expect(ran["x"]).toEqual(ran["copy"]);
    expect(Array.from(ran["literal_0"]!.data)).toEqual([1, 2]);
  });

  it("leavesOutOutputs_thatNothingReads", async () => {
    const x = g.input("x", [1, 1, 4, 4]);
    const { y } = g.maxPool(x, [2, 2]);
    const n = g.layerNormalization(x, g.float32s([1, 1, 1, 1]));
    const graph = g.graphOf("test", { y, inverse: n.inverseDeviation });
    expect(nodesOf(roundTrip(graph)).map((node) => [node.op, node.outputs.length])).toEqual([
      ["MaxPool", 1],
      ["LayerNormalization", 3],
    ]);
    expect((await runGraph(graph))["inverse"]!.shape).toEqual([1, 1, 4, 1]);
  });

  it("refusesNamesThatClash_andUndeclaredInputs_andUnknownOpsets", () => {
    const x = g.input("x", [2]);
    expect(codeOf(() => g.encodeModel(g.graphOf("test", { x: g.neg(x) })))).toBe("LG-GRAPH-005");
    const y = { name: "y", value: g.neg(x) };
    expect(codeOf(() => g.encodeModel({ name: "test", inputs: [x], outputs: [y, y] }))).toBe("LG-GRAPH-005");
    expect(codeOf(() => g.encodeModel({ name: "test", inputs: [], outputs: [y] }))).toBe("LG-GRAPH-005");
    expect(codeOf(() => g.encodeModel(g.graphOf("test", { y: g.neg(x) }), { opset: 19 }))).toBe("LG-GRAPH-005");
  });

  it("keepsMetadata", () => {
    const metadata = { classes: '["benign","malignant"]', note: "für Ärzte" };
    const bytes = g.encodeModel(g.graphOf("test", { y: g.neg(g.input("x", [2])) }), { metadata, producer: "test" });
    expect(g.decodeMetadata(bytes)).toEqual(metadata);
  });

  it("encodesThousandsOfNodesAndLargeConstants", () => {
    const weights = g.constant(new Float32Array(25_000_000), [5000, 5000], "float32", "w");
    let y: Value = g.matMul(g.input("x", [1, 5000]), weights);
    for (let i = 0; i < 5000; i++) y = g.add(g.reshape(g.tanh(y), [1, i % 2 ? 5000 : -1]), g.scalar(i));
    const graph = g.graphOf("large", { y });
    const bytes = g.encodeModel(graph);
    // 100 MB of weights and 15,000 nodes.
    expect(bytes.length).toBeGreaterThan(100_000_000);
    expect(bytes.length).toBeLessThan(102_000_000);
  });
});
