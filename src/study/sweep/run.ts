/** Trains and evaluates every arm of a sweep, one after the other, and writes what came out. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { LeadglassError } from "../../errors.ts";
import { evaluateRun, type EvaluateReport } from "../evaluate-run.ts";
import { readRun } from "../run-folder.ts";
import { trainRun, type TrainReport } from "../train-run.ts";
import type { SweepFile } from "./file.ts";
import { parquetColumns, rowsOf, type ResultRow } from "./results.ts";

/** Names of the files of a sweep. */
export const sweepFiles = { results: "results.parquet", json: "results.json", runs: "runs" } as const;

/** One training of a sweep. */
export interface SweepRun {
  /** "inf", or epsilon as text. */
  readonly arm: string;
  readonly seed: number;
  readonly run: string;
  readonly training: TrainReport;
  readonly evaluation: EvaluateReport;
}

export interface SweepReport {
  readonly results: string;
  readonly json: string;
  readonly runs: readonly { readonly arm: string; readonly seed: number; readonly run: string }[];
  /** Arms that could not be trained, with why. */
  readonly failed: readonly {
    readonly arm: string;
    readonly seed: number;
    readonly code: string;
    readonly message: string;
  }[];
  readonly rows: readonly ResultRow[];
  readonly seconds: number;
}

export interface SweepOptions {
  readonly out: string;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export const armName = (epsilon: number): string => (epsilon === Infinity ? "inf" : String(epsilon));

/**
 * Runs a sweep. Every training uses all cores by itself, so arms follow one another. What is finished is not done again:
 * a run folder that is there is resumed, or taken as it is where it is complete, so a killed sweep goes on when it is run
 * again. An arm that is refused is told at the end, and the others go on.
 * Throws LG-RUNTIME-004 when cancelled, LG-TRAIN-002 where a run folder was made with other settings, and the first
 * arm's error where none could be trained.
 */
export async function runSweep(file: SweepFile, options: SweepOptions): Promise<SweepReport> {
  const started = performance.now();
  const { out, onNote, onProgress, signal } = options;
  await mkdir(join(out, sweepFiles.runs), { recursive: true });
  const arms = file.epsilon.flatMap((epsilon) => file.seeds.map((seed) => ({ epsilon, seed })));
  const runs: SweepRun[] = [];
  const failures: { arm: string; seed: number; error: LeadglassError }[] = [];
  for (const [done, { epsilon, seed }] of arms.entries()) {
    const arm = armName(epsilon);
    const run = join(out, sweepFiles.runs, `epsilon-${arm}-seed-${seed}`);
    const stage = `epsilon ${arm}, seed ${seed} (${done + 1} of ${arms.length})`;
    const resume = await exists(run);
    const finished = resume && (await readRun(run)).status === "complete";
    onNote?.(`${stage}${finished ? ": done before" : resume ? ": resuming" : ""}`);
    try {
      const training = await trainRun({
        cohort: file.cohort,
        targets: file.targets,
        out: run,
        choices: {
          ...file.train,
          ...(epsilon === Infinity ? {} : { epsilon, delta: file.delta }),
          ...(file.unit === undefined ? {} : { unit: file.unit }),
        },
        seed,
        resume,
        ...(signal ? { signal } : {}),
        onFeatures: (read, total) => onProgress?.(`${stage}, reading`, read, total),
        onStep: ({ step, steps }) => onProgress?.(`${stage}, training`, step, steps),
      });
      const { report } = await evaluateRun({ run, cohort: file.cohort, split: file.split, groups: file.groups });
      runs.push({ arm, seed, run, training, evaluation: report });
    } catch (error) {
      if (!(error instanceof LeadglassError) || error.code === "LG-RUNTIME-004") throw error;
      failures.push({ arm, seed, error });
      onNote?.(`${stage}: ${error.code} ${error.message}`);
    }
  }
  if (runs.length === 0) throw failures[0]!.error;
  const rows = runs.flatMap(({ arm, seed, evaluation }) => rowsOf(evaluation, arm, seed));
  const [results, json] = [join(out, sweepFiles.results), join(out, sweepFiles.json)];
  await writeFile(results, new Uint8Array(parquetWriteBuffer({ columnData: parquetColumns(rows) })));
  const report: SweepReport = {
    results,
    json,
    runs: runs.map(({ arm, seed, run }) => ({ arm, seed, run })),
    failed: failures.map(({ arm, seed, error }) => ({ arm, seed, code: error.code, message: error.message })),
    rows,
    seconds: (performance.now() - started) / 1000,
  };
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}
