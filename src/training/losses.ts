import {
  add,
  div,
  float32s,
  logSoftmax,
  max,
  mul,
  neg,
  reduceSum,
  scalar,
  softplus,
  sub,
  type Value,
} from "../graph/index.ts";

/** What a model is trained to minimise. */
export type Loss =
  | {
      /** One independent yes-or-no question a target: binary cross-entropy with logits. */
      readonly kind: "binary";
      /** Weight of positives, one a target. */
      readonly positiveWeights?: readonly number[];
      readonly labelSmoothing?: number;
    }
  | {
      /** One of several classes: softmax cross-entropy on one-hot targets. */
      readonly kind: "classes";
      readonly labelSmoothing?: number;
    };

/**
 * The loss of every row, [rows], from logits and targets [rows, outputs]. `known` [rows, outputs] is 1 where a binary
 * target has a label and 0 where it is missing; a row's loss is the mean over its known targets, 0 if it has none.
 */
export function rowLosses(loss: Loss, logits: Value, targets: Value, known: Value): Value {
  const outputs = logits.shape[1]!;
  const smoothing = loss.labelSmoothing ?? 0;
  if (loss.kind === "classes") {
    const smooth = smoothing === 0 ? targets : add(mul(targets, scalar(1 - smoothing)), scalar(smoothing / outputs));
    return neg(reduceSum(mul(smooth, logSoftmax(logits, -1)), [1]));
  }
  const y = smoothing === 0 ? targets : add(mul(targets, scalar(1 - smoothing)), scalar(smoothing / 2));
  const surplus = (loss.positiveWeights ?? []).map((w) => w - 1);
  // (1 - y) x + (1 + (w - 1) y) softplus(-x): no exponential of a large number.
  const weights = surplus.length > 0 ? add(scalar(1), mul(y, float32s(surplus, [1, outputs]))) : scalar(1);
  const each = add(mul(sub(scalar(1), y), logits), mul(weights, softplus(neg(logits))));
  return div(reduceSum(mul(each, known), [1]), max(reduceSum(known, [1]), scalar(1)));
}
