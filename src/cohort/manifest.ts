/** `cohort.yaml` beside the table: which columns are targets, patient, split and attributes, and how labels are read. */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import type { Framing } from "./framing.ts";

const scalar = z.union([z.string(), z.number(), z.boolean()]);

const targetSchema = z
  .strictObject({
    /** The column; by default the target's own name. */
    column: z.string().min(1).optional(),
    /** The value, or values, that count as 1; every other value that is not blank counts as 0. */
    positive: z.union([scalar, z.array(scalar).min(1)]).optional(),
    /** How texts are read, one by one. */
    values: z.record(z.string(), z.union([z.literal(0), z.literal(1), z.literal("missing")])).optional(),
    /** How -1 is read, which CheXpert and its heirs write where the report was uncertain. */
    uncertain: z.enum(["missing", "positive", "negative"]).optional(),
    /** A column that holds 1 where nothing was found (CheXpert's "No Finding"): what is missing counts as 0 there. */
    healthy: z.string().min(1).optional(),
  })
  .refine((target) => target.positive === undefined || target.values === undefined, {
    message: "give positive or values, not both",
  });

const manifestSchema = z.strictObject({
  targets: z.record(z.string().min(1), targetSchema.nullable()).optional(),
  patient: z.string().min(1).optional(),
  split: z.string().min(1).optional(),
  attributes: z.array(z.string().min(1)).optional(),
  /** What an image shows: a crop around one finding, or a whole view. Public: `train` chooses its model by it. */
  framing: z.enum(["finding", "field"]).optional(),
  /** The most that everything accounted on this cohort may cost, until the ledger says otherwise. */
  privacy: z
    .strictObject({
      epsilon: z.number().positive(),
      delta: z.number().positive().lt(1),
      unit: z.enum(["patient", "image"]).optional(),
    })
    .optional(),
  /** Written by synth sample: which generator drew these images, of whose patients, and what that has cost them. */
  synthetic: z
    .strictObject({
      run: z.string().min(1),
      model: z.string().min(1),
      /** Fingerprint of the cohort that the generator learned from. */
      cohort: z.string().min(1),
      privacy: z
        .strictObject({
          epsilon: z.number().positive(),
          delta: z.number().positive().lt(1),
          unit: z.enum(["patient", "image"]),
        })
        .nullable(),
      insecureSeed: z.boolean(),
    })
    .optional(),
});

export type TargetRule = z.infer<typeof targetSchema>;

/** Where the images of a synthetic cohort came from; `privacy` is null where their generator was trained without. */
export type SyntheticOrigin = NonNullable<z.infer<typeof manifestSchema>["synthetic"]>;

export interface Manifest {
  readonly targets: Readonly<Record<string, TargetRule>>;
  readonly patient?: string;
  readonly split?: string;
  readonly attributes?: readonly string[];
  readonly framing?: Framing;
  readonly privacy?: { readonly epsilon: number; readonly delta: number; readonly unit?: "patient" | "image" };
  readonly synthetic?: SyntheticOrigin;
}

/**
 * Reads `cohort.yaml` of a cohort folder; an absent file is an empty manifest.
 * Throws LG-COHORT-003 for text that is not YAML or does not fit, naming the key.
 */
export async function readManifest(dir: string): Promise<Manifest> {
  const text = await readFile(join(dir, "cohort.yaml"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? { targets: {} } : parseManifest(text, `${basename(dir)}/cohort.yaml`);
}

/** The manifest that a YAML text holds; `place` is how messages call it. Throws LG-COHORT-003. */
export function parseManifest(text: string, place: string): Manifest {
  const document = parseDocument(text);
  const fault = document.errors[0];
  if (fault !== undefined)
    throw new LeadglassError("LG-COHORT-003", `${place}, line ${fault.linePos?.[0].line ?? "?"}: ${fault.code}`, {
      hint: "Correct the YAML at that line.",
    });
  const parsed = manifestSchema.safeParse(document.toJS() ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const key = issue.path.length === 0 ? "the document" : issue.path.join(".");
    throw new LeadglassError("LG-COHORT-003", `${place}: ${key}: ${issue.message}`, {
      hint: "Known keys: targets (column, positive, values, uncertain), patient, split, attributes, framing (finding or field), privacy (epsilon, delta, unit), synthetic.",
    });
  }
  const targets = Object.fromEntries(
    Object.entries(parsed.data.targets ?? {}).map(([name, rule]) => [name, rule ?? {}]),
  );
  return { ...parsed.data, targets };
}
