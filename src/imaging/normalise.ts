/** Intensities to the range a model expects. */
import { LeadglassError } from "../errors.ts";
import type { Planes } from "./pixels.ts";

/**
 * How intensities are normalised. The named modes look at one image only, so they cost no privacy. Constants measured
 * on a cohort count as access to it: they are given by the caller, who declares where they come from.
 */
export type Normalisation =
  | "none"
  | "minmax"
  | "standardise"
  | { readonly mean: number | readonly number[]; readonly std: number | readonly number[] };

/**
 * A new image with intensities changed:
 * - `minmax`: the smallest value to 0 and the largest to 1, over all channels together;
 * - `standardise`: mean 0 and standard deviation 1, over all channels together;
 * - `{ mean, std }`: (value - mean) / std, one pair for all channels or one a channel, in the units of the planes;
 * - `none`: as it is.
 * An image of one constant value becomes all zeros in the per-image modes.
 * Throws LG-IMAGE-007 for constants that are not finite, a std that is not positive, or a wrong number of them.
 */
export function normalise(planes: Planes, mode: Normalisation): Planes {
  const { channels, data } = planes;
  const size = planes.width * planes.height;
  if (mode === "none") return planes;
  if (mode === "minmax") {
    const { min, max } = range(data);
    return { ...planes, data: affine(data, min, max > min ? 1 / (max - min) : 0) };
  }
  if (mode === "standardise") {
    const { mean, std } = moments(data);
    // Float32 pixels of one value still leave a rounding residue; anything this flat is flat.
    return { ...planes, data: affine(data, mean, std > 1e-6 * Math.max(1, Math.abs(mean)) ? 1 / std : 0) };
  }
  const means = perChannel("mean", mode.mean, channels);
  const stds = perChannel("std", mode.std, channels);
  if (stds.some((std) => std <= 0))
    throw new LeadglassError("LG-IMAGE-007", "normalise: a std that is not positive", {
      hint: "Give the standard deviation of the pixels, in the same units as the mean.",
    });
  const out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++)
    out.set(affine(data.subarray(c * size, (c + 1) * size), means[c]!, 1 / stds[c]!), c * size);
  return { ...planes, data: out };
}

/** Smallest and largest value. */
export function range(data: Float32Array): { min: number; max: number } {
  let [min, max] = [Infinity, -Infinity];
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

/** Mean and population standard deviation, in two passes: one pass loses the digits when the spread is small. */
export function moments(data: Float32Array): { mean: number; std: number } {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]!;
  const mean = sum / data.length;
  let squares = 0;
  for (let i = 0; i < data.length; i++) squares += (data[i]! - mean) ** 2;
  return { mean, std: Math.sqrt(squares / data.length) };
}

function affine(data: Float32Array, shift: number, scale: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = (data[i]! - shift) * scale;
  return out;
}

function perChannel(what: string, value: number | readonly number[], channels: number): readonly number[] {
  const values = typeof value === "number" ? Array.from({ length: channels }, () => value) : value;
  if (values.length !== channels || !values.every(Number.isFinite))
    throw new LeadglassError(
      "LG-IMAGE-007",
      `normalise: ${values.length} values of ${what}; ${channels} finite ones expected`,
      { hint: "Give one number for all channels, or one for each." },
    );
  return values;
}
