import { openImages, openVolumes, type Cohort, type ImageStore, type Store, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { graphOf, input, sizeOf, substitute, type Shape } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { augment, augmentVolume, type Augmentation } from "../imaging/index.ts";
import { seededRandom, type RandomSource } from "../math/random.ts";
import { buildModel, inferenceGraph, joinedLogits, type Model } from "../nn/index.ts";
import type { Engine } from "../runtime/index.ts";
import type { RowRequest, TrainingData } from "../training/data.ts";
import type { VolumeInput } from "./volume-input.ts";

/** Called now and then in long work: how much is done of how much. */
export type Progress = (done: number, total: number) => void;

/** Prepared pixels kept in memory: small beside what a large network needs for one step, whatever the size of a cohort. */
const cacheBytes = 128 * 2 ** 20;

/** Where rows come from: images or volumes in [0, 1], brought to a model's size; normalisation is the model's business. */
export interface RowSource {
  readonly store: Store;
  /** [channels, height, width] or [channels, depth, height, width] */
  readonly inputShape: Shape;
  /** A random view of one row. */
  readonly view: (row: Float32Array, augmentation: Augmentation, random: RandomSource, out: Float32Array) => void;
}

/** Rows that are square images. */
export interface ImageRows extends RowSource {
  readonly store: ImageStore;
  readonly channels: number;
  readonly imageSize: number;
}

/** How a model wants its rows: a run says so, and so do the settings of a training. */
export interface RowForm {
  readonly channels: 1 | 3;
  /** Null for volumes. */
  readonly imageSize: number | null;
  readonly volume?: VolumeInput | null | undefined;
  readonly preparation?: "plain" | "reference" | undefined;
}

/** Square images of a cohort. Throws LG-COHORT-024 for a cohort of volumes. */
export function openImageRows(
  cohort: Cohort,
  {
    channels,
    imageSize,
    preparation = "plain",
  }: { channels: 1 | 3; imageSize: number; preparation?: "plain" | "reference" | undefined },
): ImageRows {
  return {
    store: openImages(cohort, { size: imageSize, channels, normalise: "none", preparation, cacheBytes }),
    ...{ channels, imageSize, inputShape: [channels, imageSize, imageSize] },
    view: (data, augmentation, random, out) =>
      void augment({ channels, width: imageSize, height: imageSize, data }, augmentation, random, { out }),
  };
}

/** The rows of a cohort in the form that a model wants. Throws LG-COHORT-024 where the cohort holds the other medium. */
export function openRows(cohort: Cohort, { channels, imageSize, volume, preparation }: RowForm): RowSource {
  if (!volume) return openImageRows(cohort, { channels, imageSize: imageSize!, preparation });
  const { shape, spacingMm, windowHu, about } = volume;
  const window = { centre: (windowHu[0] + windowHu[1]) / 2, width: windowHu[1] - windowHu[0] };
  return {
    store: openVolumes(cohort, { shape, spacingMm, window, about }),
    inputShape: [1, ...shape],
    view: (data, augmentation, random, out) => void augmentVolume(data, shape, augmentation, random, { out }),
  };
}

/** Mirror image of row-major [..., width]. */
function mirrorInto(pixels: Float32Array, width: number, out: Float32Array): void {
  for (let row = 0; row < pixels.length; row += width)
    for (let x = 0; x < width; x++) out[row + x] = pixels[row + width - 1 - x]!;
}

/** Pixels of the requested rows; variant 1 of two fixed variants is the mirror image, a random one is drawn from its seed. */
export async function loadPixels(
  { store, inputShape, view }: RowSource,
  requests: readonly RowRequest[],
  how: { readonly variants: 1 | 2 | "random"; readonly augmentation: Augmentation },
  out: Float32Array,
): Promise<void> {
  const size = sizeOf(inputShape);
  await Promise.all(
    requests.map(async ({ image, variant }, i) => {
      const pixels = await store.read(image);
      const row = out.subarray(i * size, (i + 1) * size);
      if (how.variants === "random") view(pixels, how.augmentation, seededRandom(variant, "view"), row);
      else if (variant === 1) mirrorInto(pixels, inputShape.at(-1)!, row);
      else row.set(pixels);
    }),
  );
}

/** Rows that one run of a feature graph takes: 16, and fewer where they are large. */
const featureRowsOf = ({ inputShape }: RowSource): number =>
  Math.max(1, Math.min(16, Math.floor(2 ** 22 / sizeOf(inputShape))));

/** Features of a whole cohort are kept in memory up to this size; beyond it the fixed part runs in every step. */
const mostFeatureBytes = 2 ** 30;

/** The fixed part of a model applied to every image in every variant, once: [images x variants, ...features]. */
async function computeFeatures(
  engine: Engine,
  modelFor: (rows: number) => Model,
  source: RowSource,
  images: readonly number[],
  variants: 1 | 2,
  onProgress?: Progress,
): Promise<{ shape: Shape; of: Map<number, Float32Array> }> {
  const featureRows = featureRowsOf(source);
  const model = modelFor(featureRows);
  const shape = model.fixed.shape.slice(1);
  const size = sizeOf(shape);
  await using program = await engine.load(lower(graphOf("features", { features: model.fixed }, [model.image])));
  const requests = images.flatMap((image) => Array.from({ length: variants }, (_, variant) => ({ image, variant })));
  const pixels = sizeOf(source.inputShape);
  const of = new Map<number, Float32Array>();
  for (const image of images) of.set(image, new Float32Array(variants * size));
  for (let i = 0; i < requests.length; i += featureRows) {
    const chunk = requests.slice(i, i + featureRows);
    const data = new Float32Array(featureRows * pixels);
    await loadPixels(source, chunk, { variants, augmentation: {} }, data);
    const { features } = await program.run({ image: { data, shape: model.image.shape } });
    const values = features!.data as Float32Array;
    chunk.forEach(({ image, variant }, j) =>
      of.get(image)!.set(values.subarray(j * size, (j + 1) * size), variant * size),
    );
    onProgress?.(i + chunk.length, requests.length);
  }
  return { shape, of };
}

/** Reads every image once, so that a damaged one is refused before any work is done. */
export async function readAll(source: RowSource, images: readonly number[], onProgress?: Progress): Promise<void> {
  const featureRows = featureRowsOf(source);
  for (let i = 0; i < images.length; i += featureRows) {
    await source.store.readBatch(images.slice(i, i + featureRows));
    onProgress?.(Math.min(i + featureRows, images.length), images.length);
  }
}

/** Labels of several targets as matrices [images, targets]. */
export function labelMatrix(
  cohort: Cohort,
  targets: readonly Target[],
): { targets: Float32Array; known: Float32Array } {
  const images = cohort.records.length;
  const labels = new Float32Array(images * targets.length);
  const known = new Float32Array(images * targets.length);
  targets.forEach((target, k) => {
    for (let i = 0; i < images; i++) {
      labels[i * targets.length + k] = target.labels[i]!;
      known[i * targets.length + k] = target.present[i]!;
    }
  });
  return { targets: labels, known };
}

export interface PreparedData {
  readonly data: TrainingData;
  /** The model that the data is rows of: all of it, or its trainable part where features were computed once. */
  readonly modelFor: (rows: number) => Model;
}

/**
 * The rows a training reads. Where views come from a few fixed variants, the model's fixed part is computed once for each
 * of them; otherwise rows are pixels and the fixed part runs in every step.
 */
export async function prepareRows(options: {
  readonly engine: Engine;
  readonly cohort: Cohort;
  readonly targets: readonly Target[];
  readonly source: RowSource;
  readonly units: readonly (readonly number[])[];
  readonly architecture: string;
  readonly variants: 1 | 2 | "random";
  readonly augmentation: Augmentation;
  /** What is done to the model before it is split, as freezing a part of it. */
  readonly adapt?: (model: Model) => Model;
  readonly onProgress?: Progress;
}): Promise<PreparedData> {
  const { engine, cohort, targets, source, units, architecture, variants, adapt = (model) => model } = options;
  const outputs = targets.length;
  const { inputShape } = source;
  const split = (rows: number): Model => adapt(buildModel(architecture, { inputShape, rows, outputs }));
  const labels = labelMatrix(cohort, targets);
  const common = { units, outputs, ...labels };
  const featureBytes =
    4 * sizeOf(split(1).fixed.shape) * units.flat().length * (variants === "random" ? Infinity : variants);
  const nothingFixed = split(1).fixed.kind === "input";
  if (variants === "random" || nothingFixed || featureBytes > mostFeatureBytes) {
    await readAll(source, units.flat(), options.onProgress);
    const load: TrainingData["load"] = (requests, out) => loadPixels(source, requests, options, out);
    return { data: { ...common, rowShape: inputShape, variants, load }, modelFor: (rows) => wholeModel(split(rows)) };
  }
  const { shape, of } = await computeFeatures(engine, split, source, units.flat(), variants, options.onProgress);
  const size = sizeOf(shape);
  const load: TrainingData["load"] = (requests, out) => {
    requests.forEach(({ image, variant }, i) => {
      const features = of.get(image);
      if (!features) throw new LeadglassError("LG-BUG-001", "a row was asked for that is in no unit");
      out.set(features.subarray(variant * size, (variant + 1) * size), i * size);
    });
    return Promise.resolve();
  };
  return { data: { ...common, rowShape: shape, variants, load }, modelFor: split };
}

/** A model whose trainable part reads pixels: the fixed part is part of every step. */
function wholeModel(model: Model): Model {
  const features = input("features", model.image.shape);
  const logits = substitute([joinedLogits(model)], new Map([[model.image, features]]))[0]!;
  return { ...model, features, fixed: model.image, logits };
}

/** Probabilities [images, targets] of a trained model for some images, in their order. */
export async function predictImages(options: {
  readonly engine: Engine;
  readonly source: RowSource;
  readonly architecture: string;
  readonly outputs: number;
  readonly weights: Readonly<Record<string, Float32Array>>;
  readonly mirror: boolean;
  readonly images: readonly number[];
  readonly onProgress?: Progress;
}): Promise<Float32Array> {
  const { engine, source, architecture, outputs, weights, mirror, images } = options;
  const rows = Math.min(featureRowsOf(source), Math.max(1, images.length));
  const model = buildModel(architecture, { inputShape: source.inputShape, rows, outputs });
  await using program = await engine.load(lower(inferenceGraph(model, weights, { mirror })));
  const pixels = sizeOf(source.inputShape);
  const scores = new Float32Array(images.length * outputs);
  for (let i = 0; i < images.length; i += rows) {
    const chunk = images.slice(i, i + rows);
    const data = new Float32Array(rows * pixels);
    await source.store.readBatch(chunk, data.subarray(0, chunk.length * pixels));
    const { probabilities } = await program.run({ image: { data, shape: model.image.shape } });
    scores.set((probabilities!.data as Float32Array).subarray(0, chunk.length * outputs), i * outputs);
    options.onProgress?.(i + chunk.length, images.length);
  }
  return scores;
}
