import {
  add,
  apply,
  graphOf,
  int64s,
  mul,
  scalar,
  sigmoid,
  substitute,
  type Graph,
  type Value,
} from "../graph/index.ts";
import { simplify } from "../graph/simplify.ts";
import { joinedLogits, type Model } from "./model.ts";

/** The image mirrored left to right, which is its last axis. */
const mirrored = (image: Value): Value =>
  apply("Slice", [image, int64s([-1]), int64s([-(image.shape.at(-1)! + 1)]), int64s([-1]), int64s([-1])])[0]!;

/**
 * The model that is deployed: `image` [rows, channels, height, width] (or of volumes [rows, channels, depth, height, width]) in [0, 1] to `logits` and `probabilities`
 * [rows, outputs], with the weights inside. A model that was trained on mirrored views answers the mean of the logits of
 * the image and its mirror image.
 */
export function inferenceGraph(
  model: Model,
  weights: Readonly<Record<string, Float32Array>>,
  { mirror }: { readonly mirror: boolean },
): Graph {
  const direct = joinedLogits(model, weights);
  const other = mirror ? substitute([direct], new Map([[model.image, mirrored(model.image)]]))[0]! : undefined;
  const logits = other ? mul(add(direct, other), scalar(0.5)) : direct;
  return simplify(graphOf(model.name, { logits, probabilities: sigmoid(logits) }, [model.image]));
}
