/** Runs of generators: train one on a cohort, and draw a cohort from it. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import {
  openCohort,
  requireBothClasses,
  writeCohort,
  type Cohort,
  type CohortItem,
  type SyntheticOrigin,
  type Target,
} from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { encodeModel } from "../graph/index.ts";
import { encodePng, toPixels } from "../imaging/index.ts";
import { seededRandom } from "../math/random.ts";
import {
  appendEntries,
  budgetOf,
  costOfModel,
  noiseScale,
  noisyCells,
  type LedgerBody,
  type LedgerEntry,
} from "../privacy/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import {
  drawSamples,
  drawSpectral,
  ganNamed,
  samplerGraph,
  sheetRows,
  spectralLength,
  spectralModel,
  spectralVector,
  trainGan,
  type GanSettings,
} from "../synthesis/index.ts";
import { removeCheckpoint, writeAtomically, writeCheckpoint } from "../training/checkpoint.ts";
import { ledgerForRun, readLedgerFile } from "./cohort-ledger.ts";
import { loadPixels, openRows, readAll, type Progress } from "./rows.ts";
import {
  codeVersion,
  createRunFolder,
  finishRun,
  readFinishedRun,
  readLedger,
  readRun,
  readWeights,
  recordDigest,
  refuseExistingRun,
  refuseForgottenRuns,
  runFiles,
  writeWeights,
  type RunRecord,
  type RunStart,
} from "./run-folder.ts";
import type { TrainingChoices } from "./settings.ts";
import { chooseGenerator, type ChosenGenerator, type GeneratorSettings } from "./synth-settings.ts";
import { checkpointOf, withBudgetDelta } from "./train-run.ts";
import { seedIsPublic, sourceFor } from "./train-settings.ts";
import { firstBudget } from "./train-ledger.ts";
import { anchorOf } from "./train-ledger.ts";
import { timeOf } from "./train-ledger.ts";

export interface SynthTrainRequest {
  readonly cohort: string;
  readonly target: string;
  readonly out: string;
  readonly choices: TrainingChoices;
  readonly seed?: number;
  readonly resume?: boolean;
  readonly ledger?: string;
  readonly device?: Device;
  readonly checkpointSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onReading?: Progress;
  readonly onStep?: (done: number, total: number, note: string) => void;
}

/** What `synth train --json` prints. */
export interface SynthTrainReport {
  readonly run: string;
  readonly model: string;
  readonly target: string;
  readonly units: number;
  readonly steps: number;
  readonly privacy: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: string;
    readonly noiseMultiplier: number;
    readonly insecureSeed: boolean;
    readonly notAccounted: readonly string[];
  } | null;
  /** Pictures of generated images, as the training went on. */
  readonly sheets: string | null;
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  readonly reasons: readonly string[];
}

/** Where pictures of a training lie in its folder. */
const sheetFolder = "samples";

/**
 * Trains a generator of images of both classes of a target on a cohort's train split, and leaves a run folder: weights,
 * the generator as ONNX, sheets of samples, the ledger.
 * Throws LG-COHORT-..., LG-IMAGE-..., LG-PRIVACY-..., LG-USAGE-001, LG-TRAIN-001 (diverged), LG-TRAIN-002 (a folder that
 * exists), LG-RUNTIME-004 (cancelled; resumable).
 */
export async function synthTrain(request: SynthTrainRequest): Promise<SynthTrainReport> {
  const started = performance.now();
  const previous = request.resume ? await readRun(request.out) : undefined;
  if (previous?.result) {
    if (previous.status !== "complete") await finishRun(request.out, previous, previous.result, timeOf(previous));
    await removeCheckpoint(join(request.out, runFiles.checkpoint));
    return previous.result.report as SynthTrainReport;
  }
  if (!previous) await refuseExistingRun(request.out);
  const cohort = await openCohort(request.cohort);
  const target = cohort.target(request.target);
  cohort.imagesOf("train");
  requireBothClasses(cohort, target, "train");
  if (previous) refuseOthers(previous, request, cohort);
  const ledger = previous
    ? resolve(request.out, previous.ledger.path)
    : await ledgerForRun(cohort.fingerprint, request);
  const history = (await readLedgerFile(ledger)) ?? [];
  if (!previous) await refuseForgottenRuns(request.out, ledger, history);
  const choices = previous?.choices ?? withBudgetDelta(request.choices, budgetOf(history, cohort.fingerprint) ?? cohort.budget); // prettier-ignore
  const insecureSeed = previous ? seedIsPublic(previous.settings) : request.seed !== undefined;
  const unit = choices.unit ?? (choices.epsilon === undefined ? "image" : "patient");
  const all = unit === "patient" ? cohort.patientsOf("train").map((p) => p.images) : cohort.imagesOf("train").map((i) => [i]); // prettier-ignore
  const units = all.map((images) => images.filter((i) => target.present[i] === 1)).filter((images) => images.length > 0); // prettier-ignore
  const seed = request.seed === undefined ? randomBytes(16).toString("hex") : String(request.seed);
  const size = { units: units.length, images: units.flat().length };
  const chosen = chooseGenerator(choices, size, { insecureSeed, seed, reproducible: request.seed !== undefined });
  const settings = (previous?.settings as GeneratorSettings | undefined) ?? chosen.settings;
  chosen.reasons.forEach((reason) => request.onNote?.(reason));
  cohort.warnings.forEach((w) => request.onNote?.(`${w.place}: ${w.message}. ${w.remedy}`));
  if (!previous) await appendEntries(history, [...firstBudget(history, cohort), ...accesses(settings, "this run", cohort)]); // prettier-ignore

  const source = openRows(cohort, { channels: 1, imageSize: chosen.imageSize });
  using _store = source.store;
  await readAll(source, units.flat(), request.onReading);
  const start: RunStart = previous ?? {
    version: 2,
    cohortFingerprint: cohort.fingerprint,
    targets: [target.name],
    architecture: chosen.model,
    imageSize: chosen.imageSize,
    channels: 1,
    unit,
    mirror: false,
    choices,
    settings,
  };
  const resumeFrom = previous ? await checkpointOf(request.out, previous) : undefined;
  const run = previous ?? (await createRunFolder(request.out, start, { cohort: request.cohort, ledger, open: (entries) => Promise.resolve(opening(entries, start, cohort, request.out)) })); // prettier-ignore

  const made =
    settings.gan === null
      ? await releaseSpectra({ source, target, units, settings, size: chosen.imageSize })
      : await adversarial({
          request,
          run,
          source,
          target,
          units,
          chosen,
          settings: settings as GanSettings,
          resumeFrom,
        });
  await writeWeights(request.out, made.weights, made.shapes);
  const plan = settings.batches.kind === "private" ? settings.batches.plan : null;
  const cost = plan ? costOfModel((await readLedger(request.out)).entries, run.ledger.run)! : null;
  const report: SynthTrainReport = {
    run: request.out,
    model: run.architecture,
    target: target.name,
    units: units.length,
    steps: made.steps,
    privacy: plan && {
      epsilon: cost!.epsilon,
      delta: cost!.delta,
      unit: plan.unit,
      noiseMultiplier: plan.noiseMultiplier,
      insecureSeed: plan.insecureSeed,
      notAccounted: cost!.notAccounted,
    },
    sheets: settings.gan === null ? null : join(request.out, sheetFolder),
    seconds: (performance.now() - started) / 1000,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    reasons: chosen.reasons,
  };
  if (settings.gan !== null) await exportGenerator(run, made.weights, join(request.out, runFiles.model));
  await finishRun(request.out, run, { thresholds: [], report, ownerOnly: null }, timeOf(run));
  await removeCheckpoint(join(request.out, runFiles.checkpoint));
  return report;
}

/** A resumed run goes on as it began. */
function refuseOthers(previous: RunRecord, { out, choices, seed, target }: SynthTrainRequest, cohort: Cohort): void {
  const refuse = (message: string, hint: string): never => {
    throw new LeadglassError("LG-TRAIN-002", `${out}: ${message}`, { hint });
  };
  if (!("gan" in previous.settings)) refuse("this is the run of a classifier", "Resume it with train.");
  if (previous.cohortFingerprint !== cohort.fingerprint)
    refuse("the cohort has changed since this run began", "Resume on the cohort the run was started on.");
  const had: Record<string, unknown> = {
    ...previous.choices,
    target: previous.targets[0],
    seed: previous.settings.seed,
  };
  const asked: Record<string, unknown> = { ...choices, target: cohort.target(target).name };
  if (seed !== undefined) asked["seed"] = String(seed);
  for (const [name, value] of Object.entries(asked))
    if (value !== undefined && had[name] !== value)
      refuse(
        `the run was started with another ${name}`,
        "Resume with the flags the run was started with, or with none.",
      );
}

/** What the ledger says before the first patient is read. */
function opening(
  entries: readonly LedgerEntry[],
  start: RunStart,
  cohort: Cohort,
  dir: string,
): { name: string; bodies: LedgerBody[] } {
  const { settings } = start;
  const inherited = firstBudget(entries, cohort);
  const place = createHash("sha256").update(resolve(dir)).update(settings.seed).digest("hex").slice(0, 8);
  const name = settings.reproducible
    ? `generator, seed ${settings.seed}, entry ${entries.length + inherited.length}`
    : `${basename(resolve(dir))} ${place}`;
  const at = timeOf(start);
  const own: LedgerBody[] = [
    { kind: "cohort-opened", cohortFingerprint: cohort.fingerprint, run: name, record: recordDigest(start) },
    ...accesses(settings, name, cohort),
  ];
  return {
    name,
    bodies: [...inherited, ...own.map((b) => ({ ...b, codeVersion, ...(at === undefined ? {} : { at }) }))],
  };
}

/** Every use that a generator makes of the cohort's patients. */
function accesses({ batches }: RunStart["settings"], run: string, cohort: Cohort): LedgerBody[] {
  const common = { cohortFingerprint: cohort.fingerprint, run, splits: ["train"] };
  if (batches.kind !== "private")
    return [
      { kind: "not-accounted", ...common, what: "a generator trained without privacy on the train split: whatever is made of its images is not private either" }, // prettier-ignore
    ];
  const { plan } = batches;
  return [
    { kind: "training", ...common, plan, stepsDone: plan.steps },
    { kind: "public", ...common, what: `the number of training ${plan.unit}s, declared public: it fixes batch size and noise` }, // prettier-ignore
    { kind: "owner-only", ...common, what: "losses at real images while training, and the time it took" },
  ];
}

interface Made {
  readonly weights: Record<string, Float32Array>;
  readonly shapes: Record<string, readonly number[]>;
  readonly steps: number;
}

type Rows = ReturnType<typeof openRows>;

/** The name under which the released sum is kept, with the deviation of its noise. */
const spectra = { sum: "spectra.sum", deviation: "spectra.deviation" };

/** One noisy sum of what every unit gives: the mean over its images of a vector of norm at most 1. */
async function releaseSpectra(o: {
  source: Rows;
  target: Target;
  units: readonly (readonly number[])[];
  settings: GeneratorSettings;
  size: number;
}): Promise<Made> {
  const shape = { imageSize: o.size, classes: 2 };
  const sum = new Float64Array(spectralLength(shape));
  for (const images of o.units)
    for (const image of images) {
      const vector = spectralVector(await o.source.store.read(image), o.target.labels[image]!, shape);
      for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]! / images.length;
    }
  let released: Float64Array = sum;
  let deviation = 0;
  const { batches, seed } = o.settings;
  if (batches.kind === "private") {
    using random = sourceFor(batches.plan, seed, "spectra");
    const { noiseMultiplier } = batches.plan;
    released = noisyCells(batches.plan, sum, { norm: 1, noiseMultiplier }, random).cells;
    deviation = noiseScale(batches.plan, sum.length).deviation;
  }
  return {
    weights: { [spectra.sum]: Float32Array.from(released), [spectra.deviation]: Float32Array.of(deviation) },
    shapes: { [spectra.sum]: [sum.length], [spectra.deviation]: [1] },
    steps: 1,
  };
}

async function adversarial(o: {
  request: SynthTrainRequest;
  run: RunRecord;
  source: Rows;
  target: Target;
  units: readonly (readonly number[])[];
  chosen: ChosenGenerator;
  settings: GanSettings;
  resumeFrom: Awaited<ReturnType<typeof checkpointOf>>;
}): Promise<Made> {
  const { request, run, source, target, units, settings, resumeFrom } = o;
  // Distortion flips both real and generated images; without it, real ones are flipped and moved a little as in the paper.
  const augmentation = settings.gan.distortion
    ? {}
    : { flipHorizontal: true, flipVertical: true, scale: 0.05, shift: 0.02 };
  const sheets = join(request.out, sheetFolder);
  await mkdir(sheets, { recursive: true });
  await using engine = await startEngine({ device: request.device });
  return await trainGan({
    engine,
    model: run.architecture,
    data: {
      units,
      classOf: (image) => target.labels[image]!,
      load: (requests, out) => loadPixels(source, requests, { variants: "random", augmentation }, out),
    },
    settings,
    ...(resumeFrom ? { resumeFrom } : {}),
    saveCheckpoint: (checkpoint) =>
      writeCheckpoint(join(request.out, runFiles.checkpoint), { ...checkpoint, anchor: anchorOf(run) }),
    checkpointSeconds: request.checkpointSeconds ?? 60,
    onProgress: ({ step, steps, discriminator, generator }) =>
      request.onStep?.(step, steps, `losses ${discriminator.toFixed(2)} and ${generator?.toFixed(2) ?? "none yet"}`),
    onSamples: (step, images) => writeSheet(join(sheets, `step-${String(step).padStart(6, "0")}.png`), images, sideOf(run)), // prettier-ignore
    ...(request.signal ? { signal: request.signal } : {}),
  });
}

/** The side of the images that a generator draws; only runs on volumes have none. */
const sideOf = ({ imageSize }: RunRecord): number => imageSize!;

/** A picture of `sheetRows` images, negatives above positives. */
async function writeSheet(path: string, images: Float32Array, size: number): Promise<void> {
  const across = sheetRows / 2;
  const data = new Float32Array(2 * across * size * size);
  for (let i = 0; i < sheetRows; i++)
    for (let y = 0; y < size; y++) {
      const row = images.subarray((i * size + y) * size, (i * size + y + 1) * size);
      data.set(row, ((Math.floor(i / across) * size + y) * across + (i % across)) * size);
    }
  for (let i = 0; i < data.length; i++) data[i] = Math.min(1, Math.max(0, data[i]!));
  await writeFile(path, await encodePng(toPixels({ channels: 1, width: across * size, height: 2 * size, data })));
}

/** The generator as one ONNX file: noise and one-hot class to pixels in [0, 1]. */
async function exportGenerator(run: RunRecord, weights: Record<string, Float32Array>, out: string): Promise<void> {
  const shape = { rows: 1, classes: 2, imageSize: sideOf(run) };
  const graph = samplerGraph(ganNamed(run.architecture), shape, weights);
  await writeAtomically(out, encodeModel(graph, { metadata: { target: run.targets[0]!, imageSize: String(sideOf(run)) } })); // prettier-ignore
}

export interface SynthSampleRequest {
  readonly run: string;
  readonly perClass: number;
  readonly out: string;
  readonly seed?: number;
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onImage?: Progress;
}

/** What `synth sample --json` prints. */
export interface SynthSampleReport {
  readonly out: string;
  readonly images: number;
  readonly target: string;
  readonly generator: SyntheticOrigin;
}

/**
 * Draws images from a generator as a cohort of its own: `metadata.csv` with the target and split train, and `cohort.yaml`,
 * which says which generator drew them and what that has cost, so that what is trained on them says so too. Drawing opens
 * no patient and costs nothing.
 * Throws LG-TRAIN-002 for a run that is no finished generator, LG-COHORT-014 for a folder that exists, LG-USAGE-001.
 */
export async function synthSample(request: SynthSampleRequest): Promise<SynthSampleReport> {
  const { perClass } = request;
  if (!(Number.isInteger(perClass) && perClass > 0))
    throw new LeadglassError("LG-USAGE-001", `--per-class: a whole number above 0 was expected, ${perClass} was given`);
  const run = await readFinishedRun(request.run);
  if (!("gan" in run.settings))
    throw new LeadglassError("LG-TRAIN-002", `${request.run}: this is the run of a classifier, not of a generator`, {
      hint: "Give the folder that synth train wrote.",
    });
  const weights = await readWeights(request.run);
  const { privacy } = run.result.report as SynthTrainReport;
  const generator: SyntheticOrigin = {
    run: run.ledger.run,
    model: run.architecture,
    cohort: run.cohortFingerprint,
    privacy: privacy && { epsilon: privacy.epsilon, delta: privacy.delta, unit: run.unit },
    insecureSeed: privacy?.insecureSeed ?? false,
  };
  // A target like sex=F is a column of its own here, of zeros and ones.
  const target = run.targets[0]!.replaceAll("=", " is ");
  const seed = request.seed === undefined ? randomBytes(16).toString("hex") : String(request.seed);
  const classes = Array.from({ length: 2 * perClass }, (_, i) => i % 2);
  const draw = async function* (): AsyncGenerator<CohortItem> {
    let done = 0;
    for await (const pixels of imagesOf(run, weights, classes, seed, request.device)) {
      if (request.signal?.aborted)
        throw new LeadglassError("LG-RUNTIME-004", `drawing was cancelled after ${done} images`, { hint: "Run it again: nothing was written." }); // prettier-ignore
      const name = `synthetic-${String(done).padStart(5, "0")}`;
      const side = sideOf(run);
      yield {
        row: { file_name: `images/${name}.png`, [target]: classes[done]!, patient_id: name, split: "train", generator: run.architecture, generator_epsilon: privacy?.epsilon ?? null }, // prettier-ignore
        image: toPixels({ channels: 1, width: side, height: side, data: pixels }),
      };
      done++;
      request.onImage?.(done, classes.length);
    }
  };
  const { images } = await writeCohort(request.out, draw(), {
    manifest: { targets: { [target]: {} }, patient: "patient_id", split: "split", synthetic: generator },
  });
  return { out: request.out, images, target, generator };
}

async function* imagesOf(
  run: RunRecord,
  weights: Record<string, Float32Array>,
  classes: readonly number[],
  seed: string,
  device: Device | undefined,
): AsyncGenerator<Float32Array> {
  using random = seededRandom(seed, "samples");
  const shape = { imageSize: sideOf(run), classes: 2 };
  if (weights[spectra.sum]) {
    const model = spectralModel(weights[spectra.sum]!, weights[spectra.deviation]![0]!, shape);
    for (const label of classes) yield drawSpectral(model, label, random);
    return;
  }
  await using engine = await startEngine({ device });
  yield* drawSamples({ engine, architecture: ganNamed(run.architecture), shape, weights, classes, random });
}
