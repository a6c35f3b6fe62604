import { LeadglassError } from "../errors.ts";

/**
 * `steps` releases of a clipped sum of units, each unit present independently with `samplingProbability` each time, plus
 * Gaussian noise of standard deviation `noiseMultiplier` times the most one contribution can add to the sum.
 * Probability 1 is the plain Gaussian mechanism. A unit that owns `groupSize` contributions (1 unless given), each
 * sampled by its own coin, is a patient with that many images in a run over images.
 */
export interface PoissonGaussianEvent {
  readonly kind: "poisson-gaussian";
  readonly samplingProbability: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly groupSize?: number;
}

/**
 * As {@link PoissonGaussianEvent}, but a drawn batch of more than `batchCap` units is thinned at random to `batchCap`.
 * `cohortSize` is the number of units in the larger of the two neighbouring cohorts and counts as public.
 */
export interface TruncatedPoissonGaussianEvent {
  readonly kind: "truncated-poisson-gaussian";
  readonly samplingProbability: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
  readonly cohortSize: number;
  readonly batchCap: number;
}

/**
 * `steps` sums to which the unit adds `sensitivities[i]` with `probabilities[i]`, drawn anew each time, plus Gaussian
 * noise of standard deviation `noiseMultiplier`.
 */
export interface MixtureGaussianEvent {
  readonly kind: "mixture-gaussian";
  readonly sensitivities: readonly number[];
  readonly probabilities: readonly number[];
  readonly noiseMultiplier: number;
  readonly steps: number;
}

/** `steps` uses of any mechanism that is epsilon-differentially private; the worst of these is randomised response. */
export interface PureEvent {
  readonly kind: "pure";
  readonly epsilon: number;
  readonly steps: number;
}

/** One use of any mechanism that is (epsilon, delta)-differentially private. */
export interface ApproximateEvent {
  readonly kind: "approximate";
  readonly epsilon: number;
  readonly delta: number;
}

/**
 * How often a search trains: a random number, because a fixed one would cost far more. `shape` is that of a negative
 * binomial number that is at least 1: 1 is geometric, 0 logarithmic; the smaller, the cheaper and the less even.
 * "poisson" is the most even and may be 0. `mean` is the expected number.
 */
export type Repetitions =
  | { readonly kind: "negative-binomial"; readonly shape: number; readonly mean: number }
  | { readonly kind: "poisson"; readonly mean: number };

/**
 * `steps` searches (1 as a rule), each of which did what `of` lists as often as `repetitions` fell and published the best
 * result alone. Known to Rényi accounting only.
 */
export interface SelectionEvent {
  readonly kind: "selection";
  readonly of: readonly Event[];
  readonly repetitions: Repetitions;
  readonly steps: number;
}

/** Something that touched private data, as an accountant sees it. */
export type Event =
  | PoissonGaussianEvent
  | TruncatedPoissonGaussianEvent
  | MixtureGaussianEvent
  | PureEvent
  | ApproximateEvent
  | SelectionEvent;

/** Which two cohorts must look alike: they differ by one unit more or less, or by one unit exchanged for another. */
export type Relation = "add-or-remove-one" | "replace-one";

/** Throws LG-PRIVACY-001 unless `value` passes. The message carries the number: parameters are public. */
export function requireParameter(where: string, name: string, value: unknown, passes: boolean, expected: string): void {
  if (passes) return;
  const got = typeof value === "number" ? String(value) : value === undefined ? "nothing" : `a ${typeof value}`;
  throw new LeadglassError("LG-PRIVACY-001", `${where}: ${name} is ${got}; expected ${expected}`, {
    hint: `give ${name} as ${expected}`,
    fields: { parameter: name },
  });
}

/** Throws LG-PRIVACY-001 unless delta is a probability strictly between 0 and 1. */
export function checkDelta(where: string, delta: number): void {
  requireParameter(where, "delta", delta, delta > 0 && delta < 1, "a number above 0 and below 1, such as 1e-5");
}

/** Noise outside this range is refused: less protects nobody, more drowns everything, and neither can be checked. */
export const LEAST_NOISE = 0.01;
export const MOST_NOISE = 1e7;

/** More contributions of one unit than this are refused: their epsilon would say nothing. */
export const LARGEST_GROUP = 1000;

/** Throws LG-PRIVACY-001 unless an event's parameters are possible. */
export function checkEvent(where: string, event: Event): void {
  const whole = (name: string, value: number, least: number): void =>
    requireParameter(where, name, value, Number.isSafeInteger(value) && value >= least, `a whole number of at least ${least}`); // prettier-ignore
  if (event.kind === "approximate") {
    requireParameter(where, "epsilon", event.epsilon, finiteAndNotNegative(event.epsilon), "a finite number from 0");
    checkDelta(where, event.delta);
    return;
  }
  if (event.kind === "pure") {
    requireParameter(where, "epsilon", event.epsilon, finiteAndNotNegative(event.epsilon), "a finite number from 0");
    whole("steps", event.steps, 0);
    return;
  }
  if (event.kind === "selection") {
    checkRepetitions(where, event.repetitions);
    requireParameter(where, "of", event.of.length, event.of.length > 0, "at least one event");
    for (const each of event.of) checkEvent(where, each);
    whole("steps", event.steps, 0);
    return;
  }
  if (event.kind === "mixture-gaussian") checkMixture(where, event);
  else
    requireParameter(
      where,
      "samplingProbability",
      event.samplingProbability,
      event.samplingProbability > 0 && event.samplingProbability <= 1,
      "a number above 0 and at most 1",
    );
  requireParameter(
    where,
    "noiseMultiplier",
    event.noiseMultiplier,
    event.noiseMultiplier >= LEAST_NOISE && event.noiseMultiplier <= MOST_NOISE,
    `a number from ${LEAST_NOISE} to ${MOST_NOISE}`,
  );
  whole("steps", event.steps, 0);
  if (event.kind === "truncated-poisson-gaussian") {
    whole("cohortSize", event.cohortSize, 1);
    whole("batchCap", event.batchCap, 1);
  }
  if (event.kind === "poisson-gaussian" && event.groupSize !== undefined) {
    const { groupSize } = event;
    const passes = Number.isSafeInteger(groupSize) && groupSize >= 1 && groupSize <= LARGEST_GROUP;
    requireParameter(where, "groupSize", groupSize, passes, `a whole number from 1 to ${LARGEST_GROUP}`);
  }
}

/** Repetitions of a search are drawn and paid for up to this mean. */
export const MOST_REPETITIONS = 1e6;

/** Throws LG-PRIVACY-001 unless the distribution exists and its mean is from 1 to a million. */
export function checkRepetitions(where: string, repetitions: Repetitions): void {
  const { mean } = repetitions;
  requireParameter(
    where,
    "mean",
    mean,
    mean >= 1 && mean <= MOST_REPETITIONS,
    `a number from 1 to ${MOST_REPETITIONS}`,
  );
  if (repetitions.kind === "poisson") return;
  const { shape } = repetitions;
  requireParameter(where, "shape", shape, shape > -1 && shape <= 1000, "a number above -1 and at most 1000");
}

const finiteAndNotNegative = (value: number): boolean => value >= 0 && value < Infinity;

function checkMixture(where: string, { sensitivities, probabilities }: MixtureGaussianEvent): void {
  const total = probabilities.reduce((sum, probability) => sum + probability, 0);
  requireParameter(
    where,
    "sensitivities",
    sensitivities.length,
    sensitivities.length === probabilities.length && sensitivities.every(finiteAndNotNegative),
    "finite numbers from 0, as many as probabilities",
  );
  const passes = probabilities.every((probability) => probability >= 0) && Math.abs(total - 1) < 1e-9;
  requireParameter(where, "probabilities", total, passes, "numbers from 0 that add up to 1");
}
