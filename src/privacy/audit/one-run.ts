/**
 * Audits of one training: canaries were put in or left out by a fair coin each, an attacker guessed some of the coins,
 * and the number of right guesses bounds epsilon from below.
 */
import { LeadglassError } from "../../errors.ts";
import { logBeta, regularizedBeta } from "../../math/special.ts";
import { normalCdf, normalQuantile } from "../../math/statistics.ts";
import { gaussianEpsilon } from "../gaussian.ts";

/** What came of an attacker's guesses. */
export interface GuessCounts {
  /** Canaries whose coin was tossed, guessed or not. */
  readonly canaries: number;
  /** Coins that were guessed; for the others the attacker abstained. */
  readonly guesses: number;
  readonly correct: number;
}

export interface AuditOptions {
  /** The delta at which epsilon is bounded. */
  readonly delta: number;
  /** Probability that a bound below the truth comes out; 0.95 by default. */
  readonly confidence?: number;
}

/**
 * What is assumed of the mechanism beside its epsilon and delta. "nothing": the bound holds against every mechanism.
 * "gaussian": its trade-off curve is that of a Gaussian mechanism, as a training with Gaussian noise on every patient in
 * every step has it exactly. The bound is then larger, and refutes only mechanisms of that kind.
 */
export type AuditAssumption = "nothing" | "gaussian";

/**
 * The probability that an attacker on any (epsilon, delta)-private training guesses at least as many coins as were
 * guessed: at most beta + 2 m delta alpha, where beta is the tail of a binomial variable with success e^epsilon /
 * (1 + e^epsilon), and alpha the largest average of its probabilities just below the observed count. At most 1.
 * Throws LG-PRIVACY-001 for counts, an epsilon or a delta out of range.
 * Source: Steinke, Nasr, Jagielski, Privacy Auditing with One (1) Training Run, 2023 (arXiv 2305.08846), main theorem of
 * section 5 as stated for computation in appendix D.
 */
export function oneRunPValue(counts: GuessCounts, { epsilon, delta }: { epsilon: number; delta: number }): number {
  requireCounts(counts);
  requireNumber("epsilon", epsilon, epsilon >= 0 && epsilon < Infinity, "a finite number >= 0");
  requireNumber("delta", delta, delta >= 0 && delta <= 1, "a number from 0 to 1");
  const { canaries, guesses, correct } = counts;
  const right = 1 / (1 + Math.exp(-epsilon));
  const wrong = 1 / (1 + Math.exp(epsilon));
  const beta = correct === 0 ? 1 : regularizedBeta(right, correct, guesses - correct + 1, wrong);
  if (delta === 0 || correct === 0) return beta;
  return Math.min(1, beta + 2 * canaries * delta * largestAverage(counts, Math.log(right), Math.log(wrong)));
}

/** The largest mean of P(B = v - 1), ..., P(B = v - i) over i, for a binomial B; v is the number of right guesses. */
function largestAverage({ guesses, correct }: GuessCounts, logRight: number, logWrong: number): number {
  const at = correct - 1;
  let logTerm = -Math.log(guesses + 1) - logBeta(at + 1, guesses - at + 1) + at * logRight + (guesses - at) * logWrong;
  let [sum, average] = [0, 0];
  for (let i = 1; i <= correct; i++) {
    const term = Math.exp(logTerm);
    // Binomial probabilities rise to their mode and then fall: once the mean falls it never rises again.
    if (i > 1 && term < average) break;
    sum += term;
    average = sum / i;
    const k = correct - i;
    logTerm += Math.log(k / (guesses - k + 1)) + logWrong - logRight;
  }
  return average;
}

/**
 * A lower bound on epsilon at `delta` from an attacker's guesses: the largest epsilon that the guesses refute. What the
 * training claims is false where it claims less, except with probability 1 - confidence. 0 where nothing is refuted.
 * The number of guesses must have been fixed before looking at which are right; {@link auditOneRun} chooses among several.
 * Throws LG-PRIVACY-001.
 * Source: as for {@link oneRunPValue}; under "gaussian", {@link refutesCurve}.
 */
export function oneRunEpsilon(
  counts: GuessCounts,
  { delta, confidence = 0.95, assume = "nothing" }: AuditOptions & { readonly assume?: AuditAssumption },
): number {
  requireAudit({ delta, confidence, assume });
  const claim = claimOf(assume, { delta, significance: 1 - confidence });
  return claim.epsilonOf(largestRefuted(0, (strength) => claim.refutedBy(counts, strength)));
}

/** A family of claims, each a number: the larger, the weaker the claim. */
export interface Claim {
  readonly refutedBy: (counts: GuessCounts, strength: number) => boolean;
  readonly epsilonOf: (strength: number) => number;
}

/** The claims to be an (epsilon, delta)-private mechanism of any kind, by epsilon, or a mu-Gaussian one, by mu. */
export function claimOf(
  assume: AuditAssumption,
  { delta, significance }: { delta: number; significance: number },
): Claim {
  if (assume === "gaussian")
    return {
      refutedBy: (counts, mu) => refutesCurve(counts, (x) => normalCdf(normalQuantile(x) - mu), significance),
      epsilonOf: (mu) => (mu === 0 ? 0 : gaussianEpsilon(1 / mu, delta)),
    };
  return {
    refutedBy: (counts, epsilon) => oneRunPValue(counts, { epsilon, delta }) <= significance,
    epsilonOf: (epsilon) => epsilon,
  };
}

/**
 * The largest strength above `from` that is refuted, from below to 1e-9; `from` where it is not refuted itself. What
 * refutes a weak claim refutes all stronger ones.
 */
export function largestRefuted(from: number, refutes: (strength: number) => boolean): number {
  if (!refutes(from)) return from;
  let [low, high] = [from, Math.max(1, 2 * from)];
  while (refutes(high)) [low, high] = [high, 2 * high];
  while (high - low > 1e-9 * Math.max(1, low)) {
    const middle = (low + high) / 2;
    if (refutes(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * Whether guesses refute, at the significance level, that a training's trade-off curve is at least the one given by
 * `inverseBlowUp`: the smallest probability, under the other hypothesis, of an event of probability x under one. For
 * mu-Gaussian privacy that is Phi(Phi^-1(x) - mu).
 * Throws LG-PRIVACY-001 for counts out of range.
 * Source: Mahloujifar, Melis, Chaudhuri, Auditing f-Differential Privacy in One Run, 2024 (arXiv 2410.22235), algorithm 3.
 */
export function refutesCurve(counts: GuessCounts, inverseBlowUp: (x: number) => number, significance: number): boolean {
  requireCounts(counts);
  const { canaries, guesses, correct } = counts;
  // If so many right guesses had probability `significance`, these would be its shares that a given coin among the
  // guessed is right and wrong; the recursion follows what the curve then demands of ever smaller counts.
  let right = (significance * correct) / canaries;
  let wrong = (significance * (guesses - correct)) / canaries;
  for (let i = correct - 1; i >= 0; i--) {
    const more = inverseBlowUp(right) - wrong;
    if (!(more > 0)) break;
    wrong += more;
    right = Math.min(1, right + (i / (guesses - i)) * more);
  }
  // All counts together can have no more than the probability that a coin is guessed at all.
  return right + wrong > guesses / canaries;
}

/** Throws LG-PRIVACY-001 where the options of an audit are impossible. */
export function requireAudit({
  delta,
  confidence,
  assume,
}: Required<AuditOptions> & { readonly assume: AuditAssumption }): void {
  requireNumber("confidence", confidence, confidence > 0 && confidence < 1, "a number between 0 and 1");
  if (assume === "gaussian")
    requireNumber(
      "delta",
      delta,
      delta > 0 && delta < 1,
      "a number between 0 and 1, as Gaussian noise has no epsilon at 0",
    );
  else requireNumber("delta", delta, delta >= 0 && delta <= 1, "a number from 0 to 1");
}

/** Throws LG-PRIVACY-001, naming the parameter, unless it is in range. */
export function requireNumber(parameter: string, value: number, fits: boolean, expected: string): void {
  if (!fits)
    throw new LeadglassError("LG-PRIVACY-001", `audit: ${parameter} is ${value}; expected ${expected}`, {
      fields: { parameter },
    });
}

function requireCounts({ canaries, guesses, correct }: GuessCounts): void {
  const whole = (x: number): boolean => Number.isSafeInteger(x) && x >= 0;
  requireNumber("canaries", canaries, whole(canaries) && canaries > 0, "a whole number above 0");
  requireNumber("guesses", guesses, whole(guesses) && guesses <= canaries, "a whole number up to that of canaries");
  requireNumber("correct", correct, whole(correct) && correct <= guesses, "a whole number up to that of guesses");
}
