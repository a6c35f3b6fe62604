/** How far a target can be predicted without looking at the disease: a cohort's shortcuts, and whether a model takes them. */
import { openCohort, type Cohort, type Target } from "../../cohort/index.ts";
import { LeadglassError } from "../../errors.ts";
import { bootstrapIntervals } from "../../evaluation/index.ts";
import { graphOf, sizeOf } from "../../graph/index.ts";
import { lower } from "../../graph/lower.ts";
import { kernelRidge, linearKernel, smoothKernel, standardised, type Table } from "../../math/kernel-ridge.ts";
import { seededRandom, shuffle } from "../../math/random.ts";
import { architectureNamed } from "../../nn/index.ts";
import { startEngine, type Engine } from "../../runtime/index.ts";
import { readFinishedRun, readWeights } from "../run-folder.ts";
import { openImageRows, predictImages, type Progress, type ImageRows } from "../rows.ts";
import { acquisitionFamilies, joined, metadataFamilies } from "./families.ts";
import { occlusionGrid } from "./occlusion.ts";
import { insideOf, maskedRows, pixelsOf, type Region } from "./region.ts";
import { judge, type Verdict } from "./verdict.ts";

/** How well one family of features predicts the target on patients it was not fitted on. */
export interface Shortcut {
  readonly name: string;
  readonly kind: "metadata" | "acquisition" | "image" | "model";
  readonly auroc: number;
  /** 95 % interval, resampled by patient; null where it cannot be had. */
  readonly low: number | null;
  readonly high: number | null;
  readonly images: number;
  readonly patients: number;
}

export interface ShortcutReport extends Verdict {
  readonly target: string;
  readonly images: number;
  readonly patients: number;
  /** Where the disease is expected, as shares of width and height: x, y, width, height. */
  readonly region: Region;
  readonly shortcuts: readonly Shortcut[];
  /** Mean fall of the given run's probability of the right answer when one cell of the image is blanked, [rows][columns]. */
  readonly occlusion: readonly (readonly number[])[] | null;
}

/** Images beyond this are left out at random, by patient: kernels grow with the square. */
const mostImages = 2000;
const folds = 5;
/** Where the disease is expected when nobody says. */
const middle: Region = { x: 0.15, y: 0.15, width: 0.7, height: 0.7 };
const ridges = [3, 0.3, 0.03, 0.003];

export interface ShortcutOptions {
  readonly cohort: string;
  readonly target: string;
  readonly region?: Region;
  readonly run?: string;
  readonly seed?: number;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

/**
 * Audits a cohort for shortcuts: predicts the target from metadata, from how the files were made, from the image, from
 * the image without the region where the disease is expected, and from that region alone; each by kernel ridge
 * regression in five folds that share no patient. With a run, also how that model does on images changed in these ways.
 * It reads labels of every split and is for the data owner: nothing of it is accounted.
 * Throws LG-COHORT-..., LG-EVAL-004 where a class is absent, LG-USAGE-001 for a region outside the image.
 */
export async function auditShortcuts(options: ShortcutOptions): Promise<ShortcutReport> {
  const { seed = 1, onProgress } = options;
  const region = options.region ?? middle;
  checkRegion(region);
  const cohort = await openCohort(options.cohort);
  const target = cohort.target(options.target);
  const images = auditedImages(cohort, target, seed);
  const patients = images.map((i) => cohort.records[i]!.patientId);
  const labels = Float64Array.from(images, (i) => target.labels[i]!);
  const fold = foldsOf(patients, labels, seed);
  const measure = (
    name: string,
    kind: Shortcut["kind"],
    scores: ArrayLike<number>,
    among?: readonly number[],
  ): Shortcut => {
    const rows = among ?? images.map((_, i) => i);
    const own = rows.map((i) => patients[i]!);
    const { auroc } = bootstrapIntervals({
      scores: rows.map((i) => scores[i]!),
      labels: rows.map((i) => labels[i]!),
      patients: own,
      metrics: ["auroc"],
      seed,
    });
    if (auroc.value === null)
      throw new LeadglassError(
        "LG-EVAL-004",
        `shortcuts: target "${target.name}" has one class among ${rows.length} images`,
        {
          hint: "Audit a target of which both classes are there.",
        },
      );
    return {
      name,
      kind,
      auroc: auroc.value,
      low: auroc.low,
      high: auroc.high,
      images: rows.length,
      patients: new Set(own).size,
    };
  };
  const predict = (table: Table, kernel: (table: Table) => Float64Array): Float64Array =>
    outOfFold(table, labels, fold, kernel);

  const metadata = metadataFamilies(cohort, target, images);
  const acquisition = await acquisitionFamilies(cohort, images, region, (done, total) =>
    onProgress?.("files", done, total),
  );
  const shortcuts: Shortcut[] = [];
  const told = metadata.map((family) => measure(family.name, family.kind, predict(family.table, smoothKernel)));
  shortcuts.push(...told);
  // A column that gives the label away is the label under another name; with it, "all metadata" would say nothing.
  const others = metadata.filter((_, i) => told[i]!.auroc < restatement);
  if (others.length > 1)
    shortcuts.push(measure("all metadata", "metadata", predict(joined(others.map((f) => f.table)), smoothKernel)));
  for (const { name, kind, table } of acquisition) shortcuts.push(measure(name, kind, predict(table, smoothKernel)));
  shortcuts.push(
    measure("all acquisition", "acquisition", predict(joined(acquisition.map((f) => f.table)), smoothKernel)),
  );

  await using engine = await startEngine();
  const views = [
    { name: "whole image", keep: "all" },
    { name: "image without the region", keep: "outside" },
    { name: "only the region", keep: "inside" },
  ] as const;
  const source = openImageRows(cohort, { channels: 1, imageSize: architectureNamed("texture").imageSize });
  using _store = source.store;
  for (const { name, keep } of views) {
    const table = await textureTable(engine, source, images, insideOf(region, source.imageSize), keep, (done, total) =>
      onProgress?.(name, done, total),
    );
    shortcuts.push(measure(name, "image", predict(table, linearKernel)));
  }

  let occlusion: ShortcutReport["occlusion"] = null;
  if (options.run !== undefined) {
    const run = await readFinishedRun(options.run);
    const column = run.targets.indexOf(target.name);
    if (column < 0)
      throw new LeadglassError("LG-USAGE-001", `--run: the run does not predict "${target.name}"`, {
        hint: `It predicts: ${run.targets.join(", ")}.`,
      });
    // The model has learnt from the other splits; only test patients are news to it.
    const among = images.flatMap((i, at) => (cohort.records[i]!.split === "test" ? [at] : []));
    const { channels, imageSize } = run;
    if (imageSize === null)
      throw new LeadglassError("LG-USAGE-001", "--run: the run reads volumes, and these are images", {
        hint: "Give a run that was trained on images.",
      });
    const rows = openImageRows(cohort, { channels, imageSize });
    using _rows = rows.store;
    const weights = await readWeights(options.run);
    const probabilities = async (from: ImageRows): Promise<Float64Array> => {
      const found = await predictImages({
        engine,
        source: from,
        architecture: run.architecture,
        outputs: run.targets.length,
        weights,
        mirror: run.mirror,
        images: among.map((at) => images[at]!),
      });
      const all = new Float64Array(images.length);
      among.forEach((at, k) => (all[at] = found[k * run.targets.length + column]!));
      return all;
    };
    const inside = insideOf(region, rows.imageSize);
    for (const { name, keep } of views)
      shortcuts.push(
        measure(`${name}, by the run`, "model", await probabilities(maskedRows(rows, inside, keep)), among),
      );
    occlusion = await occlusionGrid({
      source: rows,
      probabilities,
      right: (at, p) => (labels[at] === 1 ? p : 1 - p),
      among,
      onProgress: (done, total) => onProgress?.("occlusion", done, total),
    });
  }
  return {
    target: target.name,
    images: images.length,
    patients: new Set(patients).size,
    region,
    shortcuts,
    ...judge(shortcuts, { restatement, regionGiven: options.region !== undefined }),
    occlusion,
  };
}

/** From here on a column is taken for the label itself. */
const restatement = 0.98;

function checkRegion({ x, y, width, height }: Region): void {
  const fine = [x, y, width, height].every(Number.isFinite) && x >= 0 && y >= 0 && width > 0 && height > 0;
  if (fine && x + width <= 1 && y + height <= 1 && width * height < 1) return;
  throw new LeadglassError(
    "LG-USAGE-001",
    "--region: four shares x,y,width,height of a part of the image were expected",
    {
      hint: "For example 0.15,0.15,0.7,0.7 for the middle.",
    },
  );
}

/** Labelled images, or those of as many patients drawn at random as fit. */
function auditedImages(cohort: Cohort, target: Target, seed: number): number[] {
  const labelled = cohort.records.flatMap((_, i) => (target.present[i] === 1 ? [i] : []));
  if (labelled.length <= mostImages) return labelled;
  const byPatient = [...Map.groupBy(labelled, (i) => cohort.records[i]!.patientId).values()];
  const kept: number[] = [];
  for (const own of shuffle(byPatient, seededRandom(seed, "audited")))
    if (kept.length + own.length <= mostImages) kept.push(...own);
  return kept.sort((a, b) => a - b);
}

/** A fold for each image: patients are dealt out one by one, those with a positive image first, so that folds are alike. */
function foldsOf(patients: readonly string[], labels: ArrayLike<number>, seed: number): Uint8Array {
  const rows = [...Map.groupBy(patients.keys(), (i) => patients[i]!).values()];
  const positive = (own: readonly number[]): number => (own.some((i) => labels[i] === 1) ? 0 : 1);
  const order = shuffle(rows, seededRandom(seed, "folds")).sort((a, b) => positive(a) - positive(b));
  const fold = new Uint8Array(patients.length);
  order.forEach((own, k) => own.forEach((i) => (fold[i] = k % folds)));
  return fold;
}

/**
 * Scores of every row by models that saw no row of its fold. The ridge is chosen anew in each, by the squared error on
 * another fold.
 */
function outOfFold(
  table: Table,
  labels: Float64Array,
  fold: Uint8Array,
  kernelOf: (table: Table) => Float64Array,
): Float64Array {
  const rows = [...labels.keys()];
  const kernel = kernelOf(standardised(table, rows));
  const scores = new Float64Array(table.rows);
  for (let held = 0; held < folds; held++) {
    const [fit, ask] = [rows.filter((r) => fold[r] !== held), rows.filter((r) => fold[r] === held)];
    const tuning = (held + 1) % folds;
    const [inner, judged] = [fit.filter((r) => fold[r] !== tuning), fit.filter((r) => fold[r] === tuning)];
    const errors = ridges.map((ridge) => {
      const found = kernelRidge(kernel, table.rows, labels, { fit: inner, ask: judged, ridge });
      return judged.reduce((sum, r, i) => sum + (found[i]! - labels[r]!) ** 2, 0);
    });
    const ridge = ridges[errors.indexOf(Math.min(...errors))]!;
    const found = kernelRidge(kernel, table.rows, labels, { fit, ask, ridge });
    ask.forEach((r, i) => (scores[r] = found[i]!));
  }
  return scores;
}

/** Rows that one run of the feature graph takes. */
const batch = 16;

/** Fixed texture features (see `nn/texture.ts`) of images of which a part is blanked. */
async function textureTable(
  engine: Engine,
  source: ImageRows,
  images: readonly number[],
  inside: Uint8Array,
  keep: "all" | "inside" | "outside",
  onProgress: Progress,
): Promise<Table> {
  const model = architectureNamed("texture").build({
    rows: batch,
    channels: 1,
    imageSize: source.imageSize,
    outputs: 1,
  });
  await using program = await engine.load(lower(graphOf("features", { features: model.fixed }, [model.image])));
  const columns = sizeOf(model.fixed.shape.slice(1));
  const data = new Float64Array(images.length * columns);
  const masked = maskedRows(source, inside, keep);
  for (let at = 0; at < images.length; at += batch) {
    const chunk = images.slice(at, at + batch);
    const pixels = await pixelsOf(masked, chunk, batch);
    const { features } = await program.run({ image: { data: pixels, shape: model.image.shape } });
    data.set((features!.data as Float32Array).subarray(0, chunk.length * columns), at * columns);
    onProgress(at + chunk.length, images.length);
  }
  return { rows: images.length, columns, data };
}
