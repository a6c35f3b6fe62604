/** What resampling cannot see in few patients: the spread of a value at the edge of its range, and of the spread itself. */

import { patientsWith, trials } from "./edge.ts";
import type { MetricName } from "./metrics.ts";
import type { PatientSample } from "./observations.ts";

/** With fewer trials than this on one side of a value, its spread is not left to resampling alone. */
const fewOnOneSide = { rate: 3, auroc: 0.5 };

/**
 * The least variance that a value can be credited with. Where hardly any trials went the other way (fewer than three
 * patients' worth; for the AUROC, where every patient is in many pairs, half), resamples hold few of them or, at 0 or 1, none:
 * then it is the variance at a value with one
 * trial of each kind added (Agresti and Caffo 2000), by the binomial for rates and by Hanley and McNeil 1982 for the
 * AUROC. Otherwise zero.
 */
export function leastVariance(name: MetricName, value: number, sample: PatientSample): number {
  const k = trials[name]?.(sample) ?? 0;
  if (k === 0 || k * Math.min(value, 1 - value) >= fewOnOneSide[name === "auroc" ? "auroc" : "rate"]) return 0;
  const shrunk = (k * value + 1) / (k + 2);
  if (name !== "auroc") return (shrunk * (1 - shrunk)) / (k + 2);
  const [m, n] = [1, 0].map((label) => patientsWith(sample, (own) => own === label).size) as [number, number];
  const [q1, q2] = [shrunk / (2 - shrunk), (2 * shrunk ** 2) / (1 + shrunk)];
  return (shrunk * (1 - shrunk) + (m - 1) * (q1 - shrunk ** 2) + (n - 1) * (q2 - shrunk ** 2)) / (m * n);
}

/** Degrees of freedom of a value's spread: the patients it rests on, for the AUROC those of the rarer class, less one. */
export function degreesOfFreedom(name: MetricName, sample: PatientSample): number {
  return (trials[name]?.(sample) ?? sample.count) - 1;
}
