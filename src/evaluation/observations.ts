/** The border of evaluation: scores, labels and patients are checked here once, and trusted by everything behind. */

import { LeadglassError } from "../errors.ts";
import { argsort } from "../math/statistics.ts";

/** Patient identifiers, one a row; equal values are one patient. */
export type Patients = ArrayLike<string | number>;

/** The rows that carry a label, ranked from the highest score to the lowest. */
export interface Ranking {
  readonly scores: Float64Array;
  /** 1 positive, 0 negative. */
  readonly labels: Uint8Array;
  /** The row each came from, counting the rows without a label too. */
  readonly rows: Uint32Array;
  /** 1 at the last of a run of equal scores. */
  readonly tieEnds: Uint8Array;
  /** 1 at the last of those in one of the ten bins of equal width that calibration is measured in. */
  readonly binEnds: Uint8Array;
  /** Of each observation, and meaningful only where scores are probabilities. */
  readonly squaredErrors: Float64Array;
  readonly logLosses: Float64Array;
  readonly positives: number;
  readonly negatives: number;
  /** How many rows had no label. */
  readonly missing: number;
}

/** Ranked observations with the patient of each, and how many of the ranked are predicted positive. */
export interface PatientSample {
  readonly ranking: Ranking;
  readonly units: Uint32Array;
  /** Number of patients. */
  readonly count: number;
  readonly cut: number;
}

/**
 * Checks scores and labels and ranks the labelled rows by descending score.
 * A label is 1, 0, or NaN for a missing one. Throws LG-EVAL-001 for lengths that differ, LG-EVAL-002 for another label
 * or for a score of a labelled row that is not finite.
 */
export function rankObservations(scores: ArrayLike<number>, labels: ArrayLike<number>): Ranking {
  requireLength("scores", scores.length, "labels", labels.length);
  const rows: number[] = [];
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row]!;
    if (Number.isNaN(label)) continue;
    if (label !== 0 && label !== 1)
      throw new LeadglassError("LG-EVAL-002", `labels, row ${row}: neither 0, 1 nor NaN (missing)`, {
        hint: "Map the target's values to 0, 1 or NaN before evaluating.",
        fields: { row },
      });
    if (!Number.isFinite(scores[row]))
      throw new LeadglassError("LG-EVAL-002", `scores, row ${row}: not a finite number`, {
        hint: "A NaN or infinite score comes from a model that diverged, or from images it cannot read.",
        fields: { row },
      });
    rows.push(row);
  }
  const negated = Float64Array.from(rows, (row) => -scores[row]!);
  const ranked = Uint32Array.from(argsort(negated), (i) => rows[i]!);
  const rankedScores = Float64Array.from(ranked, (row) => scores[row]!);
  const rankedLabels = Uint8Array.from(ranked, (row) => labels[row]!);
  const positives = rankedLabels.reduce((sum, label) => sum + label, 0);
  return {
    scores: rankedScores,
    labels: rankedLabels,
    rows: ranked,
    tieEnds: Uint8Array.from(rankedScores, (score, i) => (score === rankedScores[i + 1] ? 0 : 1)),
    binEnds: Uint8Array.from(rankedScores, (score, i) => (binOf(score) === binOf(rankedScores[i + 1]!) ? 0 : 1)),
    squaredErrors: rankedScores.map((score, i) => (score - rankedLabels[i]!) ** 2),
    logLosses: rankedScores.map((score, i) => -(rankedLabels[i] === 1 ? Math.log(score) : Math.log1p(-score))),
    positives,
    negatives: ranked.length - positives,
    missing: labels.length - ranked.length,
  };
}

/** The bin (k/count, (k+1)/count] of a probability, k from 0; zero is in the first. */
export function binOf(score: number, count = 10): number {
  let bin = Math.min(count - 1, Math.max(0, Math.floor(score * count)));
  // The edges are the floats k / count, whatever the product rounds to.
  while (bin > 0 && score <= bin / count) bin--;
  while (bin < count - 1 && score > (bin + 1) / count) bin++;
  return Number.isNaN(score) ? NaN : bin;
}

/** Labels with NaN wherever the mask is 0 or false: the one way in which evaluation knows a missing label. */
export function maskLabels(labels: ArrayLike<number>, mask: ArrayLike<number | boolean>): Float64Array {
  requireLength("mask", mask.length, "labels", labels.length);
  return Float64Array.from({ length: labels.length }, (_, row) => (mask[row] ? labels[row]! : NaN));
}

/** The patients of the ranked rows as numbers 0..count-1, in the order in which they first appear in the cohort. */
export function patientUnits(ranking: Ranking, patients: Patients): { units: Uint32Array; count: number } {
  requireLength("patients", patients.length, "labels", ranking.rows.length + ranking.missing);
  const numbers = new Map<string | number, number>();
  const units = new Uint32Array(ranking.rows.length);
  for (const i of argsort(ranking.rows)) {
    const row = ranking.rows[i]!;
    const patient = requirePatient(patients, row);
    let unit = numbers.get(patient);
    if (unit === undefined) numbers.set(patient, (unit = numbers.size));
    units[i] = unit;
  }
  return { units, count: numbers.size };
}

/** The patient of a row; throws LG-EVAL-001 where there is none. */
export function requirePatient(patients: Patients, row: number): string | number {
  const patient = patients[row];
  if (patient === undefined || patient === null || patient === "" || Number.isNaN(patient))
    throw new LeadglassError("LG-EVAL-001", `patients, row ${row}: no patient identifier`, {
      hint: "Give every image its patient; where patients are unknown, give each image an identifier of its own.",
      fields: { row },
    });
  return patient;
}

/** Throws LG-EVAL-001 when two lists that describe the same rows differ in length. */
export function requireLength(name: string, length: number, otherName: string, otherLength: number): void {
  if (length !== otherLength)
    throw new LeadglassError("LG-EVAL-001", `${name}: ${length} rows; ${otherName} has ${otherLength}`, {
      hint: "Both must describe the same images, in the same order.",
    });
}
