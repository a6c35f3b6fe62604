import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { reshape, sizeOf } from "../graph/index.ts";
import { dense, activate, groupNorm, convolution } from "../nn/layers.ts";
import { modelOf, type Model } from "../nn/model.ts";
import { planPrivateTraining, type DpPlan } from "../privacy/index.ts";
import { startEngine, type Engine } from "../runtime/index.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { TrainingData } from "./data.ts";
import { train, type TrainingOptions, type TrainingSettings } from "./train.ts";

const size = 6;
const outputs = 2;

/** A convolution, a normalisation and a dense layer on 6 x 6 images. */
const modelFor = (rows: number): Model =>
  modelOf(
    "tiny",
    { rows, channels: 1, imageSize: size, outputs },
    (image) => image,
    (scope, x) => {
      const y = activate("mish", groupNorm(scope.at("norm"), convolution(scope.at("conv"), x, 4, 3), 2));
      return dense(scope.at("head"), reshape(y, [rows, sizeOf(y.shape.slice(1))]), outputs);
    },
  );

/** Patients with one to three images each; the second target is missing for a third of the images. */
function cohort(patients: number): TrainingData & { readonly images: Float32Array } {
  const random = seededRandom("cohort");
  let next = 0;
  const units = Array.from({ length: patients }, () => Array.from({ length: 1 + random.integer(3) }, () => next++));
  const images = Float32Array.from({ length: next * size * size }, () => random.gaussian());
  return {
    units,
    images,
    targets: Float32Array.from({ length: next * outputs }, () => random.integer(2)),
    known: Float32Array.from({ length: next * outputs }, (_, i) => (i % 2 === 1 && i % 3 === 0 ? 0 : 1)),
    outputs,
    rowShape: [1, size, size],
    variants: 1,
    load: (requests, out) => {
      requests.forEach(({ image }, i) =>
        out.set(images.subarray(image * size * size, (image + 1) * size * size), i * size * size),
      );
      return Promise.resolve();
    },
  };
}

const planOf = (options: { steps?: number; probability?: number; noiseMultiplier?: number } = {}): DpPlan =>
  planPrivateTraining({
    noiseMultiplier: options.noiseMultiplier ?? 1,
    delta: 1e-5,
    sampling: { kind: "poisson", probability: options.probability ?? 0.5 },
    expectedBatchSize: 12,
    clipping: { kind: "flat", norm: 0.5 },
    steps: options.steps ?? 5,
    insecureSeed: true,
  });

const settingsOf = (plan: DpPlan, other: Partial<TrainingSettings> = {}): TrainingSettings => ({
  batches: { kind: "private", plan },
  views: 2,
  loss: { kind: "binary" },
  optimiser: { name: "adam", learningRate: 0.01 },
  schedule: { kind: "constant" },
  averaging: 0.9,
  seed: "test",
  reproducible: true,
  ...other,
});

describe("train", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });
  const run = (options: Partial<TrainingOptions> & Pick<TrainingOptions, "settings">): ReturnType<typeof train> =>
    train({ engine, modelFor, data: cohort(24), ...options });

  /** Largest difference of any parameter, relative to the largest parameter. */
  const distance = (a: Record<string, Float32Array>, b: Record<string, Float32Array>): number => {
    let [difference, largest] = [0, 0];
    for (const name of Object.keys(a))
      a[name]!.forEach((v, i) => {
        difference = Math.max(difference, Math.abs(v - b[name]![i]!));
        largest = Math.max(largest, Math.abs(v));
      });
    return difference / largest;
  };

  it("microBatching_changesNothingButRounding", async () => {
    // 24 patients with q = 1/2: about 12 a step, so tiles of 24, 4 and 1 make 1, 3 and 12 micro-batches. The optimiser is
    // plain SGD: Adam divides by the root of squares and would magnify rounding where a gradient is near zero.
    const settings = settingsOf(planOf(), { optimiser: { name: "sgd", learningRate: 0.1 } });
    const whole = await run({ settings, tileUnits: 24 });
    for (const tileUnits of [4, 1]) {
      const parts = await run({ settings, tileUnits });
      // float32 sums of a dozen terms in another order: a few units in the last place (6e-8 each).
      expect(distance(whole.parameters, parts.parameters)).toBeLessThan(2e-6);
    }
  });

  it("severalEngines_giveTheWeightsOfOne_alsoWithASickUnitAndAfterAResume", async () => {
    // Two convolutions, so that a flipped kernel is prepared once a step on every engine.
    const deeper = (rows: number): Model =>
      modelOf(
        "deeper",
        { rows, channels: 1, imageSize: size, outputs },
        (image) => image,
        (scope, x) => {
          const y = activate("relu", convolution(scope.at("conv1"), x, 4, 3, { padding: 1 }));
          const z = activate("relu", convolution(scope.at("conv2"), y, 4, 3, { padding: 1 }));
          return dense(scope.at("head"), reshape(z, [rows, sizeOf(z.shape.slice(1))]), outputs);
        },
      );
    const data = cohort(24);
    data.images.fill(NaN, data.units[3]![0]! * size * size, data.units[3]![0]! * size * size + 5);
    const settings = settingsOf(planOf({ steps: 6, probability: 0.8 }), {
      optimiser: { name: "sgd", learningRate: 0.1, momentum: 0.9 },
    });
    const common = { settings, data, modelFor: deeper, tileUnits: 3 };
    const alone = await run(common);
    await using helper = await startEngine({ threads: 1 });
    const helpers = [helper];
    const checkpoints: Checkpoint[] = [];
    const abort = new AbortController();
    const stopped = run({
      ...common,
      helpers,
      signal: abort.signal,
      saveCheckpoint: (c) => Promise.resolve(void checkpoints.push(c)),
      onProgress: ({ step }) => {
        if (step === 3) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    const resumed = await run({ ...common, helpers, resumeFrom: checkpoints.at(-1)! });
    const together = await run({ ...common, helpers });
    expect(distance(resumed.parameters, together.parameters)).toBe(0);
    expect(together.nonFiniteUnits).toBe(alone.nonFiniteUnits);
    expect(alone.nonFiniteUnits).toBeGreaterThan(0);
    // Sums of two engines are added in another order: float32 rounding over six steps.
    expect(distance(alone.parameters, together.parameters)).toBeLessThan(1e-5);
  });

  it("emptyBatch_addsOnlyNoise", async () => {
    // With q = 1e-9 no patient is ever drawn; the step must still be taken, with noise of the planned size.
    const settings = settingsOf(planOf({ steps: 1, probability: 1e-9, noiseMultiplier: 2 }), {
      optimiser: { name: "sgd", learningRate: 1 },
      averaging: null,
    });
    const initial = Object.fromEntries(
      modelFor(1).parameters.map((p) => [p.name, new Float32Array(sizeOf(p.value.shape))]),
    );
    const { parameters } = await run({ settings, initial });
    const moves = Object.values(parameters).flatMap((values) => [...values].map((v) => v * 12));
    const deviation = Math.sqrt(moves.reduce((s, v) => s + v * v, 0) / moves.length);
    // 122 normal numbers of deviation 2 x 0.5 = 1: their root mean square is within 25 % but for 1 in 10,000 (chi-square).
    expect(moves).toHaveLength(4 * 9 + 4 + 4 + 4 + 64 * 2 + 2);
    expect(deviation).toBeGreaterThan(0.75);
    expect(deviation).toBeLessThan(1.25);
  });

  it("unitWithNaNPixels_changesNothingButACounter", async () => {
    const sick = cohort(24);
    // The same data without that unit's contribution: the unit is there but has no label, so its gradient is zero.
    const without = cohort(24);
    for (const image of sick.units[3]!) {
      sick.images.fill(NaN, image * size * size, image * size * size + 5);
      without.known.fill(0, image * outputs, (image + 1) * outputs);
    }
    const settings = settingsOf(planOf({ probability: 1 }), { optimiser: { name: "sgd", learningRate: 0.1 } });
    const [a, b] = [
      await run({ settings, data: sick, tileUnits: 8 }),
      await run({ settings, data: without, tileUnits: 8 }),
    ];
    expect(a.nonFiniteUnits).toBe(5); // once in each of five steps
    expect(b.nonFiniteUnits).toBe(0);
    expect(distance(a.parameters, b.parameters)).toBe(0);
  });

  it("resume_endsWithTheSameWeightsAsAnUninterruptedRun", async () => {
    const settings = settingsOf(planOf({ steps: 12 }));
    const whole = await run({ settings });
    const checkpoints: Checkpoint[] = [];
    const abort = new AbortController();
    const stopped = run({
      settings,
      signal: abort.signal,
      saveCheckpoint: (c) => Promise.resolve(void checkpoints.push(c)),
      onProgress: ({ step }) => {
        if (step === 7) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    expect(checkpoints.at(-1)!.step).toBe(7);
    const resumed = await run({ settings, resumeFrom: checkpoints.at(-1)! });
    expect(distance(whole.parameters, resumed.parameters)).toBe(0);
    expect(resumed.epsilon).toEqual(whole.epsilon);
  });

  describe("images beside the pool", () => {
    const zeros = Object.fromEntries(
      modelFor(1).parameters.map((p) => [p.name, new Float32Array(sizeOf(p.value.shape)).fill(0.01)]),
    );
    // One image each, so that there is no choice of views.
    const drawn = cohort(10);
    const nobody = { ...drawn, units: drawn.units.map(([first]) => [first!]) };
    /** One step of plain gradient descent in which no patient is drawn; its noise is the same each time. */
    const step = (weight: number, clipNorm: number, batchSize = 10) => {
      const plan = planPrivateTraining({
        ...{ noiseMultiplier: 0.01, delta: 1e-5, steps: 1, insecureSeed: true, expectedBatchSize: 12 },
        sampling: { kind: "poisson", probability: 1e-9 },
        clipping: { kind: "flat", norm: clipNorm },
      });
      const settings = settingsOf(plan, {
        optimiser: { name: "sgd", learningRate: 1 },
        averaging: null,
        beside: { weight, batchSize },
      });
      return run({ settings, beside: nobody, initial: zeros });
    };
    const moves = (parameters: Record<string, Float32Array>, from: Record<string, Float32Array>): Float64Array =>
      Float64Array.from(
        Object.entries(parameters).flatMap(([name, values]) => [...values].map((v, i) => v - from[name]![i]!)),
      );
    /** What the images beside the pool add to that step. */
    const added = async (...[weight, clipNorm, batchSize]: Parameters<typeof step>): Promise<Float64Array> =>
      moves((await step(weight, clipNorm, batchSize)).parameters, (await step(0, clipNorm, batchSize)).parameters);
    const norm = (v: Float64Array): number => Math.hypot(...v);

    it("addTheirExactMeanGradient_withoutNoise, timesTheirWeight", async () => {
      const open = settingsOf(planOf(), {
        batches: { kind: "shuffled", batchSize: 10, epochs: 1 },
        optimiser: { name: "sgd", learningRate: 1 },
        averaging: null,
      });
      // An open step over the same ten units moves by their mean gradient; a norm of 100 clips none of them.
      const expected = moves((await run({ settings: open, data: nobody, initial: zeros })).parameters, zeros);
      for (const weight of [1, 0.25]) {
        const found = await added(weight, 100);
        // float32 sums in another order, and differences of numbers near 0.1.
        found.forEach((v, i) => expect(v).toBeCloseTo(weight * expected[i]!, 5));
        expect(norm(found)).toBeGreaterThan(0.01);
      }
    });

    it("areClippedAsAPatientIs", async () => {
      expect(norm(await added(1, 0.001, 1))).toBeLessThan(0.001 * 1.01);
      expect(norm(await added(1, 0.001, 1))).toBeGreaterThan(0.001 * 0.99);
    });

    it("resume_endsWithTheSameWeights", async () => {
      const settings = settingsOf(planOf({ steps: 6 }), { beside: { weight: 0.5, batchSize: 4 } });
      const whole = await run({ settings, beside: nobody });
      const without = await run({ settings: settingsOf(planOf({ steps: 6 })) });
      expect(distance(whole.parameters, without.parameters)).toBeGreaterThan(1e-3);
      const checkpoints: Checkpoint[] = [];
      const abort = new AbortController();
      const stopped = run({
        settings,
        beside: nobody,
        signal: abort.signal,
        saveCheckpoint: (c) => Promise.resolve(void checkpoints.push(c)),
        onProgress: ({ step: at }) => {
          if (at === 3) abort.abort();
        },
      });
      await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
      const resumed = await run({ settings, beside: nobody, resumeFrom: checkpoints.at(-1)! });
      expect(distance(whole.parameters, resumed.parameters)).toBe(0);
    });
  });

  it("withoutTheMark_aSeedDoesNotReachTheNoise", async () => {
    const settings = settingsOf({ ...planOf({ steps: 1 }), insecureSeed: false });
    // Sampling and noise come from the cryptographic generator, so two runs with one seed differ.
    const [a, b] = [await run({ settings }), await run({ settings })];
    expect(distance(a.parameters, b.parameters)).toBeGreaterThan(0);
  });

  it("openTraining_lowersTheLoss", async () => {
    const losses: number[] = [];
    const data = cohort(24);
    // The first target becomes a function of the image: its mean is positive.
    for (let image = 0; image < data.targets.length / outputs; image++) {
      const pixels = data.images.subarray(image * size * size, (image + 1) * size * size);
      data.targets[image * outputs] = pixels.reduce((s, v) => s + v, 0) > 0 ? 1 : 0;
      data.known[image * outputs + 1] = 0;
    }
    const settings = settingsOf(planOf(), {
      batches: { kind: "shuffled", batchSize: 8, epochs: 40 },
      optimiser: { name: "adam", learningRate: 0.02 },
    });
    const { clippedShare, epsilon } = await run({ settings, data, onProgress: ({ loss }) => losses.push(loss!) });
    const mean = (values: number[]): number => values.reduce((s, v) => s + v, 0) / values.length;
    expect(mean(losses.slice(-6))).toBeLessThan(0.5 * mean(losses.slice(0, 6)));
    expect([clippedShare, epsilon]).toEqual([null, null]);
  });

  it("divergence_isReportedWithARemedy", async () => {
    const settings = settingsOf(planOf(), { batches: { kind: "shuffled", batchSize: 8, epochs: 2 } });
    const broken = Object.fromEntries(
      modelFor(1).parameters.map((p) => [p.name, new Float32Array(sizeOf(p.value.shape)).fill(NaN)]),
    );
    await expect(run({ settings, initial: broken })).rejects.toMatchObject({ code: "LG-TRAIN-001" });
  });
});
