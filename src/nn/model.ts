import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import { constant, input, substitute, type Input, type Shape, type Value } from "../graph/index.ts";
import type { Initialiser } from "./initialisers.ts";

/** A trainable parameter: an input of the graph, and how it starts. */
export interface Parameter {
  readonly name: string;
  readonly value: Input;
  readonly initialise: Initialiser;
}

/**
 * A model as graph: a fixed part (normalisation, filter banks) from pixels to features, and a trainable part from
 * features to logits. The fixed part depends on no data, so its output may be computed once and kept.
 */
export interface Model {
  readonly name: string;
  /** Pixels in [0, 1], [rows, channels, height, width]; of volumes [rows, channels, depth, height, width]. */
  readonly image: Input;
  /** What the fixed part makes of `image`. */
  readonly fixed: Value;
  /** What the trainable part reads; shaped as `fixed`. */
  readonly features: Input;
  /** [rows, outputs] */
  readonly logits: Value;
  readonly parameters: readonly Parameter[];
}

/** Names parameters by place and remembers them in order of creation. */
export interface Scope {
  readonly parameter: (name: string, shape: Shape, initialise: Initialiser) => Value;
  readonly at: (name: string) => Scope;
}

function scopeInto(parameters: Parameter[], prefix: string): Scope {
  return {
    parameter(name, shape, initialise) {
      const full = `${prefix}${name}`;
      if (parameters.some((p) => p.name === full))
        throw new LeadglassError("LG-GRAPH-005", `two parameters are called ${full}`, {
          hint: "Give each layer its own scope.",
        });
      const value = input(full, shape);
      parameters.push({ name: full, value, initialise });
      return value;
    },
    at: (name) => scopeInto(parameters, `${prefix}${name}.`),
  };
}

/** Builds a part of a graph and collects the parameters it asks for; their names begin with `prefix`. */
export function collectParameters<T>(
  prefix: string,
  build: (scope: Scope) => T,
): { readonly result: T; readonly parameters: readonly Parameter[] } {
  const parameters: Parameter[] = [];
  return { result: build(scopeInto(parameters, prefix)), parameters };
}

/** What an architecture of images is made for. */
export interface ModelShape {
  /** Rows of a batch: units x views. */
  readonly rows: number;
  readonly channels: number;
  readonly imageSize: number;
  /** One logit a target. */
  readonly outputs: number;
}

/** What an architecture of volumes is made for. */
export interface VolumeModelShape extends Omit<ModelShape, "imageSize"> {
  /** Voxels along z, y, x. */
  readonly volumeShape: readonly [number, number, number];
}

/** What one row of a batch looks like: [channels, height, width] or [channels, depth, height, width]. */
export const inputShapeOf = (shape: ModelShape | VolumeModelShape): Shape => [
  shape.channels,
  ...("volumeShape" in shape ? shape.volumeShape : [shape.imageSize, shape.imageSize]),
];

/**
 * Assembles a model from its fixed and its trainable part. Parameters are named and collected as the trainable part asks
 * for them.
 */
export function modelOf(
  name: string,
  shape: ModelShape | VolumeModelShape,
  fixedPart: (image: Value) => Value,
  trainablePart: (scope: Scope, features: Value) => Value,
): Model {
  const image = input("image", [shape.rows, ...inputShapeOf(shape)]);
  const fixed = fixedPart(image);
  const features = input("features", fixed.shape);
  const { result: logits, parameters } = collectParameters("", (scope) => trainablePart(scope, features));
  return { name, image, fixed, features, logits, parameters };
}

/** A model of which all is trained, on rows of `shape` that are no images: `features` [rows, ...shape] to logits. */
export function featureModel(
  name: string,
  rows: number,
  shape: Shape,
  trainablePart: (scope: Scope, features: Value) => Value,
): Model {
  const features = input("features", [rows, ...shape]);
  const parameters: Parameter[] = [];
  const logits = trainablePart(scopeInto(parameters, ""), features);
  return { name, image: features, fixed: features, features, logits, parameters };
}

/** Fresh parameter values by name. */
export const initialParameters = (
  model: Pick<Model, "parameters">,
  random: RandomSource,
): Record<string, Float32Array> =>
  Object.fromEntries(model.parameters.map((p) => [p.name, p.initialise(p.value.shape, random)]));

/** Logits as a function of pixels: the two parts joined; with `values`, parameters become constants of the model. */
export function joinedLogits(model: Model, values?: Readonly<Record<string, Float32Array>>): Value {
  const replacements = new Map<Value, Value>([[model.features, model.fixed]]);
  if (values)
    for (const { name, value } of model.parameters) {
      const data = values[name];
      if (!data)
        throw new LeadglassError("LG-RUNTIME-003", `the weights lack parameter ${name} of model ${model.name}`, {
          hint: "These weights belong to another architecture.",
        });
      replacements.set(value, constant(data, value.shape, "float32", name));
    }
  return substitute([model.logits], replacements)[0]!;
}

export const parameterCount = (model: { readonly parameters: readonly Parameter[] }): number =>
  model.parameters.reduce((n, p) => n + p.value.shape.reduce((a, b) => a * b, 1), 0);
