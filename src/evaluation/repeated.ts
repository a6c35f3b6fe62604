/** One way of training, done several times: what it reaches on average, and whether another way reaches more. */
import { mean, quantileSorted } from "../math/statistics.ts";
import type { MetricInterval } from "./interval.ts";
import { finiteOrNull, metricTable, requireForMetrics, type MetricName } from "./metrics.ts";
import type { Patients } from "./observations.ts";
import { drawResamples } from "./resamples.ts";

/** Mean of a metric over trainings, and its difference to another way's mean on the same patients. */
export interface RepeatedMetric extends MetricInterval {
  /** Of each training. */
  readonly each: readonly (number | null)[];
  /** This less the other; positive where this is larger. Null where there is no other. */
  readonly difference: MetricInterval | null;
}

const largestUndefinedShare = 0.1;

/**
 * The mean of a metric over trainings of one kind, with a 95 % percentile interval that resamples patients and keeps the
 * trainings; and the difference to trainings of another kind, with the same draws of patients, so that what is hard for
 * both cancels. `scores` and `against` have one array a training; rows as in `bootstrapIntervals`.
 * Throws LG-EVAL-001, LG-EVAL-002 for unusable rows, LG-EVAL-003 for unusable options.
 */
export function repeatedMetric({
  scores,
  against = [],
  labels,
  patients,
  metric,
  seed,
  resamples = 2000,
}: {
  readonly scores: readonly ArrayLike<number>[];
  readonly against?: readonly ArrayLike<number>[];
  readonly labels: ArrayLike<number>;
  readonly patients: Patients;
  readonly metric: MetricName;
  readonly seed: number | string;
  readonly resamples?: number;
}): RepeatedMetric {
  const cells = [...scores, ...against].map((s) => ({ scores: s, labels }));
  const drawn = drawResamples(cells, patients, { seed, resamples });
  drawn.samples.forEach(({ ranking }) => requireForMetrics([metric], ranking));
  const { of } = metricTable[metric];
  const own = (tallies: (typeof drawn)["whole"]): number => mean(tallies.slice(0, scores.length).map(of));
  const others = (tallies: (typeof drawn)["whole"]): number => mean(tallies.slice(scores.length).map(of));
  const intervalOf = (statistic: (tallies: (typeof drawn)["whole"]) => number): MetricInterval => {
    const value = finiteOrNull(statistic(drawn.whole));
    const values = drawn.draws.map(statistic).filter(Number.isFinite).sort((a, b) => a - b); // prettier-ignore
    const undefinedResamples = drawn.draws.length - values.length;
    if (value === null || values.length < (1 - largestUndefinedShare) * resamples)
      return { value, low: null, high: null, method: "none", undefinedResamples, reason: "too few patients of a class" }; // prettier-ignore
    const [low, high] = [quantileSorted(values, 0.025), quantileSorted(values, 0.975)];
    return { value, low, high, method: "percentile", undefinedResamples };
  };
  return {
    ...intervalOf(own),
    each: drawn.whole.slice(0, scores.length).map((t) => finiteOrNull(of(t))),
    difference: against.length > 0 ? intervalOf((tallies) => own(tallies) - others(tallies)) : null,
  };
}
