import { LeadglassError } from "../errors.ts";
import { seededRandom, secureRandom, type RandomSource } from "../math/random.ts";
import { sizeOf } from "../graph/index.ts";
import { initialParameters, type Model, type Parameter } from "../nn/model.ts";
import {
  gaussianNoisePieces,
  nextNorm,
  type NoisePiece,
  noiseScale,
  noisyCount,
  sampleUnits,
  shuffledBatch,
  spent,
  type DpPlan,
  type EpsilonInterval,
  type NoiseScale,
} from "../privacy/index.ts";
import type { Engine, HostTensor } from "../runtime/index.ts";
import { startAccumulator } from "./accumulate.ts";
import { startBeside, type BesideSettings } from "./beside.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { TrainingData } from "./data.ts";
import type { Loss } from "./losses.ts";
import type { OptimiserSettings } from "./optimisers.ts";
import { learningRateAt, type Schedule } from "./schedules.ts";
import type { GradientSum } from "./step.ts";
import { initialState, loadUpdate, mostOfPiece, stateShapes, updateScalars } from "./update.ts";

/** How units come into batches: as a privacy plan says, or shuffled in epochs. */
export type Batches =
  | { readonly kind: "private"; readonly plan: DpPlan }
  | { readonly kind: "shuffled"; readonly batchSize: number; readonly epochs: number };

/** All that decides what a training does; it is stored with the run. */
export interface TrainingSettings {
  readonly batches: Batches;
  readonly views: number;
  readonly loss: Loss;
  readonly optimiser: OptimiserSettings;
  readonly schedule: Schedule;
  /** Decay of the exponential average of weights that is kept as the result; null keeps the last weights. */
  readonly averaging: number | null;
  /** Seed of initialisation, order and views; of noise and sampling too where the plan is marked insecureSeed. */
  readonly seed: string;
  /** True where the run is to be repeated exactly: the tile is then taken from sizes, not from measurements. */
  readonly reproducible: boolean;
  /** How much images that are nobody's count beside the pool; none unless given. */
  readonly beside?: BesideSettings;
}

export interface TrainingProgress {
  readonly step: number;
  readonly steps: number;
  /** Mean loss of the step's units. Private: it is shown to the data owner only. */
  readonly loss: number | null;
  readonly unitsPerSecond: number;
}

export interface TrainingOptions {
  readonly engine: Engine;
  /** Further engines that share the tiles of every step. */
  readonly helpers?: readonly Engine[];
  /** Makes the model for a number of rows. */
  readonly modelFor: (rows: number) => Model;
  readonly data: TrainingData;
  /** Images that are nobody's, such as synthetic ones, of which every step takes an exact gradient: with `settings.beside`. */
  readonly beside?: TrainingData;
  readonly settings: TrainingSettings;
  /** Parameters to start from, by name; those that are not given start fresh. */
  readonly initial?: Readonly<Record<string, Float32Array>>;
  /** Also return the parameters after so many equal parts of the steps, the last being the end; 1 unless given. */
  readonly states?: number;
  readonly resumeFrom?: Checkpoint;
  /** Called with a checkpoint at least every `checkpointSeconds`, and when the run is cancelled. */
  readonly saveCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  readonly checkpointSeconds?: number;
  /** Units of a tile, for tests; measured otherwise. It changes nothing but the rounding of sums. */
  readonly tileUnits?: number;
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Called with what the owner of the data should know of how the run is made. */
  readonly onNote?: (line: string) => void;
  /** For audits with canaries: the noisy sum of each step, before division, at the parameter that holds their places. */
  readonly onNoisySum?: (sum: Float32Array) => void;
  readonly signal?: AbortSignal;
}

export interface TrainingResult {
  /** The parameters to use, by name: averaged where averaging is on. */
  readonly parameters: Record<string, Float32Array>;
  /** The parameters after each part of the steps; the last are `parameters`. */
  readonly states: readonly { readonly step: number; readonly parameters: Record<string, Float32Array> }[];
  readonly steps: number;
  /** What was spent, where the run is private. */
  readonly epsilon: EpsilonInterval | null;
  /** Units whose gradient was not finite and was left out, over all steps. */
  readonly nonFiniteUnits: number;
  /** Share of units whose gradient was clipped; private, for the data owner. */
  readonly clippedShare: number | null;
  readonly tileUnits: number;
}

/** Noise that is larger by more than this, relatively, because it is rounded, is worth a note. */
const mentionedInflation = 0.05;

/** Steps of a training. */
export function stepsOf(batches: Batches, units: number): number {
  if (batches.kind === "private") return batches.plan.steps;
  return batches.epochs * Math.max(1, Math.ceil(units / batches.batchSize));
}

/**
 * Trains a model. A private step draws units as the plan says, sums their clipped gradients tile by tile, adds the plan's
 * noise once and divides by the plan's public batch size; an empty draw is a step of noise alone. A unit whose gradient is
 * not finite is left out and counted.
 * Throws LG-RUNTIME-004 when cancelled, after saving a checkpoint.
 */
export async function train(options: TrainingOptions): Promise<TrainingResult> {
  const { engine, modelFor, data, settings, resumeFrom, signal } = options;
  const { batches, views } = settings;
  const plan = batches.kind === "private" ? batches.plan : undefined;
  const steps = stepsOf(batches, data.units.length);
  const model = modelFor(views);
  const names = model.parameters.map((p) => p.name);

  const averaging = settings.averaging !== null;
  const updateOptions = {
    noise: plan !== undefined,
    averaging,
    exact: options.beside !== undefined,
    ...(options.onNoisySum && data.canaries ? { observed: data.canaries.parameter } : {}),
  };
  const shapes = stateShapes(model.parameters, settings.optimiser, { averaging });
  const kept = Object.keys(shapes).filter((name) => !name.startsWith("sum/"));
  /** What is kept of earlier states, by name: "earlier/STEP/PARAMETER". */
  const earlier: Record<string, HostTensor> = {};
  const state: Record<string, HostTensor> = {};
  for (const [name, tensor] of Object.entries(resumeFrom ? copied(resumeFrom.state) : freshState(options, model)))
    (name.startsWith("earlier/") ? earlier : state)[name] = tensor;
  for (const name of names)
    state[`sum/${name}`] = { data: new Float32Array(sizeOf(shapes[name]!)), shape: shapes[name]! };
  await engine.write(state);
  await using updating = await loadUpdate(engine, model.parameters, settings.optimiser, updateOptions);
  const how: GradientSum = plan ? { kind: "clipped", clipping: plan.clipping } : { kind: "plain" };
  await using beside = options.beside
    ? await startBeside({
        ...{ engine, modelFor, how, views },
        ...{ data: options.beside, settings: settings.beside!, loss: settings.loss, seed: settings.seed },
      })
    : undefined;
  await using accumulator = await startAccumulator({
    engines: [engine, ...(options.helpers ?? [])],
    modelFor,
    data,
    loss: settings.loss,
    how,
    views,
    seed: settings.seed,
    batchSize: batches.kind === "private" ? Math.ceil(publicBatchSize(batches.plan)) : batches.batchSize,
    tileUnits: resumeFrom?.tileUnits ?? options.tileUnits,
    // A run that is to be repeated, or one too short to be worth it, takes its tile from sizes alone.
    measure: !settings.reproducible && steps >= 8,
  });

  const noiseOf = (norm: number | undefined): NoiseScale | undefined =>
    plan && noiseScale(plan, names.reduce((total, name) => total + sizeOf(shapes[name]!), 0), norm); // prettier-ignore
  /** The clipping norm in force; it moves where the clipping is adaptive. */
  let clipNorm = resumeFrom?.clipNorm ?? plan?.clipping.norm;
  const { inflation } = noiseOf(clipNorm) ?? { inflation: 0 };
  if (inflation > mentionedInflation)
    options.onNote?.(
      `rounding sums and noise to a grid takes ${(100 * inflation).toFixed(1)} % more noise: this model has many parameters for its noise`,
    );

  const counters = { nonFinite: 0, clipped: 0, seen: 0, ...resumeFrom?.counters };
  const checkpoint = async (step: number): Promise<void> =>
    options.saveCheckpoint?.({
      step,
      tileUnits: accumulator.units,
      settings: JSON.stringify(settings),
      counters,
      ...(plan?.clipping.kind === "adaptive" ? { clipNorm: clipNorm! } : {}),
      state: { ...(await engine.read(kept)), ...earlier },
    });
  const prefix = averaging ? "average/" : "";
  const parametersNow = async (): Promise<Record<string, HostTensor>> => {
    const read = await engine.read(names.map((n) => `${prefix}${n}`));
    return Object.fromEntries(names.map((n) => [n, read[`${prefix}${n}`]!]));
  };
  const wanted = statesAt(steps, options.states ?? 1);
  let saved = performance.now();
  let done = resumeFrom?.step ?? 0;
  const started = performance.now();
  let processed = 0;
  while (done < steps) {
    if (signal?.aborted) {
      await checkpoint(done);
      throw new LeadglassError("LG-RUNTIME-004", `training was cancelled after ${done} of ${steps} steps`, {
        hint: "Run the same command with --resume to go on.",
      });
    }
    const units = drawUnits(settings, data.units.length, done);
    const { loss, withinLessHalf } = await accumulator.sum(units, done, counters, clipNorm);
    await beside?.sum(done, clipNorm);
    // Drawn piece by piece while the update runs: nowhere is there the noise of a whole step.
    const noise = plan && drawNoise(plan, settings.seed, done, model, clipNorm);
    const scale = noiseOf(clipNorm);
    const scalars = updateScalars(settings.optimiser, {
      step: done,
      learningRate: learningRateAt(settings.schedule, done, steps, settings.optimiser.learningRate),
      expectedBatchSize: plan ? publicBatchSize(plan) : units.length,
      ...(settings.averaging === null ? {} : { averageDecay: settings.averaging }),
      ...(scale ? { grid: scale.grid } : {}),
    });
    if (plan) clipNorm = followNorm(plan, settings.seed, done, clipNorm!, withinLessHalf);
    const { observed } = await updating.run(scalars, noise);
    if (observed) options.onNoisySum?.(observed.data as Float32Array);
    await accumulator.renew();
    done++;
    processed += units.length;
    if (done < steps && wanted.includes(done))
      for (const [name, tensor] of Object.entries(copied(await parametersNow())))
        earlier[`earlier/${done}/${name}`] = tensor;
    options.onProgress?.({
      step: done,
      steps,
      loss,
      unitsPerSecond: (1000 * processed) / (performance.now() - started),
    });
    if (done < steps && performance.now() - saved > 1000 * (options.checkpointSeconds ?? 30)) {
      await checkpoint(done);
      saved = performance.now();
    }
  }
  const floats = (tensors: (name: string) => HostTensor): Record<string, Float32Array> =>
    Object.fromEntries(names.map((n) => [n, tensors(n).data as Float32Array]));
  const final = await parametersNow();
  const parameters = floats((n) => final[n]!);
  return {
    parameters,
    states: wanted.map((step) => ({
      step,
      parameters: step === steps ? parameters : floats((n) => earlier[`earlier/${step}/${n}`]!),
    })),
    steps,
    epsilon: plan ? spent(plan, steps) : null,
    nonFiniteUnits: counters.nonFinite,
    clippedShare: plan && counters.seen > 0 ? counters.clipped / counters.seen : null,
    tileUnits: accumulator.units,
  };
}

/** The steps after which so many equal parts of a training are done; fewer where there are fewer steps. */
const statesAt = (steps: number, parts: number): number[] => [
  ...new Set(Array.from({ length: parts }, (_, i) => Math.max(1, Math.round((steps * (i + 1)) / parts)))),
];

/** The units of one step. */
export function drawUnits({ batches, seed }: TrainingSettings, units: number, step: number): readonly number[] {
  if (batches.kind === "private") {
    using random = privateRandom(batches.plan, seed, "sampling", step);
    return Array.from(sampleUnits(batches.plan, units, random, { step, orderSeed: seed }));
  }
  return shuffledBatch(units, batches.batchSize, seed, step);
}

/** Coins and noise of a private run: from the cryptographic generator, unless the run is openly marked otherwise. */
const privateRandom = (plan: DpPlan, seed: string, purpose: string, step: number): RandomSource =>
  plan.insecureSeed ? seededRandom(seed, purpose, step) : secureRandom();

/** The clipping norm of the next step: the same, unless it follows a noisy count of the units within it. */
function followNorm(plan: DpPlan, seed: string, step: number, norm: number, withinLessHalf: number): number {
  const { clipping } = plan;
  if (clipping.kind !== "adaptive") return norm;
  using random = privateRandom(plan, seed, "count", step);
  return nextNorm(clipping, norm, noisyCount(plan, clipping, withinLessHalf, random), publicBatchSize(plan));
}

/** The noise of one step, piece by piece, as the update takes it; `norm` is the clipping norm in force. */
export function* drawNoise(
  plan: DpPlan,
  seed: string,
  step: number,
  model: { readonly parameters: readonly Parameter[] },
  norm = plan.clipping.norm,
): Generator<NoisePiece, void> {
  using random = privateRandom(plan, seed, "noise", step);
  const sizes = Object.fromEntries(model.parameters.map((p) => [p.name, sizeOf(p.value.shape)]));
  yield* gaussianNoisePieces(plan, sizes, random, { norm, most: mostOfPiece });
}

function publicBatchSize(plan: DpPlan): number {
  if (plan.expectedBatchSize === null)
    throw new LeadglassError("LG-BUG-001", "a private training needs a plan with a public expected batch size");
  return plan.expectedBatchSize;
}

const copied = (state: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> =>
  Object.fromEntries(Object.entries(state).map(([name, { data, shape }]) => [name, { data: data.slice(), shape }]));

function freshState({ settings, initial }: TrainingOptions, model: Model): Record<string, HostTensor> {
  const fresh = initialParameters(model, seededRandom(settings.seed, "initial"));
  const values = { ...fresh, ...initial };
  return initialState(model.parameters, settings.optimiser, { averaging: settings.averaging !== null }, values);
}
