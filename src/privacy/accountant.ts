import { LeadglassError } from "../errors.ts";
import { checkDelta, checkEvent, type Event, type Relation } from "./events.ts";
import { fullBatchNoise, gaussianDelta, gaussianEpsilon } from "./gaussian.ts";
import { rdpOfPure, rdpOfStep, rdpOfStepReplacing, rdpOrders, rdpToDelta, rdpToEpsilon } from "./rdp.ts";
import { rdpOfSearch } from "./selection.ts";

export {
  checkDelta,
  checkEvent,
  type Event,
  LEAST_NOISE,
  MOST_NOISE,
  type PoissonGaussianEvent,
  type Relation,
  requireParameter,
} from "./events.ts";

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

/** A bound for every event, whole runs at a time; throws LG-PRIVACY-001 for what is impossible. */
function takenEvents(where: string, events: readonly Event[], delta: number): Event[] {
  checkDelta(where, delta);
  for (const event of events) checkEvent(where, event);
  return events.filter((event) => event.kind === "approximate" || event.steps > 0);
}

const notCovered = (where: string, what: string, hint: string): LeadglassError =>
  new LeadglassError("LG-PRIVACY-004", `${where}: ${what}`, { hint });

/** What all steps of an event cost in Rényi divergence, one number per order; LG-PRIVACY-004 where no formula is known. */
function rdpOfEvent(event: Event, relation: Relation): Float64Array {
  if (event.kind === "selection") {
    const one = new Float64Array(rdpOrders.length);
    for (const each of takenEvents("rdp accountant", event.of, 0.5))
      rdpOfEvent(each, relation).forEach((rdp, i) => (one[i]! += rdp));
    return rdpOfSearch(one, event.repetitions).map((rdp) => event.steps * rdp);
  }
  if (event.kind === "pure") return rdpOfPure(event.epsilon).map((rdp) => event.steps * rdp);
  const gaussian = event.kind === "poisson-gaussian" ? fullBatchNoise([event], "add-or-remove-one") : null;
  if (event.kind !== "poisson-gaussian" || (gaussian === null && (event.groupSize ?? 1) > 1))
    throw notCovered(
      "rdp accountant",
      `no formula for events of kind ${event.kind}${event.kind === "poisson-gaussian" ? " with a group size" : ""}`,
      "use the pld accountant",
    );
  const ofStep = relation === "replace-one" ? rdpOfStepReplacing : rdpOfStep;
  const step = { samplingProbability: event.samplingProbability, noiseMultiplier: event.noiseMultiplier };
  if (gaussian !== null) return ofStep({ ...step, noiseMultiplier: gaussian });
  return ofStep(step).map((rdp) => event.steps * rdp);
}

const rdpAccountant: Accountant = {
  name: "rdp",
  epsilon(events, delta, relation = "add-or-remove-one") {
    const taken = takenEvents("rdp accountant", events, delta);
    if (taken.length === 0) return { upper: 0, lower: 0 };
    const total = new Float64Array(rdpOrders.length);
    for (const event of taken) rdpOfEvent(event, relation).forEach((rdp, i) => (total[i]! += rdp));
    const noise = fullBatchNoise(taken, relation);
    return {
      upper: rdpToEpsilon(total, delta).epsilon,
      // Without sampling the truth is known; it is the best lower bound there can be.
      lower: noise === null ? null : gaussianEpsilon(noise, delta),
    };
  },
};

const gaussianAccountant: Accountant = {
  name: "gaussian",
  epsilon(events, delta, relation = "add-or-remove-one") {
    const taken = takenEvents("gaussian accountant", events, delta);
    if (taken.length === 0) return { upper: 0, lower: 0 };
    const noise = fullBatchNoise(taken, relation);
    if (noise === null)
      throw notCovered(
        "gaussian accountant",
        "an event samples its units or is not Gaussian; expected Gaussian events of probability 1",
        "use the pld accountant: the closed form holds only where every unit takes part in every step",
      );
    const epsilon = gaussianEpsilon(noise, delta);
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

/** An interval that holds a delta. */
export interface DeltaInterval {
  readonly lower: number;
  readonly upper: number;
}

/**
 * The privacy profile of all events together: a function that gives, for each epsilon, an interval that holds the
 * smallest delta with which the events are (epsilon, delta)-differentially private (the hockey-stick divergence).
 * Negative epsilons follow from positive ones, because both relations are symmetric.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-004 for what no accountant covers.
 */
export function privacyProfile(
  events: readonly Event[],
  relation: Relation = "add-or-remove-one",
): (epsilon: number) => DeltaInterval {
  const taken = takenEvents("privacy profile", events, 0.5);
  const noise = fullBatchNoise(taken, relation);
  const total = new Float64Array(rdpOrders.length);
  if (noise === null) for (const event of taken) rdpOfEvent(event, relation).forEach((rdp, i) => (total[i]! += rdp));
  const deltaAt = (epsilon: number): DeltaInterval => {
    if (noise !== null) {
      const delta = gaussianDelta(noise, epsilon);
      return { lower: delta, upper: delta };
    }
    return { lower: 0, upper: rdpToDelta(total, epsilon) };
  };
  return (epsilon) => {
    if (taken.length === 0)
      return { lower: Math.max(0, -Math.expm1(epsilon)), upper: Math.max(0, -Math.expm1(epsilon)) };
    if (epsilon >= 0) return deltaAt(epsilon);
    const { lower, upper } = deltaAt(-epsilon);
    return {
      lower: Math.exp(epsilon) * lower - Math.expm1(epsilon),
      upper: Math.exp(epsilon) * upper - Math.expm1(epsilon),
    };
  };
}
