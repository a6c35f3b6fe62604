/** Finding a key that was made from a short seed, from one known pair: by trying. */
import { LeadglassError } from "../../errors.ts";
import { expandTensor } from "../expand.ts";
import { weakKey } from "../keys.ts";
import type { Scheme } from "../schemes/scheme.ts";

/**
 * Tries seeds from `from` on, below 2^bits, until one gives the first number of a released patch of the linear scheme,
 * checked on all its numbers; `patch` are the normalised pixels of any patch, `code` its encoding. Answers the seed, or
 * undefined. One key costs one HKDF and some blocks of ChaCha20: `seconds` of work end the search at a seed that `next`
 * names, from which it can be resumed.
 * Throws LG-USAGE-001 for a scheme that is not linear: there a key costs a whole network.
 */
export function searchSeed(
  scheme: Scheme,
  patch: Float32Array,
  code: Float32Array,
  { bits, from = 0, seconds = Infinity }: { readonly bits: number; readonly from?: number; readonly seconds?: number },
): { readonly seed: number | undefined; readonly next: number } {
  if (!scheme.linear)
    throw new LeadglassError("LG-USAGE-001", `seed search: scheme ${scheme.name}; a linear one was expected`, {
      hint: "A seed of another scheme is found by encoding the image under every seed; that is not offered.",
    });
  const bound = 1 / Math.sqrt(patch.length);
  const row = (seed: number, outputs: number): number => {
    const { secret } = weakKey(seed);
    const weight = expandTensor({ secret }, "first.weight", [outputs + 1, patch.length], { kind: "uniform", bound });
    let sum = expandTensor({ secret }, "first.bias", [outputs + 1], { kind: "uniform", bound })[outputs]!;
    for (let k = 0; k < patch.length; k++) sum += weight[outputs * patch.length + k]! * patch[k]!;
    return sum;
  };
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 2e-3 * Math.max(1, Math.abs(b));
  const end = performance.now() + 1000 * seconds;
  for (let seed = from; seed < 2 ** bits; seed++) {
    if (
      close(row(seed, 0), code[0]!) &&
      [1, 2, 3, 4, 5].every((o) => o >= code.length || close(row(seed, o), code[o]!))
    )
      return { seed, next: seed + 1 };
    if ((seed & 1023) === 1023 && performance.now() > end) return { seed: undefined, next: seed + 1 };
  }
  return { seed: undefined, next: 2 ** bits };
}
