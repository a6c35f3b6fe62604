/** Scores of submissions, for both tracks. */
import { LeadglassError } from "../../errors.ts";
import { successOf, type Success } from "../attacks/arrays.ts";
import { filesOfEncodings, type PublicChallenge, type Sealed } from "./commitment.ts";

export interface ChallengeScore {
  readonly accuracy: Success;
  readonly chance: number;
  /** Share of encodings whose file is among the first k named. */
  readonly rankK: Readonly<Record<1 | 5 | 10, number>>;
  readonly meanReciprocalRank: number;
  readonly kAnonymity: {
    /** 1 / accuracy: among how many images one is as good as hidden. */
    readonly effective: number | null;
    readonly band: "bad" | "moderate" | "good";
  };
  /** Guesses of pairs, all first choices in the order given, then all second ones, until one is right; null if none is. */
  readonly guesswork: { readonly ideal: number; readonly attacker: number | null };
  readonly scored: number;
}

/** The bands of the public NeuraCrypt challenge: above 20 % is bad, 5 to 20 % moderate, below 5 % good. */
const bandOf = (accuracy: number): ChallengeScore["kAnonymity"]["band"] =>
  accuracy > 0.2 ? "bad" : accuracy >= 0.05 ? "moderate" : "good";

const unfit = (message: string): LeadglassError =>
  new LeadglassError("LG-ATTACK-001", `submission: ${message}`, {
    hint: 'Give {"ranks": [[file, ...], ...]}: for each encoding the candidates, best first.',
  });

/**
 * Scores track 1: `ranks[i]` are the files that encoding i is said to show, best first. Known pairs do not count.
 * Throws LG-ATTACK-001 for a submission that does not fit the challenge.
 */
export function scoreMatching(
  challenge: PublicChallenge,
  sealed: Sealed,
  ranks: readonly (readonly string[])[],
): ChallengeScore {
  if (ranks.length !== challenge.images) throw unfit(`${ranks.length} lists for ${challenge.images} encodings`);
  const allowed = new Set(challenge.candidates);
  ranks.forEach((list, i) => {
    if (new Set(list).size !== list.length || list.some((file) => !allowed.has(file)))
      throw unfit(`the list of encoding ${i} names a file twice, or one that is no candidate`);
  });
  const truth = filesOfEncodings(sealed);
  const known = new Set(challenge.known.map((pair) => pair.encoding));
  const others = truth
    .keys()
    .filter((i) => !known.has(i))
    .toArray();
  const places = others.map((i) => ranks[i]!.indexOf(truth[i]!));
  const within = (k: number): number => places.filter((p) => p >= 0 && p < k).length;
  const accuracy = successOf(within(1), others.length);
  const best = Math.min(...places.filter((p) => p >= 0));
  const before = (depth: number): number => others.filter((i) => ranks[i]!.length > depth).length;
  let attacker: number | null = null;
  if (Number.isFinite(best)) {
    attacker = others.filter((_, k) => k <= places.indexOf(best) && ranks[others[k]!]!.length > best).length;
    for (let depth = 0; depth < best; depth++) attacker += before(depth);
  }
  return {
    accuracy,
    chance: 1 / others.length,
    rankK: { 1: within(1) / others.length, 5: within(5) / others.length, 10: within(10) / others.length },
    meanReciprocalRank: places.reduce((sum, p) => sum + (p < 0 ? 0 : 1 / (p + 1)), 0) / others.length,
    kAnonymity: { effective: accuracy.value > 0 ? 1 / accuracy.value : null, band: bandOf(accuracy.value) },
    guesswork: { ideal: (others.length + 1) / 2, attacker },
    scored: others.length,
  };
}

/**
 * Scores track 2: submitted mean patches [targets, width] against the true ones. A target counts where the submission of no
 * other target is nearer to its true encoding (the public challenge's rule). Throws LG-ATTACK-001 for other shapes.
 */
export function scoreImitation(
  truth: readonly ArrayLike<number>[],
  submitted: readonly ArrayLike<number>[],
): Pick<ChallengeScore, "accuracy" | "chance" | "kAnonymity" | "scored"> {
  if (submitted.length !== truth.length || submitted.some((x) => x.length !== truth[0]!.length))
    throw unfit(`${submitted.length} targets; ${truth.length} of ${truth[0]!.length} numbers were expected`);
  const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    let sum = 0;
    for (let k = 0; k < a.length; k++) sum += (a[k]! - b[k]!) ** 2;
    return sum;
  };
  const hits = truth.filter((t, i) => {
    const own = distance(t, submitted[i]!);
    return submitted.every((other, j) => j === i || distance(t, other) > own);
  }).length;
  const accuracy = successOf(hits, truth.length);
  return {
    accuracy,
    chance: 1 / truth.length,
    kAnonymity: { effective: accuracy.value > 0 ? 1 / accuracy.value : null, band: bandOf(accuracy.value) },
    scored: truth.length,
  };
}
