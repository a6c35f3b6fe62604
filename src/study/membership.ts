/** Membership inference on a finished run: can somebody tell who was trained on? */
import { join } from "node:path";
import { openCohort, type Cohort, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { bootstrapIntervals, type MetricInterval } from "../evaluation/index.ts";
import { groupRows } from "../evaluation/groups.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import {
  auditDrawnSplit,
  balancedAccuracy,
  liraScores,
  logitConfidence,
  rmiaScores,
  tprAtFpr,
  tprBound,
  type DrawnSplitAudit,
  type RateInterval,
  type TprAtFpr,
} from "../privacy/index.ts";
import { startEngine, type Device } from "../runtime/index.ts";
import { groupingOf } from "./evaluate-run.ts";
import { trainShadows, type ShadowAnswers, type ShadowProgress } from "./membership-shadows.ts";
import { openRows, predictImages, type Progress } from "./rows.ts";
import { readFinishedRun, readWeights, type RunRecord } from "./run-folder.ts";
import type { TrainReport } from "./train-report.ts";

/** What an attack asks of the models, and what its attacker knows beside the patient's images and labels. */
interface Attack {
  readonly about: string;
  readonly shadows: boolean;
  readonly knowledge: readonly string[];
}

const everyAttacker = [
  "the model's probabilities for images of his choice",
  "all images and labels of the patient, as they would have been trained on",
];
const shadowTrainer = [
  ...everyAttacker,
  "other patients of the same source, with labels, to train shadow models on",
  "how the model was trained: architecture and settings, not the seed",
];

export const membershipAttacks = {
  loss: { about: "how small the loss is", shadows: false, knowledge: everyAttacker },
  lira: {
    about: "likelihood ratio against shadow models with and without the patient (online LiRA)",
    shadows: true,
    knowledge: [...shadowTrainer, "shadow models may be trained on the patient himself"],
  },
  "lira-offline": {
    about: "how unlike shadow models without the patient (offline LiRA)",
    shadows: true,
    knowledge: shadowTrainer,
  },
  rmia: {
    about: "probability ratios against other patients, by shadow models with and without the patient (RMIA)",
    shadows: true,
    knowledge: [
      ...shadowTrainer,
      "shadow models may be trained on the patient himself",
      "some patients who are known not to be members",
    ],
  },
} as const satisfies Record<string, Attack>;

export type MembershipAttackName = keyof typeof membershipAttacks;

/** False-positive rates that are reported: an accusation in a hundred and in a thousand wrong. */
export const reportedRates = [0.001, 0.01] as const;

/** How well the attack tells members from non-members among some patients. */
export interface AttackMetrics {
  readonly members: number;
  readonly nonMembers: number;
  readonly auroc: MetricInterval | null;
  /** By false-positive rate, as "0.01". */
  readonly tprAtFpr: Readonly<Record<string, TprAtFpr>>;
  readonly balancedAccuracy: RateInterval | null;
  /** Why there is no number. */
  readonly reason: string | null;
}

/** What `audit membership --json` prints. */
export interface MembershipReport extends AttackMetrics {
  readonly run: string;
  readonly attack: MembershipAttackName;
  readonly unit: "patient";
  /** Which splits the two kinds are. */
  readonly splits: { readonly members: string; readonly nonMembers: string; readonly population: string | null };
  readonly shadows: number;
  readonly byLabel: readonly (AttackMetrics & { readonly target: string; readonly label: 0 | 1 })[];
  readonly groups: readonly (AttackMetrics & { readonly column: string; readonly value: string | null })[];
  readonly epsilon: {
    /** From the attack, at `confidence`: what the training cannot be below. */
    readonly lower: number;
    /** What the run claims for a patient; null where it claims nothing for patients. */
    readonly upper: number | null;
    readonly delta: number;
    /** Pairs of a member and a non-member, those guessed, those guessed right. */
    readonly pairs: number;
    readonly guesses: number;
    readonly correct: number;
  };
  /** By false-positive rate: the most members that any attack can catch if the claim holds; null without a claim. */
  readonly bound: Readonly<Record<string, number>> | null;
  readonly confidence: number;
  readonly knowledge: readonly string[];
  readonly assumptions: readonly string[];
}

export interface MembershipRequest {
  readonly run: string;
  readonly cohort: string;
  readonly attack?: MembershipAttackName;
  /** Shadow models, an even number; 16 by default, 0 for the loss attack. */
  readonly shadows?: number;
  /** Where finished shadow models are kept: by default `shadows` in the run's folder. */
  readonly shadowDir?: string;
  /** Columns as `sex`, with bands as `age:18,40,60,75`, or intersections as `sex+age:18,60`. */
  readonly groups?: readonly string[];
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onAnswers?: Progress;
  readonly onShadow?: (progress: ShadowProgress) => void;
}

/** Delta of the lower bound where the run itself claims none. */
const deltaWithoutClaim = 1e-5;
const confidence = 0.95;

interface Patients {
  /** Labelled images of each patient; members first, then non-members, then the population. */
  readonly images: readonly (readonly number[])[];
  readonly members: number;
  readonly nonMembers: number;
  readonly splits: MembershipReport["splits"];
}

/**
 * Attacks a finished run: patients of its train split are members, those of the test split (without one, of the validation
 * split) are not; a patient's score is the mean over images and targets. Writes nothing but shadow models.
 * Throws LG-TRAIN-002 for an unfinished run or another cohort, LG-COHORT-011 where there are no non-members,
 * LG-USAGE-001 for a number of shadows that does not fit the attack, LG-INTERRUPTED-001 when stopped.
 */
export async function auditMembership(request: MembershipRequest): Promise<MembershipReport> {
  const { attack: name = "loss" } = request;
  const attack: Attack = membershipAttacks[name];
  const shadowCount = shadowsOf(request, name);
  const run = await readFinishedRun(request.run);
  const cohort = await openCohort(request.cohort);
  if (run.cohortFingerprint !== cohort.fingerprint)
    throw new LeadglassError("LG-TRAIN-002", `${request.run}: it was trained on another cohort than ${cohort.place}`, {
      hint: "Give the cohort the run was trained on: the audit must know who was in it.",
    });
  if (run.choices.canaries !== undefined)
    throw new LeadglassError(
      "LG-TRAIN-002",
      `${request.run}: it was trained with canaries, and so not on its train split`,
      {
        hint: "Give a run of train; the audit that made this one has its own figures.",
      },
    );
  const targets = run.targets.map((t) => cohort.target(t));
  const patients = patientsOf(cohort, targets, shadowCount > 0);
  const images = patients.images.flat();
  await using engine = await startEngine({ device: request.device });
  const source = openRows(cohort, run);
  using _store = source.store;
  const probabilities = await predictImages({
    ...{ engine, source, images },
    architecture: run.architecture,
    outputs: targets.length,
    weights: await readWeights(request.run),
    mirror: run.mirror,
    ...(request.onAnswers ? { onProgress: request.onAnswers } : {}),
  });
  const shadows =
    shadowCount === 0
      ? []
      : await trainShadows({
          ...{ run, cohort, targets, images, engine, source },
          patients: patients.images,
          runDir: request.run,
          count: shadowCount,
          dir: request.shadowDir ?? join(request.run, "shadows"),
          ...(request.device ? { device: request.device } : {}),
          ...(request.signal ? { signal: request.signal } : {}),
          ...(request.onNote ? { onNote: request.onNote } : {}),
          ...(request.onShadow ? { onProgress: request.onShadow } : {}),
        });
  const scores = scoresOf(name, { patients, targets, probabilities, shadows });
  return reportOf(request, { run, cohort, targets, patients, scores, name, attack, shadowCount });
}

function shadowsOf({ shadows }: MembershipRequest, name: MembershipAttackName): number {
  if (!membershipAttacks[name].shadows) {
    if (shadows !== undefined && shadows !== 0)
      throw new LeadglassError("LG-USAGE-001", `--shadows: the attack ${name} takes no shadow models`, {
        hint: "Leave --shadows out, or give --attack lira or rmia.",
      });
    return 0;
  }
  const count = shadows ?? 16;
  if (Number.isInteger(count) && count >= 4 && count % 2 === 0) return count;
  throw new LeadglassError("LG-USAGE-001", `--shadows: an even number of at least 4 was expected, ${count} was given`, {
    hint: "Shadow models come in pairs, so that every patient is in half of them. 16 or more are good.",
  });
}

function patientsOf(cohort: Cohort, targets: readonly Target[], withPopulation: boolean): Patients {
  const labelled = (split: string): number[][] =>
    cohort
      .patientsOf(split)
      .map(({ images }) => images.filter((i) => targets.some((t) => t.present[i] === 1)))
      .filter((images) => images.length > 0);
  const outside = cohort.splits.includes("test") ? "test" : "val";
  const population = withPopulation && outside === "test" && cohort.splits.includes("val") ? "val" : null;
  const [members, nonMembers] = [labelled("train"), labelled(outside)];
  return {
    images: [...members, ...nonMembers, ...(population ? labelled(population) : [])],
    members: members.length,
    nonMembers: nonMembers.length,
    splits: { members: "train", nonMembers: outside, population },
  };
}

/** A score a patient, for members and non-members; higher speaks for a member. */
function scoresOf(
  name: MembershipAttackName,
  data: {
    readonly patients: Patients;
    readonly targets: readonly Target[];
    readonly probabilities: ArrayLike<number>;
    readonly shadows: readonly ShadowAnswers[];
  },
): Float64Array {
  const { patients, targets, probabilities } = data;
  const compared = patients.members + patients.nonMembers;
  const mean = (answers: ArrayLike<number>, of: (trueProbability: number) => number) =>
    meanOverImages(patients.images, targets, answers, of);
  const shadowsBy = (of: (trueProbability: number) => number, end = (x: number) => x) =>
    data.shadows.map(({ inside, probabilities: answers }) => {
      const members = new Uint8Array(patients.images.length);
      for (const patient of inside) members[patient] = 1;
      return { inside: members, values: mean(answers, of).map(end) };
    });
  // Answers are float32: a probability of 0 is one below its smallest step.
  const logProbability = (p: number): number => Math.log(Math.max(p, 2 ** -149));
  if (name === "loss") return mean(probabilities, logProbability);
  if (name === "rmia") {
    // A patient's probability is the geometric mean over images.
    const target = mean(probabilities, logProbability).map(Math.exp);
    const rest = patients.images.length - compared;
    const population = Array.from({ length: rest || patients.nonMembers }, (_, i) =>
      rest > 0 ? compared + i : patients.members + i,
    );
    const shadows = shadowsBy(logProbability, Math.exp);
    return rmiaScores(target, shadows, { population, variant: "online" }).subarray(0, compared);
  }
  const variant = name === "lira" ? "online" : "offline";
  return liraScores(mean(probabilities, logitConfidence), shadowsBy(logitConfidence), { variant }).subarray(
    0,
    compared,
  );
}

/** The mean over a patient's images and known targets of a function of the probability given to the true answer. */
function meanOverImages(
  patients: readonly (readonly number[])[],
  targets: readonly Target[],
  probabilities: ArrayLike<number>,
  of: (trueProbability: number) => number,
): Float64Array {
  let row = 0;
  return Float64Array.from(patients, (images) => {
    let [sum, count] = [0, 0];
    for (const image of images) {
      targets.forEach((target, k) => {
        if (target.present[image] !== 1) return;
        const p = probabilities[row * targets.length + k]!;
        sum += of(target.labels[image] === 1 ? p : 1 - p);
        count++;
      });
      row++;
    }
    return sum / count;
  });
}

/** Metrics of some of the compared patients, by their places. */
function metricsOf(scores: Float64Array, members: number, rows: readonly number[]): AttackMetrics {
  const inside = rows.filter((row) => row < members).map((row) => scores[row]!);
  const outside = rows.filter((row) => row >= members).map((row) => scores[row]!);
  const counts = { members: inside.length, nonMembers: outside.length };
  const few = Math.min(inside.length, outside.length) < fewestPatients;
  const rates = Object.fromEntries(reportedRates.map((fpr) => [String(fpr), tprAtFpr(inside, outside, fpr)]));
  if (few)
    return {
      ...counts,
      auroc: null,
      tprAtFpr: rates,
      balancedAccuracy: null,
      reason: `fewer than ${fewestPatients} members or non-members`,
    };
  const { auroc } = bootstrapIntervals({
    scores: [...inside, ...outside],
    labels: [...inside.map(() => 1), ...outside.map(() => 0)],
    patients: rows.map((_, i) => i),
    metrics: ["auroc"],
    seed: 1,
    level: confidence,
  });
  return { ...counts, auroc, tprAtFpr: rates, balancedAccuracy: balancedAccuracy(inside, outside), reason: null };
}

const fewestPatients = 10;

function reportOf(
  request: MembershipRequest,
  audit: {
    readonly run: RunRecord & { readonly result: { readonly report: unknown } };
    readonly cohort: Cohort;
    readonly targets: readonly Target[];
    readonly patients: Patients;
    readonly scores: Float64Array;
    readonly name: MembershipAttackName;
    readonly attack: Attack;
    readonly shadowCount: number;
  },
): MembershipReport {
  const { run, cohort, targets, patients, scores, name, attack, shadowCount } = audit;
  const { privacy } = run.result.report as TrainReport;
  const rows = Array.from(scores.keys());
  const metrics = (of: readonly number[]) => metricsOf(scores, patients.members, of);
  const labelOf = (target: Target, row: number): 0 | 1 | null => {
    const known = patients.images[row]!.filter((image) => target.present[image] === 1);
    return known.length === 0 ? null : known.some((image) => target.labels[image] === 1) ? 1 : 0;
  };
  // A patient belongs where the first image says.
  const { columns, bands, by } = groupingOf(
    cohort,
    request.groups ?? [],
    rows.map((row) => patients.images[row]![0]!),
  );
  const claim = privacy?.unit === "patient" ? privacy : null;
  const delta = privacy?.delta ?? deltaWithoutClaim;
  const pairs = pairsOf(patients, scores, (row) => targets.map((target) => labelOf(target, row)).join());
  const lower: DrawnSplitAudit = auditDrawnSplit(pairs.members, pairs.nonMembers, { delta, confidence });
  return {
    run: request.run,
    attack: name,
    unit: "patient",
    splits: patients.splits,
    shadows: shadowCount,
    ...metrics(rows),
    byLabel: targets.flatMap((target) =>
      ([0, 1] as const).map((label) => ({
        target: target.name,
        label,
        ...metrics(rows.filter((row) => labelOf(target, row) === label)),
      })),
    ),
    groups: groupRows(columns, rows.length, bands, by).map(({ column, value, rows: of }) => ({
      column,
      value,
      ...metrics(of),
    })),
    epsilon: {
      lower: lower.epsilon,
      upper: claim ? claim.epsilon : null,
      delta,
      pairs: lower.canaries,
      guesses: lower.guesses,
      correct: lower.correct,
    },
    bound: claim && Object.fromEntries(reportedRates.map((fpr) => [String(fpr), tprBound(claim, fpr)])),
    confidence,
    knowledge: attack.knowledge,
    assumptions: assumptionsOf(patients, { privacy, shadowCount }),
  };
}

/**
 * Members and non-members in pairs that have the same labels, put together by a seed and blind to the scores: splits are
 * often drawn label by label, and a pair of unlike patients would then be no fair coin.
 */
function pairsOf(
  { members, nonMembers }: Patients,
  scores: Float64Array,
  labelsOf: (row: number) => string,
): { members: number[]; nonMembers: number[] } {
  const strata = Map.groupBy(Array(members + nonMembers).keys(), labelsOf);
  const pairs = { members: [] as number[], nonMembers: [] as number[] };
  for (const [labels, rows] of [...strata].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [inside, outside] = [rows.filter((row) => row < members), rows.filter((row) => row >= members)];
    const count = Math.min(inside.length, outside.length);
    for (const [list, into] of [
      [inside, pairs.members],
      [outside, pairs.nonMembers],
    ] as const)
      into.push(
        ...shuffle(list, seededRandom(1, "pairs", labels, list === inside ? 1 : 0))
          .slice(0, count)
          .map((row) => scores[row]!),
      );
  }
  return pairs;
}

function assumptionsOf(
  { splits }: Patients,
  { privacy, shadowCount }: { privacy: TrainReport["privacy"]; shadowCount: number },
): string[] {
  return [
    `members are the patients of the ${splits.members} split, non-members those of the ${splits.nonMembers} split`,
    "both were drawn by chance from the same patients: where the splits differ otherwise (by hospital, by year), the attack " +
      "may tell the splits apart and not the membership",
    "epsilon.lower further takes each member together with a non-member of the same labels, and holds for adding or removing " +
      "one patient",
    "a failed attack is no evidence of privacy: a better one may exist",
    ...(splits.nonMembers === "val"
      ? ["there is no test split: the validation patients chose the threshold, but no weight"]
      : []),
    ...(privacy && privacy.unit !== "patient"
      ? [`the run's epsilon is for each ${privacy.unit}: it claims nothing for a patient with several`]
      : []),
    ...(shadowCount > 0
      ? [
          "shadow models are trained on half of the patients and start fresh, also where the run started from other weights",
        ]
      : []),
    "the audit reads private data outside every ledger: its figures are the data owner's",
  ];
}
