/** Features of images with the patients they belong to, and how these are resampled. */
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom, shuffle, type RandomSource } from "../../math/random.ts";
import { quantileSorted } from "../../math/statistics.ts";

/** Rows of features; rows of the same unit (a patient, or a synthetic image by itself) are drawn together. */
export interface Sample {
  readonly table: Table;
  /** The unit of each row, numbered from 0. */
  readonly units: readonly number[];
}

/** A figure with its 95 % interval. Plain JSON. */
export interface Figure {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Units as numbers from 0, in the order of their first row. */
export function numbered(names: readonly (string | number)[]): number[] {
  const numbers = new Map<string | number, number>();
  return names.map((name) => {
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name)!;
  });
}

export const unitCount = (units: readonly number[]): number => new Set(units).size;

/** Some rows of a sample. */
export function rowsOf({ table, units }: Sample, rows: readonly number[]): Sample {
  const { columns, data } = table;
  const out = new Float64Array(rows.length * columns);
  rows.forEach((row, i) => out.set(data.subarray(row * columns, (row + 1) * columns), i * columns));
  return { table: { rows: rows.length, columns, data: out }, units: numbered(rows.map((row) => units[row]!)) };
}

/** Rows of whole units in random order, until there are `count` of them; all where there are no more. */
export function drawRows(units: readonly number[], count: number, random: RandomSource): number[] {
  if (count >= units.length) return units.map((_, row) => row);
  const byUnit = shuffle([...Map.groupBy(units.keys(), (row) => units[row]!).values()], random);
  const rows: number[] = [];
  for (const own of byUnit) {
    if (rows.length >= count) break;
    rows.push(...own);
  }
  return rows.slice(0, count).sort((a, b) => a - b);
}

/** Two halves of the rows that share no unit. */
export function halves(units: readonly number[], random: RandomSource): [number[], number[]] {
  const names = shuffle([...new Set(units)], random);
  const first = new Set(names.slice(0, names.length >> 1));
  const parts: [number[], number[]] = [[], []];
  units.forEach((unit, row) => parts[first.has(unit) ? 0 : 1].push(row));
  return parts;
}

/** How often each row is drawn when units are drawn with replacement, as many as there are. */
export function drawWeights(units: readonly number[], random: RandomSource): Float64Array {
  const count = unitCount(units);
  const drawn = new Float64Array(count);
  for (let i = 0; i < count; i++) drawn[random.integer(count)]!++;
  return Float64Array.from(units, (unit) => drawn[unit]!);
}

/** The interval of a mean over rows, by resampling units: percentiles of 500 weighted means. */
export function meanFigure(values: ArrayLike<number>, units: readonly number[], seed: number): Figure {
  const random = seededRandom(seed, "judge", "mean");
  const ones = new Float64Array(values.length).fill(1);
  const meanOf = (weights: Float64Array): number => {
    let [sum, total] = [0, 0];
    weights.forEach((w, i) => {
      sum += w * values[i]!;
      total += w;
    });
    return sum / total;
  };
  return percentileFigure(
    meanOf(ones),
    Array.from({ length: 500 }, () => meanOf(drawWeights(units, random))),
  );
}

/** A value with the 2.5 and 97.5 % points of its resamples; a resample that is not defined is left out. */
export function percentileFigure(value: number, resamples: readonly number[]): Figure {
  const sorted = resamples.filter(Number.isFinite).sort((a, b) => a - b);
  return { value, low: quantileSorted(sorted, 0.025), high: quantileSorted(sorted, 0.975) };
}
