/** What private encodings cost and what pooling hospitals brings, against everything else that could be done with one cohort. */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { openCohort, type Cohort, type Target } from "../cohort/index.ts";
import {
  encodeCohort,
  makeKey,
  openRelease,
  predictOnRelease,
  schemeNamed,
  trainOnReleases,
  type Key,
  type Release,
  type Scheme,
} from "../encoding/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { evaluateScores, type MetricInterval } from "../evaluation/index.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import { startEngine } from "../runtime/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import { appendToCohortLedger, ledgerForRun } from "./cohort-ledger.ts";
import { evaluateRun } from "./evaluate-run.ts";
import { codeVersion } from "./run-folder.ts";
import { trainRun } from "./train-run.ts";

export interface CompareRequest {
  readonly cohort: string;
  readonly target: string;
  readonly out: string;
  /** The column that names hospitals; without one, patients are dealt to `hospitals` at random. */
  readonly hospitalColumn?: string;
  /** How many to deal patients to; 3 by default. */
  readonly hospitals?: number;
  readonly scheme?: string;
  readonly imageSize?: number;
  readonly epsilons?: readonly number[];
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

/** One row of the table. */
export interface ComparedArm {
  readonly name: string;
  readonly about: string;
  /** Images it was trained on. */
  readonly trainedOn: number;
  /** Test images it was judged on. */
  readonly testedOn: number;
  /** With a 95 % interval, resampled by patient. */
  readonly auroc: MetricInterval;
}

export interface CompareReport {
  readonly results: string;
  readonly target: string;
  readonly scheme: string;
  readonly hospitals: Readonly<Record<string, number>>;
  readonly arms: readonly ComparedArm[];
  /** Mean over hospitals of what each alone reaches on all test images, and on its own; null where it is not defined. */
  readonly meanAlone: { readonly everywhere: number | null; readonly own: number | null };
}

/** A hospital: its name and its images. */
interface Hospital {
  readonly name: string;
  readonly images: readonly number[];
}

/** The releases of one scheme with who is behind each encoding. */
interface Published {
  readonly release: Release;
  readonly order: readonly number[];
}

/**
 * Trains and tests every arm on one cohort and split: raw images, one shared key, a key for each hospital, each hospital
 * alone, the linear scheme, a random frozen encoder without places, and private training. What is done is kept in `out`,
 * so that a comparison that was stopped goes on; releases are removed, since nobody is to get them.
 * Throws LG-COHORT-..., LG-USAGE-001, LG-RUNTIME-004 (cancelled; resumable).
 */
export async function compareEncodings(request: CompareRequest): Promise<CompareReport> {
  const { out, seed = 1 } = request;
  const cohort = await openCohort(request.cohort);
  const target = cohort.target(request.target);
  const scheme = schemeNamed(request.scheme ?? "neuracrypt");
  const hospitals = hospitalsOf(cohort, request);
  const identity = JSON.stringify([cohort.fingerprint, target.name, scheme, hospitals.map((h) => h.images.length), request.imageSize, seed]); // prettier-ignore
  await mkdir(out, { recursive: true });
  const kept = join(out, "comparison.json");
  const done = await finishedArms(kept, identity);
  await enter(request, cohort);
  const size = request.imageSize ?? 256;
  const context: Context = { request, cohort, target, hospitals, size, seed };
  const groups: Record<string, () => Promise<readonly ComparedArm[]>> = {
    raw: () => trainedOnImages(context, undefined),
    "one key": () => oneKey(context, scheme, true),
    "own keys": () => ownKeys(context, scheme),
    linear: () => oneKey(context, { ...schemeNamed("linear"), patch: scheme.patch, pixels: scheme.pixels }, false),
    "frozen random encoder": () => oneKey(context, { ...scheme, name: "position-removed", position: { kind: "none" } }, false), // prettier-ignore
    ...Object.fromEntries((request.epsilons ?? []).map((e) => [`private epsilon ${e}`, () => trainedOnImages(context, e)])), // prettier-ignore
  };
  for (const [name, make] of Object.entries(groups)) {
    if (done[name]) continue;
    if (request.signal?.aborted)
      throw new LeadglassError("LG-RUNTIME-004", `the comparison was cancelled before "${name}"`, {
        hint: "Run the same command again to go on.",
      });
    request.onNote?.(name);
    done[name] = [...(await make())];
    await writeAtomically(kept, JSON.stringify({ identity, done }, null, 2));
  }
  const arms = Object.keys(groups).flatMap((name) => done[name]!);
  const meanOf = (suffix: string): number | null => {
    const values = arms.flatMap(({ name, auroc }) =>
      name.endsWith(suffix) && auroc.value !== null ? [auroc.value] : [],
    );
    return values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : null;
  };
  return {
    results: kept,
    target: target.name,
    scheme: scheme.name,
    hospitals: Object.fromEntries(hospitals.map(({ name, images }) => [name, images.length])),
    arms,
    meanAlone: { everywhere: meanOf(everywhere), own: meanOf(itsOwn) },
  };
}

const everywhere = " alone, on all";
const itsOwn = " alone, on its own";

interface Context {
  readonly request: CompareRequest;
  readonly cohort: Cohort;
  readonly target: Target;
  readonly hospitals: readonly Hospital[];
  readonly size: number;
  readonly seed: number;
}

async function finishedArms(path: string, identity: string): Promise<Record<string, ComparedArm[]>> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return {};
  const before = JSON.parse(text) as { identity: string; done: Record<string, ComparedArm[]> };
  if (before.identity === identity) return before.done;
  throw new LeadglassError("LG-TRAIN-002", `${path}: a comparison of something else`, { hint: "Give another --out." });
}

function hospitalsOf(cohort: Cohort, { hospitalColumn, hospitals = 3, seed = 1 }: CompareRequest): Hospital[] {
  if (hospitalColumn !== undefined) {
    const cells = cohort.column(hospitalColumn);
    const groups = Map.groupBy([...cells.keys()], (i) => cells[i] ?? "");
    return [...groups].map(([name, images]) => ({ name: name || "none", images })).sort((a, b) => (a.name < b.name ? -1 : 1)); // prettier-ignore
  }
  const patients = shuffle(
    [...new Set(cohort.records.map((r) => r.patientId))].sort(),
    seededRandom(seed, "hospitals"),
  );
  const place = new Map(patients.map((id, i) => [id, i % hospitals]));
  return Array.from({ length: hospitals }, (_, h) => ({
    name: `hospital ${h + 1}`,
    images: cohort.records.flatMap((r, i) => (place.get(r.patientId) === h ? [i] : [])),
  }));
}

async function enter({ out }: CompareRequest, cohort: Cohort): Promise<void> {
  const path = await ledgerForRun(cohort.fingerprint, { out: join(out, "comparison") });
  const what = "test AUROC of models on encodings of these patients, for a comparison; the encodings were removed";
  await appendToCohortLedger(path, (before) =>
    before.some((e) => e.kind === "owner-only" && e.what === what)
      ? []
      : [
          {
            kind: "owner-only",
            cohortFingerprint: cohort.fingerprint,
            what,
            codeVersion,
            at: new Date().toISOString(),
          },
        ],
  );
}

/** A model on images, by the defaults of `train`; private with an epsilon. */
async function trainedOnImages({ request, seed }: Context, epsilon: number | undefined): Promise<ComparedArm[]> {
  const name = epsilon === undefined ? "raw images" : `private training, epsilon ${epsilon}`;
  const run = join(request.out, `run-${epsilon ?? "open"}`);
  const training = {
    ...{
      cohort: request.cohort,
      targets: [request.target],
      out: run,
      choices: epsilon === undefined ? {} : { epsilon },
    },
    // A private run draws from the cryptographic generator, so its row is not repeated to the digit.
    ...(epsilon === undefined ? { seed } : {}),
    ...(request.signal ? { signal: request.signal } : {}),
  };
  const report = await trainRun(training).catch((error: unknown) => {
    if (!isLeadglassError(error) || error.code !== "LG-TRAIN-002") throw error;
    return trainRun({ ...training, resume: true });
  });
  const { report: evaluation } = await evaluateRun({ run, cohort: request.cohort, split: "test", groups: [] });
  const metrics = Object.values(evaluation.metrics)[0]!;
  const about = `${report.model}${report.privacy ? `, delta ${report.privacy.delta}, each ${report.privacy.unit}` : ""}`;
  return [{ name, about, trainedOn: report.images, testedOn: metrics.n!, auroc: metrics.auroc }];
}

/** Encodes hospitals, hands the releases to `use`, and removes them. */
async function published<T>(
  { request, cohort, target, size }: Context,
  parts: readonly { readonly images: readonly number[]; readonly key: Key }[],
  scheme: Scheme,
  use: (releases: readonly Published[]) => Promise<T>,
): Promise<T> {
  const folder = join(request.out, "releases");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const found: Published[] = [];
  try {
    const total = parts.reduce((sum, { images }) => sum + images.length, 0);
    let before = 0;
    for (const [p, { images, key }] of parts.entries()) {
      const dir = join(folder, String(p));
      const { order } = await encodeCohort({
        ...{ cohort, images, key, scheme, size, targets: [target], out: dir },
        ...(request.signal ? { signal: request.signal } : {}),
        onProgress: (n) => request.onProgress?.("encoding", before + n, total),
      });
      before += images.length;
      found.push({ release: await openRelease(dir), order });
    }
    return await use(found);
  } finally {
    for (const { release } of found) await release[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Trains on some releases and tests on some. */
async function judged(
  { cohort, target, seed }: Context,
  name: string,
  about: string,
  { train, test }: { readonly train: readonly Published[]; readonly test: readonly Published[] },
): Promise<ComparedArm> {
  await using engine = await startEngine();
  const targets = Object.keys(train[0]!.release.labels.targets);
  const { trained, images } = await trainOnReleases({
    ...{ engine, targets, seed: String(seed) },
    releases: train.map(({ release }) => release),
  });
  const scores: number[] = [];
  const tested: number[] = [];
  for (const { release, order } of test) {
    const rows = release.labels.splits.flatMap((s, i) => (s === "test" && target.present[order[i]!] === 1 ? [i] : []));
    for (const v of await predictOnRelease({ engine, trained, release, images: rows })) scores.push(v);
    tested.push(...rows.map((i) => order[i]!));
  }
  const { auroc } = evaluateScores({
    ...{ scores, threshold: 0.5, seed: 1 },
    labels: tested.map((i) => target.labels[i]!),
    patients: tested.map((i) => cohort.records[i]!.patientId),
  });
  return { name, about, trainedOn: images, testedOn: tested.length, auroc };
}

/** All hospitals under one key; each of them alone too, where that is asked for. */
function oneKey(context: Context, scheme: Scheme, alone: boolean): Promise<ComparedArm[]> {
  const key = makeKey();
  return published(
    context,
    context.hospitals.map(({ images }) => ({ images, key })),
    scheme,
    async (all) => {
      const arms = [
        await judged(context, `${scheme.name}, one key`, "all hospitals share a key", { train: all, test: all }),
      ];
      if (alone)
        for (const [h, { name }] of context.hospitals.entries()) {
          const own = [all[h]!];
          arms.push(await judged(context, `${name}${everywhere}`, "tested on all hospitals under one key", { train: own, test: all })); // prettier-ignore
          arms.push(await judged(context, `${name}${itsOwn}`, "tested on its own patients", { train: own, test: own }));
        }
      return arms;
    },
  );
}

/** A key for each hospital. */
function ownKeys(context: Context, scheme: Scheme): Promise<ComparedArm[]> {
  const parts = context.hospitals.map(({ images }) => ({ images, key: makeKey() }));
  const name = `${scheme.name}, ${parts.length} keys`;
  return published(context, parts, scheme, async (all) => [
    await judged(context, name, "each hospital has its own key", { train: all, test: all }),
  ]);
}
