import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import { type Relation, requireParameter } from "./events.ts";

/**
 * How a unit's gradient is brought to a bounded norm before it is summed. Whatever the kind, no unit moves the sum by more
 * than {@link sensitivityOf} says; nothing else may assume a bound.
 */
export type Clipping =
  /** The whole gradient is scaled to at most `norm`. */
  | { readonly kind: "flat"; readonly norm: number }
  /** Each of L layers is scaled to at most norm / sqrt(L), so that all together stay within `norm`. */
  | { readonly kind: "per-layer"; readonly norm: number }
  /** Every gradient g is scaled to norm |g| / (|g| + gamma): small ones are not lost among large ones. */
  | { readonly kind: "automatic"; readonly norm: number; readonly gamma: number }
  | AdaptiveClipping;

/**
 * Flat clipping whose norm follows a quantile of the units' norms. The count of units within the norm is released in every
 * step with Gaussian noise of deviation `countNoise`, which the plan's noise multiplier pays for.
 */
export interface AdaptiveClipping {
  readonly kind: "adaptive";
  /** The norm of the first step. */
  readonly norm: number;
  /** The share of units that should lie within the norm. */
  readonly quantile: number;
  /** How fast the logarithm of the norm follows. */
  readonly rate: number;
  /** Standard deviation of the noise on the sum of (1 within, 0 outside) less one half for each unit. */
  readonly countNoise: number;
}

/** What a caller says of the clipping; the rest has defaults. */
export type ClippingOptions =
  | { readonly kind: "flat" | "per-layer"; readonly norm: number }
  | { readonly kind: "automatic"; readonly norm: number; readonly gamma?: number }
  | ({ readonly kind: "adaptive"; readonly norm: number } & Partial<
      Pick<AdaptiveClipping, "quantile" | "rate" | "countNoise">
    >);

export const clippingKinds = ["flat", "per-layer", "automatic", "adaptive"] as const;

/** Beyond these the float32 arithmetic of norms underflows or overflows, and the bound would no longer hold. */
const LEAST_NORM = 1e-9;
const MOST_NORM = 1e9;

/**
 * The largest change of the sum of clipped gradients, as one Euclidean vector, between two neighbouring cohorts; `norm` is
 * the norm in force where it moves from step to step. A unit added or removed brings its clipped gradient; one exchanged
 * for another takes one away and brings one.
 *
 * A plan's noise multiplier is relative to the value for "add-or-remove-one" under either relation: accountants know that
 * an exchange is twice as much.
 */
export function sensitivityOf(clipping: Clipping, relation: Relation, norm = clipping.norm): number {
  return relation === "replace-one" ? 2 * norm : norm;
}

/**
 * The noise multiplier for the sum of gradients: the plan's own, unless a noisy count is released beside it. Both together
 * are one Gaussian release with 1 / z^2 = 1 / zSum^2 + 1 / (2 countNoise)^2, where z is the plan's and a count less one
 * half moves by one half. Source: Andrew, Thakkar, McMahan, Ramaswamy, Differentially Private Learning with Adaptive
 * Clipping, 2021 (arXiv 1905.03871), theorem 1.
 */
export function sumNoiseMultiplier(clipping: Clipping, noiseMultiplier: number): number {
  if (clipping.kind !== "adaptive") return noiseMultiplier;
  return (noiseMultiplier ** -2 - (2 * clipping.countNoise) ** -2) ** -0.5;
}

/**
 * The norm of the next step, from the noisy sum of (1 within, 0 outside) less one half over the drawn units: multiplied by
 * exp(-rate (share - quantile)), where the share is taken of the public expected batch size (arXiv 1905.03871).
 * It is rounded to float32, as the graph reads it. Only released numbers enter, so it costs nothing more.
 */
export function nextNorm(
  clipping: AdaptiveClipping,
  norm: number,
  noisyCount: number,
  expectedBatchSize: number,
): number {
  const share = noisyCount / expectedBatchSize + 0.5;
  const next = norm * Math.exp(-clipping.rate * (share - clipping.quantile));
  return Math.fround(Math.min(Math.max(next, LEAST_NORM), MOST_NORM));
}

const WHERE = "clipping";

/**
 * Completes a clipping with the published defaults: gamma 0.01 (Bu, Wang, Zha, Karypis, Automatic Clipping, 2022, arXiv
 * 2206.07136), quantile 0.5, rate 0.2 and a count noise of a twentieth of the batch (arXiv 1905.03871), but at least 2.5
 * times the noise multiplier, so that the count never takes more than 2 % of the noise's precision.
 * Throws LG-PRIVACY-001 for numbers out of range, and for an adaptive clipping without a public batch size.
 */
export function completeClipping(
  options: ClippingOptions,
  noiseMultiplier: number,
  expectedBatchSize: number | null,
): Clipping {
  const { kind, norm } = options;
  requireParameter(
    WHERE,
    "clipNorm",
    norm,
    norm >= LEAST_NORM && norm <= MOST_NORM,
    `a number from ${LEAST_NORM} to ${MOST_NORM}`,
  );
  const complete = ((): Clipping => {
    if (kind === "automatic") return { kind, norm, gamma: options.gamma ?? 0.01 };
    if (kind !== "adaptive") return { kind, norm };
    if (expectedBatchSize === null)
      throw new LeadglassError("LG-PRIVACY-001", `${WHERE}: expectedBatchSize is nothing; expected a public number`, {
        hint: "adaptive clipping divides a count by it: plan with expectedBatchSize or publicCohortSize",
      });
    const { quantile = 0.5, rate = 0.2 } = options;
    const countNoise = options.countNoise ?? Math.max(expectedBatchSize / 20, 2.5 * noiseMultiplier);
    return { kind, norm: Math.fround(norm), quantile, rate, countNoise };
  })();
  checkClipping(complete, noiseMultiplier);
  return complete;
}

/** Throws LG-PRIVACY-001 for numbers out of range and -005 where a noisy count would cost more than the whole step may. */
export function checkClipping(clipping: Clipping, noiseMultiplier: number): void {
  const { norm } = clipping;
  const require = (name: string, value: number, passes: boolean, expected: string): void =>
    requireParameter(WHERE, name, value, passes, expected);
  require("clipNorm", norm, norm >= LEAST_NORM && norm <= MOST_NORM, `a number from ${LEAST_NORM} to ${MOST_NORM}`);
  if (clipping.kind === "automatic")
    require("gamma", clipping.gamma, clipping.gamma > 0 && clipping.gamma < Infinity, "a finite number above 0");
  if (clipping.kind !== "adaptive") return;
  const { quantile, rate, countNoise } = clipping;
  require("quantile", quantile, quantile > 0 && quantile < 1, "a number above 0 and below 1");
  require("rate", rate, rate > 0 && rate <= 2, "a number above 0 and at most 2");
  require("countNoise", countNoise, countNoise > 0 && countNoise < Infinity, "a finite number above 0");
  if (!(2 * countNoise > noiseMultiplier))
    throw new LeadglassError(
      "LG-PRIVACY-005",
      `${WHERE}: a count noise of ${countNoise} alone costs as much as the whole noise multiplier ${noiseMultiplier}`,
      { hint: "leave countNoise out, or give more than half the noise multiplier" },
    );
}

const positive = z.number().positive();
export const clippingSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("flat"), norm: positive }),
  z.strictObject({ kind: z.literal("per-layer"), norm: positive }),
  z.strictObject({ kind: z.literal("automatic"), norm: positive, gamma: positive }),
  z.strictObject({
    kind: z.literal("adaptive"),
    norm: positive,
    quantile: positive,
    rate: positive,
    countNoise: positive,
  }),
]);
