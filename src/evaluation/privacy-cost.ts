/** What privacy costs, and whom: a private model against one without privacy, on the same patients. */

import { LeadglassError } from "../errors.ts";
import { normalQuantile } from "../math/statistics.ts";
import { bootstrapDifference } from "./bootstrap.ts";
import { defaultBands, groupRows, type Bands, type GroupColumn } from "./groups.ts";
import { metricTable, type MetricName, type Tally } from "./metrics.ts";
import { requireLength, type Patients } from "./observations.ts";
import { drawResamples, requireResampling } from "./resamples.ts";
import { simultaneousIntervals, type SimultaneousInterval } from "./simultaneous.ts";
import { degreesOfFreedom } from "./small-samples.ts";
import { studentRatio } from "./student.ts";
import { suppressed, suppressedReason, type Suppression } from "./suppression.ts";

/**
 * - "equivalent": the interval of two one-sided tests lies within the margin.
 * - "worse", "better": the interval lies beyond the margin, or, being no wider than the margin, on one side of zero.
 * - "not enough patients to tell": anything else; the interval is wider than the margin.
 */
export type CostVerdict = "equivalent" | "worse" | "better" | "not enough patients to tell";

export interface PrivacyCost {
  /** Labelled images, their patients, and the positives among them; null where a release suppresses them. */
  n: number | null;
  patients: number | null;
  positives: number | null;
  private: number | null;
  nonPrivate: number | null;
  /** Private minus non-private, paired; negative where privacy costs. */
  difference: { value: number | null; low: number | null; high: number | null; reason?: string };
  /** Two one-sided tests: equivalent where [low, high], at a confidence of 1 - 2 alpha, lies within the margin. */
  equivalence: { low: number | null; high: number | null; equivalent: boolean };
  verdict: CostVerdict | null;
  sentence: string;
}

export interface GroupPrivacyCost extends PrivacyCost {
  column: string;
  value: string | null;
  suppressed: Suppression | null;
  /** The difference with an interval that holds for all groups of all columns together. */
  together: SimultaneousInterval;
  /**
   * The group's difference minus the mean of the other groups' differences in its column, weighted by images: negative where
   * privacy costs this group more. Simultaneous over all groups of all columns.
   */
  amplification: SimultaneousInterval;
}

export interface PrivacyCostReport {
  metric: MetricName;
  margin: number;
  alpha: number;
  level: number;
  overall: PrivacyCost;
  groups: GroupPrivacyCost[];
  /** Groups that privacy costs more, or less, than the others, by `amplification`. */
  amplified: { column: string; value: string; direction: "costs more" | "costs less" }[];
  sentence: string;
}

/**
 * Compares a private model with one without privacy on the same rows, over all and by group, resampling patients and both
 * models with the same draw. Scores, labels (1, 0, NaN for missing) and patients have one entry a row.
 *
 * Intervals are BCa, as of `pairedDifference`, widened by Student's ratio for the patients of the rarer class. A group of
 * fewer than `minimumPatients` never gets another verdict than "not enough patients to tell": that no difference was seen
 * in few patients is no evidence that there is none.
 * Throws LG-EVAL-001 to LG-EVAL-003 and LG-EVAL-005 for unusable rows, options or columns.
 * Source: two one-sided tests, Schuirmann 1987.
 */
export function privacyCost({
  privateScores,
  nonPrivateScores,
  labels,
  patients,
  metric = "auroc",
  privateThreshold,
  nonPrivateThreshold,
  groups = {},
  bands = defaultBands,
  by,
  margin = 0.05,
  alpha = 0.05,
  level = 0.95,
  minimumPatients = 10,
  release = false,
  resamples = 2000,
  seed,
}: {
  readonly privateScores: ArrayLike<number>;
  readonly nonPrivateScores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly patients: Patients;
  /** A metric of which more is better; AUROC by default. */
  readonly metric?: "auroc" | "auprc" | "accuracy" | "sensitivity" | "specificity" | "balancedAccuracy" | "f1" | "mcc";
  readonly privateThreshold?: number;
  readonly nonPrivateThreshold?: number;
  readonly groups?: Readonly<Record<string, GroupColumn>>;
  readonly bands?: Bands;
  readonly by?: readonly (readonly string[])[];
  /** The largest difference that does not matter; 0.05 by default. */
  readonly margin?: number;
  readonly alpha?: number;
  readonly level?: number;
  readonly minimumPatients?: number;
  readonly release?: boolean;
  readonly resamples?: number;
  readonly seed: number | string;
}): PrivacyCostReport {
  if (!(margin > 0)) throw new LeadglassError("LG-EVAL-003", `margin: ${margin}; a number above 0 was expected`);
  requireResampling(resamples, level);
  requireResampling(resamples, 1 - 2 * alpha);
  requireLength("privateScores", privateScores.length, "labels", labels.length);
  requireLength("nonPrivateScores", nonPrivateScores.length, "labels", labels.length);
  const { of } = metricTable[metric];

  const costOf = (rows: readonly number[]): PrivacyCost => {
    const pick = (values: ArrayLike<number>) => rows.map((row) => values[row]!);
    const drawn = bootstrapDifference({
      ...{ scoresA: pick(privateScores), scoresB: pick(nonPrivateScores), labels: pick(labels), metric },
      patients: rows.map((row) => patients[row]!),
      ...(privateThreshold === undefined ? {} : { thresholdA: privateThreshold }),
      ...(nonPrivateThreshold === undefined ? {} : { thresholdB: nonPrivateThreshold }),
      ...{ resamples, seed, level },
    });
    const { a, b, sample } = drawn;
    const labelled = rows.filter((row) => !Number.isNaN(labels[row]!));
    const df = degreesOfFreedom(metric, sample);
    const widened = (at: number) => {
      const { value, low, high, reason } = drawn.interval(at);
      if (value === null || low === null || high === null || df < 1)
        return { value, low: null, high: null, reason: reason ?? "too few patients of a class" };
      const ratio = studentRatio(normalQuantile((1 + at) / 2), df);
      // No difference of two values between 0 and 1 lies beyond 1; of a correlation, beyond 2.
      const most = metric === "mcc" ? 2 : 1;
      return {
        value,
        low: Math.max(-most, value - ratio * (value - low)),
        high: Math.min(most, value + ratio * (high - value)),
      };
    };
    const difference = widened(level);
    const { low, high } = widened(1 - 2 * alpha);
    const few = sample.count < minimumPatients;
    const equivalent = !few && low !== null && high !== null && low > -margin && high < margin;
    const verdict = few || a === null || b === null ? undecided(a, b) : judge(difference, equivalent, margin);
    return {
      ...{ n: labelled.length, patients: sample.count, positives: labelled.filter((row) => labels[row] === 1).length },
      ...{ private: a, nonPrivate: b, difference, equivalence: { low, high, equivalent }, verdict },
      sentence: sentenceOf(verdict, difference, margin),
    };
  };

  const parts = groupRows(groups, labels.length, bands, by);
  const counts = parts.map(
    ({ rows }) => new Set(rows.flatMap((row) => (Number.isNaN(labels[row]!) ? [] : [patients[row]!]))).size,
  );
  const hidden = suppressed(parts, counts, minimumPatients);
  const costs = parts.map(({ rows }) => costOf(rows));
  const kept = costs.flatMap(({ private: a, nonPrivate: b }, i) =>
    a !== null && b !== null && hidden[i] !== "small" && !(release && hidden[i] !== null) && parts[i]!.value !== null
      ? [i]
      : [],
  );
  const drawn = drawResamples(
    kept.flatMap((i) => [
      cellOf(privateScores, labels, privateThreshold, parts[i]!.rows),
      cellOf(nonPrivateScores, labels, nonPrivateThreshold, parts[i]!.rows),
    ]),
    patients,
    { resamples, seed },
  );
  const costIn = (tallies: readonly Tally[], k: number) => of(tallies[2 * k]!) - of(tallies[2 * k + 1]!);
  const degrees = kept.map((_, k) => degreesOfFreedom(metric, drawn.samples[2 * k]!));
  const together = simultaneousIntervals(
    kept.map((_, k) => ({
      value: costIn(drawn.whole, k),
      draws: drawn.draws.map((tallies) => costIn(tallies, k)),
      degreesOfFreedom: degrees[k]!,
    })),
    { level, range: [-1, 1] },
  );
  const compared = kept.flatMap((i, k) => {
    const others = kept.flatMap((j, l) => (l !== k && parts[j]!.column === parts[i]!.column ? [l] : []));
    return others.length === 0 ? [] : [{ k, others }];
  });
  const amplifications = simultaneousIntervals(
    compared.map(({ k, others }) => {
      const gap = (tallies: readonly Tally[]) => {
        let [sum, weight] = [0, 0];
        for (const other of others) {
          const cost = costIn(tallies, other);
          if (Number.isNaN(cost)) continue;
          const images = tallies[2 * other]!.positives + tallies[2 * other]!.negatives;
          sum += images * cost;
          weight += images;
        }
        return costIn(tallies, k) - sum / weight;
      };
      const rest = others.reduce((sum, other) => sum + degrees[other]!, 0);
      return { value: gap(drawn.whole), draws: drawn.draws.map(gap), degreesOfFreedom: Math.min(degrees[k]!, rest) };
    }),
    { level, range: [-2, 2] },
  );
  const report = parts.map(({ column, value }, i): GroupPrivacyCost => {
    const group = { column, value, suppressed: hidden[i]! };
    const absent = (reason: string) => ({ value: null, low: null, high: null, pValue: null, reason });
    if (release && group.suppressed !== null) {
      const reason = suppressedReason(group.suppressed, minimumPatients);
      const numbers = { n: null, patients: null, positives: null, private: null, nonPrivate: null };
      const equivalence = { low: null, high: null, equivalent: false };
      const difference = { value: null, low: null, high: null, reason };
      const rest = { together: absent(reason), amplification: absent(reason), sentence: reason };
      return { ...group, ...numbers, difference, equivalence, verdict: null, ...rest };
    }
    const k = kept.indexOf(i);
    const position = compared.findIndex((each) => each.k === k);
    const why = counts[i]! < minimumPatients ? `fewer than ${minimumPatients} patients` : "not compared";
    return {
      ...{ ...group, ...costs[i]!, together: k < 0 ? absent(why) : together[k]! },
      amplification: k < 0 || position < 0 ? absent(k < 0 ? why : "no other group") : amplifications[position]!,
    };
  });
  const amplified = report.flatMap(({ column, value, amplification: { low, high } }) =>
    low === null || high === null || (low <= 0 && high >= 0)
      ? []
      : [{ column, value: value!, direction: high < 0 ? ("costs more" as const) : ("costs less" as const) }],
  );
  const overall = costOf(Array.from({ length: labels.length }, (_, row) => row));
  return {
    ...{ metric, margin, alpha, level, overall, groups: report, amplified },
    sentence: summaryOf(overall, report, amplified, margin),
  };
}

function cellOf(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  threshold: number | undefined,
  rows: readonly number[],
) {
  return { scores, labels, rows, ...(threshold === undefined ? {} : { threshold }) };
}

const undecided = (a: number | null, b: number | null): CostVerdict | null =>
  a === null || b === null ? null : "not enough patients to tell";

function judge({ low, high }: PrivacyCost["difference"], equivalent: boolean, margin: number): CostVerdict {
  if (equivalent) return "equivalent";
  if (low === null || high === null) return "not enough patients to tell";
  if (high < -margin) return "worse";
  if (low > margin) return "better";
  if (high - low > margin) return "not enough patients to tell";
  return high < 0 ? "worse" : low > 0 ? "better" : "not enough patients to tell";
}

function sentenceOf(
  verdict: CostVerdict | null,
  { low, high, reason }: PrivacyCost["difference"],
  margin: number,
): string {
  if (verdict === null) return reason ?? "not defined here";
  if (verdict === "equivalent") return `the two differ by less than ${margin}`;
  if (verdict !== "not enough patients to tell") return `the private model is ${verdict}`;
  if (low !== null && high! < 0) return "not enough patients to tell by how much the private model is worse";
  if (low !== null && low > 0) return "not enough patients to tell by how much the private model is better";
  return verdict;
}

function summaryOf(
  overall: PrivacyCost,
  groups: readonly GroupPrivacyCost[],
  amplified: PrivacyCostReport["amplified"],
  margin: number,
): string {
  const parts = [`Over all patients: ${overall.sentence}`];
  const unsure = groups.filter(({ verdict }) => verdict === "not enough patients to tell").length;
  if (amplified.length > 0)
    parts.push(
      amplified.map(({ column, value, direction }) => `privacy ${direction} for ${column} ${value}`).join(", "),
    );
  if (unsure > 0) parts.push(`for ${unsure} of ${groups.length} groups there are not enough patients to tell`);
  else if (groups.length > 0 && groups.every(({ verdict }) => verdict === "equivalent"))
    parts.push(`in every group the two differ by less than ${margin}`);
  return `${parts.join("; ")}.`;
}
