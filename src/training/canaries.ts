import { LeadglassError } from "../errors.ts";
import { gather, input, mul, reshape, sizeOf, type Input, type Value } from "../graph/index.ts";
import type { RandomSource } from "../math/random.ts";
import { zeros } from "../nn/initialisers.ts";
import type { Model } from "../nn/model.ts";
import { expectedShare, type DpPlan } from "../privacy/index.ts";
import type { TrainingData } from "./data.ts";

/**
 * Gradient canaries: invented units whose gradient is one large number at a place of their own. The term scale x
 * theta[index] in a canary's loss gives it exactly that gradient, by the same differentiation, clipping, sum and noise
 * as every patient's, so that whoever sees the noisy sums can try to tell which canaries were in.
 */
export interface Canaries {
  /** The parameter that holds the places. */
  readonly parameter: string;
  /** By unit; the others are patients. */
  readonly of: ReadonlyMap<number, Canary>;
}

export interface Canary {
  /** Place in the flattened parameter. */
  readonly index: number;
  /** The derivative there: far above the clipping norm, so that a right engine cuts it to the norm exactly. */
  readonly scale: number;
}

/** Name of the parameter that {@link withCanaryParameter} adds. */
export const canaryParameter = "canaries";

/**
 * A model with one more parameter of `count` zeros that its answers do not depend on: the place for canaries. Patients
 * have no gradient there, so nothing hides a canary but the noise, and canaries leave the model's own weights alone.
 */
export const withCanaryParameter = (model: Model, count: number): Model => ({
  ...model,
  parameters: [
    ...model.parameters,
    { name: canaryParameter, value: input(canaryParameter, [count]), initialise: zeros },
  ],
});

/** What the canaries add to the loss of every row, [rows], and what is fed for it. */
export interface CanaryTerm {
  readonly value: Value;
  /** [rows], int64. */
  readonly index: Input;
  /** [rows]; 0 for patients. */
  readonly scale: Input;
}

/** The term for a model's rows. Throws LG-TRAIN-003 where the model has no such parameter. */
export function canaryTerm(model: Model, parameter: string, rows: number): CanaryTerm {
  const found = model.parameters.find((p) => p.name === parameter);
  if (!found)
    throw new LeadglassError("LG-TRAIN-003", `canaries: model ${model.name} has no parameter ${parameter}`, {
      hint: "Name one of the trained parameters, or add one with withCanaryParameter.",
    });
  const index = input("canary/index", [rows], "int64");
  const scale = input("canary/scale", [rows]);
  const flat = found.value.shape.length === 1 ? found.value : reshape(found.value, [sizeOf(found.value.shape)]);
  return { value: mul(scale, gather(flat, index, 0)), index, scale };
}

/** A fair coin for each of `count` canaries: true puts it among the training units. */
export const tossCanaries = (count: number, random: RandomSource): boolean[] =>
  Array.from({ length: count }, () => random.uint32() >>> 31 === 1);

/**
 * Training data with a unit for each canary that is in, behind the patients, so that the plan's sampler draws them like
 * everybody. A canary's image is blank and has no label: all its gradient is the canary's own. Canary k has place k.
 * @param included for each canary whether it is in.
 * @param scale the derivative; many times the clipping norm.
 */
export function plantCanaries(
  data: TrainingData,
  {
    included,
    scale,
    parameter,
  }: { readonly included: readonly boolean[]; readonly scale: number; readonly parameter: string },
): TrainingData {
  const places = included.flatMap((isIn, index) => (isIn ? [index] : []));
  const blank = data.targets.length / data.outputs;
  const withBlank = (matrix: Float32Array): Float32Array => {
    const longer = new Float32Array(matrix.length + data.outputs);
    longer.set(matrix);
    return longer;
  };
  const rowSize = sizeOf(data.rowShape);
  return {
    ...data,
    units: [...data.units, ...places.map(() => [blank])],
    targets: withBlank(data.targets),
    known: withBlank(data.known),
    load: async (requests, out) => {
      const real = requests.flatMap(({ image }, i) => (image === blank ? [] : [i]));
      if (real.length === requests.length) return data.load(requests, out);
      const rows = new Float32Array(real.length * rowSize);
      if (real.length > 0) await data.load(real.map((i) => requests[i]!), rows); // prettier-ignore
      out.fill(0);
      real.forEach((i, r) => out.set(rows.subarray(r * rowSize, (r + 1) * rowSize), i * rowSize));
    },
    canaries: { parameter, of: new Map(places.map((index, k) => [data.units.length + k, { index, scale }])) },
  };
}

/**
 * Adds to each place's score what one step's noisy sums say: the logarithm of how much likelier they are if the place's
 * canary is among the units, drawn with the plan's probability and clipped to its norm, than if it is not. Added up over
 * steps it is the best score there is (Neyman and Pearson) for whoever knows the plan and sees every step.
 * @param sums the noisy sum of the step at the canaries' places.
 */
export function scoreCanaries(scores: Float32Array | Float64Array, sums: Float32Array, plan: DpPlan): void {
  const probability = expectedShare(plan.sampling);
  const precision = 1 / plan.noiseMultiplier ** 2;
  const [drawn, notDrawn] = [Math.log(probability), Math.log1p(-probability)];
  for (let k = 0; k < scores.length; k++) {
    const ifDrawn = drawn + (sums[k]! / plan.clipping.norm - 0.5) * precision;
    const larger = Math.max(ifDrawn, notDrawn);
    scores[k]! += larger + Math.log1p(Math.exp(Math.min(ifDrawn, notDrawn) - larger));
  }
}
