/** From the outcomes of one arm's tasks to its record, its rows and its attacks. */
import { relative, resolve } from "node:path";
import { openCohort } from "../../cohort/index.ts";
import type { MetricInterval } from "../../evaluation/index.ts";
import type { LeadglassError } from "../../errors.ts";
import { readLedgerFile } from "../cohort-ledger.ts";
import type { Study } from "../file/schema.ts";
import type { JudgeReport } from "../judge-run.ts";
import { attackerBound } from "../meaning.ts";
import { membershipAttacks, type MembershipReport } from "../membership.ts";
import { courseFile, type ArmRecord, type AttackRecord, type Picture, type ResultRow } from "../results/index.ts";
import { attacks as encodingAttacks } from "../../encoding/attacks/table.ts";
import type { AttackOutput } from "./encoding-tasks.ts";
import type { EvaluateOutput, TrainOutput } from "./model-tasks.ts";
import { tasksOf, type PlannedArm } from "./plan.ts";
import { planOf, provenOf } from "./proven.ts";
import { predictionFile, readPrediction, type KeptPrediction } from "./prediction.ts";
import type { SamplesOutput } from "./synthetic-tasks.ts";
import { taskFolder, type Outcome, type Task } from "./task.ts";

export interface Collected {
  readonly planned: PlannedArm;
  readonly record: ArmRecord;
  readonly rows: readonly ResultRow[];
  readonly attacks: readonly AttackRecord[];
  readonly evaluated: readonly {
    readonly seed: number;
    readonly evaluation: EvaluateOutput["evaluation"];
    readonly prediction: KeptPrediction;
  }[];
}

interface Where {
  readonly study: Study;
  readonly out: string;
  readonly outcomes: ReadonlyMap<Task, Outcome>;
}

const metricNames = [
  ...(["auroc", "auprc", "accuracy", "sensitivity", "specificity", "falsePositiveRate", "selectionRate"] as const),
  ...(["f1", "brier", "ece"] as const),
] as const;
type Measured = Readonly<Record<(typeof metricNames)[number], MetricInterval>> & { readonly n: number | null; readonly patients: number | null }; // prettier-ignore

const errorOf = (error: LeadglassError) => ({
  code: error.code,
  message: error.message,
  ...(error.hint === undefined ? {} : { hint: error.hint }),
});

export async function collectArm(planned: PlannedArm, { study, out, outcomes }: Where): Promise<Collected> {
  const { arm } = planned;
  const outputOf = <T>(task: Task<T> | undefined): T | undefined => {
    const outcome = task && outcomes.get(task);
    return outcome?.state === "done" ? (outcome.output as T) : undefined;
  };
  const place = (task: Task, file = "done.json"): string => relative(resolve(out), resolve(taskFolder(out, task), file)); // prettier-ignore
  const problems = tasksOf(planned).map((task) => outcomes.get(task)!).filter((o) => o.state !== "done"); // prettier-ignore
  const failure = problems.find((o) => o.state === "failed") ?? problems[0];
  const samples = outputOf<SamplesOutput>(planned.samples);
  const reports = planned.seeds.flatMap(({ trained }) => outputOf<TrainOutput>(trained as Task<TrainOutput>)?.report ?? []); // prettier-ignore
  const privacy = arm.kind === "encodings" ? null : await provenOf(planned, { reports, samples, out, outcomes });
  // Where weights of another arm were started from, one plan is not all that the model cost.
  const alone = arm.kind === "private" && arm.startFrom === undefined;
  const plan = alone ? await planOf(planned, { out, outcomes }) : null;
  const base = {
    ...{ study: study.name, arm: arm.name, cohort: arm.cohort, attack: null, chance: null, ledgerEntry: null },
    ...{ split: null, target: null, group: null, low: null, high: null, images: null, patients: null },
    ...{ epsilon: privacy?.epsilon ?? null, delta: privacy?.delta ?? null },
  };
  const rows: ResultRow[] = [];
  const attacks: AttackRecord[] = [];
  const pictures: Picture[] = [];
  const evaluated: Collected["evaluated"][number][] = [];
  const addAttack = (record: Omit<AttackRecord, "arm">, row: Partial<ResultRow> & Pick<ResultRow, "file">): void => {
    attacks.push({ arm: arm.name, ...record });
    const { value, low, high } = record.success;
    rows.push({ ...base, seed: null, metric: "attack success", value, low, high, attack: record.attack, chance: record.chance, ...row }); // prettier-ignore
  };
  const seen = outputOf(planned.cohort);
  const trainingPatients = seen ? (await openCohort(seen.dir)).patientsOf("train").length : null;
  for (const { seed, trained, evaluated: task, audits } of planned.seeds) {
    const training = outputOf<TrainOutput>(trained as Task<TrainOutput>);
    if (training) {
      const file = place(trained);
      const { report } = training;
      const own = (metric: string, value: number | null): ResultRow => ({ ...base, seed, metric, value, file });
      rows.push(own("training seconds", report.seconds), own("training peak memory, bytes", report.peakMemoryBytes), own("training images", report.images)); // prettier-ignore
      if ("units" in report) rows.push(own("training units", report.units));
      // Also where they were seen through encodings or a generator.
      rows.push(own("training patients", trainingPatients));
    }
    const found = outputOf(task);
    if (found) {
      const entry = await entryHash(found.ledger);
      rows.push(...metricRows(found.evaluation, { ...base, seed, ledgerEntry: entry, file: place(task) }));
      evaluated.push({ seed, evaluation: found.evaluation, prediction: await readPrediction(taskFolder(out, task)) });
    }
    for (const { attack, task: audit } of audits) {
      const report = outputOf<MembershipReport>(audit);
      const auroc = report?.auroc;
      if (!report) continue;
      if (!auroc || auroc.value === null) {
        // Too few to say anything: a row without a value, and no attack that failed.
        rows.push({ ...base, seed, metric: "attack success", value: null, attack: `membership, ${attack}`, chance: 0.5, file: place(audit) }); // prettier-ignore
        continue;
      }
      const success = { value: auroc.value, low: auroc.low, high: auroc.high };
      const about = `who was in the training: ${membershipAttacks[attack].about}`;
      addAttack(
        { attack: `membership, ${attack}`, about, knowledge: report.knowledge, success, chance: 0.5, seconds: secondsOf(outcomes.get(audit)!), valid: true, pictures: [] }, // prettier-ignore
        { seed, file: place(audit), patients: report.members + report.nonMembers },
      );
    }
  }
  for (const task of planned.attacks) {
    const report = outputOf<AttackOutput>(task);
    if (!report?.success || report.chance === null) continue;
    const drawn: Picture[] = report.picture === null ? [] : [{ path: place(task, report.picture), title: `${report.attack} on ${arm.name}`, about: "originals, what the attacker drew from their encodings, and the mean image, row by row" }]; // prettier-ignore
    pictures.push(...drawn);
    addAttack(
      { attack: report.attack, about: encodingAttacks[report.attack]!.about, knowledge: report.knowledge, success: report.success, chance: report.chance, seconds: report.seconds, valid: report.valid !== false, pictures: drawn }, // prettier-ignore
      { file: place(task) },
    );
  }
  if (samples && planned.samples) {
    const task = planned.samples;
    samples.sheets.forEach(
      (sheet, label) =>
      pictures.push({ path: place(task, sheet), title: `${arm.name}, class ${label}`, about: `synthetic images with ${study.targets[0]} ${label}` }), // prettier-ignore
    );
  }
  const judged = outputOf<JudgeReport>(planned.judged);
  if (judged && planned.judged) {
    rows.push(...judgeRows(judged, { ...base, seed: null, file: place(planned.judged) }));
    for (const [space, { membership }] of Object.entries(judged.nearestNeighbour.memorisation ?? {})) {
      const { value, low, high } = membership.auroc;
      if (value === null) continue;
      addAttack(
        { attack: `membership, nearest image by ${space}`, about: "who was in the generator's training: whoever has a synthetic image closer than his place among real images explains", knowledge: ["the synthetic images", "images of the patients who are asked about"], success: { value, low, high }, chance: 0.5, seconds: secondsOf(outcomes.get(planned.judged)!), valid: true, pictures: [] }, // prettier-ignore
        { file: place(planned.judged), patients: membership.members + membership.nonMembers },
      );
    }
  }
  return {
    ...{ planned, rows, attacks, evaluated },
    record: {
      ...{ name: arm.name, kind: arm.kind, about: aboutOf(planned, reports), settings: arm },
      state: !failure ? "done" : failure.state === "failed" ? "failed" : "waiting",
      ...(failure ? { error: errorOf(failure.state === "failed" ? failure.error : (failure as { because: LeadglassError }).because) } : {}), // prettier-ignore
      ...{ epsilon: privacy?.epsilon ?? null, delta: privacy?.delta ?? null, unit: privacy?.unit ?? null },
      attacker: plan && attackerBound(plan),
      assumptions: assumptionsOf(planned, reports),
      runs: planned.seeds.flatMap(
        ({ seed, trained, evaluated: task }) =>
        outputOf(trained as Task) === undefined ? [] : [{ seed, folder: place(trained, "run"), curves: place(trained, courseFile), ...(outputOf(task) ? { predictions: place(task, predictionFile) } : {}) }], // prettier-ignore
      ),
      pictures,
      notAccounted: [...new Set(reports.flatMap((report) => report.privacy?.notAccounted ?? []))],
    },
  };
}

const secondsOf = (outcome: Outcome): number => (outcome.state === "done" ? outcome.seconds : 0);

async function entryHash(ledger: EvaluateOutput["ledger"]): Promise<string | null> {
  if (ledger === null) return null;
  return (await readLedgerFile(ledger.path))?.[ledger.index]?.hash ?? null;
}

type Base = Omit<ResultRow, "metric" | "value">;

function metricRows({ split, metrics, groups }: EvaluateOutput["evaluation"], base: Base): ResultRow[] {
  const rows = (target: string, group: string | null, measured: Measured): ResultRow[] =>
    metricNames.map((metric) => {
      const { value, low, high } = measured[metric];
      return { ...base, split, target, group, metric, value, low, high, images: measured.n, patients: measured.patients }; // prettier-ignore
    });
  return [
    ...Object.entries(metrics).flatMap(([target, measured]) => rows(target, null, measured)),
    ...groups.flatMap((group) => rows(group.target, `${group.column}=${group.value ?? "missing"}`, group)),
  ];
}

function judgeRows({ frechet, coverage, nearestNeighbour }: JudgeReport, base: Base): ResultRow[] {
  const row = (metric: string, { value, low, high }: { value: number | null; low: number | null; high: number | null }): ResultRow => ({ ...base, metric, value, low, high }); // prettier-ignore
  return [
    row(`Frechet distance, ${frechet.features}`, frechet),
    row(`Frechet distance, ${frechet.features}, between halves of the real images`, frechet.bound),
    row(`coverage, ${coverage.features}`, coverage),
    ...(nearestNeighbour.memorised === null ? [] : [{ ...base, metric: "memorisation flagged", value: Number(nearestNeighbour.memorised) }]), // prettier-ignore
  ];
}

function aboutOf({ arm }: PlannedArm, reports: readonly TrainOutput["report"][]): string {
  const model = reports[0] ? `model ${reports[0].model}` : "no model yet";
  const started = "startFrom" in arm && arm.startFrom !== undefined ? `, from the weights of "${arm.startFrom}"` : "";
  switch (arm.kind) {
    case "open":
      return `${model} trained on the images, without privacy${started}`;
    case "private":
      return `${model} trained on the images with differential privacy${started}`;
    case "encodings":
      return `${model} trained on encodings of scheme ${arm.scheme}, ${arm.keys === "one" ? "all hospitals under one key" : "each hospital under its own key"}`; // prettier-ignore
    case "synthetic":
      return `${model} trained on synthetic images${{ only: " alone", pretrain: ", then on the real ones", pool: " and real ones in one pool", beside: " beside the real ones" }[arm.use]}`;
  }
}

function assumptionsOf({ arm }: PlannedArm, reports: readonly TrainOutput["report"][]): string[] {
  const privacy = reports[0]?.privacy;
  return [
    ...(privacy ? [`${privacy.relation}; the accountant ${privacy.accountant}; the number of training ${privacy.unit}s is public`] : []), // prettier-ignore
    ...(privacy?.insecureSeed ? ["noise from a seed: a comparison, and no model to give away"] : []),
    ...(arm.kind === "encodings" ? ["that nobody finds the secret network: no theorem says so"] : []),
    ...(arm.kind === "synthetic" && arm.generator.epsilon === undefined ? ["that the generator did not memorise patients"] : []), // prettier-ignore
  ];
}
