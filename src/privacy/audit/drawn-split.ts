/** Epsilon from a split that was drawn anyway: which of two patients was trained on is a fair coin. */
import { declaredGuesses } from "./guesses.ts";
import {
  largestRefuted,
  oneRunPValue,
  requireAudit,
  requireNumber,
  type AuditOptions,
  type GuessCounts,
} from "./one-run.ts";

export interface DrawnSplitAudit extends GuessCounts {
  /** Lower bound on epsilon under adding or removing one unit; 0 where nothing is refuted. */
  readonly epsilon: number;
  readonly delta: number;
  readonly confidence: number;
}

/**
 * Bounds epsilon from below by members paired with non-members, without any canary. Where a split was drawn by chance,
 * given who the two of a pair are, which of them is the member is a fair coin, independent of the other pairs; the attacker
 * says the one with the higher score, in the pairs where the scores are farthest apart. Exchanging the two is removing one
 * unit and adding another, so that (epsilon, delta)-privacy makes the coins (2 epsilon, (1 + e^epsilon) delta)-private: the
 * price of having had no coin for each patient. The numbers of guesses are declared as for `auditOneRun`.
 * `members[i]` and `nonMembers[i]` are a pair, put together without looking at the scores. Throws LG-PRIVACY-001.
 * Source: as for `oneRunPValue`, and group privacy of two (Dwork and Roth 2014, theorem 2.2, with its delta).
 */
export function auditDrawnSplit(
  members: ArrayLike<number>,
  nonMembers: ArrayLike<number>,
  { delta, confidence = 0.95 }: AuditOptions,
): DrawnSplitAudit {
  requireAudit({ delta, confidence, assume: "nothing" });
  const canaries = members.length;
  requireNumber("nonMembers", nonMembers.length, nonMembers.length === canaries && canaries > 0, "as many as members");
  const differences = Float64Array.from(members, (score, i) => score - nonMembers[i]!);
  const bad = differences.findIndex((x) => Number.isNaN(x));
  requireNumber(`members[${bad}] - nonMembers[${bad}]`, NaN, bad < 0, "a number");
  const ranked = differences.toSorted((a, b) => Math.abs(b) - Math.abs(a));
  const candidates = declaredGuesses(canaries).map((size) => {
    // Pairs as far apart as the first that is not guessed are left alone, and so are equal scores.
    const edge = Math.abs(ranked[size] ?? 0);
    const guessed = ranked.filter((x) => Math.abs(x) > edge);
    return { canaries, guesses: guessed.length, correct: guessed.filter((x) => x > 0).length };
  });
  const significance = (1 - confidence) / candidates.length;
  let best = { counts: candidates[0]!, epsilon: 0 };
  for (const counts of candidates) {
    const refutes = (epsilon: number): boolean => {
      const pair = { epsilon: 2 * epsilon, delta: Math.min(1, (1 + Math.exp(epsilon)) * delta) };
      return oneRunPValue(counts, pair) <= significance;
    };
    const epsilon = largestRefuted(best.epsilon, refutes);
    if (epsilon > best.epsilon) best = { counts, epsilon };
  }
  return { ...best.counts, epsilon: best.epsilon, delta, confidence };
}
