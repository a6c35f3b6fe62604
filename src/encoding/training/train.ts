/** One model on the union of several hospitals' releases. */
import { LeadglassError } from "../../errors.ts";
import { graphOf, sizeOf } from "../../graph/index.ts";
import { lower } from "../../graph/lower.ts";
import { dense, featureModel, parameterCount, setTransformer, zeros, type Model } from "../../nn/index.ts";
import { joinedLogits } from "../../nn/model.ts";
import type { Engine } from "../../runtime/index.ts";
import {
  train,
  type Checkpoint,
  type Loss,
  type TrainingData,
  type TrainingProgress,
  type TrainingSettings,
} from "../../training/index.ts";
import type { Release } from "../release/read.ts";
import { coordinatesOf, fitCoordinates, type Coordinates } from "./coordinates.ts";

/** A model on releases, as it is chosen. */
export interface ReleaseChoices {
  readonly model?: ReleaseModelName;
  /** Principal coordinates of a key's encodings. */
  readonly coordinates?: number;
  readonly epochs?: number;
  readonly batch?: number;
  readonly learningRate?: number;
  readonly weightDecay?: number;
}

export type CompleteChoices = Required<ReleaseChoices>;

interface ReleaseModel {
  readonly about: string;
  readonly defaults: (images: number) => Omit<CompleteChoices, "model">;
}

/** The models that `train --release --model` names. */
export const releaseModels = {
  "set-mean": {
    about: "linear in the principal coordinates of the mean patch, with weights of its own for each key",
    defaults: (images) => ({
      coordinates: Math.max(1, Math.min(120, Math.floor(images / 3))),
      epochs: 200,
      batch: 128,
      learningRate: 3e-3,
      weightDecay: 0,
    }),
  },
  /** Adam, 1e-4, L2 1e-3, 25 epochs of 128, classes balanced: the published settings. */
  "set-transformer": {
    about: "the published classifier: one re-attention block on all patches; slow on a CPU",
    defaults: () => ({
      ...{ coordinates: 1, epochs: 25, batch: 128, learningRate: 1e-4, weightDecay: 1e-3 },
    }),
  },
} as const satisfies Readonly<Record<string, ReleaseModel>>;

export type ReleaseModelName = keyof typeof releaseModels;
export const releaseModelNames = Object.keys(releaseModels) as ReleaseModelName[];

/** A trained model: what it takes to answer for an encoding of any of its keys. */
export interface TrainedOnReleases {
  readonly choices: CompleteChoices;
  readonly targets: readonly string[];
  /** Ids of the keys, in the order of their weights. */
  readonly keys: readonly string[];
  /** Patches and numbers of a patch of every encoding. */
  readonly shape: readonly [number, number];
  readonly parameters: Readonly<Record<string, Float32Array>>;
  /** By key; empty for models that read whole sets. */
  readonly coordinates: Readonly<Record<string, Coordinates>>;
}

/** Releases that are trained on together must be of one shape and have the targets. Throws LG-ENCODE-005. */
export function checkTogether(releases: readonly Release[], targets: readonly string[]): void {
  const first = releases[0];
  if (!first) throw new LeadglassError("LG-USAGE-001", "--release is missing");
  for (const { dir, shape, labels, manifest } of releases) {
    if (shape[1] !== first.shape[1])
      throw new LeadglassError(
        "LG-ENCODE-005",
        `${dir}: patches of ${shape[1]} numbers; ${first.dir} has ${first.shape[1]}`,
        { hint: "Train on releases of one scheme and width." },
      );
    for (const target of targets)
      if (!Object.hasOwn(labels.targets, target))
        throw new LeadglassError("LG-ENCODE-005", `${dir}: there are no labels "${target}"`, {
          hint: `Its targets are: ${manifest.labels.targets.join(", ")}.`,
        });
  }
}

/** Images read at a time where all of a release is read. */
const chunkImages = 32;

/** Mean patches [images, outputs] of some encodings of a release, in constant memory. */
export async function meanPatches(
  release: Release,
  images: readonly number[],
  onProgress?: (images: number) => void,
): Promise<Float32Array> {
  const [patches, outputs] = release.shape;
  const out = new Float32Array(images.length * outputs);
  const sums = new Float64Array(outputs);
  for (let i = 0; i < images.length; i += chunkImages) {
    const chunk = images.slice(i, i + chunkImages);
    const encodings = await release.load(chunk);
    for (let j = 0; j < chunk.length; j++) {
      sums.fill(0);
      for (let at = j * patches * outputs, p = 0; p < patches; p++)
        for (let c = 0; c < outputs; c++, at++) sums[c]! += encodings[at]!;
      for (let c = 0; c < outputs; c++) out[(i + j) * outputs + c] = sums[c]! / patches;
    }
    onProgress?.(chunk.length);
  }
  return out;
}

export interface ReleaseTrainingOptions {
  readonly engine: Engine;
  readonly releases: readonly Release[];
  readonly targets: readonly string[];
  readonly choices?: ReleaseChoices;
  readonly seed: string;
  readonly onFeatures?: (done: number, total: number) => void;
  readonly onStep?: (progress: TrainingProgress) => void;
  readonly signal?: AbortSignal;
  readonly resumeFrom?: Checkpoint;
  readonly saveCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  readonly checkpointSeconds?: number;
}

/**
 * Trains on the train splits of several releases. Keys may differ and releases may be of any size; encodings are made once
 * and read from disk.
 * Throws LG-ENCODE-005 for releases that do not fit together, LG-RUNTIME-004 when cancelled.
 */
export async function trainOnReleases(
  options: ReleaseTrainingOptions,
): Promise<{ trained: TrainedOnReleases; images: number; steps: number; parameters: number }> {
  const { engine, releases, targets, seed } = options;
  checkTogether(releases, targets);
  const rows = releases.flatMap((release, r) =>
    release
      .imagesOf("train")
      .flatMap((image) => (targets.some((t) => release.labels.targets[t]![image] !== null) ? [{ r, image }] : [])),
  );
  const keys = [...new Set(releases.map((release) => release.manifest.key))];
  const choices = completeChoices(options.choices ?? {}, rows.length, keys.length);
  const labels = labelMatrix(releases, targets, rows);
  const { rowShape, load, coordinates } = await rowsFor({ ...options, choices, keys });
  const whole = { choices, targets, keys, shape: releases[0]!.shape };
  const modelFor = (n: number): Model => modelOf(whole, n, rowShape);
  const balanced = balancedUnits(labels, targets.length);
  const data: TrainingData = {
    units: balanced.units,
    ...labels,
    outputs: targets.length,
    rowShape,
    variants: 1,
    load: async (requests, out) =>
      load(
        requests.map(({ image }) => rows[image]!),
        out,
      ),
  };
  const settings: TrainingSettings = {
    batches: { kind: "shuffled", batchSize: Math.min(choices.batch, data.units.length), epochs: choices.epochs },
    views: 1,
    loss: balanced.loss,
    optimiser: {
      name: "adam",
      learningRate: choices.learningRate,
      weightDecay: choices.weightDecay,
    },
    schedule: choices.model === "set-mean" ? { kind: "cosine" } : { kind: "constant" },
    averaging: null,
    seed,
    reproducible: true,
  };
  const result = await train({
    engine,
    modelFor,
    data,
    settings,
    ...(options.onStep ? { onProgress: options.onStep } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.resumeFrom ? { resumeFrom: options.resumeFrom } : {}),
    ...(options.saveCheckpoint ? { saveCheckpoint: options.saveCheckpoint } : {}),
    ...(options.checkpointSeconds === undefined ? {} : { checkpointSeconds: options.checkpointSeconds }),
  });
  return {
    trained: { ...whole, parameters: result.parameters, coordinates },
    images: rows.length,
    steps: result.steps,
    parameters: parameterCount(modelFor(1)),
  };
}

/** What was not chosen, filled in for a number of images under a number of keys. */
export function completeChoices(choices: ReleaseChoices, images: number, keys: number): CompleteChoices {
  const model = choices.model ?? "set-mean";
  const defaults: Omit<CompleteChoices, "model"> = releaseModels[model].defaults(Math.floor(images / keys));
  const given = Object.fromEntries(Object.entries(choices).filter(([, value]) => value !== undefined));
  const complete = { model, ...defaults, ...given } as CompleteChoices;
  if (choices.weightDecay === undefined && model === "set-mean")
    return { ...complete, weightDecay: priorPrecision / images };
  return complete;
}

/** Of a Gaussian prior on each weight, against a likelihood of one for each image; chosen on phantoms. */
const priorPrecision = 33;

interface Row {
  readonly r: number;
  readonly image: number;
}

function labelMatrix(releases: readonly Release[], targets: readonly string[], rows: readonly Row[]) {
  const values = new Float32Array(rows.length * targets.length);
  const known = new Float32Array(rows.length * targets.length);
  rows.forEach(({ r, image }, i) =>
    targets.forEach((target, k) => {
      const label = releases[r]!.labels.targets[target]![image];
      values[i * targets.length + k] = label ?? 0;
      known[i * targets.length + k] = label === null || label === undefined ? 0 : 1;
    }),
  );
  return { targets: values, known };
}

/** Both classes equally often: with one target by repeating images of the rarer one, with several by weights in the loss. */
function balancedUnits(
  { targets, known }: { targets: Float32Array; known: Float32Array },
  outputs: number,
): { units: number[][]; loss: Loss } {
  const n = targets.length / outputs;
  const all = Array.from({ length: n }, (_, i) => [i]);
  if (outputs > 1) {
    const weight = (k: number): number => {
      const counts = [0, 0];
      for (let i = 0; i < n; i++) if (known[i * outputs + k] === 1) counts[targets[i * outputs + k]!]!++;
      const [negatives, positives] = counts as [number, number];
      return positives > 0 ? Math.min(50, Math.max(1 / 50, negatives / positives)) : 1;
    };
    return {
      units: all,
      loss: { kind: "binary", positiveWeights: Array.from({ length: outputs }, (_, k) => weight(k)) },
    };
  }
  const [negative, positive] = [0, 1].map((v) => all.filter(([i]) => targets[i!] === v)) as [number[][], number[][]];
  const [few, many] = negative.length < positive.length ? [negative, positive] : [positive, negative];
  if (few.length === 0)
    throw new LeadglassError("LG-ENCODE-005", "the train splits of these releases have one class only", {
      hint: "Add a release with the other class.",
    });
  return { units: [...many, ...many.map((_, i) => few[i % few.length]!)], loss: { kind: "binary" } };
}

/** What one row of the model is, and where rows come from. */
async function rowsFor({
  releases,
  choices,
  keys,
  onFeatures,
}: Pick<ReleaseTrainingOptions, "releases" | "onFeatures"> & {
  choices: CompleteChoices;
  keys: readonly string[];
}): Promise<{
  rowShape: readonly number[];
  load: (rows: readonly Row[], out: Float32Array) => Promise<void>;
  coordinates: Record<string, Coordinates>;
}> {
  const shape = releases[0]!.shape;
  if (choices.model !== "set-mean") {
    const size = sizeOf(shape);
    for (const release of releases)
      if (release.shape[0] !== shape[0])
        throw new LeadglassError("LG-ENCODE-005", `${release.dir}: ${release.shape[0]} patches; ${shape[0]} expected`, {
          hint: "Train on releases of one image size, or with --model set-mean.",
        });
    return {
      rowShape: shape,
      load: async (asked, out) => {
        for (const [i, { r, image }] of asked.entries())
          await releases[r]!.load([image], out.subarray(i * size, (i + 1) * size));
      },
      coordinates: {},
    };
  }
  const means = await allMeans(releases, onFeatures);
  const coordinates: Record<string, Coordinates> = {};
  for (const key of keys) {
    const own = means.filter((_, r) => releases[r]!.manifest.key === key);
    coordinates[key] = fitCoordinates(joined(own), shape[1], choices.coordinates);
  }
  const perRelease = releases.map((release, r) => coordinatesOf(coordinates[release.manifest.key]!, means[r]!));
  const width = rowWidth(choices, keys.length);
  return {
    rowShape: [width],
    load: (asked, out) => {
      asked.forEach(({ r, image }, i) =>
        fillRow(
          out.subarray(i * width, (i + 1) * width),
          perRelease[r]!,
          image,
          choices.coordinates,
          keys.indexOf(releases[r]!.manifest.key),
        ),
      );
      return Promise.resolve();
    },
    coordinates,
  };
}

/** Coordinates of every key, and for each a 1 that its own intercept stands at. */
const rowWidth = ({ coordinates }: CompleteChoices, keys: number): number => (coordinates + 1) * keys;

/** An image's coordinates at the place of its key, so that one linear layer holds weights of its own for each key. */
function fillRow(out: Float32Array, table: Float32Array, image: number, count: number, place: number): void {
  out.fill(0);
  const at = place * (count + 1);
  out.set(table.subarray(image * count, (image + 1) * count), at);
  out[at + count] = 1;
}

async function allMeans(
  releases: readonly Release[],
  onFeatures?: (done: number, total: number) => void,
): Promise<Float32Array[]> {
  const total = releases.reduce((sum, { manifest }) => sum + manifest.images, 0);
  let done = 0;
  const means: Float32Array[] = [];
  for (const release of releases)
    means.push(
      await meanPatches(release, [...Array(release.manifest.images).keys()], (n) => onFeatures?.((done += n), total)),
    );
  return means;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function modelOf(
  { choices, targets }: Pick<TrainedOnReleases, "choices" | "targets">,
  rows: number,
  rowShape: readonly number[],
): Model {
  return featureModel(choices.model, rows, rowShape, (scope, x) =>
    choices.model === "set-mean"
      ? dense(scope.at("head"), x, targets.length, { weight: zeros })
      : setTransformer(scope, x, targets.length),
  );
}

/** Rows that one run of a prediction takes. */
const predictionRows = 16;

/**
 * Probabilities [images, targets] for some encodings of a release.
 * Throws LG-ENCODE-005 for encodings of another shape, or of a key that a model with weights of each key was not trained on.
 */
export async function predictOnRelease(options: {
  readonly engine: Engine;
  readonly trained: TrainedOnReleases;
  readonly release: Release;
  readonly images: readonly number[];
  readonly onProgress?: (done: number, total: number) => void;
}): Promise<Float32Array> {
  const { engine, trained, release, images } = options;
  const { choices, keys, targets } = trained;
  checkPatchWidth(trained, release);
  let rowShape: readonly number[] = release.shape;
  let load = (start: number, end: number, out: Float32Array): Promise<unknown> =>
    release.load(images.slice(start, end), out);
  if (choices.model === "set-mean") {
    const { key } = release.manifest;
    const place = keys.indexOf(key);
    const coordinates = trained.coordinates[key];
    if (place < 0 || !coordinates)
      throw new LeadglassError("LG-ENCODE-005", `${release.dir}: key ${key} is none that this model was trained on`, {
        hint: "Encodings under another key mean nothing to it: train again with a labelled release of this key.",
      });
    let done = 0;
    const means = await meanPatches(release, images, (n) => options.onProgress?.((done += n), images.length));
    const table = coordinatesOf(coordinates, means);
    const width = rowWidth(choices, keys.length);
    rowShape = [width];
    load = (start, end, out) => {
      for (let i = start; i < end; i++)
        fillRow(out.subarray((i - start) * width, (i - start + 1) * width), table, i, choices.coordinates, place);
      return Promise.resolve();
    };
  }
  const rows = Math.min(predictionRows, Math.max(1, images.length));
  const model = modelOf(trained, rows, rowShape);
  const graph = graphOf("predict", { logits: joinedLogits(model, trained.parameters) }, [model.image]);
  await using program = await engine.load(lower(graph));
  const size = sizeOf(rowShape);
  const scores = new Float32Array(images.length * targets.length);
  for (let i = 0; i < images.length; i += rows) {
    const end = Math.min(i + rows, images.length);
    const data = new Float32Array(rows * size);
    await load(i, end, data.subarray(0, (end - i) * size));
    const { logits } = await program.run({ features: { data, shape: [rows, ...rowShape] } });
    for (let j = 0; j < (end - i) * targets.length; j++)
      scores[i * targets.length + j] = 1 / (1 + Math.exp(-(logits!.data as Float32Array)[j]!));
    if (choices.model !== "set-mean") options.onProgress?.(end, images.length);
  }
  return scores;
}

function checkPatchWidth({ shape, choices }: TrainedOnReleases, release: Release): void {
  const sizes = choices.model === "set-mean" ? [1] : [0, 1];
  if (sizes.every((i) => release.shape[i] === shape[i])) return;
  throw new LeadglassError(
    "LG-ENCODE-005",
    `${release.dir}: encodings of shape [${release.shape.join(", ")}]; the model was trained on [${shape.join(", ")}]`,
    { hint: "Use a release of the same scheme and image size." },
  );
}
