import { isLeadglassError, LeadglassError } from "../errors.ts";
import { checkDelta, checkEvent, type Event, type Relation } from "./events.ts";
import { fullBatchNoise, gaussianDelta, gaussianEpsilon } from "./gaussian.ts";
import { defaultEffort, type Effort, pldEpsilon, pldProfile } from "./pld/pld.ts";
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

/** What all events together cost in Rényi divergence. */
function totalRdp(events: readonly Event[], relation: Relation): Float64Array {
  const total = new Float64Array(rdpOrders.length);
  for (const event of events) rdpOfEvent(event, relation).forEach((rdp, i) => (total[i]! += rdp));
  return total;
}

/** As {@link totalRdp}; null where an event has no formula. */
function totalRdpIfKnown(events: readonly Event[], relation: Relation): Float64Array | null {
  try {
    return totalRdp(events, relation);
  } catch (error) {
    if (isLeadglassError(error) && error.code === "LG-PRIVACY-004") return null;
    throw error;
  }
}

const rdpAccountant: Accountant = {
  name: "rdp",
  epsilon(events, delta, relation = "add-or-remove-one") {
    const taken = takenEvents("rdp accountant", events, delta);
    if (taken.length === 0) return { upper: 0, lower: 0 };
    const noise = fullBatchNoise(taken, relation);
    return {
      upper: rdpToEpsilon(totalRdp(taken, relation), delta).epsilon,
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

/**
 * A privacy loss distribution accountant that asks for intervals of that relative width, and spends at most that many
 * grid points on one; {@link accountantNamed}("pld") is the one with the usual effort.
 */
export function pldAccountant(effort: Partial<Effort> = {}): Accountant {
  return {
    name: "pld",
    epsilon(events, delta, relation = "add-or-remove-one") {
      const taken = takenEvents("pld accountant", events, delta);
      if (taken.length === 0) return { upper: 0, lower: 0 };
      const noise = fullBatchNoise(taken, relation);
      if (noise !== null) {
        const epsilon = gaussianEpsilon(noise, delta);
        return { upper: epsilon, lower: epsilon };
      }
      // Of a search only its Rényi divergence is known, so everything with it is added up there.
      if (isSearched(taken)) return rdpAccountant.epsilon(taken, delta, relation);
      const { lower, upper } = pldEpsilon(taken, delta, relation, { ...defaultEffort, ...effort });
      // Where the grid is too coarse for the losses, Rényi divergences can still do better.
      const rdp = totalRdpIfKnown(taken, relation);
      const best = Math.min(upper, rdp === null ? Infinity : rdpToEpsilon(rdp, delta).epsilon);
      if (best < Infinity) return { upper: best, lower: Math.min(lower, best) };
      throw new LeadglassError(
        "LG-PRIVACY-001",
        `pld accountant: delta is ${delta}; the events give away more than that`,
        {
          hint: "give a larger delta: an event that is itself (epsilon, delta)-private uses up its own",
          fields: { parameter: "delta" },
        },
      );
    },
  };
}

/** Every accountant by name. */
const accountants: Record<AccountantName, Accountant> = {
  pld: pldAccountant(),
  rdp: rdpAccountant,
  gaussian: gaussianAccountant,
};

/**
 * The accountant of that name: "pld" (privacy loss distributions: tight, everything), "rdp" (Rényi: a looser cross-check)
 * or "gaussian" (closed form, probability 1 only). Throws LG-PRIVACY-004 for unknown names.
 */
export function accountantNamed(name: string): Accountant {
  if (Object.hasOwn(accountants, name)) return accountants[name as AccountantName];
  throw new LeadglassError(
    "LG-PRIVACY-004",
    `accountant: unknown name of length ${name.length}; expected pld, rdp or gaussian`,
    { hint: "choose pld" },
  );
}

/** The best accountant for these events: "gaussian" where a closed form holds for all of them, otherwise "pld". */
export function bestAccountant(events: readonly Event[]): "gaussian" | "pld" {
  return fullBatchNoise(events, "add-or-remove-one") === null ? "pld" : "gaussian";
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
  const deltaAt = noise === null ? profileOf(taken, relation) : gaussianProfile(noise);
  return (epsilon) => {
    if (epsilon >= 0) return deltaAt(epsilon);
    const { lower, upper } = deltaAt(-epsilon);
    const [factor, rest] = [Math.exp(epsilon), -Math.expm1(epsilon)];
    return { lower: factor * lower + rest, upper: factor * upper + rest };
  };
}

const isSearched = (events: readonly Event[]): boolean => events.some(({ kind }) => kind === "selection");

function profileOf(events: readonly Event[], relation: Relation): (epsilon: number) => DeltaInterval {
  const profile = isSearched(events) ? () => ({ lower: 0, upper: 1 }) : pldProfile(events, relation);
  const rdp = totalRdpIfKnown(events, relation);
  return (epsilon) => {
    const { lower, upper } = profile(epsilon);
    const best = rdp === null ? upper : Math.min(upper, rdpToDelta(rdp, epsilon));
    return { lower: Math.min(lower, best), upper: best };
  };
}

const gaussianProfile = (noise: number) => (epsilon: number) => {
  const delta = gaussianDelta(noise, epsilon);
  return { lower: delta, upper: delta };
};
