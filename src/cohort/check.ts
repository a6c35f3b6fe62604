/** Reads a whole cohort once and says what is in it and what is wrong with it. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { posix } from "node:path";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { decodeImage, identifyingAttributes, isDicom, readDicomHeader } from "../imaging/index.ts";
import { cohortOf, orderedSplits } from "./cohort.ts";
import { readContent } from "./content.ts";
import type { Content } from "./content.ts";
import { mediumOf } from "./medium.ts";
import type { Medium } from "./medium.ts";
import { inspectCohort } from "./inspect.ts";
import type { Inspection, InspectOptions } from "./inspect.ts";
import { mapConcurrent } from "./pool.ts";
import { fileTag, MAX_ROWS, rowsText } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { ageBand, ageColumn, ageYearsOf, sexColumn, sexOf } from "./demographics.ts";
import { binaryColumns, readLabel } from "./targets.ts";
import { volumeOf } from "./volumes.ts";

export interface CheckOptions extends InspectOptions {
  /** Called after each image with how many are done. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  readonly concurrency?: number;
}

/** Images and patients with one value of one attribute or label in one split. */
export interface CheckCount {
  readonly by: string;
  readonly value: string;
  readonly split: string;
  readonly images: number;
  readonly patients: number;
}

export interface CohortCheck {
  /** What the files hold; `images` counts volumes where it is volumes. */
  readonly medium: Medium;
  readonly images: number;
  readonly patients: number;
  readonly splits: Readonly<Record<string, { readonly images: number; readonly patients: number }>>;
  /** Labels of each target, sex and age band, by split. For the owner of the data: small counts identify. */
  readonly counts: readonly CheckCount[];
  /**
   * How many images there are of each size and kind, such as `128 x 128, 1 channel, 8 bit`, or
   * `512 x 512 x 90 voxels of 0.8 x 0.8 x 5.0 mm, int16`.
   */
  readonly formats: Readonly<Record<string, number>>;
  readonly unreadable: number;
  /** Of names, labels, patients, splits and file sizes; absent where an error keeps the cohort from being opened. */
  readonly fingerprint?: string;
  /** SHA-256 over every image's pixels in the table's order. */
  readonly contentFingerprint: string;
  /** Errors first. */
  readonly problems: readonly Problem[];
}

/**
 * Decodes every image once and lists what is wrong, with its place and remedy and no patient's value. Throws only where
 * there is no table to speak of (LG-COHORT-001 to -004), and when `signal` is aborted (LG-INTERRUPTED-001).
 */
export async function checkCohort(dir: string, options: CheckOptions = {}): Promise<CohortCheck> {
  const inspection = await inspectCohort(dir, options);
  const { records, table } = inspection;
  const content = await readAll(dir, inspection, options);
  const problems = [
    ...inspection.problems,
    ...content.problems,
    ...identicalProblems(inspection, content.hashes),
    ...targetProblems(inspection),
    ...splitProblems(inspection),
    ...demographicProblems(inspection),
    ...(await orphanProblems(dir, inspection, options.showNames ?? false)),
  ];
  const hash = createHash("sha256");
  for (const value of content.hashes) hash.update(`${value}\n`);
  const broken = inspection.problems.some((problem) => problem.severity === "error");
  return {
    medium: mediumOf(records[0]!.file),
    images: records.length,
    patients: new Set(records.map((record) => record.patientId)).size,
    splits: Object.fromEntries(orderedSplits(records).map((split) => [split, sizeOf(inspection, split)])),
    counts: countAll(inspection),
    formats: content.formats,
    unreadable: content.hashes.filter((value) => value === "").length,
    ...(broken ? {} : { fingerprint: cohortOf(dir, inspection).fingerprint }),
    contentFingerprint: hash.digest("hex"),
    problems: [
      ...problems.filter((problem) => problem.severity === "error"),
      ...problems.filter((problem) => problem.severity === "warning"),
      ...(table.nested.length === 0 ? [] : [nestedProblem(inspection)]),
    ],
  };
}

function sizeOf({ records }: Inspection, split: string) {
  const own = records.filter((record) => record.split === split);
  return { images: own.length, patients: new Set(own.map((record) => record.patientId)).size };
}

async function readAll(dir: string, { records, sizes, table }: Inspection, options: CheckOptions) {
  const { onProgress, signal, concurrency = 4, showNames = false } = options;
  const problems: Problem[] = [];
  const formats: Record<string, number> = {};
  let done = 0;
  const dicom: DicomSeen = { files: 0, named: 0, rows: new Set(), burned: new Set() };
  const hashes = await mapConcurrent(records, concurrency, async ({ file, row }, i) => {
    if (signal?.aborted === true)
      throw new LeadglassError(
        "LG-INTERRUPTED-001",
        `${table.place}: interrupted at image ${done} of ${records.length}`,
        {
          hint: "Run the check again; nothing was changed.",
        },
      );
    if (sizes[i] === -1) return "";
    const at = { place: `${table.place}, data row ${row}`, rows: [row] };
    const name = fileTag(file, showNames);
    try {
      const content = watched(await readContent(dir, file, name, showNames), name, row, dicom);
      const { format, size, data } = await contentOf[mediumOf(file)](content, name);
      formats[format] = (formats[format] ?? 0) + 1;
      if (data.every((value) => value === data[0]))
        problems.push({
          ...at,
          code: "LG-COHORT-020",
          severity: "warning",
          message: `every pixel of ${name} has the same value`,
          remedy: "Look at the image; an empty one teaches nothing.",
        });
      return createHash("sha256")
        .update(size)
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest("hex");
    } catch (error) {
      if (!isLeadglassError(error)) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === undefined) throw error;
        problems.push({
          ...at,
          code: "LG-COHORT-007",
          severity: "error",
          message: `${name} cannot be read (${code})`,
          remedy: "Make the file readable.",
        });
      } else
        problems.push({
          ...at,
          code: error.code,
          severity: "error",
          message: error.message,
          remedy: error.hint ?? "Replace the image, or remove its row.",
        });
      return "";
    } finally {
      done++;
      onProgress?.(done, records.length);
    }
  });
  problems.sort((a, b) => a.rows![0]! - b.rows![0]!);
  return { hashes, formats, problems: [...problems, ...dicomProblems(table.place, dicom)] };
}

/** What was seen of DICOM headers: counts and rows, no value. */
interface DicomSeen {
  files: number;
  /** Files in which an attribute that names a person outright is filled. */
  named: number;
  readonly rows: Set<number>;
  /** Rows whose file says that text is burned into its pixels. */
  readonly burned: Set<number>;
}

/** The same content; every DICOM file in it is counted, a slice of a series when it is read. */
function watched(content: Content, name: string, row: number, seen: DicomSeen): Content {
  const look = (bytes: Uint8Array, file: string) => {
    if (!isDicom(bytes)) return bytes;
    seen.files++;
    seen.rows.add(row);
    if (identifyingAttributes(bytes, { name: file }) > 0) seen.named++;
    if (readDicomHeader(bytes, { name: file }).burnedInText === "yes") seen.burned.add(row);
    return bytes;
  };
  if (content instanceof Uint8Array) return look(content, name);
  return content.map(({ name: file, bytes }) => ({ name: file, bytes: async () => look(await bytes(), file) }));
}

function dicomProblems(place: string, { files, named, rows, burned }: DicomSeen): Problem[] {
  const problems: Problem[] = [];
  const at = (code: Problem["code"], found: ReadonlySet<number>, message: string, remedy: string) => {
    const sorted = [...found].sort((a, b) => a - b);
    if (sorted.length > 0)
      problems.push({ code, severity: "warning", place: `${place}, ${rowsText(sorted)}`, message, remedy, rows: sorted.slice(0, MAX_ROWS) }); // prettier-ignore
  };
  at(
    "LG-COHORT-025",
    rows,
    `${files} DICOM files, ${named} of them with a name, identifier, birth date, institution or the like in their headers`,
    "Only pixels and geometry are used from here on. Before this folder is given to anyone, de-identify the headers (DICOM PS3.15, annex E): unique identifiers and dates remain even where no name is.",
  );
  at(
    "LG-COHORT-026",
    burned,
    `${burned.size} images whose header says that text is burned into the pixels (0028,0301)`,
    "Look at them, and cover or remove what names a patient: pixels go into training and may come out again.",
  );
  return problems;
}

/** What a file holds, in words and in numbers; what is the same for a reader is the same here, however it is stored. */
const contentOf = {
  images: async (content: Content, name: string) => {
    // A folder of slices is a volume.
    const { width, height, channels, bitDepth, data } = await decodeImage(content as Uint8Array, { name });
    const format = `${width} x ${height}, ${channels === 1 ? "1 channel" : "3 channels"}, ${bitDepth} bit`;
    return { format, size: format, data };
  },
  volumes: async (content: Content, name: string) => {
    const { volume, storedAs } = await volumeOf(content, { name });
    const { shape, spacingMm, data } = volume;
    const size = shape.toReversed().join(" x ");
    const spacing = spacingMm.toReversed().map((mm) => mm.toFixed(1)).join(" x "); // prettier-ignore
    return { format: `${size} voxels of ${spacing} mm, ${storedAs}`, size, data };
  },
} as const;

function identicalProblems({ records, table }: Inspection, hashes: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  for (const [hash, indices] of Map.groupBy([...hashes.keys()], (i) => hashes[i]!)) {
    if (hash === "" || indices.length < 2) continue;
    const rows = indices.map((i) => i + 1);
    const across = new Set(indices.map((i) => records[i]!.split)).size > 1;
    const patients = new Set(indices.map((i) => records[i]!.patientId)).size;
    problems.push({
      code: "LG-COHORT-019",
      severity: across ? "error" : "warning",
      place: `${table.place}, ${rowsText(rows)}`,
      message: `${rows.length} images have identical pixels${across ? ", in different splits" : ""}${patients > 1 ? `, under ${patients} patients` : ""}`,
      remedy: across
        ? "Keep one of them, or put all into one split: a test image that was trained on is no test."
        : "Keep one of them, unless the same image is meant to count twice.",
      rows: rows.slice(0, MAX_ROWS),
    });
  }
  return problems;
}

/** Share of readable cells above which a column with other cells is taken for a target with mistakes. */
const MOSTLY = 0.9;

function targetProblems({ table, manifest, records }: Inspection): Problem[] {
  const problems: Problem[] = [];
  const rules = Object.entries(manifest.targets).map(([name, rule]) => ({ name, rule, column: rule.column ?? name }));
  const declared = new Set(rules.map(({ column }) => column));
  const others = table.columns.filter((name) => !declared.has(name)).map((name) => ({ name, rule: {}, column: name }));
  for (const { name, rule, column } of [...rules, ...others]) {
    const labels = table.cells.get(column)!.map((cell) => readLabel(cell, rule));
    const filled = labels.filter((label) => label !== null);
    const odd = labels.flatMap((label, i) => (label === undefined ? [i + 1] : []));
    const isTarget = declared.has(column);
    const looksBinary = filled.includes(0) && filled.includes(1) && odd.length <= (1 - MOSTLY) * filled.length;
    if (!isTarget && !looksBinary) continue;
    const severity = isTarget ? "error" : "warning";
    if (odd.length > 0)
      problems.push({
        code: "LG-COHORT-012",
        severity,
        place: `${table.place}, ${rowsText(odd)}`,
        message: `column "${column}" holds a value that is not 0, 1 or blank (text of length ${table.cells.get(column)![odd[0]! - 1]!.length})`,
        remedy: `Say how to read it in cohort.yaml under targets.${name}.values, or correct the row.`,
        rows: odd.slice(0, MAX_ROWS),
        column,
      });
    for (const split of orderedSplits(records)) {
      const own = labels.filter((_, i) => records[i]!.split === split);
      const [positives, negatives] = [own.filter((l) => l === 1).length, own.filter((l) => l === 0).length];
      if (positives > 0 && negatives > 0) continue;
      problems.push({
        code: "LG-COHORT-013",
        severity,
        place: `${table.place}, split "${split}"`,
        message: `target "${name}" has ${positives} positive and ${negatives} negative labels; both classes were expected`,
        remedy: "Move patients of the other class into this split, or do not use this target with it.",
        column,
      });
    }
  }
  return problems;
}

function splitProblems({ records, table }: Inspection): Problem[] {
  const there = orderedSplits(records);
  return ["train", "val", "test"]
    .filter((split) => !there.includes(split))
    .map((split) => ({
      code: "LG-COHORT-011",
      severity: split === "train" ? "error" : "warning",
      place: table.place,
      message: `split "${split}" has no image; the splits are: ${there.join(", ")}`,
      remedy: `Put some patients into ${split}, or remove the split column to have patients divided by a seed.`,
    }));
}

function demographicProblems({ table }: Inspection): Problem[] {
  const problems: Problem[] = [];
  const check = (column: string | undefined, isReadable: (cell: string) => boolean, expected: string) => {
    if (column === undefined) return;
    const rows = table.cells.get(column)!.flatMap((cell, i) => (cell === "" || isReadable(cell) ? [] : [i + 1]));
    if (rows.length === 0) return;
    problems.push({
      code: "LG-COHORT-021",
      severity: "warning",
      place: `${table.place}, ${rowsText(rows)}`,
      message: `column "${column}" holds what is not ${expected}; counted as unknown`,
      remedy: "Correct the rows, or leave the cells blank.",
      rows: rows.slice(0, MAX_ROWS),
      column,
    });
  };
  check(ageColumn(table.columns), (cell) => ageYearsOf(cell) !== undefined, "an age between 0 and 120 years");
  check(sexColumn(table.columns), (cell) => sexOf(cell) !== "unknown", "F, M or O");
  return problems;
}

async function orphanProblems(dir: string, { records, table }: Inspection, showNames: boolean): Promise<Problem[]> {
  const named = new Set(records.map((record) => record.file));
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const orphans = entries
    .filter((entry) => entry.isFile() && /\.(png|jpe?g|dcm|nii|nii\.gz)$/i.test(entry.name))
    .map((entry) => posix.join(entry.parentPath.slice(dir.length).replaceAll("\\", "/"), entry.name).replace(/^\//, ""))
    .filter((file) => !named.has(file) && !named.has(`${posix.dirname(file)}/`))
    .sort();
  if (orphans.length === 0) return [];
  const shown = orphans.slice(0, 3).map((file) => fileTag(file, showNames));
  return [
    {
      code: "LG-COHORT-018",
      severity: "warning",
      place: table.place,
      message: `${orphans.length} image files have no row: ${shown.join(", ")}${orphans.length > 3 ? " ..." : ""}`,
      remedy: "Add rows for them, or remove the files; they are not used.",
    },
  ];
}

function nestedProblem({ table }: Inspection): Problem {
  return {
    code: "LG-COHORT-002",
    severity: "warning",
    place: table.place,
    message: `columns that hold lists or structures are left out: ${table.nested.join(", ")}`,
    remedy: "Write what is needed of them as plain columns.",
  };
}

function countAll({ table, manifest, records }: Inspection): CheckCount[] {
  const named = Object.entries(manifest.targets).map(([name, rule]) => ({ name, rule, column: rule.column ?? name }));
  const targets = named.length > 0 ? named : binaryColumns(table).map((column) => ({ name: column, rule: {}, column }));
  const labelText = (label: 0 | 1 | null | undefined) =>
    label === null ? "missing" : label === undefined ? "unreadable" : String(label);
  const views = targets.map(({ name, rule, column }) => ({
    by: name,
    values: table.cells.get(column)!.map((cell) => labelText(readLabel(cell, rule))),
  }));
  const [sex, age] = [sexColumn(table.columns), ageColumn(table.columns)];
  if (sex !== undefined) views.push({ by: "sex", values: table.cells.get(sex)!.map(sexOf) });
  if (age !== undefined) views.push({ by: "age", values: table.cells.get(age)!.map(ageBand) });
  return views.flatMap(({ by, values }) =>
    [...new Set(values)].sort().flatMap((value) =>
      orderedSplits(records).map((split) => {
        const own = records.filter((record, i) => record.split === split && values[i] === value);
        return { by, value, split, images: own.length, patients: new Set(own.map((r) => r.patientId)).size };
      }),
    ),
  );
}
