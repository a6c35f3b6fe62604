import { LeadglassError } from "../errors.ts";
import { add, concat, leakyRelu, matMul, mul, reduceSum, reshape, slice, tanh, type Value } from "../graph/index.ts";
import {
  convolutionTransposed,
  discriminatorOf,
  generatorOf,
  type Discriminator,
  type GanArchitecture,
  type GanShape,
  type Generator,
} from "./adversarial.ts";
import { linearUpsampling, normal, zeros } from "./initialisers.ts";
import { convolution, dense, groupNorm } from "./layers.ts";

const latent = 64;
const slope = 0.2;
/** Channels after each doubling, from 4 x 4 up; the last ones serve the largest image. */
const widths = [192, 128, 96, 64, 32, 8];
/** Feature maps of this side and larger are given grain. */
const finest = 16;

const weight = normal(0.05);
const leaky = (x: Value): Value => leakyRelu(x, slope);

/** Doublings from 4 x 4. */
function doublings({ imageSize }: GanShape): number {
  const n = Math.log2(imageSize / 4);
  if (Number.isInteger(n) && n >= 2 && n <= 5) return n;
  throw new LeadglassError(
    "LG-TRAIN-003",
    `compact makes images of 16, 32, 64 or 128 pixels; ${imageSize} was asked for`,
    {
      hint: "Choose another --image-size.",
    },
  );
}

const sides = (n: number): number[] => Array.from({ length: n }, (_, i) => 8 * 2 ** i).filter((s) => s >= finest);

/**
 * A generator for two CPU cores: transposed convolutions with GroupNorm, the class in every layer as a shift of channels,
 * and grain (independent noise in every pixel of the finer maps, as in StyleGAN), since the texture of film is not a
 * function of a few latent numbers. 1.1 M parameters, 0.19 GFLOP an image of 128 x 128.
 * Throws LG-TRAIN-003 for an image size it cannot make.
 */
export function compactGenerator(shape: GanShape): Generator {
  const { rows, classes: count } = shape;
  const n = doublings(shape);
  const grains = sides(n).reduce((total, side) => total + side * side, 0);
  return generatorOf(shape, { latent, grain: grains }, (scope, { latent: z, classes, grain }) => {
    const used = widths.slice(widths.length - n - 1);
    const start = dense(scope.at("start"), concat([z, classes], 1), used[0]! * 16, { weight: normal(0.125) });
    let x = leaky(groupNorm(scope.at("norm0"), reshape(start, [rows, used[0]!, 4, 4]), 8));
    let at = 0;
    for (let i = 1; i <= n; i++) {
      const out = used[i]!;
      const side = 4 * 2 ** i;
      let y = convolutionTransposed(scope.at(`conv${i}`), x, out, 4, {
        ...{ stride: 2, padding: 1, weight: linearUpsampling(0.05) },
      });
      if (side >= finest) {
        const noise = reshape(slice(grain!, [at], [at + side * side], [1]), [rows, 1, side, side]);
        at += side * side;
        y = add(y, mul(noise, scope.at(`grain${i}`).parameter("weight", [1, out, 1, 1], normal(0.05))));
      }
      const shift = scope.at(`class${i}`).parameter("weight", [count, out], zeros);
      const shifted = (v: Value): Value => add(v, reshape(matMul(classes, shift), [rows, out, 1, 1]));
      // The largest maps are not normalised: that would cost as much as the convolution.
      x = leaky(shifted(i < n ? groupNorm(scope.at(`norm${i}`), y, 8) : y));
    }
    return tanh(convolution(scope.at("image"), x, 1, 3, { padding: 1, weight }));
  });
}

/**
 * The discriminator beside it: strided convolutions without normalisation, so that it may be trained privately, and the
 * class by projection (Miyato and Koyama 2018).
 */
export function compactDiscriminator(shape: GanShape): Discriminator {
  const { rows, classes: count } = shape;
  const n = doublings(shape);
  return discriminatorOf(shape, (scope, image, classes) => {
    let x = image;
    [24, 48, 96, 160, 224].slice(0, n).forEach((out, i) => {
      const fan = x.shape[1]! * 16;
      x = leaky(
        convolution(scope.at(`conv${i + 1}`), x, out, 4, { stride: 2, padding: 1, weight: normal(Math.sqrt(2 / fan)) }),
      );
    });
    const h = leaky(dense(scope.at("hidden"), reshape(x, [rows, -1]), 128));
    const table = scope.at("class").parameter("weight", [count, 128], normal(0.1));
    const projected = reduceSum(mul(matMul(classes, table), h), [1], true);
    return add(dense(scope.at("score"), h, 1), projected);
  });
}

export const compactGan: GanArchitecture = {
  latent,
  imageSizes: [16, 32, 64, 128],
  about: "small networks for two CPU cores, with grain for texture; regularised by gradient penalty and augmentation",
  generator: (shape) => compactGenerator(shape),
  discriminator: compactDiscriminator,
};
