import {
  clipAutomatic,
  clipFlat,
  clipPerLayer,
  gradients,
  unitGradients,
  type ClippedSums,
  type UnitGradients,
  type UnitLayout,
} from "../autodiff/index.ts";
import { add, graphOf, input, mul, reduceSum, reshape, type Graph, type Input, type Value } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { simplify } from "../graph/simplify.ts";
import type { Model } from "../nn/model.ts";
import type { Clipping } from "../privacy/index.ts";
import { canaryTerm } from "./canaries.ts";
import { rowLosses, type Loss } from "./losses.ts";

/** How the gradients of units are summed: as they are, or each clipped first. */
export type GradientSum = { readonly kind: "plain" } | { readonly kind: "clipped"; readonly clipping: Clipping };

/** The scalar input that holds the clipping norm in force, where it moves from step to step. */
export const clipNormInput = "clip/norm";

/** The layer that a parameter belongs to: its name without the last part. */
const layerOf = (name: string): string => name.replace(/\.[^.]*$/, "");

function clip(
  found: UnitGradients,
  clipping: Clipping,
  names: readonly string[],
  present: Value,
  norm: Value | undefined,
): ClippedSums {
  switch (clipping.kind) {
    case "flat":
      return clipFlat(found, clipping.norm, present);
    case "per-layer":
      return clipPerLayer(found, clipping.norm, names.map(layerOf), present);
    case "automatic":
      return clipAutomatic(found, clipping.norm, clipping.gamma, present);
    case "adaptive":
      return clipFlat(found, norm!, present);
  }
}

/**
 * One tile of a training step: the sum of unit gradients, added to a running sum. Nothing but sums, norms and losses
 * leaves it.
 *
 * Inputs: `features` [rows, ...], `targets` and `known` [rows, outputs], `weights` [rows] (a view's share of its unit, 0
 * for padding), `present` [units], every parameter by name and its running sum as `sum/<name>`; with `canaries`, the name
 * of the parameter that holds their places, also `canary/index` and `canary/scale` [rows]; with adaptive clipping the
 * scalar `clip/norm`.
 * Outputs: `losses` [units] (private), `next/sum/<name>`; where clipped also `norms` and `factors` [units] (private).
 */
export function accumulateGraph(
  model: Model,
  loss: Loss,
  how: GradientSum,
  { units, views }: UnitLayout,
  canaries?: string,
): Graph {
  const rows = units * views;
  const outputs = model.logits.shape[1]!;
  const targets = input("targets", [rows, outputs]);
  const known = input("known", [rows, outputs]);
  const weights = input("weights", [rows]);
  const present = input("present", [units]);
  const losses = rowLosses(loss, model.logits, targets, known);
  const term = canaries === undefined ? undefined : canaryTerm(model, canaries, rows);
  const trained = term ? add(losses, term.value) : losses;
  const canaryFeeds = term ? [term.index, term.scale] : [];
  const parameters = model.parameters.map((p) => p.value);
  const images = new Map<Value, number>([model.features, targets, known, ...canaryFeeds].map((v) => [v, 0]));
  const unitLosses = reduceSum(reshape(mul(losses, weights), [units, views]), [1]);
  const named: Record<string, Value> = { losses: unitLosses };
  const norm = how.kind === "clipped" && how.clipping.kind === "adaptive" ? input(clipNormInput, []) : undefined;
  let sums: readonly Value[];
  if (how.kind === "clipped") {
    const found = unitGradients(trained, weights, parameters, images, { units, views });
    const names = model.parameters.map((p) => p.name);
    const clipped = clip(found, how.clipping, names, present, norm);
    named["norms"] = clipped.norms;
    named["factors"] = clipped.factors;
    sums = clipped.sums;
  } else sums = gradients(trained, parameters, weights);
  const running: Input[] = [];
  model.parameters.forEach((p, i) => {
    const before = input(`sum/${p.name}`, p.value.shape);
    running.push(before);
    named[`next/sum/${p.name}`] = add(before, sums[i]!);
  });
  const fed = [
    model.features,
    targets,
    known,
    weights,
    present,
    ...canaryFeeds,
    ...(norm ? [norm] : []),
    ...parameters,
    ...running,
  ];
  return simplify(lower(graphOf(`accumulate ${model.name}`, named, fed)));
}
