import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import {
  canonicalJson,
  costOfModel,
  formatEntry,
  type LedgerBody,
  type LedgerEntry,
  type LedgerProblem,
} from "../privacy/index.ts";
import { decodeSafetensors, encodeSafetensors } from "../runtime/safetensors.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import type { TrainingSettings } from "../training/train.ts";
import { appendToCohortLedger, changed, checkedLedger, ledgerPath, textOf } from "./cohort-ledger.ts";
import { featuresFile, knowArchitecture } from "./features.ts";
import type { TrainingChoices } from "./settings.ts";
import type { VolumeInput } from "./volume-input.ts";

/** Names of the files in a run folder. */
export const runFiles = {
  run: "run.json",
  ledger: "ledger.jsonl",
  checkpoint: "checkpoint.safetensors",
  weights: "weights.safetensors",
  frozen: "frozen.safetensors",
  model: "model.onnx",
} as const;

/** What a run says of itself when it begins; its SHA-256 stands in the ledger, so that no edit of it goes unseen. */
export interface RunStart {
  readonly version: 2;
  readonly cohortFingerprint: string;
  readonly targets: readonly string[];
  readonly architecture: string;
  /** Null where rows are volumes. */
  readonly imageSize: number | null;
  /** How volumes are brought to the model; absent where rows are images. */
  readonly volume?: VolumeInput;
  readonly channels: 1 | 3;
  readonly unit: "patient" | "image";
  /** True where the mean over an image and its mirror image is the answer. */
  readonly mirror: boolean;
  /** How pixels are prepared, where not plainly. */
  readonly preparation?: "reference";
  readonly choices: TrainingChoices;
  readonly settings: TrainingSettings;
}

/** What a run folder says of itself. */
export interface RunRecord extends RunStart {
  /** "finishing" is between a result that is written and its entry in the ledger. */
  /** The cohort's folder, from the run's: for finding patients whom another cohort shares. */
  readonly cohort?: string;
  readonly status: "training" | "finishing" | "complete";
  readonly ledger: RunLedger;
  /** Filled in when the training is done. */
  readonly result?: RunResult;
}

/** Where a run stands in the ledger of its cohort. The folder's own copy reaches at least to the entry named here. */
export interface RunLedger {
  /** The cohort's ledger, from the run's folder. */
  readonly path: string;
  /** The run's name there. */
  readonly run: string;
  readonly index: number;
  readonly hash: string;
}

export interface RunResult {
  /** One a target, chosen on the validation split; 0.5 where there is none. */
  readonly thresholds: readonly number[];
  readonly report: unknown;
  /** Parts of the report that no noise covers: they stay with the data's owner. Null where nothing is private. */
  readonly ownerOnly: Readonly<Record<string, unknown>> | null;
}

/** The version of this code, for the ledger. */
export const codeVersion = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;

const sha256Of = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The SHA-256 of what a run says of itself at its start, as its first ledger entry holds it. */
export function recordDigest(run: RunStart): string {
  const { version, cohortFingerprint, targets, architecture, imageSize, channels, unit, mirror, choices, settings } =
    run;
  const volume = run.volume ? { volume: run.volume } : {};
  const start: RunStart = {
    ...{ version, cohortFingerprint, targets, architecture, imageSize, channels, unit, mirror, choices, settings },
    ...(run.preparation === undefined ? {} : { preparation: run.preparation }),
    ...volume,
  };
  return sha256Of(canonicalJson(start));
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Throws LG-TRAIN-002 where something is at the place of a new run. */
export async function refuseExistingRun(dir: string): Promise<void> {
  if (await exists(dir))
    throw new LeadglassError("LG-TRAIN-002", `${dir}: there is something already`, {
      hint: "Give another --out, or add --resume to go on with a run that was interrupted.",
    });
}

/**
 * Reserves what a run will cost in the ledger of its cohort, and then makes its folder with its record, a copy of that
 * ledger and any frozen weights: all of the folder or nothing. What is reserved stays reserved if the rest fails, so that
 * a crash in between leaves the ledger with too much, never with too little.
 * Throws LG-TRAIN-002 where something is there already, and what {@link appendToCohortLedger} throws.
 */
export async function createRunFolder(
  dir: string,
  start: RunStart,
  options: {
    /** The cohort's folder. */
    readonly cohort: string;
    /** The cohort's ledger. */
    readonly ledger: string;
    /** The run's name and its first entries, given the ledger so far. */
    readonly open: (entries: readonly LedgerEntry[]) => Promise<{ name: string; bodies: readonly LedgerBody[] }>;
    readonly frozen?: FrozenWeights;
    /** The bytes of the feature extractor that the model is a head of. */
    readonly features?: Uint8Array;
  },
): Promise<RunRecord> {
  await refuseExistingRun(dir);
  const temporary = `${dir.replace(/[/\\]+$/, "")}.tmp-${process.pid}`;
  try {
    await mkdir(temporary, { recursive: true });
    let name = "";
    const entries = await appendToCohortLedger(options.ledger, async (before) => {
      const opening = await options.open(before);
      name = opening.name;
      return opening.bodies;
    });
    const run: RunRecord = {
      ...start,
      cohort: relative(resolve(dir), resolve(options.cohort)).replaceAll("\\", "/"),
      status: "training",
      ledger: placeOf(dir, options.ledger, name, entries),
    };
    await writeRun(temporary, run);
    await writeWitness(temporary, entries);
    const { frozen } = options;
    if (frozen) await writeTensors(join(temporary, runFiles.frozen), frozen.values, frozen.shapes);
    if (options.features) await writeAtomically(join(temporary, featuresFile), options.features);
    await rename(temporary, dir);
    return run;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

const placeOf = (dir: string, ledger: string, run: string, entries: readonly LedgerEntry[]): RunLedger => ({
  path: relative(resolve(dir), ledger).replaceAll("\\", "/"),
  run,
  index: entries.length - 1,
  hash: entries.at(-1)!.hash,
});

/** The copy of its cohort's ledger that a run keeps: whoever cuts or replaces the ledger would have to find every copy. */
const writeWitness = (dir: string, entries: readonly LedgerEntry[]): Promise<void> =>
  writeAtomically(join(dir, runFiles.ledger), entries.map(formatEntry).join(""));

/**
 * Writes a run's result, enters its end in the ledger with what its parameters and results are, and completes its record.
 * Interrupted in between, it can be called again with the result that was written.
 */
export async function finishRun(dir: string, run: RunRecord, result: RunResult, at?: string): Promise<void> {
  const ledger = await cohortLedgerOf(dir, run);
  await writeRun(dir, { ...run, status: "finishing", result });
  const body: LedgerBody = {
    kind: "finished",
    cohortFingerprint: run.cohortFingerprint,
    run: run.ledger.run,
    weights: sha256Of(await readFile(join(dir, runFiles.weights))),
    result: resultDigest(result),
    codeVersion,
    ...(at === undefined ? {} : { at }),
  };
  const entries = await appendToCohortLedger(ledger, (before) => {
    refuseOtherHistory(dir, run, before);
    const last = before.findLast((entry) => entry.kind === "finished" && entry.run === run.ledger.run);
    const same = last?.kind === "finished" && last.weights === body.weights && last.result === body.result;
    return same ? [] : [body];
  });
  await writeWitness(dir, entries);
  await writeRun(dir, {
    ...run,
    status: "complete",
    ledger: placeOf(dir, ledger, run.ledger.run, entries),
    result,
  });
}

/** Throws LG-PRIVACY-008 where a cohort's ledger no longer holds a run. */
function refuseOtherHistory(dir: string, { ledger }: RunRecord, entries: readonly LedgerEntry[]): void {
  if (entries[ledger.index]?.hash === ledger.hash) return;
  const path = resolve(dir, ledger.path);
  throw changed(`${path}: the entries of the run ${dir} are gone`, restoreFrom(dir, path));
}

const restoreFrom = (dir: string, path: string): string =>
  `Restore it from a backup; or, where no later run is known, from the copy: cp ${join(dir, runFiles.ledger)} ${path}`;

/** What of a report differs when the same run is done again: where, and how fast. */
const incidental = ["run", "seconds", "secondsPerEpoch", "peakMemoryBytes"];

/** The SHA-256 of a result, without what is incidental. */
function resultDigest({ thresholds, report, ownerOnly }: RunResult): string {
  const lasting = (part: unknown): unknown =>
    Object.fromEntries(Object.entries(part ?? {}).filter(([name]) => !incidental.includes(name)));
  const result = { thresholds, report: lasting(report), ownerOnly: lasting(ownerOnly) };
  return sha256Of(canonicalJson(JSON.parse(JSON.stringify(result))));
}

/** Parameters that are not trained, with their shapes. */
export interface FrozenWeights {
  readonly values: Readonly<Record<string, Float32Array>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

export const writeRun = (dir: string, run: RunRecord): Promise<void> =>
  writeAtomically(join(dir, runFiles.run), `${JSON.stringify(run, null, 2)}\n`);

/**
 * Reads what a run says of itself, and holds it against its ledger and the cohort's.
 * Throws LG-TRAIN-002 where the folder holds no run, and LG-PRIVACY-008 where the record, the ledger or the parameters
 * were changed.
 */
export async function readRun(dir: string): Promise<RunRecord> {
  const { run, problems } = await inspectRun(dir);
  const problem = problems[0];
  if (problem !== undefined) throw changed(`${dir}: ${problem.message}`, problem.remedy);
  await knowArchitecture(dir, run.architecture);
  return run;
}

async function parseRun(dir: string): Promise<RunRecord> {
  const path = join(dir, runFiles.run);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LeadglassError("LG-TRAIN-002", `${dir}: this folder holds no run (${runFiles.run} cannot be read)`, {
      hint: "Give the folder that train wrote with --out.",
      cause,
    });
  });
  let onReleases = false;
  try {
    const run = JSON.parse(text) as RunRecord & { readonly kind?: string };
    if (run.kind === "releases") onReleases = true;
    if (run.version === 2 && Array.isArray(run.targets) && typeof run.ledger.path === "string") return run;
  } catch {
    // Refused below.
  }
  if (onReleases)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: this run was trained on releases; it cannot read images`, {
      hint: "Evaluate and predict with --encodings RELEASE in place of --cohort.",
    });
  throw new LeadglassError("LG-TRAIN-002", `${path}: this is not the record of a run`, {
    hint: "Restore it, or train again.",
  });
}

interface RunProblem extends LedgerProblem {
  readonly remedy: string;
}

/** What a run folder and its cohort's ledger say, and everything in which they contradict each other. */
export interface RunInspection {
  readonly run: RunRecord;
  /** The folder's own copy of the cohort's ledger. */
  readonly entries: readonly LedgerEntry[];
  /** The cohort's ledger; entries are null where it cannot be read. */
  readonly cohort: { readonly path: string; readonly entries: readonly LedgerEntry[] | null };
  readonly problems: readonly RunProblem[];
}

/** Throws LG-TRAIN-002 where the folder holds no run. */
export async function inspectRun(dir: string): Promise<RunInspection> {
  const run = await parseRun(dir);
  const text = await textOf(join(dir, runFiles.ledger));
  const problems: RunProblem[] = [];
  const restoreRun = "Restore the run folder from a backup, or start a new run.";
  const report = (index: number, message: string, remedy = restoreRun): void =>
    void problems.push({ index, message, remedy });
  const copy = await checkedLedger(text ?? "");
  const { entries } = copy;
  if (text === undefined) report(0, `its ledger (${runFiles.ledger}) is gone`);
  for (const { index, message } of copy.problems) report(index, `its ledger, entry ${index}: ${message}`);
  if (entries[run.ledger.index]?.hash !== run.ledger.hash)
    report(run.ledger.index, "its ledger was cut or replaced: the entry that the run remembers is not there");
  for (const message of recordProblems(run, entries)) report(run.ledger.index, message);
  for (const message of await resultProblems(dir, run, entries)) report(run.ledger.index, message);

  const path = await cohortLedgerOf(dir, run);
  const cohortText = await textOf(path);
  const remedy = restoreFrom(dir, path);
  if (cohortText === undefined) {
    report(0, `the ledger of its cohort is gone: ${path} was expected`, remedy);
    return { run, entries, cohort: { path, entries: null }, problems };
  }
  const cohort = await checkedLedger(cohortText);
  for (const { index, message } of cohort.problems) report(index, `${path}, entry ${index}: ${message}`, remedy);
  const parting = entries.findIndex((entry, i) => cohort.entries[i]?.hash !== entry.hash);
  if (parting >= 0 && cohort.valid)
    report(
      parting,
      parting >= cohort.entries.length
        ? `the ledger of its cohort was cut: ${path} has ${cohort.entries.length} entries, its copy in the run has ${entries.length}`
        : `the ledger of its cohort was replaced: ${path} parts from the copy in the run at entry ${parting}`,
      remedy,
    );
  return { run, entries, cohort: { path, entries: cohort.entries }, problems };
}

/** The ledger that a run names; where that is not there, the one of its cohort in LEADGLASS_LEDGERS. */
async function cohortLedgerOf(dir: string, run: RunRecord): Promise<string> {
  const path = resolve(dir, run.ledger.path);
  const shared = process.env["LEADGLASS_LEDGERS"];
  if (!shared || (await exists(path))) return path;
  const other = ledgerPath(resolve(shared), run.cohortFingerprint);
  return (await exists(other)) ? other : path;
}

/** In what a run's record contradicts its ledger: everything it was begun with, the plan first. */
function recordProblems(run: RunRecord, entries: readonly LedgerEntry[]): string[] {
  const own = entries.filter((entry) => entry.run === run.ledger.run);
  const opened = own.find((entry) => entry.kind === "cohort-opened");
  if (opened === undefined) return ["its ledger has no entry of this run"];
  const reserved = own.findLast((entry) => entry.kind === "training");
  const { batches } = run.settings;
  const plan = batches.kind === "private" ? batches.plan : null;
  if (canonicalJson(plan) !== canonicalJson(reserved?.plan ?? null))
    return [`${runFiles.run}: the privacy plan is not the one that its ledger accounts for`];
  let digest: string | null = null;
  try {
    digest = recordDigest(run);
  } catch (error) {
    if (!isLeadglassError(error)) throw error;
  }
  return opened.record === digest ? [] : [`${runFiles.run}: what the run was begun with has been changed`];
}

/** In what a finished run's results contradict its ledger. */
async function resultProblems(dir: string, run: RunRecord, entries: readonly LedgerEntry[]): Promise<string[]> {
  const finished = entries.findLast((entry) => entry.kind === "finished" && entry.run === run.ledger.run);
  if (!run.result)
    return run.status !== "training" || finished !== undefined
      ? [`${runFiles.run}: the results of this finished run are gone`]
      : [];
  if (finished?.kind !== "finished")
    return run.status === "finishing" ? [] : [`${runFiles.run}: it has results that its ledger does not know`];
  const problems: string[] = [];
  if (finished.result !== resultDigest(run.result)) problems.push(`${runFiles.run}: the results have been changed`);
  const stated = (run.result.report as { privacy?: { epsilon: number; delta: number } | null }).privacy;
  const cost = costOfModel(entries, run.ledger.run);
  if (cost !== null && (cost.epsilon !== stated?.epsilon || cost.delta !== stated.delta))
    problems.push(`${runFiles.run}: the results state another epsilon than the ledger comes to`);
  const weights = await readFile(join(dir, runFiles.weights)).catch(() => undefined);
  if (weights === undefined || sha256Of(weights) !== finished.weights)
    problems.push(`${runFiles.weights}: these are not the parameters that the run ended with`);
  return problems;
}

/**
 * Throws LG-PRIVACY-008 where a run beside `dir` remembers entries of a cohort's ledger that are no longer in it: a ledger
 * that was cut or deleted would otherwise let its cohort's budget be spent again.
 */
export async function refuseForgottenRuns(dir: string, ledger: string, entries: readonly LedgerEntry[]): Promise<void> {
  const parent = dirname(resolve(dir));
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const sibling = join(parent, name);
    const run = await parseRun(sibling).catch(() => undefined);
    if (run === undefined || resolve(sibling, run.ledger.path) !== ledger) continue;
    refuseOtherHistory(sibling, run, entries);
  }
}

/** A finished run. Throws LG-TRAIN-002 where it was interrupted. */
export async function readFinishedRun(dir: string): Promise<RunRecord & { readonly result: RunResult }> {
  const run = await readRun(dir);
  if (!run.result || run.status !== "complete")
    throw new LeadglassError("LG-TRAIN-002", `${dir}: this run is not finished`, {
      hint: "Finish it: train with --resume.",
    });
  return { ...run, result: run.result };
}

export const writeWeights = (
  dir: string,
  weights: Readonly<Record<string, Float32Array>>,
  shapes: Readonly<Record<string, readonly number[]>>,
): Promise<void> => writeTensors(join(dir, runFiles.weights), weights, shapes);

export const readWeights = (dir: string): Promise<Record<string, Float32Array>> =>
  readTensors(join(dir, runFiles.weights));

/** Weights that a resumed run must not train. */
export const readFrozen = (dir: string): Promise<Record<string, Float32Array>> =>
  readTensors(join(dir, runFiles.frozen));

function writeTensors(
  path: string,
  values: Readonly<Record<string, Float32Array>>,
  shapes: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  const tensors = Object.fromEntries(
    Object.entries(values).map(([name, data]) => [name, { dtype: "float32" as const, shape: shapes[name]!, data }]),
  );
  return writeAtomically(path, encodeSafetensors(tensors));
}

async function readTensors(path: string): Promise<Record<string, Float32Array>> {
  const { tensors } = decodeSafetensors(await readFile(path));
  return Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, t.data as Float32Array]));
}

/**
 * The ledger of a run folder, or a ledger file by itself, verified. For a run, `entries` is its own copy and `cohort` is
 * the ledger of its cohort, which may have gone on since.
 * Throws LG-TRAIN-002 where neither is there.
 */
export async function readLedger(place: string): Promise<{
  entries: readonly LedgerEntry[];
  verification: { valid: boolean; problems: LedgerProblem[] };
  /** The run's name in its ledger; null for a ledger file. */
  run: string | null;
  cohort: { readonly path: string; readonly entries: readonly LedgerEntry[] | null };
}> {
  if (await isFile(place)) {
    const { entries, valid, problems } = await checkedLedger((await textOf(place)) ?? "");
    return { entries, verification: { valid, problems }, run: null, cohort: { path: resolve(place), entries } };
  }
  const { run, entries, cohort, problems } = await inspectRun(place);
  return {
    entries,
    verification: {
      valid: problems.length === 0,
      problems: problems.map(({ index, message, remedy }) => ({ index, message: `${message}. ${remedy}` })),
    },
    run: run.ledger.run,
    cohort,
  };
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
