/** Reads a cohort folder's table and looks at its files' names and sizes; what is wrong comes back as values. */
import { lstatSync, type Stats } from "node:fs";
import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, posix, relative, sep } from "node:path";
import { slicesIn } from "./content.ts";
import { mediumOf } from "./medium.ts";
import { readManifest } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";
import { mapConcurrent } from "./pool.ts";
import { fileTag, MAX_ROWS, rowsText } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { canonicalSplit, drawSplits } from "./splits.ts";
import type { SplitFractions } from "./splits.ts";
import { columnOf, readTable } from "./table.ts";
import type { Table } from "./table.ts";
import { binaryColumns, readLabel } from "./targets.ts";

export interface InspectOptions {
  /** Seed of the split where the table has no split column. */
  readonly splitSeed?: number;
  readonly splitFractions?: SplitFractions;
  /** Show file names in messages; they may be identities, so by default they are not shown. */
  readonly showNames?: boolean;
}

export interface CohortRecord {
  /** Relative to the cohort's folder, with forward slashes; ends in one where it is a folder of DICOM slices. */
  readonly file: string;
  readonly patientId: string;
  readonly split: string;
  /** Data row in the table, counting from 1 below the header. */
  readonly row: number;
}

export interface Inspection {
  readonly table: Table;
  readonly manifest: Manifest;
  /** One for each data row, also where something is wrong with it. */
  readonly records: readonly CohortRecord[];
  /** Bytes of each record's file, or of all files in its folder; -1 where there is none. */
  readonly sizes: readonly number[];
  readonly patientColumn: string | undefined;
  readonly splitColumn: string | undefined;
  /** What each patient's split was balanced on, where splits were drawn. */
  readonly stratifiedBy: string | undefined;
  readonly problems: readonly Problem[];
}

/**
 * Everything that can be known without decoding a pixel. Throws only where nothing can be said about rows: no table,
 * an unreadable one (LG-COHORT-001, -002), an invalid manifest (-003), a missing column (-004).
 */
export async function inspectCohort(dir: string, options: InspectOptions = {}): Promise<Inspection> {
  const { showNames = false } = options;
  const [table, manifest] = [await readTable(dir), await readManifest(dir)];
  const place = table.place;
  const files = columnOf(table, "file_name").map((file) => posix.normalize(file).replace(/\/$/, ""));
  const patientColumn = chosenColumn(table, manifest.patient, "patient_id", "patient");
  const splitColumn = chosenColumn(table, manifest.split, "split", "split");
  for (const [name, rule] of Object.entries(manifest.targets))
    columnOf(table, rule.column ?? name, ` of target "${name}" in cohort.yaml`);
  for (const name of manifest.attributes ?? []) columnOf(table, name, ` of attributes in cohort.yaml`);

  const problems: Problem[] = [...fileNameProblems(table, files), ...blankProblems(table, patientColumn, splitColumn)];
  const patients = patientColumn === undefined ? files : table.cells.get(patientColumn)!;
  if (patientColumn === undefined)
    problems.push({
      code: "LG-COHORT-016",
      severity: "warning",
      place,
      message: "no patient_id column: each image is taken for a patient of its own",
      remedy:
        "If a patient has several images, privacy holds for each image only, and splits may share patients: add patient_id.",
    });

  let splits: readonly string[];
  let stratifiedBy: string | undefined;
  if (splitColumn !== undefined) {
    splits = table.cells.get(splitColumn)!.map(canonicalSplit);
    problems.push(...sharedPatientProblems(table, patients, splits));
  } else {
    const drawn = drawnSplits(table, manifest, patients, options);
    splits = drawn.splits;
    stratifiedBy = drawn.stratifiedBy;
    problems.push({
      code: "LG-COHORT-017",
      severity: "warning",
      place,
      message:
        `no split column: patients are divided 70/15/15 by seed ${options.splitSeed ?? 0}` +
        (stratifiedBy === undefined ? "" : `, balanced on "${stratifiedBy}"`),
      remedy: "Add a split column (train, val, test) to fix which patient is where.",
    });
  }
  const named = files.map((file, i) => ({ file, patientId: patients[i]!, split: splits[i]!, row: i + 1 }));
  const { sizes, folders, missing } = await statFiles(dir, table, named, showNames);
  const records = named.map((record) => (folders.has(record.row) ? { ...record, file: `${record.file}/` } : record));
  problems.push(...mediumProblems(table, records), ...missing);
  return { table, manifest, records, sizes, patientColumn, splitColumn, stratifiedBy, problems };
}

function chosenColumn(table: Table, named: string | undefined, usual: string, key: string): string | undefined {
  if (named === undefined) return table.cells.has(usual) ? usual : undefined;
  columnOf(table, named, ` of ${key} in cohort.yaml`);
  return named;
}

const leadsOut = (file: string) =>
  file === "." || isAbsolute(file) || file === ".." || file.startsWith("../") || /[\\\0]|^[a-zA-Z]:/.test(file);

function fileNameProblems(table: Table, files: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const rowsOf = Map.groupBy([...files.keys()], (i) => files[i]!);
  for (const [file, indices] of rowsOf) {
    const rows = indices.map((i) => i + 1);
    if (leadsOut(file))
      problems.push({
        code: "LG-COHORT-005",
        severity: "error",
        place: `${table.place}, ${rowsText(rows)}`,
        message: `file_name (text of length ${table.cells.get("file_name")![indices[0]!]!.length}) is blank, absolute, or leads out of the folder`,
        remedy: "Name a file inside the cohort's folder, relative to it, with forward slashes.",
        rows: rows.slice(0, MAX_ROWS),
        column: "file_name",
      });
    else if (rows.length > 1)
      problems.push({
        code: "LG-COHORT-006",
        severity: "error",
        place: `${table.place}, ${rowsText(rows)}`,
        message: `${rows.length} rows have the same file_name`,
        remedy: "Keep one row for each image.",
        rows: rows.slice(0, MAX_ROWS),
        column: "file_name",
      });
  }
  return problems;
}

function mediumProblems(table: Table, records: readonly CohortRecord[]): Problem[] {
  const volumes = records.flatMap(({ file, row }) => (mediumOf(file) === "volumes" ? [row] : []));
  if (volumes.length === 0 || volumes.length === records.length) return [];
  return [
    {
      code: "LG-COHORT-023",
      severity: "error",
      place: `${table.place}, ${rowsText(volumes)}`,
      message: `${volumes.length} volumes (.nii, .nii.gz, folders of slices) among ${records.length - volumes.length} images`,
      remedy: "Keep images and volumes in cohorts of their own: no model reads both.",
      rows: volumes.slice(0, MAX_ROWS),
      column: "file_name",
    },
  ];
}

function blankProblems(table: Table, patientColumn?: string, splitColumn?: string): Problem[] {
  const blank = (column: string | undefined, code: "LG-COHORT-008" | "LG-COHORT-010", remedy: string): Problem[] => {
    if (column === undefined) return [];
    const rows = table.cells.get(column)!.flatMap((cell, i) => (cell === "" ? [i + 1] : []));
    if (rows.length === 0) return [];
    return [
      {
        code,
        severity: "error",
        place: `${table.place}, ${rowsText(rows)}`,
        message: `column "${column}" is blank`,
        remedy,
        rows: rows.slice(0, MAX_ROWS),
        column,
      },
    ];
  };
  return [
    ...blank(patientColumn, "LG-COHORT-008", "Give every image the identifier of its patient, or remove the row."),
    ...blank(splitColumn, "LG-COHORT-010", "Say train, val or test, or remove the row."),
  ];
}

function sharedPatientProblems(table: Table, patients: readonly string[], splits: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  for (const [patient, indices] of Map.groupBy([...patients.keys()], (i) => patients[i]!)) {
    const first = indices[0]!;
    const other = indices.find((i) => splits[i] !== splits[first]);
    if (patient === "" || other === undefined) continue;
    problems.push({
      code: "LG-COHORT-009",
      severity: "error",
      place: `${table.place}, ${rowsText([first + 1, other + 1])}`,
      message: `one patient is in two splits, with ${indices.length} images in all`,
      remedy: "Put all images of a patient into one split: what is learnt of a patient must not be tested on him.",
      rows: [first + 1, other + 1],
    });
  }
  return problems;
}

/** Splits for a table without them, balanced on the first target that the manifest or the columns themselves give. */
function drawnSplits(table: Table, manifest: Manifest, patients: readonly string[], options: InspectOptions) {
  const named = Object.entries(manifest.targets)[0];
  const stratifiedBy = named?.[0] ?? binaryColumns(table)[0];
  const rule = named?.[1] ?? {};
  const cells = stratifiedBy === undefined ? undefined : table.cells.get(rule.column ?? stratifiedBy)!;
  // A patient with any positive image is a positive patient; one whose labels are all missing is a stratum of its own.
  const stratumOf = new Map<string, number>();
  patients.forEach((patient, i) => {
    const label = cells === undefined ? 0 : (readLabel(cells[i]!, rule) ?? -1);
    stratumOf.set(patient, Math.max(stratumOf.get(patient) ?? -1, label));
  });
  const ids = [...stratumOf.keys()];
  const seed = options.splitSeed ?? 0;
  const drawn = drawSplits(ids, [...stratumOf.values()], { seed, fractions: options.splitFractions });
  return { splits: patients.map((patient) => drawn.get(patient)!), stratifiedBy };
}

/**
 * Looks at files one by one as long as that is quick, which on a local disk is four times faster than asking for many at
 * once; where a look takes long, as over a network, many are asked for at once.
 */
function quickest(): (path: string) => Promise<Stats | undefined> | Stats | undefined {
  let [looks, spent] = [0, 0];
  return (path) => {
    if (looks >= 64 && spent / looks > 0.2) return lstat(path).catch(() => undefined);
    const before = performance.now();
    try {
      return lstatSync(path);
    } catch {
      return undefined;
    } finally {
      looks++;
      spent += performance.now() - before;
    }
  };
}

async function statFiles(dir: string, table: Table, records: readonly CohortRecord[], showNames: boolean) {
  const missing: Problem[] = [];
  const series = new Set<number>();
  const root = await realpath(dir);
  const inside = (path: string) => {
    const way = relative(root, path);
    return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
  };
  const folders = new Map<string, Promise<boolean>>();
  const folderInside = (folder: string) => {
    if (!folders.has(folder)) folders.set(folder, realpath(folder).then(inside, () => true)); // prettier-ignore
    return folders.get(folder)!;
  };
  const look = quickest();
  const sizes = await mapConcurrent(records, 16, async ({ file, row }) => {
    if (leadsOut(file)) return -1;
    const path = join(dir, file);
    const seen = look(path);
    const entry = seen instanceof Promise ? await seen : seen;
    const isLink = entry?.isSymbolicLink() === true;
    const target = isLink ? await realpath(path).catch(() => undefined) : path;
    // A second look only where the first found a link: with 200,000 files, looks are what opening takes.
    const found = isLink ? target && (await lstat(target).catch(() => undefined)) : entry;
    const at = { place: `${table.place}, data row ${row}`, rows: [row], severity: "error" } as const;
    if (!found || !(found.isFile() || found.isDirectory())) {
      missing.push({
        ...at,
        code: "LG-COHORT-007",
        message: `${fileTag(file, showNames)} is not there`,
        remedy: "Put the image into the folder, or remove its row.",
      });
      return -1;
    }
    if (!(isLink ? inside(target!) : await folderInside(dirname(path)))) {
      missing.push({
        ...at,
        code: "LG-COHORT-005",
        message: `${fileTag(file, showNames)} is a link that leads out of the folder`,
        remedy: "Copy the image into the cohort's folder, or link the whole folder.",
      });
      return -1;
    }
    if (!found.isDirectory()) return found.size;
    const { names, links } = await slicesIn(path);
    if (names.length === 0 || links > 0) {
      missing.push({
        ...at,
        code: links > 0 ? "LG-COHORT-005" : "LG-COHORT-007",
        message: `${fileTag(file, showNames)} is a folder of ${names.length} files and ${links} links; the slices of one DICOM series were expected`,
        remedy: "Put the files of the series themselves into the folder, or name one file.",
      });
      return -1;
    }
    series.add(row);
    const slices = await mapConcurrent(names, 16, (slice) => lstat(join(path, slice)));
    return slices.reduce((sum, { size }) => sum + size, 0);
  });
  missing.sort((a, b) => a.rows![0]! - b.rows![0]!);
  return { sizes, folders: series, missing };
}
