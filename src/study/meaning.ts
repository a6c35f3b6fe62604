/** What an epsilon means, said so that a physician can judge it. */
import { type DpPlan, eventOf, privacyProfile, tradeOff } from "../privacy/index.ts";

/** What an attacker can do at most, against one patient, with the model in hand and everything else known. */
export interface AttackerBound {
  /** Share of patients wrongly accused of having been in the training. */
  readonly falsePositiveRate: number;
  /** The largest share of those who were in it that can be caught at that price. */
  readonly truePositiveRate: number;
  /** True where some attack reaches it, false where it is a bound above what any can. */
  readonly exact: boolean;
}

/** What of a plan decides it. */
export type Mechanism = Pick<DpPlan, "sampling" | "noiseMultiplier" | "steps" | "relation">;

/**
 * The best membership attack at a false-positive rate, from the plan's own trade-off curve: exact where every unit joins
 * every step, certified from above otherwise.
 */
export function attackerBound(plan: Mechanism, falsePositiveRate = 0.01): AttackerBound {
  const exact = plan.sampling.kind !== "shuffle" && plan.sampling.probability === 1;
  const missed = tradeOff(privacyProfile([eventOf(plan, plan.steps)], plan.relation))(falsePositiveRate);
  return { falsePositiveRate, truePositiveRate: 1 - missed, exact };
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
