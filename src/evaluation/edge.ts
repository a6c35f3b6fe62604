/** Limits where the bootstrap has none: a metric that is exactly 0 or 1 is so in every resample too. */

import type { MetricInterval } from "./interval.ts";
import { metricTable, type Metric, type MetricName } from "./metrics.ts";
import type { PatientSample } from "./observations.ts";

/** How many independent trials a metric rests on when one image of each patient is looked at. */
export const trials: Partial<Record<MetricName, (sample: PatientSample) => number>> = {
  prevalence: ({ count }) => count,
  accuracy: ({ count }) => count,
  sensitivity: (sample) => patientsWith(sample, (label) => label === 1).size,
  specificity: (sample) => patientsWith(sample, (label) => label === 0).size,
  falsePositiveRate: (sample) => patientsWith(sample, (label) => label === 0).size,
  selectionRate: ({ count }) => count,
  ppv: (sample) => patientsWith(sample, (_, predicted) => predicted).size,
  npv: (sample) => patientsWith(sample, (_, predicted) => !predicted).size,
  auroc: (sample) => {
    const positive = patientsWith(sample, (label) => label === 1);
    const negative = patientsWith(sample, (label) => label === 0);
    // The most disjoint pairs of one patient with a positive image and another with a negative one.
    const either = patientsWith(sample, () => true);
    return Math.min(positive.size, negative.size, Math.floor(either.size / 2));
  },
};

/** Whether no resample can leave the value, because the metric has nowhere further to go. */
export function isEdge(name: MetricName, value: number | null): value is number {
  const { range = [0, 1] }: Metric = metricTable[name];
  return value === range[0] || value === range[1];
}

/**
 * The interval of a metric whose value is exactly 0 or 1 (or another end of its range): with k independent trials all alike, the far limit is
 * (alpha/2)^(1/k) from the other end (Clopper and Pearson 1934). Taking one image a patient, and for AUROC disjoint
 * pairs of patients, errs on the wide side: all images being right implies that those are.
 * Metrics that are not a share of trials (AUPRC, F1, Brier, ...) get null and the reason.
 */
export function exactEdge(
  name: MetricName,
  value: number,
  sample: PatientSample,
  level: number,
): Pick<MetricInterval, "low" | "high" | "method" | "reason"> {
  const k = trials[name]?.(sample);
  if (k === undefined || k < 2)
    return {
      low: null,
      high: null,
      method: "none",
      reason: k === undefined ? `${value} in every resample` : "only one patient",
    };
  const far = ((1 - level) / 2) ** (1 / k);
  return { low: value === 1 ? far : 0, high: value === 1 ? 1 : 1 - far, method: "exact" };
}

/** The patients with a row that is so. */
export function patientsWith(
  { ranking, units, cut }: PatientSample,
  holds: (label: number, predictedPositive: boolean) => boolean,
): Set<number> {
  const found = new Set<number>();
  units.forEach((unit, i) => holds(ranking.labels[i]!, i < cut) && found.add(unit));
  return found;
}
