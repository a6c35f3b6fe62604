import { LeadglassError } from "../errors.ts";
import {
  add,
  concat,
  constant,
  leakyRelu,
  matMul,
  mul,
  reduceSum,
  reshape,
  scalar,
  slice,
  sub,
  tanh,
  transposeLast,
  type Value,
} from "../graph/index.ts";
import {
  discriminatorOf,
  generatorOf,
  type Discriminator,
  type GanArchitecture,
  type GanShape,
  type Generator,
} from "./adversarial.ts";
import { kaimingNormal, normal } from "./initialisers.ts";
import { convolution, dense, groupNorm } from "./layers.ts";

const latent = 64;
const slope = 0.2;
/** Channels from 4 x 4 up; the last ones serve the largest image. */
const widths = [192, 128, 96, 64, 40, 16];
/** Feature maps of this side and larger are given grain. */
const grainFrom = 16;
/** A pixel on either side. */
const margins = 2;

/** Blurs, and by how much what each takes away is enlarged: masses on film then deviate by about 0.2 in each. */
const detailBands = [
  { times: 1, gain: 32 },
  { times: 5, gain: 32 },
  { times: 21, gain: 16 },
] as const;

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

/** Sides of the maps that are given grain, with their margins. */
const grainSides = (n: number): number[] =>
  Array.from({ length: n }, (_, i) => 8 * 2 ** i).flatMap((side) => (side >= grainFrom ? [side + margins] : []));

/**
 * [2 side + 2 margin, side]: pixels of twice the resolution, linear between the centres of the given ones; beyond them, and in
 * the margin, as at the edge.
 */
function linearWeights(side: number, margin: number): Float32Array {
  const inside = (v: number): number => Math.min(side - 1, Math.max(0, v));
  const rows = 2 * side + 2 * margin;
  const weights = new Float32Array(rows * side);
  for (let row = 0; row < rows; row++) {
    const at = Math.min(2 * side - 1, Math.max(0, row - margin));
    const near = at >> 1;
    weights[row * side + near]! += 0.75;
    weights[row * side + inside(at % 2 === 0 ? near - 1 : near + 1)]! += 0.25;
  }
  return weights;
}

/** Square maps [rows, channels, side, side] at twice the resolution and with a margin, as two products with matrices. */
function enlarged(maps: Value, margin = 0): Value {
  const side = maps.shape.at(-1)!;
  const weights = constant(linearWeights(side, margin), [2 * side + 2 * margin, side]);
  return matMul(weights, matMul(maps, transposeLast(weights)));
}

/** Without the pixel along each border. */
const inner = (maps: Value): Value => {
  const side = maps.shape.at(-1)!;
  return slice(maps, [1, 1], [side - 1, side - 1], [2, 3]);
};

/**
 * A generator for two CPU cores. In every stage a convolution and GroupNorm, scaled and shifted by what latents and class
 * say (as in StyleGAN), then a fixed linear enlargement: kernels that enlarge by themselves must first learn not to draw
 * their grid into every image. Maps keep a margin of one pixel, so that no convolution draws a frame of zeros. Finer maps
 * are given grain (independent noise in every pixel), since the texture of film is not a function of a few latent numbers;
 * the image is the sum of what each stage says of it. 0.9 M parameters, 0.22 GFLOP an image of 128 x 128.
 * Throws LG-TRAIN-003 for an image size it cannot make.
 */
export function compactGenerator(shape: GanShape): Generator {
  const { rows } = shape;
  const n = doublings(shape);
  const grains = grainSides(n).reduce((total, side) => total + side * side, 0);
  return generatorOf(shape, { latent, grain: grains }, (scope, { latent: z, classes, grain }) => {
    const used = widths.slice(widths.length - n - 1);
    const told = concat([z, classes], 1);
    const start = dense(scope.at("start"), told, used[0]! * 36, { weight: normal(0.125) });
    let x = leaky(groupNorm(scope.at("norm0"), reshape(start, [rows, used[0]!, 6, 6]), 8));
    let image: Value | null = null;
    let at = 0;
    for (let i = 1; i <= n; i++) {
      const out = used[i]!;
      const convolved = convolution(scope.at(`conv${i}`), x, out, 3, { bias: false, weight: kaimingNormal() });
      const style = dense(scope.at(`style${i}`), told, 2 * out, { weight: normal(0.05) });
      const [gain, shift] = [0, 1].map((k) => reshape(slice(style, [k * out], [(k + 1) * out], [1]), [rows, out, 1, 1])) as [Value, Value]; // prettier-ignore
      const normalised = groupNorm(scope.at(`norm${i}`), convolved, 8);
      let y = enlarged(add(mul(normalised, add(gain, scalar(1))), shift), 1);
      const side = y.shape.at(-1)!;
      if (side - margins >= grainFrom) {
        const noise = reshape(slice(grain!, [at], [at + side * side], [1]), [rows, 1, side, side]);
        at += side * side;
        y = add(y, mul(noise, scope.at(`grain${i}`).parameter("weight", [1, out, 1, 1], normal(0.05))));
      }
      x = leaky(y);
      const says = scope.at(`image${i}`);
      const weight = normal(0.05);
      const said = i < n ? inner(convolution(says, x, 1, 1, { weight })) : convolution(says, x, 1, 3, { weight });
      image = image ? add(enlarged(image), said) : said;
    }
    return tanh(image!);
  });
}

/**
 * [side, side]: the binomial blur [1, 2, 1] / 4, `times` over; beyond the edge as at the edge. Its variance is times / 2
 * pixels squared.
 */
function blurWeights(side: number, times: number): Float32Array {
  let weights = Float32Array.from({ length: side * side }, (_, i) => (i % (side + 1) === 0 ? 1 : 0));
  for (let t = 0; t < times; t++)
    weights = weights.map((v, i) => {
      const above = weights[i - side] ?? v;
      const below = weights[i + side] ?? v;
      return (above + 2 * v + below) / 4;
    });
  return weights;
}

/**
 * What lies between blurs of an image [rows, 1, side, side], made as large as the image's own contrast: [rows, 3, side, side].
 * In film fine structure is a fifteenth of the coarse, too little for a discriminator to notice in a few thousand steps.
 */
function details(image: Value): Value {
  const side = image.shape.at(-1)!;
  let finer = image;
  const bands = detailBands.map(({ times, gain }) => {
    const weights = constant(blurWeights(side, times), [side, side]);
    const blurred = matMul(weights, matMul(image, transposeLast(weights)));
    const band = tanh(mul(sub(finer, blurred), scalar(gain)));
    finer = blurred;
    return band;
  });
  return concat(bands, 1);
}

/**
 * The discriminator beside it: strided convolutions over the image and its fine structure, with GroupNorm, which keeps every
 * image to itself, so that it may be trained privately; the first without, for the image's own brightness. The class by
 * projection (Miyato and Koyama 2018).
 */
export function compactDiscriminator(shape: GanShape): Discriminator {
  const { rows, classes: count } = shape;
  const n = doublings(shape);
  return discriminatorOf(shape, (scope, image, classes) => {
    let x = concat([image, details(image)], 1);
    [24, 48, 96, 160, 224].slice(0, n).forEach((out, i) => {
      const fan = x.shape[1]! * 16;
      const weight = normal(Math.sqrt(2 / fan));
      const y = convolution(scope.at(`conv${i + 1}`), x, out, 4, { stride: 2, padding: 1, weight });
      x = leaky(i === 0 ? y : groupNorm(scope.at(`norm${i + 1}`), y, 8));
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
