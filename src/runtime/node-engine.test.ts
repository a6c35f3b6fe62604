import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { add, graphOf, input, mul, scalar } from "../graph/index.ts";
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

  it("zero_clearsState", async () => {
    await engine.write({ total: vector(1, 2) });
    await engine.zero(["total"]);
    expect([...(await engine.read(["total"]))["total"]!.data]).toEqual([0, 0]);
  });

  it("missingFeed_isNamed", async () => {
    await using program = await engine.load(graphOf("g", { y: mul(input("nowhere", [2]), scalar(2)) }));
    await expect(program.run({})).rejects.toThrow(/nowhere/);
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
