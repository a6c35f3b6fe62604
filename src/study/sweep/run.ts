/** Trains and evaluates every arm of a sweep, one after the other, and writes what came out. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { LeadglassError } from "../../errors.ts";
import { openCohort } from "../../cohort/index.ts";
import { ledgerForRun } from "../cohort-ledger.ts";
import { evaluateRun, type EvaluateReport, type Prediction } from "../evaluate-run.ts";
import { readRun } from "../run-folder.ts";
import { trainRun, type TrainReport } from "../train-run.ts";
import { auditShortcuts } from "../shortcuts/audit.ts";
import { keepVerdict, readVerdicts, verdictLine, type KnownVerdict } from "../shortcuts/record.ts";
import { correlationsOf, costsOf, type SweepCorrelation, type SweepCost } from "./analysis.ts";
import { drawSweep } from "./draw.ts";
import type { SweepFile } from "./file.ts";
import { parquetColumns, rowsOf, type ResultRow } from "./results.ts";

/** Names of the files of a sweep. */
export const sweepFiles = {
  results: "results.parquet",
  json: "results.json",
  runs: "runs",
  charts: "charts",
} as const;

/** One training of a sweep. */
export interface SweepRun {
  /** "inf", or epsilon as text. */
  readonly arm: string;
  readonly seed: number;
  readonly run: string;
  readonly training: TrainReport;
  readonly evaluation: EvaluateReport;
  readonly prediction: Prediction;
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
  /** What privacy costs in each private run against the one without privacy of the same seed, over all and by group. */
  readonly costs: readonly SweepCost[];
  readonly correlations: readonly SweepCorrelation[];
  /** Paths of the SVG files. */
  readonly charts: readonly string[];
  /** What the shortcut audit said of each target. */
  readonly shortcuts: Readonly<Record<string, KnownVerdict>>;
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
  const shortcuts = file.shortcuts ? await verdictsOf(file, options) : {};
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
      const { report, prediction } = await evaluateRun({
        ...{ run, cohort: file.cohort, split: file.split, groups: file.groups },
      });
      runs.push({ arm, seed, run, training, evaluation: report, prediction });
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
  const charts = await drawSweep(runs, {
    out: join(out, sweepFiles.charts),
    targets: file.targets,
    verdicts: Object.fromEntries(Object.entries(shortcuts).map(([target, known]) => [target, verdictLine(known)])),
  });
  const report: SweepReport = {
    results,
    json,
    runs: runs.map(({ arm, seed, run }) => ({ arm, seed, run })),
    failed: failures.map(({ arm, seed, error }) => ({ arm, seed, code: error.code, message: error.message })),
    rows,
    costs: costsOf(runs, file),
    correlations: correlationsOf(runs, file.targets),
    ...{ charts, shortcuts },
    seconds: (performance.now() - started) / 1000,
  };
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

/** The verdict of each target: as it is kept beside the ledger, where it was found with the same region, or found now. */
async function verdictsOf(
  { cohort: dir, targets, region }: SweepFile,
  { out, onNote, onProgress }: SweepOptions,
): Promise<Record<string, KnownVerdict>> {
  const { fingerprint } = await openCohort(dir);
  const ledger = await ledgerForRun(fingerprint, { out: join(out, sweepFiles.runs, "any") });
  const known = await readVerdicts(ledger, fingerprint);
  const found: Record<string, KnownVerdict> = {};
  const asked = region && { x: region[0], y: region[1], width: region[2], height: region[3] };
  for (const target of targets) {
    const kept = known[target];
    if (kept && (asked === undefined || JSON.stringify(kept.region) === JSON.stringify(asked))) {
      found[target] = kept;
      continue;
    }
    const report = await auditShortcuts({
      ...{ cohort: dir, target },
      ...(asked ? { region: asked } : {}),
      onProgress: (name, done, total) => onProgress?.(`shortcuts of ${target}, ${name}`, done, total),
    });
    const { verdict, reasons } = report;
    found[target] = { verdict, reasons, region: report.region };
    await keepVerdict(ledger, fingerprint, report);
  }
  for (const target of targets) onNote?.(`${target}: ${verdictLine(found[target])}`);
  return found;
}
