/** From canaries' scores to guesses: which coins are guessed, and what the choice among several guessers costs. */
import { argsort } from "../../math/statistics.ts";
import {
  claimOf,
  largestRefuted,
  requireAudit,
  requireNumber,
  type AuditAssumption,
  type AuditOptions,
  type GuessCounts,
} from "./one-run.ts";

/**
 * How guesses are made of scores.
 * - "declared": the most extreme scores are guessed, at numbers of guesses fixed in advance: all canaries, half of them, a
 *   quarter, and so on, eight at most ({@link declaredGuesses}). The confidence is divided among them (Bonferroni).
 * - a number: that many guesses and no other; it must have been chosen before the canaries' coins were looked at.
 * - "hull": every corner of the convex hull of the attack's ROC curve, the confidence divided by the number of corners.
 *   Where the corners are is decided by the coins themselves, which a division by their number does not cover strictly:
 *   for comparison with JAX-Privacy, whose default it is.
 */
export type Guessing = "declared" | "hull" | number;

export interface OneRunAudit extends GuessCounts {
  /** Lower bound at the asked confidence; 0 where the guesses refute nothing. */
  readonly epsilon: number;
  readonly delta: number;
  readonly confidence: number;
  readonly assume: AuditAssumption;
  /** Guessers the confidence was divided among. */
  readonly candidates: number;
}

export interface ScoreOptions extends AuditOptions {
  readonly assume?: AuditAssumption;
  readonly guessing?: Guessing;
  /**
   * Under "declared" or a number: "both" guesses half of the coins from the highest scores, as in, and half from the
   * lowest, as out; "in" guesses from the highest alone. "both" by default.
   */
  readonly sides?: "both" | "in";
}

/** Numbers of guesses that are tried by default for `canaries` canaries: halves of halves down to eight. */
export function declaredGuesses(canaries: number): number[] {
  const sizes: number[] = [];
  for (let size = canaries; sizes.length < 8 && (size >= 8 || sizes.length === 0); size = Math.floor(size / 2))
    sizes.push(size);
  return sizes;
}

/**
 * Bounds epsilon from below by the scores of canaries that were in a training and of canaries that were left out, each by
 * a fair coin of its own. A higher score speaks for having been in. Scores that are equal at the edge of a guess are not
 * guessed. Throws LG-PRIVACY-001 for scores that are not finite or absent, and for impossible options.
 * Source: as for `oneRunEpsilon`; the union bound over the declared numbers of guesses is Bonferroni's.
 */
export function auditOneRun(
  inScores: ArrayLike<number>,
  outScores: ArrayLike<number>,
  options: ScoreOptions,
): OneRunAudit {
  const { delta, confidence = 0.95, assume = "nothing", guessing = "declared", sides = "both" } = options;
  requireAudit({ delta, confidence, assume });
  const scores = pooled(inScores, outScores);
  const canaries = scores.in.length + scores.out.length;
  const candidates =
    guessing === "hull"
      ? hullCounts(scores)
      : (guessing === "declared" ? declaredGuesses(canaries) : [guessing]).map((n) => extremeCounts(scores, n, sides));
  const claim = claimOf(assume, { delta, significance: (1 - confidence) / candidates.length });
  // The most accurate first: a later one is then mostly ruled out by a single test.
  const accuracy = ({ guesses, correct }: GuessCounts): number => (guesses === 0 ? 0 : correct / guesses);
  const [first, ...others] = candidates.toSorted((a, b) => accuracy(b) - accuracy(a));
  let best = { counts: first!, strength: 0 };
  for (const counts of [first!, ...others]) {
    const strength = largestRefuted(best.strength, (x) => claim.refutedBy(counts, x));
    if (strength > best.strength) best = { counts, strength };
  }
  const epsilon = claim.epsilonOf(best.strength);
  return { ...best.counts, epsilon, delta, confidence, assume, candidates: candidates.length };
}

interface Scores {
  /** Ascending. */
  readonly in: Float64Array;
  readonly out: Float64Array;
}

function pooled(inScores: ArrayLike<number>, outScores: ArrayLike<number>): Scores {
  const sorted = (name: string, scores: ArrayLike<number>): Float64Array => {
    const copy = Float64Array.from(scores);
    const bad = copy.findIndex((score) => !Number.isFinite(score));
    requireNumber(`${name}[${bad}]`, copy[bad]!, bad < 0, "a finite score");
    return copy.sort();
  };
  const scores = { in: sorted("inScores", inScores), out: sorted("outScores", outScores) };
  const canaries = scores.in.length + scores.out.length;
  requireNumber("canaries", canaries, canaries > 0, "at least one score");
  return scores;
}

/** How many of the ascending values are below `threshold`. */
function below(sorted: Float64Array, threshold: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

const upTo = (sorted: Float64Array, threshold: number): number => {
  const reversed = sorted.map((x) => -x).reverse();
  return sorted.length - below(reversed, -threshold);
};

/** Guesses from the most extreme scores of all canaries; which of them were in plays no part in what is guessed. */
function extremeCounts(scores: Scores, asked: number, sides: "both" | "in"): GuessCounts {
  const all = Float64Array.from([...scores.in, ...scores.out]).sort();
  const canaries = all.length;
  requireNumber(
    "guesses",
    asked,
    Number.isInteger(asked) && asked >= 1 && asked <= canaries,
    "a whole number from 1 to that of canaries",
  );
  const high = sides === "in" ? asked : Math.ceil(asked / 2);
  const low = asked - high;
  // Everything strictly above the first score that is not guessed, so that ties at the edge are left alone.
  const above = canaries > high ? all[canaries - high - 1]! : -Infinity;
  const under = low === 0 ? -Infinity : canaries > low ? all[low]! : Infinity;
  const trueIn = scores.in.length - upTo(scores.in, above);
  const falseIn = scores.out.length - upTo(scores.out, above);
  const [falseOut, trueOut] = [below(scores.in, under), below(scores.out, under)];
  return { canaries, guesses: trueIn + falseIn + falseOut + trueOut, correct: trueIn + trueOut };
}

/** Guesses "in" from each corner of the upper hull of (left-out canaries below, canaries in below) upwards. */
function hullCounts(scores: Scores): GuessCounts[] {
  const canaries = scores.in.length + scores.out.length;
  const values = Float64Array.from([...scores.in, ...scores.out]);
  const order = argsort(values);
  const points: [number, number][] = [];
  let previous: number | undefined;
  let [inBelow, outBelow] = [0, 0];
  const push = (): void => {
    // A corner stays while the slope falls from left to right.
    const next: [number, number] = [inBelow, outBelow];
    for (;;) {
      const [a, b] = [points.at(-2), points.at(-1)];
      if (!a || !b || (b[1] - a[1]) * (next[0] - b[0]) > (next[1] - b[1]) * (b[0] - a[0])) break;
      points.pop();
    }
    points.push(next);
  };
  for (const i of order) {
    if (values[i] !== previous) push();
    previous = values[i];
    if (i < scores.in.length) inBelow++;
    else outBelow++;
  }
  push();
  return points.map(([x, y]) => {
    const correct = scores.in.length - x;
    return { canaries, guesses: correct + scores.out.length - y, correct };
  });
}
