/** Synthetic images in a study: train a generator, draw, judge. */
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCohort } from "../../cohort/index.ts";
import type { ArmOf } from "../file/schema.ts";
import { judgeRun, type JudgeReport } from "../judge-run.ts";
import { contactSheet } from "../report/contact-sheet.ts";
import { synthSample, synthTrain, type SynthTrainReport } from "../synth-run.ts";
import type { CohortOutput } from "./cohort-tasks.ts";
import { emptied, type Task } from "./task.ts";

type SyntheticArm = ArmOf<"synthetic">;

export interface GeneratorOutput {
  readonly run: string;
  readonly report: SynthTrainReport;
}

export interface SamplesOutput {
  readonly dir: string;
  readonly images: number;
  /** The column of classes in the drawn cohort. */
  readonly target: string;
  /** Of the generator: proven for its patients; null where nothing is, or nobody knows. */
  readonly privacy: { readonly epsilon: number; readonly delta: number; readonly unit: string } | null;
  /** Pictures of both classes, in the task's folder. */
  readonly sheets: readonly string[];
}

const isThere = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // prettier-ignore

export function generatorTask(arm: SyntheticArm, cohort: Task<CohortOutput>, target: string): Task<GeneratorOutput> {
  const { folder: _folder, perClass: _perClass, seed, epsilon, ...choices } = arm.generator;
  const budget = epsilon === undefined || epsilon === "inf" || epsilon === Infinity ? {} : { epsilon: Number(epsilon) };
  const settings = { target, seed, choices: { ...choices, ...budget } };
  return {
    ...{ kind: "generator", name: `generator of ${arm.name}`, settings, needs: [cohort] },
    run: async ({ folder, ledgers, outputOf, onProgress, signal }) => {
      const run = join(folder, "run");
      const begun = await isThere(join(run, "run.json"));
      if (!begun) await rm(run, { recursive: true, force: true });
      const report = await synthTrain({
        ...{
          cohort: outputOf(cohort).dir,
          target,
          out: run,
          choices: settings.choices as Parameters<typeof synthTrain>[0]["choices"],
        },
        ...{ seed, ledger: ledgers, resume: begun, checkpointSeconds: 10 },
        ...(signal ? { signal } : {}),
        onReading: (done, total) => onProgress("reading", done, total),
        onStep: (done, total) => onProgress("step", done, total),
      });
      return { run, report };
    },
  };
}

/** Draws images of both classes as a cohort of its own. */
export function samplesTask(arm: SyntheticArm, generator: Task<GeneratorOutput>): Task<SamplesOutput> {
  const { perClass, seed } = arm.generator;
  return {
    ...{ kind: "samples", name: `samples of ${arm.name}`, settings: { perClass, seed }, needs: [generator] },
    run: async ({ folder, outputOf, onProgress, signal }) => {
      const dir = await emptied(join(folder, "cohort"));
      const {
        images,
        target,
        generator: origin,
      } = await synthSample({
        ...{ run: outputOf(generator).run, perClass, seed, out: dir },
        ...(signal ? { signal } : {}),
        onImage: (done, total) => onProgress("images", done, total),
      });
      return { dir, images, target, privacy: origin.privacy, sheets: await drawSheets(dir, target, folder) };
    },
  };
}

/** Synthetic images that are there already. */
export async function givenSamplesTask(dir: string, target: string): Promise<Task<SamplesOutput>> {
  const { fingerprint, records, synthetic } = await openCohort(dir);
  return {
    ...{ kind: "given-samples", name: "synthetic images as given", settings: [fingerprint, target], needs: [] },
    run: async ({ folder }) => ({
      ...{ dir, images: records.length, target, privacy: synthetic?.privacy ?? null },
      sheets: await drawSheets(dir, target, folder),
    }),
  };
}

/** A sheet for each class. */
async function drawSheets(dir: string, column: string, folder: string): Promise<string[]> {
  const cohort = await openCohort(dir);
  const target = cohort.target(column);
  const names: string[] = [];
  for (const label of [0, 1] as const) {
    const name = `samples-${label}.png`;
    await writeFile(join(folder, name), await contactSheet(cohort, target, { label, split: "train", count: 12 }));
    names.push(name);
  }
  return names;
}

/** Judges samples against the real images of the split that generators learn from. */
export function judgeTask(
  arm: SyntheticArm,
  samples: Task<SamplesOutput>,
  cohort: Task<CohortOutput>,
  target: string,
): Task<JudgeReport> {
  // prettier-ignore
  return {
    ...{ kind: "judge", name: `judge ${arm.name}`, settings: { target }, needs: [samples, cohort] },
    run: async ({ folder, ledgers, outputOf, onProgress }) =>
      judgeRun({
        ...{ real: outputOf(cohort).dir, synthetic: outputOf(samples).dir, split: "train", ledger: ledgers },
        ...{ target, out: await emptied(join(folder, "judged")), seed: 1 },
        onProgress,
      }),
  };
}
