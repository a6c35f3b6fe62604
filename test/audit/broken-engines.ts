/**
 * Training engines that are wrong on purpose, for the audits to catch. Each is the real engine's own pieces (sampler,
 * accumulate graph, clipping, noise, update graph) with one of them replaced. Nothing here is reachable from the product.
 */
import { relu, reshape, sizeOf } from "../../src/graph/index.ts";
import { seededRandom, shuffle } from "../../src/math/random.ts";
import { dense } from "../../src/nn/layers.ts";
import { initialParameters, modelOf, type Model } from "../../src/nn/model.ts";
import { expectedShare, noiseScale, type DpPlan } from "../../src/privacy/index.ts";
import type { Engine, Feeds } from "../../src/runtime/index.ts";
import { startAccumulator, type Accumulator } from "../../src/training/accumulate.ts";
import { canaryParameter, plantCanaries, withCanaryParameter } from "../../src/training/canaries.ts";
import type { TrainingData } from "../../src/training/data.ts";
import { drawNoise, drawUnits, train, type TrainingSettings } from "../../src/training/train.ts";
import { initialState, updateGraph, updateScalars } from "../../src/training/update.ts";

/** What an engine is made of, as far as any engine here differs from the right one. */
export interface Parts {
  /** Units of a step, out of 0..count-1. */
  readonly draw: (settings: TrainingSettings, count: number, step: number) => readonly number[];
  readonly clipsEachUnit: boolean;
  /** Changes the sums between accumulation and noise. */
  readonly between?: (engine: Engine, names: readonly string[], plan: DpPlan, drawn: number) => Promise<void>;
  readonly noise: (plan: DpPlan, seed: string, step: number, model: Model) => Feeds;
  /** What the noisy sum is divided by. */
  readonly divisor: (plan: DpPlan, drawn: number) => number;
  /** How often a canary that is in stands among the units. */
  readonly copies: number;
}

/** The product's noise, as the update graph takes it. */
const noiseFeeds = (...step: Parameters<typeof drawNoise>): Feeds =>
  Object.fromEntries(
    Array.from(drawNoise(...step), ({ name, data }) => {
      const { shape } = step[3].parameters.find((p) => p.name === name)!.value;
      return [`noise/${name}`, { data, shape }];
    }),
  );

/** The real pieces. */
export const correct: Parts = {
  draw: drawUnits,
  clipsEachUnit: true,
  noise: (...step) => noiseFeeds(...step),
  divisor: (plan) => plan.expectedBatchSize!,
  copies: 1,
};

const scaled = (feeds: Feeds, factor: number): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { data, shape }]) => [
      name,
      { data: (data as Float32Array).map((v) => v * factor), shape },
    ]),
  );

/** Micro-batches of a batch, for the engine that reuses their noise. */
export const microBatches = 4;

export const broken = {
  "no noise": { ...correct, noise: (...step) => scaled(noiseFeeds(...step), 0) },
  // Deviation sigma where it should be sigma times the clipping norm.
  "noise without the clipping norm": {
    ...correct,
    noise: (plan, ...step) => scaled(noiseFeeds(plan, ...step), 1 / plan.clipping.norm),
  },
  // The mean of the batch is clipped, as an ordinary training clips its gradient, and the noise is that of clipped units.
  "clips the mean of the batch": {
    ...correct,
    clipsEachUnit: false,
    between: async (engine, names, { clipping: { norm } }, drawn) => {
      const sums = await engine.read(names.map((n) => `sum/${n}`));
      const squares = Object.values(sums).map(({ data }) =>
        (data as Float32Array).reduce((total, v) => total + (v / drawn) ** 2, 0),
      );
      const length = Math.sqrt(squares.reduce((a, b) => a + b, 0));
      await engine.write(scaled(sums, Math.min(1, norm / length)));
    },
  },
  // One shuffle, cut into batches that come round again and again; accounted as Poisson sampling of the same size.
  "shuffled fixed batches": {
    ...correct,
    draw: ({ batches, seed }, count, step) => {
      const perPass = batches.kind === "private" ? Math.round(1 / expectedShare(batches.plan.sampling)) : 1;
      const order = shuffle([...Array(count).keys()], seededRandom(seed, "fixed order"));
      return order.filter((_, i) => i % perPass === step % perPass);
    },
  },
  "divides by the drawn batch": { ...correct, divisor: (_, drawn) => drawn },
  "one patient under two ids": { ...correct, copies: 2 },
  // A batch is applied in micro-batches, each with the noise that was drawn once for the batch.
  "noise reused across micro-batches": {
    ...correct,
    noise: (plan, seed, step, model) => noiseFeeds(plan, seed, Math.floor(step / microBatches), model),
  },
} as const satisfies Readonly<Record<string, Parts>>;

/** Twelve patients with one image each of four random numbers and a random label. */
function patients(): TrainingData {
  const random = seededRandom("patients");
  const images = Float32Array.from({ length: 12 * 4 }, () => random.gaussian());
  return {
    units: Array.from({ length: 12 }, (_, p) => [p]),
    targets: Float32Array.from({ length: 12 }, () => random.integer(2)),
    known: new Float32Array(12).fill(1),
    outputs: 1,
    rowShape: [1, 2, 2],
    variants: 1,
    load: (requests, out) => {
      requests.forEach(({ image }, i) => out.set(images.subarray(image * 4, (image + 1) * 4), i * 4));
      return Promise.resolve();
    },
  };
}
export const patientCount = 12;

const network = (rows: number): Model =>
  modelOf(
    "small",
    { rows, channels: 1, imageSize: 2, outputs: 1 },
    (image) => image,
    (scope, x) => dense(scope.at("head"), relu(dense(scope.at("hidden"), reshape(x, [rows, 4]), 8)), 1),
  );

const settingsOf = (plan: DpPlan, seed: string): TrainingSettings => ({
  batches: { kind: "private", plan },
  views: 1,
  loss: { kind: "binary" },
  optimiser: { name: "sgd", learningRate: 0.05 },
  schedule: { kind: "constant" },
  averaging: null,
  seed,
  reproducible: true,
});

/** What an attacker sees of a training: each step's released mean at the canaries' places, times the public batch size. */
export type Released = readonly Float32Array[];

/** Engines that are loaded once and trained many times, with any of the canaries in. */
export interface Laboratory extends AsyncDisposable {
  readonly run: (parts: Parts, included: readonly boolean[], seed: string) => Promise<Released>;
  /** The same by the product's own training loop, which knows no parts. */
  readonly runProduct: (included: readonly boolean[], seed: string) => Promise<Released>;
}

/** Canaries are 1,000 times the clipping norm, so a unit that is not clipped shows. */
export async function openLaboratory(engine: Engine, plan: DpPlan, canaries: number): Promise<Laboratory> {
  const modelFor = (rows: number): Model => withCanaryParameter(network(rows), canaries);
  const model = modelFor(1);
  const names = model.parameters.map((p) => p.name);
  const { grid } = noiseScale(
    plan,
    model.parameters.reduce((total, p) => total + sizeOf(p.value.shape), 0),
  );
  const place = { scale: 1000 * plan.clipping.norm, parameter: canaryParameter };
  const planted = (included: readonly boolean[]): TrainingData => plantCanaries(patients(), { ...place, included });
  const { optimiser } = settingsOf(plan, "");
  const fresh = (seed: string): Promise<void> =>
    engine.write(
      initialState(model.parameters, optimiser, { averaging: false }, initialParameters(model, seededRandom(seed, "initial"))),
    ); // prettier-ignore
  const accumulators = new Map<boolean, Accumulator>();
  const accumulatorFor = async (clipsEachUnit: boolean): Promise<Accumulator> => {
    const known = accumulators.get(clipsEachUnit);
    if (known) return known;
    const made = await startAccumulator({
      engines: [engine],
      modelFor,
      data: planted(Array<boolean>(canaries).fill(true)),
      loss: { kind: "binary" },
      how: clipsEachUnit ? { kind: "clipped", clipping: plan.clipping } : { kind: "plain" },
      views: 1,
      seed: "",
      batchSize: Math.ceil(plan.expectedBatchSize!),
      measure: false,
    });
    accumulators.set(clipsEachUnit, made);
    return made;
  };
  await fresh("");
  const updating = await engine.load(
    updateGraph(model.parameters, optimiser, { noise: true, averaging: false, observed: canaryParameter }),
  );
  return {
    run: async (parts, included, seed) => {
      const settings = settingsOf(plan, seed);
      const accumulator = await accumulatorFor(parts.clipsEachUnit);
      await fresh(seed);
      await accumulator.renew();
      const places = included.flatMap((isIn, k) => (isIn ? [patientCount + k] : []));
      const units = [...Array(patientCount).keys(), ...Array(parts.copies).fill(places).flat()] as number[];
      const counters = { nonFinite: 0, clipped: 0, seen: 0 };
      const released: Float32Array[] = [];
      for (let step = 0; step < plan.steps; step++) {
        const drawn = parts.draw(settings, units.length, step).map((i) => units[i]!);
        await accumulator.sum(drawn, step, counters);
        await parts.between?.(engine, names, plan, drawn.length);
        const divisor = parts.divisor(plan, drawn.length);
        const scalars = updateScalars(optimiser, { step, learningRate: optimiser.learningRate, expectedBatchSize: divisor, grid }); // prettier-ignore
        const { observed } = await updating.run({ ...parts.noise(plan, seed, step, model), ...scalars });
        await accumulator.renew();
        released.push((observed!.data as Float32Array).map((v) => (v * plan.expectedBatchSize!) / divisor));
      }
      return released;
    },
    runProduct: async (included, seed) => {
      const released: Float32Array[] = [];
      await train({
        engine,
        modelFor,
        data: planted(included),
        settings: settingsOf(plan, seed),
        onNoisySum: (sum) => released.push(sum),
      });
      return released;
    },
    [Symbol.asyncDispose]: async () => {
      for (const accumulator of accumulators.values()) await accumulator[Symbol.asyncDispose]();
      await updating[Symbol.asyncDispose]();
    },
  };
}
