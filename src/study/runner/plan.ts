/** From a study file to its tasks. */
import { LeadglassError } from "../../errors.ts";
import type { ArmOf, Study, StudyArm } from "../file/schema.ts";
import type { JudgeReport } from "../judge-run.ts";
import type { MembershipAttackName, MembershipReport } from "../membership.ts";
import type { TrainingChoices } from "../settings.ts";
import type { KnownVerdict } from "../shortcuts/record.ts";
import { cohortTask, shortcutTask, type CohortOutput } from "./cohort-tasks.ts";
import {
  attackTask,
  encodeTask,
  releaseEvaluateTask,
  releaseTrainTask,
  type AttackOutput,
  type EncodeOutput,
  type ReleaseTrainOutput,
} from "./encoding-tasks.ts";
import { evaluateTask, membershipTask, trainTask, type EvaluateOutput, type TrainOutput } from "./model-tasks.ts";
import { generatorTask, givenSamplesTask, judgeTask, samplesTask, type GeneratorOutput, type SamplesOutput } from "./synthetic-tasks.ts"; // prettier-ignore
import type { Task } from "./task.ts";

/** The tasks of one arm, for putting its results together. */
export interface PlannedArm {
  readonly arm: StudyArm;
  readonly cohort: Task<CohortOutput>;
  readonly seeds: readonly {
    readonly seed: number;
    readonly trained: Task<TrainOutput> | Task<ReleaseTrainOutput>;
    readonly evaluated: Task<EvaluateOutput>;
    readonly audits: readonly { readonly attack: MembershipAttackName; readonly task: Task<MembershipReport> }[];
  }[];
  readonly encoded?: Task<EncodeOutput>;
  readonly attacks: readonly Task<AttackOutput>[];
  readonly generator?: Task<GeneratorOutput>;
  readonly samples?: Task<SamplesOutput>;
  readonly judged?: Task<JudgeReport>;
}

export interface StudyPlan {
  readonly cohorts: Readonly<Record<string, Task<CohortOutput>>>;
  /** By target, of the first cohort. */
  readonly shortcuts: Readonly<Record<string, Task<KnownVerdict>>>;
  readonly arms: readonly PlannedArm[];
  readonly tasks: readonly Task[];
}

type Planned<K extends StudyArm["kind"]> = (arm: ArmOf<K>, cohort: Task<CohortOutput>) => Promise<PlannedArm>;

/**
 * Lays out the work of a study. Cohorts in folders are opened, nothing is run.
 * Throws LG-COHORT-... for a folder that is no cohort or lacks a column, and LG-USAGE-004 for what arms of a kind cannot have.
 */
export async function planStudy(study: Study): Promise<StudyPlan> {
  const cohorts: Record<string, Task<CohortOutput>> = {};
  for (const [name, source] of Object.entries(study.cohorts)) cohorts[name] = await cohortTask(name, source, study);
  const first = Object.values(cohorts)[0]!;
  const shortcuts = study.shortcuts
    ? Object.fromEntries(study.targets.map((t) => [t, shortcutTask(first, t, study.region)]))
    : {};
  const ofName = new Map<string, PlannedArm>();
  const planners: { readonly [K in StudyArm["kind"]]: Planned<K> } = {
    open: (arm, cohort) => modelArm(study, arm, cohort, ofName),
    private: (arm, cohort) => modelArm(study, arm, cohort, ofName),
    encodings: (arm, cohort) => Promise.resolve(encodingsArm(study, arm, cohort)),
    synthetic: (arm, cohort) => syntheticArm(study, arm, cohort),
  };
  // An arm that starts from another comes after it.
  const waiting = [...study.arms];
  while (waiting.length > 0) {
    const next = waiting.findIndex((arm) => !("startFrom" in arm) || arm.startFrom === undefined || ofName.has(arm.startFrom)); // prettier-ignore
    const [arm] = waiting.splice(next, 1);
    const planner = planners[arm!.kind] as (arm: StudyArm, cohort: Task<CohortOutput>) => Promise<PlannedArm>;
    ofName.set(arm!.name, await planner(arm!, cohorts[arm!.cohort]!));
  }
  const arms = study.arms.map(({ name }) => ofName.get(name)!);
  return {
    ...{ cohorts, shortcuts, arms },
    tasks: [...Object.values(cohorts), ...Object.values(shortcuts), ...arms.flatMap(tasksOf)],
  };
}

/** Everything that an arm's results are put together from. */
export const tasksOf = ({ cohort, seeds, encoded, attacks, generator, samples, judged }: PlannedArm): Task[] => [
  cohort,
  ...[encoded, generator, samples].filter((task) => task !== undefined),
  ...seeds.flatMap(({ trained, evaluated, audits }) => [trained as Task, evaluated, ...audits.map(({ task }) => task)]),
  ...(judged ? [judged] : []),
  ...attacks,
];

const howJudged = ({ split, groups }: Study) => ({ split, groups });

type Budget = { readonly epsilon: number | null; readonly delta?: number | undefined; readonly unit?: "patient" | "image" | undefined }; // prettier-ignore

/** What `train` is to do: the arm's own settings and its budget. */
function choicesOf(train: object, { epsilon, delta, unit }: Budget): TrainingChoices {
  return {
    ...(train as TrainingChoices),
    ...(epsilon === null ? {} : { epsilon, ...(delta === undefined ? {} : { delta }) }),
    ...(unit === undefined ? {} : { unit }),
  };
}

async function modelArm(
  study: Study,
  arm: ArmOf<"open"> | ArmOf<"private">,
  cohort: Task<CohortOutput>,
  arms: ReadonlyMap<string, PlannedArm>,
): Promise<PlannedArm> {
  const choices = choicesOf(arm.train, arm.kind === "private" ? arm : { epsilon: null });
  const from = arm.startFrom === undefined ? undefined : arms.get(arm.startFrom)!;
  if (from && from.arm.kind === "encodings")
    throw new LeadglassError("LG-USAGE-004", `arm "${arm.name}": it starts from "${from.arm.name}", a model of encodings`, { hint: "Start from an arm that was trained on images." }); // prettier-ignore
  return Promise.resolve({
    ...{ arm, cohort, attacks: [] },
    seeds: arm.seeds.map((seed) => {
      const start = from?.seeds.find((s) => s.seed === seed) ?? from?.seeds[0];
      const name = `${arm.name}, seed ${seed}`;
      const trained = trainTask(name, cohort, { targets: study.targets, choices, seed }, { startFrom: start?.trained as Task<TrainOutput> | undefined }); // prettier-ignore
      return {
        ...{ seed, trained },
        evaluated: evaluateTask(name, trained, cohort, howJudged(study)),
        audits: arm.audits.map((attack) => ({ attack, task: membershipTask(name, trained, cohort, attack) })),
      };
    }),
  });
}

function encodingsArm(study: Study, arm: ArmOf<"encodings">, cohort: Task<CohortOutput>): PlannedArm {
  const encoded = encodeTask(arm, cohort, { hospitals: study.hospitals, targets: study.targets });
  return {
    ...{ arm, cohort, encoded, attacks: arm.attacks.map((attack) => attackTask(arm, cohort, attack)) },
    seeds: arm.seeds.map((seed) => {
      const trained = releaseTrainTask(arm, encoded, study.targets, seed);
      return {
        seed,
        trained,
        evaluated: releaseEvaluateTask(arm, { cohort, encoded, trained }, howJudged(study)),
        audits: [],
      };
    }),
  };
}

async function syntheticArm(study: Study, arm: ArmOf<"synthetic">, cohort: Task<CohortOutput>): Promise<PlannedArm> {
  const [target, ...more] = study.targets;
  if (more.length > 0)
    throw new LeadglassError("LG-USAGE-004", `arm "${arm.name}": generators draw by one target, and the study has ${study.targets.length}`, { hint: "Name one target, or leave the arm out." }); // prettier-ignore
  const { folder } = arm.generator;
  const generator = folder === undefined ? generatorTask(arm, cohort, target!) : undefined;
  const samples = generator ? samplesTask(arm, generator) : await givenSamplesTask(folder!, target!);
  const judged = arm.judge ? judgeTask(arm, samples, cohort, target!) : undefined;
  return {
    ...{ arm, cohort, samples, attacks: [] },
    ...(generator ? { generator } : {}),
    ...(judged ? { judged } : {}),
    seeds: arm.seeds.map((seed) => {
      const name = `${arm.name}, seed ${seed}`;
      const trained = trainedWith(arm, { name, cohort, samples, target: target!, seed });
      return {
        ...{ seed, trained },
        evaluated: evaluateTask(name, trained, cohort, howJudged(study)),
        audits:
          arm.use === "only" ? [] : arm.audits.map((attack) => ({ attack, task: membershipTask(name, trained, cohort, attack) })), // prettier-ignore
      };
    }),
  };
}

/** What `use` means: which images, in which order. */
function trainedWith(
  arm: ArmOf<"synthetic">,
  { name, cohort, samples, target, seed }: { name: string; cohort: Task<CohortOutput>; samples: Task<SamplesOutput>; target: string; seed: number }, // prettier-ignore
): Task<TrainOutput> {
  const targets = [target];
  const open = choicesOf(arm.train, { epsilon: null });
  const own = choicesOf(arm.train, arm);
  switch (arm.use) {
    case "only":
      return trainTask(name, samples, { targets, choices: open, seed });
    case "pretrain": {
      // Both trainings are of one network, whatever train would choose for each.
      const model = arm.train.model ?? "cnn";
      const first = trainTask(`${name}, on synthetic images`, samples, { targets, choices: { ...open, model }, seed });
      return trainTask(name, cohort, { targets, choices: { ...own, model }, seed }, { startFrom: first });
    }
    case "pool":
    case "beside":
      return trainTask(name, cohort, { targets, choices: { ...own, syntheticUse: arm.use }, seed }, { synthetic: samples }); // prettier-ignore
  }
}
