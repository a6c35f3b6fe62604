import { LeadglassError } from "../../errors.ts";
import type { Event, MixtureGaussianEvent, PoissonGaussianEvent, Relation } from "../events.ts";
import { fullBatchNoise } from "../gaussian.ts";
import { binomialTail, logBinomial } from "./binomial.ts";
import type { GaussianMixturePair } from "./mixture.ts";

/**
 * What one step of an event shows at worst, as pairs of distributions to be told apart: with probability `weight` a pair
 * of Gaussian mixtures (an observer is told which), or the answer of randomised response. Such a pair dominates the
 * event: no observer of the event can tell neighbouring cohorts apart better than an observer of the pair, at any false
 * positive rate, and that survives composition.
 */
export type Mechanism =
  | {
      readonly kind: "mixtures";
      readonly parts: readonly { readonly weight: number; readonly pair: GaussianMixturePair }[];
      /** True where exchanging P and Q changes nothing. */
      readonly symmetric: boolean;
      readonly steps: number;
    }
  | {
      /** Keeps a bit with probability e^epsilon / (1 + e^epsilon); with probability `revealed` all is lost. */
      readonly kind: "response";
      readonly epsilon: number;
      readonly revealed: number;
      readonly steps: number;
    };

/** N(shift, 1) against N(0, 1). */
const gaussianPair = (shift: number): GaussianMixturePair => ({
  means: [0, shift],
  p: [0, 1],
  q: [1, 0],
  difference: [-1, 1],
});

/** Present with probability q, against absent. */
const removedPair = (q: number, shift: number): GaussianMixturePair =>
  q === 1 ? gaussianPair(shift) : { means: [0, shift], p: [1 - q, q], q: [1, 0], difference: [-q, q] };

/** Pulling one way with probability q, against pulling the other way. */
const replacedPair = (q: number, shift: number): GaussianMixturePair =>
  q === 1
    ? gaussianPair(2 * shift)
    : { means: [-shift, 0, shift], p: [0, 1 - q, q], q: [q, 1 - q, 0], difference: [-q, 0, q] };

/** A number of contributions between 0 and `size`, each present by its own coin, against none. */
function groupPair(size: number, q: number, shift: number): GaussianMixturePair {
  const p = Array.from({ length: size + 1 }, (_, k) => Math.exp(logBinomial(k, size, q)));
  return {
    means: p.map((_, k) => k * shift),
    p,
    q: p.map((_, k) => (k === 0 ? 1 : 0)),
    difference: p.map((probability, k) => (k === 0 ? Math.expm1(size * Math.log1p(-q)) : probability)),
  };
}

function mixturePair({ sensitivities, probabilities, noiseMultiplier }: MixtureGaussianEvent): GaussianMixturePair {
  const of = new Map([[0, 0]]);
  sensitivities.forEach((sensitivity, i) => of.set(sensitivity, (of.get(sensitivity) ?? 0) + probabilities[i]!));
  const sorted = [...of].sort(([a], [b]) => a - b).filter(([value, probability]) => value === 0 || probability > 0);
  const others = sorted.slice(1).reduce((sum, [, probability]) => sum + probability, 0);
  return {
    means: sorted.map(([value]) => value / noiseMultiplier),
    p: sorted.map(([, probability]) => probability),
    q: sorted.map((_, i) => (i === 0 ? 1 : 0)),
    difference: sorted.map(([, probability], i) => (i === 0 ? -others : probability)),
  };
}

const refuse = (what: string): LeadglassError =>
  new LeadglassError("LG-PRIVACY-004", `pld accountant: ${what}`, {
    hint: "account for units added or removed; a unit exchanged costs at most one removed and one added, in a group of 2",
  });

function poissonMechanism(event: PoissonGaussianEvent, relation: Relation): Mechanism {
  const { samplingProbability: q, noiseMultiplier, steps, groupSize = 1 } = event;
  const shift = 1 / noiseMultiplier;
  if (relation === "replace-one") {
    if (groupSize > 1) throw refuse("no worst pair is known for an exchanged unit with several sampled contributions");
    return { kind: "mixtures", parts: [{ weight: 1, pair: replacedPair(q, shift) }], symmetric: true, steps };
  }
  const pair = groupSize > 1 && q < 1 ? groupPair(groupSize, q, shift) : removedPair(q, groupSize * shift);
  return { kind: "mixtures", parts: [{ weight: 1, pair }], symmetric: q === 1, steps };
}

/**
 * The worst pairs of one event, by relation.
 *
 * - A unit added or removed, Poisson sampling: (1 - q) N(0) + q N(1) against N(0), and the reverse. Zhu, Dong, Wang,
 *   Optimal Accounting of Differential Privacy via Characteristic Function, 2022 (arXiv 2106.08567), theorem 11.
 * - The same with several contributions, and mixtures: the number of contributions drawn, all pulling one way, against
 *   none. Ganesh, Tight Group-Level DP Guarantees for DP-SGD with Sampling via Mixture of Gaussians Mechanisms, 2024
 *   (arXiv 2401.10294).
 * - A unit exchanged, Poisson sampling: (1 - q) N(0) + q N(1) against (1 - q) N(0) + q N(-1), as dp_accounting has it.
 * - Truncated batches: with probability w at least `batchCap` others are drawn; the unit is then in the batch with
 *   probability q' and pushes another one out, which moves the sum by up to 2; q' w is the chance of being in a batch
 *   that was cut, batchCap P(Binomial(cohortSize, q) > batchCap) / cohortSize. Otherwise it is as without truncation.
 *   For the first case the pair of an exchanged unit at half the noise is taken, as dp_accounting does, so that figures
 *   can be compared; it is a bound that is not tight.
 * - Anything epsilon-private: randomised response (Kairouz, Oh, Viswanath 2015, theorem 3.4; with delta, theorem 3.3).
 */
function mechanismOf(event: Event, relation: Relation): Mechanism {
  switch (event.kind) {
    case "pure":
      return { kind: "response", epsilon: event.epsilon, revealed: 0, steps: event.steps };
    case "approximate":
      return { kind: "response", epsilon: event.epsilon, revealed: event.delta, steps: 1 };
    case "poisson-gaussian":
      return poissonMechanism(event, relation);
    case "selection":
      throw refuse("of a search only the Rényi divergence is known; use the rdp accountant");
    case "mixture-gaussian":
      if (relation === "replace-one") throw refuse("no worst pair is known for a mixture and an exchanged unit");
      return {
        kind: "mixtures",
        parts: [{ weight: 1, pair: mixturePair(event) }],
        symmetric: false,
        steps: event.steps,
      };
    case "truncated-poisson-gaussian": {
      const { samplingProbability: q, noiseMultiplier, steps, cohortSize, batchCap } = event;
      const tail = (k: number, n: number): number => (q === 1 ? (k <= n ? 1 : 0) : binomialTail(k, n, q));
      const cut = tail(batchCap, cohortSize - 1);
      const uncut = { weight: 1 - cut, pair: (relation === "replace-one" ? replacedPair : removedPair)(q, 1 / noiseMultiplier) }; // prettier-ignore
      const symmetric = relation === "replace-one";
      if (cut === 0) return { kind: "mixtures", parts: [uncut], symmetric, steps };
      const taken = Math.min(1, (tail(batchCap + 1, cohortSize) * batchCap) / cohortSize / cut);
      const pushed = { weight: cut, pair: replacedPair(taken, 2 / noiseMultiplier) };
      return { kind: "mixtures", parts: cut === 1 ? [pushed] : [uncut, pushed], symmetric, steps };
    }
  }
}

/** The worst pairs of all events, equal ones taken together, and all full-batch Gaussians as the one that they are. */
export function mechanismsOf(events: readonly Event[], relation: Relation): Mechanism[] {
  const whole = events.filter((event) => fullBatchNoise([event], relation) !== null);
  const together = new Map<string, Mechanism>();
  for (const event of events) {
    if (whole.includes(event)) continue;
    const mechanism = mechanismOf(event, relation);
    const { steps, ...same } = mechanism;
    const key = JSON.stringify(same);
    together.set(key, { ...mechanism, steps: steps + (together.get(key)?.steps ?? 0) });
  }
  const noise = fullBatchNoise(whole, relation);
  if (whole.length > 0 && noise !== null)
    together.set("", {
      kind: "mixtures",
      parts: [{ weight: 1, pair: gaussianPair(1 / noise) }],
      symmetric: true,
      steps: 1,
    });
  return [...together.values()].filter(
    (mechanism) => mechanism.kind === "mixtures" || mechanism.epsilon > 0 || mechanism.revealed > 0,
  );
}
