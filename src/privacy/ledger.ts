import { LeadglassError, isLeadglassError } from "../errors.ts";
import type { EpsilonInterval, Relation } from "./accountant.ts";
import {
  budgetOf,
  compose,
  costsOf,
  epsilonThatFits,
  lastOfEachRun,
  passedBudget,
  sameBudget,
} from "./ledger-costs.ts";
import {
  type Access,
  accessOf,
  type BudgetEntry,
  type LedgerBody,
  type LedgerEntry,
  type LedgerKind,
  sentenceOf,
  type TrainingEntry,
} from "./ledger-entries.ts";
import { parsePlan, spent, type Unit } from "./plan.ts";

/**
 * The one text of a JSON value: keys sorted, no spaces, numbers as ECMAScript writes them; properties that are undefined
 * are left out. Throws LG-BUG-001 for what JSON cannot hold. Source: RFC 8785, JSON Canonicalization Scheme.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
  }
  throw new LeadglassError("LG-BUG-001", `canonical JSON: a ${typeof value} (or a number that is not finite)`);
}

/** What the first entry names as the hash before it. */
const GENESIS = "0".repeat(64);

/** SHA-256 of an entry without its own hash, in canonical JSON, as 64 hexadecimal digits. */
async function hashOf(entry: Omit<LedgerEntry, "hash">): Promise<string> {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle === undefined)
    throw new LeadglassError("LG-PRIVACY-009", "ledger: this platform has no crypto.subtle", {
      hint: "use Node 24 or newer, or a browser page served over HTTPS",
    });
  const bytes = new TextEncoder().encode(canonicalJson({ ...entry, hash: undefined }));
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The line of a ledger file that holds an entry. */
export function formatEntry(entry: LedgerEntry): string {
  return `${canonicalJson(entry)}\n`;
}

/** Why a training entry cannot follow the earlier entries of its run; null when it can. */
function brokenRun(entries: readonly LedgerEntry[], next: Omit<TrainingEntry, "hash">): string | null {
  const before = entries.findLast(
    (entry): entry is TrainingEntry =>
      entry.kind === "training" && entry.run === next.run && entry.cohortFingerprint === next.cohortFingerprint,
  );
  if (before === undefined) return null;
  if (canonicalJson(before.plan) !== canonicalJson(next.plan)) return "the plan of its run changed";
  return next.stepsDone < before.stepsDone ? "the steps of its run went backwards" : null;
}

/** What the accounted costs come to once `entry` is in the ledger; null for an entry that costs nothing. */
function cumulativeAfter(entries: readonly LedgerEntry[], entry: LedgerEntry): LedgerEntry["cumulative"] {
  const own = costsOf([entry])[0];
  if (own === undefined) return null;
  const { epsilon, delta } = compose(costsOf([...entries, entry]).filter((cost) => sameBudget(cost, own)));
  return { epsilon: epsilon.upper, delta };
}

/** The budget that an entry says it replaces. */
const previousBudget = (entries: readonly LedgerEntry[], cohortFingerprint: string): BudgetEntry["previous"] => {
  const { unit, epsilon, delta } = budgetOf(entries, cohortFingerprint) ?? {};
  return unit === undefined ? null : { unit, epsilon: epsilon!, delta: delta! };
};

/**
 * Makes the entry that comes next in a ledger: numbered, tied to the one before by its hash, with its access, a sentence
 * and, where it costs something, what it costs by itself and together with all before it. Nothing is written.
 * Throws LG-PRIVACY-002 for more steps than the plan allows, or for what would pass the cohort's budget, and
 * LG-PRIVACY-008 when a run's plan or steps do not continue its earlier entries.
 */
export async function appendEntry(entries: readonly LedgerEntry[], body: LedgerBody): Promise<LedgerEntry> {
  const entry = await sealed(entries, body);
  const passed = passedBudget(entries, [entry]);
  if (passed !== null) throw passed;
  return entry;
}

/**
 * Makes the entries that come next, all or none, and returns the ledger with them: what one access reserves is held
 * against the budget as a whole, so that a refusal says what all of it would have cost. Throws as {@link appendEntry}.
 */
export async function appendEntries(
  entries: readonly LedgerEntry[],
  bodies: readonly LedgerBody[],
): Promise<LedgerEntry[]> {
  const all = [...entries];
  for (const body of bodies) all.push(await sealed(all, body));
  const passed = passedBudget(entries, all.slice(entries.length));
  if (passed !== null) throw passed;
  return all;
}

async function sealed(entries: readonly LedgerEntry[], body: LedgerBody): Promise<LedgerEntry> {
  const epsilon = body.kind === "training" ? spent(body.plan, body.stepsDone) : null;
  const told = body.kind === "budget" ? { ...body, previous: previousBudget(entries, body.cohortFingerprint) } : body;
  const unsealed = {
    ...told,
    ...(epsilon === null ? {} : { epsilon }),
    index: entries.length,
    previousHash: entries.at(-1)?.hash ?? GENESIS,
    access: accessOf[body.kind],
    sentence: sentenceOf(told, epsilon?.upper ?? null),
    cumulative: null,
    hash: "",
  } as LedgerEntry;
  const broken = unsealed.kind === "training" ? brokenRun(entries, unsealed) : null;
  if (broken !== null)
    throw new LeadglassError("LG-PRIVACY-008", `ledger, entry ${entries.length}: ${broken}; expected it to continue`, {
      hint: "start a run of another name for another training",
    });
  const entry = { ...unsealed, cumulative: cumulativeAfter(entries, unsealed) };
  return { ...entry, hash: await hashOf(entry) };
}

export interface LedgerProblem {
  readonly index: number;
  readonly message: string;
}

/**
 * Checks a ledger: numbering, the chain of hashes, that every cost is what its plan costs, that runs continue
 * themselves, and that nothing passed the budget that ruled at its time. An edit, deletion, insertion or exchange of entries shows. Two things a chain alone cannot show: entries
 * cut off the end, and a ledger whose every later hash was computed anew; pass an `anchor`, the index and hash of an
 * entry remembered elsewhere (by the checkpoint, or on paper), to see those too.
 */
export async function verifyLedger(
  entries: readonly LedgerEntry[],
  anchor?: { readonly index: number; readonly hash: string },
): Promise<{ valid: boolean; problems: LedgerProblem[] }> {
  const problems: LedgerProblem[] = [];
  for (const [i, entry] of entries.entries()) {
    const report = (message: string): void => void problems.push({ index: i, message });
    if (entry.index !== i) report(`it is numbered ${entry.index}; expected ${i}`);
    if (entry.previousHash !== (entries[i - 1]?.hash ?? GENESIS)) report("it does not follow the entry before it");
    if (entry.hash !== (await hashOf(entry))) report("its content was changed after it was written");
    if (entry.access !== accessOf[entry.kind])
      report(`it calls itself ${entry.access}; expected ${accessOf[entry.kind]}`);
    for (const message of costProblems(entries.slice(0, i), entry)) report(message);
  }
  if (anchor !== undefined && entries[anchor.index]?.hash !== anchor.hash)
    problems.push({ index: anchor.index, message: "the entry that a checkpoint remembers is gone or was replaced" });
  return { valid: problems.length === 0, problems };
}

/** Recomputed costs may differ by this much, relatively, after a change of version. */
const AGREEMENT = 1e-6;
const agree = (a: number, b: number): boolean => Math.abs(a - b) <= AGREEMENT * Math.max(a, b);

function costProblems(before: readonly LedgerEntry[], entry: LedgerEntry): string[] {
  const problems: string[] = [];
  try {
    if (entry.kind === "training") {
      const cost = spent(parsePlan(entry.plan), entry.stepsDone).upper;
      if (!agree(cost, entry.epsilon.upper))
        problems.push(`it states epsilon ${entry.epsilon.upper}; its plan costs ${cost}`);
      const broken = brokenRun(before, entry);
      if (broken !== null) problems.push(broken);
    }
    if (
      entry.kind === "budget" &&
      canonicalJson(entry.previous) !== canonicalJson(previousBudget(before, entry.cohortFingerprint))
    )
      problems.push("the budget it says it replaces is not the one that ruled");
    const passed = passedBudget(before, [entry], { certainly: true });
    if (passed !== null) problems.push(passed.message);
    if (!isPlausible(before, entry)) problems.push("its cumulative epsilon is not what the entries so far cost");
  } catch (error) {
    if (!isLeadglassError(error)) throw error;
    problems.push(error.message);
  }
  return problems;
}

/**
 * Whether the cumulative epsilon that an entry states can be right. Where a closed form holds it must be what that gives;
 * elsewhere, where a tight value takes long, it must not lie below a quickly computed bound. Nothing relies on what is stated: summaries and budgets are computed from the events.
 */
function isPlausible(before: readonly LedgerEntry[], entry: LedgerEntry): boolean {
  const stated = entry.cumulative;
  const own = costsOf([entry])[0];
  if (own === undefined || stated === null) return (own === undefined) === (stated === null);
  const costs = costsOf([...before, entry]).filter((cost) => sameBudget(cost, own));
  const { epsilon, delta } = compose(costs, undefined, { roughly: true });
  const { upper, lower } = epsilon;
  if (delta !== stated.delta) return false;
  return lower === upper ? agree(stated.epsilon, upper) : stated.epsilon >= (lower ?? upper) * (1 - AGREEMENT);
}

export interface LedgerRow {
  readonly index: number;
  readonly kind: LedgerKind;
  readonly access: Access;
  readonly cohortFingerprint: string | null;
  readonly sentence: string;
  /** When, where the entry says so. */
  readonly at: string | null;
  readonly run: string | null;
  /** The splits it touched; null for all. */
  readonly splits: readonly string[] | null;
  /** What this access costs by itself at its own delta; null where it costs nothing or nobody knows. */
  readonly epsilon: number | null;
  readonly delta: number | null;
  /** What everything accounted on its cohort and unit came to with it. */
  readonly cumulative: LedgerEntry["cumulative"];
}

/** What was spent on one cohort for one kind of unit. */
export interface LedgerBudget {
  readonly cohortFingerprint: string;
  readonly unit: Unit;
  readonly relation: Relation;
  readonly delta: number;
  /** Of the split that lost most, which is what a patient can have lost. */
  readonly epsilon: EpsilonInterval;
  readonly splits: readonly { readonly split: string | null; readonly epsilon: EpsilonInterval }[];
  /** The budget that rules, and what of it the worst-off split has spent at the budget's own delta; null for none. */
  readonly budget: {
    readonly epsilon: number;
    readonly delta: number;
    readonly spent: number;
    /** The largest epsilon, at the budget's delta, that one more access may have; null for none. */
    readonly fits: number | null;
  } | null;
  readonly trainings: number;
  /** Noisy counts, histograms and choices. */
  readonly noisyCounts: number;
  /** What the reader of this epsilon must know beside it; empty when nothing limits it. */
  readonly warnings: readonly string[];
}

/**
 * What a data-protection officer needs of a ledger: a row for every access, and for every cohort and unit the epsilon of
 * everything accounted together, at `delta` or else at the smallest delta in use, with the budget that rules and with
 * warnings that limit it.
 * Throws LG-PRIVACY-001 when delta is impossible.
 */
export function summariseLedger(
  entries: readonly LedgerEntry[],
  { delta }: { delta?: number } = {},
): { rows: LedgerRow[]; budgets: LedgerBudget[] } {
  const rows = entries.map((entry): LedgerRow => {
    const { index, kind, access, sentence, cohortFingerprint = null, at = null, run = null, splits = null } = entry;
    const cost = costsOf([entry]).map((own) => compose([own]))[0];
    const { cumulative } = entry;
    return {
      ...{ index, kind, access, cohortFingerprint, sentence, at, run, splits },
      epsilon: cost?.epsilon.upper ?? null,
      delta: cost?.delta ?? null,
      cumulative,
    };
  });
  const costs = costsOf(entries);
  const ruling = [...new Set(entries.map((entry) => entry.cohortFingerprint ?? ""))].flatMap((cohort) => {
    const budget = budgetOf(entries, cohort);
    return budget === undefined ? [] : [budget];
  });
  const groups = [...costs, ...ruling];
  const budgets = groups
    .filter((group, i) => groups.findIndex((other) => sameBudget(other, group)) === i)
    .map((group): LedgerBudget => {
      const { cohortFingerprint, unit } = group;
      const own = costs.filter((cost) => sameBudget(cost, group));
      const here = entries.filter((entry) => entry.cohortFingerprint === cohortFingerprint);
      const trainings = [...lastOfEachRun(here)].filter(
        (entry) => entry.kind === "training" && entry.plan.unit === unit,
      );
      const budget = ruling.find((entry) => sameBudget(entry, group));
      const composed = own.length > 0 ? compose(own, delta) : nothing(delta ?? group.delta);
      return {
        cohortFingerprint,
        unit,
        ...composed,
        budget:
          budget === undefined
            ? null
            : {
                epsilon: budget.epsilon,
                delta: budget.delta,
                spent: own.length > 0 ? compose(own, budget.delta).epsilon.upper : 0,
                fits: epsilonThatFits(own, budget),
              },
        trainings: trainings.length,
        noisyCounts: own.length - trainings.length,
        warnings: warningsOf(here, unit),
      };
    });
  return { rows, budgets };
}

const nothing = (delta: number) => ({
  epsilon: { upper: 0, lower: 0 },
  delta,
  relation: "add-or-remove-one" as const,
  splits: [],
});

/** What limits the epsilon of a cohort's entries for one unit. */
function warningsOf(here: readonly LedgerEntry[], unit: Unit): string[] {
  const notAccounted = here.filter((entry) => entry.access === "not accounted");
  const where = [...new Set(notAccounted.flatMap((entry) => entry.splits ?? ["all"]))].join(", ");
  const ownerOnly = here.filter((entry) => entry.access === "owner only").length;
  const seeded = here.some((entry) => entry.kind === "training" && entry.plan.unit === unit && entry.plan.insecureSeed);
  const otherUnit = costsOf(here).some((cost) => cost.unit !== unit);
  return [
    ...(notAccounted.length > 0
      ? [`${notAccounted.length} NOT ACCOUNTED access(es) to this cohort (splits: ${where}) are outside this epsilon`]
      : []),
    ...(ownerOnly > 0
      ? [`${ownerOnly} result(s) for the owner alone are outside it too, should they be passed on`]
      : []),
    ...(seeded ? ["noise came from a seed: this epsilon protects nobody"] : []),
    ...(otherUnit ? ["other accesses were accounted for another unit and are not in this epsilon"] : []),
  ];
}
