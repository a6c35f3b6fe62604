import type { DeltaInterval } from "./accountant.ts";
import { requireParameter } from "./events.ts";

/**
 * The smallest delta with which a mechanism is (epsilon, delta)-private, for every epsilon >= 0, as an interval that is
 * certified to hold it. Only `upper` is used here, so that whatever follows is a guarantee.
 */
export type PrivacyProfile = (epsilon: number) => DeltaInterval;

/**
 * What the best attacker cannot avoid: the smallest share of members he must miss (false-negative rate) when he may
 * accuse this share of the others (false-positive rate).
 */
export type TradeOff = (falsePositiveRate: number) => number;

const requireRate = (where: string, name: string, value: number): void =>
  requireParameter(where, name, value, value >= 0 && value <= 1, "a share from 0 to 1");

/** exp of it is about the largest float. */
const LARGEST_EPSILON = 700;
/** 0 and a geometric grid: the maximum lies beside the best of these. */
const scanned: readonly number[] = [
  0,
  ...Array.from({ length: 64 }, (_, i) => 1e-3 * (LARGEST_EPSILON / 1e-3) ** (i / 63)),
];

/**
 * The trade-off curve below which no attack gets, from a privacy profile: the supremum over epsilon of
 * 1 - delta - e^epsilon a and of e^-epsilon (1 - delta - a), and of 0. It holds in both directions, for a unit that was
 * in as for one that was not. Every epsilon alone proves a bound, so that a search that stops early loosens the result
 * and never breaks it. Throws LG-PRIVACY-001 for a rate outside 0 to 1.
 * Source: Dong, Roth, Su, Gaussian Differential Privacy, 2022 (arXiv 1905.02383), section 2.3, from dual to primal.
 */
export function tradeOff(profile: PrivacyProfile): TradeOff {
  const deltas = scanned.map((epsilon) => profile(epsilon).upper);
  return (falsePositiveRate) => {
    requireRate("trade-off", "the false-positive rate", falsePositiveRate);
    const lines: readonly ((epsilon: number, delta: number) => number)[] = [
      (epsilon, delta) => 1 - delta - Math.exp(epsilon) * falsePositiveRate,
      (epsilon, delta) => Math.exp(-epsilon) * (1 - delta - falsePositiveRate),
    ];
    return lines.reduce((most, line) => Math.max(most, largest(line, profile, deltas)), 0);
  };
}

/** The largest value of a line over epsilon: the best scanned epsilon, then a golden-section search around it. */
function largest(
  line: (epsilon: number, delta: number) => number,
  profile: PrivacyProfile,
  deltas: readonly number[],
): number {
  const values = scanned.map((epsilon, i) => line(epsilon, deltas[i]!));
  const at = values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
  const valueAt = (epsilon: number): number => line(epsilon, profile(epsilon).upper);
  const golden = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [scanned[Math.max(0, at - 1)]!, scanned[Math.min(scanned.length - 1, at + 1)]!];
  let [left, right] = [high - golden * (high - low), low + golden * (high - low)];
  let [atLeft, atRight] = [valueAt(left), valueAt(right)];
  let best = Math.max(values[at]!, atLeft, atRight);
  while (high - low > 1e-10 * (1 + high)) {
    if (atLeft >= atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - golden * (high - low);
      atLeft = valueAt(left);
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + golden * (high - low);
      atRight = valueAt(right);
    }
    best = Math.max(best, atLeft, atRight);
  }
  return best;
}

/**
 * The profile of whatever is (epsilon, delta)-private, when nothing else is known of it: that of the worst mechanism
 * with this guarantee. Throws LG-PRIVACY-001 unless epsilon >= 0 and delta is from 0 to 1.
 * Source: Kairouz, Oh, Viswanath, The Composition Theorem for Differential Privacy, 2015 (arXiv 1311.0776), theorem 3.3.
 */
export function worstProfile(epsilon: number, delta: number): PrivacyProfile {
  requireParameter("privacy profile", "epsilon", epsilon, epsilon >= 0 && epsilon < Infinity, "a number of at least 0");
  requireRate("privacy profile", "delta", delta);
  return (at) => {
    // (e^epsilon - e^at) / (1 + e^epsilon), without overflow.
    const gap = at >= epsilon ? 0 : -Math.expm1(at - epsilon) / (1 + Math.exp(-epsilon));
    const value = delta + (1 - delta) * gap;
    return { lower: value, upper: value };
  };
}

/** The best membership attack that accuses a given share of those who were not in the training. */
export interface MembershipBound {
  readonly falsePositiveRate: number;
  /** The largest share of the members that can be caught. */
  readonly truePositiveRate: number;
  /** The largest share of the accused who are members, where `memberShare` of those who are tested are. */
  readonly positivePredictiveValue: number;
}

/** The best attempt to guess something of a patient, such as which of several images is theirs. */
export interface ReconstructionBound {
  /** The chance of the best guess without the model. */
  readonly prior: number;
  /** The largest chance with the model. */
  readonly success: number;
}

/** What a guarantee means for an attacker who knows the method and everybody else's data: the most that he can reach. */
export interface AttackerTerms {
  /** The largest difference between the shares of members and of others that one attack can accuse. */
  readonly advantage: number;
  /** The share of members among those tested, for the predictive values: an assumption, stated. */
  readonly memberShare: number;
  readonly membership: readonly MembershipBound[];
  readonly reconstruction: readonly ReconstructionBound[];
}

/**
 * An attacker's best results against a mechanism with this profile. All are upper bounds that hold at the same time for
 * every attack, whatever its computing power.
 * Throws LG-PRIVACY-001 for a rate, share or prior outside 0 to 1.
 * Sources: membership, Dong, Roth, Su 2022 as above; advantage, the total variation delta(0); reconstruction at prior k
 * succeeds with at most 1 - f(k), Hayes, Mahloujifar, Balle, Bounding Training Data Reconstruction in DP-SGD, 2023
 * (arXiv 2302.07225), and Kaissis et al., Bounding Data Reconstruction Attacks with the Hypothesis Testing
 * Interpretation of Differential Privacy, 2023 (arXiv 2307.03928).
 */
export function attackerTerms(
  profile: PrivacyProfile,
  {
    falsePositiveRates = [0.001, 0.01, 0.1],
    memberShare = 0.1,
    priors = [0.1, 0.001],
  }: {
    readonly falsePositiveRates?: readonly number[];
    readonly memberShare?: number;
    readonly priors?: readonly number[];
  } = {},
): AttackerTerms {
  requireRate("attacker's terms", "the share of members", memberShare);
  priors.forEach((prior) => requireRate("attacker's terms", "the prior", prior));
  const missed = tradeOff(profile);
  return {
    advantage: Math.min(1, profile(0).upper),
    memberShare,
    membership: falsePositiveRates.map((falsePositiveRate) => {
      const truePositiveRate = 1 - missed(falsePositiveRate);
      return {
        falsePositiveRate,
        truePositiveRate,
        positivePredictiveValue: positivePredictiveValue({ truePositiveRate, falsePositiveRate, memberShare }),
      };
    }),
    reconstruction: priors.map((prior) => ({ prior, success: 1 - missed(prior) })),
  };
}

/** Bayes' rule: the share of the accused who are members; 0 where nobody is accused. */
export function positivePredictiveValue({
  truePositiveRate,
  falsePositiveRate,
  memberShare,
}: {
  readonly truePositiveRate: number;
  readonly falsePositiveRate: number;
  readonly memberShare: number;
}): number {
  const [right, wrong] = [memberShare * truePositiveRate, (1 - memberShare) * falsePositiveRate];
  return right === 0 ? 0 : right / (right + wrong);
}
