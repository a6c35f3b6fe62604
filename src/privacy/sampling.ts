import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import { requireParameter } from "./accountant.ts";
import type { DpPlan } from "./plan.ts";

const TWO_32 = 4294967296;

/**
 * Draws a Poisson sample: each of the units 0..n-1 is in it independently with probability q, so its size varies and may
 * be 0. Returns the indices in ascending order. Every unit gets its own coin, compared as a 64-bit number with q, so the
 * probability is right to 2^-64; no logarithm or rounding stands between the coin and the accountant.
 * Throws LG-PRIVACY-001 unless n is a whole number of at least 0 and 0 <= q <= 1.
 */
export function poissonSample(n: number, q: number, source: RandomSource): Uint32Array<ArrayBuffer> {
  requireParameter(
    "poisson sample",
    "n",
    n,
    Number.isInteger(n) && n >= 0 && n < TWO_32,
    "a whole number of at least 0",
  );
  requireParameter("poisson sample", "samplingProbability", q, q >= 0 && q <= 1, "a number from 0 to 1");
  // q = (high + low) / 2^32 with 0 <= low < 1: a coin's first word decides unless it equals high, then its second does.
  const high = Math.floor(q * TWO_32);
  const low = (q * TWO_32 - high) * TWO_32;
  const chosen = new Uint32Array(n);
  const coins = new Uint32Array(Math.min(n, 16384));
  let size = 0;
  for (let start = 0; start < n; start += coins.length) {
    const count = Math.min(coins.length, n - start);
    source.words(coins.subarray(0, count));
    for (let i = 0; i < count; i++) {
      const coin = coins[i]!;
      if (coin < high || (coin === high && source.uint32() < low)) chosen[size++] = start + i;
    }
  }
  coins.fill(0);
  return chosen.slice(0, size);
}

/**
 * Draws the units of one training step as the plan says. `unitCount` is the true number of units; it stays inside.
 * Throws LG-PRIVACY-007 when the source is not cryptographic and the plan is not marked insecureSeed.
 */
export function sampleUnits(plan: DpPlan, unitCount: number, source: RandomSource): Uint32Array<ArrayBuffer> {
  requireSecure(plan, source, "sampling");
  return poissonSample(unitCount, plan.sampling.probability, source);
}

/** Throws LG-PRIVACY-007 unless the source is cryptographic or the plan says openly that it is not. */
export function requireSecure(plan: DpPlan, source: RandomSource, where: string): void {
  if (source.secure || plan.insecureSeed) return;
  throw new LeadglassError(
    "LG-PRIVACY-007",
    `${where}: the random source is seeded; the plan expects a cryptographic one`,
    {
      hint: "use secureRandom(), or mark the plan insecureSeed for a test or a reproduction",
    },
  );
}
