import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import { planSchema } from "./plan.ts";

/**
 * How an access to private data is covered: by an accountant, by being public anyway, by staying with the data's owner
 * (so that it is no release, and must not become one), or not at all.
 */
export type Access = "accounted" | "public" | "owner only" | "not accounted";

const accesses = ["accounted", "public", "owner only", "not accounted"] as const satisfies readonly Access[];
const fingerprint = z.string().min(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const unit = z.enum(["patient", "image"]);
const relation = z.enum(["add-or-remove-one", "replace-one"]);
const positive = z.number().positive();
const epsilonSchema = z.strictObject({ upper: z.number().nonnegative(), lower: z.number().nonnegative().nullable() });
const targetSchema = z.strictObject({ epsilon: positive, delta: positive });

/** What any entry may carry besides its kind's own fields. */
const common = {
  /** Version of the code that did it. */
  codeVersion: z.string().optional(),
  /** When, as the caller states it; never read from a clock here, so that a resumed run writes the same ledger. */
  at: z.string().optional(),
  /** Public particulars worth keeping. */
  details: z.record(z.string(), z.json()).optional(),
  /** The run it belongs to. */
  run: z.string().min(1).optional(),
  /**
   * The splits whose patients it touched; every split where it is left out. Splits have no patient in common, so what
   * one split's patients lose does not depend on what was done with another's (McSherry, Privacy Integrated Queries,
   * 2009, theorem 4: parallel composition).
   */
  splits: z.array(z.string().min(1)).min(1).optional(),
  /** The hash of the entry in another ledger that this one repeats. */
  origin: sha256.optional(),
};

/** Numbers released with Gaussian noise of `noiseMultiplier` times the most that one unit added or removed changes them. */
const noisy = { what: z.string().min(1), unit, relation, noiseMultiplier: positive, delta: positive, ...common };

const bodySchemas = {
  /** The cohort was read. By itself this publishes nothing. */
  "cohort-opened": z.strictObject({
    kind: z.literal("cohort-opened"),
    cohortFingerprint: fingerprint,
    /** SHA-256 of what the run says of itself at its start: plan, settings, choices. */
    record: sha256.optional(),
    ...common,
  }),
  /** Private training under a plan, `stepsDone` steps so far; later entries of the same run replace earlier ones. */
  training: z.strictObject({
    ...common,
    kind: z.literal("training"),
    cohortFingerprint: fingerprint,
    run: z.string().min(1),
    plan: planSchema,
    stepsDone: z.int().nonnegative(),
    /** What this run has cost so far at the plan's delta. */
    epsilon: epsilonSchema,
  }),
  /** Private data was used in a way that no accountant covers; `what` says how. */
  "not-accounted": z.strictObject({
    kind: z.literal("not-accounted"),
    cohortFingerprint: fingerprint,
    what: z.string().min(1),
    ...common,
  }),
  /** Computed from private data without noise, and shown to the data's owner alone. */
  "owner-only": z.strictObject({
    kind: z.literal("owner-only"),
    cohortFingerprint: fingerprint,
    what: z.string().min(1),
    ...common,
  }),
  /** Something used that is public anyway: a constant, a pre-trained model, a public cohort. */
  public: z.strictObject({
    kind: z.literal("public"),
    cohortFingerprint: fingerprint.optional(),
    what: z.string().min(1),
    ...common,
  }),
  /** A count released with Gaussian noise. */
  "noisy-count": z.strictObject({ kind: z.literal("noisy-count"), cohortFingerprint: fingerprint, ...noisy }),
  /** A histogram of `cells` cells released with Gaussian noise; a unit's weights are not negative and add up to at most 1. */
  "noisy-histogram": z.strictObject({
    kind: z.literal("noisy-histogram"),
    cohortFingerprint: fingerprint,
    cells: z.int().positive(),
    ...noisy,
  }),
  /** A choice among `candidates` by a mechanism that is `pureEpsilon`-private; only which one was chosen is published. */
  "private-choice": z.strictObject({
    kind: z.literal("private-choice"),
    cohortFingerprint: fingerprint,
    what: z.string().min(1),
    ...{ unit, relation, candidates: z.int().positive(), pureEpsilon: positive, delta: positive },
    ...common,
  }),
  /** A model was measured on a split's patients: figures that carry no noise. */
  evaluation: z.strictObject({
    kind: z.literal("evaluation"),
    cohortFingerprint: fingerprint,
    what: z.string().min(1),
    ...common,
  }),
  /** The most that everything accounted on the cohort may cost from here on; the last one rules. */
  budget: z.strictObject({
    kind: z.literal("budget"),
    cohortFingerprint: fingerprint,
    unit,
    ...targetSchema.shape,
    /** The budget that ruled before; null for the first. */
    previous: z.strictObject({ unit, ...targetSchema.shape }).nullable(),
    ...common,
  }),
  /** A run took over the weights of another, which entries of this ledger describe. */
  "started-from": z.strictObject({
    ...common,
    kind: z.literal("started-from"),
    cohortFingerprint: fingerprint,
    run: z.string().min(1),
    from: z.string().min(1),
  }),
  /** A run came to its end; `weights` and `result` are the SHA-256 of its parameters and of its results. */
  finished: z.strictObject({
    ...common,
    kind: z.literal("finished"),
    cohortFingerprint: fingerprint,
    run: z.string().min(1),
    weights: sha256,
    result: sha256,
  }),
} as const;

/** What every entry gains when it is appended. */
const seal = {
  index: z.int().nonnegative(),
  previousHash: sha256,
  access: z.enum(accesses),
  /** What happened, for a reader who is not a programmer. */
  sentence: z.string().min(1),
  /** What everything accounted so far on the same cohort and unit costs the worst-off split; null for other entries. */
  cumulative: z.strictObject({ epsilon: z.number().nonnegative(), delta: positive }).nullable(),
  hash: sha256,
};

const entrySchema = z.discriminatedUnion("kind", [
  bodySchemas["cohort-opened"].extend(seal),
  bodySchemas.training.extend(seal),
  bodySchemas["not-accounted"].extend(seal),
  bodySchemas.public.extend(seal),
  bodySchemas["noisy-count"].extend(seal),
  bodySchemas["noisy-histogram"].extend(seal),
  bodySchemas["private-choice"].extend(seal),
  bodySchemas["owner-only"].extend(seal),
  bodySchemas.evaluation.extend(seal),
  bodySchemas.budget.extend(seal),
  bodySchemas["started-from"].extend(seal),
  bodySchemas.finished.extend(seal),
]);

export type LedgerKind = keyof typeof bodySchemas;
export type LedgerEntry = Readonly<z.infer<typeof entrySchema>>;
export type TrainingEntry = Extract<LedgerEntry, { kind: "training" }>;
export type BudgetEntry = Extract<LedgerEntry, { kind: "budget" }>;

/** What a caller says about an access; what a training costs and which budget ruled before is computed, not said. */
export type LedgerBody =
  | Omit<z.infer<(typeof bodySchemas)["training"]>, "epsilon">
  | Omit<z.infer<(typeof bodySchemas)["budget"]>, "previous">
  | z.infer<(typeof bodySchemas)[Exclude<LedgerKind, "training" | "budget">]>;

/** Which kinds are covered how. A kind has one answer, so an entry cannot call itself accounted when it is not. */
export const accessOf: Readonly<Record<LedgerKind, Access>> = {
  "cohort-opened": "accounted",
  training: "accounted",
  "noisy-count": "accounted",
  "noisy-histogram": "accounted",
  "private-choice": "accounted",
  "started-from": "accounted",
  finished: "accounted",
  budget: "public",
  public: "public",
  "owner-only": "owner only",
  evaluation: "not accounted",
  "not-accounted": "not accounted",
};

type Told = Exclude<LedgerBody, { kind: "budget" }> | Omit<BudgetEntry, keyof typeof seal>;

/** What happened, in one sentence for a data-protection officer. */
export function sentenceOf(body: Told, epsilon: number | null): string {
  switch (body.kind) {
    case "cohort-opened":
      return "The cohort was opened; nothing was published by that.";
    case "training": {
      const { plan, stepsDone } = body;
      const cost = `${stepsDone} of ${plan.steps} steps of private training cost epsilon ${(epsilon ?? 0).toPrecision(4)} at delta ${plan.delta} for each ${plan.unit}`;
      return plan.insecureSeed
        ? `${cost}, were its noise secret; it came from a seed, so this run protects nobody.`
        : `${cost}.`;
    }
    case "noisy-count":
      return `A count was published with noise ${short(body.noiseMultiplier)} times what one ${body.unit} can change: ${body.what}.`;
    case "noisy-histogram":
      return `A histogram of ${body.cells} cells was published with noise ${short(body.noiseMultiplier)} times what one ${body.unit} can change: ${body.what}.`;
    case "private-choice":
      return `One of ${body.candidates} was chosen by a noisy maximum of epsilon ${short(body.pureEpsilon)} for each ${body.unit}: ${body.what}.`;
    case "public":
      return `Public, so without cost: ${body.what}.`;
    case "owner-only":
      return `For the owner of the data alone, without noise; no epsilon covers it once it is passed on: ${body.what}.`;
    case "evaluation":
      return `NOT ACCOUNTED for the patients it was measured on, outside every epsilon stated: ${body.what}.`;
    case "not-accounted":
      return `NOT ACCOUNTED, outside every epsilon stated: ${body.what}.`;
    case "started-from":
      return `The weights of the run "${body.from}" were taken over, and with them whatever they had cost.`;
    case "finished":
      return `The run was finished; what leaves with its epsilon is the model whose parameters have SHA-256 ${body.weights.slice(0, 16)}.`;
    case "budget": {
      const now = `epsilon ${body.epsilon} at delta ${body.delta} for each ${body.unit}`;
      const { previous } = body;
      if (previous === null) return `The budget of this cohort was set to ${now}; nothing may pass it.`;
      const before = `epsilon ${previous.epsilon} at delta ${previous.delta} for each ${previous.unit}`;
      const sameUnit = previous.unit === body.unit;
      const raised = !sameUnit || body.epsilon > previous.epsilon || body.delta > previous.delta;
      const lowered = !sameUnit || body.epsilon < previous.epsilon || body.delta < previous.delta;
      const how = raised === lowered ? (raised ? "CHANGED" : "confirmed") : raised ? "RAISED" : "lowered";
      return `The budget of this cohort was ${how} from ${before} to ${now}.`;
    }
  }
}

const short = (x: number): string => String(Number(x.toPrecision(4)));

/**
 * Reads a ledger from JSON Lines. Order and hashes are left to `verifyLedger`.
 * Throws LG-PRIVACY-006 with the line's number when a line is not an entry; `fields.torn` is true when that is an
 * unfinished last line, as a killed process leaves it.
 */
export function parseLedger(text: string): LedgerEntry[] {
  const lines = text.split("\n");
  const unfinished = lines.pop() !== "";
  if (unfinished) lines.push(text.slice(text.lastIndexOf("\n") + 1));
  return lines.map((line, i) => {
    const torn = unfinished && i === lines.length - 1;
    const refuse = (problem: string, cause?: unknown): LeadglassError =>
      new LeadglassError("LG-PRIVACY-006", `ledger, line ${i + 1}: ${problem}; expected one entry`, {
        hint: torn ? "the last line was not finished: delete it and resume" : "restore the ledger from a copy",
        fields: { line: i + 1, torn },
        cause,
      });
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw refuse(`not JSON (text of length ${line.length})`, cause);
    }
    const parsed = entrySchema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw refuse(`not readable at ${parsed.error.issues.map((issue) => issue.path.join(".") || "kind").join(", ")}`);
  });
}
