import { LeadglassError } from "../errors.ts";
import { fillGaussian, type RandomSource } from "../math/random.ts";
import { type AdaptiveClipping, sensitivityOf, sumNoiseMultiplier } from "./clipping.ts";
import { requireParameter } from "./events.ts";
import type { DpPlan } from "./plan.ts";
import { requireSecure } from "./sampling.ts";

/** How the noise of a step is drawn. */
export interface NoiseScale {
  /** Standard deviation of each number. */
  readonly deviation: number;
  /** The power of two to whose multiples the sum and the noise are rounded. */
  readonly grid: number;
  /** By how much, relatively, the deviation was raised to make up for the rounding of the sum. */
  readonly inflation: number;
}

/** A grid no finer than needed: rounding to it costs at most this share more noise. */
const FREE_INFLATION = 0.005;
/** Grids in one standard deviation, at most; 13.8 deviations, beyond which nothing is drawn, are then below 2^24 grids. */
const MOST_GRIDS = 2 ** 20;

/**
 * The deviation and grid of the noise on a sum of `size` numbers, where `norm` is the clipping norm in force.
 *
 * The defence against floating point (Mironov, On Significance of the Least Significant Bits, 2012): a sum of floats and
 * noise can reach only some floats, and which ones tells of the sum. Here the sum and each Gaussian number are rounded to
 * multiples of a power of two g, so that their sum is again a multiple of g, whatever the data. A float32 of 2^23 g or more
 * is a multiple of g already and the noise stays below 2^24 g, so both operands are exact, and the float32 that comes out
 * is a function of the exact sum, as IEEE 754 rounds correctly. It is therefore a post-processing of
 * round(sum) + noise, rounded to the grid: the Gaussian mechanism on the rounded sum. Rounding moves each of the d numbers
 * of the sum by at most g / 2, so two neighbouring rounded sums are at most C + g sqrt(d) apart where C is the bound on
 * one unit; the deviation is raised by that ratio, and the plan's noise multiplier stays what it says.
 *
 * g is the largest power of two that costs at most 0.5 % more noise, but at least a 2^20th of the deviation. Only above
 * d = 10^7 / z^2 or so does it then cost more; `inflation` says how much.
 *
 * Throws LG-PRIVACY-001 for a size that is none, and LG-PRIVACY-003 where the rounding would double the noise.
 */
export function noiseScale(plan: DpPlan, size: number, norm = plan.clipping.norm): NoiseScale {
  requireParameter("noise", "size", size, Number.isInteger(size) && size >= 0, "a whole number >= 0");
  const bound = sensitivityOf(plan.clipping, "add-or-remove-one", norm);
  const exact = sumNoiseMultiplier(plan.clipping, plan.noiseMultiplier) * bound;
  const root = Math.sqrt(Math.max(1, size));
  const free = 2 ** Math.floor(Math.log2((FREE_INFLATION * bound) / root));
  for (let grid = Math.max(free, 2 ** Math.ceil(Math.log2(exact / MOST_GRIDS))); ; grid *= 2) {
    const inflation = (grid * root) / bound;
    const deviation = exact * (1 + inflation);
    if (inflation > 1)
      throw new LeadglassError(
        "LG-PRIVACY-003",
        `noise: ${size} numbers with noise multiplier ${plan.noiseMultiplier} cannot be rounded in float32 without doubling the noise`,
        { hint: "train fewer parameters (--freeze), or allow a larger epsilon" },
      );
    if (14 * deviation <= 2 ** 24 * grid) return { deviation, grid, inflation };
  }
}

/** Some of the noise for the sum of that name: for the numbers from `from` on. */
export interface NoisePiece {
  readonly name: string;
  readonly from: number;
  readonly data: Float32Array<ArrayBuffer>;
}

/**
 * Draws the noise of one training step piece by piece, in the order of `sizes`: independent normal numbers with the
 * deviation and grid of {@link noiseScale} for all of them together, to be added to the sum of clipped gradients, rounded to
 * the same grid, before any division. `norm` is the clipping norm in force; a piece has at most `most` numbers.
 *
 * What is left to floating point: each number is computed in float64 from 64 random bits, so a point of the grid has its
 * probability to about 1e-10 relative; and the sum that is rounded was itself added up in float32 (SHARP_EDGES.md).
 *
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed; LG-PRIVACY-001 for
 * a size that is not a whole number of at least 0; LG-PRIVACY-003 as {@link noiseScale}. Source: Abadi et al., Deep
 * Learning with Differential Privacy, 2016.
 */
export function* gaussianNoisePieces(
  plan: DpPlan,
  sizes: Readonly<Record<string, number>>,
  source: RandomSource,
  { norm, most = Infinity }: { readonly norm?: number; readonly most?: number } = {},
): Generator<NoisePiece, void> {
  requireSecure(plan, source, "noise");
  for (const [name, size] of Object.entries(sizes))
    requireParameter("noise", `the size of ${name}`, size, Number.isInteger(size) && size >= 0, "a whole number >= 0");
  const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  const { deviation, grid } = noiseScale(plan, total, norm);
  for (const [name, size] of Object.entries(sizes))
    for (let from = 0; from < size || (from === 0 && size === 0); from += most) {
      const data = new Float32Array(Math.min(most, size - from));
      fillGaussian(source, data, deviation, grid);
      yield { name, from, data };
    }
}

/** The same as one array for each name. */
export function gaussianNoise(
  plan: DpPlan,
  sizes: Readonly<Record<string, number>>,
  source: RandomSource,
  { norm }: { readonly norm?: number } = {},
): Record<string, Float32Array<ArrayBuffer>> {
  const pieces = gaussianNoisePieces(plan, sizes, source, norm === undefined ? {} : { norm });
  return Object.fromEntries(Array.from(pieces, ({ name, data }) => [name, data]));
}

/**
 * The noisy count of adaptive clipping: `withinLessHalf`, the sum of (1 within the norm, 0 outside) less one half over the
 * units of a step, plus normal noise of deviation `countNoise`. The sum is a multiple of one half and the noise is rounded
 * to multiples of 2^-20 of about its deviation, so floating point adds nothing to what they say together.
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed.
 */
export function noisyCount(
  plan: DpPlan,
  { countNoise }: AdaptiveClipping,
  withinLessHalf: number,
  source: RandomSource,
): number {
  requireSecure(plan, source, "noise");
  // One half must be on the grid.
  const grid = Math.min(0.5, 2 ** Math.ceil(Math.log2(countNoise / MOST_GRIDS)));
  return withinLessHalf + Math.round((source.gaussian() * countNoise) / grid) * grid;
}
