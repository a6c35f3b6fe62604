import { reduceMean } from "../graph/index.ts";
import { dense, normalise, type Activation, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";
import { residualTrunk } from "./resnet.ts";

export interface ResNet9Options {
  readonly activation?: Activation;
  readonly groups?: number;
  readonly normalisation?: Normalisation;
}

/**
 * The network of Tayebi Arasteh et al. (arXiv 2302.01622): torchvision's ResNet with one basic block a stage,
 * GroupNorm(32) and Mish; 4,909,896 parameters with 3 input channels and 8 outputs. torchvision's parameter names.
 */
export function resnet9(
  shape: ModelShape,
  { activation = "mish", groups = 32, normalisation = { kind: "standardise" } }: ResNet9Options = {},
): Model {
  return modelOf(
    "resnet9",
    shape,
    (image) => normalise(image, normalisation),
    (scope, x) => {
      const y = residualTrunk(scope, x, {
        ...{ widths: [64, 128, 256, 512], blocks: [1, 1, 1, 1], groups, activation },
        stem: { kernel: 7, stride: 2, pool: true },
      });
      return dense(scope.at("fc"), reduceMean(y, [2, 3]), shape.outputs);
    },
  );
}
