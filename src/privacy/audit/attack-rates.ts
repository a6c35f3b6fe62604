/** How well scores tell members from non-members: rates at thresholds, each with an exact interval. */
import { betaQuantile } from "../../math/special.ts";
import { clopperPearson, type Interval } from "./clopper-pearson.ts";
import { requireNumber } from "./one-run.ts";

export interface RateInterval extends Interval {
  readonly value: number;
}

/** How many members are caught at a price in non-members wrongly accused. */
export interface TprAtFpr {
  readonly fpr: number;
  /** The share of members above the threshold, with its exact interval; null where the price cannot be measured. */
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Non-members that were accused at the threshold, and where the true share of accused non-members lies. */
  readonly falsePositives: number | null;
  readonly fprInterval: Interval | null;
  /** Why there is no number. */
  readonly reason?: string;
}

/** Units of the two kinds that fewer are not worth a rate. */
const fewestMembers = 2;

/**
 * The true-positive rate at a false-positive rate: the threshold is the lowest above which at most that share of the
 * non-members lies, and members strictly above it are caught. Two exact intervals belong to it: of the members caught at
 * this threshold (Clopper and Pearson), and of the non-members whom this threshold accuses in truth, who were few where it
 * was chosen. With fewer than 1 / fpr non-members not even one may be accused, so that the price cannot be told: no number.
 * Throws LG-PRIVACY-001 for a rate outside (0, 1).
 * Source: an order statistic's exceedance is a beta variable (David and Nagaraja, Order Statistics, 2003, section 2.1).
 */
export function tprAtFpr(
  members: ArrayLike<number>,
  nonMembers: ArrayLike<number>,
  fpr: number,
  { level = 0.95 }: { level?: number } = {},
): TprAtFpr {
  requireNumber("fpr", fpr, fpr > 0 && fpr < 1, "a number between 0 and 1");
  const nothing = { fpr, value: null, low: null, high: null, falsePositives: null, fprInterval: null };
  // 1e-9: 1,000 times 0.001 is 1.
  const allowed = Math.floor(nonMembers.length * fpr + 1e-9);
  if (allowed < 1)
    return {
      ...nothing,
      reason: `not enough non-members to tell: ${nonMembers.length}, and ${Math.ceil(1 / fpr - 1e-9)} are needed`,
    };
  if (members.length < fewestMembers)
    return { ...nothing, reason: `not enough members to tell: ${members.length}, and ${fewestMembers} are needed` };
  const descending = Float64Array.from(nonMembers).sort().reverse();
  const threshold = descending[allowed]!;
  const above = (scores: ArrayLike<number>): number => Array.from(scores).filter((score) => score > threshold).length;
  const caught = above(members);
  const tail = (1 - level) / 2;
  return {
    fpr,
    value: caught / members.length,
    ...clopperPearson(caught, members.length, { level }),
    falsePositives: above(nonMembers),
    fprInterval: {
      low: betaQuantile(tail, allowed + 1, nonMembers.length - allowed),
      high: betaQuantile(1 - tail, allowed + 1, nonMembers.length - allowed),
    },
  };
}

/**
 * The largest true-positive rate of any attack on an (epsilon, delta)-private mechanism at a false-positive rate. Where the
 * mechanism itself is known, its own trade-off curve is tighter.
 * Source: Kairouz, Oh, Viswanath, The Composition Theorem for Differential Privacy, 2015, theorem 2.1.
 */
export const tprBound = ({ epsilon, delta }: { epsilon: number; delta: number }, fpr: number): number =>
  Math.min(1, Math.exp(epsilon) * fpr + delta, 1 - Math.exp(-epsilon) * (1 - delta - fpr));

/**
 * Balanced accuracy of guessing with one threshold, (TPR + 1 - FPR) / 2; the attacker's advantage TPR - FPR is twice that
 * less one. The threshold for each half of the units is chosen on the other half, so that it has not seen what it is
 * judged by; halves are taken in turn in the order given. The interval is that of both rates together, on the wide side.
 * Null with fewer than four units of either kind.
 */
export function balancedAccuracy(
  members: ArrayLike<number>,
  nonMembers: ArrayLike<number>,
  { level = 0.95 }: { level?: number } = {},
): RateInterval | null {
  if (members.length < 4 || nonMembers.length < 4) return null;
  const half = (scores: ArrayLike<number>, k: number): number[] => Array.from(scores).filter((_, i) => i % 2 === k);
  let [caught, accused] = [0, 0];
  for (const k of [0, 1]) {
    const threshold = bestThreshold(half(members, 1 - k), half(nonMembers, 1 - k));
    caught += half(members, k).filter((score) => score > threshold).length;
    accused += half(nonMembers, k).filter((score) => score > threshold).length;
  }
  // Two intervals, each wrong half as often.
  const each = { level: (1 + level) / 2 };
  const tpr = clopperPearson(caught, members.length, each);
  const fpr = clopperPearson(accused, nonMembers.length, each);
  return {
    value: (caught / members.length + 1 - accused / nonMembers.length) / 2,
    low: (tpr.low + 1 - fpr.high) / 2,
    high: (tpr.high + 1 - fpr.low) / 2,
  };
}

/** The threshold with the largest TPR - FPR, midway between scores; above everything where none is better than none. */
function bestThreshold(members: readonly number[], nonMembers: readonly number[]): number {
  const values = [...new Set([...members, ...nonMembers])].sort((a, b) => b - a);
  const [ins, outs] = [members, nonMembers].map((scores) => scores.toSorted((a, b) => b - a)) as [number[], number[]];
  let [best, threshold, i, j] = [0, Infinity, 0, 0];
  for (const [k, value] of values.entries()) {
    // Counts of what is strictly above the value.
    while (i < ins.length && ins[i]! > value) i++;
    while (j < outs.length && outs[j]! > value) j++;
    const advantage = i / ins.length - j / outs.length;
    if (advantage > best) [best, threshold] = [advantage, (value + values[k - 1]!) / 2];
  }
  return threshold;
}
