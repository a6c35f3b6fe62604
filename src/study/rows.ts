import { openImages, type Cohort, type ImageStore, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { graphOf, input, sizeOf, substitute, type Shape } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { augment, type Augmentation } from "../imaging/index.ts";
import { seededRandom } from "../math/random.ts";
import { architectureNamed, inferenceGraph, joinedLogits, type Model } from "../nn/index.ts";
import type { Engine } from "../runtime/index.ts";
import type { RowRequest, TrainingData } from "../training/data.ts";

/** Called now and then in long work: how much is done of how much. */
export type Progress = (done: number, total: number) => void;

/** Prepared pixels kept in memory: small beside what a large network needs for one step, whatever the size of a cohort. */
const cacheBytes = 128 * 2 ** 20;

export interface RowSource {
  readonly store: ImageStore;
  readonly channels: number;
  readonly imageSize: number;
}

/** Pixels of a cohort in [0, 1], brought to a model's size; normalisation is the model's business. */
export function openRows(
  cohort: Cohort,
  {
    channels,
    imageSize,
    preparation = "plain",
  }: { channels: 1 | 3; imageSize: number; preparation?: "plain" | "reference" },
): RowSource {
  const store = openImages(cohort, { size: imageSize, channels, normalise: "none", preparation, cacheBytes });
  return { store, channels, imageSize };
}

/** Row-major mirror image of planes [channels, height, width]. */
function mirrorInto(pixels: Float32Array, width: number, out: Float32Array): void {
  for (let row = 0; row < pixels.length; row += width)
    for (let x = 0; x < width; x++) out[row + x] = pixels[row + width - 1 - x]!;
}

/** Pixels of the requested rows; variant 1 of two fixed variants is the mirror image, a random one is drawn from its seed. */
export async function loadPixels(
  { store, channels, imageSize }: RowSource,
  requests: readonly RowRequest[],
  how: { readonly variants: 1 | 2 | "random"; readonly augmentation: Augmentation },
  out: Float32Array,
): Promise<void> {
  const size = channels * imageSize * imageSize;
  await Promise.all(
    requests.map(async ({ image, variant }, i) => {
      const pixels = await store.read(image);
      const row = out.subarray(i * size, (i + 1) * size);
      if (how.variants === "random") {
        const planes = { channels: channels as 1 | 3, width: imageSize, height: imageSize, data: pixels };
        augment(planes, how.augmentation, seededRandom(variant, "view"), { out: row });
      } else if (variant === 1) mirrorInto(pixels, imageSize, row);
      else row.set(pixels);
    }),
  );
}

/** Rows that one run of a feature graph takes. */
const featureRows = 16;

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
  const model = modelFor(featureRows);
  const shape = model.fixed.shape.slice(1);
  const size = sizeOf(shape);
  await using program = await engine.load(lower(graphOf("features", { features: model.fixed }, [model.image])));
  const requests = images.flatMap((image) => Array.from({ length: variants }, (_, variant) => ({ image, variant })));
  const pixels = source.channels * source.imageSize ** 2;
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
export async function readAll({ store }: RowSource, images: readonly number[], onProgress?: Progress): Promise<void> {
  for (let i = 0; i < images.length; i += featureRows) {
    await store.readBatch(images.slice(i, i + featureRows));
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
  const { build } = architectureNamed(architecture);
  const split = (rows: number): Model =>
    adapt(build({ rows, channels: source.channels, imageSize: source.imageSize, outputs }));
  const labels = labelMatrix(cohort, targets);
  const common = { units, outputs, ...labels };
  const featureBytes =
    4 * sizeOf(split(1).fixed.shape) * units.flat().length * (variants === "random" ? Infinity : variants);
  const nothingFixed = split(1).fixed.kind === "input";
  if (variants === "random" || nothingFixed || featureBytes > mostFeatureBytes) {
    const rowShape = [source.channels, source.imageSize, source.imageSize];
    await readAll(source, units.flat(), options.onProgress);
    const load: TrainingData["load"] = (requests, out) => loadPixels(source, requests, options, out);
    return { data: { ...common, rowShape, variants, load }, modelFor: (rows) => wholeModel(split(rows)) };
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
  const rows = Math.min(featureRows, Math.max(1, images.length));
  const model = architectureNamed(architecture).build({
    rows,
    channels: source.channels,
    imageSize: source.imageSize,
    outputs,
  });
  await using program = await engine.load(lower(inferenceGraph(model, weights, { mirror })));
  const pixels = source.channels * source.imageSize ** 2;
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
