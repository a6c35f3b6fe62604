import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LeadglassError } from "../errors.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import { auditOneRun, expectedShare, type DpPlan } from "../privacy/index.ts";
import { canaryParameter, plantCanaries, scoreCanaries, tossCanaries, withCanaryParameter } from "../training/canaries.ts"; // prettier-ignore
import { writeAtomically } from "../training/checkpoint.ts";
import type { TrainingData } from "../training/data.ts";
import type { TrainingSettings } from "../training/train.ts";
import { predictRun } from "./evaluate-run.ts";
import { trainRun, type Intervention, type TrainRequest } from "./train-run.ts";

/**
 * What a canary is. "gradient": an invented unit with a gradient at a place of its own, for an attacker who sees every
 * step's noisy sum. "image": a patient of the cohort with the opposite labels, for one who sees only the finished model.
 */
export type CanaryKind = "gradient" | "image";

export interface AuditRequest extends Omit<TrainRequest, "intervention"> {
  readonly kind: CanaryKind;
  /** Coins that are tossed; by default 1,000 gradients, or a quarter of the patients, at most 1,000. */
  readonly canaries?: number;
}

/** What `audit --json` prints. */
export interface AuditReport {
  readonly run: string;
  readonly kind: CanaryKind;
  /** What the attacker saw. */
  readonly attacker: string;
  readonly canaries: number;
  /** Canaries whose coin put them among the training units. */
  readonly included: number;
  /** Guesses of the attack that proved most, and how many of them were right. */
  readonly guesses: number;
  readonly correct: number;
  readonly epsilon: {
    /** Proved by the attack at `confidence`, whatever the mechanism. */
    readonly lower: number;
    /** The same if the mechanism's trade-off curve is Gaussian: exact where every unit is in every step, null elsewhere. */
    readonly lowerIfGaussian: number | null;
    /** Claimed by the accountant for this run. */
    readonly upper: number;
  };
  readonly delta: number;
  readonly confidence: number;
  readonly training: {
    readonly model: string;
    readonly unit: string;
    readonly steps: number;
    readonly noiseMultiplier: number;
    readonly insecureSeed: boolean;
  };
}

const confidence = 0.95;
const auditFile = "audit.json";
const scoresName = "audit/scores";

/** How far above the clipping norm a canary's gradient is: a unit that is not clipped shows at once. */
const gradientScale = 1000;

const attackers: Readonly<Record<CanaryKind, string>> = {
  gradient: "sees the noisy sum of every step",
  image: "sees the finished model",
};

/** What came of the canaries: scores, higher for those that seem to have been in, and the truth. */
interface Outcome {
  readonly scores: ArrayLike<number>;
  readonly included: readonly boolean[];
}

interface Experiment {
  readonly intervention: Intervention;
  readonly outcome: (request: AuditRequest) => Promise<Outcome>;
}

/**
 * Audits a private training by canaries in one run: each is put in or left out by a fair coin, the model is trained with
 * them as with everybody, and how well the coins can be guessed bounds epsilon from below. Leaves a run folder as
 * {@link trainRun} does, with the audit's own report beside it. The coins come from the run's seed, which is 128
 * cryptographic bits unless the run is to be repeated.
 * Throws as trainRun does, LG-USAGE-001 for a training without epsilon and for canaries that cannot be, and LG-TRAIN-002
 * where a finished run is resumed that has no audit.
 * Source: Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, 2023 (arXiv 2305.08846).
 */
export async function auditRun(request: AuditRequest): Promise<AuditReport> {
  if (request.choices.epsilon === undefined)
    throw new LeadglassError("LG-USAGE-001", "--epsilon is missing", {
      hint: "An audit compares what a private training leaks with the epsilon it claims.",
    });
  const path = join(request.out, auditFile);
  if (request.resume) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text !== undefined) return JSON.parse(text) as AuditReport;
  }
  const { intervention, outcome } = request.kind === "gradient" ? gradientCanaries(request) : imageCanaries(request);
  let plan: DpPlan | undefined;
  const { kind: _kind, canaries: _canaries, ...training } = request;
  const trained = await trainRun({
    ...training,
    choices: { ...training.choices, canaries: `${request.canaries ?? "as many as usual"}, ${request.kind}` },
    intervention: {
      ...intervention,
      rows: (rows, settings) => {
        if (settings.batches.kind === "private") plan = settings.batches.plan;
        return intervention.rows(rows, settings);
      },
    },
  });
  if (!plan)
    throw new LeadglassError("LG-TRAIN-002", `${request.out}: this run was finished without an audit`, {
      hint: "Audit a new run: canaries have to be among the units from the first step.",
    });
  const { scores, included } = await outcome(request);
  const chosen = (wanted: boolean): number[] => Array.from(scores).filter((_, k) => included[k] === wanted);
  const [inScores, outScores] = [chosen(true), chosen(false)];
  const { delta } = plan;
  const found = auditOneRun(inScores, outScores, { delta, confidence });
  const everybody = expectedShare(plan.sampling) === 1;
  const report: AuditReport = {
    run: request.out,
    kind: request.kind,
    attacker: attackers[request.kind],
    canaries: included.length,
    included: inScores.length,
    guesses: found.guesses,
    correct: found.correct,
    epsilon: {
      lower: found.epsilon,
      lowerIfGaussian: everybody
        ? auditOneRun(inScores, outScores, { delta, confidence, assume: "gaussian" }).epsilon
        : null,
      upper: plan.epsilon.upper,
    },
    delta,
    confidence,
    training: {
      model: trained.model,
      unit: plan.unit,
      steps: plan.steps,
      noiseMultiplier: plan.noiseMultiplier,
      insecureSeed: plan.insecureSeed,
    },
  };
  await writeAtomically(path, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

const coinsOf = (count: number, { seed }: TrainingSettings): boolean[] =>
  tossCanaries(count, seededRandom(seed, "canary coins"));

function gradientCanaries({ canaries = 1000 }: AuditRequest): Experiment {
  const scores = new Float32Array(canaries);
  let plan: DpPlan | undefined;
  let included: boolean[] = [];
  return {
    intervention: {
      what: `${canaries} canaries of an audit, each in or out by a coin: invented units with gradients of their own, no patients`,
      // Each is in with probability one half: the number of units that is declared stays independent of the coins.
      units: () => Math.round(canaries / 2),
      rows: ({ data, modelFor }, settings) => {
        if (settings.batches.kind !== "private") throw new LeadglassError("LG-BUG-001", "canaries without a plan");
        ({ plan } = settings.batches);
        included = coinsOf(canaries, settings);
        return {
          data: plantCanaries(data, {
            included,
            scale: gradientScale * plan.clipping.norm,
            parameter: canaryParameter,
          }),
          modelFor: (rows) => withCanaryParameter(modelFor(rows), canaries),
        };
      },
      onNoisySum: (sums) => scoreCanaries(scores, sums, plan!),
      state: () => ({ [scoresName]: { data: scores.slice(), shape: [canaries] } }),
      restore: (state) => {
        const saved = state[scoresName];
        if (saved) scores.set(saved.data as Float32Array);
      },
    },
    outcome: () => Promise.resolve({ scores, included }),
  };
}

function imageCanaries({ canaries: asked }: AuditRequest): Experiment {
  let units: (readonly number[])[] = [];
  let original: TrainingData | undefined;
  let included: boolean[] = [];
  const countOf = (labelled: number): number => {
    const count = asked ?? Math.min(1000, Math.floor(labelled / 4));
    if (count >= 1 && count < labelled) return count;
    throw new LeadglassError("LG-USAGE-001", `--canaries: a number from 1 to below that of the training units was expected, not ${count}`, {
      hint: "Give fewer canaries, or --kind gradient, which takes no patients.",
    }); // prettier-ignore
  };
  return {
    intervention: {
      what: "canaries of an audit: training units with the opposite labels, each in or out by a coin",
      ownerOnly: "how many of the audit's coins were guessed from the losses of its canaries, which are patients",
      units: (labelled) => -Math.round(countOf(labelled) / 2),
      rows: ({ data, modelFor }, settings) => {
        original = data;
        const count = countOf(data.units.length);
        const order = shuffle([...data.units.keys()], seededRandom(settings.seed, "canary units"));
        units = order.slice(0, count).map((unit) => data.units[unit]!);
        included = coinsOf(count, settings);
        const targets = data.targets.slice();
        for (const image of units.flat())
          for (let k = 0; k < data.outputs; k++) {
            const cell = image * data.outputs + k;
            targets[cell] = 1 - targets[cell]!;
          }
        const rest = order.slice(count).map((unit) => data.units[unit]!);
        return { data: { ...data, targets, units: [...rest, ...units.filter((_, k) => included[k])] }, modelFor };
      },
    },
    outcome: async ({ out, cohort }) => {
      const { images, probabilities } = await predictRun({ run: out, cohort, split: "train" });
      const rowOf = new Map(images.map((image, row) => [image, row]));
      const scores = units.map((unit) => -meanLossOf(unit, original!, probabilities, rowOf));
      return { scores, included };
    },
  };
}

/** Mean cross-entropy of a unit's opposite labels: small where the model has learnt them. */
function meanLossOf(
  unit: readonly number[],
  { targets, known, outputs }: TrainingData,
  probabilities: Float32Array,
  rowOf: ReadonlyMap<number, number>,
): number {
  const losses: number[] = [];
  for (const image of unit)
    for (let k = 0; k < outputs; k++) {
      const cell = image * outputs + k;
      if (known[cell] !== 1) continue;
      const p = probabilities[rowOf.get(image)! * outputs + k]!;
      // The opposite of a positive is learnt where p is small. Float32 probabilities can be exactly 0 or 1.
      losses.push(-Math.log(Math.max(targets[cell] === 1 ? 1 - p : p, 1e-30)));
    }
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}
