import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import { type RandomSource, seededRandom, shuffle } from "../math/random.ts";
import { type PoissonGaussianEvent, requireParameter, type TruncatedPoissonGaussianEvent } from "./events.ts";
import type { DpPlan } from "./plan.ts";

/** How units come into the batch of a step. What each kind is to an accountant stands in {@link samplingEvent}. */
export type Sampling =
  /** Every unit joins each step's batch independently with this probability. */
  | { readonly kind: "poisson"; readonly probability: number }
  /**
   * As Poisson, but of a draw beyond `cap` only a uniformly random part of `cap` units is kept. `cohortSize` is public and
   * at least the number of units: how often the cap is met depends on it.
   */
  | {
      readonly kind: "truncated-poisson";
      readonly probability: number;
      readonly cap: number;
      readonly cohortSize: number;
    }
  /** Every unit in every step. */
  | { readonly kind: "full"; readonly probability: 1 }
  /** In every pass a new random order, cut into batches: each unit takes part exactly once a pass. */
  | { readonly kind: "shuffle"; readonly batchSize: number; readonly cohortSize: number };

export const samplingKinds = ["poisson", "truncated-poisson", "full", "shuffle"] as const;

const positive = z.number().positive();
export const samplingSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("poisson"), probability: positive }),
  z.strictObject({
    kind: z.literal("truncated-poisson"),
    probability: positive,
    cap: z.int().positive(),
    cohortSize: z.int().positive(),
  }),
  z.strictObject({ kind: z.literal("full"), probability: z.literal(1) }),
  z.strictObject({ kind: z.literal("shuffle"), batchSize: z.int().positive(), cohortSize: z.int().positive() }),
]);

/** The share of all units that a step has on average; public. Not a probability that an accountant may use. */
export function expectedShare(sampling: Sampling): number {
  return sampling.kind === "shuffle" ? Math.min(1, sampling.batchSize / sampling.cohortSize) : sampling.probability;
}

/**
 * What `steps` steps of a sampling are to an accountant. Shuffled batches are no amplification by sampling: who knows or
 * guesses the order knows whose batch is whose. Under replacement one unit changes one batch of a pass by up to twice the
 * clipping norm, and the other batches not at all, so a pass begun is one plain Gaussian release.
 */
export function samplingEvent(
  sampling: Sampling,
  noiseMultiplier: number,
  steps: number,
): PoissonGaussianEvent | TruncatedPoissonGaussianEvent {
  switch (sampling.kind) {
    case "poisson":
    case "full":
      return { kind: "poisson-gaussian", samplingProbability: sampling.probability, noiseMultiplier, steps };
    case "truncated-poisson": {
      const { probability: samplingProbability, cap: batchCap, cohortSize } = sampling;
      return { kind: "truncated-poisson-gaussian", samplingProbability, noiseMultiplier, steps, cohortSize, batchCap };
    }
    case "shuffle": {
      const passes = Math.ceil(steps / stepsOfPass(sampling));
      return { kind: "poisson-gaussian", samplingProbability: 1, noiseMultiplier, steps: passes };
    }
  }
}

/** Batches of one pass over shuffled units. */
const stepsOfPass = ({ batchSize, cohortSize }: Extract<Sampling, { kind: "shuffle" }>): number =>
  Math.ceil(cohortSize / batchSize);

const TWO_32 = 4294967296;

/**
 * Draws a Poisson sample: each of the units 0..n-1 is in it independently with probability q, so its size varies and may
 * be 0. Returns the indices in ascending order. Every unit gets its own coin, compared as a 64-bit number with q, so the
 * probability is right to 2^-64; no logarithm or rounding stands between the coin and the accountant.
 * Throws LG-PRIVACY-001 unless n is a whole number of at least 0 and 0 <= q <= 1.
 */
export function poissonSample(n: number, q: number, source: RandomSource): Uint32Array<ArrayBuffer> {
  requireParameter(
    "poisson sample",
    "n",
    n,
    Number.isInteger(n) && n >= 0 && n < TWO_32,
    "a whole number of at least 0",
  );
  requireParameter("poisson sample", "samplingProbability", q, q >= 0 && q <= 1, "a number from 0 to 1");
  // q = (high + low) / 2^32 with 0 <= low < 1: a coin's first word decides unless it equals high, then its second does.
  const high = Math.floor(q * TWO_32);
  const low = (q * TWO_32 - high) * TWO_32;
  const chosen = new Uint32Array(n);
  const coins = new Uint32Array(Math.min(n, 16384));
  let size = 0;
  for (let start = 0; start < n; start += coins.length) {
    const count = Math.min(coins.length, n - start);
    source.words(coins.subarray(0, count));
    for (let i = 0; i < count; i++) {
      const coin = coins[i]!;
      if (coin < high || (coin === high && source.uint32() < low)) chosen[size++] = start + i;
    }
  }
  coins.fill(0);
  return chosen.slice(0, size);
}

/**
 * The batch of step `step`, counted from 0, of units 0..n-1 that are put in a new random order for every pass. The last
 * batch of a pass may be smaller. The order comes from a seed, because every step of a pass must see the same one, and
 * because no privacy rests on it.
 */
export function shuffledBatch(n: number, batchSize: number, seed: string, step: number): number[] {
  const perPass = Math.max(1, Math.ceil(n / batchSize));
  const [pass, position] = [Math.floor(step / perPass), step % perPass];
  const order = shuffle([...Array(n).keys()], seededRandom(seed, "order", pass));
  return order.slice(position * batchSize, (position + 1) * batchSize);
}

/** A uniformly random part of `cap` units where there are more, in ascending order. */
function truncated(units: Uint32Array<ArrayBuffer>, cap: number, source: RandomSource): Uint32Array<ArrayBuffer> {
  if (units.length <= cap) return units;
  for (let i = 0; i < cap; i++) {
    const j = i + source.integer(units.length - i);
    [units[i], units[j]] = [units[j]!, units[i]!];
  }
  return units.slice(0, cap).sort();
}

/**
 * Draws the units of one training step as the plan says. `unitCount` is the true number of units; it stays inside. The
 * step, from 0, and the order's seed are read by shuffled batches alone.
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed, and LG-PRIVACY-005
 * where the plan's cohort size, on which its cost depends, is not that of the cohort.
 */
export function sampleUnits(
  plan: DpPlan,
  unitCount: number,
  source: RandomSource,
  { step, orderSeed }: { readonly step: number; readonly orderSeed: string } = { step: 0, orderSeed: "" },
): Uint32Array<ArrayBuffer> {
  requireSecure(plan, source, "sampling");
  const { sampling } = plan;
  const refuseCount = (expected: string): LeadglassError =>
    new LeadglassError(
      "LG-PRIVACY-005",
      `sampling: the cohort's number of units is not ${expected}, as the plan says`,
      {
        hint: "plan for the cohort that is trained on",
      },
    );
  switch (sampling.kind) {
    case "full":
      return Uint32Array.from({ length: unitCount }, (_, i) => i);
    case "poisson":
      return poissonSample(unitCount, sampling.probability, source);
    case "truncated-poisson":
      if (unitCount > sampling.cohortSize) throw refuseCount(`at most ${sampling.cohortSize}`);
      return truncated(poissonSample(unitCount, sampling.probability, source), sampling.cap, source);
    case "shuffle":
      if (unitCount !== sampling.cohortSize) throw refuseCount(String(sampling.cohortSize));
      return Uint32Array.from(shuffledBatch(unitCount, sampling.batchSize, orderSeed, step));
  }
}

/** Throws LG-PRIVACY-007 unless the source is cryptographic or the plan says openly that it is not. */
export function requireSecure(plan: DpPlan, source: RandomSource, where: string): void {
  if (source.secure || plan.insecureSeed) return;
  throw new LeadglassError(
    "LG-PRIVACY-007",
    `${where}: the random source is seeded; the plan expects a cryptographic one`,
    {
      hint: "use secureRandom(), or mark the plan insecureSeed for a test or a reproduction",
    },
  );
}
