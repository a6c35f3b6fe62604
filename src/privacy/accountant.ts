import { LeadglassError } from "../errors.ts";
import { gaussianEpsilon } from "./gaussian.ts";
import { rdpOfStep, rdpOfStepReplacing, rdpOrders, rdpToEpsilon } from "./rdp.ts";

/**
 * Something that touched private data, as an accountant sees it: `steps` releases of a clipped sum of units, each unit
 * present independently with `samplingProbability` each time, plus Gaussian noise of standard deviation
 * `noiseMultiplier` times the most one unit can add to the sum. Probability 1 is the plain Gaussian mechanism.
 */
export interface Event {
  readonly kind: "poisson-gaussian";
  readonly samplingProbability: number;
  readonly noiseMultiplier: number;
  readonly steps: number;
}

/** Which two cohorts must look alike: they differ by one unit more or less, or by one unit exchanged for another. */
export type Relation = "add-or-remove-one" | "replace-one";

/** An interval that holds the true epsilon: `upper` is the guarantee; `lower` is null where none is known. */
export interface EpsilonInterval {
  readonly upper: number;
  readonly lower: number | null;
}

export type AccountantName = "rdp" | "gaussian" | "pld";

export interface Accountant {
  readonly name: AccountantName;
  /** The epsilon that all events together cost at delta; throws LG-PRIVACY-001 for impossible parameters. */
  epsilon(events: readonly Event[], delta: number, relation?: Relation): EpsilonInterval;
}

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

/** Throws LG-PRIVACY-001 unless an event's parameters are possible. */
export function checkEvent(where: string, { samplingProbability, noiseMultiplier, steps }: Event): void {
  requireParameter(
    where,
    "samplingProbability",
    samplingProbability,
    samplingProbability > 0 && samplingProbability <= 1,
    "a number above 0 and at most 1",
  );
  requireParameter(
    where,
    "noiseMultiplier",
    noiseMultiplier,
    noiseMultiplier >= LEAST_NOISE && noiseMultiplier <= MOST_NOISE,
    `a number from ${LEAST_NOISE} to ${MOST_NOISE}`,
  );
  requireParameter(where, "steps", steps, Number.isSafeInteger(steps) && steps >= 0, "a whole number of at least 0");
}

/** Noise outside this range is refused: less protects nobody, more drowns everything, and neither can be checked. */
export const LEAST_NOISE = 0.01;
export const MOST_NOISE = 1e7;

/** The noise of the one Gaussian release that all full-batch events amount to, for a unit added or removed. */
function joinedNoise(events: readonly Event[]): number {
  return 1 / Math.sqrt(events.reduce((sum, event) => sum + event.steps / event.noiseMultiplier ** 2, 0));
}

const isFullBatch = (event: Event): boolean => event.samplingProbability === 1;

/** Exchanging a unit moves a full sum by up to twice the clipping norm: as if there were half the noise. */
const sensitivityOf: Record<Relation, number> = { "add-or-remove-one": 1, "replace-one": 2 };

function takenEvents(where: string, events: readonly Event[], delta: number): Event[] {
  checkDelta(where, delta);
  for (const event of events) checkEvent(where, event);
  return events.filter((event) => event.steps > 0);
}

const rdpAccountant: Accountant = {
  name: "rdp",
  epsilon(events, delta, relation = "add-or-remove-one") {
    const taken = takenEvents("rdp accountant", events, delta);
    if (taken.length === 0) return { upper: 0, lower: 0 };
    const ofStep = relation === "replace-one" ? rdpOfStepReplacing : rdpOfStep;
    const total = new Float64Array(rdpOrders.length);
    for (const event of taken) ofStep(event).forEach((rdp, i) => (total[i]! += event.steps * rdp));
    return {
      upper: rdpToEpsilon(total, delta).epsilon,
      // Without sampling the truth is known; it is the best lower bound there can be.
      lower: taken.every(isFullBatch) ? gaussianEpsilon(joinedNoise(taken) / sensitivityOf[relation], delta) : null,
    };
  },
};

const gaussianAccountant: Accountant = {
  name: "gaussian",
  epsilon(events, delta, relation = "add-or-remove-one") {
    const taken = takenEvents("gaussian accountant", events, delta);
    if (taken.length === 0) return { upper: 0, lower: 0 };
    if (!taken.every(isFullBatch))
      throw new LeadglassError(
        "LG-PRIVACY-004",
        "gaussian accountant: an event samples its units; expected probability 1",
        {
          hint: "use the rdp accountant: the closed form holds only where every unit takes part in every step",
        },
      );
    const epsilon = gaussianEpsilon(joinedNoise(taken) / sensitivityOf[relation], delta);
    return { upper: epsilon, lower: epsilon };
  },
};

/** Every accountant by name; null keeps the place of one that a later version brings. */
const accountants: Record<AccountantName, Accountant | null> = {
  rdp: rdpAccountant,
  gaussian: gaussianAccountant,
  pld: null,
};

/**
 * The accountant of that name: "rdp" (Rényi, any sampling) or "gaussian" (exact, probability 1 only).
 * Throws LG-PRIVACY-004 for "pld", which this version does not have, and for unknown names.
 */
export function accountantNamed(name: string): Accountant {
  if (!Object.hasOwn(accountants, name))
    throw new LeadglassError(
      "LG-PRIVACY-004",
      `accountant: unknown name of length ${name.length}; expected rdp or gaussian`,
      {
        hint: "choose rdp",
      },
    );
  const accountant = accountants[name as AccountantName];
  if (accountant === null)
    throw new LeadglassError("LG-PRIVACY-004", `accountant: ${name} is not in this version; expected rdp or gaussian`, {
      hint: "choose rdp: its epsilon is a valid, slightly larger bound",
    });
  return accountant;
}
