import { existsSync, readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hashedValues, type HashedTensor } from "../../test/fixtures/hashed-values.ts";
import { feedsFor, runModel } from "../../test/support/run-onnx.ts";
import { isLeadglassError, type LeadglassError } from "../errors.ts";
import * as g from "./index.ts";
import type { Graph } from "./index.ts";

const nodesOf = (graph: Graph): g.Node[] => g.topologicalNodes(graph.outputs.map((o) => o.value));
const constantsOf = (graph: Graph): g.Constant[] =>
  g.leavesOf(graph.outputs.map((o) => o.value)).filter((v) => v.kind === "constant");

function errorOf(action: () => unknown): LeadglassError {
  try {
    action();
  } catch (error) {
    if (isLeadglassError(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const fixture = (path: string): Buffer => readFileSync(new URL(path, import.meta.url));
const { models } = JSON.parse(fixture("fixtures/old-operators.json").toString()) as { models: Record<string, string> };
const old = (name: string): Uint8Array => Buffer.from(models[name]!, "base64");

function expectClose(got: ArrayLike<number | bigint>, expected: ArrayLike<number | bigint>, relative: number): void {
  expect(got.length).toBe(expected.length);
  const scale = Math.max(1e-3, ...Array.from(expected, (v) => Math.abs(Number(v))).filter(Number.isFinite));
  for (let i = 0; i < got.length; i++)
    if (got[i] !== expected[i])
      expect(Math.abs(Number(got[i]) - Number(expected[i])), `element ${i}`).toBeLessThan(relative * scale);
}

describe("decodeModel, forms of older operator sets", () => {
  // The oracle is ONNX Runtime on the original bytes; 1e-5 is float32 rounding over a few operators.
  it.each(Object.keys(models))("%s computes what ONNX Runtime computes from the original", async (name) => {
    const graph = g.decodeModel(old(name));
    const feeds = feedsFor(graph);
    const expected = await runModel(old(name), feeds);
    const got = await runModel(g.encodeModel(graph), feeds);
    expect(Object.keys(got)).toEqual(Object.keys(expected));
    for (const { name: output, value } of graph.outputs) {
      expect(got[output]!.shape).toEqual(expected[output]!.shape);
      expect(value).toMatchObject({ shape: expected[output]!.shape, dtype: expected[output]!.dtype });
      expectClose(got[output]!.data, expected[output]!.data, 1e-5);
    }
  });

  it("computesShapeArithmeticAway", () => {
    const operators = (name: string): string[] => nodesOf(g.decodeModel(old(name))).map((n) => n.op);
    expect(operators("view")).toEqual(["Reshape"]);
    expect(operators("expand as the exporter writes it")).toEqual(["Expand"]);
    expect(operators("halves of a size")).toEqual(["Slice"]);
    expect(operators("positions")).toEqual(["Reshape", "Gather"]);
    expect(operators("scale from a shape")).toEqual(["Mul"]);
    // The sum of a float vector depends on the order of addition, so it is left to the runtime.
    expect(operators("integers of every kind")).toEqual(["ReduceSum", "Add"]);
  });

  it("upgradesFormsToOperands", () => {
    const [sum] = nodesOf(g.decodeModel(old("ReduceSum-11 axes")));
    expect(g.integersOf(sum!.inputs[1])).toEqual([1, -1]);
    expect(sum!.attributes).toEqual({ keepdims: { int: 0 } });
  });
});

interface Exported {
  readonly writtenBy: string;
  readonly parameters: readonly HashedTensor[];
  readonly initialisers: readonly { name: string; shape: number[]; type: string; sum: number }[];
  readonly cases: readonly {
    readonly input: HashedTensor;
    readonly output: { shape: number[]; sum: number; indices: number[]; values: number[] };
  }[];
}

const exports = new URL("../../test/fixtures/onnx/", import.meta.url);
const exported = existsSync(exports) ? readdirSync(exports).filter((f) => f.endsWith(".onnx")) : [];

describe("decodeModel, models exported by PyTorch", () => {
  it("hasFixtures", () => expect(exported.length).toBeGreaterThan(10));

  it.each(exported)("%s computes what PyTorch computed", async (file) => {
    const bytes = readFileSync(new URL(file, exports));
    const about = JSON.parse(readFileSync(new URL(file.replace(".onnx", ".json"), exports)).toString()) as Exported;
    for (const { input, output } of about.cases) {
      const graph = g.simplify(g.decodeModel(bytes, { dimensions: { batch: input.shape[0]! } }));
      const [x] = graph.inputs;
      expect(x!.shape).toEqual(input.shape);
      const feeds = { [x!.name]: { dtype: "float32", shape: input.shape, data: hashedValues(input) } };
      const y = Object.values(await runModel(g.encodeModel(graph), feeds))[0]!;
      expect(y.shape).toEqual(output.shape);
      // PyTorch in float32: 1e-4 of the largest output covers another order of summation.
      const scale = Math.max(...output.values.map(Math.abs));
      output.indices.forEach((at, i) =>
        expect(Math.abs(Number(y.data[at]) - output.values[i]!)).toBeLessThan(1e-4 * scale),
      );
    }
  });

  it.each(exported)("%s keeps float initialisers with name and values", (file) => {
    const bytes = readFileSync(new URL(file, exports));
    const about = JSON.parse(readFileSync(new URL(file.replace(".onnx", ".json"), exports)).toString()) as Exported;
    const graph = g.decodeModel(bytes, { dimensions: { batch: 2 } });
    const found = new Map(constantsOf(graph).map((c) => [c.name, c]));
    const stored = about.initialisers.filter((i) => i.type === "FLOAT" && found.has(i.name));
    // What is not found was the ratio of a dropout or the roi of a resize.
    expect(stored.length).toBeGreaterThan(0.8 * about.initialisers.filter((i) => i.type === "FLOAT").length);
    for (const { name, shape, sum } of stored) {
      const c = found.get(name)!;
      expect(c.shape).toEqual(shape);
      const total = Array.from(c.data as Float32Array).reduce((a, b) => a + b, 0);
      expect(Math.abs(total - sum)).toBeLessThan(1e-5 * (1 + c.data.length));
    }
  });

  it("refusesASymbolicSizeThatIsNotGiven_namingItAndTheRemedy", () => {
    const error = errorOf(() => g.decodeModel(readFileSync(new URL("dynamic-20.onnx", exports))));
    expect(error.code).toBe("LG-GRAPH-004");
    expect(error.message).toContain("axis 0");
    expect(error.hint).toContain("dimensions: {");
  });
});
