/** The metadata table of a cohort folder: `metadata.csv` or `metadata.parquet`, every cell as text. */
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { LeadglassError } from "../errors.ts";

export interface Table {
  /** How messages call it: the folder's name and the file's. */
  readonly place: string;
  readonly columns: readonly string[];
  readonly rowCount: number;
  /** One array of `rowCount` cells for each column; a blank cell is "". */
  readonly cells: ReadonlyMap<string, readonly string[]>;
  /** Columns that hold lists, structures or bytes: not readable as text, and left out. */
  readonly nested: readonly string[];
}

/**
 * Reads the table of a cohort folder. CSV is UTF-8, with or without a byte-order mark, quoted as RFC 4180 says, lines
 * ending either way. In Parquet, null is blank, true is 1 and false is 0.
 * Throws LG-COHORT-001 (no table), LG-COHORT-002 (a table that cannot be read, or two of them).
 */
export async function readTable(dir: string): Promise<Table> {
  const present = [];
  for (const file of ["metadata.csv", "metadata.parquet"])
    if (await stat(join(dir, file)).then((s) => s.isFile(), () => false)) present.push(file); // prettier-ignore
  const [file, second] = present;
  const folder = basename(dir);
  if (file === undefined)
    throw new LeadglassError("LG-COHORT-001", `${folder}: neither metadata.csv nor metadata.parquet is there`, {
      hint: "A cohort is a folder with a metadata table whose file_name column names the images beside it.",
    });
  if (second !== undefined)
    throw new LeadglassError("LG-COHORT-002", `${folder}: both ${file} and ${second} are there; one was expected`, {
      hint: "Remove the one that is not meant.",
    });
  const place = `${folder}/${file}`;
  return file === "metadata.csv" ? readCsv(join(dir, file), place) : readParquet(join(dir, file), place);
}

async function readCsv(path: string, place: string): Promise<Table> {
  const bytes = await readFile(path);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes); // drops a byte-order mark
  } catch (cause) {
    throw new LeadglassError("LG-COHORT-002", `${place}: ${bytes.length} bytes that are not UTF-8 text`, {
      hint: "Save the table as CSV in UTF-8.",
      cause,
    });
  }
  let records: string[][];
  try {
    records = parse(text, { trim: true, skip_empty_lines: true });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const fields = cause as unknown as { code: string; lines?: number; records?: number };
    // The parser's own message quotes cells, which are patients' values: only its code and counts are passed on.
    throw new LeadglassError("LG-COHORT-002", `${place}, data row ${fields.records ?? "?"}: ${fields.code}`, {
      hint: `Look near line ${fields.lines ?? "?"}: each row needs as many cells as the header, and quotes must close.`,
    });
  }
  const header = records[0] ?? [];
  if (header.length === 1 && /[;\t]/.test(header[0]!))
    throw new LeadglassError("LG-COHORT-002", `${place}: one column, whose name holds semicolons or tabs`, {
      hint: "Save the table with commas between the cells.",
    });
  const rows = records.slice(1);
  // A comma at the end of every line makes a column without name or content; only that is passed over.
  const keep = header.map((name, i) => name !== "" || rows.some((row) => row[i] !== ""));
  const columns = header.filter((_, i) => keep[i]);
  const cells = new Map<string, string[]>();
  header.forEach((name, i) => {
    if (keep[i]) cells.set(name, rows.map((row) => row[i]!)); // prettier-ignore
  });
  return table(place, columns, rows.length, cells, []);
}

async function readParquet(path: string, place: string): Promise<Table> {
  let rows: Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) });
  } catch (cause) {
    throw new LeadglassError("LG-COHORT-002", `${place}: not a readable Parquet file`, {
      hint: "Write it again without encryption, compressed with snappy or not at all.",
      cause,
    });
  }
  const columns = Object.keys(rows[0] ?? {});
  const isNested = (value: unknown) => typeof value === "object" && value !== null && !(value instanceof Date);
  const nested = columns.filter((name) => rows.some((row) => isNested(row[name])));
  const flat = columns.filter((name) => !nested.includes(name));
  const cells = new Map(flat.map((name) => [name, rows.map((row) => cellText(row[name]))]));
  return table(place, flat, rows.length, cells, nested);
}

function cellText(value: unknown): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (value instanceof Date) return value.toISOString();
  return String(value).trim();
}

function table(
  place: string,
  columns: readonly string[],
  rowCount: number,
  cells: ReadonlyMap<string, readonly string[]>,
  nested: readonly string[],
): Table {
  if (rowCount === 0)
    throw new LeadglassError("LG-COHORT-002", `${place}: no data row`, { hint: "Add a row for each image." });
  const twice = columns.find((name, i) => columns.indexOf(name) !== i);
  if (twice !== undefined)
    throw new LeadglassError("LG-COHORT-002", `${place}: two columns are called "${twice}"`, {
      hint: "Rename one of them.",
    });
  return { place, columns, rowCount, cells, nested };
}

/** The cells of a column; throws LG-COHORT-004, listing the columns there are, when there is none of that name. */
export function columnOf(table: Table, name: string, askedBy = ""): readonly string[] {
  const cells = table.cells.get(name);
  if (cells !== undefined) return cells;
  const why = table.nested.includes(name) ? "holds lists or structures, not text" : "is not there";
  throw new LeadglassError("LG-COHORT-004", `${table.place}: column "${name}"${askedBy} ${why}`, {
    hint: `The columns are: ${table.columns.join(", ")}.`,
    fields: { column: name, columns: table.columns },
  });
}
