/** What a training learns from its validation patients: which of its states to keep, and where to decide. */
import type { Cohort, Target } from "../cohort/index.ts";
import { chooseThreshold, evaluateTargets, type ScoreEvaluation } from "../evaluation/index.ts";
import type { DpPlan } from "../privacy/index.ts";
import type { TrainingSettings } from "../training/train.ts";
import { bestState, unitScores } from "./best-state.ts";
import { noisyThresholds, scoreCells } from "./noisy-threshold.ts";
import { sourceFor } from "./train-settings.ts";

export const mean = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((v) => v !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null;
};

/** Which state of a training the validation patients have as the best. */
export async function choiceOfState(
  cohort: Cohort,
  targets: readonly Target[],
  {
    predictions,
    unit,
    noise,
  }: {
    /** Of each state, to be computed one after another. */
    readonly predictions: (images: readonly number[]) => readonly (() => Promise<Float32Array>)[];
    readonly unit: "patient" | "image";
    readonly noise: { readonly plan: DpPlan; readonly settings: TrainingSettings; readonly epsilon: number } | null;
  },
): Promise<number> {
  const images = cohort.imagesOf("val");
  const labels = maskedLabels(targets, images);
  const units = unit === "patient" ? images.map((i) => cohort.records[i]!.patientId) : images;
  const perUnit: Float64Array[] = [];
  for (const predicted of predictions(images))
    perUnit.push(unitScores(await predicted(), labels, units, targets.length));
  if (noise === null) return bestState(perUnit, null);
  const { plan, settings, epsilon } = noise;
  using source = sourceFor(plan, settings.seed, "choice of a state");
  return bestState(perUnit, { epsilon, relation: plan.relation, source, insecureSeed: plan.insecureSeed });
}

/**
 * Thresholds and metrics on the validation split. With `noise` its patients are private: the thresholds then come from a
 * histogram released with noise, and the metrics are for the owner alone.
 */
export async function validate(
  cohort: Cohort,
  targets: readonly Target[],
  {
    predict,
    noise,
  }: {
    readonly predict: (images: readonly number[]) => Promise<Float32Array>;
    readonly noise: { readonly plan: DpPlan; readonly settings: TrainingSettings; readonly multiplier: number } | null;
  },
): Promise<{ thresholds: number[]; private: boolean; evaluations: Record<string, ScoreEvaluation> }> {
  const images = cohort.imagesOf("val");
  const scores = await predict(images);
  const labels = maskedLabels(targets, images);
  const patients = images.map((i) => cohort.records[i]!.patientId);
  const column = (matrix: Float32Array, k: number): Float32Array =>
    Float32Array.from(images, (_, i) => matrix[i * targets.length + k]!);
  const privately = ({ plan, settings, multiplier }: NonNullable<typeof noise>): number[] => {
    using source = sourceFor(plan, settings.seed, "validation histogram");
    return noisyThresholds(scoreCells(scores, labels, plan.unit === "patient" ? patients : images, targets.length), {
      plan,
      noiseMultiplier: multiplier,
      targets: targets.length,
      positiveWeights: settings.loss.kind === "binary" ? settings.loss.positiveWeights : undefined,
      source,
    });
  };
  const thresholds = noise
    ? privately(noise)
    : targets.map((_, k) => chooseThreshold(column(scores, k), column(labels, k)).threshold);
  const evaluations = evaluateTargets({
    targets: targets.map((t) => t.name),
    scores,
    labels,
    thresholds,
    patients,
    seed: 1,
  });
  return { thresholds, private: noise !== null, evaluations };
}

/** Labels [images, targets] with NaN where there is none. */
export const maskedLabels = (targets: readonly Target[], images: readonly number[]): Float32Array =>
  Float32Array.from({ length: images.length * targets.length }, (_, cell) => {
    const target = targets[cell % targets.length]!;
    const image = images[Math.floor(cell / targets.length)]!;
    return target.present[image] === 1 ? target.labels[image]! : NaN;
  });
