import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import { planSchema } from "./plan.ts";

/** How an access to private data is covered: by an accountant, by being public anyway, or not at all. */
export type Access = "accounted" | "public" | "not accounted";

const fingerprint = z.string().min(1);
const epsilonSchema = z.strictObject({ upper: z.number().nonnegative(), lower: z.number().nonnegative().nullable() });

/** What any entry may carry besides its kind's own fields. */
const common = {
  /** Version of the code that did it. */
  codeVersion: z.string().optional(),
  /** When, as the caller states it; never read from a clock here, so that a resumed run writes the same ledger. */
  at: z.string().optional(),
  /** Public particulars worth keeping, such as how many gradients were not finite. */
  details: z.record(z.string(), z.json()).optional(),
};

const bodySchemas = {
  /** The cohort was read. By itself this publishes nothing. */
  "cohort-opened": z.strictObject({ kind: z.literal("cohort-opened"), cohortFingerprint: fingerprint, ...common }),
  /** Private training under a plan, `stepsDone` steps so far; later entries of the same run replace earlier ones. */
  training: z.strictObject({
    kind: z.literal("training"),
    cohortFingerprint: fingerprint,
    run: z.string().min(1),
    plan: planSchema,
    stepsDone: z.int().nonnegative(),
    /** What this run has cost so far at the plan's delta. */
    epsilon: epsilonSchema,
    ...common,
  }),
  /** Private data was used in a way that no accountant covers; `what` says how. */
  "not-accounted": z.strictObject({
    kind: z.literal("not-accounted"),
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
  /** A count released with Gaussian noise of `noiseMultiplier` times the most one unit can change it. */
  "noisy-count": z.strictObject({
    kind: z.literal("noisy-count"),
    cohortFingerprint: fingerprint,
    what: z.string().min(1),
    unit: z.enum(["patient", "image"]),
    relation: z.enum(["add-or-remove-one", "replace-one"]),
    noiseMultiplier: z.number().positive(),
    delta: z.number().positive(),
    ...common,
  }),
} as const;

/** What every entry gains when it is appended. */
const seal = {
  index: z.int().nonnegative(),
  previousHash: z.string().regex(/^[0-9a-f]{64}$/),
  access: z.enum(["accounted", "public", "not accounted"]),
  /** What happened, for a reader who is not a programmer. */
  sentence: z.string().min(1),
  /** What everything accounted so far on the same cohort and unit costs together; null for other entries. */
  cumulative: z.strictObject({ epsilon: z.number().nonnegative(), delta: z.number().positive() }).nullable(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
};

const entrySchema = z.discriminatedUnion("kind", [
  bodySchemas["cohort-opened"].extend(seal),
  bodySchemas.training.extend(seal),
  bodySchemas["not-accounted"].extend(seal),
  bodySchemas.public.extend(seal),
  bodySchemas["noisy-count"].extend(seal),
]);

export type LedgerKind = keyof typeof bodySchemas;
export type LedgerEntry = Readonly<z.infer<typeof entrySchema>>;
export type TrainingEntry = Extract<LedgerEntry, { kind: "training" }>;

/** What a caller says about an access; for a training the cost is computed, not said. */
export type LedgerBody =
  | Omit<z.infer<(typeof bodySchemas)["training"]>, "epsilon">
  | z.infer<(typeof bodySchemas)[Exclude<LedgerKind, "training">]>;

/** Which kinds are covered how. A kind has one answer, so an entry cannot call itself accounted when it is not. */
export const accessOf: Readonly<Record<LedgerKind, Access>> = {
  "cohort-opened": "accounted",
  training: "accounted",
  "noisy-count": "accounted",
  public: "public",
  "not-accounted": "not accounted",
};

/** What happened, in one sentence for a data-protection officer. */
export function sentenceOf(body: LedgerBody, epsilon: number | null): string {
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
      return `A count was published with noise ${body.noiseMultiplier} times what one ${body.unit} can change: ${body.what}.`;
    case "public":
      return `Public, so without cost: ${body.what}.`;
    case "not-accounted":
      return `NOT ACCOUNTED, outside every epsilon stated: ${body.what}.`;
  }
}

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
