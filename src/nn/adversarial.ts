import {
  add,
  constant,
  convTranspose,
  groupNormalization,
  input,
  mul,
  reciprocal,
  reduceMean,
  reshape,
  scalar,
  sqrt,
  sub,
  type Input,
  type Value,
} from "../graph/index.ts";
import { normal, zeros, type Initialiser } from "./initialisers.ts";
import { collectParameters, type Parameter, type Scope } from "./model.ts";

/** What a pair of generator and discriminator is made for: square grey images of one of several classes. */
export interface GanShape {
  readonly rows: number;
  readonly classes: number;
  readonly imageSize: number;
}

/** Mean and variance [channels] of a batch at one batch normalisation: kept as constants when samples are drawn. */
export interface BatchMoments {
  readonly name: string;
  readonly mean: Value;
  readonly variance: Value;
}

/** From noise and class to images. */
export interface Generator {
  /** Standard normal, [rows, latent]. */
  readonly latent: Input;
  /** One-hot, [rows, classes]. */
  readonly classes: Input;
  /** Further standard normal numbers for fine texture, [rows, n]; null where the network takes none. */
  readonly grain: Input | null;
  /** In [-1, 1], [rows, 1, size, size]. */
  readonly image: Value;
  readonly parameters: readonly Parameter[];
  readonly moments: readonly BatchMoments[];
}

/** From an image and the class it is said to be of to a score: large for real. */
export interface Discriminator {
  /** In [-1, 1], [rows, 1, size, size]. */
  readonly image: Input;
  readonly classes: Input;
  /** Before any sigmoid, [rows]. */
  readonly scores: Value;
  readonly parameters: readonly Parameter[];
}

/**
 * How feature maps are normalised. `batch` mixes the images of a batch: in a discriminator that is trained privately it is
 * refused, in a generator and for generated images it is allowed, since no patient is among them.
 */
export type GanNorm = "instance" | "batch";

/** A pair of networks that `synth train --model` names. */
export interface GanArchitecture {
  readonly latent: number;
  readonly imageSizes: readonly number[];
  readonly about: string;
  /** With `stored`, batch normalisation reads its moments from inputs `<name>.mean` and `<name>.variance`. */
  readonly generator: (shape: GanShape, options?: { readonly stored?: boolean }) => Generator;
  readonly discriminator: (shape: GanShape) => Discriminator;
}

/** What a generator's body is given besides its parameters. */
export interface GeneratorParts {
  readonly latent: Value;
  readonly classes: Value;
  readonly grain: Value | null;
  readonly batchNorm: (scope: Scope, name: string, x: Value) => Value;
}

/** Assembles a generator; its parameters are called `generator.*`. */
export function generatorOf(
  { rows, classes: count }: GanShape,
  { latent: width, grain: grains = 0, stored = false }: { latent: number; grain?: number; stored?: boolean },
  body: (scope: Scope, parts: GeneratorParts) => Value,
): Generator {
  const latent = input("latent", [rows, width]);
  const classes = input("classes", [rows, count]);
  const grain = grains > 0 ? input("grain", [rows, grains]) : null;
  const moments: BatchMoments[] = [];
  const batchNorm: GeneratorParts["batchNorm"] = (scope, name, x) => batchNormalise(scope, `generator.${name}`, x, { stored, moments }); // prettier-ignore
  const { result: image, parameters } = collectParameters("generator.", (scope) =>
    body(scope, { latent, classes, grain, batchNorm }),
  );
  return { latent, classes, grain, image, parameters, moments };
}

/** Assembles a discriminator; its parameters are called `discriminator.*`. */
export function discriminatorOf(
  { rows, classes: count, imageSize }: GanShape,
  body: (scope: Scope, image: Value, classes: Value) => Value,
): Discriminator {
  const image = input("image", [rows, 1, imageSize, imageSize]);
  const classes = input("classes", [rows, count]);
  const { result, parameters } = collectParameters("discriminator.", (scope) => body(scope, image, classes));
  return { image, classes, scores: reshape(result, [rows]), parameters };
}

const epsilon = 1e-5;

/** Batch normalisation with the batch's own moments, or with stored ones; scale starts about 1 (deviation 0.02). */
export function batchNormalise(
  scope: Scope,
  name: string,
  x: Value,
  { stored, moments }: { readonly stored: boolean; readonly moments: BatchMoments[] },
): Value {
  const channels = x.shape[1]!;
  const spread = (v: Value): Value => reshape(v, [1, channels, 1, 1]);
  const gain = spread(scope.parameter("weight", [channels], normal(0.02, 1)));
  const bias = spread(scope.parameter("bias", [channels], zeros));
  let mean: Value;
  let variance: Value;
  let centred: Value;
  if (stored) {
    const of = (what: string): Value => spread(input(`${name}.${what}`, [channels]));
    [mean, variance] = [of("mean"), of("variance")];
    centred = sub(x, mean);
  } else {
    mean = reduceMean(x, [0, 2, 3], true);
    centred = sub(x, mean);
    variance = reduceMean(mul(centred, centred), [0, 2, 3], true);
    moments.push({ name, mean: reshape(mean, [channels]), variance: reshape(variance, [channels]) });
  }
  return add(mul(centred, mul(gain, reciprocal(sqrt(add(variance, scalar(epsilon)))))), bias);
}

/** Instance normalisation without scale and bias. */
export function instanceNormalise(x: Value): Value {
  const channels = x.shape[1]!;
  const all = (v: number): Value => constant(new Float32Array(channels).fill(v), [channels]);
  return groupNormalization(x, all(1), all(0), channels, epsilon);
}

/** Transposed convolution without bias; weight [in, out, kernel, kernel] as PyTorch stores it. */
export function convolutionTransposed(
  scope: Scope,
  x: Value,
  out: number,
  kernel: number,
  { stride = 1, padding = 0, weight }: { stride?: number; padding?: number; weight: Initialiser },
): Value {
  const w = scope.parameter("weight", [x.shape[1]!, out, kernel, kernel], weight);
  return convTranspose(x, w, undefined, { strides: [stride, stride], pads: Array<number>(4).fill(padding) });
}
