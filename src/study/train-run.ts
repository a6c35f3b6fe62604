import { createHash, randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { openCohort, requireBothClasses, type Cohort, type SyntheticOrigin, type Target } from "../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { chooseThreshold, evaluateTargets, type ScoreEvaluation } from "../evaluation/index.ts";
import { sizeOf } from "../graph/index.ts";
import { secureRandom, seededRandom, type RandomSource } from "../math/random.ts";
import {
  buildModel,
  foreignWeights,
  initialParameters,
  parameterCount,
  type ForeignTensor,
  type Model,
} from "../nn/index.ts";
import {
  appendEntries,
  budgetOf,
  costOfModel,
  eventOf,
  expectedShare,
  noisyCells,
  patientEpsilon,
  type DpPlan,
  type LedgerBody,
  type LedgerEntry,
  type PatientCost,
} from "../privacy/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import { decodeSafetensors } from "../runtime/safetensors.ts";
import { readCheckpoint, writeCheckpoint, type Checkpoint } from "../training/checkpoint.ts";
import { startTeam } from "../training/engines.ts";
import { accumulateGraph } from "../training/step.ts";
import { floatsOfUnit } from "../training/tile.ts";
import { train, type TrainingProgress, type TrainingSettings } from "../training/train.ts";
import { bestState, unitScores } from "./best-state.ts";
import { ledgerForRun, readLedgerFile } from "./cohort-ledger.ts";
import { exportModel } from "./deploy.ts";
import { importFeatures } from "./features.ts";
import { historyOf } from "./history.ts";
import { nobodysEntries, openNobodysImages, type NobodysImages } from "./nobodys-images.ts";
import { cellsPerTarget, noisyThresholds, scoreCells } from "./noisy-threshold.ts";
import { refuseSharedPatients } from "./shared-patients.ts";
import { frozenNames, withFrozenBackbone } from "./freeze.ts";
import { openRows, predictImages, prepareRows, readAll, type PreparedData, type Progress } from "./rows.ts";
import {
  codeVersion,
  createRunFolder,
  finishRun,
  readFinishedRun,
  readFrozen,
  readLedger,
  readRun,
  readWeights,
  recordDigest,
  refuseExistingRun,
  refuseForgottenRuns,
  runFiles,
  writeWeights,
  type FrozenWeights,
  type RunRecord,
  type RunResult,
  type RunStart,
} from "./run-folder.ts";
import { settingsOf } from "./train-settings.ts";
import { pooledRows } from "./strategies.ts";
import { generatorsBehind, originEntry } from "./synthetic-origin.ts";
import { chooseSettings, unitOf, type ChosenSettings, type TrainingChoices } from "./settings.ts";

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
  /** The cohort that those weights were learnt on, where it is no longer where it was. */
  readonly initCohort?: string;
  /** The folder of ledgers; by default LEADGLASS_LEDGERS, or a folder beside the run. */
  readonly ledger?: string;
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
  /** What of its outcome is computed from patients without noise; for the ledger. */
  readonly ownerOnly?: string;
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
    /** What the training itself released; what is for the owner alone is in `ownerOnly`. */
    readonly notAccounted: readonly string[];
    /** What everything accounted on the cohort so far comes to, this run with it. */
    readonly cumulative: { readonly epsilon: number; readonly delta: number };
  } | null;
  /** Which generator drew the training images, and what it has cost its patients; null for images of patients. */
  readonly synthetic: SyntheticOrigin | null;
  /**
   * Where images are the units: what the plan comes to for the patient who has most of them in the training, whose number of
   * images is nobody else's business. Null otherwise, and where sampling leaves nothing that is proved of several images.
   */
  readonly wholePatient: PatientCost | null;
  /** Parts of this report that no noise covers: for the owner of the data, and not to be passed on. */
  readonly ownerOnly: readonly (keyof TrainReport)[];
  /** Mean over targets of the AUROC on the validation split, and each target's; null without a validation split. */
  readonly validation: {
    /** True where the validation patients are as private as the others, so that these figures are for the owner alone. */
    readonly private: boolean;
    readonly auroc: number | null;
    readonly targets: Readonly<Record<string, ScoreEvaluation>>;
  } | null;
  /** The state of the training that was kept, where it was to be the best of several: after which of its steps. */
  readonly kept: { readonly step: number; readonly of: readonly number[] } | null;
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
  if (previous?.result) {
    if (previous.status !== "complete") await finishRun(request.out, previous, previous.result, timeOf(previous));
    await rm(join(request.out, runFiles.checkpoint), { force: true });
    return reportOf(previous.result);
  }
  if (!previous) await refuseExistingRun(request.out);
  const cohort = await openCohort(request.cohort);
  const targets = request.targets.map((t) => cohort.target(t));
  const splits = checkSplits(cohort, targets);
  if (request.choices.bestOf !== undefined && !splits.validation)
    throw new LeadglassError("LG-USAGE-001", "--best-of: this cohort has no validation split to choose by", {
      hint: "Leave --best-of out, or give some patients the split val.",
    });
  if (previous?.choices.canaries !== undefined && !request.intervention)
    throw new LeadglassError("LG-TRAIN-002", `${request.out}: this run was started by an audit`, {
      hint: "Resume it with audit: its canaries are among the units.",
    });
  if (previous && previous.cohortFingerprint !== cohort.fingerprint)
    throw new LeadglassError("LG-TRAIN-002", `${request.out}: the cohort has changed since this run began`, {
      hint: "Resume on the cohort the run was started on, or start a new run.",
    });
  const asked = previous ? sameChoices(previous, request) : request.choices;
  const ledger = previous
    ? resolve(request.out, previous.ledger.path)
    : await ledgerForRun(cohort.fingerprint, request);
  const history = (await readLedgerFile(ledger)) ?? [];
  if (!previous) await refuseForgottenRuns(request.out, ledger, history);
  const extractor =
    asked.features === undefined || previous ? undefined : await importFeatures(asked.features, asked.model);
  const chosenChoices = extractor ? { ...asked, model: extractor.name } : asked;
  const choices = previous
    ? asked
    : withBudgetDelta(chosenChoices, budgetOf(history, cohort.fingerprint) ?? cohort.budget);
  const insecureSeed = previous ? seedIsPublic(previous.settings) : request.seed !== undefined;
  const unit = unitOf(choices);
  const units =
    unit === "patient" ? cohort.patientsOf("train").map((p) => p.images) : cohort.imagesOf("train").map((i) => [i]);
  const labelled = units
    .map((images) => images.filter((i) => targets.some((t) => t.present[i] === 1)))
    .filter((images) => images.length > 0);
  const nobodys = await openNobodysImages(choices, targets);
  if (nobodys && (request.intervention || cohort.medium !== "images"))
    throw new LeadglassError("LG-USAGE-001", `--synthetic does not go with ${request.intervention ? "an audit" : "volumes"}`, { hint: "Leave it out." }); // prettier-ignore
  const inPool = nobodys?.use === "pool" ? nobodys.images.length : 0;
  const chosen = chooseSettings(
    choices,
    {
      units: labelled.length + inPool + (request.intervention?.units(labelled.length) ?? 0),
      images: labelled.flat().length + inPool,
      medium: cohort.medium,
      framing: cohort.framing,
    },
    insecureSeed,
  );
  const seed = request.seed === undefined ? randomBytes(16).toString("hex") : String(request.seed);
  const settings =
    previous?.settings ??
    withPositiveWeights(settingsOf(chosen, seed, request.seed !== undefined, nobodys), chosen, {
      asked: choices.positiveWeights ?? choices.profile === "reference",
      targets,
      units: labelled,
    });
  chosen.reasons.forEach((reason) => request.onNote?.(reason));
  cohort.warnings.forEach((w) => request.onNote?.(`${w.place}: ${w.message}. ${w.remedy}`));

  const { channels, preparation } = chosen;
  const early = { chosen, cohort, validation: splits.validation, request, nobodys };
  // The budget is looked at before the work of reading images; what counts is the look at the reservation.
  if (!previous)
    await appendEntries(history, [...firstBudget(history, cohort), ...accesses(settings, "this run", early, history)]);

  if (!previous && request.initFrom !== undefined) await refuseSharedPatients(request.initFrom, cohort, request);
  await using engine = await startEngine({ device: request.device });
  const source = openRows(cohort, { channels, imageSize: chosen.imageSize, volume: chosen.volume, preparation });
  using _store = source.store;
  const start: RunStart = previous ?? {
    version: 2,
    cohortFingerprint: cohort.fingerprint,
    targets: targets.map((t) => t.name),
    architecture: chosen.architecture,
    imageSize: chosen.imageSize,
    ...(chosen.volume ? { volume: chosen.volume } : {}),
    channels,
    unit,
    mirror: chosen.mirror,
    ...(preparation === "reference" ? { preparation } : {}),
    choices: {
      ...(extractor ? { ...asked, model: extractor.name } : asked),
      ...(nobodys ? { syntheticFingerprint: nobodys.cohort.fingerprint } : {}),
    },
    settings,
  };
  if (!previous && splits.validation) await readAll(source, cohort.imagesOf("val"));
  const whole = buildModel(chosen.architecture, { inputShape: source.inputShape, rows: 1, outputs: targets.length });
  const initial = request.initFrom ? await initialFrom(request.initFrom, whole, request.onNote) : undefined;
  const resumeFrom = previous ? await checkpointOf(request.out, previous) : undefined;
  const frozen = await frozenWeights(previous, request.out, whole, { ...start, initial });
  const rows = await prepareRows({
    engine,
    cohort,
    targets,
    source,
    units: labelled,
    architecture: chosen.architecture,
    variants: chosen.variants,
    augmentation: chosen.augmentation,
    ...(frozen ? { adapt: (model: Model) => withFrozenBackbone(model, frozen.values) } : {}),
    ...(request.onFeatures ? { onProgress: request.onFeatures } : {}),
  });
  const drawn = nobodys && openRows(nobodys.cohort, { channels, imageSize: chosen.imageSize, preparation });
  using _drawn = drawn?.store;
  const drawnRows =
    nobodys &&
    (await prepareRows({
      ...{ engine, cohort: nobodys.cohort, targets: nobodys.targets, source: drawn! },
      units: nobodys.images.map((i) => [i]),
      ...{ architecture: chosen.architecture, variants: chosen.variants, augmentation: chosen.augmentation },
      ...(frozen ? { adapt: (model: Model) => withFrozenBackbone(model, frozen.values) } : {}),
    }));
  const run =
    previous ??
    (await createRunFolder(request.out, start, {
      cohort: request.cohort,
      ledger,
      open: (entries) => opening(entries, { start, ...early }),
      ...(frozen ? { frozen } : {}),
      ...(extractor ? { features: extractor.bytes } : {}),
    }));

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
  const pool = drawnRows && nobodys?.use === "pool" ? pooledRows(rows, drawnRows) : rows;
  const trained = intervention?.rows(pool, settings) ?? pool;
  if (resumeFrom) intervention?.restore?.(resumeFrom.state);
  const result = await train({
    engine: team.engine,
    helpers: team.helpers,
    modelFor: trained.modelFor,
    data: trained.data,
    ...(drawnRows && nobodys?.use === "beside" ? { beside: drawnRows.data } : {}),
    ...(intervention?.onNoisySum ? { onNoisySum: intervention.onNoisySum } : {}),
    settings,
    ...(initial ? { initial } : {}),
    ...(resumeFrom ? { resumeFrom } : {}),
    ...(asked.bestOf === undefined ? {} : { states: asked.bestOf }),
    saveCheckpoint: (checkpoint) =>
      writeCheckpoint(join(request.out, runFiles.checkpoint), {
        ...checkpoint,
        anchor: anchorOf(run),
        state: { ...checkpoint.state, ...intervention?.state?.() },
      }),
    checkpointSeconds: request.checkpointSeconds ?? 15,
    ...(request.onStep ? { onProgress: request.onStep } : {}),
    ...(request.signal ? { signal: request.signal } : {}),
  });

  // Of the model's own parameters: what an audit added goes no further.
  const weightsOf = (parameters: Readonly<Record<string, Float32Array>>): Record<string, Float32Array> => {
    const shrunk = whole.parameters.flatMap(({ name }) => {
      const w = parameters[name];
      return w ? [[name, w.map((v) => v * chosen.shrinkage)] as const] : [];
    });
    return { ...frozen?.values, ...Object.fromEntries(shrunk) };
  };
  const predict = (weights: Readonly<Record<string, Float32Array>>, images: readonly number[]): Promise<Float32Array> =>
    predictImages({
      ...{ engine, source, weights, images },
      ...{ architecture: run.architecture, outputs: targets.length, mirror: run.mirror },
    });
  const plan = settings.batches.kind === "private" ? settings.batches.plan : null;
  const kept =
    asked.bestOf === undefined
      ? result.states.at(-1)!
      : result.states[
          await choiceOfState(cohort, targets, {
            predictions: (images) => result.states.map((state) => () => predict(weightsOf(state.parameters), images)),
            unit,
            noise: plan && asked.validation !== "public" ? { plan, settings, epsilon: chosen.noise!.choice! } : null,
          })
        ]!;
  const weights = weightsOf(kept.parameters);
  await writeWeights(request.out, weights, shapesOf(whole));
  const validation = splits.validation
    ? await validate(cohort, targets, {
        predict: (images) => predict(weights, images),
        noise:
          plan && asked.validation !== "public"
            ? { plan, settings, multiplier: await histogramNoise(run, request.out) }
            : null,
      })
    : null;
  const seconds = (performance.now() - started) / 1000;
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
      ...(await guaranteeOf(request.out, run)),
      unit: plan.unit,
      relation: plan.relation,
      noiseMultiplier: plan.noiseMultiplier,
      clipNorm: plan.clipping.norm,
      accountant: plan.accountant,
      insecureSeed: plan.insecureSeed,
    },
    synthetic: cohort.synthetic ?? nobodys?.cohort.synthetic ?? null,
    wholePatient: plan && costOfWholePatient(plan, cohort, labelled.flat()),
    ownerOnly: plan ? ownerOnly.filter((name) => name !== "validation" || validation?.private === true) : [],
    validation: validation && {
      private: validation.private,
      auroc: mean(Object.values(validation.evaluations).map((e) => e.auroc.value)),
      targets: validation.evaluations,
    },
    kept: asked.bestOf === undefined ? null : { step: kept.step, of: result.states.map((state) => state.step) },
    nonFiniteUnits: result.nonFiniteUnits,
    seconds,
    secondsPerEpoch: seconds / epochs,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    reasons: chosen.reasons,
  };
  await exportModel({ run, weights, out: join(request.out, runFiles.model), rows: 1 });
  const thresholds = validation?.thresholds ?? targets.map(() => 0.5);
  await finishRun(request.out, run, resultOf(report, thresholds), timeOf(run));
  await rm(join(request.out, runFiles.checkpoint), { force: true });
  return report;
}

/** What the ledger comes to: this model with whatever its starting weights had cost the same patients. */
async function guaranteeOf(dir: string, { ledger, cohortFingerprint }: RunRecord) {
  const { entries } = await readLedger(dir);
  const { epsilon, delta, notAccounted } = costOfModel(entries, ledger.run)!;
  const cumulative = entries.findLast(
    (entry) => entry.run === ledger.run && entry.cohortFingerprint === cohortFingerprint && entry.cumulative !== null,
  )!.cumulative!;
  return { epsilon, delta, notAccounted, cumulative };
}

function costOfWholePatient(plan: DpPlan, { records }: Cohort, images: readonly number[]): PatientCost | null {
  const event = eventOf(plan, plan.steps);
  if (plan.unit === "patient" || event.kind !== "poisson-gaussian") return null;
  const counts = [...Map.groupBy(images, (i) => records[i]!.patientId).values()].map((of) => of.length);
  return patientEpsilon([event], plan.delta, Math.max(...counts), { relation: plan.relation });
}

/** What of a private run's report is computed from its patients without noise. */
const ownerOnly: readonly (keyof TrainReport)[] = [
  ...([
    "validation",
    "wholePatient",
    "images",
    "nonFiniteUnits",
    "seconds",
    "secondsPerEpoch",
    "peakMemoryBytes",
  ] as const),
];

/** A report as it is kept: what is for the owner alone lies apart. */
function resultOf(report: TrainReport, thresholds: readonly number[]): RunResult {
  const apart = (name: string): boolean => (report.ownerOnly as readonly string[]).includes(name);
  const parts = Object.entries(report);
  return {
    thresholds,
    report: Object.fromEntries(parts.filter(([name]) => !apart(name))),
    ownerOnly: report.ownerOnly.length > 0 ? Object.fromEntries(parts.filter(([name]) => apart(name))) : null,
  };
}

/** The whole report of a finished run, for its owner. */
const reportOf = ({ report, ownerOnly: own }: RunResult): TrainReport => ({ ...(report as TrainReport), ...own });

/** When something happened; a run that is to be repeated exactly has no clock. */
export const timeOf = ({ settings }: Pick<RunStart, "settings">): string | undefined =>
  settings.reproducible ? undefined : new Date().toISOString();

export const anchorOf = ({ ledger: { index, hash } }: RunRecord) => ({ index, hash });

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

export const seedIsPublic = (settings: TrainingSettings): boolean =>
  settings.batches.kind === "private" ? settings.batches.plan.insecureSeed : settings.reproducible;

/** Under a budget, delta is the budget's unless another is given: epsilons at different deltas cannot be compared. */
export function withBudgetDelta(
  choices: TrainingChoices,
  budget: { readonly delta: number; readonly unit: string } | null | undefined,
): TrainingChoices {
  const { epsilon, delta } = choices;
  if (epsilon === undefined || delta !== undefined || budget?.unit !== unitOf(choices)) return choices;
  return { ...choices, delta: budget.delta };
}

/** Coins that protect, unless the run is openly marked as one to be repeated. */
export const sourceFor = (plan: DpPlan, seed: string, purpose: string): RandomSource =>
  plan.insecureSeed ? seededRandom(seed, purpose) : secureRandom();

/** The loss with a weight for positives: how many negatives there are to each, a unit counting once; within 50 times. */
function withPositiveWeights(
  settings: TrainingSettings,
  { noise }: ChosenSettings,
  { asked, targets, units }: { asked: boolean; targets: readonly Target[]; units: readonly (readonly number[])[] },
): TrainingSettings {
  const { loss, batches, seed } = settings;
  if (!asked || loss.kind !== "binary") return settings;
  const counts = new Float64Array(2 * targets.length);
  for (const images of units)
    targets.forEach(({ labels, present }, k) => {
      const known = images.filter((i) => present[i] === 1);
      for (const i of known) counts[2 * k + labels[i]!]! += 1 / known.length;
    });
  let released: Float64Array = counts;
  if (batches.kind === "private") {
    using source = sourceFor(batches.plan, seed, "label counts");
    const norm = Math.sqrt(targets.length);
    released = noisyCells(batches.plan, counts, { norm, noiseMultiplier: noise!.labelCounts! }, source).cells;
  }
  const weights = targets.map((_, k) => {
    const [negatives, positives] = [Math.max(released[2 * k]!, 1), Math.max(released[2 * k + 1]!, 1)];
    return Math.min(Math.max(negatives / positives, 1 / 50), 50);
  });
  return { ...settings, loss: { ...loss, positiveWeights: weights } };
}

/** A resumed run goes on with its own settings; a flag that says otherwise is refused. */
function sameChoices(previous: RunRecord, { choices, seed, targets, out }: TrainRequest): TrainingChoices {
  const asked: Record<string, unknown> = { ...choices, targets: targets.join() };
  const had: Record<string, unknown> = { ...previous.choices, targets: previous.targets.join() };
  if (seed !== undefined) [asked["seed"], had["seed"]] = [String(seed), previous.settings.seed];
  // With an extractor, the model asked for is its head.
  if (choices.features !== undefined && choices.model !== undefined) asked["model"] = `${String(had["model"]).split(":").slice(0, 2).join(":")}:${choices.model}`; // prettier-ignore
  for (const [name, value] of Object.entries(asked))
    if (value !== undefined && had[name] !== value)
      throw new LeadglassError("LG-TRAIN-002", `${out}: the run was started with another ${name}`, {
        hint: "Resume with the flags the run was started with, or with none.",
      });
  return previous.choices;
}

interface Opening {
  readonly chosen: ChosenSettings;
  readonly cohort: Cohort;
  /** True where there is a validation split. */
  readonly validation: boolean;
  readonly request: TrainRequest;
  readonly nobodys: NobodysImages | null;
}

/**
 * What the ledger says before the first patient is read: everything the run will cost is reserved at once, so that a run
 * that is killed has never spent more than its ledger tells.
 */
async function opening(
  entries: readonly LedgerEntry[],
  { start, ...how }: Opening & { readonly start: RunStart },
): Promise<{ name: string; bodies: LedgerBody[] }> {
  const { cohortFingerprint, settings } = start;
  const { request } = how;
  const out = resolve(request.out);
  const file = request.initFrom !== undefined && isWeightsFile(request.initFrom) ? request.initFrom : undefined;
  const digest =
    file &&
    createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  const fromRun = file === undefined ? request.initFrom : undefined;
  const history = fromRun ? await historyOf(fromRun, cohortFingerprint, entries) : null;
  const inherited = [...firstBudget(entries, how.cohort), ...(history?.bodies ?? [])];
  const place = createHash("sha256").update(out).update(settings.seed).digest("hex").slice(0, 8);
  const name = settings.reproducible
    ? `seed ${settings.seed}, entry ${entries.length + inherited.length}`
    : `${basename(out)} ${place}`;
  const at = timeOf(start);
  const own: LedgerBody[] = [
    { kind: "cohort-opened", cohortFingerprint, run: name, record: recordDigest(start) },
    ...(history ? [{ kind: "started-from", cohortFingerprint, run: name, from: history.from } as const] : []),
    ...(digest
      ? [{ kind: "public", cohortFingerprint, run: name, what: "starting weights from a file, declared public: no patient of this cohort may have been among what they learned from", details: { sha256: digest } } as const] // prettier-ignore
      : []),
    ...(fromRun ? await generatorsBehind(fromRun, cohortFingerprint, { run: name, ledger: entries }) : []),
    ...accesses(settings, name, how, entries),
  ];
  return {
    name,
    bodies: [...inherited, ...own.map((body) => ({ ...body, codeVersion, ...(at === undefined ? {} : { at }) }))],
  };
}

/** The budget that cohort.yaml begins with, where the ledger has none yet. */
export const firstBudget = (entries: readonly LedgerEntry[], { fingerprint, budget }: Cohort): LedgerBody[] =>
  budget === null || budgetOf(entries, fingerprint) !== undefined
    ? []
    : [{ kind: "budget", cohortFingerprint: fingerprint, ...budget, details: { from: "cohort.yaml" }, codeVersion }];

/** Every use that a run makes of the cohort's patients. */
function accesses(
  settings: TrainingSettings,
  run: string,
  { chosen, cohort, validation, request, nobodys }: Opening,
  ledger: readonly LedgerEntry[],
): LedgerBody[] {
  const { fingerprint: cohortFingerprint } = cohort;
  const { bestOf: best } = request.choices;
  const common = { cohortFingerprint, run };
  const train = { ...common, splits: ["train"] };
  const val = { ...common, splits: ["val"] };
  const origin = [
    ...(cohort.synthetic ? [originEntry(cohort.synthetic, cohortFingerprint, run)] : []),
    ...(nobodys ? nobodysEntries(nobodys, cohortFingerprint, { run, ledger }) : []),
  ];
  // Images of nobody: what their generator has cost is all there is to say.
  if (cohort.synthetic && settings.batches.kind !== "private") return origin;
  if (settings.batches.kind !== "private") {
    const what = "training without privacy on the train split";
    const use = `the validation split chose the decision threshold${best === undefined ? "" : ` and the best of ${best} states of the training`}, and its AUROC is reported`;
    return [
      { kind: "not-accounted", ...train, what },
      ...(nobodys ? nobodysEntries(nobodys, cohortFingerprint, { run, ledger }) : []),
      ...(validation ? [{ kind: "not-accounted", ...val, what: use } as const] : []),
    ];
  }
  const { plan } = settings.batches;
  const { unit, relation, delta } = plan;
  const noise = chosen.noise!;
  const targets = request.targets.length;
  const bodies: LedgerBody[] = [...origin];
  if (noise.labelCounts !== null)
    bodies.push({
      kind: "noisy-count",
      ...train,
      ...{ unit, relation, delta, noiseMultiplier: noise.labelCounts },
      what: `how many training ${unit}s have and have not each of ${targets} finding(s), for the weight of positives`,
    });
  bodies.push({ kind: "training", ...train, plan, stepsDone: plan.steps });
  if (chosen.architecture.startsWith("features:"))
    bodies.push({
      kind: "public",
      ...train,
      what: "the feature extractor, a file, declared public: no patient of this cohort may have been among what it learned from",
      details: { architecture: chosen.architecture },
    });
  bodies.push({
    kind: "public",
    ...train,
    what: `the number of training ${unit}s, declared public: it fixes batch size and learning rate`,
  });
  if (request.choices.model === undefined && cohort.framing)
    bodies.push({
      kind: "public",
      ...common,
      what: `how images are framed (${cohort.framing.from}), declared public: it decides which model is trained`,
    });
  if (cohort.warnings.some((warning) => warning.code === "LG-COHORT-017"))
    bodies.push({
      kind: "public",
      ...common,
      what: "which patient is in which split, declared public: no column says so, and it was drawn in view of all patients",
    });
  if (request.intervention) {
    const { what, ownerOnly } = request.intervention;
    bodies.push({ kind: "public", ...train, what });
    if (ownerOnly !== undefined) bodies.push({ kind: "owner-only", ...train, what: ownerOnly });
  }
  bodies.push({
    kind: "owner-only",
    ...train,
    what: "the number of training images, of gradients left out for not being finite, and the time that training took",
  });
  if (validation && request.choices.validation === "public")
    bodies.push({
      kind: "public",
      ...val,
      what: `the validation patients, declared public: the decision threshold${best === undefined ? "" : `, the best of ${best} states of the training`} and the AUROC are theirs, without noise`,
    });
  else if (validation) {
    if (noise.choice !== null)
      bodies.push({
        kind: "private-choice",
        ...val,
        ...{ unit, relation, delta, candidates: best!, pureEpsilon: noise.choice },
        what: "which state of the training is kept, by the squared errors of the validation patients",
      });
    bodies.push({
      kind: "noisy-histogram",
      ...val,
      ...{ unit, relation, delta, noiseMultiplier: noise.validation, cells: targets * cellsPerTarget },
      what: "scores of the validation patients, for the decision threshold",
    });
    bodies.push({ kind: "owner-only", ...val, what: "the AUROC on the validation split with its interval" });
  }
  return bodies;
}

/** Which state of a training the validation patients have as the best. */
async function choiceOfState(
  cohort: Cohort,
  targets: readonly Target[],
  {
    predictions,
    unit,
    noise,
  }: {
    /** Of each state, to be computed one after another. */
    readonly predictions: (images: readonly number[]) => readonly (() => Promise<Float32Array>)[];
    readonly unit: "patient" | "image";
    readonly noise: { readonly plan: DpPlan; readonly settings: TrainingSettings; readonly epsilon: number } | null;
  },
): Promise<number> {
  const images = cohort.imagesOf("val");
  const labels = maskedLabels(targets, images);
  const units = unit === "patient" ? images.map((i) => cohort.records[i]!.patientId) : images;
  const perUnit: Float64Array[] = [];
  for (const predicted of predictions(images))
    perUnit.push(unitScores(await predicted(), labels, units, targets.length));
  if (noise === null) return bestState(perUnit, null);
  const { plan, settings, epsilon } = noise;
  using source = sourceFor(plan, settings.seed, "choice of a state");
  return bestState(perUnit, { epsilon, relation: plan.relation, source, insecureSeed: plan.insecureSeed });
}

/** The noise that a run's ledger has reserved for the histogram of its validation scores. */
async function histogramNoise({ ledger }: RunRecord, dir: string): Promise<number> {
  const { entries } = await readLedger(dir);
  const reserved = entries.find((entry) => entry.kind === "noisy-histogram" && entry.run === ledger.run);
  if (reserved?.kind === "noisy-histogram") return reserved.noiseMultiplier;
  throw new LeadglassError("LG-BUG-001", "a private validation without its entry in the ledger");
}

/** The checkpoint to resume from; none where the run was stopped before its first. The run's record is verified by now. */
export async function checkpointOf(dir: string, run: RunRecord): Promise<Checkpoint | undefined> {
  const path = join(dir, runFiles.checkpoint);
  const refuse = (message: string, cause?: unknown): LeadglassError =>
    new LeadglassError("LG-PRIVACY-005", `${path}: ${message}`, {
      hint: "Restore the run folder from a backup, or start a new run.",
      ...(cause === undefined ? {} : { cause }),
    });
  let checkpoint: Checkpoint;
  try {
    checkpoint = await readCheckpoint(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    if (isLeadglassError(error) && error.code === "LG-RUNTIME-003")
      throw refuse("this checkpoint has been changed since it was written", error);
    throw error;
  }
  const { anchor, settings } = checkpoint;
  if (settings !== JSON.stringify(run.settings)) throw refuse("the checkpoint belongs to other settings than the run");
  if (anchor?.hash !== run.ledger.hash || anchor.index !== run.ledger.index)
    throw refuse("the checkpoint was paid for by another entry of the ledger than the run's");
  return checkpoint;
}

/** Weights that another project wrote, where no run is named. */
const isWeightsFile = (place: string): boolean => place.endsWith(".safetensors");

async function readForeign(path: string): Promise<Record<string, ForeignTensor>> {
  const { tensors } = decodeSafetensors(await readFile(path));
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([name, { dtype, shape, data }]) =>
      dtype === "float32" ? [[name, { shape, data: data as Float32Array }]] : [],
    ),
  );
}

async function weightsOfRun(dir: string): Promise<Record<string, Float32Array>> {
  await readFinishedRun(dir);
  return readWeights(dir);
}

/** Weights of another run, or of a file, for the parameters that have its names and sizes. */
async function initialFrom(
  dir: string,
  model: Model,
  onNote?: (line: string) => void,
): Promise<Record<string, Float32Array>> {
  const weights = isWeightsFile(dir)
    ? foreignWeights(model.parameters, await readForeign(dir))
    : await weightsOfRun(dir);
  const taken = model.parameters.filter((p) => weights[p.name]?.length === sizeOf(p.value.shape));
  if (taken.length === 0)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: none of these weights fits the model ${model.name}`, {
      hint: "Start from a run, or a file of weights, of the same architecture.",
    });
  onNote?.(`${taken.length} of ${model.parameters.length} parameters start from ${dir}`);
  return Object.fromEntries(taken.map((p) => [p.name, weights[p.name]!]));
}

/**
 * Thresholds and metrics on the validation split. With `noise` its patients are private: the thresholds then come from a
 * histogram released with noise, and the metrics are for the owner alone.
 */
async function validate(
  cohort: Cohort,
  targets: readonly Target[],
  {
    predict,
    noise,
  }: {
    readonly predict: (images: readonly number[]) => Promise<Float32Array>;
    readonly noise: { readonly plan: DpPlan; readonly settings: TrainingSettings; readonly multiplier: number } | null;
  },
): Promise<{ thresholds: number[]; private: boolean; evaluations: Record<string, ScoreEvaluation> }> {
  const images = cohort.imagesOf("val");
  const scores = await predict(images);
  const labels = maskedLabels(targets, images);
  const patients = images.map((i) => cohort.records[i]!.patientId);
  const column = (matrix: Float32Array, k: number): Float32Array =>
    Float32Array.from(images, (_, i) => matrix[i * targets.length + k]!);
  const privately = ({ plan, settings, multiplier }: NonNullable<typeof noise>): number[] => {
    using source = sourceFor(plan, settings.seed, "validation histogram");
    return noisyThresholds(scoreCells(scores, labels, plan.unit === "patient" ? patients : images, targets.length), {
      plan,
      noiseMultiplier: multiplier,
      targets: targets.length,
      positiveWeights: settings.loss.kind === "binary" ? settings.loss.positiveWeights : undefined,
      source,
    });
  };
  const thresholds = noise
    ? privately(noise)
    : targets.map((_, k) => chooseThreshold(column(scores, k), column(labels, k)).threshold);
  const evaluations = evaluateTargets({
    targets: targets.map((t) => t.name),
    scores,
    labels,
    thresholds,
    patients,
    seed: 1,
  });
  return { thresholds, private: noise !== null, evaluations };
}

/** Labels [images, targets] with NaN where there is none. */
export const maskedLabels = (targets: readonly Target[], images: readonly number[]): Float32Array =>
  Float32Array.from({ length: images.length * targets.length }, (_, cell) => {
    const target = targets[cell % targets.length]!;
    const image = images[Math.floor(cell / targets.length)]!;
    return target.present[image] === 1 ? target.labels[image]! : NaN;
  });
