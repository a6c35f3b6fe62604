import { fillGaussian, type RandomSource } from "../math/random.ts";
import { requireParameter } from "./accountant.ts";
import type { DpPlan } from "./plan.ts";
import { requireSecure } from "./sampling.ts";

/**
 * Draws the noise of one training step: for every name an array of that many independent normal numbers of standard
 * deviation noiseMultiplier times the clipping norm, to be added to the sum of clipped gradients before any division.
 * Pass the arrays of an earlier call as `reuse` to overwrite them instead of allocating; they must not be in use.
 *
 * Limits of floating point: each number is drawn in float64 with exact tails and rounded once to float32, and the sum it
 * is added to is float32 too. The proof assumes real numbers; the set of floats that noise can reach reveals something
 * in principle (Mironov, On Significance of the Least Significant Bits, 2012). Here the attacker sees only parameters
 * after further float32 arithmetic on millions of such sums, which is not known to be exploitable, but is not proved safe.
 *
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed; LG-PRIVACY-001 for
 * a size that is not a whole number of at least 0. Source: Abadi et al., Deep Learning with Differential Privacy, 2016.
 */
export function gaussianNoise(
  plan: DpPlan,
  sizes: Readonly<Record<string, number>>,
  source: RandomSource,
  reuse: Readonly<Record<string, Float32Array<ArrayBuffer>>> = {},
): Record<string, Float32Array<ArrayBuffer>> {
  requireSecure(plan, source, "noise");
  const sigma = plan.noiseMultiplier * plan.clipping.norm;
  const noise: Record<string, Float32Array<ArrayBuffer>> = {};
  for (const [name, size] of Object.entries(sizes)) {
    requireParameter("noise", `the size of ${name}`, size, Number.isInteger(size) && size >= 0, "a whole number >= 0");
    const old = Object.hasOwn(reuse, name) ? reuse[name] : undefined;
    const out = old?.length === size ? old : new Float32Array(size);
    fillGaussian(source, out, sigma);
    noise[name] = out;
  }
  return noise;
}
