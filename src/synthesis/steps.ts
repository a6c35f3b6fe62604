/**
 * The graphs of one adversarial step. Only what touches real images is summed per unit and may be clipped; generated
 * images belong to nobody, so their gradients are plain means that need no noise.
 */
import { clipFlat, gradients, unitGradients, type UnitLayout } from "../autodiff/index.ts";
import {
  add,
  graphOf,
  input,
  mul,
  reduceSum,
  reshape,
  scalar,
  sqrt,
  sub,
  substitute,
  topologicalNodes,
  type Graph,
  type Input,
  type Value,
} from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { simplify } from "../graph/simplify.ts";
import type { Discriminator, GanArchitecture, GanShape, Generator } from "../nn/index.ts";
import { distort, distortionInputs } from "./distortion.ts";
import { flatRows, lossRules, type GanLoss } from "./losses.ts";

export interface GanStepOptions {
  readonly loss: GanLoss;
  /** Real and generated images are distorted alike before the discriminator sees them (Zhao et al. 2020). */
  readonly distortion: boolean;
  /** Real and generated images are given Gaussian noise, fed as `noise/real` and `noise/fake` (Arjovsky and Bottou 2017). */
  readonly instanceNoise: boolean;
}

/** How far a penalty on the discriminator's slope goes; each is left out where its weight is 0. */
export interface PenaltyOptions {
  /** Weight of |slope|^2 / 2 at real images (R1, Mescheder et al. 2018). */
  readonly atReal: number;
  /** The same at generated images (R2): it costs no privacy. */
  readonly atFake: number;
}

const imageInput = (name: string, { rows, imageSize }: GanShape): Input => input(name, [rows, 1, imageSize, imageSize]);

/** The discriminator's scores of other images and classes than its own inputs. */
const scoresOf = (discriminator: Discriminator, image: Value, classes: Value): Value =>
  substitute(
    [discriminator.scores],
    new Map<Value, Value>([
      [discriminator.image, image],
      [discriminator.classes, classes],
    ]),
  )[0]!;

/** What the discriminator is shown of an image, and the inputs that this takes. */
function shown(
  image: Value,
  shape: GanShape,
  { distortion, instanceNoise }: GanStepOptions,
  which: "real" | "fake",
): { seen: Value; fed: Input[] } {
  const fed: Input[] = [];
  let seen = image;
  if (distortion) {
    const given = distortionInputs(shape, which);
    fed.push(...Object.values(given));
    seen = distort(seen, given);
  }
  if (instanceNoise) {
    const noise = imageInput(`noise/${which}`, shape);
    fed.push(noise);
    seen = add(seen, noise);
  }
  return { seen, fed };
}

/** Squared norm of the slope of scores along images, [rows]. A gradient is graph like any other: it has one itself. */
function squaredSlope(discriminator: Discriminator, image: Value, classes: Value): Value {
  // As an input of its own, so that the slope is taken along the image and through nothing it is made of.
  const at = input("at", image.shape);
  const scores = scoresOf(discriminator, at, classes);
  const ones = reshape(scalar(1), [1]);
  const [slope] = gradients(reduceSum(scores, [0], true), [at], ones);
  const flat = flatRows(slope!);
  return substitute([reduceSum(mul(flat, flat), [1])], new Map([[at, image]]))[0]!;
}

/** Half the squared slope of a discriminator at its own images, [rows]; for tests against differences. */
export const halfSquaredSlope = (discriminator: Discriminator): Value =>
  mul(squaredSlope(discriminator, discriminator.image, discriminator.classes), scalar(0.5));

const named = (parameters: readonly { readonly name: string }[], prefix: string, values: readonly Value[]) =>
  Object.fromEntries(parameters.map((p, i) => [`${prefix}${p.name}`, values[i]!]));

const whole = (value: Value): Value => reduceSum(value, undefined, false);

/**
 * The part of a discriminator's step that sees real images: gradients summed over units, clipped where `clipNorm` is
 * given, and with `adding` added to a running sum.
 * Inputs: `real` [rows, 1, size, size] in [0, 1]; `real/classes`; `label` [rows]; `weights` [rows] (a view's share of its
 * unit, 0 for padding); `present` [units]; what distortion and noise take; parameters; with `adding` `sum/<name>`.
 * Outputs: `losses` [units] (private), `next/sum/<name>`; where clipped also `norms` [units] (private).
 */
export function realGraph(
  architecture: GanArchitecture,
  shape: GanShape,
  { units, views }: UnitLayout,
  options: GanStepOptions & Pick<PenaltyOptions, "atReal"> & { readonly clipNorm?: number; readonly adding?: boolean },
): Graph {
  const discriminator = architecture.discriminator(shape);
  const real = imageInput("real", shape);
  const classes = input("real/classes", [shape.rows, shape.classes]);
  const label = input("label", [shape.rows]);
  const weights = input("weights", [shape.rows]);
  const present = input("present", [units]);
  const { seen, fed } = shown(sub(mul(real, scalar(2)), scalar(1)), shape, options, "real");
  let losses = lossRules[options.loss].real(scoresOf(discriminator, seen, classes), label);
  if (options.atReal > 0)
    losses = add(losses, mul(squaredSlope(discriminator, seen, classes), scalar(options.atReal / 2)));
  const parameters = discriminator.parameters.map((p) => p.value);
  const outputs: Record<string, Value> = {
    losses: reduceSum(reshape(mul(losses, weights), [units, views]), [1]),
  };
  let sums: readonly Value[];
  if (options.clipNorm === undefined) sums = gradients(losses, parameters, weights);
  else {
    const images = new Map<Value, number>([real, classes, label, ...fed].map((v) => [v, 0]));
    const clipped = clipFlat(
      unitGradients(losses, weights, parameters, images, { units, views }),
      options.clipNorm,
      present,
    );
    outputs["norms"] = clipped.norms;
    sums = clipped.sums;
  }
  const running = options.adding ? discriminator.parameters.map((p) => input(`sum/${p.name}`, p.value.shape)) : [];
  const total = options.adding ? sums.map((s, i) => add(running[i]!, s)) : sums;
  Object.assign(outputs, named(discriminator.parameters, "next/sum/", total));
  return simplify(
    lower(graphOf("real", outputs, [real, classes, label, weights, present, ...fed, ...parameters, ...running])),
  );
}

/** The dearest values on the way to a generated image, in an order that depends on the architecture alone. */
const convolved = (generator: Generator): Value[] =>
  topologicalNodes([generator.image]).flatMap(({ op, outputs }) => (/^Conv/.test(op) ? [outputs[0]!] : []));

/** The inputs that draw generated images. */
const drawn = ({ latent, classes, grain }: Generator): Input[] => [latent, classes, ...(grain ? [grain] : [])];

/**
 * The part of a discriminator's step that sees generated images: the mean gradient over them. With `wgan-gp` real images
 * too, between which and the generated ones the slope is held at 1; then it is no longer free of privacy cost.
 * Inputs: `latent`, `classes`, `grain`; what distortion and noise take; parameters of both networks; for `wgan-gp`
 * `between` [rows, 1, size, size] in [0, 1] (real images) and `mix` [rows, 1, 1, 1].
 * Outputs: `loss`, `next/exact/<name>`; with `keep` what the generator's convolutions made, as state `next/kept/<i>`.
 */
export function fakeGraph(
  architecture: GanArchitecture,
  shape: GanShape,
  options: GanStepOptions &
    Pick<PenaltyOptions, "atFake"> & { readonly gradientPenalty?: number; readonly keep?: boolean },
): Graph {
  const generator = architecture.generator(shape);
  const discriminator = architecture.discriminator(shape);
  const { seen, fed } = shown(generator.image, shape, options, "fake");
  let losses = lossRules[options.loss].fake(scoresOf(discriminator, seen, generator.classes));
  if (options.atFake > 0)
    losses = add(losses, mul(squaredSlope(discriminator, seen, generator.classes), scalar(options.atFake / 2)));
  if (options.loss === "wgan-gp") {
    const between = imageInput("between", shape);
    const mix = input("mix", [shape.rows, 1, 1, 1]);
    fed.push(between, mix);
    const real = sub(mul(between, scalar(2)), scalar(1));
    const at = add(generator.image, mul(mix, sub(real, generator.image)));
    const excess = sub(sqrt(add(squaredSlope(discriminator, at, generator.classes), scalar(1e-12))), scalar(1));
    losses = add(losses, mul(mul(excess, excess), scalar(options.gradientPenalty ?? 10)));
  }
  const loss = mul(whole(losses), scalar(1 / shape.rows));
  const kept = options.keep ? Object.fromEntries(convolved(generator).map((v, i) => [`next/kept/${i}`, v])) : {};
  const parameters = discriminator.parameters.map((p) => p.value);
  const found = gradients(loss, parameters, scalar(1));
  return simplify(
    lower(
      graphOf("fake", { loss, ...named(discriminator.parameters, "next/exact/", found), ...kept }, [
        ...drawn(generator),
        ...fed,
        ...parameters,
        ...generator.parameters.map((p) => p.value),
      ]),
    ),
  );
}

/**
 * The generator's step: the mean gradient of its loss through the discriminator, which is held fixed. It sees no real
 * image and costs no privacy. With `keep` it is the step of the images that {@link fakeGraph} made last, and takes from state
 * what that kept instead of convolving again.
 * Inputs: `latent`, `classes`, `grain`; what distortion and noise take; parameters of both networks.
 * Outputs: `loss`, `deviation` (mean over pixels of the deviation over the batch: 0 where all images are alike),
 * `next/sum/<name>`.
 */
export function generatorGraph(
  architecture: GanArchitecture,
  shape: GanShape,
  options: GanStepOptions & { readonly keep?: boolean },
): Graph {
  const generator = architecture.generator(shape);
  const discriminator = architecture.discriminator(shape);
  const { seen, fed } = shown(generator.image, shape, options, "fake");
  const losses = lossRules[options.loss].generator(scoresOf(discriminator, seen, generator.classes));
  const loss = mul(whole(losses), scalar(1 / shape.rows));
  const parameters = generator.parameters.map((p) => p.value);
  const found = gradients(loss, parameters, scalar(1));
  const outputs = { loss, deviation: spread(generator.image), ...named(generator.parameters, "next/sum/", found) };
  const kept = options.keep ? convolved(generator).map((v, i) => [v, input(`kept/${i}`, v.shape)] as const) : [];
  const values = substitute(Object.values(outputs), new Map<Value, Value>(kept));
  return simplify(
    lower(
      graphOf("generator", Object.fromEntries(Object.keys(outputs).map((name, i) => [name, values[i]!])), [
        ...drawn(generator),
        ...fed,
        ...parameters,
        ...discriminator.parameters.map((p) => p.value),
        ...kept.map(([, i]) => i),
      ]),
    ),
  );
}

/** Root of the mean, over pixels, of the variance over the batch. */
function spread(image: Value): Value {
  const rows = image.shape[0]!;
  const centred = sub(image, mul(reduceSum(image, [0], true), scalar(1 / rows)));
  const { shape } = image;
  const count = shape.reduce((a, b) => a * b, 1);
  return sqrt(mul(whole(mul(centred, centred)), scalar(1 / count)));
}
