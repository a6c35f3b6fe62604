/** Whether a model serves some patients worse than others: gaps between groups, with intervals that hold together. */

import { LeadglassError } from "../errors.ts";
import { defaultBands, groupRows, type Bands, type Group, type GroupColumn } from "./groups.ts";
import { metricTable, type MetricName, type Tally } from "./metrics.ts";
import type { Patients } from "./observations.ts";
import { drawResamples, requireResampling, type Resamples } from "./resamples.ts";
import { simultaneousIntervals, type Component, type SimultaneousInterval } from "./simultaneous.ts";
import { degreesOfFreedom, leastVariance } from "./small-samples.ts";
import { suppressed, suppressedReason } from "./suppression.ts";

const compared = ["auroc", "accuracy", "sensitivity", "falsePositiveRate", "selectionRate"] as const;

/** The metrics that groups are compared on. */
export type ComparedMetric = (typeof compared)[number];

/** A difference between the highest and the lowest of the groups, which are named. */
export interface Spread {
  value: number | null;
  low: number | null;
  high: number | null;
  highest: string | null;
  lowest: string | null;
  reason?: string;
}

/** The value of the group that has it worst. */
export interface WorstValue {
  value: number | null;
  low: number | null;
  high: number | null;
  group: string | null;
  reason?: string;
}

export interface GroupGaps {
  value: string;
  n: number;
  patients: number;
  positives: number;
  /**
   * The group's value minus the mean of the other groups' values, weighted by their numbers of images. Of `accuracy` it is
   * what Tayebi Arasteh et al. 2024 call statistical parity difference: an accuracy gap, and not the textbook's.
   */
  gaps: Record<ComparedMetric, SimultaneousInterval>;
}

export interface ColumnFairness {
  column: string;
  groups: GroupGaps[];
  /** Groups that are compared with nobody, and why. */
  leftOut: { value: string | null; reason: string }[];
  /** AUROC: largest minus smallest. */
  aurocDifference: Spread;
  /** The textbook's: the share predicted positive, largest minus smallest (Dwork et al. 2012; Calders et al. 2009). */
  statisticalParityDifference: Spread;
  /** Sensitivity, largest minus smallest (Hardt, Price and Srebro 2016). */
  equalOpportunityDifference: Spread;
  /** The larger of the differences in sensitivity and in false-positive rate (Hardt, Price and Srebro 2016). */
  equalisedOddsGap: Spread & { of: "sensitivity" | "falsePositiveRate" | null };
  worst: { auroc: WorstValue; accuracy: WorstValue; sensitivity: WorstValue };
}

/** A group whose AUROC differs from the other groups' of its column. */
export interface Finding {
  column: string;
  value: string;
  direction: "worse" | "better";
  /** Simultaneous over all groups and columns, at a confidence of 1 - falseAlarm. */
  gap: SimultaneousInterval;
}

export interface FairnessVerdict {
  /**
   * "a group differs" where an interval excludes zero; "no group differs by the margin" where all intervals lie within the
   * margin; otherwise "not enough patients to tell". Null where nothing could be compared.
   */
  answer: "a group differs" | "no group differs by the margin" | "not enough patients to tell" | null;
  findings: Finding[];
  /** The probability that fair groups, however many, give any finding. */
  falseAlarm: number;
  margin: number;
  sentence: string;
}

export interface Fairness {
  /** Of each family of intervals: all gaps of one metric over all columns, or all differences behind one spread. */
  level: number;
  resamples: number;
  columns: ColumnFairness[];
  verdict: FairnessVerdict;
}

export interface FairnessOptions {
  readonly patients: Patients;
  readonly groups: Readonly<Record<string, GroupColumn>>;
  readonly bands?: Bands;
  readonly by?: readonly (readonly string[])[];
  /** Groups of fewer patients are compared with nobody; 10 by default. */
  readonly minimumPatients?: number;
  /** Also leaves out the groups that a release must not show; false by default. */
  readonly release?: boolean;
  readonly seed: number | string;
  readonly resamples?: number;
  readonly level?: number;
  /** The probability of finding unfairness where there is none; 0.02 by default. */
  readonly falseAlarm?: number;
  /** The AUROC difference from which on unfairness matters; 0.05 by default. */
  readonly margin?: number;
  /** How many such evaluations are reported together, for example one a label; level and falseAlarm are shared among them. */
  readonly together?: number;
}

/**
 * Compares groups of patients by AUROC, and at the frozen threshold by accuracy, sensitivity, false-positive rate and
 * selection rate. Scores, labels (1, 0, NaN for missing) and patients have one entry a row.
 *
 * All groups share each resample of patients. Intervals of gaps hold for all groups of all columns together
 * ({@link simultaneousIntervals}); those of spreads and worst values follow from intervals that hold for all pairs, or all
 * groups, of the column together, because the largest difference of fair groups is never zero in a sample: its plain
 * bootstrap interval would accuse everybody. With few patients intervals are widened (small-samples.ts).
 * Throws LG-EVAL-001, -002, -003 and -005 for unusable rows, options or columns.
 */
export function evaluateFairness({
  scores,
  labels,
  threshold,
  patients,
  groups,
  bands = defaultBands,
  by,
  minimumPatients = 10,
  release = false,
  seed,
  resamples = 2000,
  level = 0.95,
  falseAlarm = 0.02,
  margin = 0.05,
  together = 1,
}: FairnessOptions & {
  readonly scores: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  readonly threshold: number;
}): Fairness {
  requireResampling(resamples, level);
  requireResampling(resamples, 1 - falseAlarm);
  if (!(margin > 0)) throw new LeadglassError("LG-EVAL-003", `margin: ${margin}; a number above 0 was expected`);
  if (!Number.isFinite(threshold))
    throw new LeadglassError("LG-EVAL-003", "threshold: none; a finite number was expected", {
      hint: "Choose one on validation data with chooseThreshold, then keep it.",
    });
  const familyLevel = 1 - (1 - level) / together;
  const parts = groupRows(groups, labels.length, bands, by);
  const usable = parts.map((part) => ({ ...part, rows: part.rows.filter((row) => !Number.isNaN(labels[row]!)) }));
  const counts = usable.map(({ rows }) => ({
    n: rows.length,
    patients: new Set(rows.map((row) => patients[row]!)).size,
    positives: rows.filter((row) => labels[row] === 1).length,
  }));
  const hidden = suppressed(
    parts,
    counts.map(({ patients }) => patients),
    minimumPatients,
  );
  const reasons = usable.map(({ value }, i) => {
    const { n, positives } = counts[i]!;
    const how = hidden[i]!;
    if (how !== null && (release || how === "small"))
      return release ? suppressedReason(how, minimumPatients) : `fewer than ${minimumPatients} patients`;
    if (value === null) return "not recorded";
    return positives === 0 || positives === n ? `only ${positives === 0 ? "negatives" : "positives"}` : null;
  });
  const kept = usable.flatMap((_, i) => (reasons[i] === null ? [i] : []));
  const drawn = drawResamples(
    kept.map((i) => ({ scores, labels, threshold, rows: usable[i]!.rows })),
    patients,
    { resamples, seed },
  );
  const columnNames = [...new Set(parts.map(({ column }) => column))];
  const members = columnNames.map((column) => kept.flatMap((i, k) => (parts[i]!.column === column ? [k] : [])));
  const gapComponents = (name: ComparedMetric) =>
    members.flatMap((own) => (own.length < 2 ? [] : own.map((k) => gapOf(drawn, name, k, own))));
  const aurocGaps = gapComponents("auroc");
  const gaps = Object.fromEntries(
    compared.map((name) => [
      name,
      simultaneousIntervals(name === "auroc" ? aurocGaps : gapComponents(name), { level: familyLevel, range: [-1, 1] }),
    ]),
  ) as Record<ComparedMetric, SimultaneousInterval[]>;
  const judged = members.flatMap((own) => (own.length < 2 ? [] : own));
  const columns = columnNames.map((column, c): ColumnFairness => {
    const own = members[c]!;
    const names = own.map((k) => parts[kept[k]!]!.value!);
    const spread = (...metrics: ComparedMetric[]) => spreadOf(drawn, metrics, own, names, familyLevel);
    const { of: _of, ...aurocDifference } = spread("auroc");
    const { of: _parity, ...statisticalParityDifference } = spread("selectionRate");
    const { of: _opportunity, ...equalOpportunityDifference } = spread("sensitivity");
    const odds = spread("sensitivity", "falsePositiveRate");
    const worst = (name: ComparedMetric) => worstOf(drawn, name, own, names, familyLevel);
    return {
      column,
      groups: own.flatMap((k) => {
        const position = judged.indexOf(k);
        if (position < 0) return [];
        const of = (name: ComparedMetric) => [name, gaps[name][position]!] as const;
        return [
          {
            ...{ value: parts[kept[k]!]!.value!, ...counts[kept[k]!]! },
            gaps: Object.fromEntries(compared.map(of)) as GroupGaps["gaps"],
          },
        ];
      }),
      leftOut: [
        ...parts.flatMap(({ column: other, value }, i) =>
          other === column && reasons[i] !== null ? [{ value, reason: reasons[i]! }] : [],
        ),
        ...(own.length === 1 ? [{ value: names[0]!, reason: "no other group to compare with" }] : []),
      ],
      ...{ aurocDifference, statisticalParityDifference, equalOpportunityDifference },
      equalisedOddsGap: { ...odds, of: odds.of as "sensitivity" | "falsePositiveRate" | null },
      worst: { auroc: worst("auroc"), accuracy: worst("accuracy"), sensitivity: worst("sensitivity") },
    };
  });
  const alarms = simultaneousIntervals(aurocGaps, { level: 1 - falseAlarm / together, range: [-1, 1] });
  return {
    ...{ level, resamples, columns },
    verdict: verdictOf(
      judged.map((k) => parts[kept[k]!]!),
      alarms,
      { falseAlarm, margin },
    ),
  };
}

const weightOf = (t: Tally) => t.positives + t.negatives;

/** A group's value minus the mean of the others', those without a value in a resample left aside there. */
function gapOf(drawn: Resamples, name: ComparedMetric, k: number, own: readonly number[]): Component {
  const { samples, whole, draws } = drawn;
  const { of } = metricTable[name];
  const gap = (tallies: readonly Tally[]) => {
    let [sum, weight] = [0, 0];
    for (const other of own) {
      const t = tallies[other]!;
      const value = other === k ? NaN : of(t);
      if (Number.isNaN(value)) continue;
      sum += weightOf(t) * value;
      weight += weightOf(t);
    }
    return of(tallies[k]!) - sum / weight;
  };
  const rest = own.filter((other) => other !== k);
  const total = rest.reduce((sum, other) => sum + weightOf(whole[other]!), 0);
  const added = (other: number) => addedVariance(drawn, name, other);
  return {
    value: gap(whole),
    draws: draws.map(gap),
    addedVariance: rest.reduce((sum, other) => sum + (weightOf(whole[other]!) / total) ** 2 * added(other), added(k)),
    degreesOfFreedom: Math.min(
      degreesOfFreedom(name, samples[k]!),
      rest.reduce((sum, other) => sum + degreesOfFreedom(name, samples[other]!), 0),
    ),
  };
}

/** What the resamples of one group's value lack of the least variance it can be credited with. */
function addedVariance({ samples, whole, draws }: Resamples, name: MetricName, k: number): number {
  const { of } = metricTable[name];
  const least = leastVariance(name, of(whole[k]!), samples[k]!);
  return least === 0 ? 0 : Math.max(0, least - varianceOf(draws.map((tallies) => of(tallies[k]!))));
}

function varianceOf(values: readonly number[]): number {
  let [n, sum, squares] = [0, 0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    n++;
    sum += value;
    squares += value * value;
  }
  return n < 2 ? 0 : Math.max(0, (squares - (sum * sum) / n) / (n - 1));
}

/**
 * The largest difference between two groups, of the metric where it is largest. With intervals for all pairs that hold
 * together, the largest is at least the largest of their lower ends and at most the largest of their upper ends.
 */
function spreadOf(
  drawn: Resamples,
  metrics: readonly ComparedMetric[],
  own: readonly number[],
  names: readonly string[],
  level: number,
): Spread & { of: ComparedMetric | null } {
  const nothing = { value: null, low: null, high: null, highest: null, lowest: null, of: null };
  if (own.length < 2) return { ...nothing, reason: "fewer than two groups to compare" };
  const { samples, whole, draws } = drawn;
  const pairs = metrics.flatMap((name) => {
    const { of } = metricTable[name];
    // A pair is taken with its larger value first, so that its value is the size of the difference.
    return own.flatMap((a, i) =>
      own.slice(i + 1).map((b, j) => {
        const swap = of(whole[a]!) < of(whole[b]!);
        const [high, low] = swap ? [b, a] : [a, b];
        const difference = (tallies: readonly Tally[]) => of(tallies[high]!) - of(tallies[low]!);
        const [first, second] = [names[i]!, names[i + 1 + j]!];
        const component: Component = {
          value: difference(whole),
          draws: draws.map(difference),
          addedVariance: addedVariance(drawn, name, high) + addedVariance(drawn, name, low),
          degreesOfFreedom: Math.min(...[high, low].map((k) => degreesOfFreedom(name, samples[k]!))),
        };
        return { name, component, ...(swap ? { highest: second, lowest: first } : { highest: first, lowest: second }) };
      }),
    );
  });
  const intervals = simultaneousIntervals(
    pairs.map(({ component }) => component),
    { level },
  );
  const values = intervals.map(({ value }) => value ?? -Infinity);
  const largest = values.indexOf(Math.max(...values));
  const { name, highest, lowest } = pairs[largest]!;
  const value = intervals[largest]!.value;
  if (value === null) return { ...nothing, reason: intervals[largest]!.reason ?? "not defined here" };
  const known = intervals.filter((interval) => interval.low !== null);
  // A pair without an interval could be any distance apart.
  const missing = intervals.find((interval) => interval.low === null);
  return {
    ...{ value, highest, lowest, of: name },
    low: known.length === 0 ? null : Math.max(0, ...known.map(({ low }) => low!)),
    high: missing ? null : Math.min(1, Math.max(...known.map(({ high }) => high!))),
    ...(missing?.reason === undefined ? {} : { reason: missing.reason }),
  };
}

/** The least value of a group: within the least lower and the least upper end of intervals that hold for all groups. */
function worstOf(
  drawn: Resamples,
  name: ComparedMetric,
  own: readonly number[],
  names: readonly string[],
  level: number,
): WorstValue {
  if (own.length === 0) return { value: null, low: null, high: null, group: null, reason: "no group to compare" };
  const { of } = metricTable[name];
  const intervals = simultaneousIntervals(
    own.map((k) => ({
      value: of(drawn.whole[k]!),
      draws: drawn.draws.map((tallies) => of(tallies[k]!)),
      addedVariance: addedVariance(drawn, name, k),
      degreesOfFreedom: degreesOfFreedom(name, drawn.samples[k]!),
    })),
    { level, range: [0, 1] },
  );
  const values = intervals.map(({ value }) => value ?? Infinity);
  const least = values.indexOf(Math.min(...values));
  const known = intervals.filter((interval) => interval.low !== null);
  const missing = intervals.find((interval) => interval.low === null);
  return {
    ...{ value: intervals[least]!.value, group: names[least]! },
    low: missing ? null : Math.min(...known.map(({ low }) => low!)),
    high: known.length === 0 ? null : Math.min(...known.map(({ high }) => high!)),
    ...(missing?.reason === undefined ? {} : { reason: missing.reason }),
  };
}

function verdictOf(
  groups: readonly Group[],
  alarms: readonly SimultaneousInterval[],
  { falseAlarm, margin }: { falseAlarm: number; margin: number },
): FairnessVerdict {
  const known = alarms.filter(({ low }) => low !== null);
  const findings = groups.flatMap(({ column, value }, i): Finding[] => {
    const gap = alarms[i]!;
    if (gap.low === null || (gap.low <= 0 && gap.high! >= 0)) return [];
    return [{ column, value: value!, direction: gap.high! < 0 ? "worse" : "better", gap }];
  });
  const all = { findings, falseAlarm, margin };
  if (known.length === 0) return { ...all, answer: null, sentence: "No two groups could be compared." };
  if (findings.length > 0) {
    const worse = findings.filter(({ direction }) => direction === "worse");
    const named = (worse.length > 0 ? worse : findings).map(
      ({ column, value, direction, gap }) =>
        `${column} ${value} is served ${direction}: AUROC ${signed(gap.value!)} [${signed(gap.low!)}, ${signed(gap.high!)}] against the other groups`,
    );
    return { ...all, answer: "a group differs", sentence: `${named.join("; ")}.` };
  }
  const within = known.length === alarms.length && known.every(({ low, high }) => low! > -margin && high! < margin);
  return within
    ? {
        ...all,
        answer: "no group differs by the margin",
        sentence: `No group's AUROC differs from the others' by ${margin} or more.`,
      }
    : {
        ...all,
        answer: "not enough patients to tell",
        sentence: `No difference between groups was shown, and one of ${margin} in AUROC cannot be excluded: not enough patients to tell.`,
      };
}

/** Three decimals with a sign. */
const signed = (x: number) => `${x < 0 ? "\u2212" : "+"}${Math.abs(x).toFixed(3)}`;
