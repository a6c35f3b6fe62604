/** Evidence that a difference is too small to matter, which a missing difference is not. */

import { LeadglassError } from "../errors.ts";
import { normalCdf } from "../math/statistics.ts";

export interface EquivalenceTest {
  /** Against a true difference of at most -margin, and of at least +margin. */
  pAboveLower: number;
  pBelowUpper: number;
  /** The larger of the two: below alpha, the difference is within the margin. */
  pValue: number;
  margin: number;
}

/**
 * Two one-sided tests for a difference that is estimated with a normal error: small p-values say that it lies within
 * the margin, both in the units of the difference. A large p-value is no evidence of a difference, as one of a test of
 * difference is none of equality.
 * Throws LG-EVAL-003 for a margin or standard error that is not positive. Source: Schuirmann 1987.
 */
export function equivalenceTest({
  difference,
  standardError,
  margin,
}: {
  readonly difference: number;
  readonly standardError: number;
  readonly margin: number;
}): EquivalenceTest {
  for (const [name, value] of Object.entries({ standardError, margin }))
    if (!(value > 0)) throw new LeadglassError("LG-EVAL-003", `${name}: ${value}; a number above 0 was expected`);
  const pAboveLower = normalCdf(-(difference + margin) / standardError);
  const pBelowUpper = normalCdf((difference - margin) / standardError);
  return { pAboveLower, pBelowUpper, pValue: Math.max(pAboveLower, pBelowUpper), margin };
}
