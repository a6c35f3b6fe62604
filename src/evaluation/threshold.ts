/** The operating point: chosen once on validation data, then frozen. */

import { LeadglassError } from "../errors.ts";
import { cumulativeCounts } from "./curves.ts";

/** The largest sum of sensitivity and specificity, or the best of one at the required value of the other. */
export type ThresholdRule = "youden" | { readonly sensitivity: number } | { readonly specificity: number };

export interface OperatingPoint {
  /** A score at or above it predicts positive. */
  threshold: number;
  rule: ThresholdRule;
  /** What the rule reached on the data it was chosen on: optimistic, and no estimate of later performance. */
  sensitivity: number;
  specificity: number;
  positives: number;
  negatives: number;
  missing: number;
}

/**
 * Chooses the threshold by a rule on validation scores and labels (1, 0, NaN for missing; one entry a row).
 * The threshold lies midway between two adjacent scores, so that float noise on another device does not move images
 * across it; outside the range of scores it lies as far beyond as half the nearest gap. Among equals under "youden" the
 * most sensitive is taken. `{ sensitivity: s }` gives the most specific threshold with sensitivity of at least s,
 * `{ specificity: s }` the most sensitive with specificity of at least s.
 * Throws LG-EVAL-001 and LG-EVAL-002 for unusable rows, LG-EVAL-003 for a rule out of [0, 1], LG-EVAL-004 when a class is absent.
 */
export function chooseThreshold(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  { rule = "youden" }: { rule?: ThresholdRule } = {},
): OperatingPoint {
  const wanted = rule === "youden" ? 0 : "sensitivity" in rule ? rule.sensitivity : rule.specificity;
  if (!(wanted >= 0 && wanted <= 1))
    throw new LeadglassError("LG-EVAL-003", `rule: ${wanted}; a sensitivity or specificity in [0, 1] was expected`);
  const { counts, positives, negatives, missing } = cumulativeCounts(scores, labels);
  if (positives === 0 || negatives === 0)
    throw new LeadglassError(
      "LG-EVAL-004",
      `labels: ${positives} positive and ${negatives} negative; both are needed`,
      {
        hint: "Choose the threshold on a validation split that holds both classes.",
        fields: { positives, negatives },
      },
    );
  // Cut k predicts the k highest distinct scores positive; cut 0 none.
  const tp = (cut: number) => (cut === 0 ? 0 : counts[cut - 1]!.tp);
  const fp = (cut: number) => (cut === 0 ? 0 : counts[cut - 1]!.fp);
  const sensitivity = (cut: number) => tp(cut) / positives;
  const specificity = (cut: number) => (negatives - fp(cut)) / negatives;

  let best = 0;
  if (rule === "youden") {
    // Youden's J times positives * negatives: an integer, so that ties are ties.
    const gain = (cut: number) => tp(cut) * negatives - fp(cut) * positives;
    for (let cut = 1; cut <= counts.length; cut++) if (gain(cut) >= gain(best)) best = cut;
  } else if ("sensitivity" in rule) {
    while (sensitivity(best) < wanted) best++;
  } else {
    while (best < counts.length && specificity(best + 1) >= wanted) best++;
  }
  return {
    threshold: thresholdBelow(
      counts.map((count) => count.threshold),
      best,
    ),
    rule,
    sensitivity: sensitivity(best),
    specificity: specificity(best),
    positives,
    negatives,
    missing,
  };
}

/** A number below the first `cut` of descending distinct scores and above the others. */
function thresholdBelow(scores: readonly number[], cut: number): number {
  if (scores.length === 1) return cut === 0 ? scores[0]! + beyond(scores[0]!) : scores[0]! - beyond(scores[0]!);
  if (cut === 0) return scores[0]! + (scores[0]! - scores[1]!) / 2;
  if (cut === scores.length) return scores.at(-1)! - (scores.at(-2)! - scores.at(-1)!) / 2;
  const [above, below] = [scores[cut - 1]!, scores[cut]!];
  const middle = below + (above - below) / 2;
  // Between neighbouring floats there is no middle; then the score itself is the threshold.
  return middle > below ? middle : above;
}

// A single distinct score has no gap: half its size, or one half at zero.
const beyond = (score: number) => Math.abs(score) / 2 || 0.5;
