/** Columns of attributes to groups of rows. */

import { LeadglassError } from "../errors.ts";
import { requireLength } from "./observations.ts";

/** One value a row; null, "" and NaN are missing. */
export type GroupColumn = ArrayLike<string | number | boolean | null | undefined>;

/** Ascending edges; a value v is in the band [edge, next edge). */
export type Bands = Readonly<Record<string, readonly number[]>>;

const ageEdges = [0, 30, 60, 70, 80, Infinity];

/** Columns that are cut into bands unless told otherwise: age in years. */
export const defaultBands: Bands = { age: ageEdges, ageYears: ageEdges, age_years: ageEdges };

export interface Group {
  readonly column: string;
  /** The value as text, or the band as "60-69", "80+"; null for the rows where it is missing. */
  readonly value: string | null;
  readonly rows: readonly number[];
}

const mostGroups = 50;

/**
 * The groups of rows that share a value (or a band) of each column, in the order of bands or sorted values, with the
 * rows where the value is missing last. Empty groups are left out.
 * Throws LG-EVAL-001 for a column of another length than `rowCount`, LG-EVAL-005 for a value outside all bands or not a
 * number where bands are wanted, for edges that do not ascend, and for a column with more than 50 values.
 */
export function groupRows(columns: Readonly<Record<string, GroupColumn>>, rowCount: number, bands: Bands): Group[] {
  return Object.entries(columns).flatMap(([column, values]) => {
    requireLength(`groups.${column}`, values.length, "labels", rowCount);
    const edges = Object.hasOwn(bands, column) ? bands[column]! : undefined;
    if (edges?.some((edge, i) => !(edge < (edges[i + 1] ?? Infinity)) && i < edges.length - 1))
      throw new LeadglassError("LG-EVAL-005", `bands.${column}: the edges do not ascend`);
    const rowsOf = new Map<string | number | boolean | null, number[]>();
    for (let row = 0; row < rowCount; row++) {
      const value = values[row];
      const missing = value === null || value === undefined || value === "" || Number.isNaN(value);
      const key = missing ? null : edges ? bandOf(edges, value, column, row) : value;
      const rows = rowsOf.get(key);
      if (rows) rows.push(row);
      else rowsOf.set(key, [row]);
    }
    if (rowsOf.size > mostGroups)
      throw new LeadglassError("LG-EVAL-005", `groups.${column}: ${rowsOf.size} values; at most ${mostGroups} groups`, {
        hint: `Give edges for it: bands: { ${column}: [...] }.`,
        fields: { column, values: rowsOf.size },
      });
    return [...rowsOf.entries()]
      .sort(([a], [b]) => compareKeys(a, b))
      .map(([key, rows]) => ({
        column,
        value: key === null ? null : edges ? bandName(edges, key as number) : String(key),
        rows,
      }));
  });
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
  if (to === Infinity) return `${from}+`;
  return Number.isInteger(from) && Number.isInteger(to) ? `${from}-${to - 1}` : `${from} to below ${to}`;
}

type Key = string | number | boolean | null;

function compareKeys(a: Key, b: Key): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : 1;
}
