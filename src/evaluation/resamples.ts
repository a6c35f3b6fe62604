/**
 * One set of resamples shared by everything that is compared: groups, models and labels get the same draw of patients, so
 * that what they have in common cancels in differences, and joint statements about all of them can be made.
 */

import { LeadglassError } from "../errors.ts";
import { seededRandom } from "../math/random.ts";
import { predictedPositives, tally, type Tally } from "./metrics.ts";
import { rankObservations, requireLength, requirePatient, type Patients, type PatientSample } from "./observations.ts";

/** Rows of one model's scores that a statistic is taken of: all of a label, or a group of them. */
export interface Cell {
  /** One entry a row of the cohort. */
  readonly scores: ArrayLike<number>;
  /** 1, 0, NaN for missing. */
  readonly labels: ArrayLike<number>;
  readonly threshold?: number;
  /** The rows of the cohort that belong to the cell; all by default. */
  readonly rows?: readonly number[];
}

export interface Resamples {
  readonly samples: readonly PatientSample[];
  /** Of the cells as they are. */
  readonly whole: readonly Tally[];
  /** Of the cells in each resample: [resamples][cells]. */
  readonly draws: readonly (readonly Tally[])[];
  /** Patients with a labelled row in some cell. */
  readonly patients: number;
}

/**
 * Resamples the patients of the cells with replacement, all cells with the same draw, and tallies each cell each time.
 * `patients` has one entry a row of the cohort. A patient may have rows in several cells.
 * Throws LG-EVAL-001, LG-EVAL-002 for unusable rows, LG-EVAL-003 for unusable options.
 */
export function drawResamples(
  cells: readonly Cell[],
  patients: Patients,
  { resamples = 2000, seed }: { readonly resamples?: number; readonly seed: number | string },
): Resamples {
  requireResampling(resamples);
  const numbers = new Map<string | number, number>();
  const samples = cells.map((cell) => sampleOf(cell, patients, numbers));
  const tallies = (weights: Float64Array) =>
    samples.map(({ ranking, units, cut }) => tally(ranking, units, weights, cut));
  const weights = new Float64Array(numbers.size).fill(1);
  const whole = tallies(weights);
  const draw = patientDraws(seed, numbers.size);
  const draws = Array.from({ length: numbers.size > 1 ? resamples : 0 }, () => {
    draw(weights);
    return tallies(weights);
  });
  return { samples, whole, draws, patients: numbers.size };
}

function sampleOf(
  { scores, labels, threshold, rows }: Cell,
  patients: Patients,
  numbers: Map<string | number, number>,
): PatientSample {
  requireLength("scores", scores.length, "labels", labels.length);
  requireLength("patients", patients.length, "labels", labels.length);
  const own = rows ?? Array.from({ length: labels.length }, (_, row) => row);
  for (const row of own) {
    if (Number.isNaN(labels[row]!)) continue;
    const patient = requirePatient(patients, row);
    if (!numbers.has(patient)) numbers.set(patient, numbers.size);
  }
  const ranking = rankObservations(
    Float64Array.from(own, (row) => scores[row]!),
    Float64Array.from(own, (row) => labels[row]!),
  );
  const units = Uint32Array.from(ranking.rows, (i) => numbers.get(patients[own[i]!]!)!);
  return {
    ...{ ranking, units, count: new Set(units).size },
    cut: threshold === undefined ? 0 : predictedPositives(ranking, threshold),
  };
}

/** Throws LG-EVAL-003 for a number of resamples or a confidence level that is none. */
export function requireResampling(resamples: number, level = 0.95): void {
  if (!(Number.isInteger(resamples) && resamples >= 1))
    throw new LeadglassError("LG-EVAL-003", `resamples: ${resamples}; a whole number of at least 1 was expected`);
  if (!(level > 0 && level < 1))
    throw new LeadglassError("LG-EVAL-003", `level: ${level}; a number between 0 and 1 was expected`);
}

/** Writes how often each of `count` patients is drawn, with replacement, into weights; every call is another resample. */
export function patientDraws(seed: number | string, count: number): (weights: Float64Array) => void {
  const random = seededRandom(seed, "evaluation", "bootstrap");
  const words = new Uint32Array(count);
  // Words from here up would favour small remainders; they are drawn again.
  const limit = 2 ** 32 - (2 ** 32 % count);
  return (weights) => {
    weights.fill(0);
    random.words(words);
    for (const word of words) weights[word < limit ? word % count : random.integer(count)]!++;
  };
}
