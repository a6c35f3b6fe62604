import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mcgan, type GanNorm } from "../src/nn/index.ts";
import { startEngine, type Engine, type HostTensor } from "../src/runtime/index.ts";
import { fakeGraph, generatorGraph, realGraph } from "../src/synthesis/steps.ts";
import { initialState, updateGraph, updateScalars } from "../src/training/update.ts";
import { hashedValues, type HashedTensor } from "./fixtures/hashed-values.ts";

interface Probe {
  readonly sum: number;
  readonly sumOfSquares: number;
  readonly indices: readonly number[];
  readonly values: readonly number[];
}
interface Step {
  readonly classes: Readonly<Record<"real" | "fake", readonly number[]>>;
  readonly losses: Readonly<Record<"real" | "fake" | "generator", number>>;
  readonly parameters: readonly (HashedTensor & {
    readonly gradient: Probe;
    readonly newWeights: Probe;
    readonly float32Error: number;
  })[];
}

/** PyTorch 2.13 in float64: test/fixtures/make_mcgan_step.py. */
const fixture = JSON.parse(readFileSync(new URL("fixtures/mcgan-step.json", import.meta.url), "utf8")) as Readonly<
  Record<GanNorm, Step>
>;
const tolerance = 1e-4;
const rows = 4;
const shape = { rows, classes: 2, imageSize: 128 };
const unitVariance = 2 * Math.sqrt(3);
const adam = { name: "adam", learningRate: 1e-4, beta1: 0.5, beta2: 0.999 } as const;
const options = { loss: "bce", distortion: false, instanceNoise: false } as const;

const hashed = (name: string, size: readonly number[], scale: number, offset = 0): HostTensor => ({
  data: hashedValues({ name, shape: size, scale, offset }),
  shape: size,
});
const oneHot = (classes: readonly number[]): HostTensor => ({
  data: Float32Array.from(classes.flatMap((c) => [Number(c === 0), Number(c === 1)])),
  shape: [rows, 2],
});
const filled = (value: number, n: number): HostTensor => ({ data: new Float32Array(n).fill(value), shape: [n] });

describe.each(["instance", "batch"] as const)("one step of mcgan with %s normalisation", (norm) => {
  const step = fixture[norm];
  const architecture = mcgan(norm);
  let engine: Engine;
  const found: Record<string, Float32Array> = {};
  const losses: Record<string, number> = {};

  beforeAll(async () => {
    engine = await startEngine({ threads: 2 });
    const parts = [architecture.discriminator(shape).parameters, architecture.generator(shape).parameters] as const;
    const weights = Object.fromEntries(step.parameters.map((p) => [p.name, hashedValues(p)]));
    for (const parameters of parts) await engine.write(initialState(parameters, adam, { averaging: false }, weights));
    await engine.write(
      Object.fromEntries(
        parts[0].map(({ name, value }) => [`exact/${name}`, { data: new Float32Array(weights[name]!.length), shape: value.shape }]), // prettier-ignore
      ),
    );
    const latents = { latent: hashed("latent", [rows, 100], unitVariance), classes: oneHot(step.classes.fake) };
    const scalars = (divisor: number) =>
      updateScalars(adam, { step: 0, learningRate: 1e-4, expectedBatchSize: divisor });
    {
      await using real = await engine.load(realGraph(architecture, shape, { units: rows, views: 1 }, { ...options, atReal: 0 }), { seldom: true }); // prettier-ignore
      const ran = await real.run({
        real: hashed("real", [rows, 1, 128, 128], 1, 0.5),
        "real/classes": oneHot(step.classes.real),
        label: { data: hashedValues({ name: "label", shape: [rows], scale: 0.5, offset: 0.95 }), shape: [rows] },
        weights: filled(1, rows),
        present: filled(1, rows),
      });
      losses["real"] = (ran["losses"]!.data as Float32Array).reduce((a, b) => a + b, 0) / rows;
    }
    {
      await using fake = await engine.load(fakeGraph(architecture, shape, { ...options, atFake: 0 }), { seldom: true });
      losses["fake"] = Number((await fake.run(copy(latents)))["loss"]!.data[0]);
    }
    for (const [name, { data }] of Object.entries(
      await engine.read(parts[0].flatMap((p) => [`sum/${p.name}`, `exact/${p.name}`])),
    ))
      found[name] = data as Float32Array;
    {
      await using own = await engine.load(generatorGraph(architecture, shape, options), { seldom: true });
      losses["generator"] = Number((await own.run(copy(latents)))["loss"]!.data[0]);
    }
    for (const [name, { data }] of Object.entries(await engine.read(parts[1].map((p) => `sum/${p.name}`))))
      found[name] = data as Float32Array;
    {
      await using update = await engine.load(updateGraph(parts[0], adam, { noise: false, averaging: false, exact: true }), { seldom: true }); // prettier-ignore
      await update.run(scalars(rows));
    }
    {
      await using update = await engine.load(updateGraph(parts[1], adam, { noise: false, averaging: false }), { seldom: true }); // prettier-ignore
      await update.run(scalars(1));
    }
    for (const [name, { data }] of Object.entries(await engine.read(step.parameters.map((p) => p.name))))
      found[name] = data as Float32Array;
  }, 120_000);
  afterAll(() => engine[Symbol.asyncDispose]());

  const copy = (feeds: Readonly<Record<string, HostTensor>>) =>
    Object.fromEntries(Object.entries(feeds).map(([n, { data, shape: s }]) => [n, { data: data.slice(), shape: s }]));

  it("losses_equalPyTorchs", () => {
    for (const [name, expected] of Object.entries(step.losses))
      expect(Math.abs(losses[name]! / expected - 1), name).toBeLessThan(tolerance);
  });

  it("gradientsOfBothNetworks_equalPyTorchs", () => {
    for (const { name, gradient, float32Error } of step.parameters) {
      const [sum, exact] = [found[`sum/${name}`]!, found[`exact/${name}`]];
      const ours = (i: number): number => (exact ? sum[i]! / rows + exact[i]! : sum[i]!);
      const rms = Math.sqrt(gradient.sumOfSquares / sum.length);
      // Where batch normalisation takes away most of what a label adds, PyTorch's own float32 is off by more than 1e-4.
      const bound = Math.max(tolerance, 5 * float32Error);
      gradient.indices.forEach((i, k) =>
        expect(Math.abs(ours(i) - gradient.values[k]!) / rms, name).toBeLessThan(bound),
      );
    }
  });

  it("newWeights_equalPyTorchs", () => {
    // Adam's first step is the learning rate times the gradient's sign: a gradient near 0 may go either way by rounding.
    for (const { name, newWeights, gradient } of step.parameters) {
      const rms = Math.sqrt(gradient.sumOfSquares / found[name]!.length);
      newWeights.indices.forEach((i, k) => {
        const decided = Math.abs(gradient.values[k]!) > 0.01 * rms;
        const bound = decided ? tolerance * adam.learningRate * 100 : 2.1 * adam.learningRate;
        expect(Math.abs(found[name]![i]! - newWeights.values[k]!), `${name} ${i}`).toBeLessThan(bound);
      });
    }
  });
});
