import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { LeadglassError } from "../errors.ts";
import {
  appendEntry,
  formatEntry,
  parseLedger,
  verifyLedger,
  type LedgerBody,
  type LedgerEntry,
} from "../privacy/index.ts";
import { decodeSafetensors, encodeSafetensors } from "../runtime/safetensors.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import type { TrainingSettings } from "../training/train.ts";
import type { TrainingChoices } from "./settings.ts";

/** Names of the files in a run folder. */
export const runFiles = {
  run: "run.json",
  ledger: "ledger.jsonl",
  checkpoint: "checkpoint.safetensors",
  weights: "weights.safetensors",
  frozen: "frozen.safetensors",
  model: "model.onnx",
} as const;

/** What a run folder says of itself. */
export interface RunRecord {
  readonly version: 1;
  readonly status: "training" | "complete";
  readonly cohortFingerprint: string;
  readonly targets: readonly string[];
  readonly architecture: string;
  readonly imageSize: number;
  readonly channels: 1 | 3;
  readonly unit: "patient" | "image";
  /** True where the mean over an image and its mirror image is the answer. */
  readonly mirror: boolean;
  readonly choices: TrainingChoices;
  readonly settings: TrainingSettings;
  /** Filled in when the training is complete. */
  readonly result?: RunResult;
}

export interface RunResult {
  /** One a target, chosen on the validation split; 0.5 where there is none. */
  readonly thresholds: readonly number[];
  readonly report: unknown;
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
 * Makes the folder of a new run with its record, the first entries of its ledger and any frozen weights: all of it or
 * nothing. Throws LG-TRAIN-002 where something is there already.
 */
export async function createRunFolder(
  dir: string,
  run: RunRecord,
  opening: readonly LedgerBody[],
  frozen?: FrozenWeights,
): Promise<void> {
  await refuseExistingRun(dir);
  const temporary = `${dir.replace(/[/\\]+$/, "")}.tmp-${process.pid}`;
  try {
    await mkdir(temporary, { recursive: true });
    await writeRun(temporary, run);
    await appendToLedger(temporary, opening);
    if (frozen) await writeTensors(join(temporary, runFiles.frozen), frozen.values, frozen.shapes);
    await rename(temporary, dir);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Parameters that are not trained, with their shapes. */
export interface FrozenWeights {
  readonly values: Readonly<Record<string, Float32Array>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

export const writeRun = (dir: string, run: RunRecord): Promise<void> =>
  writeAtomically(join(dir, runFiles.run), `${JSON.stringify(run, null, 2)}\n`);

/** Reads what a run says of itself. Throws LG-TRAIN-002 where the folder holds no run. */
export async function readRun(dir: string): Promise<RunRecord> {
  const path = join(dir, runFiles.run);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LeadglassError("LG-TRAIN-002", `${dir}: this folder holds no run (${runFiles.run} cannot be read)`, {
      hint: "Give the folder that train wrote with --out.",
      cause,
    });
  });
  try {
    const run = JSON.parse(text) as RunRecord;
    if (run.version === 1 && Array.isArray(run.targets)) return run;
  } catch {
    // Refused below.
  }
  throw new LeadglassError("LG-TRAIN-002", `${path}: this is not the record of a run`, {
    hint: "Restore it, or train again.",
  });
}

/** A finished run. Throws LG-TRAIN-002 where it was interrupted. */
export async function readFinishedRun(dir: string): Promise<RunRecord & { readonly result: RunResult }> {
  const run = await readRun(dir);
  if (!run.result)
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

/** The ledger of a run, verified. Throws LG-PRIVACY-... where it cannot be read. */
export async function readLedger(
  dir: string,
): Promise<{ entries: LedgerEntry[]; verification: Awaited<ReturnType<typeof verifyLedger>> }> {
  const path = join(dir, runFiles.ledger);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LeadglassError("LG-TRAIN-002", `${dir}: this folder holds no ledger`, {
      hint: "Give the folder that train wrote with --out.",
      cause,
    });
  });
  const entries = parseLedger(text);
  return { entries, verification: await verifyLedger(entries) };
}

/** Appends entries to a run's ledger, all or none. */
export async function appendToLedger(dir: string, bodies: readonly LedgerBody[]): Promise<LedgerEntry[]> {
  const path = join(dir, runFiles.ledger);
  const entries = (await exists(path)) ? parseLedger(await readFile(path, "utf8")) : [];
  for (const body of bodies) entries.push(await appendEntry(entries, body));
  await writeAtomically(path, entries.map((e) => formatEntry(e)).join(""));
  return entries;
}
