/** What a sweep says beyond its single runs: what privacy costs and whom, and what goes with epsilon and group size. */
import { pearson, privacyCost, type Correlation, type PrivacyCostReport } from "../../evaluation/index.ts";
import type { Cohort } from "../../cohort/index.ts";
import { groupingOf, type EvaluateReport } from "../evaluate-run.ts";
import { maskedLabels } from "../train-validation.ts";

/** A model that was trained with one budget and seed, and what it answered. */
export interface SweepRun {
  /** "inf", or epsilon as text. */
  readonly arm: string;
  readonly seed: number;
  readonly evaluation: Pick<EvaluateReport, "metrics" | "groups" | "fairness">;
  readonly prediction: SweepPrediction;
}

export interface SweepPrediction {
  readonly cohort: Cohort;
  readonly targets: readonly string[];
  readonly images: readonly number[];
  /** [images, targets] */
  readonly probabilities: Float32Array;
  readonly thresholds: readonly number[];
}

/** A private run against the run without privacy of the same seed. */
export interface SweepCost {
  readonly target: string;
  readonly arm: string;
  readonly seed: number;
  readonly cost: PrivacyCostReport;
}

export interface SweepCorrelation extends Correlation {
  readonly target: string;
  readonly column: string;
  /** The group; null for a correlation over groups. */
  readonly value: string | null;
  /** "epsilon and accuracy gap" over private runs, or "group size and AUROC" over the groups of an arm, seeds averaged. */
  readonly of: "epsilon and accuracy gap" | "group size and AUROC";
  /** The arm, where the correlation is within one. */
  readonly arm: string | null;
}

/** Scores and labels of one target of a prediction. */
export function columnOf({ targets, thresholds, cohort, images, probabilities }: SweepPrediction, target: string) {
  const k = targets.indexOf(target);
  const scores = Float64Array.from(images, (_, i) => probabilities[i * targets.length + k]!);
  return { scores, labels: maskedLabels([cohort.target(target)], images), threshold: thresholds[k]! };
}

/** What privacy costs in each private run, by group, where the same seed was trained without privacy. */
export function costsOf(
  runs: readonly SweepRun[],
  { targets, groups, margin }: { targets: readonly string[]; groups: readonly string[]; margin: number },
): SweepCost[] {
  const open = new Map(runs.filter(({ arm }) => arm === "inf").map((run) => [run.seed, run]));
  return runs.flatMap(({ arm, seed, prediction }) => {
    const other = open.get(seed);
    if (arm === "inf" || !other) return [];
    const { cohort, images } = prediction;
    const { columns, bands, by } = groupingOf(cohort, groups, images);
    return targets.map((target) => {
      const [own, without] = [columnOf(prediction, target), columnOf(other.prediction, target)];
      const cost = privacyCost({
        privateScores: own.scores,
        nonPrivateScores: without.scores,
        labels: own.labels,
        patients: images.map((i) => cohort.records[i]!.patientId),
        privateThreshold: own.threshold,
        nonPrivateThreshold: without.threshold,
        groups: columns,
        ...{ bands, by, margin, seed: 1 },
      });
      return { target, arm, seed, cost };
    });
  });
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/**
 * The study's own two correlations, with intervals: epsilon with each group's accuracy gap over the private runs, seeds
 * averaged, and the size of groups with their AUROC within each arm. A handful of points says little, and the same
 * patients are behind all of them.
 */
export function correlationsOf(runs: readonly SweepRun[], targets: readonly string[]): SweepCorrelation[] {
  const arms = [...new Set(runs.map(({ arm }) => arm))];
  const ofArm = (arm: string) => runs.filter((run) => run.arm === arm);
  return targets.flatMap((target) => {
    const columns = (arm: string) => ofArm(arm).flatMap(({ evaluation }) => evaluation.fairness[target]?.columns ?? []);
    const names = [...new Set(arms.flatMap((arm) => columns(arm).map(({ column }) => column)))];
    return names.flatMap((column): SweepCorrelation[] => {
      const gaps = new Map<string, { epsilon: number; gap: number }[]>();
      for (const arm of arms.filter((arm) => arm !== "inf")) {
        const groups = columns(arm).flatMap((c) => (c.column === column ? c.groups : []));
        for (const [value, own] of Map.groupBy(groups, (group) => group.value)) {
          const known = own.flatMap(({ gaps }) => gaps.accuracy.value ?? []);
          if (known.length > 0)
            gaps.set(value, [...(gaps.get(value) ?? []), { epsilon: Number(arm), gap: mean(known) }]);
        }
      }
      const overEpsilon = [...gaps].map(([value, points]): SweepCorrelation => ({
        ...{ target, column, value, of: "epsilon and accuracy gap", arm: null },
        ...pearson(
          points.map(({ epsilon }) => epsilon),
          points.map(({ gap }) => gap),
          { seed: 1 },
        ),
      }));
      const overGroups = arms.map((arm): SweepCorrelation => {
        const rows = ofArm(arm).flatMap(({ evaluation }) =>
          evaluation.groups.filter((g) => g.target === target && g.column === column && g.auroc.value !== null),
        );
        const points = [...Map.groupBy(rows, ({ value }) => value).values()].map((own) => ({
          size: mean(own.map(({ n }) => n ?? 0)),
          auroc: mean(own.map(({ auroc }) => auroc.value!)),
        }));
        return {
          ...{ target, column, value: null, of: "group size and AUROC", arm },
          ...pearson(
            points.map(({ size }) => size),
            points.map(({ auroc }) => auroc),
            { seed: 1 },
          ),
        };
      });
      return [...overEpsilon, ...overGroups];
    });
  });
}
