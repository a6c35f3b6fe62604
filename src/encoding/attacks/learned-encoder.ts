/** An encoder that an attacker trains: the scheme's architecture, which is public, with weights of its own. */
import {
  add,
  div,
  input,
  mul,
  reduceMean,
  relu,
  reshape,
  scalar,
  sqrt,
  sub,
  type Input,
  type Value,
} from "../../graph/index.ts";
import { collectParameters, dense, normal, ones, zeros, type Parameter, type Scope } from "../../nn/index.ts";
import type { Scheme } from "../schemes/scheme.ts";
import { normalisationEpsilon } from "../schemes/weights.ts";
import { vectors, type Vectors } from "./arrays.ts";
import { evaluateLearned, type Minimised } from "./minimise.ts";

/** Sizes of an attacker's network. */
export interface EncoderSizes {
  readonly width: number;
  readonly depth: number;
  readonly outputs: number;
  readonly linear: boolean;
  /** True where every position has a vector of its own. */
  readonly placed: boolean;
}

/** The sizes of a scheme; an attacker may also try a network of another depth, or a wider one. */
export const sizesOf = (
  { width, depth, outputs, linear, position }: Scheme,
  { depth: other, widening = 1 }: { readonly depth?: number; readonly widening?: number } = {},
): EncoderSizes => ({
  width: width * widening,
  depth: other ?? depth,
  outputs,
  linear,
  placed: position.kind !== "none",
});

/**
 * Patches [rows, patches, pixels] to encodings [rows, patches, outputs]. Hidden layers are normalised by the statistics
 * of the batch, as the reference's attackers are.
 */
export function learnedEncoder(scope: Scope, x: Value, { width, depth, outputs, linear, placed }: EncoderSizes): Value {
  const [rows, patches, pixels] = x.shape as [number, number, number];
  const flat = reshape(x, [rows * patches, pixels]);
  const shaped = (y: Value): Value => reshape(y, [rows, patches, outputs]);
  if (linear) return shaped(dense(scope.at("first"), flat, outputs));
  let y = relu(dense(scope.at("first"), flat, width));
  for (let i = 0; i < depth; i++) {
    const layer = scope.at(`hidden.${i}`);
    const mixed = dense(layer, y, width);
    const centred = sub(mixed, reduceMean(mixed, [0], true));
    const variance = reduceMean(mul(centred, centred), [0], true);
    const normalised = div(centred, sqrt(add(variance, scalar(normalisationEpsilon))));
    const scale = layer.parameter("scale", [1, width], ones);
    y = relu(add(mul(normalised, scale), layer.parameter("shift", [1, width], zeros)));
  }
  if (placed) {
    const position = scope.parameter("position", [1, patches, width], normal(1));
    y = relu(reshape(add(reshape(y, [rows, patches, width]), position), [rows * patches, width]));
  } else y = relu(y);
  return shaped(dense(scope.at("last"), y, outputs));
}

/** The encoder as graph on a fresh input, with its parameters. */
export function encoderOn(
  name: string,
  shape: readonly [number, number, number],
  sizes: EncoderSizes,
): { readonly x: Input; readonly made: Value; readonly parameters: readonly Parameter[] } {
  const x = input(name, shape);
  const { result, parameters } = collectParameters("encoder.", (scope) => learnedEncoder(scope, x, sizes));
  return { x, made: result, parameters };
}

/** What a learned encoder makes of images, a batch at a time; the last one is filled up with images from the front. */
export async function encodeLearned(
  images: Vectors,
  sizes: EncoderSizes,
  parameters: Minimised["parameters"],
  { reduce = false, rows = 16 }: { readonly reduce?: boolean; readonly rows?: number } = {},
): Promise<Vectors> {
  const each = images.patches * images.width;
  const { x, made } = encoderOn("x", [rows, images.patches, images.width], sizes);
  const out = reduce ? reduceMean(made, [1]) : made;
  const size = reduce ? sizes.outputs : images.patches * sizes.outputs;
  const data = new Float32Array(images.images * size);
  await evaluateLearned(
    { y: out },
    parameters,
    Math.ceil(images.images / rows),
    (k) => {
      const batch = new Float32Array(rows * each);
      for (let r = 0; r < rows; r++) {
        const i = (k * rows + r) % images.images;
        batch.set(images.data.subarray(i * each, (i + 1) * each), r * each);
      }
      return { [x.name]: { data: batch, shape: x.shape } };
    },
    ({ y }, k) => {
      const count = Math.min(rows, images.images - k * rows);
      data.set((y!.data as Float32Array).subarray(0, count * size), k * rows * size);
    },
  );
  return vectors(data, images.images, reduce ? 1 : images.patches, sizes.outputs);
}
