import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { reshape, relu } from "../graph/index.ts";
import { dense } from "../nn/layers.ts";
import { modelOf, type Model } from "../nn/model.ts";
import { planPrivateTraining, type DpPlan } from "../privacy/index.ts";
import { startEngine, type Engine } from "../runtime/index.ts";
import { canaryParameter, plantCanaries, scoreCanaries, tossCanaries, withCanaryParameter } from "./canaries.ts";
import type { TrainingData } from "./data.ts";
import { train, type TrainingSettings } from "./train.ts";

const clipNorm = 0.5;
const modelFor = (rows: number): Model =>
  modelOf(
    "tiny",
    { rows, channels: 1, imageSize: 3, outputs: 1 },
    (image) => image,
    (scope, x) => dense(scope.at("head"), relu(dense(scope.at("hidden"), reshape(x, [rows, 9]), 4)), 1),
  );

/** Ten patients of one or two images. */
function patients(): TrainingData {
  const random = seededRandom("patients");
  const units = Array.from({ length: 10 }, (_, p) => (p % 2 === 0 ? [p] : [p, 10 + p]));
  const images = Float32Array.from({ length: 20 * 9 }, () => random.gaussian());
  return {
    units,
    targets: Float32Array.from({ length: 20 }, () => random.integer(2)),
    known: new Float32Array(20).fill(1),
    outputs: 1,
    rowShape: [1, 3, 3],
    variants: 1,
    load: (requests, out) => {
      requests.forEach(({ image }, i) => out.set(images.subarray(image * 9, (image + 1) * 9), i * 9));
      return Promise.resolve();
    },
  };
}

const planOf = (other: { noiseMultiplier?: number; probability?: number; steps?: number } = {}): DpPlan =>
  planPrivateTraining({
    noiseMultiplier: other.noiseMultiplier ?? 0.1,
    delta: 1e-5,
    sampling: { kind: "poisson", probability: other.probability ?? 1 },
    expectedBatchSize: 12,
    clipping: { kind: "flat", norm: clipNorm },
    steps: other.steps ?? 3,
    insecureSeed: true,
  });

const settingsOf = (plan: DpPlan): TrainingSettings => ({
  batches: { kind: "private", plan },
  views: 2,
  loss: { kind: "binary" },
  optimiser: { name: "sgd", learningRate: 0.1 },
  schedule: { kind: "constant" },
  averaging: null,
  seed: "canaries",
  reproducible: true,
});

describe("gradient canaries", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });
  const observe = async (data: TrainingData, model: (rows: number) => Model, plan = planOf()) => {
    const sums: Float32Array[] = [];
    const settings = settingsOf(plan);
    const result = await train({
      engine,
      modelFor: model,
      data,
      settings,
      tileUnits: 4,
      onNoisySum: (s) => sums.push(s),
    });
    return { sums, result };
  };
  const included = [true, false, true, true, false, false, true];

  it("aCanary_addsTheClippingNormAtItsPlace_andNothingElsewhere", async () => {
    const model = (rows: number): Model => withCanaryParameter(modelFor(rows), included.length);
    const planted = { included, scale: 1000, parameter: canaryParameter };
    const none = { ...planted, included: included.map(() => false) };
    const [a, b] = [
      await observe(plantCanaries(patients(), planted), model),
      await observe(plantCanaries(patients(), none), model),
    ];
    expect(a.sums).toHaveLength(3);
    // The same seed gives the same noise, so the difference of the two runs is the canaries' own contribution.
    for (const [step, sum] of a.sums.entries())
      included.forEach((isIn, k) => expect(sum[k]! - b.sums[step]![k]!).toBeCloseTo(isIn ? clipNorm : 0, 6));
    // All noise is accounted for: 21 numbers of deviation 0.1 x 0.5; their mean square is within a factor 2.5 of its
    // expectation but for 1 in 1,000 (chi-square of 21).
    const noise = b.sums.flatMap((s) => [...s]);
    const meanSquare = noise.reduce((n, v) => n + v * v, 0) / noise.length / (0.1 * clipNorm) ** 2;
    expect(meanSquare).toBeGreaterThan(0.3);
    expect(meanSquare).toBeLessThan(2.5);
  });

  it("canariesInTheirOwnParameter_leaveTheModelsWeightsAlone", async () => {
    const model = (rows: number): Model => withCanaryParameter(modelFor(rows), included.length);
    const planted = plantCanaries(patients(), { included, scale: 1000, parameter: canaryParameter });
    const [a, b] = [await observe(planted, model), await observe(patients(), modelFor)];
    for (const [name, values] of Object.entries(b.result.parameters))
      // Tiles of 4 end at other patients, so sums are rounded in another order: float32.
      values.forEach((v, i) => expect(a.result.parameters[name]![i]).toBeCloseTo(v, 5));
    expect(a.result.nonFiniteUnits).toBe(0);
  });

  it("canariesInAModelsOwnWeights_goThroughItsPerUnitGradients", async () => {
    // hidden.weight [4, 9] is used by a product and by the canaries, in one backward pass.
    const planted = { included, scale: 1000, parameter: "hidden.weight" };
    const plan = planOf({ steps: 1 });
    const [a, b] = [
      await observe(plantCanaries(patients(), planted), modelFor, plan),
      await observe(plantCanaries(patients(), { ...planted, included: included.map(() => false) }), modelFor, plan),
    ];
    a.sums[0]!.forEach((v, k) => expect(v - b.sums[0]![k]!).toBeCloseTo(included[k] === true ? clipNorm : 0, 5));
  });

  it("aPlaceThatIsNotThere_isRefused", async () => {
    const planted = plantCanaries(patients(), { included, scale: 1000, parameter: "nowhere" });
    await expect(observe(planted, modelFor)).rejects.toMatchObject({ code: "LG-TRAIN-003" });
  });

  it("aCanary_isDrawnAsOftenAsThePlanSays", async () => {
    const model = (rows: number): Model => withCanaryParameter(modelFor(rows), 200);
    const planted = plantCanaries(patients(), { included: Array<boolean>(200).fill(true), scale: 1000, parameter: canaryParameter }); // prettier-ignore
    const { sums } = await observe(planted, model, planOf({ probability: 0.25, steps: 10 }));
    const drawn = sums.flatMap((s) => [...s]).filter((v) => v > clipNorm / 2).length;
    // 2,000 coins of probability 1/4, read through noise of a tenth of the norm: 500 with deviation 19.4, so within 80
    // but for 1 in 25,000.
    expect(Math.abs(drawn - 500)).toBeLessThan(80);
  });

  it("scores_areLogarithmsOfLikelihoodRatios", () => {
    const plan = planOf({ noiseMultiplier: 2, probability: 0.25 });
    const scores = new Float64Array([0, 1]);
    scoreCanaries(scores, new Float32Array([0.5, -1]), plan);
    const normal = (x: number, mean: number): number => Math.exp(-((x - mean) ** 2) / (2 * (2 * clipNorm) ** 2));
    // From the densities themselves: (1 - q) N(0, s) + q N(C, s) over N(0, s).
    const ratio = (x: number): number => 0.75 + (0.25 * normal(x, clipNorm)) / normal(x, 0);
    expect(scores[0]).toBeCloseTo(Math.log(ratio(0.5)), 12);
    expect(scores[1]).toBeCloseTo(1 + Math.log(ratio(-1)), 12);
    const always = new Float64Array(1);
    scoreCanaries(always, new Float32Array([0.75]), planOf({ noiseMultiplier: 2 }));
    // q = 1: (x / C - 1/2) / sigma^2
    expect(always[0]).toBeCloseTo((1.5 - 0.5) / 4, 12);
  });

  it("coins_areFair", () => {
    const heads = tossCanaries(10_000, seededRandom("coins")).filter(Boolean).length;
    // Binomial(10,000, 1/2): within 4 deviations of 50 but for 1 in 15,000; the seed is fixed.
    expect(Math.abs(heads - 5000)).toBeLessThan(200);
  });
});
