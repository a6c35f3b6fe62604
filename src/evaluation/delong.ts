/** DeLong's variance of an AUROC and his test of two, in closed form: a cross-check on the bootstrap. */

import { LeadglassError } from "../errors.ts";
import { mean, midranks, normalCdf, normalQuantile, variance } from "../math/statistics.ts";
import { rankObservations, requireLength, requirePatient, type Patients } from "./observations.ts";

export interface DelongEstimate {
  auroc: number;
  variance: number;
  standardError: number;
  /** auroc -+ z * standardError, not cut at 0 and 1. */
  low: number;
  high: number;
}

export interface DelongTest {
  a: number;
  b: number;
  /** a - b. */
  difference: number;
  variance: number;
  /** Null where the variance is zero. */
  z: number | null;
  /** Two-sided, null where z is. */
  pValue: number | null;
}

/**
 * The AUROC with DeLong's variance, in O(n log n). With `patients`, one entry a row, rows of a patient may depend on each
 * other (Obuchowski's variance); without, every row counts as independent, and with several images a patient the
 * variance is too small.
 * Scores and labels (1, 0, NaN for missing) have one entry a row. Throws LG-EVAL-001, LG-EVAL-002, and LG-EVAL-004
 * for fewer than two positives or negatives, or patients with them.
 * Source: DeLong, DeLong and Clarke-Pearson 1988; by midranks, Sun and Xu 2014; clustered, Obuchowski 1997.
 */
export function delongVariance(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  { level = 0.95, patients }: { level?: number; patients?: Patients } = {},
): DelongEstimate {
  const placed = placements(scores, labels);
  const { auroc } = placed;
  const estimate = patients ? clusteredVariance(placed, patients) : varianceOfMean(placed);
  const standardError = Math.sqrt(estimate);
  const reach = normalQuantile((1 + level) / 2) * standardError;
  return { auroc, variance: estimate, standardError, low: auroc - reach, high: auroc + reach };
}

/**
 * DeLong's test of two AUROCs on the same rows. Arguments, errors and source as {@link delongVariance}; give `patients`
 * where they have several rows.
 */
export function delongTest(
  scoresA: ArrayLike<number>,
  scoresB: ArrayLike<number>,
  labels: ArrayLike<number>,
  { patients }: { patients?: Patients } = {},
): DelongTest {
  requireLength("scoresA", scoresA.length, "scoresB", scoresB.length);
  const [a, b] = [placements(scoresA, labels), placements(scoresB, labels)];
  // The variance of a difference is the variance of the differences: never negative, and zero for equal rankings.
  const differences = {
    ...a,
    positives: a.positives.map((placement, i) => placement - b.positives[i]!),
    negatives: a.negatives.map((placement, i) => placement - b.negatives[i]!),
  };
  const estimate = patients ? clusteredVariance(differences, patients) : varianceOfMean(differences);
  const difference = a.auroc - b.auroc;
  const z = estimate > 0 ? difference / Math.sqrt(estimate) : null;
  return {
    a: a.auroc,
    b: b.auroc,
    difference,
    variance: estimate,
    z,
    pValue: z === null ? null : 2 * normalCdf(-Math.abs(z)),
  };
}

interface Placements {
  readonly auroc: number;
  /** For each positive, the share of negatives below it; for each negative, the share of positives above it. */
  readonly positives: Float64Array;
  readonly negatives: Float64Array;
  /** The row of each. */
  readonly positiveRows: Uint32Array;
  readonly negativeRows: Uint32Array;
  /** Rows of the cohort, labelled or not. */
  readonly rowCount: number;
}

function placements(scores: ArrayLike<number>, labels: ArrayLike<number>): Placements {
  const ranking = rankObservations(scores, labels);
  const [m, n] = [ranking.positives, ranking.negatives];
  if (m < 2 || n < 2)
    throw new LeadglassError(
      "LG-EVAL-004",
      `labels: ${m} positive and ${n} negative; at least two of each are needed`,
      {
        fields: { positives: m, negatives: n },
      },
    );
  // By row, so that two models' placements stand in the same order.
  const rows = ranking.rows.toSorted();
  const [positiveRows, negativeRows] = [1, 0].map((label) => rows.filter((row) => labels[row] === label)) as [
    Uint32Array,
    Uint32Array,
  ];
  const scoresOf = (of: Uint32Array) => Float64Array.from(of, (row) => scores[row]!);
  const [x, y] = [scoresOf(positiveRows), scoresOf(negativeRows)];
  const all = midranks([...x, ...y]);
  const [within, withinNegatives] = [midranks(x), midranks(y)];
  const positives = x.map((_, i) => (all[i]! - within[i]!) / n);
  const negatives = y.map((_, j) => 1 - (all[m + j]! - withinNegatives[j]!) / m);
  return {
    ...{ auroc: mean(positives), positives, negatives, positiveRows, negativeRows },
    rowCount: labels.length,
  };
}

function varianceOfMean({ positives, negatives }: Placements): number {
  return variance(positives) / positives.length + variance(negatives) / negatives.length;
}

/**
 * The variance where placements of one patient's rows depend on each other: sums over each patient take the place of
 * single placements, and a patient with both classes adds the product of its two sums.
 * Source: Obuchowski 1997, section 3.
 */
function clusteredVariance(placed: Placements, patients: Patients): number {
  requireLength("patients", patients.length, "labels", placed.rowCount);
  const sumsOf = (placements: Float64Array, rows: Uint32Array) => {
    const centre = mean(placements);
    const sums = new Map<string | number, number>();
    placements.forEach((placement, i) => {
      const patient = requirePatient(patients, rows[i]!);
      sums.set(patient, (sums.get(patient) ?? 0) + placement - centre);
    });
    return sums;
  };
  const positive = sumsOf(placed.positives, placed.positiveRows);
  const negative = sumsOf(placed.negatives, placed.negativeRows);
  if (positive.size < 2 || negative.size < 2)
    throw new LeadglassError(
      "LG-EVAL-004",
      `labels: ${positive.size} patients with positives, ${negative.size} with negatives; two of each are needed`,
      { fields: { positives: positive.size, negatives: negative.size } },
    );
  const [m, n] = [placed.positives.length, placed.negatives.length];
  const all = new Set([...positive.keys(), ...negative.keys()]).size;
  const scaled = (count: number, sum: number) => (count / (count - 1)) * sum;
  const squares = (sums: Map<unknown, number>) => [...sums.values()].reduce((sum, x) => sum + x * x, 0);
  const products = [...positive].reduce((sum, [patient, x]) => sum + x * (negative.get(patient) ?? 0), 0);
  return (
    scaled(positive.size, squares(positive)) / m ** 2 +
    scaled(negative.size, squares(negative)) / n ** 2 +
    (2 * scaled(all, products)) / (m * n)
  );
}
