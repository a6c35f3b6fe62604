import { createHash, randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { openCohort, requireBothClasses, type Cohort, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { chooseThreshold, evaluateTargets, type ScoreEvaluation } from "../evaluation/index.ts";
import { sizeOf } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { initialParameters, parameterCount, type Model } from "../nn/index.ts";
import { expectedShare, type LedgerBody } from "../privacy/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import { readCheckpoint, writeCheckpoint, type Checkpoint } from "../training/checkpoint.ts";
import { startTeam } from "../training/engines.ts";
import { accumulateGraph } from "../training/step.ts";
import { floatsOfUnit } from "../training/tile.ts";
import { train, type TrainingProgress, type TrainingSettings } from "../training/train.ts";
import { exportModel } from "./deploy.ts";
import { freezeParameters, frozenNames } from "./freeze.ts";
import { openRows, predictImages, prepareRows, readAll, type PreparedData, type Progress } from "./rows.ts";
import {
  createRunFolder,
  readFinishedRun,
  readFrozen,
  readLedger,
  readRun,
  readWeights,
  refuseExistingRun,
  runFiles,
  writeRun,
  writeWeights,
  type FrozenWeights,
  type RunRecord,
} from "./run-folder.ts";
import { chooseSettings, type ChosenSettings, type TrainingChoices } from "./settings.ts";

export interface TrainRequest {
  readonly cohort: string;
  readonly targets: readonly string[];
  readonly out: string;
  readonly choices: TrainingChoices;
  /** Makes the run repeatable; a private run is then marked insecureSeed. */
  readonly seed?: number;
  readonly resume?: boolean;
  /** Start from the weights of another run, as far as names and shapes agree. */
  readonly initFrom?: string;
  readonly device?: Device;
  readonly checkpointSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onFeatures?: Progress;
  readonly onStep?: (progress: TrainingProgress) => void;
  readonly intervention?: Intervention;
}

/** What an audit changes in a private training and sees of it. All else is as in any training. */
export interface Intervention {
  /** For the ledger. */
  readonly what: string;
  /** How many units it adds to those of the cohort, or takes away, in expectation; public. */
  readonly units: (labelled: number) => number;
  /** The units and the model that are trained; the model's own parameters must be among its parameters. */
  readonly rows: (rows: PreparedData, settings: TrainingSettings) => PreparedData;
  readonly onNoisySum?: (sums: Float32Array) => void;
  /** What a checkpoint has to keep for it, and how it is taken up again. */
  readonly state?: () => Checkpoint["state"];
  readonly restore?: (state: Checkpoint["state"]) => void;
}

/** What `train --json` prints. */
export interface TrainReport {
  readonly run: string;
  readonly model: string;
  readonly parameters: number;
  readonly targets: readonly string[];
  readonly units: number;
  readonly images: number;
  readonly steps: number;
  readonly privacy: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: string;
    readonly relation: string;
    readonly noiseMultiplier: number;
    readonly clipNorm: number;
    readonly accountant: string;
    readonly insecureSeed: boolean;
    readonly notAccounted: readonly string[];
  } | null;
  /** Mean over targets of the AUROC on the validation split, and each target's; null without a validation split. */
  readonly validation: {
    readonly auroc: number | null;
    readonly targets: Readonly<Record<string, ScoreEvaluation>>;
  } | null;
  readonly nonFiniteUnits: number;
  readonly seconds: number;
  readonly secondsPerEpoch: number;
  readonly peakMemoryBytes: number;
  readonly reasons: readonly string[];
}

/**
 * Trains a model on a cohort's train split and leaves a run folder: weights, the deployable model, the ledger, the
 * settings and a report. Nothing is left where the cohort or the settings are refused.
 * Throws LG-COHORT-..., LG-IMAGE-..., LG-PRIVACY-..., LG-USAGE-001, LG-TRAIN-002 (a folder that exists), LG-RUNTIME-004
 * (cancelled; resumable).
 */
export async function trainRun(request: TrainRequest): Promise<TrainReport> {
  const started = performance.now();
  const previous = request.resume ? await readRun(request.out) : undefined;
  if (previous?.result) return previous.result.report as TrainReport;
  if (!previous) await refuseExistingRun(request.out);
  const cohort = await openCohort(request.cohort);
  const targets = request.targets.map((t) => cohort.target(t));
  const splits = checkSplits(cohort, targets);
  if (previous?.choices.canaries !== undefined && !request.intervention)
    throw new LeadglassError("LG-TRAIN-002", `${request.out}: this run was started by an audit`, {
      hint: "Resume it with audit: its canaries are among the units.",
    });
  if (previous && previous.cohortFingerprint !== cohort.fingerprint)
    throw new LeadglassError("LG-TRAIN-002", `${request.out}: the cohort has changed since this run began`, {
      hint: "Resume on the cohort the run was started on, or start a new run.",
    });
  const choices = previous ? sameChoices(previous, request) : request.choices;
  const insecureSeed = previous ? seedIsPublic(previous.settings) : request.seed !== undefined;
  const unit = choices.unit ?? (choices.epsilon === undefined ? "image" : "patient");
  const units =
    unit === "patient" ? cohort.patientsOf("train").map((p) => p.images) : cohort.imagesOf("train").map((i) => [i]);
  const labelled = units
    .map((images) => images.filter((i) => targets.some((t) => t.present[i] === 1)))
    .filter((images) => images.length > 0);
  const chosen = chooseSettings(
    choices,
    {
      units: labelled.length + (request.intervention?.units(labelled.length) ?? 0),
      images: labelled.flat().length,
    },
    insecureSeed,
  );
  const settings = previous?.settings ?? settingsOf(chosen, request.seed);
  chosen.reasons.forEach((reason) => request.onNote?.(reason));
  cohort.warnings.forEach((w) => request.onNote?.(`${w.place}: ${w.message}. ${w.remedy}`));

  await using engine = await startEngine({ device: request.device });
  const channels = 1;
  const source = openRows(cohort, { channels, imageSize: chosen.imageSize });
  using _store = source.store;
  const rows = await prepareRows({
    engine,
    cohort,
    targets,
    source,
    units: labelled,
    architecture: chosen.architecture,
    variants: chosen.variants,
    augmentation: chosen.augmentation,
    ...(request.onFeatures ? { onProgress: request.onFeatures } : {}),
  });
  const run: RunRecord = previous ?? {
    version: 1,
    status: "training",
    cohortFingerprint: cohort.fingerprint,
    targets: targets.map((t) => t.name),
    architecture: chosen.architecture,
    imageSize: chosen.imageSize,
    channels,
    unit,
    mirror: chosen.augmentation.flipHorizontal === true,
    choices,
    settings,
  };
  if (!previous && splits.validation) await readAll(source, cohort.imagesOf("val"));
  const whole = rows.modelFor(1);
  const initial = request.initFrom ? await initialFrom(request.initFrom, whole, request.onNote) : undefined;
  const resumeFrom = previous ? await checkpointOf(request.out, settings) : undefined;
  const frozen = await frozenWeights(previous, request.out, whole, { ...run, initial });
  if (!previous) await createRunFolder(request.out, run, await openingEntries(run, splits.validation, request), frozen);

  const floatsPerUnit = floatsOfUnit((n) =>
    accumulateGraph(
      rows.modelFor(n * settings.views),
      settings.loss,
      { kind: "plain" },
      { units: n, views: settings.views },
    ),
  );
  await using team = await startTeam({ device: request.device, floatsPerStep: chosen.batchSize * floatsPerUnit });
  const { intervention } = request;
  const trained = intervention?.rows(rows, settings) ?? rows;
  if (resumeFrom) intervention?.restore?.(resumeFrom.state);
  const result = await train({
    engine: team.engine,
    helpers: team.helpers,
    modelFor: frozen ? (n) => freezeParameters(trained.modelFor(n), frozen.values) : trained.modelFor,
    data: trained.data,
    ...(intervention?.onNoisySum ? { onNoisySum: intervention.onNoisySum } : {}),
    settings,
    ...(initial ? { initial } : {}),
    ...(resumeFrom ? { resumeFrom } : {}),
    saveCheckpoint: (checkpoint) =>
      writeCheckpoint(join(request.out, runFiles.checkpoint), {
        ...checkpoint,
        state: { ...checkpoint.state, ...intervention?.state?.() },
      }),
    checkpointSeconds: request.checkpointSeconds ?? 15,
    ...(request.onStep ? { onProgress: request.onStep } : {}),
    ...(request.signal ? { signal: request.signal } : {}),
  });

  // Of the model's own parameters: what an audit added goes no further.
  const shrunk = whole.parameters.flatMap(({ name }) => {
    const w = result.parameters[name];
    return w ? [[name, w.map((v) => v * chosen.shrinkage)] as const] : [];
  });
  const weights = { ...frozen?.values, ...Object.fromEntries(shrunk) };
  await writeWeights(request.out, weights, shapesOf(whole));
  const predicting = {
    engine,
    source,
    architecture: run.architecture,
    outputs: targets.length,
    weights,
    mirror: run.mirror,
  };
  const validation = splits.validation
    ? await validate(cohort, targets, (images) => predictImages({ ...predicting, images }))
    : null;
  const seconds = (performance.now() - started) / 1000;
  const plan = settings.batches.kind === "private" ? settings.batches.plan : null;
  const epochs = plan ? plan.steps * expectedShare(plan.sampling) : chosen.epochs;
  const report: TrainReport = {
    run: request.out,
    model: run.architecture,
    parameters: parameterCount(whole),
    targets: run.targets,
    units: labelled.length,
    images: labelled.flat().length,
    steps: result.steps,
    privacy: plan && {
      ...(await guaranteeOf(request.out)),
      unit: plan.unit,
      relation: plan.relation,
      noiseMultiplier: plan.noiseMultiplier,
      clipNorm: plan.clipping.norm,
      accountant: plan.accountant,
      insecureSeed: plan.insecureSeed,
    },
    validation: validation && {
      auroc: mean(Object.values(validation.evaluations).map((e) => e.auroc.value)),
      targets: validation.evaluations,
    },
    nonFiniteUnits: result.nonFiniteUnits,
    seconds,
    secondsPerEpoch: seconds / epochs,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    reasons: chosen.reasons,
  };
  await exportModel({ run, weights, out: join(request.out, runFiles.model), rows: 1 });
  await writeRun(request.out, {
    ...run,
    status: "complete",
    result: { thresholds: validation?.thresholds ?? targets.map(() => 0.5), report },
  });
  await rm(join(request.out, runFiles.checkpoint), { force: true });
  return report;
}

/** What the ledger comes to: this run together with whatever its starting weights had cost the same patients. */
async function guaranteeOf(dir: string): Promise<{ epsilon: number; delta: number; notAccounted: string[] }> {
  const { entries } = await readLedger(dir);
  const training = entries.findLast((entry) => entry.kind === "training")!;
  const notAccounted = entries.flatMap((entry) =>
    entry.kind === "not-accounted" && entry.cohortFingerprint === training.cohortFingerprint ? [entry.what] : [],
  );
  return { ...training.cumulative!, notAccounted: [...new Set(notAccounted)] };
}

const shapesOf = (model: Model): Record<string, readonly number[]> =>
  Object.fromEntries(model.parameters.map((p) => [p.name, p.value.shape]));

/** The parameters that are not trained: kept with the run, so that a resumed one has the same. */
async function frozenWeights(
  previous: RunRecord | undefined,
  dir: string,
  model: Model,
  { choices, settings, initial }: Pick<RunRecord, "choices" | "settings"> & { initial?: Record<string, Float32Array> },
): Promise<FrozenWeights | undefined> {
  if (choices.freeze === undefined) return undefined;
  const shapes = shapesOf(model);
  if (previous) return { values: await readFrozen(dir), shapes };
  const start = { ...initialParameters(model, seededRandom(settings.seed, "initial")), ...initial };
  return { values: Object.fromEntries(frozenNames(model, choices.freeze).map((name) => [name, start[name]!])), shapes };
}

const validationUse = "the validation split chose the decision threshold and its AUROC is reported";

const mean = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((v) => v !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

/** Which splits there are; both classes must be in those that are used. */
function checkSplits(cohort: Cohort, targets: readonly Target[]): { validation: boolean } {
  cohort.imagesOf("train");
  const validation = cohort.splits.includes("val");
  for (const target of targets) {
    requireBothClasses(cohort, target, "train");
    if (validation) requireBothClasses(cohort, target, "val");
  }
  return { validation };
}

const seedIsPublic = (settings: TrainingSettings): boolean =>
  settings.batches.kind === "private" ? settings.batches.plan.insecureSeed : settings.reproducible;

/** A resumed run goes on with its own settings; a flag that says otherwise is refused. */
function sameChoices(previous: RunRecord, { choices, seed, targets, out }: TrainRequest): TrainingChoices {
  const asked: Record<string, unknown> = { ...choices, targets: targets.join() };
  const had: Record<string, unknown> = { ...previous.choices, targets: previous.targets.join() };
  if (seed !== undefined) [asked["seed"], had["seed"]] = [String(seed), previous.settings.seed];
  for (const [name, value] of Object.entries(asked))
    if (value !== undefined && had[name] !== value)
      throw new LeadglassError("LG-TRAIN-002", `${out}: the run was started with another ${name}`, {
        hint: "Resume with the flags the run was started with, or with none.",
      });
  return previous.choices;
}

function settingsOf(chosen: ChosenSettings, seed: number | undefined): TrainingSettings {
  return {
    batches: chosen.plan
      ? { kind: "private", plan: chosen.plan }
      : { kind: "shuffled", batchSize: chosen.batchSize, epochs: chosen.epochs },
    views: chosen.views,
    loss: chosen.loss,
    optimiser: chosen.optimiser,
    schedule: chosen.schedule,
    averaging: chosen.averaging,
    seed: seed === undefined ? randomBytes(16).toString("hex") : String(seed),
    reproducible: seed !== undefined,
  };
}

/**
 * What the ledger says before the first patient is read: the whole budget is reserved at once, so that a run that is
 * killed has never spent more than its ledger tells.
 */
async function openingEntries(run: RunRecord, validation: boolean, request: TrainRequest): Promise<LedgerBody[]> {
  const { cohortFingerprint, settings } = run;
  const reproducible = settings.reproducible;
  const at = reproducible ? {} : { at: new Date().toISOString() };
  const name = reproducible
    ? `seed ${settings.seed}`
    : createHash("sha256").update(resolve(request.out)).update(settings.seed).digest("hex").slice(0, 16);
  const bodies: LedgerBody[] = request.initFrom ? await historyOf(request.initFrom) : [];
  bodies.push({ kind: "cohort-opened", cohortFingerprint, ...at });
  if (settings.batches.kind === "private") {
    const { plan } = settings.batches;
    bodies.push({ kind: "training", cohortFingerprint, run: name, plan, stepsDone: plan.steps, ...at });
    bodies.push({
      kind: "public",
      cohortFingerprint,
      what: `the number of training ${plan.unit}s, declared public: it fixes batch size and learning rate`,
      ...at,
    });
    if (request.intervention)
      bodies.push({ kind: "public", cohortFingerprint, what: request.intervention.what, ...at });
  } else
    bodies.push({
      kind: "not-accounted",
      cohortFingerprint,
      what: "training without privacy on the train split",
      ...at,
    });
  if (validation) bodies.push({ kind: "not-accounted", cohortFingerprint, what: validationUse, ...at });
  return bodies;
}

/** What was done to make another run's weights: it has touched patients, and goes where the weights go. */
async function historyOf(dir: string): Promise<LedgerBody[]> {
  const { entries, verification } = await readLedger(dir);
  if (!verification.valid)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: the ledger of the run to start from has been changed`, {
      hint: "Start from another run, or from none.",
    });
  const mark = entries.at(-1)?.hash.slice(0, 12) ?? "";
  return entries.map((entry) => {
    const { index: _i, previousHash: _p, access: _a, sentence: _s, cumulative: _c, hash: _h, ...body } = entry;
    if (body.kind !== "training") return body;
    const { epsilon: _e, ...training } = body;
    return { ...training, run: `${body.run}, before ${mark}` };
  });
}

/** The checkpoint to resume from; none where the run was stopped before its first. */
async function checkpointOf(dir: string, settings: TrainingSettings): Promise<Checkpoint | undefined> {
  const { verification } = await readLedger(dir);
  if (!verification.valid)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: the ledger of this run has been changed`, {
      hint: "Restore the run folder from a backup, or start a new run.",
    });
  const checkpoint = await readCheckpoint(join(dir, runFiles.checkpoint)).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  });
  if (checkpoint && checkpoint.settings !== JSON.stringify(settings))
    throw new LeadglassError("LG-TRAIN-002", `${dir}: the checkpoint belongs to other settings than the run`, {
      hint: "Restore the run folder from a backup, or start a new run.",
    });
  return checkpoint;
}

/** Weights of another run for the parameters that have its names and sizes. */
async function initialFrom(
  dir: string,
  model: Parameters<typeof initialParameters>[0],
  onNote?: (line: string) => void,
): Promise<Record<string, Float32Array>> {
  await readFinishedRun(dir);
  const weights = await readWeights(dir);
  const taken = model.parameters.filter((p) => weights[p.name]?.length === sizeOf(p.value.shape));
  if (taken.length === 0)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: none of these weights fits the model ${model.name}`, {
      hint: "Start from a run of the same architecture.",
    });
  onNote?.(`${taken.length} of ${model.parameters.length} parameters start from ${dir}`);
  return Object.fromEntries(taken.map((p) => [p.name, weights[p.name]!]));
}

async function validate(
  cohort: Cohort,
  targets: readonly Target[],
  predict: (images: readonly number[]) => Promise<Float32Array>,
): Promise<{ thresholds: number[]; evaluations: Record<string, ScoreEvaluation> }> {
  const images = cohort.imagesOf("val");
  const scores = await predict(images);
  const labels = maskedLabels(targets, images);
  const column = (matrix: Float32Array, k: number): Float32Array =>
    Float32Array.from(images, (_, i) => matrix[i * targets.length + k]!);
  const thresholds = targets.map((_, k) => chooseThreshold(column(scores, k), column(labels, k)).threshold);
  const evaluations = evaluateTargets({
    targets: targets.map((t) => t.name),
    scores,
    labels,
    thresholds,
    patients: images.map((i) => cohort.records[i]!.patientId),
    seed: 1,
  });
  return { thresholds, evaluations };
}

/** Labels [images, targets] with NaN where there is none. */
export const maskedLabels = (targets: readonly Target[], images: readonly number[]): Float32Array =>
  Float32Array.from({ length: images.length * targets.length }, (_, cell) => {
    const target = targets[cell % targets.length]!;
    const image = images[Math.floor(cell / targets.length)]!;
    return target.present[image] === 1 ? target.labels[image]! : NaN;
  });
