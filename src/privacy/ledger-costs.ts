/** What the entries of a ledger cost together: by cohort, unit and split, against a budget, and for one model. */
import { LeadglassError } from "../errors.ts";
import {
  accountantNamed,
  bestAccountant,
  type EpsilonInterval,
  type Event,
  LEAST_NOISE,
  MOST_NOISE,
  pldAccountant,
  type Relation,
} from "./accountant.ts";
import { gaussianEpsilon } from "./gaussian.ts";
import type { BudgetEntry, LedgerEntry } from "./ledger-entries.ts";
import { eventOf, type Unit } from "./plan.ts";

/** One item of a bill. */
export interface Cost {
  readonly index: number;
  readonly cohortFingerprint: string;
  readonly unit: Unit;
  readonly relation: Relation;
  readonly delta: number;
  readonly event: Event;
  readonly run: string | null;
  /** The splits whose patients it concerns; null for all. */
  readonly splits: readonly string[] | null;
}

/** The last entry of each run: entries of one run count its steps from the start, so the last holds them all. */
export function lastOfEachRun(entries: readonly LedgerEntry[]): Set<LedgerEntry> {
  const last = new Map<string, LedgerEntry>();
  for (const entry of entries)
    if (entry.kind === "training") last.set(`${entry.cohortFingerprint} ${entry.run}`, entry);
  return new Set(last.values());
}

/** One release of a full sum. */
const release = (noiseMultiplier: number): Event => ({
  kind: "poisson-gaussian",
  samplingProbability: 1,
  noiseMultiplier,
  steps: 1,
});

/** Everything that costs something, one item for each run, count, histogram and choice. */
export function costsOf(entries: readonly LedgerEntry[]): Cost[] {
  const last = lastOfEachRun(entries);
  return entries.flatMap((entry): Cost[] => {
    const { index, run = null, splits = null } = entry;
    if (entry.kind === "training" && last.has(entry)) {
      const { cohortFingerprint, plan, stepsDone } = entry;
      const { unit, relation, delta } = plan;
      return [{ index, cohortFingerprint, unit, relation, delta, event: eventOf(plan, stepsDone), run, splits }];
    }
    if (entry.kind === "noisy-count" || entry.kind === "noisy-histogram") {
      const { cohortFingerprint, unit, relation, delta, noiseMultiplier } = entry;
      // Accountants take an exchange for a change of twice the sensitivity. Two weightings of cells that are not
      // negative and add up to at most 1 are only sqrt(2) apart, which is as if the noise were sqrt(2) larger.
      const slack = entry.kind === "noisy-histogram" && relation === "replace-one" ? Math.SQRT2 : 1;
      return [
        { index, cohortFingerprint, unit, relation, delta, event: release(noiseMultiplier * slack), run, splits },
      ];
    }
    if (entry.kind === "private-choice") {
      const { cohortFingerprint, unit, relation, delta, pureEpsilon } = entry;
      const event: Event = { kind: "pure", epsilon: pureEpsilon, steps: 1 };
      return [{ index, cohortFingerprint, unit, relation, delta, event, run, splits }];
    }
    return [];
  });
}

export const sameBudget = (
  a: Pick<Cost, "cohortFingerprint" | "unit">,
  b: Pick<Cost, "cohortFingerprint" | "unit">,
): boolean => a.cohortFingerprint === b.cohortFingerprint && a.unit === b.unit;

const touches = (cost: Cost, split: string | null): boolean =>
  split === null || cost.splits === null || cost.splits.includes(split);

/** The splits that costs tell apart; null stands for all patients where none is named. */
const splitsOf = (costs: readonly Cost[]): (string | null)[] => {
  const names = [...new Set(costs.flatMap((cost) => cost.splits ?? []))];
  return names.length > 0 ? names : [null];
};

export interface Composed {
  /** Of the split that lost most: splits have no patient in common, so that a patient loses what one split lost. */
  readonly epsilon: EpsilonInterval;
  readonly delta: number;
  readonly relation: Relation;
  readonly splits: readonly { readonly split: string | null; readonly epsilon: EpsilonInterval }[];
}

/**
 * What several costs on one cohort and unit come to together, at `wantedDelta` or else at the smallest delta in use;
 * `roughly` is quicker and gives a wider interval.
 */
export function compose(
  costs: readonly Cost[],
  wantedDelta?: number,
  options: { readonly roughly?: boolean } = {},
): Composed {
  // A bound at the smallest delta holds at the others; a bound for exchanged units is the stricter relation.
  const delta = wantedDelta ?? Math.min(...costs.map((cost) => cost.delta));
  const relation: Relation = costs.some((cost) => cost.relation === "replace-one")
    ? "replace-one"
    : "add-or-remove-one";
  const splits = splitsOf(costs).map((split) => ({
    split,
    epsilon: epsilonOf(
      costs.filter((cost) => touches(cost, split)).map((cost) => cost.event),
      delta,
      relation,
      options,
    ),
  }));
  const worst = splits.reduce((a, b) => (b.epsilon.upper > a.epsilon.upper ? b : a));
  return { epsilon: worst.epsilon, delta, relation, splits };
}

/** An accountant that takes a twentieth of the time, for checking that nothing is understated. */
const quick = pldAccountant({ width: 0.05 });

/** Epsilon of several events together, by the closed form where it holds. */
function epsilonOf(
  events: readonly Event[],
  delta: number,
  relation: Relation,
  { roughly = false }: { readonly roughly?: boolean } = {},
): EpsilonInterval {
  const taken = joined(events);
  const key = JSON.stringify([taken, delta, relation, roughly]);
  const known = computed.get(key);
  if (known !== undefined) return known;
  const best = bestAccountant(taken);
  const epsilon = (roughly && best === "pld" ? quick : accountantNamed(best)).epsilon(taken, delta, relation);
  if (computed.size >= mostComputed) computed.clear();
  computed.set(key, epsilon);
  return epsilon;
}

/** What was computed lately: one command looks at the same entries several times, and a tight value takes a second. */
const computed = new Map<string, EpsilonInterval>();
const mostComputed = 1000;

/** Events that differ in nothing but their steps are one event: many runs of one plan are then as quick as one. */
function joined(events: readonly Event[]): Event[] {
  const taken: Event[] = [];
  const places = new Map<string, number>();
  for (const event of events) {
    const key = "steps" in event ? JSON.stringify({ ...event, steps: 0 }) : null;
    const place = key === null ? undefined : places.get(key);
    const same = place === undefined ? undefined : taken[place]!;
    if (same !== undefined && "steps" in same && "steps" in event)
      taken[place!] = { ...same, steps: same.steps + event.steps };
    else {
      if (key !== null) places.set(key, taken.length);
      taken.push(event);
    }
  }
  return taken;
}

/** The budget that rules a cohort: the last one set; undefined where none was. */
export const budgetOf = (entries: readonly LedgerEntry[], cohortFingerprint: string): BudgetEntry | undefined =>
  entries.findLast(
    (entry): entry is BudgetEntry => entry.kind === "budget" && entry.cohortFingerprint === cohortFingerprint,
  );

/** A computed cost may pass a budget that it was calibrated to by this much, relatively. */
const SLACK = 1e-9;

/**
 * Why entries may not follow the others: they would pass the budget of their cohort, or are of a kind that no budget for
 * this unit bounds. Null where they may; with `certainly` also where a quick computation leaves it open. What is for the owner alone, and measuring, is no release under a budget.
 */
export function passedBudget(
  before: readonly LedgerEntry[],
  next: readonly LedgerEntry[],
  options: { readonly certainly?: boolean } = {},
): LeadglassError | null {
  const all = [...before, ...next];
  for (const cohortFingerprint of new Set(next.map((entry) => entry.cohortFingerprint))) {
    const budget = cohortFingerprint === undefined ? undefined : budgetOf(all, cohortFingerprint);
    if (budget === undefined) continue;
    const own = next.filter((entry) => entry.cohortFingerprint === cohortFingerprint && entry.index > budget.index);
    const refusal = passedBy(budget, before, all, own, options);
    if (refusal !== null) return refusal;
  }
  return null;
}

const significant = (x: number): string => String(Number(x.toPrecision(4)));

function passedBy(
  budget: BudgetEntry,
  before: readonly LedgerEntry[],
  all: readonly LedgerEntry[],
  own: readonly LedgerEntry[],
  { certainly = false }: { readonly certainly?: boolean },
): LeadglassError | null {
  const { cohortFingerprint, unit, epsilon, delta } = budget;
  const cohort = `cohort ${cohortFingerprint.slice(0, 12)}`;
  const limit = `epsilon ${epsilon} at delta ${delta} for each ${unit}`;
  const refuse = (message: string, hint: string): LeadglassError =>
    new LeadglassError("LG-PRIVACY-002", `${cohort} has a budget of ${limit}: ${message}`, {
      hint,
      fields: { epsilon, delta, unit },
    });
  if (own.some((entry) => entry.kind === "not-accounted"))
    return refuse(
      "an access that no accountant covers would pass any budget",
      "Train privately, with --epsilon; or train on another cohort.",
    );
  const isNew = (cost: Cost): boolean => own.some((entry) => entry.index === cost.index);
  const ofCohort = costsOf(all).filter((cost) => cost.cohortFingerprint === cohortFingerprint);
  const asked = ofCohort.filter(isNew);
  if (asked.length === 0) return null;
  if (asked.some((cost) => cost.unit !== unit))
    return refuse(
      `an access accounted for each ${unit === "patient" ? "image" : "patient"} cannot be held against it`,
      `Give --unit ${unit}.`,
    );
  const counted = ofCohort.filter((cost) => cost.unit === unit);
  if (certainly) {
    const { lower, upper } = compose(counted, delta, { roughly: true }).epsilon;
    if ((lower ?? upper) <= epsilon * (1 + SLACK)) return null;
  }
  const together = compose(counted, delta);
  if (together.epsilon.upper <= epsilon * (1 + SLACK)) return null;
  const earlier = costsOf(before).filter((cost) => sameBudget(cost, budget));
  const spent = earlier.length === 0 ? 0 : compose(earlier, delta).epsilon.upper;
  const fits = whatFits(earlier, asked, budget);
  return refuse(
    `epsilon ${significant(spent)} is spent and ${significant(compose(asked, delta).epsilon.upper)} was asked, together ${significant(together.epsilon.upper)}`,
    fits === null
      ? "Nothing more fits. Only a higher budget would let it through: leadglass ledger budget."
      : `About --epsilon ${fits} --delta ${delta} would fit; or set a higher budget: leadglass ledger budget.`,
  );
}

/**
 * The largest epsilon that one more access to all patients may have under a budget, at the budget's delta; null for none.
 * More than the difference of two epsilons: what is composed costs less than its sum.
 */
export function epsilonThatFits(costs: readonly Cost[], budget: BudgetEntry): number | null {
  const own = costs.filter((cost) => sameBudget(cost, budget));
  const { cohortFingerprint, unit, delta, index } = budget;
  const any = {
    cohortFingerprint,
    unit,
    delta,
    index,
    relation: "add-or-remove-one",
    run: null,
    splits: null,
  } as const;
  return whatFits(own, [{ ...any, event: release(1) }], budget);
}

/** The largest epsilon at the budget's delta, to three digits and never above, that splits asked about still bear; null for none. */
function whatFits(earlier: readonly Cost[], asked: readonly Cost[], { epsilon, delta }: BudgetEntry): number | null {
  const relation = [...earlier, ...asked].some((cost) => cost.relation === "replace-one")
    ? "replace-one"
    : "add-or-remove-one";
  const bears = (noise: number): boolean =>
    splitsOf([...earlier, ...asked]).every((split) => {
      if (!asked.some((cost) => touches(cost, split))) return true;
      const events = earlier.filter((cost) => touches(cost, split)).map((cost) => cost.event);
      return epsilonOf([...events, release(noise)], delta, relation).upper <= epsilon;
    });
  let [low, high] = [LEAST_NOISE, MOST_NOISE];
  if (!bears(high)) return null;
  while (high / low > 1 + 1e-6) {
    const middle = Math.sqrt(low * high);
    if (bears(middle)) high = middle;
    else low = middle;
  }
  const alone = gaussianEpsilon(relation === "replace-one" ? high / 2 : high, delta);
  const digit = 10 ** (Math.floor(Math.log10(alone)) - 2);
  const rounded = Number((Math.floor(alone / digit) * digit).toPrecision(3));
  return rounded >= 0.001 ? rounded : null;
}

/** A run and the runs whose weights it was started from, and theirs. */
export function lineageOf(entries: readonly LedgerEntry[], run: string): Set<string> {
  const names = new Set([run]);
  // Earlier runs are named by earlier entries, so one pass from the end finds them all.
  for (const entry of entries.toReversed())
    if (entry.kind === "started-from" && names.has(entry.run)) names.add(entry.from);
  return names;
}

export interface ModelCost {
  readonly epsilon: number;
  readonly delta: number;
  /** Uses of the cohort's patients for this model that no epsilon covers, in words. */
  readonly notAccounted: readonly string[];
  /** What was computed for the owner alone, in words. */
  readonly ownerOnly: readonly string[];
}

/**
 * What one model has cost the patients of the cohort it was trained on: its own training with everything that went into
 * it, and whatever its starting weights had cost the same patients. Null for a run that trained without privacy.
 */
export function costOfModel(entries: readonly LedgerEntry[], run: string): ModelCost | null {
  const training = entries.findLast((entry) => entry.kind === "training" && entry.run === run);
  if (training?.kind !== "training") return null;
  const names = lineageOf(entries, run);
  const { cohortFingerprint, plan } = training;
  const { unit } = plan;
  const own = entries.filter(
    (entry) => entry.cohortFingerprint === cohortFingerprint && entry.run !== undefined && names.has(entry.run),
  );
  const { epsilon, delta } = compose(costsOf(own).filter((cost) => cost.unit === unit));
  const said = (kind: "not-accounted" | "owner-only"): string[] => [
    ...new Set(own.flatMap((entry) => (entry.kind === kind ? [entry.what] : []))),
  ];
  const otherUnit = costsOf(own).some((cost) => cost.unit !== unit);
  return {
    epsilon: epsilon.upper,
    delta,
    notAccounted: [
      ...said("not-accounted"),
      ...(otherUnit
        ? [`an earlier training that was accounted for each ${unit === "patient" ? "image" : "patient"}`]
        : []),
    ],
    ownerOnly: said("owner-only"),
  };
}
