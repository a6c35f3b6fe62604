import { LeadglassError } from "../errors.ts";
import { concat, leakyRelu, matMul, relu, reshape, tanh, type Value } from "../graph/index.ts";
import {
  batchNormalise,
  convolutionTransposed,
  discriminatorOf,
  generatorOf,
  instanceNormalise,
  type Discriminator,
  type GanArchitecture,
  type GanNorm,
  type GanShape,
  type Generator,
} from "./adversarial.ts";
import { normal } from "./initialisers.ts";
import { convolution, dense } from "./layers.ts";
import type { Scope } from "./model.ts";

const latent = 100;
const embedding = 50;
const slope = 0.1;
const weight = normal(0.02);

function checkSize({ imageSize }: GanShape): void {
  if (imageSize === 128) return;
  throw new LeadglassError("LG-TRAIN-003", `mcgan makes images of 128 x 128; ${imageSize} was asked for`, {
    hint: "Leave --image-size out, or choose --model compact.",
  });
}

/** A class as numbers: an embedding and a dense layer. */
function embedded(scope: Scope, classes: Value, width: number): Value {
  const table = scope.at("embed").parameter("weight", [classes.shape[1]!, embedding], normal(1));
  return leakyRelu(dense(scope.at("fc"), matMul(classes, table), width), slope);
}

/**
 * The class-conditional generator of Osuala et al. 2024 (arXiv 2407.12669; code RichardObi/mammo_dp): class embedding and
 * noise, then six transposed convolutions to 128 x 128; 14.42 M parameters.
 * Throws LG-TRAIN-003 for another image size.
 */
export function mcganGenerator(
  shape: GanShape,
  { norm = "batch", stored = false }: { readonly norm?: GanNorm; readonly stored?: boolean } = {},
): Generator {
  checkSize(shape);
  return generatorOf(shape, { latent, stored }, (scope, { latent: z, classes, batchNorm }) => {
    const label = embedded(scope.at("label"), classes, latent);
    let x = reshape(concat([z, label], 1), [shape.rows, 2 * latent, 1, 1]);
    [1024, 512, 256, 128, 64].forEach((out, i) => {
      const [stride, padding] = i === 0 ? [1, 0] : [2, 1];
      const y = convolutionTransposed(scope.at(`conv${i + 1}`), x, out, 4, { stride, padding, weight });
      x = relu(norm === "instance" ? instanceNormalise(y) : batchNorm(scope.at(`norm${i + 1}`), `norm${i + 1}`, y));
    });
    return tanh(convolutionTransposed(scope.at("conv6"), x, 1, 4, { stride: 2, padding: 1, weight }));
  });
}

/**
 * The discriminator of the same: the class as a second image channel, then six convolutions with kernels of six; 25.9 M
 * parameters. Its score is before the sigmoid.
 * Throws LG-TRAIN-003 for another image size.
 */
export function mcganDiscriminator(
  shape: GanShape,
  { norm = "batch" }: { readonly norm?: GanNorm } = {},
): Discriminator {
  checkSize(shape);
  const { rows, imageSize } = shape;
  return discriminatorOf(shape, (scope, image, classes) => {
    const label = reshape(embedded(scope.at("label"), classes, imageSize ** 2), [rows, 1, imageSize, imageSize]);
    let x = concat([image, label], 1);
    [64, 128, 256, 512, 1024].forEach((out, i) => {
      const y = convolution(scope.at(`conv${i + 1}`), x, out, 6, { stride: 2, padding: 2, bias: false, weight });
      const normed = (): Value =>
        norm === "instance"
          ? instanceNormalise(y)
          : batchNormalise(scope.at(`norm${i + 1}`), `norm${i + 1}`, y, { stored: false, moments: [] });
      x = leakyRelu(i === 0 ? y : normed(), slope);
    });
    return convolution(scope.at("conv6"), x, 1, 6, { padding: 1, bias: false, weight });
  });
}

/** The pair with one kind of normalisation. */
export const mcgan = (norm: GanNorm): GanArchitecture => ({
  latent,
  imageSizes: [128],
  about:
    norm === "batch"
      ? "the network of arXiv 2407.12669 with BatchNorm, as its released weights: 14.4 M and 25.9 M parameters"
      : "the same with InstanceNorm, as its code's default; may be trained privately",
  generator: (shape, options) => mcganGenerator(shape, { norm, ...options }),
  discriminator: (shape) => mcganDiscriminator(shape, { norm }),
});
