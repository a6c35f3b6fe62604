import { logNormalCdf } from "../math/special.ts";
import type { Event, Relation } from "./events.ts";

/**
 * The exact delta of the Gaussian mechanism at epsilon >= 0 for sensitivity 1 and noise of standard deviation `sigma`.
 * Source: Balle and Wang, Improving the Gaussian Mechanism for Differential Privacy, 2018 (arXiv 1805.06530), theorem 8.
 */
export function gaussianDelta(sigma: number, epsilon: number): number {
  const first = logNormalCdf(1 / (2 * sigma) - epsilon * sigma);
  const second = epsilon + logNormalCdf(-1 / (2 * sigma) - epsilon * sigma);
  return second >= first ? 0 : -Math.exp(first) * Math.expm1(second - first);
}

/**
 * The exact epsilon of the Gaussian mechanism at delta, by bisection to relative 1e-13 from above. Several releases with
 * noise sigma_i are one release with 1 / sigma^2 = sum of 1 / sigma_i^2 (Dong, Roth, Su, Gaussian Differential Privacy,
 * 2022, corollary 3.3). Source: as for {@link gaussianDelta}, which decreases in epsilon.
 */
export function gaussianEpsilon(sigma: number, delta: number): number {
  if (gaussianDelta(sigma, 0) <= delta) return 0;
  const mu = 1 / sigma;
  let low = 0;
  // The privacy loss is N(mu^2 / 2, mu^2), and P(N > mean + x deviations) <= exp(-x^2 / 2).
  let high = (mu * mu) / 2 + mu * Math.sqrt(-2 * Math.log(delta));
  while (high - low > 1e-13 * high) {
    const middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    if (gaussianDelta(sigma, middle) <= delta) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The noise multiplier of the one Gaussian release, for a sensitivity of 1, that all events together amount to; null
 * where one of them samples its units or is not Gaussian. Inverse squares add (as for {@link gaussianEpsilon}), a group
 * adds its members' sensitivities, and exchanging a unit moves a full sum by up to twice as much as removing it.
 */
export function fullBatchNoise(events: readonly Event[], relation: Relation): number | null {
  let total = 0;
  for (const event of events) {
    if (event.kind !== "poisson-gaussian" || event.samplingProbability !== 1) return null;
    total += event.steps * ((event.groupSize ?? 1) / event.noiseMultiplier) ** 2;
  }
  return 1 / (Math.sqrt(total) * (relation === "replace-one" ? 2 : 1));
}

/**
 * The mu = 1 / sigma of the Gaussian mechanism that is exactly (epsilon, delta)-private, from below to relative 1e-15, within
 * 1e-6 and 1e4. Source: as for {@link gaussianDelta}, which increases in mu.
 */
export function gaussianMu(epsilon: number, delta: number): number {
  let [low, high] = [1e-6, 1e4];
  for (let i = 0; i < 100; i++) {
    const middle = Math.sqrt(low * high);
    if (gaussianDelta(1 / middle, epsilon) > delta) high = middle;
    else low = middle;
  }
  return low;
}
