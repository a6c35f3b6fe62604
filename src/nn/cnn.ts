import { maxPool, reduceMean, relu, reshape, sizeOf, type Value } from "../graph/index.ts";
import { kaimingNormal } from "./initialisers.ts";
import { activate, convolution, dense, groupNorm, normalise, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";

/** A small convolutional network for CPUs: strided stem, then halvings with doubling width, GroupNorm and Mish. */
export function smallCnn(
  shape: ModelShape,
  {
    width = 32,
    normalisation = { kind: "standardise" },
    standardised = false,
  }: { width?: number; normalisation?: Normalisation; standardised?: boolean } = {},
): Model {
  const weight = kaimingNormal("in");
  return modelOf(
    standardised ? "cnn-ws" : "cnn",
    shape,
    (image) => normalise(image, normalisation),
    (scope, x) => {
      let y = x;
      [width, 2 * width, 4 * width, 4 * width].forEach((out, i) => {
        const layer = convolution(scope.at(`conv${i + 1}`), y, out, i === 0 ? 5 : 3, {
          stride: 2,
          padding: i === 0 ? 2 : 1,
          bias: false,
          weight,
          standardised,
        });
        y = activate("mish", groupNorm(scope.at(`norm${i + 1}`), layer, 8));
      });
      return dense(scope.at("head"), reduceMean(y, [2, 3]), shape.outputs);
    },
  );
}

/** The network of Opacus's MNIST example, for comparison of speed: 28 x 28 images. */
export function mnistCnn(shape: ModelShape): Model {
  const pool = (x: Value): Value => maxPool(x, [2, 2]).y;
  return modelOf(
    "mnist-cnn",
    shape,
    (image) => image,
    (scope, x) => {
      const first = pool(relu(convolution(scope.at("conv1"), x, 16, 8, { stride: 2, padding: 3 })));
      const second = pool(relu(convolution(scope.at("conv2"), first, 32, 4, { stride: 2 })));
      const flat = reshape(second, [shape.rows, sizeOf(second.shape.slice(1))]);
      return dense(scope.at("fc2"), relu(dense(scope.at("fc1"), flat, 32)), shape.outputs);
    },
  );
}

/** Two hidden layers on the pixels. */
export function mlp(
  shape: ModelShape,
  { width = 128, normalisation = { kind: "standardise" } }: { width?: number; normalisation?: Normalisation } = {},
): Model {
  return modelOf(
    "mlp",
    shape,
    (image) => normalise(image, normalisation),
    (scope, x) => {
      const flat = reshape(x, [shape.rows, sizeOf(x.shape.slice(1))]);
      const hidden = relu(dense(scope.at("fc1"), flat, width));
      return dense(scope.at("head"), relu(dense(scope.at("fc2"), hidden, width)), shape.outputs);
    },
  );
}
