/** Audits of many trainings: one canary, in or out, and an attacker who says each time which it was. */
import { betaQuantile } from "../../math/special.ts";
import { requireAudit, requireNumber, type AuditOptions } from "./one-run.ts";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * The exact interval of a proportion from `successes` of `trials`, each side wrong with probability (1 - level) / 2.
 * Throws LG-PRIVACY-001 for counts out of range.
 * Source: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26, 1934.
 */
export function clopperPearson(successes: number, trials: number, { level = 0.95 }: { level?: number } = {}): Interval {
  requireNumber("trials", trials, Number.isSafeInteger(trials) && trials > 0, "a whole number above 0");
  requireNumber(
    "successes",
    successes,
    Number.isSafeInteger(successes) && successes >= 0 && successes <= trials,
    "a whole number up to that of trials",
  );
  const tail = (1 - level) / 2;
  return {
    low: successes === 0 ? 0 : betaQuantile(tail, successes, trials - successes + 1),
    // From the failures' side: 1 - x is exact near 0 where x is near 1.
    high: successes === trials ? 1 : 1 - betaQuantile(tail, trials - successes, successes + 1),
  };
}

/** What an attacker said of trainings with the canary (`ins` of them) and without it (`outs`). */
export interface ManyRunCounts {
  readonly ins: number;
  /** Of those with it, how often the attacker said so. */
  readonly truePositives: number;
  readonly outs: number;
  /** Of those without it, how often the attacker said it was in. */
  readonly falsePositives: number;
}

export interface ManyRunAudit {
  /** Lower bound at the asked confidence; 0 where the counts refute nothing. */
  readonly epsilon: number;
  readonly delta: number;
  readonly confidence: number;
  /** Together they hold with the asked confidence. */
  readonly truePositiveRate: Interval;
  readonly falsePositiveRate: Interval;
}

/**
 * A lower bound on epsilon at `delta` from repeated trainings with and without a canary. The attacker's rule must have
 * been fixed on other trainings. Both error rates get a one-sided exact bound with half of the error probability each;
 * (epsilon, delta)-privacy demands TPR <= e^epsilon FPR + delta, and the same of the true and false negatives, which the
 * same two bounds serve. Trainings must be independent of each other.
 * Throws LG-PRIVACY-001 for counts or options out of range.
 * Source: Jagielski, Ullman, Oprea, Auditing Differentially Private Machine Learning, 2020 (arXiv 2006.07709), with the
 * region of Kairouz, Oh, Viswanath, The Composition Theorem for Differential Privacy, 2015, theorem 2.1.
 */
export function manyRunEpsilon(counts: ManyRunCounts, { delta, confidence = 0.95 }: AuditOptions): ManyRunAudit {
  requireAudit({ delta, confidence, assume: "nothing" });
  // Of each interval only one side is used, so its two-sided level is the confidence itself.
  const truePositiveRate = clopperPearson(counts.truePositives, counts.ins, { level: confidence });
  const falsePositiveRate = clopperPearson(counts.falsePositives, counts.outs, { level: confidence });
  const positives = Math.log((truePositiveRate.low - delta) / falsePositiveRate.high);
  const negatives = Math.log((1 - falsePositiveRate.high - delta) / (1 - truePositiveRate.low));
  const of = (epsilon: number): number => (epsilon > 0 ? epsilon : 0);
  return {
    epsilon: Math.max(of(positives), of(negatives)),
    delta,
    confidence,
    truePositiveRate,
    falsePositiveRate,
  };
}
