/**
 * Privacy of a matching on one scale: how many guesses "this encoding shows that image" it takes to hit a right one. For an
 * ideal random function nothing is known, and the posterior over matchings is flat; an attacker's scores tilt it.
 */
import { LeadglassError } from "../../errors.ts";

/** Beyond this many images the exact posterior takes too long: 2^n subsets for each of up to n^2 guesses. */
const mostExact = 9;

/**
 * The permanent of [n, n] weights: the sum over all one-to-one matchings of the product of their weights.
 * Dynamic programming over the subsets of columns, n 2^n steps. Throws LG-BUG-001 beyond 20.
 */
export function permanent(weights: ArrayLike<number>, n: number): number {
  if (n > 20) throw new LeadglassError("LG-BUG-001", `permanent: ${n} rows; at most 20 are summed exactly`);
  const sums = new Float64Array(1 << n);
  sums[0] = 1;
  for (let used = 0; used < sums.length; used++) {
    if (sums[used] === 0) continue;
    let row = 0;
    for (let bits = used; bits > 0; bits &= bits - 1) row++;
    if (row === n) continue;
    for (let c = 0; c < n; c++) if (!(used & (1 << c))) sums[used | (1 << c)]! += sums[used]! * weights[row * n + c]!;
  }
  return sums[sums.length - 1]!;
}

/** The posterior probability that row i belongs to column j, [n, n], when a matching's weight is the product of its entries. */
export function matchingPosterior(weights: ArrayLike<number>, n: number): Float64Array {
  const total = permanent(weights, n);
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const others: number[] = [];
      for (let r = 0; r < n; r++) for (let c = 0; c < n; c++) if (r !== i && c !== j) others.push(weights[r * n + c]!);
      out[i * n + j] = (weights[i * n + j]! * permanent(others, n - 1)) / total;
    }
  return out;
}

/**
 * Expected number of guesses of pairs until one is right, when each guess is the likeliest after all misses so far; exact.
 * Flat weights give (n + 1) / 2: going along one row. Throws LG-BUG-001 for more than 9 images.
 */
export function exactGuesswork(weights: ArrayLike<number>, n: number): number {
  if (n > mostExact)
    throw new LeadglassError("LG-BUG-001", `exactGuesswork: ${n} images; at most ${mostExact} are summed exactly`);
  const left = Float64Array.from(weights);
  const total = permanent(left, n);
  let [expected, survival] = [0, 1];
  while (survival > 1e-12) {
    expected += survival;
    const posterior = matchingPosterior(left, n);
    let best = 0;
    posterior.forEach((p, at) => {
      if (p > posterior[best]! + 1e-12) best = at;
    });
    left[best] = 0;
    survival = permanent(left, n) / total;
  }
  return expected;
}

export interface Guesswork {
  /** Of an attacker who knows nothing and goes along one row: (n + 1) / 2. */
  readonly ideal: number;
  /** Guesses until the first right one, best first, as it turned out. */
  readonly attacker: number;
}

/** Guesses that scores [n, n] need, best score first, against the truth: column truth[i] for row i. */
export function attackerGuesswork(scores: ArrayLike<number>, truth: ArrayLike<number>): Guesswork {
  const n = truth.length;
  let best = -Infinity;
  for (let i = 0; i < n; i++) best = Math.max(best, scores[i * n + truth[i]!]!);
  let attacker = 1;
  // Ties with a wrong pair count against the attacker.
  for (let at = 0; at < n * n; at++) if (truth[Math.floor(at / n)] !== at % n && scores[at]! >= best) attacker++;
  return { ideal: (n + 1) / 2, attacker };
}
