/** Models trained on images: train, evaluate, attack. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { TrainingChoices } from "../settings.ts";
import { evaluateRun, type EvaluateReport } from "../evaluate-run.ts";
import { auditMembership, type MembershipAttackName, type MembershipReport } from "../membership.ts";
import { trainRun } from "../train-run.ts";
import type { TrainReport } from "../train-report.ts";
import type { CohortOutput } from "./cohort-tasks.ts";
import { courseFile, courseRecorder } from "../results/index.ts";
import { keepPrediction } from "./prediction.ts";
import type { Task } from "./task.ts";

/** Where images to train on come from: a cohort that was opened or drawn, or one of synthetic images. */
export type ImagesTask = Task<Pick<CohortOutput, "dir">>;

export interface TrainOutput {
  readonly run: string;
  readonly report: TrainReport;
}

const isThere = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // prettier-ignore

/** Trains one model, maybe from another's weights, maybe with synthetic images beside; an interrupted training goes on, and its budget is spent once. */
export function trainTask(
  name: string,
  images: ImagesTask,
  settings: { readonly targets: readonly string[]; readonly choices: TrainingChoices; readonly seed: number },
  {
    startFrom,
    synthetic,
  }: { readonly startFrom?: Task<TrainOutput> | undefined; readonly synthetic?: ImagesTask } = {},
): Task<TrainOutput> {
  const { targets, choices, seed } = settings;
  return {
    ...{ kind: "train", name: `train ${name}`, settings },
    needs: [images, ...(startFrom ? [startFrom] : []), ...(synthetic ? [synthetic] : [])],
    run: async ({ folder, ledgers, outputOf, onProgress, signal }) => {
      const run = join(folder, "run");
      const begun = await isThere(join(run, "run.json"));
      // A folder without its record was left before anything was entered in a ledger.
      if (!begun) await rm(run, { recursive: true, force: true });
      const keepCourse = courseRecorder(join(folder, courseFile));
      const report = await trainRun({
        ...{ cohort: outputOf(images).dir, targets, out: run, seed, ledger: ledgers, resume: begun },
        choices: synthetic ? { ...choices, synthetic: outputOf(synthetic).dir } : choices,
        ...(startFrom ? { initFrom: outputOf(startFrom).run } : {}),
        ...(signal ? { signal } : {}),
        checkpointSeconds: 10,
        onFeatures: (done, total) => onProgress("reading", done, total),
        onStep: (progress) => {
          keepCourse(progress);
          onProgress("step", progress.step, progress.steps);
        },
      });
      return { run, report };
    },
  };
}

export interface EvaluateOutput {
  readonly evaluation: Omit<EvaluateReport, "run" | "privacy" | "shortcuts" | "ledger">;
  readonly ledger: EvaluateReport["ledger"];
}

/** Evaluates a model on a split of a cohort, by group, and keeps its probabilities for the owner. */
export function evaluateTask(
  name: string,
  trained: Task<TrainOutput>,
  cohort: Task<CohortOutput>,
  settings: { readonly split: string; readonly groups: readonly string[] },
): Task<EvaluateOutput> {
  return {
    ...{ kind: "evaluate", name: `evaluate ${name}`, settings, needs: [trained, cohort] },
    run: async ({ folder, outputOf, onProgress, onNote }) => {
      const { report, prediction } = await evaluateRun({
        ...{ run: outputOf(trained).run, cohort: outputOf(cohort).dir, ...settings },
        onProgress: (done, total) => onProgress("images", done, total),
        onWarning: onNote,
      });
      const { images, probabilities } = prediction;
      await keepPrediction(folder, { images, probabilities, thresholds: prediction.run.result.thresholds });
      const { run: _run, privacy: _privacy, shortcuts: _shortcuts, ledger, ...evaluation } = report;
      return { evaluation, ledger };
    },
  };
}

/** Attacks a model for who was in its training. */
export function membershipTask(
  name: string,
  trained: Task<TrainOutput>,
  cohort: Task<CohortOutput>,
  attack: MembershipAttackName,
): Task<MembershipReport> {
  return {
    ...{ kind: "membership", name: `attack ${name} by ${attack}`, settings: attack, needs: [trained, cohort] },
    run: ({ folder, outputOf, onProgress, signal }) =>
      auditMembership({
        ...{ run: outputOf(trained).run, cohort: outputOf(cohort).dir, attack, shadowDir: join(folder, "shadows") },
        ...(signal ? { signal } : {}),
        onAnswers: (done, total) => onProgress("answers", done, total),
      }),
  };
}
