import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { openCohort, requireBothClasses, type Cohort, type Target } from "../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { buildModel, parameterCount, type Model } from "../nn/index.ts";
import { appendEntries, budgetOf, expectedShare, noisyCells } from "../privacy/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import { readCheckpoint, removeCheckpoint, writeCheckpoint, type Checkpoint } from "../training/checkpoint.ts";
import { startTeam } from "../training/engines.ts";
import { accumulateGraph } from "../training/step.ts";
import { floatsOfUnit } from "../training/tile.ts";
import { train, type TrainingProgress, type TrainingSettings } from "../training/train.ts";
import { ledgerForRun, readLedgerFile } from "./cohort-ledger.ts";
import { exportModel } from "./deploy.ts";
import { importFeatures } from "./features.ts";
import { openNobodysImages } from "./nobodys-images.ts";
import { refuseSharedPatients } from "./shared-patients.ts";
import { withFrozenBackbone } from "./freeze.ts";
import { openRows, predictImages, prepareRows, readAll, type PreparedData, type Progress } from "./rows.ts";
import {
  createRunFolder,
  finishRun,
  readRun,
  refuseExistingRun,
  refuseForgottenRuns,
  runFiles,
  writeWeights,
  type RunRecord,
  type RunStart,
} from "./run-folder.ts";
import { seedIsPublic, settingsOf, sourceFor } from "./train-settings.ts";
import { pooledRows } from "./strategies.ts";
import { chooseSettings, unitOf, type ChosenSettings, type TrainingChoices } from "./settings.ts";
import { ownerOnly, reportOf, resultOf, type TrainReport } from "./train-report.ts";
import {
  accesses,
  anchorOf,
  costOfWholePatient,
  firstBudget,
  guaranteeOf,
  histogramNoise,
  opening,
  timeOf,
} from "./train-ledger.ts";
import { frozenWeights, initialFrom, shapesOf } from "./starting-weights.ts";
import { choiceOfState, mean, validate } from "./train-validation.ts";

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
    await removeCheckpoint(join(request.out, runFiles.checkpoint));
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
  await removeCheckpoint(join(request.out, runFiles.checkpoint));
  return report;
}

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

/** Under a budget, delta is the budget's unless another is given: epsilons at different deltas cannot be compared. */
export function withBudgetDelta(
  choices: TrainingChoices,
  budget: { readonly delta: number; readonly unit: string } | null | undefined,
): TrainingChoices {
  const { epsilon, delta } = choices;
  if (epsilon === undefined || delta !== undefined || budget?.unit !== unitOf(choices)) return choices;
  return { ...choices, delta: budget.delta };
}

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
