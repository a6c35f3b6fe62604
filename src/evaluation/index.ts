/**
 * Evaluation of binary scores: metrics, operating points, patient-resampled intervals, paired tests, groups.
 * Charts are apart, in charts.ts: the drawing library takes about a second to load.
 */

export {
  auprc,
  auroc,
  brier,
  confusionAt,
  ece,
  logLoss,
  metricTable,
  prevalence,
  type Confusion,
  type MetricName,
} from "./metrics.ts";
export { maskLabels, type Patients } from "./observations.ts";
export { precisionRecallCurve, rocCurve, type PrecisionRecallPoint, type RocPoint } from "./curves.ts";
export { chooseThreshold, type OperatingPoint, type ThresholdRule } from "./threshold.ts";
export { bootstrapIntervals, pairedDifference, type BootstrapOptions, type PairedInterval } from "./bootstrap.ts";
export { repeatedMetric, type RepeatedMetric } from "./repeated.ts";
export { type MetricInterval } from "./interval.ts";
export { delongTest, delongVariance, type DelongEstimate, type DelongTest } from "./delong.ts";
export { reliability, type Reliability, type ReliabilityBin } from "./calibration.ts";
export { defaultBands, parseGroups, type Bands, type GroupColumn, type GroupRequest } from "./groups.ts";
export {
  evaluateScores,
  evaluateTargets,
  type EvaluateOptions,
  type Evaluation,
  type GroupEvaluation,
  type ReportedMetric,
  type ScoreEvaluation,
} from "./evaluate.ts";
export {
  referenceEvaluation,
  type ReferenceAccuracyGap,
  type ReferenceEstimate,
  type ReferenceEvaluation,
} from "./reference.ts";
export { groupRows, type Group } from "./groups.ts";
export { pearson, type Correlation } from "./correlation.ts";
export { equivalenceTest, type EquivalenceTest } from "./equivalence.ts";
export {
  evaluateFairness,
  type ColumnFairness,
  type ComparedMetric,
  type Fairness,
  type FairnessOptions,
  type FairnessVerdict,
  type Finding,
  type GroupGaps,
  type Spread,
  type WorstValue,
} from "./fairness.ts";
export { simultaneousIntervals, type Component, type SimultaneousInterval } from "./simultaneous.ts";
export {
  privacyCost,
  type CostVerdict,
  type GroupPrivacyCost,
  type PrivacyCost,
  type PrivacyCostReport,
} from "./privacy-cost.ts";
