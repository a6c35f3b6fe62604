import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomGraph } from "../../test/support/random-graphs.ts";
import { runGraph, sameNumbers } from "../../test/support/run-onnx.ts";
import * as g from "./index.ts";
import type { Graph, Value } from "./index.ts";

const operatorsOf = (graph: Graph): string[] => g.topologicalNodes(graph.outputs.map((o) => o.value)).map((n) => n.op);
const simplified = (y: Value): string[] => operatorsOf(g.simplify(g.graphOf("test", { y })));
const x = g.input("x", [2, 3, 4]);

describe("simplify", () => {
  it("keepsTheResultsToTheBit_andNeverAddsNodes", async () => {
    await fc.assert(
      fc.asyncProperty(randomGraph(), async (graph) => {
        const simpler = g.simplify(graph);
        expect(operatorsOf(simpler).length).toBeLessThanOrEqual(operatorsOf(graph).length);
        for (const [i, { name, value }] of graph.outputs.entries()) {
          expect(simpler.outputs[i]!.name).toBe(name);
          expect(simpler.outputs[i]!.value).toMatchObject({ dtype: value.dtype, shape: value.shape });
        }
        const [before, after] = [await runGraph(graph), await runGraph(simpler)];
        for (const name of Object.keys(before)) {
          expect(after[name]!.shape).toEqual(before[name]!.shape);
          expect(sameNumbers(after[name]!.data, before[name]!.data), name).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("isIdempotent", () => {
    fc.assert(
      fc.property(randomGraph(), (graph) => {
        const once = g.simplify(graph);
        expect(operatorsOf(g.simplify(once))).toEqual(operatorsOf(once));
      }),
      { numRuns: 100 },
    );
  });

  it("makesEqualSubgraphsOne_alsoOverEqualLiterals", () => {
    const branch = (): Value => g.tanh(g.reduceSum(g.mul(x, g.scalar(3)), [1, 2]));
    expect(simplified(g.add(branch(), branch()))).toEqual(["Mul", "ReduceSum", "Tanh", "Add"]);
  });

  it("keepsNodesApart_thatDifferInAttributes", () => {
    expect(simplified(g.add(g.softmax(x, 0), g.softmax(x, 1)))).toEqual(["Softmax", "Softmax", "Add"]);
  });

  it.each<[string, Value]>([
    ["Identity", g.identity(x)],
    ["a transpose and its inverse", g.transpose(g.transpose(x, [1, 2, 0]), [2, 0, 1])],
    ["an unsqueeze and its squeeze", g.squeeze(g.unsqueeze(x, [1]), [1])],
    ["a reshape to the same shape", g.reshape(g.identity(x), [2, 3, 4])],
    ["a reshape there and back", g.reshape(g.flatten(x), [2, 3, 4])],
    ["a cast to the same type", g.apply("Cast", [x], { to: { int: 1 } })[0]!],
    ["an expand to the same shape", g.apply("Expand", [x, g.int64s([3, 4])])[0]!],
    ["a sum of one", g.apply("Sum", [x])[0]!],
    ["times one", g.mul(x, g.scalar(1))],
    ["one times", g.mul(g.float32s([1, 1, 1, 1]), x)],
    ["plus zero", g.add(g.scalar(0), x)],
    ["minus zero", g.sub(x, g.scalar(0))],
    ["over one", g.div(x, g.scalar(1))],
    ["to the power of one", g.pow(x, g.scalar(1))],
    ["a slice of everything", g.slice(x, [0], [2 ** 40], [1])],
    ["padding with nothing", g.apply("Pad", [x, g.int64s([0, 0, 0, 0, 0, 0])])[0]!],
    ["tiling once", g.apply("Tile", [x, g.int64s([1, 1, 1])])[0]!],
    ["a part of one", g.split(x, [4], 2)[0]!],
  ])("removes %s", (_, y) => {
    expect(g.simplify(g.graphOf("test", { y })).outputs[0]!.value).toBe(x);
  });

  it("keepsNeutralLiterals_thatBroadcastTheOtherOperand", () => {
    expect(simplified(g.mul(g.input("s", []), g.float32s([1, 1])))).toEqual(["Mul"]);
    expect(simplified(g.add(g.input("s", [1]), g.float32s([0, 0])))).toEqual(["Add"]);
  });

  it("neverUsesTheValueOfANamedFloatConstant_whichMayBeAParameter", () => {
    const ones = g.constant(Float32Array.of(1, 1, 1, 1), [4], "float32", "norm.weight");
    const alsoOnes = g.constant(Float32Array.of(1, 1, 1, 1), [4], "float32", "other.weight");
    expect(simplified(g.mul(x, ones))).toEqual(["Mul"]);
    expect(simplified(g.add(g.mul(x, ones), g.mul(x, alsoOnes)))).toEqual(["Mul", "Mul", "Add"]);
  });

  it("composesTransposesAndReshapes", () => {
    const [y] = g.simplify(g.graphOf("test", { y: g.transpose(g.transpose(x, [1, 2, 0]), [1, 2, 0]) })).outputs;
    // Axis i of the result is axis [1, 2, 0][[1, 2, 0][i]] of x.
    expect(y!.value).toMatchObject({ shape: [4, 2, 3], node: { attributes: { perm: { ints: [2, 0, 1] } } } });
    expect(simplified(g.squeeze(g.apply("Reshape", [g.flatten(x), g.int64s([1, 24])])[0]!, [0]))).toEqual(["Reshape"]);
  });

  it("computesArithmeticOfLiterals", () => {
    const [y] = g.simplify(g.graphOf("test", { y: g.mul(g.add(g.scalar(0.1), g.scalar(0.2)), g.scalar(2)) })).outputs;
    // float32: fround(fround(0.1) + fround(0.2)) * 2
    expect(y!.value).toMatchObject({ kind: "constant", data: Float32Array.of(2 * Math.fround(Math.fround(0.1) + Math.fround(0.2))) }); // prettier-ignore
  });

  it("takesTimeLinearInTheSizeOfTheGraph", () => {
    const chain = (n: number): Graph => {
      let y: Value = x;
      for (let i = 0; i < n / 2; i++) y = g.add(g.tanh(y), g.scalar(i + 2));
      return g.graphOf("chain", { y });
    };
    // 0.1 to 0.2 s; quadratic work would take minutes, and the test's own limit would end it.
    expect(g.simplify(chain(40_000)).outputs).toHaveLength(1);
  });
});
