import { LeadglassError } from "../errors.ts";

/** What is known of a step without looking at images. */
export interface StepHealth {
  readonly step: number;
  readonly discriminator: number;
  readonly generator: number | null;
  /** Deviation of generated pixels over a batch. */
  readonly deviation: number | null;
}

/** Averages over about this many steps decide: single batches say little. */
const memory = 200;
/** A mean loss below this says that the discriminator tells every image apart and gives no direction any more. */
const hopeless = 0.003;
/** Of pixels in [-1, 1]; real crops have about 0.3. */
const alike = 0.01;

/**
 * Watches a training and stops it where going on is of no use.
 * The returned function throws LG-TRAIN-001: for losses that are not finite at once, for a discriminator that has won and
 * for images that are all alike when they have been so for hundreds of steps.
 */
export function healthWatch(bounded: boolean): (health: StepHealth) => void {
  let loss: number | null = null;
  let spread: number | null = null;
  let seen = 0;
  const follow = (before: number | null, now: number): number =>
    before === null ? now : before + (now - before) / memory;
  const stop = (step: number, what: string, hint: string): never => {
    throw new LeadglassError("LG-TRAIN-001", `generator, step ${step}: ${what}`, { hint });
  };
  return ({ step, discriminator, generator, deviation }) => {
    if (!Number.isFinite(discriminator) || (generator !== null && !Number.isFinite(generator)))
      stop(step, "a loss is not finite", "Lower --lr, or choose --loss bce with the default regularisation.");
    seen++;
    loss = follow(loss, discriminator);
    if (deviation !== null) spread = follow(spread, deviation);
    if (seen < 3 * memory) return;
    if (bounded && loss < hopeless)
      stop(
        step,
        `the discriminator tells all images apart (its mean loss is ${loss.toExponential(1)}), so that the generator learns nothing more`,
        "Lower --lr, raise --instance-noise, or use label smoothing; on few images choose --model compact.",
      );
    if (spread !== null && spread < alike)
      stop(step, "all generated images are alike (mode collapse)", "Lower --lr, or choose --model compact.");
  };
}
