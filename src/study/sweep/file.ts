/** A study file of the kind that is a sweep: one cohort, one training, several epsilons and seeds. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isNode, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { LeadglassError } from "../../errors.ts";

const positive = z.number().positive();
/** YAML's `.inf`, or the word that the papers use. */
const epsilon = z.union([positive, z.literal("inf"), z.literal(Infinity)]);

const sweepSchema = z.strictObject({
  /** The cohort's folder, relative to the study file. */
  cohort: z.string().min(1),
  targets: z.array(z.string().min(1)).min(1),
  /** Budgets in any order; `inf` is training without privacy, which the others are compared with. */
  epsilon: z.array(epsilon).min(1),
  delta: positive.max(0.5).optional(),
  unit: z.enum(["patient", "image"]).optional(),
  /** Each trains every arm once more. */
  seeds: z.array(z.int()).min(1).default([1]),
  split: z.string().min(1).default("test"),
  /** As `evaluate --group` takes them: sex, age:18,40,60,75, sex+age. */
  groups: z.array(z.string().min(1)).default([]),
  /** Whether targets are audited for shortcuts first, so that the verdict stands beside every AUROC; true by default. */
  shortcuts: z.boolean().default(true),
  /** Where the disease is expected, as shares of the image: x, y, width, height. */
  region: z.tuple([z.number(), z.number(), z.number(), z.number()]).optional(),
  /** What `train` takes beside: model, batch, epochs and so on. */
  train: z
    .strictObject({
      model: z.string().optional(),
      batch: z.int().positive().optional(),
      epochs: z.int().positive().optional(),
      learningRate: positive.optional(),
      optimizer: z.string().optional(),
      imageSize: z.int().positive().optional(),
      views: z.int().positive().optional(),
      clipNorm: positive.optional(),
      averaging: z.number().min(0).lt(1).optional(),
      positiveWeights: z.boolean().optional(),
      profile: z.literal("reference").optional(),
    })
    .default({}),
  /** Difference in AUROC within which two models count as equally good. */
  margin: positive.max(0.5).default(0.05),
});

export type SweepFile = Omit<z.infer<typeof sweepSchema>, "epsilon"> & {
  /** Infinity for training without privacy; first, then falling. */
  readonly epsilon: readonly number[];
};

/**
 * Reads a study file. Throws LG-USAGE-004 for what is not YAML, an unknown key or a value out of range, with its line.
 */
export async function readSweepFile(path: string): Promise<SweepFile> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LeadglassError("LG-USAGE-004", `${path}: cannot be read`, {
      hint: "Give the path of a study file (YAML).",
      cause,
    });
  });
  const parsed = parseSweepFile(text, path);
  return { ...parsed, cohort: resolve(dirname(path), parsed.cohort) };
}

/** As {@link readSweepFile}, of a text; the cohort's path stays as it is written. */
export function parseSweepFile(text: string, place: string): SweepFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fault = document.errors[0];
  if (fault !== undefined)
    throw new LeadglassError(
      "LG-USAGE-004",
      `${place}, line ${fault.linePos?.[0].line ?? "?"}: not YAML (${fault.code})`,
      {
        hint: "Correct that line.",
      },
    );
  const parsed = sweepSchema.safeParse(document.toJS() ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const extra = issue.code === "unrecognized_keys" ? issue.keys[0] : undefined;
    const at = [...issue.path, ...(extra === undefined ? [] : [extra])] as (string | number)[];
    throw new LeadglassError(
      "LG-USAGE-004",
      `${place}, line ${lineOf(document, at, lines)}: ${at.join(".") || "the file"}: ${issue.message}`,
      { hint: `Known keys: ${Object.keys(sweepSchema.shape).join(", ")}.` },
    );
  }
  const epsilons = parsed.data.epsilon.map((e) => (e === "inf" ? Infinity : e));
  return {
    ...parsed.data,
    epsilon: [...new Set(epsilons)].sort((a, b) => b - a),
    seeds: [...new Set(parsed.data.seeds)],
  };
}

/** The line of a key's value, or of the nearest thing around it that is there. */
function lineOf(
  document: ReturnType<typeof parseDocument>,
  path: readonly (string | number)[],
  lines: LineCounter,
): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}
