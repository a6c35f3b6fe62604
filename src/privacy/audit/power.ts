/** What an audit can be expected to find before it is made: canaries, strength, and the lower bound they lead to. */
import { regularizedBeta } from "../../math/special.ts";
import { normalCdf, normalQuantile } from "../../math/statistics.ts";
import { gaussianMu } from "../gaussian.ts";
import { declaredGuesses } from "./guesses.ts";
import { claimOf, largestRefuted, requireNumber, type AuditAssumption, type AuditOptions } from "./one-run.ts";

export interface AuditPower {
  readonly canaries: number;
  /** The number of guesses that promises most. */
  readonly guesses: number;
  /** Share of these guesses that is right on average. */
  readonly accuracy: number;
  /** The lower bound that comes out in the middle, and the one that nine audits of ten exceed or reach. */
  readonly median: number;
  readonly tenth: number;
}

export interface PowerOptions extends AuditOptions {
  /**
   * How far apart a canary's score is when it was in, in standard deviations of its noise. For the best attack on a
   * training that is exactly (epsilon, delta)-private by Gaussian noise it is `gaussianMu(epsilon, delta)`; weaker
   * attacks (on the finished model alone, or with canaries that overlap) have less.
   */
  readonly mu: number;
  readonly assume?: AuditAssumption;
}

/**
 * What a one-run audit with so many canaries is expected to find, where scores are N(mu, 1) for canaries that were in and
 * N(0, 1) for the others: the declared guesses from both ends, as `auditOneRun` makes them, with the number of right ones
 * binomial. Throws LG-PRIVACY-001 for options out of range.
 * Source: `oneRunEpsilon` at quantiles of the binomial distribution.
 */
export function auditPower(canaries: number, options: PowerOptions): AuditPower {
  const { mu, delta, confidence = 0.95, assume = "nothing" } = options;
  requireNumber("canaries", canaries, Number.isSafeInteger(canaries) && canaries > 0, "a whole number above 0");
  requireNumber("mu", mu, mu >= 0 && mu < Infinity, "a finite number >= 0");
  const sizes = declaredGuesses(canaries);
  const claim = claimOf(assume, { delta, significance: (1 - confidence) / sizes.length });
  const bound = (guesses: number, correct: number): number =>
    claim.epsilonOf(largestRefuted(0, (x) => claim.refutedBy({ canaries, guesses, correct }, x)));
  let best: AuditPower | undefined;
  for (const guesses of sizes) {
    const accuracy = accuracyAt(guesses / canaries, mu);
    const median = bound(guesses, binomialQuantile(0.5, guesses, accuracy));
    if (!best || median > best.median)
      best = { canaries, guesses, accuracy, median, tenth: bound(guesses, binomialQuantile(0.1, guesses, accuracy)) };
  }
  return best!;
}

/**
 * The fewest canaries, among 100, 200, 500, 1,000 and so on to a million, with which the median audit of a training that
 * is exactly (epsilon, delta)-private by Gaussian noise finds at least `share` of epsilon; null where none of them does.
 * Throws LG-PRIVACY-001 for options out of range.
 */
export function canariesNeeded(
  { epsilon, delta }: { epsilon: number; delta: number },
  { share = 0.5, ...options }: Partial<Omit<PowerOptions, "delta" | "mu">> & { readonly share?: number } = {},
): number | null {
  requireNumber("epsilon", epsilon, epsilon > 0 && epsilon < Infinity, "a finite number above 0");
  requireNumber("share", share, share > 0 && share < 1, "a number between 0 and 1");
  const mu = gaussianMu(epsilon, delta);
  for (let power = 100; power <= 1_000_000; power *= 10)
    for (const step of [1, 2, 5]) {
      const canaries = step * power;
      if (canaries > 1_000_000) return null;
      if (auditPower(canaries, { ...options, mu, delta }).median >= share * epsilon) return canaries;
    }
  return null;
}

/** Share of right guesses among the given share of scores that are farthest from mu / 2 on either side. */
function accuracyAt(share: number, mu: number): number {
  const right = (t: number): number => normalCdf(mu / 2 - t);
  const wrong = (t: number): number => normalCdf(-mu / 2 - t);
  // Guessed is what lies beyond mu / 2 + t or below mu / 2 - t.
  let [low, high] = [0, mu / 2 + 40];
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (right(middle) + wrong(middle) > share) low = middle;
    else high = middle;
  }
  return right(low) / (right(low) + wrong(low));
}

/** The smallest count whose binomial distribution function reaches p. */
function binomialQuantile(p: number, trials: number, success: number): number {
  if (success >= 1) return trials;
  // P(B <= k) = I_{1 - success}(trials - k, k + 1); a normal start saves most steps of the search.
  const reached = (k: number): boolean => k >= trials || regularizedBeta(1 - success, trials - k, k + 1, success) >= p;
  let k = Math.round(trials * success + normalQuantile(p) * Math.sqrt(trials * success * (1 - success)));
  k = Math.min(trials, Math.max(0, k));
  while (!reached(k)) k++;
  while (k > 0 && reached(k - 1)) k--;
  return k;
}
