/** A cohort as a value: which images, whose, in which split, with which labels. Pixels are opened by `openImages`, voxels by `openVolumes`. */
import type { SyntheticOrigin } from "./manifest.ts";
import { createHash } from "node:crypto";
import { LeadglassError } from "../errors.ts";
import { framingOf, type KnownFraming } from "./framing.ts";
import { inspectCohort } from "./inspect.ts";
import type { CohortRecord, Inspection, InspectOptions } from "./inspect.ts";
import { mediumOf } from "./medium.ts";
import type { Medium } from "./medium.ts";
import { problemError } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { columnOf } from "./table.ts";
import { binaryColumns, readTarget } from "./targets.ts";
import type { Target, TargetSpec } from "./targets.ts";

export interface PatientImages {
  readonly patientId: string;
  /** Indices into `records`. */
  readonly images: readonly number[];
}

export interface Cohort {
  readonly dir: string;
  /** How messages call the table. */
  readonly place: string;
  /** See {@link fingerprintOf}. */
  readonly fingerprint: string;
  /** What its files hold: images, read by `openImages`, or volumes, read by `openVolumes`. */
  readonly medium: Medium;
  /** One for each image or volume, in the order of the table. */
  readonly records: readonly CohortRecord[];
  readonly patients: number;
  /** Names of the splits that have images: train, val and test first. */
  readonly splits: readonly string[];
  readonly columns: readonly string[];
  /** Targets by name: those of cohort.yaml; without it, every column of 0, 1 and blank. */
  readonly targets: readonly string[];
  /** Columns to describe patients and images by: those of cohort.yaml, or all that are nothing else. */
  readonly attributes: readonly string[];
  /** How its images are framed, as far as the schema tells; null where it does not. */
  readonly framing: KnownFraming | null;
  /** The privacy budget that cohort.yaml begins with; the ledger's own rules once there is one. */
  readonly budget: { readonly epsilon: number; readonly delta: number; readonly unit: "patient" | "image" } | null;
  /** Which generator drew these images; null for images of patients. */
  readonly synthetic: SyntheticOrigin | null;
  /** What a person should know before believing a result on this cohort. */
  readonly warnings: readonly Problem[];
  /** A column's cells, null where blank; throws LG-COHORT-004 listing the columns there are. */
  column(name: string): (string | null)[];
  /** Labels of a target by name, as `COLUMN=VALUE`, or as a rule; throws LG-COHORT-004, -012, -013. */
  target(asked: string | TargetSpec): Target;
  /** The patients of a split with their images, in the table's order; throws LG-COHORT-011 for a split without images. */
  patientsOf(split: string): PatientImages[];
  /** The images of a split, in the table's order; throws LG-COHORT-011. */
  imagesOf(split: string): number[];
}

export type CohortOptions = InspectOptions;

/**
 * Opens a cohort folder: reads its table and cohort.yaml, and looks whether every image is there. No pixel is read.
 * Throws LG-COHORT-001 to -010 for the first thing that is wrong; `checkCohort` lists everything.
 */
export async function openCohort(dir: string, options: CohortOptions = {}): Promise<Cohort> {
  const inspection = await inspectCohort(dir, options);
  const errors = inspection.problems.filter((problem) => problem.severity === "error");
  if (errors[0] !== undefined) throw problemError(errors[0], errors.length - 1);
  return cohortOf(dir, inspection);
}

/** The cohort that an inspection without errors found. */
export function cohortOf(dir: string, inspection: Inspection): Cohort {
  const { table, manifest, records, patientColumn, splitColumn } = inspection;
  const targets = Object.keys(manifest.targets).length > 0 ? Object.keys(manifest.targets) : binaryColumns(table);
  const taken = new Set(["file_name", patientColumn, splitColumn, ...targets]);
  for (const rule of Object.values(manifest.targets)) if (rule.column !== undefined) taken.add(rule.column);
  const splits = orderedSplits(records);
  const imagesOf = (split: string) => {
    const images = records.flatMap((record, i) => (record.split === split ? [i] : []));
    if (images.length > 0) return images;
    throw new LeadglassError("LG-COHORT-011", `${table.place}: split "${split}" has no image`, {
      hint: `The splits are: ${splits.map((name) => `${name} (${countOf(records, name)})`).join(", ")}.`,
      fields: { split, splits },
    });
  };
  return {
    dir,
    place: table.place,
    fingerprint: fingerprintOf(inspection),
    medium: mediumOf(records[0]!.file),
    records,
    patients: new Set(records.map((record) => record.patientId)).size,
    splits,
    columns: table.columns,
    targets,
    attributes: manifest.attributes ?? table.columns.filter((name) => !taken.has(name)),
    framing: framingOf(manifest.framing, table.columns),
    budget: manifest.privacy ? { unit: "patient", ...manifest.privacy } : null,
    synthetic: manifest.synthetic ?? null,
    warnings: inspection.problems.filter((problem) => problem.severity === "warning"),
    column: (name) => columnOf(table, name).map((cell) => (cell === "" ? null : cell)),
    target: (asked) => readTarget(table, manifest, asked),
    imagesOf,
    patientsOf: (split) =>
      [...Map.groupBy(imagesOf(split), (i) => records[i]!.patientId)].map(([patientId, images]) => ({
        patientId,
        images,
      })),
  };
}

/**
 * Throws LG-COHORT-013 unless a target has both classes among the given images: nothing is learnt from one class.
 */
export function requireBothClasses(cohort: Cohort, target: Target, split: string): void {
  const images = cohort.imagesOf(split).filter((i) => target.present[i] === 1);
  const positives = images.filter((i) => target.labels[i] === 1).length;
  if (positives > 0 && positives < images.length) return;
  throw new LeadglassError(
    "LG-COHORT-013",
    `${cohort.place}: in split "${split}" target "${target.name}" has ${positives} positive and ${images.length - positives} negative labels; both classes were expected`,
    { hint: "Move patients of the other class into this split, or choose another target.", fields: { split } },
  );
}

const countOf = (records: readonly CohortRecord[], split: string) =>
  records.filter((record) => record.split === split).length;

/** The names of splits that occur: train, val and test first, others by name. */
export function orderedSplits(records: readonly CohortRecord[]): string[] {
  const usual = ["train", "val", "test"];
  const rank = (name: string) => (usual.includes(name) ? usual.indexOf(name) : usual.length);
  return [...new Set(records.map((record) => record.split))].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/**
 * SHA-256 over the cohort's targets rules and, row by row in the table's order, the file's name and size in bytes, the
 * patient, the split as used, and every cell. Any change of a label, patient, split, order or file size changes it;
 * pixels changed within a file of the same size do not: the `contentFingerprint` of `checkCohort` covers those.
 */
export function fingerprintOf({ table, manifest, records, sizes }: Inspection): string {
  const hash = createHash("sha256").update("leadglass cohort 1\n");
  const columns = table.columns.map((name) => table.cells.get(name)!);
  hash.update(`${JSON.stringify([table.columns, manifest.targets])}\n`);
  records.forEach(({ file, patientId, split }, i) => {
    hash.update(`${JSON.stringify([file, sizes[i], patientId, split, ...columns.map((cells) => cells[i])])}\n`);
  });
  return hash.digest("hex");
}
