/**
 * An evaluation done as the study of Tayebi Arasteh et al. 2024 did it, to compare with its tables; `evaluateScores` is
 * what we advise. Thresholds are chosen on the very rows they are judged on, images are resampled as if no two were one
 * patient's, and the spread over resamples is given in place of an interval.
 */
import { LeadglassError } from "../errors.ts";
import { seededRandom } from "../math/random.ts";
import { cumulativeCounts } from "./curves.ts";
import { auroc } from "./metrics.ts";
import { requireLength } from "./observations.ts";

const measured = ["auroc", "accuracy", "sensitivity", "specificity", "f1"] as const;
type Measured = Record<(typeof measured)[number], number>;

/** Mean and standard deviation over resamples of images. */
export interface ReferenceEstimate {
  mean: number;
  standardDeviation: number;
}

export interface ReferenceAccuracyGap {
  /** A group, or "F minus M" for the two sexes. */
  value: string;
  n: number;
  /** In percentage points: the group's accuracy, minus that of all other images. They call it statistical parity difference. */
  accuracyGap: number;
}

export interface ReferenceEvaluation {
  /** What is unlike a sound evaluation, for whoever prints the numbers. */
  caution: string;
  resamples: number;
  targets: Record<
    string,
    Record<keyof Measured, ReferenceEstimate> & { threshold: number; gaps: Record<string, ReferenceAccuracyGap[]> }
  >;
  /** The unweighted mean over targets. */
  average: Record<keyof Measured, ReferenceEstimate>;
}

/** The threshold with the largest Youden index on these rows, as `roc_curve` lists them: the first of equals, from the top. */
function youdenThreshold(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const { counts, positives, negatives } = cumulativeCounts(scores, labels);
  let [best, most] = [Infinity, 0];
  for (const { tp, fp, threshold } of counts) {
    const index = tp / positives - fp / negatives;
    if (index > most) [best, most] = [threshold, index];
  }
  return best;
}

/** Predicted positive strictly above the threshold, as theirs, so that the row the threshold comes from is not. */
function measure(scores: Float64Array, labels: Float64Array, threshold: number): Measured {
  let [tp, fp, tn, fn] = [0, 0, 0, 0];
  for (let i = 0; i < scores.length; i++) {
    const [positive, called] = [labels[i] === 1, scores[i]! > threshold];
    if (called && positive) tp++;
    else if (called) fp++;
    else if (positive) fn++;
    else tn++;
  }
  return {
    auroc: auroc(scores, labels),
    accuracy: (tp + tn) / scores.length,
    sensitivity: tp / (tp + fn),
    specificity: tn / (tn + fp),
    f1: (2 * tp) / (2 * tp + fp + fn),
  };
}

function estimate(values: readonly number[]): ReferenceEstimate {
  const known = values.filter(Number.isFinite);
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  // numpy's default: divided by n.
  return { mean, standardDeviation: Math.sqrt(known.reduce((sum, x) => sum + (x - mean) ** 2, 0) / known.length) };
}

/**
 * Evaluates several targets, scores and labels (1, 0; NaN counts as 0, as theirs does) being matrices [images, targets],
 * with accuracy gaps by each column of `groups` (one value an image, null for missing).
 * Throws LG-EVAL-001 for matrices of another size, LG-EVAL-004 where a target has one class.
 */
export function referenceEvaluation({
  targets,
  scores,
  labels,
  groups = {},
  resamples = 1000,
  seed,
}: {
  readonly targets: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly groups?: Readonly<Record<string, readonly (string | null)[]>>;
  readonly resamples?: number;
  readonly seed: number | string;
}): ReferenceEvaluation {
  requireLength("scores", scores.length, "labels", labels.length);
  const images = labels.length / targets.length;
  const column = (matrix: ArrayLike<number>, k: number): Float64Array =>
    Float64Array.from({ length: images }, (_, i) => matrix[i * targets.length + k]! || 0);
  const columns = targets.map((_, k) => ({ scores: column(scores, k), labels: column(labels, k) }));
  columns.forEach(({ labels }, k) => {
    const positives = labels.reduce((a, b) => a + b, 0);
    if (positives === 0 || positives === images)
      throw new LeadglassError(
        "LG-EVAL-004",
        `target "${targets[k]}": ${positives} of ${images} images are positive; both classes are needed`,
      );
  });
  // One list of images for all targets in each resample, as theirs.
  const random = seededRandom(seed, "reference bootstrap");
  const drawn: Measured[][] = targets.map(() => []);
  const index = new Uint32Array(images);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < images; i++) index[i] = random.integer(images);
    columns.forEach((own, k) => {
      const pick = (values: Float64Array): Float64Array => Float64Array.from(index, (i) => values[i]!);
      const [s, l] = [pick(own.scores), pick(own.labels)];
      drawn[k]!.push(measure(s, l, youdenThreshold(s, l)));
    });
  }
  const estimates = (rows: readonly Measured[]) =>
    Object.fromEntries(measured.map((name) => [name, estimate(rows.map((row) => row[name]))])) as Record<
      keyof Measured,
      ReferenceEstimate
    >;
  const averages = Array.from({ length: resamples }, (_, r) =>
    Object.fromEntries(
      measured.map((name) => [name, drawn.reduce((sum, rows) => sum + rows[r]![name], 0) / targets.length]),
    ),
  ) as Measured[];
  return {
    caution:
      "as the reference study evaluates: thresholds chosen on the rows they are judged on, images resampled and not patients, standard deviations and not intervals; for comparison only",
    resamples,
    targets: Object.fromEntries(
      targets.map((target, k) => {
        const own = columns[k]!;
        const threshold = youdenThreshold(own.scores, own.labels);
        const right = own.scores.map((score, i) => Number(score > threshold === (own.labels[i] === 1)));
        return [target, { threshold, ...estimates(drawn[k]!), gaps: gapsOf(right, groups) }];
      }),
    ),
    average: estimates(averages),
  };
}

/** Each group's accuracy minus that of all images in other groups; of two groups F and M only the difference F minus M. */
function gapsOf(
  right: Float64Array,
  groups: Readonly<Record<string, readonly (string | null)[]>>,
): Record<string, ReferenceAccuracyGap[]> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, values]) => {
      const rows = Map.groupBy(
        values.flatMap((value, i) => (value === null ? [] : [{ value, i }])),
        ({ value }) => value,
      );
      const known = [...rows.values()].flat();
      const share = (own: readonly { i: number }[]): number =>
        own.reduce((sum, { i }) => sum + right[i]!, 0) / own.length;
      const gaps = [...rows]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([value, own]) => ({
          value,
          n: own.length,
          accuracyGap: 100 * (share(own) - share(known.filter((row) => row.value !== value))),
        }))
        .filter(({ accuracyGap }) => Number.isFinite(accuracyGap));
      const names = gaps.map(({ value }) => value).join();
      return [name, names === "F,M" ? [{ ...gaps[0]!, value: "F minus M", n: known.length }] : gaps];
    }),
  );
}
