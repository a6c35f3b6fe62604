/** What a study file may hold. The JSON Schema in `studies/` is made from this. */
import { z } from "zod";
import { attackNames } from "../../encoding/attacks/table.ts";
import { schemeNames } from "../../encoding/index.ts";
import { phantomKinds } from "../../cohort/index.ts";
import { membershipAttacks } from "../membership.ts";

const positive = z.number().positive();
const whole = z.int().positive();
const name = z.string().min(1).max(60);
const names = z.array(z.string().min(1)).min(1);
/** YAML's `.inf`, or the word that the papers use. */
const epsilon = z.union([positive.finite(), z.literal("inf"), z.literal(Infinity)], {
  error: "a number above 0, or inf, was expected",
});

const targets = names.describe("binary columns, or COLUMN=VALUE, to learn");
const groups = z.array(z.string().min(1)).describe("as evaluate --group: sex, age:18,40,60,75, sex+age");
const hospitals = z
  .union([z.strictObject({ column: z.string().min(1) }), z.strictObject({ count: whole.min(1).max(20) })], {
    error: "column: NAME, or count: NUMBER, was expected",
  })
  .describe("who publishes encodings: by a column, or patients dealt at random");
/** What hangs on a cohort's columns may stand with it, so that a study is moved to another cohort by one line. */
const columns = { targets: targets.optional(), groups: groups.optional(), hospitals: hospitals.optional() };

const cohort = z.union(
  [
    z.strictObject({ folder: z.string().min(1).describe("a cohort's folder, relative to the study file"), ...columns }),
    z.strictObject({
      ...columns,
      phantom: z.enum(phantomKinds as [string, ...string[]]).describe("a cohort of patients who never lived"),
      patients: whole.min(60).default(300),
      seed: z.int().nonnegative().default(1),
      imageSize: whole.optional(),
      difficulty: z.number().min(0).max(1).optional(),
    }),
  ],
  { error: "folder: PATH, or phantom: KIND with patients and seed, was expected" },
);

/** What `train` takes beside its budget. */
const train = z
  .strictObject({
    model: z.string(),
    batch: whole,
    epochs: whole,
    learningRate: positive,
    optimizer: z.enum(["sgd", "adam", "adamw", "nadam"]),
    imageSize: whole,
    views: whole,
    clipNorm: positive,
    averaging: z.number().min(0).lt(1),
    positiveWeights: z.boolean(),
    freeze: z.string(),
    profile: z.literal("reference"),
  })
  .partial();

const budget = {
  epsilon: z.union([epsilon, z.array(epsilon).min(1)]).describe("one arm for each; inf is training without privacy"),
  delta: positive.max(0.5).optional(),
  unit: z.enum(["patient", "image"]).optional(),
};

const common = {
  name: name.optional().describe("unless given, what the arm is"),
  cohort: z.string().optional().describe("one of cohorts; the first unless given"),
  seeds: z.array(z.int().nonnegative()).min(1).optional().describe("in place of the study's"),
};
const audits = z
  .array(z.enum(Object.keys(membershipAttacks) as [keyof typeof membershipAttacks]))
  .default([])
  .describe("membership attacks on each model");
const startFrom = z.string().optional().describe("an arm whose weights this one starts from, seed by seed");

const open = z.strictObject({ kind: z.literal("open"), ...common, train: train.default({}), startFrom, audits });
const privately = z.strictObject({ kind: z.literal("private"), ...common, ...budget, train: train.default({}), startFrom, audits }); // prettier-ignore
const encodings = z.strictObject({
  kind: z.literal("encodings"),
  ...common,
  scheme: z.enum(schemeNames as [string, ...string[]]).default("neuracrypt"),
  depth: z.int().min(0).max(20).optional(),
  width: whole.optional(),
  keys: z.enum(["one", "each"]).default("each").describe("one key for all hospitals, or each its own"),
  imageSize: whole.default(256),
  train: z.strictObject({ model: z.string(), coordinates: whole, epochs: positive, batch: whole, learningRate: positive }).partial().default({}), // prettier-ignore
  attacks: z
    .array(z.enum(attackNames as [string, ...string[]]))
    .default([])
    .describe("made on a release of the same scheme under a fresh key"),
  attacked: z
    .strictObject({
      images: whole.min(16).default(128),
      known: z.int().nonnegative().default(32),
      seed: z.int().nonnegative().default(0),
    })
    .prefault({}),
});
const synthetic = z.strictObject({
  kind: z.literal("synthetic"),
  ...common,
  generator: z
    .strictObject({
      folder: z.string().optional().describe("synthetic images that are there already, as a cohort's folder"),
      model: z.enum(["compact", "spectral", "mcgan", "mcgan-instance"]).optional(),
      epsilon: epsilon.optional(),
      delta: positive.max(0.5).optional(),
      epochs: whole.optional(),
      imageSize: whole.optional(),
      perClass: whole.default(500),
      seed: z.int().nonnegative().default(1),
    })
    .prefault({}),
  use: z
    .enum(["only", "pretrain", "pool", "beside"])
    .default("only")
    .describe(
      "train on synthetic images alone; then go on with real ones; on both in one pool; or on real ones, with the exact gradient of synthetic ones beside",
    ),
  ...{ epsilon: epsilon.optional().describe("of the training on real images"), delta: budget.delta, unit: budget.unit },
  train: train.default({}),
  judge: z.boolean().default(true).describe("fidelity, diversity and memorisation of the images"),
  audits,
});

export const armSchema = z.discriminatedUnion("kind", [open, privately, encodings, synthetic]);

export const studySchema = z.strictObject({
  name: name.default("study"),
  question: z.string().min(1).optional().describe("what the reader wants to know; stands on top of the report"),
  cohorts: z.record(name, cohort).optional(),
  cohort: z.string().min(1).optional().describe("short for one cohort: its folder, relative to the study file"),
  ...columns,
  seeds: z.array(z.int().nonnegative()).min(1).default([1]),
  split: z.string().min(1).default("test"),
  margin: positive.max(0.5).default(0.05).describe("difference in AUROC within which two models are equally good"),
  shortcuts: z.boolean().default(true).describe("audit targets for shortcuts first"),
  region: z
    .tuple([z.number(), z.number(), z.number(), z.number()])
    .optional()
    .describe("where the disease is expected, as shares of the image: x, y, width, height"),
  arms: z.array(armSchema).min(1).optional(),
  ...{ epsilon: budget.epsilon.optional().describe("short for arms: one training for each"), delta: budget.delta, unit: budget.unit }, // prettier-ignore
  train: train.default({}).describe("of the short form"),
  presets: z
    .record(name, z.record(z.string(), z.unknown()))
    .optional()
    .describe("by name: top-level settings in place of those above, chosen with study run --preset"),
  decision: z
    .strictObject({
      epsilon: positive,
      auroc: positive.max(1),
      target: z.string(),
      worstGroup: positive.max(1),
      attackGain: z.number().min(0).max(1),
      patients: whole,
    })
    .partial()
    .optional()
    .describe("what the user needs: the report says which arms qualify"),
});

type Written = z.infer<typeof studySchema>;
type OfColumns = "targets" | "groups" | "hospitals";
/** Where a cohort comes from. */
export type CohortSource = Without<z.infer<typeof cohort>, OfColumns>;
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type WrittenArm = z.infer<typeof armSchema>;
type Named<T> = T extends unknown ? Omit<T, "name" | "cohort" | "seeds" | "epsilon"> : never;

/** An arm as it is run: one budget, everything named. `epsilon` is null without privacy. */
export type StudyArm = Named<WrittenArm> & {
  readonly name: string;
  readonly cohort: string;
  readonly seeds: readonly number[];
  readonly epsilon: number | null;
};
export type ArmOf<K extends StudyArm["kind"]> = Extract<StudyArm, { kind: K }>;

export interface Study extends Pick<
  Written,
  "name" | "question" | "split" | "margin" | "shortcuts" | "region" | "decision"
> {
  readonly targets: readonly string[];
  readonly groups: readonly string[];
  readonly hospitals: z.infer<typeof hospitals>;
  readonly cohorts: Readonly<Record<string, CohortSource>>;
  readonly seeds: readonly number[];
  readonly arms: readonly StudyArm[];
}
