/** Families of features that could predict a target without looking at the disease. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ageColumn, ageYearsOf, type Cohort, type Target } from "../../cohort/index.ts";
import { decodeImage, toPlanes, type Planes } from "../../imaging/index.ts";
import type { Table } from "../../math/kernel-ridge.ts";
import type { Progress } from "../rows.ts";
import { insideOf, type Region } from "./region.ts";

/** A named set of features of every audited image. */
export interface Family {
  readonly name: string;
  readonly kind: "metadata" | "acquisition";
  readonly table: Table;
}

/** Most values of a column that become features of their own. */
const mostValues = 30;
/** A value that fewer images have identifies them rather than a way of working. */
const fewestImages = 5;

const tableOf = (rows: readonly (readonly number[])[]): Table => ({
  rows: rows.length,
  columns: rows[0]?.length ?? 0,
  data: Float64Array.from(rows.flat()),
});

/** Several families side by side. */
export function joined(tables: readonly Table[]): Table {
  const rows = tables[0]!.rows;
  const columns = tables.reduce((sum, t) => sum + t.columns, 0);
  const data = new Float64Array(rows * columns);
  let from = 0;
  for (const table of tables) {
    for (let r = 0; r < rows; r++)
      data.set(table.data.subarray(r * table.columns, (r + 1) * table.columns), r * columns + from);
    from += table.columns;
  }
  return { rows, columns, data };
}

/**
 * What the table says beside the targets: a family for each attribute column that is not the target's own, numbers as
 * they are, texts as one feature for each value that at least five images have.
 */
export function metadataFamilies(cohort: Cohort, target: Target, images: readonly number[]): Family[] {
  const age = ageColumn(cohort.columns);
  return cohort.attributes
    .filter((name) => name !== target.column)
    .flatMap((name) => {
      const cells = cohort.column(name);
      const table = columnTable(
        images.map((i) => cells[i]!),
        name === age ? ageYearsOf : numberOf,
      );
      return table ? [{ name, kind: "metadata" as const, table }] : [];
    });
}

const numberOf = (cell: string): number | undefined =>
  cell.trim() !== "" && Number.isFinite(Number(cell)) ? Number(cell) : undefined;

function columnTable(cells: readonly (string | null)[], read: (cell: string) => number | undefined): Table | undefined {
  const known = cells.filter((cell) => cell !== null);
  const distinct = Map.groupBy(known, (cell) => cell);
  const missing = cells.map((cell) => (cell === null ? 1 : 0));
  const numbers = cells.map((cell) => (cell === null ? NaN : (read(cell) ?? NaN)));
  const numeric = numbers.filter((x) => Number.isFinite(x)).length >= 0.9 * known.length && distinct.size > 2;
  if (known.length === 0) return undefined;
  if (numeric) return tableOf(numbers.map((x, i) => [x, missing[i]!]));
  const values = [...distinct]
    .filter(([, same]) => same.length >= fewestImages)
    .sort(([, a], [, b]) => b.length - a.length)
    .slice(0, mostValues)
    .map(([value]) => value);
  if (values.length === 0 || (values.length === 1 && known.length === cells.length && distinct.size === 1))
    return undefined;
  return tableOf(cells.map((cell, i) => [...values.map((value) => (cell === value ? 1 : 0)), missing[i]!]));
}

/** Strips of the border, as a share of the side. */
const borderShare = 0.04;
const histogramBins = 16;

/**
 * How an image was made, from its file and its pixels as stored: file size, image size, noise, histogram, border. Noise
 * and histogram are taken outside the region of the disease, which would change them too; none of them can see an organ.
 */
export async function acquisitionFamilies(
  cohort: Cohort,
  images: readonly number[],
  region: Region,
  onProgress?: Progress,
): Promise<Family[]> {
  const names = ["file size", "image size", "noise", "histogram", "border"] as const;
  const rows: Record<(typeof names)[number], number[][]> = {
    "file size": [],
    "image size": [],
    noise: [],
    histogram: [],
    border: [],
  };
  for (const [done, i] of images.entries()) {
    const { file, row } = cohort.records[i]!;
    const path = join(cohort.dir, file);
    const [bytes, { size }] = await Promise.all([readFile(path), stat(path)]);
    const planes = toPlanes(await decodeImage(bytes, { name: `${cohort.place}, data row ${row}` }), { channels: 1 });
    const { width, height } = planes;
    const inside = insideOf(region, width, height);
    rows["file size"].push([Math.log(size), Math.log(size / (width * height))]);
    rows["image size"].push([Math.log(width), Math.log(height), Math.log(width / height)]);
    rows.noise.push(noiseOf(planes, inside));
    rows.histogram.push(histogramOf(planes, inside));
    rows.border.push(borderOf(planes));
    onProgress?.(done + 1, images.length);
  }
  return names.map((name) => ({ name, kind: "acquisition", table: tableOf(rows[name]) }));
}

/** Deviation of the second difference, robustly, in dark, middle and bright parts; its tails; and what 8 x 8 blocks add. */
function noiseOf({ width, height, data }: Planes, inside: Uint8Array): number[] {
  const residuals: number[][] = [[], [], []];
  let [all, fourth, n] = [0, 0, 0];
  let [onGrid, offGrid] = [0, 0];
  for (let y = 1; y + 1 < height; y++)
    for (let x = 1; x + 1 < width; x++) {
      const at = y * width + x;
      if (inside[at] === 1) continue;
      const here = data[at]!;
      const second = 4 * here - data[at - 1]! - data[at + 1]! - data[at - width]! - data[at + width]!;
      residuals[Math.min(2, Math.floor(here * 3))]!.push(Math.abs(second));
      all += second * second;
      fourth += second ** 4;
      n++;
      const jump = Math.abs(here - data[at - 1]!);
      if (x % 8 === 0) onGrid += jump;
      else offGrid += jump;
    }
  const medians = residuals.map((part) => {
    if (part.length < 16) return NaN;
    part.sort((a, b) => a - b);
    return Math.log(part[part.length >> 1]! + 1e-5);
  });
  const variance = all / Math.max(1, n);
  return [
    ...medians,
    Math.log(variance + 1e-9),
    Math.log(fourth / Math.max(1, n) / (variance * variance + 1e-12) + 1e-9),
    Math.log((7 * onGrid + 1e-6) / (offGrid + 1e-6)),
  ];
}

/** Shares of grey values in 16 bins, least, most, mean and deviation, and the shares at the two ends. */
function histogramOf({ data }: Planes, inside: Uint8Array): number[] {
  const bins = new Float64Array(histogramBins);
  let [n, least, most, sum, squares, black, white] = [0, 1, 0, 0, 0, 0, 0];
  for (const [i, x] of data.entries()) {
    if (inside[i] === 1) continue;
    n++;
    bins[Math.min(histogramBins - 1, Math.floor(x * histogramBins))]!++;
    least = Math.min(least, x);
    most = Math.max(most, x);
    sum += x;
    squares += x * x;
    if (x === 0) black++;
    if (x === 1) white++;
  }
  return [
    ...bins.map((b) => b / n),
    least,
    most,
    sum / n,
    Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)),
    black / n,
    white / n,
  ];
}

/** Mean and deviation of the four border strips, and the means of the four corners. */
function borderOf({ width, height, data }: Planes): number[] {
  const [w, h] = [Math.max(1, Math.round(width * borderShare)), Math.max(1, Math.round(height * borderShare))];
  const part = (x0: number, y0: number, x1: number, y1: number): [number, number] => {
    let [sum, squares] = [0, 0];
    for (let y = y0; y < y1; y++)
      for (let x = x0; x < x1; x++) {
        sum += data[y * width + x]!;
        squares += data[y * width + x]! ** 2;
      }
    const n = (x1 - x0) * (y1 - y0);
    return [sum / n, Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2))];
  };
  const [cw, ch] = [Math.max(1, width >> 3), Math.max(1, height >> 3)];
  return [
    ...part(0, 0, width, h),
    ...part(0, height - h, width, height),
    ...part(0, 0, w, height),
    ...part(width - w, 0, width, height),
    part(0, 0, cw, ch)[0],
    part(width - cw, 0, width, ch)[0],
    part(0, height - ch, cw, height)[0],
    part(width - cw, height - ch, width, height)[0],
  ];
}
