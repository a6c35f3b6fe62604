import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import {
  type AccountantName,
  accountantNamed,
  checkDelta,
  checkEvent,
  type EpsilonInterval,
  type Event,
  type Relation,
  requireParameter,
} from "./accountant.ts";
import { calibrateNoise, checkTarget, type PrivacyTarget } from "./calibration.ts";
import { checkClipping, type Clipping, type ClippingOptions, clippingSchema, completeClipping } from "./clipping.ts";
import { expectedShare, type Sampling, samplingEvent, samplingSchema } from "./sampling.ts";

/** What privacy protects: everything of a patient, or each image by itself. */
export type Unit = "patient" | "image";

/**
 * Everything that sampler, clipping, noise and accountant must agree on, as one plain value: it survives JSON, and
 * nobody passes any of these numbers separately. Made by {@link planPrivateTraining}, read back by {@link parsePlan}.
 */
export interface DpPlan {
  readonly version: 1;
  readonly unit: Unit;
  readonly relation: Relation;
  /** How units come into the batch of each step. */
  readonly sampling: Sampling;
  /** How a unit's gradient is bounded. */
  readonly clipping: Clipping;
  readonly steps: number;
  /**
   * Standard deviation of the noise on the clipped sum, divided by the most that one unit adds to it; where a noisy count
   * is released beside the sum, that of both together.
   */
  readonly noiseMultiplier: number;
  readonly delta: number;
  /** What the whole run costs at `delta`. */
  readonly epsilon: EpsilonInterval;
  /** The target that the noise was calibrated to; null when the noise was chosen. */
  readonly target: PrivacyTarget | null;
  readonly accountant: AccountantName;
  /**
   * What the noisy sum is divided by; null until somebody states a public number. The true count of units is private
   * when units may be added or removed, so this is never computed from the data.
   */
  readonly expectedBatchSize: number | null;
  /** A public statement of about how many units there are, from which the one above follows; null when not stated. */
  readonly publicCohortSize: number | null;
  /** True for tests and reproductions whose noise comes from a seed: the guarantee then does not hold. */
  readonly insecureSeed: boolean;
}

/** What a caller says of the sampling; numbers that follow from expectedBatchSize and publicCohortSize may be left out. */
export type SamplingOptions =
  | { readonly kind: "poisson"; readonly probability?: number }
  | {
      readonly kind: "truncated-poisson";
      readonly probability?: number;
      readonly cap: number;
      readonly cohortSize?: number;
    }
  | { readonly kind: "full" }
  | { readonly kind: "shuffle"; readonly batchSize?: number; readonly cohortSize?: number };

export interface PlanOptions {
  /** Epsilon and delta to stay within; the noise is calibrated to it. Give this, or noiseMultiplier and delta. */
  readonly target?: PrivacyTarget;
  readonly noiseMultiplier?: number;
  readonly delta?: number;
  readonly unit?: Unit;
  readonly relation?: Relation;
  /** Numbers may be left out where expectedBatchSize and publicCohortSize give them. */
  readonly sampling?: SamplingOptions;
  readonly clipping: ClippingOptions;
  readonly steps: number;
  /**
   * By default "gaussian" (exact) when every unit takes part in every step, "pld" where batches have a cap, and otherwise
   * "rdp".
   */
  readonly accountant?: AccountantName;
  readonly expectedBatchSize?: number;
  readonly publicCohortSize?: number;
  readonly insecureSeed?: boolean;
}

const WHERE = "privacy plan";

/** Numbers that were computed from each other may differ by this much, relatively, after a change of version. */
const AGREEMENT = 1e-6;

const contradiction = (message: string, hint: string): LeadglassError =>
  new LeadglassError("LG-PRIVACY-005", `${WHERE}: ${message}`, { hint });

const agree = (a: number, b: number): boolean => Math.abs(a - b) <= AGREEMENT * Math.max(Math.abs(a), Math.abs(b));

/** Completes the three public numbers of which any two give the third, and the sampling from them. */
function publicNumbers(
  given: SamplingOptions,
  { expectedBatchSize, publicCohortSize }: Pick<PlanOptions, "expectedBatchSize" | "publicCohortSize">,
): { sampling: Sampling; expectedBatchSize: number | null; publicCohortSize: number | null } {
  const positive = (name: string, value: number | undefined): void =>
    requireParameter(WHERE, name, value, value === undefined || (value > 0 && value < Infinity), "a positive number");
  positive("expectedBatchSize", expectedBatchSize);
  positive("publicCohortSize", publicCohortSize);
  const known = <T>(name: string, value: T | undefined, hint: string): T => {
    if (value !== undefined) return value;
    throw new LeadglassError("LG-PRIVACY-001", `${WHERE}: ${name} is nothing; expected a number`, { hint });
  };
  /** A number of the sampling that a public number states too. */
  const same = (name: string, own: number, stated: number | undefined): void => {
    if (stated !== undefined && !agree(own, stated))
      throw contradiction(`the sampling has ${name} ${own}, and ${stated} was stated`, "leave one of the two out");
  };
  const derived =
    expectedBatchSize !== undefined && publicCohortSize !== undefined
      ? expectedBatchSize / publicCohortSize
      : undefined;
  /** Of a sampling with a probability. */
  const numbers = (probability: number) => {
    if (derived !== undefined && !agree(derived, probability))
      throw contradiction(
        `expectedBatchSize / publicCohortSize is ${derived} but the sampling probability is ${probability}`,
        "leave one of the three out",
      );
    return {
      expectedBatchSize: expectedBatchSize ?? (publicCohortSize === undefined ? null : probability * publicCohortSize),
      publicCohortSize: publicCohortSize ?? null,
    };
  };
  const whole = (name: string, value: number): void =>
    requireParameter(WHERE, name, value, Number.isSafeInteger(value) && value >= 1, "a whole number of at least 1");
  const probabilityHint = "give sampling.probability, or expectedBatchSize and publicCohortSize";
  switch (given.kind) {
    case "full":
      return {
        sampling: { kind: "full", probability: 1 },
        ...numbers(1),
        ...(publicCohortSize === undefined && expectedBatchSize !== undefined
          ? { publicCohortSize: expectedBatchSize }
          : {}),
      };
    case "poisson": {
      const probability = known("samplingProbability", given.probability ?? derived, probabilityHint);
      return { sampling: { kind: "poisson", probability }, ...numbers(probability) };
    }
    case "truncated-poisson": {
      const { cap } = given;
      const probability = known("samplingProbability", given.probability ?? derived, probabilityHint);
      const cohortSize = known(
        "cohortSize",
        given.cohortSize ?? publicCohortSize,
        "give sampling.cohortSize or publicCohortSize: what a cap costs depends on it",
      );
      whole("cap", cap);
      whole("cohortSize", cohortSize);
      same("cohort size", cohortSize, publicCohortSize);
      return {
        sampling: { kind: "truncated-poisson", probability, cap, cohortSize },
        ...numbers(probability),
        expectedBatchSize: expectedBatchSize ?? probability * cohortSize,
        publicCohortSize: cohortSize,
      };
    }
    case "shuffle": {
      const batchSize = known("batchSize", given.batchSize ?? expectedBatchSize, "give sampling.batchSize");
      const cohortSize = known("cohortSize", given.cohortSize ?? publicCohortSize, "give sampling.cohortSize");
      whole("batchSize", batchSize);
      whole("cohortSize", cohortSize);
      same("batch size", batchSize, expectedBatchSize);
      same("cohort size", cohortSize, publicCohortSize);
      return {
        sampling: { kind: "shuffle", batchSize, cohortSize },
        expectedBatchSize: batchSize,
        publicCohortSize: cohortSize,
      };
    }
  }
}

/** Throws LG-PRIVACY-005 for shuffled batches under a relation in which they cannot be accounted. */
function checkRelation(sampling: Sampling, relation: Relation): void {
  if (sampling.kind === "shuffle" && relation === "add-or-remove-one")
    throw contradiction(
      "shuffled batches are not private for a unit added or removed: it would move every other unit of a pass to another batch",
      "use poisson sampling; or the relation replace-one, under which each pass is accounted as a release without sampling",
    );
}

/**
 * Makes the plan of a private training run: calibrates the noise to a target (epsilon, delta), or states what a chosen
 * noise multiplier costs at delta.
 * Throws LG-PRIVACY-001 for impossible parameters, -003 where no noise meets the target, -005 for contradictions.
 */
export function planPrivateTraining(options: PlanOptions): DpPlan {
  const { target, unit = "patient", relation = "add-or-remove-one", steps, insecureSeed = false } = options;
  const { sampling, ...divisor } = publicNumbers(options.sampling ?? { kind: "poisson" }, options);
  checkRelation(sampling, relation);
  requireParameter(WHERE, "steps", steps, Number.isSafeInteger(steps) && steps >= 1, "a whole number of at least 1");
  if (target) checkTarget(WHERE, target);
  if (target && (options.noiseMultiplier !== undefined || options.delta !== undefined))
    throw contradiction("both a target and a noise multiplier or delta were given", "give the target alone");
  const delta = target?.delta ?? options.delta ?? NaN;
  checkDelta(WHERE, delta);
  const event = samplingEvent(sampling, 1, steps);
  const accountant =
    options.accountant ??
    (event.kind === "truncated-poisson-gaussian" ? "pld" : event.samplingProbability === 1 ? "gaussian" : "rdp");
  const noiseMultiplier = target
    ? calibrateNoise({
        target,
        samplingProbability: event.samplingProbability,
        steps: event.steps,
        relation,
        accountant: accountantNamed(accountant),
        ...(event.kind === "truncated-poisson-gaussian" ? { truncation: event } : {}),
      })
    : (options.noiseMultiplier ?? NaN);
  checkEvent(WHERE, samplingEvent(sampling, noiseMultiplier, steps));
  const plan = {
    version: 1 as const,
    unit,
    relation,
    sampling,
    clipping: completeClipping(options.clipping, noiseMultiplier, divisor.expectedBatchSize),
    steps,
    noiseMultiplier,
    delta,
    target: target ? { epsilon: target.epsilon, delta: target.delta } : null,
    accountant,
    ...divisor,
    insecureSeed,
  };
  return { ...plan, epsilon: accountantNamed(accountant).epsilon([eventOf(plan, steps)], delta, relation) };
}

/** What the first `steps` steps of a plan are to an accountant. */
export function eventOf(plan: Pick<DpPlan, "sampling" | "noiseMultiplier">, steps: number): Event {
  return samplingEvent(plan.sampling, plan.noiseMultiplier, steps);
}

/**
 * The epsilon that the first `stepsDone` steps of a plan have cost at the plan's delta.
 * Throws LG-PRIVACY-002 beyond the plan's last step (the budget is a hard stop) and LG-PRIVACY-001 for a number of
 * steps that is not whole or is negative.
 */
export function spent(plan: DpPlan, stepsDone: number): EpsilonInterval {
  if (stepsDone > plan.steps)
    throw new LeadglassError(
      "LG-PRIVACY-002",
      `${WHERE}: ${stepsDone} steps; the plan allows ${plan.steps}, which cost epsilon ${plan.epsilon.upper}`,
      {
        hint: "start a new run with its own plan; the ledger adds the two up",
        fields: { stepsDone, steps: plan.steps },
      },
    );
  return accountantNamed(plan.accountant).epsilon([eventOf(plan, stepsDone)], plan.delta, plan.relation);
}

/**
 * The public number by which the noisy sum of a step is divided: the plan's own, or the sampling probability times a
 * cohort size that the caller declares to be public.
 * Throws LG-PRIVACY-001 where neither is known, and LG-PRIVACY-005 where the two disagree.
 */
export function expectedBatchSize(plan: DpPlan, publicCohortSize?: number): number {
  const stated = plan.expectedBatchSize;
  if (publicCohortSize === undefined) {
    if (stated !== null) return stated;
    throw new LeadglassError("LG-PRIVACY-001", `${WHERE}: expectedBatchSize is nothing; expected a public number`, {
      hint: "plan with expectedBatchSize or publicCohortSize; the true number of units is private and cannot be used",
    });
  }
  requireParameter(
    WHERE,
    "publicCohortSize",
    publicCohortSize,
    publicCohortSize > 0 && publicCohortSize < Infinity,
    "a positive number",
  );
  const computed = expectedShare(plan.sampling) * publicCohortSize;
  if (stated !== null && !agree(stated, computed))
    throw contradiction(
      `expected batch size ${stated} in the plan, ${computed} from the cohort size given`,
      "use the plan's number by giving no cohort size",
    );
  return computed;
}

const positive = z.number().positive();
const targetSchema = z.strictObject({ epsilon: positive, delta: positive });
export const planSchema = z.strictObject({
  version: z.literal(1),
  unit: z.enum(["patient", "image"]),
  relation: z.enum(["add-or-remove-one", "replace-one"]),
  sampling: samplingSchema,
  clipping: clippingSchema,
  steps: z.int().positive(),
  noiseMultiplier: positive,
  delta: positive,
  epsilon: z.strictObject({ upper: z.number().nonnegative(), lower: z.number().nonnegative().nullable() }),
  target: targetSchema.nullable(),
  accountant: z.enum(["rdp", "gaussian", "pld"]),
  expectedBatchSize: positive.nullable(),
  publicCohortSize: positive.nullable(),
  insecureSeed: z.boolean(),
});

/**
 * Reads a plan back from JSON (text or parsed) and checks it against itself: what it says it costs is computed anew, so
 * that a plan edited to cost less, or to be noisier or longer than its target allows, is refused.
 * Throws LG-PRIVACY-006 for what is not a plan, and LG-PRIVACY-001, -004 or -005 for one that cannot hold.
 */
export function parsePlan(json: unknown): DpPlan {
  const parsed = planSchema.safeParse(typeof json === "string" ? parseJson(json) : json);
  if (!parsed.success) {
    const places = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the whole"} (${issue.code})`);
    throw new LeadglassError(
      "LG-PRIVACY-006",
      `${WHERE}: not readable at ${places.join(", ")}; expected a plan of version 1`,
      {
        hint: "restore the plan that the run wrote",
      },
    );
  }
  const plan: DpPlan = parsed.data;
  checkDelta(WHERE, plan.delta);
  checkEvent(WHERE, eventOf(plan, plan.steps));
  checkRelation(plan.sampling, plan.relation);
  checkClipping(plan.clipping, plan.noiseMultiplier);
  publicNumbers(plan.sampling, {
    expectedBatchSize: plan.expectedBatchSize ?? undefined,
    publicCohortSize: plan.publicCohortSize ?? undefined,
  });
  const { upper, lower } = spent(plan, plan.steps);
  if (
    !agree(upper, plan.epsilon.upper) ||
    (lower === null) !== (plan.epsilon.lower === null) ||
    !agree(lower ?? 0, plan.epsilon.lower ?? 0)
  )
    throw contradiction(
      `it says that it costs epsilon ${plan.epsilon.upper}; its noise, sampling and steps cost ${upper}`,
      "restore the plan that the run wrote; it was edited",
    );
  if (plan.target && (plan.target.delta !== plan.delta || upper > plan.target.epsilon * (1 + AGREEMENT)))
    throw contradiction(
      `its noise and steps cost epsilon ${upper} at delta ${plan.delta}, beyond its target of ${plan.target.epsilon} at ${plan.target.delta}`,
      "restore the plan that the run wrote; it was edited",
    );
  return plan;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LeadglassError("LG-PRIVACY-006", `${WHERE}: not JSON (text of length ${text.length})`, {
      hint: "restore the plan that the run wrote",
      cause,
    });
  }
}
