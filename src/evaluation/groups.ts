/** Columns of attributes to groups of rows. */

import { LeadglassError } from "../errors.ts";
import { requireLength } from "./observations.ts";

/** One value a row; null, "" and NaN are missing. */
export type GroupColumn = ArrayLike<string | number | boolean | null | undefined>;

/** Ascending edges; a value v is in the band [edge, next edge). The ends may be infinite. */
export type Bands = Readonly<Record<string, readonly number[]>>;

const ageEdges = [0, 30, 60, 70, 80, Infinity];

/** Columns that are cut into bands unless told otherwise: age in years. */
export const defaultBands: Bands = { age: ageEdges, ageYears: ageEdges, age_years: ageEdges };

export interface Group {
  /** The column, or those of an intersection as "sex+age". */
  readonly column: string;
  /**
   * The value as text, or the band as "under 18", "60-69", "80+"; of an intersection "F + 60-69". Null for the rows where
   * it, or one of them, is missing.
   */
  readonly value: string | null;
  /** The value in each of the columns, or none where value is null. */
  readonly parts: readonly string[];
  readonly rows: readonly number[];
}

const mostGroups = 50;

/**
 * The groups of rows that share a value (or a band) of a column, or of several at once where an entry of `by` names
 * several; in the order of `by`, and in it of bands or sorted values, with the rows where a value is missing last. Empty
 * groups are left out.
 * Throws LG-EVAL-001 for a column of another length than `rowCount`, LG-EVAL-005 for a value outside all bands or not a
 * number where bands are wanted, for edges that do not ascend, for more than 50 groups of a column or intersection, and
 * for a name in `by` that is no column.
 */
export function groupRows(
  columns: Readonly<Record<string, GroupColumn>>,
  rowCount: number,
  bands: Bands,
  by: readonly (readonly string[])[] = Object.keys(columns).map((name) => [name]),
): Group[] {
  const keysOf = new Map(
    Object.entries(columns).map(([column, values]) => [column, keyColumn(column, values, rowCount, bands)]),
  );
  return by.flatMap((names) => {
    const column = names.join("+");
    const keys = names.map((name) => {
      const found = keysOf.get(name);
      if (!found) throw new LeadglassError("LG-EVAL-005", `by: no column ${name}; it is to be one of groups`);
      return found;
    });
    const cells = new Map<string, { keys: Key[]; names: string[]; rows: number[] }>();
    const without: number[] = [];
    for (let row = 0; row < rowCount; row++) {
      const own = keys.map(({ of }) => of[row] ?? null);
      if (!own.every((key) => key !== null)) {
        without.push(row);
        continue;
      }
      const texts = own.map((key, k) => keys[k]!.name(key));
      const id = JSON.stringify(texts);
      const cell = cells.get(id);
      if (cell) cell.rows.push(row);
      else cells.set(id, { keys: own, names: texts, rows: [row] });
    }
    const count = cells.size + (without.length > 0 ? 1 : 0);
    if (count > mostGroups)
      throw new LeadglassError("LG-EVAL-005", `groups.${column}: ${count} values; at most ${mostGroups} groups`, {
        hint: `Give edges for it: bands: { ${names[0]}: [...] }.`,
        fields: { column, values: count },
      });
    const groups = [...cells.values()]
      .sort((a, b) => a.keys.map((key, k) => compareKeys(key, b.keys[k]!)).find((order) => order !== 0) ?? 0)
      .map(({ names: parts, rows }): Group => ({ column, value: parts.join(" + "), parts, rows }));
    return without.length === 0 ? groups : [...groups, { column, value: null, parts: [], rows: without }];
  });
}

/** What `--group` is given as words, read: which columns are needed, their bands, and what to group by. */
export interface GroupRequest {
  readonly columns: string[];
  readonly bands: Record<string, number[]>;
  readonly by: string[][];
}

/**
 * Reads `sex`, `age:18,40,60,75` (bands under 18, 18-39, ..., 75+) and `sex+age:18,60` (each sex in each band); a list
 * that was split at its commas is put together again. A word that is the name of one of `columns` is that column.
 * Throws LG-EVAL-005 for edges that are no ascending numbers, and for two different sets of them for one column.
 */
export function parseGroups(words: readonly string[], columns: readonly string[] = []): GroupRequest {
  const joined: string[] = [];
  for (const word of words) {
    const edge = Number.isFinite(Number(word)) && !columns.includes(word) && joined.at(-1)?.includes(":");
    if (edge) joined[joined.length - 1] += `,${word}`;
    else joined.push(word);
  }
  const bands: Record<string, number[]> = {};
  const by = joined.map((word) => {
    if (columns.includes(word)) return [word];
    return word.split("+").map((part) => {
      const colon = part.lastIndexOf(":");
      if (colon < 0 || columns.includes(part)) return part;
      const name = part.slice(0, colon);
      const cuts = part.slice(colon + 1).split(",");
      const edges = cuts.map((cut) => (cut.trim() === "" ? NaN : Number(cut)));
      if (!edges.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > edges[i - 1]!)))
        throw new LeadglassError("LG-EVAL-005", `${name}: edges of bands that are not ascending numbers`, {
          hint: "Write them as age:18,40,60,75.",
          fields: { column: name },
        });
      const own = [-Infinity, ...edges, Infinity];
      if (Object.hasOwn(bands, name) && bands[name]!.join() !== own.join())
        throw new LeadglassError("LG-EVAL-005", `${name}: bands are given twice, and differ`, {
          hint: "Give the edges once, or the same each time.",
          fields: { column: name },
        });
      bands[name] = own;
      return name;
    });
  });
  const distinct = [...new Map(by.map((names) => [names.join("+"), names])).values()];
  return { columns: [...new Set(by.flat())], bands, by: distinct };
}

function keyColumn(column: string, values: GroupColumn, rowCount: number, bands: Bands) {
  requireLength(`groups.${column}`, values.length, "labels", rowCount);
  const edges = Object.hasOwn(bands, column) ? bands[column]! : undefined;
  if (edges?.some((edge, i) => i < edges.length - 1 && !(edge < edges[i + 1]!)))
    throw new LeadglassError("LG-EVAL-005", `bands.${column}: the edges do not ascend`);
  const of = Array.from({ length: rowCount }, (_, row): Key | null => {
    const value = values[row];
    if (value === null || value === undefined || value === "" || Number.isNaN(value)) return null;
    return edges ? bandOf(edges, value, column, row) : value;
  });
  return { of, name: (key: Key) => (edges ? bandName(edges, key as number) : String(key)) };
}

function bandOf(edges: readonly number[], value: string | number | boolean, column: string, row: number): number {
  const band = typeof value === "number" ? edges.findLastIndex((edge) => value >= edge) : -1;
  if (band < 0 || band === edges.length - 1)
    throw new LeadglassError("LG-EVAL-005", `groups.${column}, row ${row}: not a number within the bands`, {
      hint: `The bands of ${column} reach from ${edges[0]} to ${edges.at(-1)}; a missing value is null or NaN.`,
      fields: { column, row },
    });
  return band;
}

function bandName(edges: readonly number[], band: number): string {
  const [from, to] = [edges[band]!, edges[band + 1]!];
  if (from === -Infinity) return to === Infinity ? "all" : `under ${to}`;
  if (to === Infinity) return `${from}+`;
  return Number.isInteger(from) && Number.isInteger(to) ? `${from}-${to - 1}` : `${from} to below ${to}`;
}

type Key = string | number | boolean;

function compareKeys(a: Key, b: Key): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return a === b ? 0 : String(a) < String(b) ? -1 : 1;
}
