import { add, div, max, min, mul, scalar, sqrt, sum, type Value } from "../../graph/index.ts";
import type { UnitGradients } from "./gradients.ts";

/** Sums of clipped unit gradients, and what the owner of the data may see of each unit. */
export interface ClippedSums {
  /** In the shapes and order of the parameters. */
  readonly sums: readonly Value[];
  /** Norm of each unit's gradient before clipping, [units]; not finite where a unit's gradient is not. */
  readonly norms: Value;
  /** What each unit's gradient was multiplied by, [units]; the smallest where layers differ. */
  readonly factors: Value;
}

const number = (x: number, like: Value): Value => scalar(x, like.dtype);

/** min(1, bound / norm), without dividing by zero. */
const limited = (norms: Value, bound: Value): Value =>
  min(number(1, norms), div(bound, max(norms, number(1e-12, norms))));

/**
 * Flat clipping: each unit's gradient, over all parameters together, is scaled to norm `clipNorm` at most (Abadi et al.
 * 2016). `present` [units] is 1 for a real unit and 0 for padding; the norm may be a scalar of the graph.
 */
export function clipFlat(gradients: UnitGradients, clipNorm: number | Value, present: Value): ClippedSums {
  const norms = sqrt(gradients.squaredNorm);
  const factors = limited(norms, typeof clipNorm === "number" ? number(clipNorm, norms) : clipNorm);
  return { sums: gradients.weightedSums(mul(present, factors)), norms, factors };
}

/**
 * Per-layer clipping: of L layers each is scaled to norm clipNorm / sqrt(L) at most, so that all together stay within
 * `clipNorm` (McMahan et al. 2018, arXiv 1812.06210). `layers` names the layer of each parameter.
 */
export function clipPerLayer(
  gradients: UnitGradients,
  clipNorm: number,
  layers: readonly string[],
  present: Value,
): ClippedSums {
  const squares = gradients.squaredNorms;
  const names = [...new Set(layers)];
  const bound = clipNorm / Math.sqrt(names.length);
  const squareOf = new Map(names.map((name) => [name, sum(squares.filter((_, i) => layers[i] === name))]));
  const factorOf = new Map([...squareOf].map(([name, s]) => [name, limited(sqrt(s), number(bound, s))]));
  const weightOf = new Map([...factorOf].map(([name, factor]) => [name, mul(present, factor)]));
  const factors = [...factorOf.values()];
  return {
    sums: gradients.weightedSums(layers.map((name) => weightOf.get(name)!)),
    norms: sqrt(sum([...squareOf.values()])),
    factors: factors.length === 1 ? factors[0]! : min(...factors),
  };
}

/**
 * Automatic clipping: each unit's gradient g becomes clipNorm g / (|g| + gamma), whose norm is below `clipNorm` (Bu, Wang,
 * Zha, Karypis, Automatic Clipping, 2022, arXiv 2206.07136, AUTO-S).
 */
export function clipAutomatic(gradients: UnitGradients, clipNorm: number, gamma: number, present: Value): ClippedSums {
  const norms = sqrt(gradients.squaredNorm);
  const factors = div(number(clipNorm, norms), add(norms, number(gamma, norms)));
  return { sums: gradients.weightedSums(mul(present, factors)), norms, factors };
}
