import { LeadglassError } from "../errors.ts";
import { sizeOf, type Graph } from "../graph/index.ts";
import { seededRandom, type RandomSource } from "../math/random.ts";
import { initialParameters, type GanShape, type Parameter } from "../nn/index.ts";
import { noiseScale, spent, type DpPlan, type EpsilonInterval } from "../privacy/index.ts";
import type { Engine, Feeds, HostTensor, Program } from "../runtime/index.ts";
import { chooseViews, type RowRequest } from "../training/data.ts";
import { learningRateAt } from "../training/schedules.ts";
import { leastWorkTile } from "../training/tile.ts";
import { drawNoise, drawUnits, stepsOf } from "../training/train.ts";
import type { Checkpoint } from "../training/checkpoint.ts";
import { initialState, loadUpdate, stateShapes, updateScalars } from "../training/update.ts";
import { drawDistortion } from "./distortion.ts";
import { healthWatch } from "./health.ts";
import { averageSampleGraph, drawLatents, oneHot } from "./sampling.ts";
import { ganNamed, type GanSettings } from "./settings.ts";
import { fakeGraph, generatorGraph, realGraph, type GanStepOptions } from "./steps.ts";

/** The images that a generator learns from. */
export interface GanData {
  /** The images of every unit. */
  readonly units: readonly (readonly number[])[];
  /** The class of each image. */
  readonly classOf: (image: number) => number;
  /** Fills `out` [requests, 1, size, size] with pixels in [0, 1]. */
  readonly load: (requests: readonly RowRequest[], out: Float32Array) => Promise<void>;
}

export interface GanProgress {
  readonly step: number;
  readonly steps: number;
  /** Mean loss at real and at generated images; that at real ones is for the data's owner. */
  readonly discriminator: number;
  /** Null before its first step. */
  readonly generator: number | null;
}

export interface GanTrainingOptions {
  readonly engine: Engine;
  readonly model: string;
  readonly data: GanData;
  readonly settings: GanSettings;
  readonly resumeFrom?: Checkpoint;
  readonly saveCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  readonly checkpointSeconds?: number;
  readonly onProgress?: (progress: GanProgress) => void;
  /** Given a sheet of generated images [count, 1, size, size], by class, about `sheets` times in the run. */
  readonly onSamples?: (step: number, images: Float32Array) => Promise<void>;
  readonly sheets?: number;
  readonly signal?: AbortSignal;
  /** Stops after so many steps in this call, with a checkpoint; for tests of resuming. */
  readonly stopAfter?: number;
}

export interface GanTrainingResult {
  /** The generator's parameters, averaged where averaging is on, and the moments of its batch normalisations. */
  readonly weights: Record<string, Float32Array>;
  readonly shapes: Record<string, readonly number[]>;
  readonly steps: number;
  readonly epsilon: EpsilonInterval | null;
  /** Units whose gradient was not finite and was left out, over all steps of a private training. */
  readonly nonFiniteUnits: number;
}

/** Images of a sheet; two rows of eight for two classes. */
export const sheetRows = 16;

/**
 * Trains a generator against a discriminator. In every step the discriminator learns from real images (drawn, clipped and
 * given noise as the plan says, where there is one) and from generated ones (exactly); in every `discriminatorSteps`th the
 * generator follows. All draws are functions of seed and step, except those of a private plan that is not marked
 * insecureSeed; a run that is resumed ends as if it had never stopped.
 * Throws LG-RUNTIME-004 when cancelled, after a checkpoint, and LG-TRAIN-001 where the training has diverged.
 */
export async function trainGan(options: GanTrainingOptions): Promise<GanTrainingResult> {
  const { engine, data, settings, resumeFrom, signal } = options;
  const { gan, batches, views, seed } = settings;
  const architecture = ganNamed(options.model);
  const plan = batches.kind === "private" ? batches.plan : undefined;
  const steps = stepsOf(batches, data.units.length);
  const fakeShape: GanShape = { rows: gan.fakes, classes: gan.classes, imageSize: gan.imageSize };
  const generator = architecture.generator(fakeShape);
  const discriminator = architecture.discriminator(fakeShape);
  const stepOptions: GanStepOptions = {
    loss: gan.lossName,
    distortion: gan.distortion !== null,
    instanceNoise: gan.instanceNoise > 0,
  };
  const averaging = settings.averaging !== null;
  const parts = {
    discriminator: { parameters: discriminator.parameters, optimiser: settings.optimiser, averaging: false },
    generator: { parameters: generator.parameters, optimiser: gan.generatorOptimiser, averaging },
  };

  const shapes = Object.assign({}, ...Object.values(parts).map((p) => stateShapes(p.parameters, p.optimiser, p))) as Record<string, readonly number[]>; // prettier-ignore
  const kept = Object.keys(shapes).filter((name) => !name.startsWith("sum/"));
  const zeros = (prefix: string, parameters: readonly Parameter[]): Record<string, HostTensor> =>
    Object.fromEntries(parameters.map((p) => [`${prefix}${p.name}`, { data: new Float32Array(sizeOf(p.value.shape)), shape: p.value.shape }])); // prettier-ignore
  if (resumeFrom)
    await engine.write(
      Object.fromEntries(
        Object.entries(resumeFrom.state).map(([n, t]) => [n, { data: t.data.slice(), shape: t.shape }]),
      ),
    );
  else
    for (const { parameters, optimiser, averaging: average } of Object.values(parts)) {
      const fresh = initialParameters({ parameters }, seededRandom(seed, "initial", parameters[0]!.name));
      await engine.write(initialState(parameters, optimiser, { averaging: average }, fresh));
    }
  await engine.write({
    ...zeros("sum/", discriminator.parameters),
    ...zeros("sum/", generator.parameters),
    ...zeros("exact/", discriminator.parameters),
  });

  // A penalty that is taken in every `every`th step weighs so much more then (Karras et al. 2020).
  const { slope } = gan;
  const penalised = slope.atReal > 0 || slope.atFake > 0;
  const clipNorm = plan?.clipping.norm;
  const buildReal = (units: number, { sloped, adding }: { sloped: boolean; adding: boolean }): Graph =>
    realGraph(architecture, { ...fakeShape, rows: units * views }, { units, views }, {
      ...stepOptions,
      adding,
      atReal: sloped ? slope.atReal * slope.every : 0,
      ...(clipNorm === undefined ? {} : { clipNorm }),
    }); // prettier-ignore
  const expected = plan ? plan.expectedBatchSize! : batches.kind === "shuffled" ? batches.batchSize : 1;
  const tile = resumeFrom?.tileUnits ?? tileOf(plan, expected, (n) => buildReal(n, { sloped: false, adding: false }));
  const fakeOptions = { ...stepOptions, gradientPenalty: gan.gradientPenalty, keep: true };
  const buildFake = (sloped: boolean): Graph =>
    fakeGraph(architecture, fakeShape, { ...fakeOptions, atFake: sloped ? slope.atFake * slope.every : 0 });
  await using programs = lazily(engine, {
    real: () => buildReal(tile, { sloped: false, adding: false }),
    realMore: () => buildReal(tile, { sloped: false, adding: true }),
    realSloped: () => buildReal(tile, { sloped: true, adding: false }),
    realSlopedMore: () => buildReal(tile, { sloped: true, adding: true }),
    fake: () => buildFake(false),
    fakeSloped: () => buildFake(true),
    generator: () => generatorGraph(architecture, fakeShape, { ...stepOptions, keep: true }),
    sheet: () => averageSampleGraph(architecture, { ...fakeShape, rows: sheetRows }, averaging),
  });
  await using updateDiscriminator = await loadUpdate(engine, discriminator.parameters, settings.optimiser, {
    noise: plan !== undefined,
    averaging: false,
    exact: true,
  });
  await using updateGenerator = await loadUpdate(engine, generator.parameters, gan.generatorOptimiser, {
    noise: false,
    averaging,
  });
  const watch = healthWatch(gan.lossName !== "wgan-gp");
  const checkpoint = async (step: number): Promise<void> =>
    options.saveCheckpoint?.({
      step,
      tileUnits: tile,
      settings: JSON.stringify(settings),
      counters: { nonFinite },
      state: await engine.read(kept),
    });
  const sheetEvery = Math.max(1, Math.round(steps / (options.sheets ?? 12)));
  const grid = plan && noiseScale(plan, discriminator.parameters.reduce((n, p) => n + sizeOf(p.value.shape), 0)).grid; // prettier-ignore

  let done = resumeFrom?.step ?? 0;
  const first = done;
  let saved = performance.now();
  let lastGenerator: number | null = null;
  let { nonFinite = 0 } = resumeFrom?.counters ?? {};
  while (done < steps) {
    if (signal?.aborted || done - first === options.stopAfter) {
      await checkpoint(done);
      throw new LeadglassError("LG-RUNTIME-004", `training was cancelled after ${done} of ${steps} steps`, {
        hint: "Run the same command with --resume to go on.",
      });
    }
    const sloped = penalised && done % slope.every === 0 ? "Sloped" : "";
    const noise = gan.instanceNoise * (1 - done / steps);
    const extras = (which: "real" | "fake", rows: number, random: RandomSource): Record<string, HostTensor> =>
      extraFeeds(gan, which, { ...fakeShape, rows }, noise, random);

    // Real images.
    const units = drawUnits(settings, data.units.length, done);
    const clearSums = () => engine.zero(discriminator.parameters.map((p) => `sum/${p.name}`));
    if (units.length === 0) await clearSums();
    let realLoss = 0;
    let counted = 0;
    for (let at = 0; at < units.length; at += tile) {
      // A unit whose gradient is not finite is left out and its tile run again: it must never reach the sum.
      let chosen = units.slice(at, at + tile);
      for (;;) {
        using random = seededRandom(seed, "real", done, at);
        const feeds = await realFeeds(data, chosen, { tile, views, gan, random });
        const program = await programs.get(`real${sloped}${at > 0 ? "More" : ""}`);
        const ran = await program.run({ ...feeds, ...extras("real", tile * views, random) });
        const norms = ran["norms"]?.data;
        const sound = norms ? chosen.filter((_, i) => Number.isFinite(Number(norms[i]))) : chosen;
        if (sound.length < chosen.length) {
          await (at > 0 ? program.undo() : clearSums());
          nonFinite += chosen.length - sound.length;
          chosen = sound;
          if (chosen.length > 0) continue;
          break;
        }
        chosen.forEach((_, i) => (realLoss += Number(ran["losses"]!.data[i])));
        counted += chosen.length;
        break;
      }
    }
    realLoss = counted > 0 ? realLoss / counted : 0;

    // Generated images: the same ones teach the discriminator and then the generator, as in the reference.
    using fakeRandom = seededRandom(seed, "fake", done);
    const classes = Array.from({ length: gan.fakes }, () => fakeRandom.integer(gan.classes));
    const latents = drawLatents(generator, classes, gan.classes, fakeRandom);
    const fakes = { ...latents, ...extras("fake", gan.fakes, fakeRandom) };
    const generatorTurn = (done + 1) % gan.discriminatorSteps === 0;
    const fakesAgain = generatorTurn ? copyOf(fakes) : {};
    const between = gan.lossName === "wgan-gp" ? await mixFeeds(data, units, { gan, shape: fakeShape, step: done, seed }) : {}; // prettier-ignore
    const fakeLoss = Number(
      (await (await programs.get(`fake${sloped}`)).run({ ...fakes, ...between }))["loss"]!.data[0],
    );
    const rate = (peak: number): number => learningRateAt(settings.schedule, done, steps, peak);
    await updateDiscriminator.run(
      updateScalars(settings.optimiser, {
        step: done,
        learningRate: rate(settings.optimiser.learningRate),
        expectedBatchSize: plan ? expected : Math.max(1, units.length),
        ...(grid === undefined ? {} : { grid }),
      }),
      plan && drawNoise(plan, seed, done, discriminator),
    );

    let deviation: number | null = null;
    let generatorLoss: number | null = null;
    if (generatorTurn) {
      const ran = await (await programs.get("generator")).run(fakesAgain);
      generatorLoss = lastGenerator = Number(ran["loss"]!.data[0]);
      deviation = Number(ran["deviation"]!.data[0]);
      const turn = Math.floor(done / gan.discriminatorSteps);
      await updateGenerator.run(updateScalars(gan.generatorOptimiser, {
        step: turn,
        learningRate: rate(gan.generatorOptimiser.learningRate),
        expectedBatchSize: 1,
        ...(settings.averaging === null ? {} : { averageDecay: settings.averaging }),
      })); // prettier-ignore
    }
    done++;
    const loss = realLoss + fakeLoss;
    watch({ step: done, discriminator: loss, generator: generatorLoss, deviation });
    options.onProgress?.({ step: done, steps, discriminator: loss, generator: lastGenerator });
    if (options.onSamples && (done % sheetEvery === 0 || done === steps))
      await options.onSamples(done, await sheetOf(await programs.get("sheet"), { ...options, shape: fakeShape }));
    if (done < steps && performance.now() - saved > 1000 * (options.checkpointSeconds ?? 60)) {
      await checkpoint(done);
      saved = performance.now();
    }
  }
  const prefix = averaging ? "average/" : "";
  const final = await engine.read(generator.parameters.map((p) => `${prefix}${p.name}`));
  const weights = Object.fromEntries(
    generator.parameters.map((p) => [p.name, final[`${prefix}${p.name}`]!.data as Float32Array]),
  );
  const weightShapes = Object.fromEntries(generator.parameters.map((p) => [p.name, p.value.shape]));
  Object.assign(weights, await settledMoments(await programs.get("sheet"), { ...options, shape: fakeShape }));
  for (const name of Object.keys(weights)) weightShapes[name] ??= [weights[name]!.length];
  if (Object.values(weights).some((w) => w.some((v) => !Number.isFinite(v))))
    throw new LeadglassError("LG-TRAIN-001", "generator: its weights are not finite", { hint: "Lower --lr." });
  return { weights, shapes: weightShapes, steps, epsilon: plan ? spent(plan, steps) : null, nonFiniteUnits: nonFinite };
}

/** Numbers that one tile of real images may write. */
const mostOfTile = 1000e6;

/** The units of one tile of real images: as many as a batch has, unless its size is drawn or its memory too large. */
function tileOf(plan: DpPlan | undefined, expected: number, graphFor: (units: number) => Graph): number {
  if (!plan) return Math.ceil(expected);
  const { sampling } = plan;
  const varies = sampling.kind !== "shuffle" && sampling.probability < 1;
  return leastWorkTile(graphFor, { mean: expected, varies }, mostOfTile);
}

/** Programs by name, each loaded when it is first asked for; freed together. */
function lazily<Name extends string>(engine: Engine, graphs: Readonly<Record<Name, () => Graph>>) {
  const loaded = new Map<Name, Promise<Program>>();
  return {
    get: (name: Name): Promise<Program> => {
      // Each would keep its own working memory; here that doubles the memory and saves little time.
      const program = loaded.get(name) ?? engine.load(graphs[name](), { seldom: true });
      loaded.set(name, program);
      return program;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      // One that could not be loaded has told whoever asked for it.
      for (const program of loaded.values()) await (await program.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}

/** Feeds are moved to the engine; what two programs take is copied, which costs far less than drawing it again. */
const copyOf = (feeds: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> =>
  Object.fromEntries(Object.entries(feeds).map(([name, { data, shape }]) => [name, { data: data.slice(), shape }]));

/** What distortion and instance noise take. */
function extraFeeds(
  { distortion, instanceNoise }: GanSettings["gan"],
  which: "real" | "fake",
  shape: GanShape,
  deviation: number,
  random: RandomSource,
): Record<string, HostTensor> {
  const { rows, imageSize: size } = shape;
  const feeds: Record<string, HostTensor> = {};
  if (distortion) {
    const drawn = drawDistortion(shape, distortion, random);
    for (const [name, data] of Object.entries(drawn)) {
      const per = data.length / rows;
      feeds[`distort/${which}/${name}`] = {
        data,
        shape: per === 1 ? [rows] : [rows, size, size],
      };
    }
  }
  if (instanceNoise > 0)
    feeds[`noise/${which}`] = {
      data: Float32Array.from({ length: rows * size * size }, () => deviation * random.gaussian()),
      shape: [rows, 1, size, size],
    };
  return feeds;
}

/** One tile of real images; rows past the last unit are padding of weight 0. */
async function realFeeds(
  data: GanData,
  units: readonly number[],
  how: { tile: number; views: number; gan: GanSettings["gan"]; random: RandomSource },
): Promise<Record<string, HostTensor>> {
  const { tile, views, gan, random } = how;
  const rows = tile * views;
  const size = gan.imageSize;
  const real = new Float32Array(rows * size * size);
  const weights = new Float32Array(rows);
  const present = new Float32Array(tile);
  const label = new Float32Array(rows).fill(1);
  const classes = new Array<number>(rows).fill(0);
  const requests: RowRequest[] = [];
  const places: number[] = [];
  units.forEach((unit, u) => {
    present[u] = 1;
    const chosen = chooseViews(data.units[unit]!, "random", views, () => random);
    chosen.requests.forEach((request, v) => {
      const row = u * views + v;
      weights[row] = chosen.weights[v]!;
      classes[row] = data.classOf(request.image);
      label[row] = gan.label[0] + (gan.label[1] - gan.label[0]) * random.uniform();
      requests.push(request);
      places.push(row);
    });
  });
  const loaded = new Float32Array(requests.length * size * size);
  await data.load(requests, loaded);
  places.forEach((row, i) => real.set(loaded.subarray(i * size * size, (i + 1) * size * size), row * size * size));
  return {
    real: { data: real, shape: [rows, 1, size, size] },
    "real/classes": oneHot(classes, gan.classes),
    label: { data: label, shape: [rows] },
    weights: { data: weights, shape: [rows] },
    present: { data: present, shape: [tile] },
  };
}

/** Real images of the step's units, between which and generated ones WGAN-GP holds the slope. */
async function mixFeeds(
  data: GanData,
  units: readonly number[],
  { gan, shape, step, seed }: { gan: GanSettings["gan"]; shape: GanShape; step: number; seed: string },
): Promise<Record<string, HostTensor>> {
  using random = seededRandom(seed, "between", step);
  const requests = Array.from({ length: shape.rows }, () => {
    const images = data.units[units[random.integer(units.length)]!]!;
    return { image: images[random.integer(images.length)]!, variant: random.uint32() };
  });
  const pixels = new Float32Array(shape.rows * gan.imageSize ** 2);
  await data.load(requests, pixels);
  return {
    between: { data: pixels, shape: [shape.rows, 1, gan.imageSize, gan.imageSize] },
    mix: { data: Float32Array.from({ length: shape.rows }, () => random.uniform()), shape: [shape.rows, 1, 1, 1] },
  };
}

type Sheet = Pick<GanTrainingOptions, "model" | "settings"> & { readonly shape: GanShape };

const sheetClasses = (count: number): number[] => Array.from({ length: sheetRows }, (_, i) => Math.floor((i * count) / sheetRows)); // prettier-ignore

function sheetFeeds({ model, settings, shape }: Sheet, turn: number, classes: readonly number[]): Feeds {
  using random = seededRandom(settings.seed, "sheet", turn);
  const generator = ganNamed(model).generator({ ...shape, rows: sheetRows });
  return drawLatents(generator, classes, shape.classes, random);
}

/** The same latents every time, so that sheets show how images change. */
async function sheetOf(program: Program, sheet: Sheet): Promise<Float32Array> {
  const ran = await program.run(sheetFeeds(sheet, 0, sheetClasses(sheet.shape.classes)));
  return ran["image"]!.data as Float32Array;
}

/** Batches over which moments of batch normalisation are averaged. */
const momentBatches = 32;

/** Mean and variance at every batch normalisation under the final weights, over half a thousand images. */
async function settledMoments(program: Program, sheet: Sheet): Promise<Record<string, Float32Array>> {
  const totals: Record<string, Float32Array> = {};
  const batches = ganNamed(sheet.model).generator(sheet.shape).moments.length > 0 ? momentBatches : 0;
  for (let b = 1; b <= batches; b++) {
    const ran = await program.run(sheetFeeds(sheet, b, sheetClasses(sheet.shape.classes)));
    for (const [name, { data }] of Object.entries(ran)) {
      if (name === "image") continue;
      const total = (totals[name] ??= new Float32Array(data.length));
      for (let i = 0; i < total.length; i++) total[i]! += Number(data[i]) / batches;
    }
  }
  return totals;
}
