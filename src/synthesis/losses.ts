import { add, mul, neg, reshape, scalar, softplus, sub, type Value } from "../graph/index.ts";

/**
 * What discriminator and generator minimise: `bce` the original one in its non-saturating form (Goodfellow et al. 2014),
 * `lsgan` squared distances (Mao et al. 2017), `wgan-gp` the Wasserstein distance with a gradient penalty (Gulrajani et
 * al. 2017).
 */
export const ganLosses = ["bce", "lsgan", "wgan-gp"] as const;
export type GanLoss = (typeof ganLosses)[number];

interface LossRule {
  /** Of real images, whose label is `label` [rows] (1, or smoothed); [rows]. */
  readonly real: (scores: Value, label: Value) => Value;
  readonly fake: (scores: Value) => Value;
  readonly generator: (scores: Value) => Value;
}

const square = (x: Value): Value => mul(x, x);

export const lossRules: Readonly<Record<GanLoss, LossRule>> = {
  bce: {
    // -(u log p + (1 - u) log(1 - p)) with p = sigmoid(s); u may exceed 1, as the reference's does.
    real: (s, u) => add(mul(u, softplus(neg(s))), mul(sub(scalar(1), u), softplus(s))),
    fake: (s) => softplus(s),
    generator: (s) => softplus(neg(s)),
  },
  lsgan: {
    real: (s, u) => square(sub(s, u)),
    fake: square,
    generator: (s) => square(sub(s, scalar(1))),
  },
  "wgan-gp": {
    real: (s) => neg(s),
    fake: (s) => s,
    generator: (s) => neg(s),
  },
};

/** Every row's numbers as one row: [rows, ...] -> [rows, n]. */
export const flatRows = (x: Value): Value => reshape(x, [x.shape[0]!, -1]);
