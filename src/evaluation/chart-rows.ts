/** From evaluations of several models to the rows of an interval chart. */

import type { Evaluation, GroupEvaluation, ReportedMetric, ScoreEvaluation } from "./evaluate.ts";
import type { MetricInterval } from "./interval.ts";
import { metricTable } from "./metrics.ts";

/** What a chart shows of a value. */
export type Estimate = Readonly<Pick<MetricInterval, "value" | "low" | "high" | "reason">>;

/** One dot with its interval: a model's value of one metric, or of one metric in one group. */
export interface IntervalRow extends Estimate {
  /** What the models are compared on here: rows of one label stand together, in the order of their first appearance. */
  readonly label: string;
  /** A quieter second line below the label, for example the number of patients. */
  readonly detail?: string;
  readonly model: string;
  /** What a useless model would get: drawn as a dashed tick. */
  readonly reference?: number;
}

/** A model by name with its evaluation on the same rows as the others'. */
export interface EvaluatedModel {
  readonly model: string;
  readonly evaluation: ScoreEvaluation;
}

/** Rows that compare models metric by metric, with what a useless score gets where that is known. */
export function metricRows(
  models: readonly EvaluatedModel[],
  metrics: readonly ReportedMetric[] = ["auroc", "auprc", "accuracy", "sensitivity", "specificity"],
): IntervalRow[] {
  return metrics.flatMap((metric) =>
    models.map(({ model, evaluation }) => ({
      ...{ label: metricTable[metric].title, model, ...estimateOf(evaluation, metric) },
      detail:
        metric === "auprc" && evaluation.prevalence !== null ? `prevalence ${evaluation.prevalence.toFixed(2)}` : "",
    })),
  );
}

/** Rows that compare models on one metric group by group, with each group's size below its name. */
export function groupMetricRows(models: readonly EvaluatedModel[], metric: ReportedMetric): IntervalRow[] {
  return models.flatMap(({ model, evaluation }) =>
    evaluation.groups.map((group) => ({
      label: `${group.column}: ${group.value ?? "not recorded"}`,
      detail: group.n === null ? "" : `${group.patients} patients, ${group.positives}/${group.n} positive`,
      ...{ model, ...estimateOf(group, metric) },
    })),
  );
}

function estimateOf(evaluation: Evaluation | GroupEvaluation, metric: ReportedMetric) {
  const { value, low, high, reason } = evaluation[metric];
  const reference = metric === "auroc" ? 0.5 : metric === "auprc" ? (evaluation.prevalence ?? undefined) : undefined;
  return { value, low, high, reason, reference };
}
