/** What an epsilon means, said so that a physician can judge it. */
import { normalCdf, normalQuantile } from "../../math/statistics.ts";

/** What an attacker can do at most, against one patient, with the model in hand and everything else known. */
export interface AttackerBound {
  /** Share of patients wrongly accused of having been in the training. */
  readonly falsePositiveRate: number;
  /** The largest share of those who were in it that can be caught at that price. */
  readonly truePositiveRate: number;
  /** True where it is exact for the mechanism, false where it follows from epsilon and delta alone. */
  readonly exact: boolean;
}

/** What of a plan decides it. */
export interface Mechanism {
  readonly epsilon: { readonly upper: number };
  readonly delta: number;
  readonly steps: number;
  readonly noiseMultiplier: number;
  readonly sampling: { readonly kind?: string; readonly probability?: number };
  readonly relation: string;
}

/**
 * The best membership attack at a false-positive rate. Steps that every unit joins amount to one Gaussian release, whose
 * trade-off curve is known (Dong, Roth and Su 2022, Gaussian differential privacy, corollary 3.3); otherwise the curve of
 * (epsilon, delta) holds (Kairouz, Oh and Viswanath 2015, theorem 2.1).
 */
export function attackerBound(plan: Mechanism, falsePositiveRate = 0.01): AttackerBound {
  if (plan.sampling.probability === 1 && plan.relation === "add-or-remove-one") {
    const mu = Math.sqrt(plan.steps) / plan.noiseMultiplier;
    const truePositiveRate = normalCdf(normalQuantile(falsePositiveRate) + mu);
    return { falsePositiveRate, truePositiveRate, exact: true };
  }
  const { upper: epsilon } = plan.epsilon;
  const truePositiveRate = Math.min(
    1,
    Math.exp(epsilon) * falsePositiveRate + plan.delta,
    1 - Math.exp(-epsilon) * (1 - plan.delta - falsePositiveRate),
  );
  return { falsePositiveRate, truePositiveRate, exact: false };
}

/** Two digits, and not more certain than 99.5 %. */
export const percentText = (share: number): string =>
  share > 0.1 && share < 0.995 ? `${Math.round(100 * share)} %` : `${Number((100 * share).toPrecision(2))} %`;

/** The bound in one sentence. */
export function meaningOf(bound: AttackerBound): string {
  const { falsePositiveRate, truePositiveRate } = bound;
  return (
    `Somebody who holds the model, knows the method and every other patient, and accuses ${percentText(falsePositiveRate)} of those who were not ` +
    `in the training, catches at most ${percentText(truePositiveRate)} of those who were (${percentText(falsePositiveRate)} by guessing).`
  );
}
