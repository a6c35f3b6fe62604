import { div, max, min, mul, scalar, sqrt, type Value } from "../../graph/index.ts";
import type { UnitGradients } from "./gradients.ts";

/** Sums of clipped unit gradients, and the norms before clipping. */
export interface ClippedSums {
  /** In the shapes and order of the parameters. */
  readonly sums: readonly Value[];
  /** Norm of each unit's gradient before clipping, [units]; not finite where a unit's gradient is not. */
  readonly norms: Value;
  /** The largest change of `sums`, as one vector, when a unit is added or removed. */
  readonly sensitivity: number;
}

/**
 * Flat clipping: each unit's gradient, over all parameters together, is scaled to norm `clipNorm` at most (Abadi et al.
 * 2016). `present` [units] is 1 for a real unit and 0 for padding.
 */
export function clipFlat(gradients: UnitGradients, clipNorm: number, present: Value): ClippedSums {
  const norms = sqrt(gradients.squaredNorm);
  const number = (x: number): Value => scalar(x, norms.dtype);
  const factors = mul(present, min(number(1), div(number(clipNorm), max(norms, number(1e-12)))));
  return { sums: gradients.weightedSums(factors), norms, sensitivity: clipNorm };
}
