import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add, graphOf, input, mul, reshape, scalar } from "../graph/index.ts";
import { startEngine, type Engine, type HostTensor } from "./index.ts";

const vector = (...values: number[]): HostTensor => ({ data: Float32Array.from(values), shape: [values.length] });

describe("engine", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const counter = () => {
    const [total, x] = [input("total", [2]), input("x", [2])];
    return graphOf("counter", { "next/total": add(total, x), twice: mul(x, scalar(2)) });
  };

  it("state_isKeptBetweenRuns", async () => {
    await engine.write({ total: vector(1, 2) });
    await using program = await engine.load(counter());
    await program.run({ x: vector(10, 20) });
    const { twice } = await program.run({ x: vector(100, 200) });
    expect([...twice!.data]).toEqual([200, 400]);
    expect([...(await engine.read(["total"]))["total"]!.data]).toEqual([111, 222]);
  });

  it("undo_restoresWhatTheLastRunReplaced", async () => {
    await engine.write({ total: vector(1, 2) });
    await using program = await engine.load(counter());
    await program.run({ x: vector(10, 20) });
    await program.run({ x: vector(NaN, 20) });
    await program.undo();
    expect([...(await engine.read(["total"]))["total"]!.data]).toEqual([11, 22]);
  });

  it("stateThatIsOnlyWritten_isOverwrittenInItsOwnShape", async () => {
    await engine.write({ grid: { data: new Float32Array(6), shape: [2, 3] }, total: vector(1, 2) });
    const [x, total] = [input("x", [6]), input("total", [2])];
    const twice = mul(x, scalar(2));
    const graph = graphOf("writer", {
      "next/grid": reshape(reshape(twice, [3, 2]), [2, 3]),
      "next/line": reshape(twice, [1, 6]),
      "next/total": add(total, total),
      flat: reshape(twice, [3, 2]),
    });
    await using program = await engine.load(graph);
    for (const from of [0, 10]) {
      const numbers = Array.from({ length: 6 }, (_, i) => from + i);
      const { flat } = await program.run({ x: vector(...numbers) });
      const { grid, line, total: sum } = await engine.read(["grid", "line", "total"]);
      const doubled = numbers.map((v) => 2 * v);
      for (const tensor of [flat, grid, line]) expect([...tensor!.data]).toEqual(doubled);
      expect([flat!.shape, grid!.shape, line!.shape]).toEqual([[3, 2], [2, 3], [1, 6]]); // prettier-ignore
      expect([...sum!.data]).toEqual(from === 0 ? [2, 4] : [4, 8]);
    }
    // What was read comes back; what was only written stays.
    await program.undo();
    const { grid, total: sum } = await engine.read(["grid", "total"]);
    expect([...grid!.data]).toEqual([20, 22, 24, 26, 28, 30]);
    expect([...sum!.data]).toEqual([2, 4]);
  });

  it("zero_clearsState", async () => {
    await engine.write({ total: vector(1, 2) });
    await engine.zero(["total"]);
    expect([...(await engine.read(["total"]))["total"]!.data]).toEqual([0, 0]);
  });

  it("missingFeed_isNamed", async () => {
    await using program = await engine.load(graphOf("g", { y: mul(input("nowhere", [2]), scalar(2)) }));
    await expect(program.run({})).rejects.toThrow(/nowhere/);
  });

  it("blocks_coverEveryNumberOnce_inPlace_whateverTheSizes", async () => {
    // total = total * factor + x, in blocks of 4: two whole ones and a rest, smaller tensors gathered, one of exactly a block.
    const [total, x, factor] = [input("total/*", [4]), input("x/*", [4]), input("factor", [])];
    const graph = graphOf("blocks", { "next/total/*": add(mul(total, factor), x) });
    const sizes = { a: 9, b: 1, c: 4, d: 3, e: 2 };
    const names = Object.keys(sizes) as (keyof typeof sizes)[];
    const numbers = (name: keyof typeof sizes, from: number): HostTensor => vector(...Array.from({ length: sizes[name] }, (_, i) => from + i)); // prettier-ignore
    await engine.write(Object.fromEntries(names.map((name) => [`total/${name}`, numbers(name, 10)])));
    await using program = await engine.loadBlockwise(graph, names);
    const fed = Object.fromEntries(names.map((name) => [`x/${name}`, numbers(name, 0)]));
    await program.run({ ...fed, factor: { data: Float32Array.of(2), shape: [] } });
    const after = await engine.read(names.map((name) => `total/${name}`));
    for (const name of names)
      expect([...after[`total/${name}`]!.data]).toEqual(
        Array.from({ length: sizes[name] }, (_, i) => 2 * (10 + i) + i),
      );
    // What was fed is gone: it held noise or gradients.
    expect(fed["x/a"]!.data).toHaveLength(0);
    await expect(program.run({ factor: { data: Float32Array.of(2), shape: [] } })).rejects.toThrow(/x\/a/);
    await engine.write({ "x/b": vector(1, 2), ...Object.fromEntries(names.filter((n) => n !== "b").map((n) => [`x/${n}`, numbers(n, 0)])) }); // prettier-ignore
    await expect(program.run({ factor: { data: Float32Array.of(2), shape: [] } })).rejects.toThrow(
      /of b differ in size/,
    );
  });

  it("absentDevice_saysWhatToUseInstead", async () => {
    // CUDA is never part of the package, so its absence can be tested everywhere it is not installed by hand.
    await using absent = await startEngine({ device: "cuda", threads: 1 });
    const loading = absent.load(counter());
    await loading.then(
      () => undefined,
      (error: unknown) =>
        expect(error).toMatchObject({
          code: "LG-RUNTIME-001",
          hint: expect.stringContaining("--device cpu") as string,
        }),
    );
  });

  it("thousandRuns_doNotGrowMemory", async () => {
    const size = 1 << 18;
    const x = input("x", [size]);
    const total = input("big", [size]);
    await engine.write({ big: { data: new Float32Array(size), shape: [size] } });
    await using program = await engine.load(graphOf("big", { "next/big": add(total, x), mean: mul(x, scalar(0.5)) }));
    const step = (): Promise<unknown> => program.run({ x: { data: new Float32Array(size), shape: [size] } });
    for (let i = 0; i < 200; i++) await step();
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 1000; i++) await step();
    // A leak of one buffer a step would be 1,000 MiB; garbage not yet collected is far less.
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 2 ** 20);
  });
});
