import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reshape, sizeOf } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { activate, convolution, dense, groupNorm } from "../nn/layers.ts";
import { initialParameters, modelOf, type Model } from "../nn/model.ts";
import {
  clippingKinds,
  nextNorm,
  noisyCount,
  planPrivateTraining,
  sensitivityOf,
  type AdaptiveClipping,
  type Clipping,
  type DpPlan,
} from "../privacy/index.ts";
import { startEngine, type Engine } from "../runtime/index.ts";
import { startAccumulator, type Accumulator, type Counters } from "./accumulate.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { chooseViews, type TrainingData } from "./data.ts";
import type { GradientSum } from "./step.ts";
import { train, type TrainingSettings } from "./train.ts";
import { initialState } from "./update.ts";

const size = 6;
const pixels = size * size;
const sgd = { name: "sgd", learningRate: 0.1 } as const;

const network = (rows: number): Model =>
  modelOf(
    "small",
    { rows, channels: 1, imageSize: size, outputs: 1 },
    (image) => image,
    (scope, x) => {
      const y = activate("mish", groupNorm(scope.at("norm"), convolution(scope.at("conv"), x, 4, 3), 2));
      return dense(scope.at("head"), reshape(y, [rows, sizeOf(y.shape.slice(1))]), 1);
    },
  );

/** A linear model, whose gradient is as large as its pixels. */
const linear = (rows: number): Model =>
  modelOf(
    "linear",
    { rows, channels: 1, imageSize: size, outputs: 1 },
    (image) => image,
    (scope, x) => dense(scope.at("head"), reshape(x, [rows, pixels]), 1),
  );

/** Units with the given numbers of images, of normal noise. */
function dataOf(
  imagesOf: readonly number[],
  variants: TrainingData["variants"] = 1,
): TrainingData & { images: Float32Array } {
  const random = seededRandom("images");
  let next = 0;
  const units = imagesOf.map((count) => Array.from({ length: count }, () => next++));
  const images = Float32Array.from({ length: next * pixels }, () => random.gaussian());
  return {
    units,
    images,
    targets: Float32Array.from({ length: next }, () => random.integer(2)),
    known: new Float32Array(next).fill(1),
    outputs: 1,
    rowShape: [1, size, size],
    variants,
    // Variant 1 is the mirror image; a random one is shifted in brightness by its seed.
    load: (requests, out) => {
      requests.forEach(({ image, variant }, i) => {
        const own = images.slice(image * pixels, (image + 1) * pixels);
        if (variants === "random") own.forEach((v, k) => (own[k] = v + variant / 2 ** 32));
        out.set(variants === 2 && variant === 1 ? own.reverse() : own, i * pixels);
      });
      return Promise.resolve();
    },
  };
}

const clippingOf = (kind: Clipping["kind"], norm: number): Clipping =>
  planPrivateTraining({
    noiseMultiplier: 1,
    delta: 1e-5,
    sampling: { kind: "full" },
    publicCohortSize: 100,
    clipping: { kind, norm },
    steps: 1,
  }).clipping;

describe("clipped sums", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  interface Sums extends AsyncDisposable {
    /** The sum over some units as one vector, and what was counted. */
    readonly of: (units: readonly number[], step?: number) => Promise<{ sum: Float64Array; counters: Counters }>;
  }

  async function open(
    modelFor: (rows: number) => Model,
    data: TrainingData,
    how: GradientSum,
    { views = 2, tileUnits = 4 } = {},
  ): Promise<Sums> {
    const model = modelFor(views);
    const values = initialParameters(model, seededRandom("weights"));
    await engine.write(initialState(model.parameters, sgd, { averaging: false }, values));
    const accumulator: Accumulator = await startAccumulator({
      engines: [engine],
      modelFor,
      data,
      loss: { kind: "binary" },
      how,
      views,
      seed: "views",
      batchSize: tileUnits,
      tileUnits,
      measure: false,
    });
    return {
      of: async (units, step = 0) => {
        await accumulator.renew();
        const counters = { nonFinite: 0, clipped: 0, seen: 0 };
        await accumulator.sum(units, step, counters);
        const read = await engine.read(model.parameters.map((p) => `sum/${p.name}`));
        return { sum: Float64Array.from(Object.values(read).flatMap((t) => Array.from(t.data, Number))), counters };
      },
      [Symbol.asyncDispose]: () => accumulator[Symbol.asyncDispose](),
    };
  }
  const norm = (v: Float64Array): number => Math.hypot(...v);
  const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((v, i) => v - b[i]!);

  it.each(clippingKinds)("oneUnit_neverAddsMoreThanTheSensitivity, whatever its pixels hold: %s", async (kind) => {
    const data = dataOf([1]);
    const clipping = clippingOf(kind, 0.5);
    const bound = sensitivityOf(clipping, "add-or-remove-one");
    await using sums = await open(linear, data, { kind: "clipped", clipping }, { views: 1, tileUnits: 1 });
    const pixel = fc.oneof(
      { weight: 4, arbitrary: fc.double({ min: -3, max: 3, noNaN: true }) },
      { weight: 1, arbitrary: fc.constantFrom(0, 1e30, -1e30, 1e-30, 3e38, NaN, Infinity, -Infinity) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(pixel, { minLength: pixels, maxLength: pixels }),
        fc.constantFrom(1e-20, 1e-3, 1, 1e6, 1e15),
        async (values, scale) => {
          data.images.set(values.map((v) => v * scale));
          const { sum, counters } = await sums.of([0]);
          // Float32 rounding of the norm, the factor and the product: 1e-6 relative.
          expect(norm(sum)).toBeLessThanOrEqual(bound * (1 + 1e-6));
          // What is not finite is counted, and adds nothing at all.
          if (counters.nonFinite > 0) expect(norm(sum)).toBe(0);
          expect(counters.nonFinite + counters.seen).toBe(1);
        },
      ),
      { seed: 2026, numRuns: 60 },
    );
  });

  it.each(clippingKinds)(
    "removingAWholePatient_movesTheSumByAtMostTheSensitivity, of a patient with 61 images: %s",
    async (kind) => {
      const data = dataOf([3, 61, 1, 8, 2], 2);
      const clipping = clippingOf(kind, 0.05);
      const bound = sensitivityOf(clipping, "add-or-remove-one");
      // 128 views hold the 61 images and their mirror images; 8 a random part of them.
      for (const views of [8, 128]) {
        await using sums = await open(network, data, { kind: "clipped", clipping }, { views, tileUnits: 2 });
        const { sum: all, counters } = await sums.of([0, 1, 2, 3, 4]);
        expect(counters).toMatchObject({ seen: 5, clipped: 5 });
        for (let patient = 0; patient < 5; patient++) {
          const { sum } = await sums.of([0, 1, 2, 3, 4].filter((u) => u !== patient));
          // 1e-6 for float32 sums of five terms and in another order.
          expect(norm(minus(all, sum))).toBeLessThanOrEqual(bound * (1 + 1e-6) + 1e-7);
          expect(norm(minus(all, sum))).toBeGreaterThan(0.4 * bound);
        }
      }
    },
  );

  it.each([2, "random"] as const)(
    "viewsOfAUnit_areAveragedBeforeClipping [61 images, %s variants]",
    async (variants) => {
      const data = dataOf([61, 2], variants);
      const views = 8;
      // The same draw as the accumulator's, and the gradient of each view as a unit of its own.
      const { requests, weights } = chooseViews(data.units[0]!, variants, views, () =>
        seededRandom("views", "views", 3, 0),
      );
      expect(requests).toHaveLength(views);
      expect(new Set(requests.map((r) => `${r.image} ${r.variant}`)).size).toBe(views);
      const singles: TrainingData = {
        ...data,
        units: requests.map((_, i) => [i]),
        targets: Float32Array.from(requests, ({ image }) => data.targets[image]!),
        known: new Float32Array(views).fill(1),
        variants: 1,
        load: (wanted, out) => data.load(wanted.map(({ image }) => requests[image]!), out), // prettier-ignore
      };
      const average = new Float64Array(pixels + 1);
      {
        await using plain = await open(linear, singles, { kind: "plain" }, { views: 1, tileUnits: 1 });
        for (let v = 0; v < views; v++) {
          const { sum } = await plain.of([v]);
          sum.forEach((g, i) => (average[i]! += weights[v]! * g));
        }
      }
      // Unclipped it is the average; clipped, the average scaled down, which is not the average of clipped gradients.
      for (const clipNorm of [1e6, 0.01]) {
        const clipping = clippingOf("flat", clipNorm);
        await using sums = await open(linear, data, { kind: "clipped", clipping }, { views, tileUnits: 1 });
        const { sum } = await sums.of([0], 3);
        const factor = Math.min(1, clipNorm / norm(average));
        // Float32 averages of eight gradients: 1e-6 of the norm.
        expect(norm(minus(sum, average.map((g) => factor * g)))).toBeLessThan(2e-6 * factor * norm(average)); // prettier-ignore
      }
    },
  );
});

describe("adaptive training", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });
  const patients = 24;
  const planOf = (steps: number, clipNorm: number, noiseMultiplier = 0.5): DpPlan =>
    planPrivateTraining({
      noiseMultiplier,
      delta: 1e-5,
      sampling: { kind: "full" },
      publicCohortSize: patients,
      clipping: { kind: "adaptive", norm: clipNorm },
      steps,
      insecureSeed: true,
    });
  const settingsOf = (plan: DpPlan, learningRate = 0.05): TrainingSettings => ({
    batches: { kind: "private", plan },
    views: 2,
    loss: { kind: "binary" },
    optimiser: { name: "adam", learningRate },
    schedule: { kind: "constant" },
    averaging: 0.9,
    seed: "adaptive",
    reproducible: true,
  });
  const data = dataOf(Array.from({ length: patients }, (_, i) => 1 + (i % 3)));
  const common = { modelFor: network, data };

  /** Trains until `until` steps are done, and gives the checkpoint there. */
  async function stopAfter(settings: TrainingSettings, until: number): Promise<Checkpoint> {
    const abort = new AbortController();
    const found: Checkpoint[] = [];
    const stopped = train({
      ...common,
      engine,
      settings,
      signal: abort.signal,
      saveCheckpoint: (checkpoint) => Promise.resolve(void found.push(checkpoint)),
      onProgress: ({ step }) => {
        if (step === until) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    return found.at(-1)!;
  }

  it("resume_keepsTheNorm, and ends with the same weights", async () => {
    const settings = settingsOf(planOf(10, 5));
    const whole = await train({ ...common, engine, settings });
    const checkpoint = await stopAfter(settings, 6);
    expect(checkpoint.clipNorm).toBe(Math.fround(checkpoint.clipNorm!));
    expect(checkpoint.clipNorm).not.toBe(5);
    const resumed = await train({ ...common, engine, settings, resumeFrom: checkpoint });
    expect(resumed.parameters).toEqual(whole.parameters);
    expect(resumed.clippedShare).toBe(whole.clippedShare);
    // The norm is what makes the difference: forgotten, the weights are others.
    const { clipNorm: _forgotten, ...rest } = checkpoint;
    const forgetful = await train({ ...common, engine, settings, resumeFrom: rest });
    expect(forgetful.parameters).not.toEqual(whole.parameters);
  });

  it("theNorm_followsTheNoisyCountAlone", async () => {
    const plan = planOf(3, 1e6);
    const clipping = plan.clipping as AdaptiveClipping;
    // A norm far above every gradient: all 24 are within, less one half each is 12, and the noise is the seed's.
    let expected = clipping.norm;
    for (let step = 0; step < 2; step++) {
      using random = seededRandom("adaptive", "count", step);
      expected = nextNorm(clipping, expected, noisyCount(plan, clipping, 12, random), patients);
    }
    const checkpoint = await stopAfter(settingsOf(plan), 2);
    expect(checkpoint.clipNorm).toBe(expected);
  });

  it("theNoise_scalesWithTheNormInForce", async () => {
    // Images without labels have no gradient, so weights move by noise alone: with plain steps of rate 1 by noise / 24.
    const silent: TrainingData = { ...data, known: new Float32Array(data.known.length) };
    const plan = planOf(40, 1, 2);
    const settings = { ...settingsOf(plan), optimiser: { name: "sgd", learningRate: 1 } as const, averaging: null };
    const initial = Object.fromEntries(network(1).parameters.map((p) => [p.name, new Float32Array(sizeOf(p.value.shape))])); // prettier-ignore
    const { parameters } = await train({ modelFor: network, data: silent, engine, settings, initial });
    // Every norm is 0 and so within: the norm falls by about exp(-0.1) a step, from 1 to 0.02.
    const clipping = plan.clipping as AdaptiveClipping;
    let [norm, squares] = [1, 0];
    for (let step = 0; step < 40; step++) {
      squares += norm ** 2;
      using random = seededRandom("adaptive", "count", step);
      norm = nextNorm(clipping, norm, noisyCount(plan, clipping, 12, random), patients);
    }
    expect(norm).toBeLessThan(0.2);
    const multiplier = (2 ** -2 - (2 * clipping.countNoise) ** -2) ** -0.5;
    const moved = Object.values(parameters).flatMap((v) => [...v].map((x) => x * patients));
    const square = moved.reduce((total, v) => total + v * v, 0) / moved.length;
    // A mean square of n normal numbers is within 6.1 sqrt(2 / n) of its expectation but for 1e-9; the seed is fixed.
    expect(Math.abs(square / (multiplier ** 2 * squares) - 1)).toBeLessThan(6.1 * Math.sqrt(2 / moved.length));
    expect(6.1 * Math.sqrt(2 / moved.length)).toBeLessThan(0.9);
  });
});
