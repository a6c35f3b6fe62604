/** Runs a study and puts together what came out. */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { cpus, platform, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { openCohort } from "../../cohort/index.ts";
import { summariseLedger, type LedgerEntry } from "../../privacy/index.ts";
import { writeAtomically } from "../../training/checkpoint.ts";
import { ledgerForRun, readLedgerFile } from "../cohort-ledger.ts";
import type { Study } from "../file/schema.ts";
import { decide, studyFiles, writeRows, type ResultRow, type StudyRecord } from "../results/index.ts";
import { codeVersion } from "../run-folder.ts";
import { verdictLine, type KnownVerdict } from "../shortcuts/record.ts";
import { correlationsOf, costsOf, type SweepCorrelation, type SweepRun } from "../sweep/analysis.ts";
import { drawSweep } from "../sweep/draw.ts";
import { collectArm, type Collected } from "./collect.ts";
import type { CohortOutput } from "./cohort-tasks.ts";
import { planStudy, type StudyPlan } from "./plan.ts";
import { runTasks, type Outcome, type Task, type TaskCounts } from "./task.ts";

export interface StudyRunOptions {
  readonly out: string;
  /** Text of the file that the study was read from. */
  readonly text: string;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  /** Seconds done, seconds in all as far as can be told, and what is being done. */
  readonly onProgress?: (done: number, total: number, doing: string) => void;
}

export interface StudyRunReport {
  readonly study: string;
  readonly results: string;
  readonly record: StudyRecord;
  readonly rows: readonly ResultRow[];
  readonly counts: TaskCounts;
  readonly correlations: readonly SweepCorrelation[];
  readonly charts: readonly string[];
  readonly seconds: number;
}

/**
 * Runs a study into a folder: what is finished there by the same content is not done again, and what was interrupted goes
 * on. An arm that fails is recorded as failed, and the others go on.
 * Throws LG-COHORT-... where a cohort cannot be opened, LG-RUNTIME-004 and LG-INTERRUPTED-001 (cancelled; run it again),
 * and the first error where no arm came to its end.
 */
export async function runStudy(study: Study, options: StudyRunOptions): Promise<StudyRunReport> {
  const started = performance.now();
  const startedAt = new Date().toISOString();
  const { out } = options;
  const ledgers = resolve(process.env["LEADGLASS_LEDGERS"] || join(out, "ledgers"));
  const plan = await planStudy(study);
  await mkdir(out, { recursive: true });
  const { outcomes, counts } = await runTasks(plan.tasks, { ...options, ledgers });
  const failed = [...outcomes.values()].find((outcome) => outcome.state === "failed");
  for (const task of Object.values(plan.cohorts)) throwIfFailed(outcomes.get(task)!);

  const arms: Collected[] = [];
  for (const planned of plan.arms) arms.push(await collectArm(planned, { study, out, outcomes }));
  if (failed && arms.every(({ record }) => record.state !== "done")) throwIfFailed(failed);

  const verdicts = Object.fromEntries(
    Object.entries(plan.shortcuts).flatMap(([target, task]) => {
      const outcome = outcomes.get(task)!;
      return outcome.state === "done" ? [[target, outcome.output as KnownVerdict]] : [];
    }),
  );
  const compared = await comparedRuns(arms, plan, outcomes);
  const costs = costsOf(compared, study);
  const charts = compared.length > 0 ? await drawSweep(compared, { out: join(out, studyFiles.charts), targets: study.targets, verdicts: Object.fromEntries(Object.entries(verdicts).map(([t, v]) => [t, verdictLine(v)])) }) : []; // prettier-ignore
  const rows = arms.flatMap((arm) => arm.rows);
  const cohortOf = (task: Task<CohortOutput>): CohortOutput => (outcomes.get(task) as { output: CohortOutput }).output;
  const entries = await ledgerEntries(Object.values(plan.cohorts).map(cohortOf), ledgers);
  const open = study.arms.find(({ kind }) => kind === "open");
  const draft: StudyRecord = {
    name: study.name,
    ...(study.question === undefined ? {} : { question: study.question }),
    file: options.text,
    sha256: createHash("sha256").update(options.text).digest("hex"),
    ...{ codeVersion, node: process.version, startedAt },
    machine: { cores: cpus().length, memoryBytes: totalmem(), platform: platform() },
    seconds: (performance.now() - started) / 1000,
    seeds: study.seeds,
    cohorts: Object.entries(plan.cohorts).map(([name, task]) => {
      const { dir: _dir, ...cohort } = cohortOf(task);
      const source = study.cohorts[name]!;
      const about = "folder" in source ? "images in a folder" : `${source.phantom} phantoms, drawn: no real patient`;
      return { name, about, ...cohort };
    }),
    ...{ targets: study.targets, groups: study.groups },
    arms: arms.map(({ record }) => record),
    attacks: arms.flatMap(({ attacks }) => attacks),
    costs: costs.flatMap(({ target, arm, seed, cost }) =>
      [
        { group: null, ...cost.overall },
        ...cost.groups.map((g) => ({ ...g, group: `${g.column}=${g.value ?? "missing"}` })),
      ].map(
        ({ group, difference, verdict }) => ({ arm: nameOfBudget(study, arm), than: open?.name ?? "no privacy", seed, target, group, difference, verdict }), // prettier-ignore
      ),
    ),
    shortcuts: Object.fromEntries(Object.entries(verdicts).map(([t, { verdict, reasons }]) => [t, { verdict, reasons }])), // prettier-ignore
    ledger: summariseLedger(entries),
    limits: limitsOf(study, arms),
  };
  const record = study.decision ? { ...draft, decision: decide(draft, rows, study.decision) } : draft;
  await writeRows(join(out, studyFiles.results), rows);
  await writeAtomically(join(out, studyFiles.record), `${JSON.stringify(record, null, 2)}\n`);
  return {
    ...{ study: out, results: join(out, studyFiles.results), record, rows, counts, charts },
    correlations: correlationsOf(compared, study.targets),
    seconds: (performance.now() - started) / 1000,
  };
}

function throwIfFailed(outcome: Outcome): void {
  if (outcome.state === "failed") throw outcome.error;
  if (outcome.state === "waiting") throw outcome.because;
}

/** Models without privacy and with each budget, on one cohort: what privacy costs is read from these. */
async function comparedRuns(
  arms: readonly Collected[],
  plan: StudyPlan,
  outcomes: ReadonlyMap<Task, Outcome>,
): Promise<SweepRun[]> {
  // prettier-ignore
  const models = arms.filter(({ record }) => record.kind === "open" || record.kind === "private");
  const reference = models[0];
  if (!reference) return [];
  const seen = new Set<string>();
  const runs: SweepRun[] = [];
  for (const { planned, evaluated } of models) {
    const { arm, cohort } = planned;
    const budget = arm.epsilon === null ? "inf" : String(arm.epsilon);
    if (cohort !== reference.planned.cohort || seen.has(budget) || evaluated.length === 0) continue;
    seen.add(budget);
    const opened = await openCohort((outcomes.get(cohort) as { output: CohortOutput }).output.dir);
    for (const { seed, evaluation, prediction } of evaluated)
      runs.push({ arm: budget, seed, evaluation, prediction: { ...prediction, cohort: opened, targets: Object.keys(evaluation.metrics) } }); // prettier-ignore
  }
  return runs.sort((a, b) => (b.arm === "inf" ? Infinity : Number(b.arm)) - (a.arm === "inf" ? Infinity : Number(a.arm)) || a.seed - b.seed); // prettier-ignore
}

const nameOfBudget = (study: Study, budget: string): string =>
  study.arms.find((arm) => arm.kind === "private" && String(arm.epsilon) === budget)?.name ?? budget;

async function ledgerEntries(cohorts: readonly CohortOutput[], ledgers: string): Promise<LedgerEntry[]> {
  const paths = new Set<string>();
  for (const { fingerprint } of cohorts) paths.add(await ledgerForRun(fingerprint, { out: ledgers, ledger: ledgers }));
  const all: LedgerEntry[] = [];
  for (const path of paths) all.push(...((await readLedgerFile(path)) ?? []));
  return all;
}

function limitsOf(study: Study, arms: readonly Collected[]): string[] {
  const has = (kind: string): boolean => arms.some(({ record }) => record.kind === kind);
  return [
    ...(has("private") ? ["Seeds make a study repeatable, and its private noise with it: these models are marked insecureSeed and are for comparing. Train without a seed what is to leave the house."] : []), // prettier-ignore
    ...(has("encodings") ? ["Keys of encodings are drawn from the study's settings, so its releases protect nobody and stay in its folder. Encodings are not encryption: an attack that failed bounds that attack alone."] : []), // prettier-ignore
    ...(has("synthetic") ? ["Synthetic images from a generator without privacy carry no proof; not flagged is not private."] : []), // prettier-ignore
    `Intervals resample patients of the ${study.split} split; seeds are another source of variance and are shown apart.`,
    "Figures on the evaluated patients carry no noise: this folder is for the owner of the data.",
  ];
}
