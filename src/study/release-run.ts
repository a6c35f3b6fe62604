/** Runs on releases: train, evaluate and predict where there are encodings and labels, and no images. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  openRelease,
  predictOnRelease,
  releaseModelNames,
  trainOnReleases,
  type Release,
  type ReleaseChoices,
  type TrainedOnReleases,
} from "../encoding/index.ts";
import { LeadglassError } from "../errors.ts";
import {
  chooseThreshold,
  evaluateTargets,
  parseGroups,
  defaultBands,
  type ScoreEvaluation,
} from "../evaluation/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import { decodeSafetensors, encodeSafetensors } from "../runtime/safetensors.ts";
import { readCheckpoint, removeCheckpoint, writeAtomically, writeCheckpoint } from "../training/checkpoint.ts";
import type { TrainingProgress } from "../training/train.ts";
import { runFiles } from "./run-folder.ts";
import type { Progress } from "./rows.ts";

export interface ReleaseTrainRequest {
  readonly releases: readonly string[];
  /** All targets that the releases have in common by default. */
  readonly targets: readonly string[];
  readonly out: string;
  readonly choices: ReleaseChoices;
  readonly seed?: number;
  readonly resume?: boolean;
  readonly device?: Device;
  readonly checkpointSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onFeatures?: Progress;
  readonly onStep?: (progress: TrainingProgress) => void;
}

/** What `train --release --json` prints; the keys that `train` has mean the same. */
export interface ReleaseTrainReport {
  readonly run: string;
  readonly model: string;
  readonly parameters: number;
  readonly targets: readonly string[];
  readonly releases: readonly { readonly id: string; readonly key: string; readonly images: number }[];
  readonly images: number;
  readonly steps: number;
  /** Null: whatever a release gives away was given away when it was published. */
  readonly privacy: null;
  readonly validation: {
    readonly private: false;
    readonly auroc: number | null;
    readonly targets: Readonly<Record<string, ScoreEvaluation>>;
  } | null;
  readonly seconds: number;
  readonly secondsPerEpoch: number;
  readonly peakMemoryBytes: number;
}

const choicesSchema = z.strictObject({
  model: z.enum(releaseModelNames as [string, ...string[]]),
  coordinates: z.int().positive(),
  epochs: z.number().positive(),
  batch: z.int().positive(),
  learningRate: z.number().positive(),
  weightDecay: z.number().nonnegative(),
});
const runSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal("releases"),
  choices: choicesSchema,
  targets: z.array(z.string()),
  keys: z.array(z.string()),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  thresholds: z.array(z.number()),
  report: z.unknown(),
});
type ReleaseRunRecord = z.infer<typeof runSchema>;

/** What a training that is not finished is resumed with. */
interface Begun {
  readonly kind: "releases";
  readonly releases: readonly string[];
  readonly targets: readonly string[];
  readonly choices: ReleaseChoices;
  readonly seed: string;
}

const begunFile = "begun.json";

/**
 * Trains one model on the union of several releases and leaves a run folder.
 * Throws LG-ENCODE-..., LG-TRAIN-002 (a folder that exists), LG-RUNTIME-004 (cancelled; resumable).
 */
export async function trainReleases(request: ReleaseTrainRequest): Promise<ReleaseTrainReport> {
  const started = performance.now();
  const { out } = request;
  const releases: Release[] = [];
  try {
    for (const dir of request.releases) releases.push(await openRelease(dir));
    const targets = request.targets.length > 0 ? request.targets : commonTargets(releases);
    const ids = releases.map(({ manifest }) => manifest.release);
    const begun = await begin(request, ids, targets);
    const checkpoint = join(out, runFiles.checkpoint);
    await using engine = await startEngine({ device: request.device });
    const resumeFrom = await readCheckpoint(checkpoint).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    const result = await trainOnReleases({
      ...{ engine, releases, targets, choices: begun.choices, seed: begun.seed },
      ...(request.onFeatures ? { onFeatures: request.onFeatures } : {}),
      ...(request.onStep ? { onStep: request.onStep } : {}),
      ...(request.signal ? { signal: request.signal } : {}),
      ...(resumeFrom ? { resumeFrom } : {}),
      saveCheckpoint: (state) => writeCheckpoint(checkpoint, state),
      checkpointSeconds: request.checkpointSeconds ?? 15,
    });
    const { trained } = result;
    const scored = await scoreSplit(releases, trained, "val");
    const thresholds = targets.map(
      (_, k) =>
      scored ? chooseThreshold(column(scored.scores, k, targets.length), column(scored.labels, k, targets.length)).threshold : 0.5, // prettier-ignore
    );
    const evaluations = scored && evaluateTargets({ targets, ...scored, thresholds, patients: scored.images, seed: 1 });
    const seconds = (performance.now() - started) / 1000;
    const report: ReleaseTrainReport = {
      run: out,
      model: trained.choices.model,
      parameters: result.parameters,
      targets,
      releases: releases.map(({ manifest }) => ({
        id: manifest.release,
        key: manifest.key,
        images: manifest.images,
      })),
      images: result.images,
      steps: result.steps,
      privacy: null,
      validation: evaluations && {
        private: false,
        auroc: mean(Object.values(evaluations).map((e) => e.auroc.value)),
        targets: evaluations,
      },
      seconds,
      secondsPerEpoch: seconds / trained.choices.epochs,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    };
    await writeRun(out, trained, thresholds, report);
    return report;
  } finally {
    for (const release of releases) await release[Symbol.asyncDispose]();
  }
}

const mean = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((v) => v !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

const column = (matrix: Float32Array, k: number, columns: number): Float32Array =>
  matrix.filter((_, i) => i % columns === k);

function commonTargets(releases: readonly Release[]): string[] {
  const [first, ...others] = releases.map(({ manifest }) => manifest.labels.targets);
  const common = (first ?? []).filter((t) => others.every((o) => o.includes(t)));
  if (common.length > 0) return common;
  throw new LeadglassError("LG-ENCODE-005", "these releases have no target in common", {
    hint: "Train on releases with labels of one kind.",
  });
}

async function begin(
  { out, choices, seed, resume }: ReleaseTrainRequest,
  releases: readonly string[],
  targets: readonly string[],
): Promise<Begun> {
  if (resume) {
    const text = await readFile(join(out, begunFile), "utf8").catch(() => undefined);
    const before = text === undefined ? undefined : (JSON.parse(text) as Begun);
    const same = before && JSON.stringify([before.releases, before.targets]) === JSON.stringify([releases, targets]);
    if (before && same) return before;
    throw new LeadglassError("LG-TRAIN-002", `${out}: there is no interrupted training on these releases to resume`, {
      hint: "Leave out --resume, or give the releases and targets that it was begun with, in their order.",
    });
  }
  if (
    await stat(out).then(
      () => true,
      () => false,
    )
  )
    // prettier-ignore
    throw new LeadglassError("LG-TRAIN-002", `${out}: there is something already`, {
      hint: "Give another --out, or add --resume to go on with a run that was interrupted.",
    });
  const given = Object.fromEntries(Object.entries(choices).filter(([, v]) => v !== undefined)) as ReleaseChoices;
  const begun: Begun = {
    ...{ kind: "releases", releases, targets, choices: given },
    seed: seed === undefined ? randomBytes(16).toString("hex") : String(seed),
  };
  await mkdir(out, { recursive: true });
  await writeAtomically(join(out, begunFile), JSON.stringify(begun));
  return begun;
}

/** Scores and labels [images, targets] of a split of several releases; null where none has it. */
async function scoreSplit(
  releases: readonly Release[],
  trained: TrainedOnReleases,
  split: string,
  onProgress?: Progress,
): Promise<{ scores: Float32Array; labels: Float32Array; images: string[] } | null> {
  await using engine = await startEngine();
  const { targets } = trained;
  const scores: number[] = [];
  const labels: number[] = [];
  const images: string[] = [];
  for (const release of releases) {
    const all = split === "all" ? release.labels.splits.map((_, i) => i) : release.labels.splits.flatMap((s, i) => (s === split ? [i] : [])); // prettier-ignore
    if (all.length === 0) continue;
    for (const v of await predictOnRelease({
      engine,
      trained,
      release,
      images: all,
      ...(onProgress ? { onProgress } : {}),
    }))
      // prettier-ignore
      scores.push(v);
    for (const i of all) {
      for (const t of targets) labels.push(release.labels.targets[t]?.[i] ?? NaN);
      images.push(`${release.manifest.release} ${i}`);
    }
  }
  if (images.length === 0) return null;
  return { scores: Float32Array.from(scores), labels: Float32Array.from(labels), images };
}

async function writeRun(
  out: string,
  trained: TrainedOnReleases,
  thresholds: readonly number[],
  report: ReleaseTrainReport,
): Promise<void> {
  const { choices, targets, keys, shape, parameters, coordinates } = trained;
  const flat = (data: Float32Array) => ({ dtype: "float32" as const, shape: [data.length], data });
  const tensors = {
    ...Object.fromEntries(Object.entries(parameters).map(([name, data]) => [`parameter/${name}`, flat(data)])),
    ...Object.fromEntries(
      Object.entries(coordinates).flatMap(([key, { centre, directions }]) => [
        [`centre/${key}`, flat(centre)],
        [`directions/${key}`, flat(directions)],
      ]),
    ),
  };
  await writeAtomically(join(out, runFiles.weights), encodeSafetensors(tensors));
  const record: ReleaseRunRecord = {
    ...{ version: 1, kind: "releases", choices, targets: [...targets], keys: [...keys], shape: [...shape] },
    thresholds: [...thresholds],
    report,
  };
  await writeAtomically(join(out, `${runFiles.run}.new`), `${JSON.stringify(record, null, 2)}\n`);
  await rename(join(out, `${runFiles.run}.new`), join(out, runFiles.run));
  await removeCheckpoint(join(out, runFiles.checkpoint));
  await rm(join(out, begunFile), { force: true });
}

/** A finished run on releases. Throws LG-TRAIN-002 for anything else. */
export async function readReleaseRun(dir: string): Promise<{ trained: TrainedOnReleases; thresholds: number[] }> {
  const refuse = (message: string, cause?: unknown): LeadglassError =>
    new LeadglassError("LG-TRAIN-002", `${dir}: ${message}`, {
      hint: "Name a run of train --release that came to its end; an interrupted one goes on with --resume.",
      ...(cause === undefined ? {} : { cause }),
    });
  let record: ReleaseRunRecord;
  try {
    record = runSchema.parse(JSON.parse(await readFile(join(dir, runFiles.run), "utf8")));
  } catch (cause) {
    throw refuse("this is no finished run on releases", cause);
  }
  const { tensors } = decodeSafetensors(await readFile(join(dir, runFiles.weights)));
  const named = (prefix: string): [string, Float32Array][] =>
    Object.entries(tensors).flatMap(([name, { data }]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), data as Float32Array] as [string, Float32Array]] : [],
    );
  const directions = new Map(named("directions/"));
  return {
    trained: {
      choices: record.choices as TrainedOnReleases["choices"],
      ...{ targets: record.targets, keys: record.keys, shape: record.shape },
      parameters: Object.fromEntries(named("parameter/")),
      coordinates: Object.fromEntries(
        named("centre/").map(([key, centre]) => [key, { centre, directions: directions.get(key)! }]),
      ),
    },
    thresholds: record.thresholds,
  };
}

export interface ReleasePrediction {
  readonly targets: readonly string[];
  readonly thresholds: readonly number[];
  readonly release: string;
  /** Places in the release. */
  readonly rows: readonly number[];
  readonly splits: readonly string[];
  /** [rows, targets] */
  readonly probabilities: Float32Array;
}

/** Probabilities of a finished run for the encodings of a split of one release. */
export async function predictRelease(options: {
  readonly run: string;
  readonly release: string;
  readonly split: string;
  readonly onProgress?: Progress;
}): Promise<ReleasePrediction> {
  const { trained, thresholds } = await readReleaseRun(options.run);
  await using release = await openRelease(options.release);
  const rows = options.split === "all" ? release.labels.splits.map((_, i) => i) : release.imagesOf(options.split);
  await using engine = await startEngine();
  const { onProgress } = options;
  const probabilities = await predictOnRelease({ engine, trained, release, images: rows, ...(onProgress ? { onProgress } : {}) }); // prettier-ignore
  return {
    ...{ targets: trained.targets, thresholds, release: release.manifest.release, rows, probabilities },
    splits: rows.map((i) => release.labels.splits[i]!),
  };
}

/** What `evaluate --release --json` prints; the keys that `evaluate` has mean the same. */
export interface ReleaseEvaluateReport {
  readonly run: string;
  readonly split: string;
  readonly n: number;
  /** Null: a release does not say which images are one patient's, so intervals take each image by itself. */
  readonly patients: null;
  readonly metrics: Readonly<Record<string, Omit<ScoreEvaluation, "groups" | "fairness">>>;
  readonly groups: readonly (ScoreEvaluation["groups"][number] & { readonly target: string })[];
}

/**
 * Evaluates a finished run on a split of one or several releases, overall and by published group. Intervals resample
 * images: where patients have several, they are too narrow.
 */
export async function evaluateReleases(options: {
  readonly run: string;
  readonly releases: readonly string[];
  readonly split: string;
  readonly groups: readonly string[];
  readonly seed?: number;
  readonly onProgress?: Progress;
}): Promise<ReleaseEvaluateReport> {
  const { trained, thresholds } = await readReleaseRun(options.run);
  const releases: Release[] = [];
  try {
    for (const dir of options.releases) releases.push(await openRelease(dir));
    const scored = await scoreSplit(releases, trained, options.split, options.onProgress);
    if (!scored)
      throw new LeadglassError("LG-ENCODE-005", `split "${options.split}" has no image in these releases`, {
        hint: `The splits of the first are: ${Object.keys(releases[0]!.manifest.splits).join(", ")}.`,
      });
    const common = releases[0]!.manifest.labels.groups.filter((g) =>
      releases.every((r) => r.manifest.labels.groups.includes(g)),
    );
    const asked = parseGroups(options.groups, common);
    const columns = Object.fromEntries(
      asked.columns.map((name) => [
        name,
        releases.flatMap((r) =>
          r.labels.splits.flatMap((s, i) =>
            options.split === "all" || s === options.split ? [r.labels.groups[name]![i]!] : [],
          ),
        ),
      ]),
    );
    // Published ages are bands already.
    const bands = Object.fromEntries(
      Object.entries({ ...defaultBands, ...asked.bands }).filter(([n]) => !(n in columns)),
    );
    const evaluations = evaluateTargets({
      targets: trained.targets,
      ...{ scores: scored.scores, labels: scored.labels, thresholds, patients: scored.images },
      ...{ groups: columns, bands, by: asked.by, seed: options.seed ?? 1 },
    });
    return {
      run: options.run,
      split: options.split,
      n: scored.images.length,
      patients: null,
      metrics: Object.fromEntries(
        Object.entries(evaluations).map(([name, { groups: _groups, fairness: _fairness, ...rest }]) => [name, rest]),
      ),
      groups: Object.entries(evaluations).flatMap(([target, { groups }]) => groups.map((g) => ({ target, ...g }))),
    };
  } finally {
    for (const release of releases) await release[Symbol.asyncDispose]();
  }
}
