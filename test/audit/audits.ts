/**
 * The audits that must catch the broken engines and leave the right one alone. Each trains on canaries, guesses from what
 * the training released, bounds epsilon from below at 95 % and compares with what the plan, or the ledger, says it costs.
 */
import { seededRandom } from "../../src/math/random.ts";
import { logSumExp } from "../../src/math/special.ts";
import { normalQuantile } from "../../src/math/statistics.ts";
import {
  appendEntry,
  auditOneRun,
  gaussianEpsilon,
  manyRunEpsilon,
  planPrivateTraining,
  type DpPlan,
  type LedgerEntry,
  type ManyRunAudit,
} from "../../src/privacy/index.ts";
import type { Engine } from "../../src/runtime/index.ts";
import { scoreCanaries, tossCanaries } from "../../src/training/canaries.ts";
import { broken, correct, microBatches, openLaboratory, patientCount, type Laboratory, type Parts, type Released } from "./broken-engines.ts"; // prettier-ignore

export interface Verdict {
  /** Proved by the attack, at 95 %. */
  readonly lower: number;
  /** Claimed by the accountant. */
  readonly upper: number;
  readonly accused: boolean;
}

const verdict = (lower: number, upper: number): Verdict => ({ lower, upper, accused: lower > upper });

export interface Audit {
  readonly plan: DpPlan;
  readonly canaries: number;
  readonly judge: (laboratory: Laboratory, parts: Parts, seed: string) => Promise<Verdict>;
}

const planOf = (options: Pick<Parameters<typeof planPrivateTraining>[0], "target" | "noiseMultiplier" | "delta" | "steps"> & { probability: number; norm: number; units: number }): DpPlan => {
  const { probability, norm, units, ...rest } = options;
  return planPrivateTraining({
    ...rest,
    sampling: { kind: "poisson", probability },
    clipping: { kind: "flat", norm },
    expectedBatchSize: probability * units,
    insecureSeed: true,
  });
}; // prettier-ignore

const split = (scores: ArrayLike<number>, included: readonly boolean[]): { in: number[]; out: number[] } => ({
  in: Array.from(scores).filter((_, k) => included[k]),
  out: Array.from(scores).filter((_, k) => !included[k]),
});

/** Steinke, Nasr, Jagielski 2023, with whatever score suits the suspicion. */
function oneRun(
  plan: DpPlan,
  canaries: number,
  scoresOf: (released: Released) => ArrayLike<number>,
  sides: "both" | "in" = "both",
): Audit {
  return {
    plan,
    canaries,
    judge: async (laboratory, parts, seed) => {
      const included = tossCanaries(canaries, seededRandom(seed, "coins"));
      const scores = split(scoresOf(await laboratory.run(parts, included, seed)), included);
      const { epsilon } = auditOneRun(scores.in, scores.out, { delta: plan.delta, confidence: 0.95, sides });
      return verdict(epsilon, plan.epsilon.upper);
    },
  };
}

/** The best score against a right engine: the likelihood ratio of all that was released. */
const likelihood =
  (plan: DpPlan) =>
  (released: Released): Float64Array => {
    const scores = new Float64Array(released[0]!.length);
    for (const sums of released) scoreCanaries(scores, sums, plan);
    return scores;
  };

/**
 * The best score where a unit is in one of `batches` batches that come round again and again: the likelihood of each
 * batch, averaged.
 */
const fixedBatch =
  (plan: DpPlan, batches: number) =>
  (released: Released): Float64Array =>
    Float64Array.from(released[0]!, (_, k) => {
      const ratios = new Float64Array(batches);
      released.forEach((sums, step) => {
        ratios[step % batches]! += (sums[k]! / plan.clipping.norm - 0.5) / plan.noiseMultiplier ** 2;
      });
      return logSumExp(ratios);
    });

/** Noise that is the same in all micro-batches of a batch goes out of their differences; a canary's coming and going stays. */
const differences = (released: Released): Float64Array =>
  Float64Array.from(released[0]!, (_, k) => {
    let most = 0;
    for (let step = 1; step < released.length; step++)
      if (step % microBatches !== 0) most = Math.max(most, Math.abs(released[step]![k]! - released[step - 1]![k]!));
    // On the grid of the noise the differences of many canaries are the same to the last bit, and equal scores are not
    // guessed at the edge of a guess: their places order them.
    return most * (1 + k * 1e-9);
  });

/** What an attack that guesses "in" above 0, fixed beforehand, proves as an audit of many trainings. */
function manyRunAudit(scores: { in: readonly number[]; out: readonly number[] }, { delta }: DpPlan): ManyRunAudit {
  const above = (list: readonly number[]): number => list.filter((s) => s > 0).length;
  const counts = {
    ins: scores.in.length,
    truePositives: above(scores.in),
    outs: scores.out.length,
    falsePositives: above(scores.out),
  };
  return manyRunEpsilon(counts, { delta, confidence: 0.95 });
}

/**
 * Every unit is in every step, so the plan's trade-off curve is a Gaussian's, which two rates and their Clopper-Pearson
 * bounds place exactly: mu >= quantile(TPR) - quantile(FPR) (Nasr et al., Tight Auditing, 2023, arXiv 2302.07956). The
 * canaries' noises are independent, so that all of one training serve as so many trainings.
 */
function tradeOff(plan: DpPlan, released: Released, included: readonly boolean[]): number {
  const rates = manyRunAudit(split(likelihood(plan)(released), included), plan);
  const mu = normalQuantile(rates.truePositiveRate.low) - normalQuantile(rates.falsePositiveRate.high);
  return mu > 0 ? gaussianEpsilon(1 / mu, plan.delta) : 0;
}

const general = planOf({ target: { epsilon: 1, delta: 1e-5 }, steps: 20, probability: 0.5, norm: 8, units: 512 });
const amplified = planOf({ noiseMultiplier: 1, delta: 1e-5, steps: 1600, probability: 0.01, norm: 1, units: 512 });
/** mu = sqrt(10) / sqrt(10) = 1. */
const whole = planOf({ noiseMultiplier: Math.sqrt(10), delta: 1e-5, steps: 10, probability: 1, norm: 2, units: 1012 });
const lonely = planOf({ target: { epsilon: 1, delta: 1e-5 }, steps: 1, probability: 1, norm: 1, units: patientCount });

/** One training on many canaries, held against the plan's trade-off curve. */
const curve: Audit = {
  plan: whole,
  canaries: 2000,
  judge: async (laboratory, parts, seed) => {
    const included = tossCanaries(2000, seededRandom(seed, "coins"));
    const released = await laboratory.run(parts, included, seed);
    return verdict(tradeOff(whole, released, included), whole.epsilon.upper);
  },
};

/** Who keeps the ledger of several trainings; returns what it says they cost together. */
type Bookkeeper = (entries: readonly LedgerEntry[], run: string) => Promise<readonly LedgerEntry[]>;

const honest: Bookkeeper = async (entries, run) => [
  ...entries,
  await appendEntry(entries, {
    kind: "training",
    cohortFingerprint: "canaries",
    run,
    plan: whole,
    stepsDone: whole.steps,
  }),
];
const forgetful: Bookkeeper = (entries, run) => (entries.length > 0 ? Promise.resolve(entries) : honest(entries, run));

/** Two trainings of the right engine on the same canaries, held against what a ledger says of both. */
const ledgerAudit = (keep: Bookkeeper): Audit => ({
  plan: whole,
  canaries: 2000,
  judge: async (laboratory, parts, seed) => {
    const included = tossCanaries(2000, seededRandom(seed, "coins"));
    const runs = [
      await laboratory.run(parts, included, `${seed} first`),
      await laboratory.run(parts, included, `${seed} second`),
    ];
    const entries = await keep(await keep([], "first"), "second");
    return verdict(tradeOff(whole, runs.flat(), included), entries.at(-1)!.cumulative!.epsilon);
  },
});

/**
 * Many short trainings with and without one unit, all else equal. The attacker measures the released values where no
 * gradient is: how large the noise is after the division tells how many units were divided by.
 */
const manyRuns: Audit = {
  plan: lonely,
  canaries: 2000,
  judge: async (laboratory, parts, seed) => {
    const coins = tossCanaries(120, seededRandom(seed, "coins"));
    const expected = lonely.noiseMultiplier * lonely.clipping.norm;
    const scores: number[] = [];
    for (const [run, isIn] of coins.entries()) {
      const included = Array.from({ length: 2000 }, (_, k) => k === 0 && isIn);
      const [step] = await laboratory.run(parts, included, `${seed} ${run}`);
      const squares = step!.subarray(1).reduce((total, v) => total + v * v, 0) / 1999;
      // One unit more than the public number makes the noise 12/13 of what it should be: halfway is the threshold.
      scores.push((12.5 / 13 - Math.sqrt(squares) / expected) * 100);
    }
    return verdict(manyRunAudit(split(scores, coins), lonely).epsilon, lonely.epsilon.upper);
  },
};

/** The audits by name, as a right engine has to stand them. */
export const audits = {
  "one run": oneRun(general, 1000, likelihood(general)),
  "one run, fixed batches suspected": oneRun(amplified, 1000, fixedBatch(amplified, 100), "in"),
  "one run, reused noise suspected": oneRun(general, 1000, differences, "in"),
  "trade-off curve": curve,
  "trade-off curve of a ledger": ledgerAudit(honest),
  "many runs": manyRuns,
} as const satisfies Readonly<Record<string, Audit>>;

/** Each broken engine with the audit that suits it. */
export const cases: readonly { readonly engine: string; readonly parts: Parts; readonly audit: Audit; readonly by: keyof typeof audits }[] = [
  ...(
    [
      ["no noise", "one run"],
      ["noise without the clipping norm", "one run"],
      ["clips the mean of the batch", "one run"],
      ["shuffled fixed batches", "one run, fixed batches suspected"],
      ["divides by the drawn batch", "many runs"],
      ["one patient under two ids", "trade-off curve"],
      ["noise reused across micro-batches", "one run, reused noise suspected"],
    ] as const
  ).map(([engine, by]) => ({ engine, parts: broken[engine], audit: audits[by], by })),
  {
    engine: "a ledger that forgets a run",
    parts: correct,
    audit: ledgerAudit(forgetful),
    by: "trade-off curve of a ledger",
  },
]; // prettier-ignore

/** The verdicts of an audit on some engine, one a seed. */
export async function verdicts(
  engine: Engine,
  audit: Audit,
  parts: Parts,
  seeds: readonly string[],
): Promise<Verdict[]> {
  await using laboratory = await openLaboratory(engine, audit.plan, audit.canaries);
  const found: Verdict[] = [];
  for (const seed of seeds) found.push(await audit.judge(laboratory, parts, seed));
  return found;
}
