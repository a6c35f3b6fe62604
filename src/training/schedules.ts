import { LeadglassError } from "../errors.ts";

/** How the learning rate moves over a run. */
export type Schedule = {
  /** Steps over which the rate rises in a straight line to its peak; at most one of the two, 0 by default. */
  readonly warmupSteps?: number;
  /** The same as a fraction of all steps. */
  readonly warmupFraction?: number;
} & (
  | { readonly kind: "constant" }
  | { readonly kind: "linear" }
  /** `floor`: what is left at the end, as a fraction of the peak; 0 by default. */
  | { readonly kind: "cosine"; readonly floor?: number }
);

/** The part of the peak that is left when a part `progress` in [0, 1) of the way after warm-up is done. */
const shapes: { readonly [K in Schedule["kind"]]: (s: Extract<Schedule, { kind: K }>, progress: number) => number } = {
  constant: () => 1,
  linear: (_, progress) => 1 - progress,
  cosine: ({ floor = 0 }, progress) => floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2,
};

/**
 * The learning rate of a step, counted from 0; `peak` is the largest, so that with the default the result is a factor.
 * Step i of a warm-up of W has (i + 1) / (W + 1) of the peak, so that no step is idle and step W is the first at the peak;
 * the end of the decay would be reached at step `totalSteps`, the first that is not taken.
 * Throws LG-TRAIN-003 for a step outside the run or an impossible schedule.
 */
export function learningRateAt(schedule: Schedule, step: number, totalSteps: number, peak = 1): number {
  if (!(Number.isInteger(step) && Number.isInteger(totalSteps) && step >= 0 && step < totalSteps))
    throw refusal(`step ${step} of ${totalSteps} is not a whole number from 0 to below the number of steps`);
  const warmup = warmupOf(schedule, totalSteps);
  if (step < warmup) return (peak * (step + 1)) / (warmup + 1);
  const shape = shapes[schedule.kind] as (s: Schedule, progress: number) => number;
  return peak * shape(schedule, (step - warmup) / (totalSteps - warmup));
}

const refusal = (what: string): LeadglassError =>
  new LeadglassError("LG-TRAIN-003", `schedule: ${what}`, { hint: "Correct the schedule or the number of steps." });

/** Steps of warm-up; checks the schedule. */
function warmupOf(schedule: Schedule, totalSteps: number): number {
  const { kind, warmupSteps, warmupFraction } = schedule;
  if (!Object.hasOwn(shapes, kind))
    throw refusal(`there is none called ${kind}; expected ${Object.keys(shapes).join(", ")}`);
  const floor = schedule.kind === "cosine" ? (schedule.floor ?? 0) : 0;
  if (!(floor >= 0 && floor <= 1)) throw refusal(`floor is ${floor}; expected a fraction of the peak, from 0 to 1`);
  if (warmupSteps !== undefined && warmupFraction !== undefined)
    throw refusal("warmupSteps and warmupFraction are both given; expected one of them");
  if (warmupFraction !== undefined && !(warmupFraction >= 0 && warmupFraction <= 1))
    throw refusal(`warmupFraction is ${warmupFraction}; expected a number from 0 to 1`);
  const steps = warmupSteps ?? Math.round((warmupFraction ?? 0) * totalSteps);
  if (!(Number.isInteger(steps) && steps >= 0 && steps <= totalSteps))
    throw refusal(`warmupSteps is ${steps}; expected a whole number from 0 to the ${totalSteps} steps of the run`);
  return steps;
}
