import { add, maxPool, reduceMean, type Value } from "../graph/index.ts";
import { kaimingNormal } from "./initialisers.ts";
import { activate, convolution, dense, groupNorm, normalise, type Activation, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type ModelShape, type Scope } from "./model.ts";

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
  const weight = kaimingNormal("out");
  const conv = (scope: Scope, x: Value, out: number, kernel: number, stride: number): Value =>
    convolution(scope, x, out, kernel, { stride, padding: (kernel - 1) / 2, bias: false, weight });
  const block = (scope: Scope, x: Value, out: number, stride: number): Value => {
    const first = activate(activation, groupNorm(scope.at("bn1"), conv(scope.at("conv1"), x, out, 3, stride), groups));
    const second = groupNorm(scope.at("bn2"), conv(scope.at("conv2"), first, out, 3, 1), groups);
    const changes = stride !== 1 || x.shape[1] !== out;
    const shortcut = changes
      ? groupNorm(scope.at("downsample.1"), conv(scope.at("downsample.0"), x, out, 1, stride), groups)
      : x;
    return activate(activation, add(second, shortcut));
  };
  return modelOf(
    "resnet9",
    shape,
    (image) => normalise(image, normalisation),
    (scope, x) => {
      const stem = activate(activation, groupNorm(scope.at("bn1"), conv(scope.at("conv1"), x, 64, 7, 2), groups));
      let y = maxPool(stem, [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }).y;
      [64, 128, 256, 512].forEach((out, i) => (y = block(scope.at(`layer${i + 1}.0`), y, out, i === 0 ? 1 : 2)));
      return dense(scope.at("fc"), reduceMean(y, [2, 3]), shape.outputs);
    },
  );
}
