/**
 * Accounted choice among candidates: the best of a random number of private trainings, and the best of k scores. What
 * looks at private data to choose costs privacy like anything else that looks.
 */
import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import { checkRepetitions, type PureEvent, type Relation, type Repetitions, requireParameter } from "./events.ts";
import { rdpOrders, rdpToDelta } from "./rdp.ts";

const WHERE = "private search";

/** Expected number at stopping parameter gamma, of the shape; 1 / gamma when geometric. Definition 1 of the paper below. */
function meanAt(gamma: number, shape: number): number {
  // (1 - gamma) / (-log gamma), and shape / (1 - gamma^shape) times -log gamma, both 1 in the limit.
  const log = -Math.log(gamma);
  const first = gamma === 1 ? 1 : -Math.expm1(-log) / log;
  const second = shape * log === 0 ? 1 : (shape * log) / -Math.expm1(-shape * log);
  return (first * second) / gamma;
}

/** The gamma with a given mean, never above it: a smaller gamma costs more, so that rounding is on the safe side. */
function gammaOf(shape: number, mean: number): number {
  let [low, high] = [-800, 0]; // log gamma; the mean falls as gamma grows
  for (let i = 0; i < 200 && high - low > 1e-14 * -low; i++) {
    const middle = (low + high) / 2;
    if (meanAt(Math.exp(middle), shape) < mean) high = middle;
    else low = middle;
  }
  return Math.exp(low);
}

/**
 * Rényi divergence bounds of a whole search, from those of one training (at the same orders): train as often as
 * `repetitions` says, each time with settings drawn at random from public candidates, and publish the best result alone.
 * How often it trained and all other results stay secret. What decides which is best must come out of the private
 * training or from public data.
 * Throws LG-PRIVACY-001 for an impossible distribution.
 * Source: Papernot and Steinke, Hyperparameter Tuning with Rényi Differential Privacy, 2022 (arXiv 2110.03620),
 * theorem 2 (negative binomial) and theorem 6 (Poisson). Divergences increase with the order, so that a bound at a higher
 * order is one at a lower.
 */
export function rdpOfSearch(
  rdp: ArrayLike<number>,
  repetitions: Repetitions,
  orders: readonly number[] = rdpOrders,
): Float64Array {
  checkRepetitions(WHERE, repetitions);
  const whole = new Float64Array(orders.length);
  const { mean } = repetitions;
  if (repetitions.kind === "poisson")
    orders.forEach((order, i) => {
      const delta = rdpToDelta(rdp, Math.log1p(1 / (order - 1)), orders);
      whole[i] = rdp[i]! + mean * delta + Math.log(mean) / (order - 1);
    });
  else {
    const { shape } = repetitions;
    const stop = -Math.log(gammaOf(shape, mean));
    const extra = (1 + shape) * Math.min(...orders.map((order, i) => (1 - 1 / order) * rdp[i]! + stop / order));
    orders.forEach((order, i) => (whole[i] = rdp[i]! + extra + Math.log(mean) / (order - 1)));
  }
  const descending = orders.map((_, i) => i).sort((i, j) => orders[j]! - orders[i]!);
  let least = Infinity;
  for (const i of descending) whole[i] = least = Math.min(least, whole[i]!);
  return whole;
}

/**
 * Draws how often a search trains. Probabilities are right to about 1e-15, so that what they miss is far below any delta.
 * Throws LG-PRIVACY-007 when the source is seeded and that is not stated by `insecureSeed`, and LG-PRIVACY-001 for an
 * impossible distribution.
 */
export function drawRepetitions(
  repetitions: Repetitions,
  source: RandomSource,
  { insecureSeed = false }: { readonly insecureSeed?: boolean } = {},
): number {
  checkRepetitions(WHERE, repetitions);
  requireSecret(source, insecureSeed);
  if (repetitions.kind === "poisson") return poissonNumber(repetitions.mean, source);
  const { shape, mean } = repetitions;
  if (mean === 1) return 1;
  const gamma = gammaOf(shape, mean);
  const log = -Math.log(gamma);
  // The probability of 1, then each from the one before: p(k + 1) = p(k) (1 - gamma) (k + shape) / (k + 1).
  let probability = -Math.expm1(-log) * (shape === 0 ? 1 / log : shape / Math.expm1(shape * log));
  let left = source.uniform();
  let k = 1;
  while (left >= probability && probability > 0) {
    left -= probability;
    probability *= (-Math.expm1(-log) * (k + shape)) / (k + 1);
    k++;
  }
  return k;
}

/** A Poisson number as the sum of such of mean at most 16, each by inversion. */
function poissonNumber(mean: number, source: RandomSource): number {
  const parts = Math.ceil(mean / 16);
  let total = 0;
  for (let part = 0; part < parts; part++) {
    let probability = Math.exp(-mean / parts);
    let left = source.uniform();
    for (let k = 0; left >= probability && probability > 0; total++) {
      left -= probability;
      probability *= mean / parts / ++k;
    }
  }
  return total;
}

function requireSecret(source: RandomSource, insecureSeed: boolean): void {
  if (source.secure || insecureSeed) return;
  throw new LeadglassError(
    "LG-PRIVACY-007",
    "private choice: the random source is seeded; a cryptographic one was expected",
    {
      hint: "use secureRandom(), or state insecureSeed for a test or a reproduction",
    },
  );
}

/** One step of the grid on which scores of units are summed: sums of up to 2^33 of them are exact in floating point. */
const SCORE_GRID = 2 ** 20;

/**
 * A candidate's score: the sum over units (patients) of what each says of it, from 0 to 1. One unit changes it by at most
 * 1, exactly: values are clipped to that range and rounded to 2^-20, NaN counts as 0, and such sums do not round.
 */
export function sumOfUnitScores(perUnit: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < perUnit.length; i++) {
    const value = perUnit[i]!;
    sum += value > 0 ? Math.round(Math.min(value, 1) * SCORE_GRID) : 0;
  }
  return sum / SCORE_GRID;
}

export interface ChoiceOptions {
  /** What the choice costs: it is (epsilon, 0)-private. */
  readonly epsilon: number;
  readonly source: RandomSource;
  /**
   * "noisy-max": the largest score after exponential noise on each; on average its score is never the lower of the two.
   * "exponential": the exponential mechanism, which is the largest score after Gumbel noise.
   */
  readonly mechanism?: "noisy-max" | "exponential";
  readonly relation?: Relation;
  readonly insecureSeed?: boolean;
}

/**
 * Chooses the candidate with about the best score and returns its index, with the event to account. A score is a sum over
 * units of at least 0 and at most 1 each ({@link sumOfUnitScores}): an added unit raises every score by 0 to 1, an
 * exchanged one moves it by up to 1 either way, which costs twice as much.
 *
 * No noise is added to a score in floating point, where its last bits would tell something: candidates are visited at
 * random and one is taken when coins fall so, with probability exp(-rate (best - score)). That is the same distribution.
 *
 * Throws LG-PRIVACY-001 for no candidates, a score that is not a finite number of at least 0 or an epsilon that is not
 * positive; LG-PRIVACY-007 for a seeded source without `insecureSeed`.
 * Sources: McKenna and Sheldon, Permute-and-Flip, 2020 (arXiv 2010.12603); Ding et al., The Permute-and-Flip Mechanism is
 * Identical to Report-Noisy-Max with Exponential Noise, 2021 (arXiv 2105.07260); McSherry and Talwar, Mechanism Design via
 * Differential Privacy, 2007.
 */
export function chooseBestOf(
  scores: ArrayLike<number>,
  { epsilon, source, mechanism = "noisy-max", relation = "add-or-remove-one", insecureSeed = false }: ChoiceOptions,
): { readonly index: number; readonly event: PureEvent } {
  const where = "private choice";
  requireParameter(where, "epsilon", epsilon, epsilon > 0 && epsilon < Infinity, "a finite number above 0");
  requireParameter(where, "the number of candidates", scores.length, scores.length >= 1, "at least 1");
  const valid = Array.from(scores).every((score) => score >= 0 && score < Infinity);
  if (!valid)
    throw new LeadglassError("LG-PRIVACY-001", `${where}: a score is not a finite number of at least 0`, {
      hint: "make scores with sumOfUnitScores",
      fields: { parameter: "scores" },
    });
  requireSecret(source, insecureSeed);
  const best = Array.from(scores).reduce((most, score) => Math.max(most, score), 0);
  const rate = relation === "replace-one" ? epsilon / 2 : epsilon;
  const taken = (i: number): boolean => expCoin(rate * (best - scores[i]!), source);
  const event: PureEvent = { kind: "pure", epsilon, steps: 1 };
  const waiting = Array.from({ length: scores.length }, (_, i) => i);
  for (;;) {
    const at = source.integer(waiting.length);
    const index = waiting[at]!;
    if (taken(index)) return { index, event };
    // The noisy maximum visits each once; the exponential mechanism draws anew each time.
    if (mechanism === "noisy-max") waiting.splice(at, 1);
  }
}

/**
 * True with probability exp(-x): coins of probability 1/e for the whole part, then one for the rest, so that the smallest
 * probabilities are right in relation to themselves and never become 0.
 */
function expCoin(x: number, source: RandomSource): boolean {
  for (; x >= 1; x--) if (source.uniform() >= Math.exp(-1)) return false;
  return source.uniform() < Math.exp(-x);
}
