import { LeadglassError } from "../errors.ts";
import { accountantNamed } from "./accountant.ts";
import {
  checkDelta,
  checkEvent,
  type Event,
  LARGEST_GROUP,
  type PoissonGaussianEvent,
  type Relation,
  requireParameter,
} from "./events.ts";
import { fullBatchNoise, gaussianEpsilon } from "./gaussian.ts";
import { rdpOfStepReplacing, rdpOrders, rdpToEpsilon } from "./rdp.ts";

/** What a plan whose unit is the image costs a patient. */
export interface PatientCost {
  /** An upper bound; null where nothing was proved, which is as good as no protection. */
  readonly epsilon: number | null;
  readonly delta: number;
  readonly imagesPerPatient: number;
  /**
   * "exact": full batches, where k images together move the sum k times as far. "accounted": each image with its own coin,
   * by the privacy loss distribution. "group": (epsilon, delta) k times over, which is far from tight.
   */
  readonly how: "exact" | "accounted" | "group";
}

const WHERE = "cost of a patient";

/**
 * The epsilon of a whole patient, of up to `imagesPerPatient` images, under events that protect single images.
 * Throws LG-PRIVACY-001 for impossible parameters and LG-PRIVACY-004 for events that are not Poisson sampled images.
 */
export function patientEpsilon(
  events: readonly Event[],
  delta: number,
  imagesPerPatient: number,
  { relation = "add-or-remove-one" }: { readonly relation?: Relation } = {},
): PatientCost {
  checkDelta(WHERE, delta);
  requireParameter(
    WHERE,
    "imagesPerPatient",
    imagesPerPatient,
    Number.isSafeInteger(imagesPerPatient) && imagesPerPatient >= 1 && imagesPerPatient <= LARGEST_GROUP,
    `a whole number from 1 to ${LARGEST_GROUP}`,
  );
  const taken: PoissonGaussianEvent[] = [];
  for (const event of events) {
    checkEvent(WHERE, event);
    if (event.kind !== "poisson-gaussian" || (event.groupSize ?? 1) > 1)
      throw new LeadglassError(
        "LG-PRIVACY-004",
        `${WHERE}: an event is not one of single images drawn by Poisson sampling`,
        {
          hint: "plan with the patient as the unit: nothing needs to be converted then",
        },
      );
    if (event.steps > 0) taken.push({ ...event, groupSize: imagesPerPatient });
  }
  const stated = { delta, imagesPerPatient };
  if (taken.length === 0) return { ...stated, epsilon: 0, how: "exact" };
  const noise = fullBatchNoise(taken, relation);
  if (noise !== null) return { ...stated, epsilon: gaussianEpsilon(noise, delta), how: "exact" };
  // For an exchanged patient no worst pair is known, and the general bound is all there is.
  if (relation === "replace-one") {
    const epsilon = groupEpsilon(taken, delta, imagesPerPatient);
    return { ...stated, epsilon: epsilon < Infinity ? epsilon : null, how: "group" };
  }
  return { ...stated, epsilon: accountantNamed("pld").epsilon(taken, delta, relation).upper, how: "accounted" };
}

/**
 * k images exchanged one after the other: (epsilon, d) for one is (k epsilon, d (e^(k epsilon) - 1) / (e^epsilon - 1)) for k. The
 * least such k epsilon over d. Source: Vadhan, The Complexity of Differential Privacy, 2017, lemma 2.2, not rounded up.
 */
function groupEpsilon(events: readonly PoissonGaussianEvent[], delta: number, images: number): number {
  const total = new Float64Array(rdpOrders.length);
  for (const event of events) rdpOfStepReplacing(event).forEach((rdp, i) => (total[i]! += event.steps * rdp));
  const epsilonAt = (logDelta: number): number => rdpToEpsilon(total, Math.exp(logDelta)).epsilon;
  const meets = (logDelta: number): boolean => {
    const epsilon = epsilonAt(logDelta);
    // log of the sum of e^(i epsilon) over i < k.
    const grown =
      epsilon === 0
        ? Math.log(images)
        : (images - 1) * epsilon + Math.log(Math.expm1(-images * epsilon) / Math.expm1(-epsilon));
    return logDelta + grown <= Math.log(delta);
  };
  let [low, high] = [-700, Math.log(delta)];
  if (meets(high)) return images * epsilonAt(high);
  if (!meets(low)) return Infinity;
  while (high - low > 1e-6) {
    const middle = (low + high) / 2;
    if (meets(middle)) low = middle;
    else high = middle;
  }
  return images * epsilonAt(low);
}
