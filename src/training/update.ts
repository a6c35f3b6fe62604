import { LeadglassError } from "../errors.ts";
import {
  add,
  graphOf,
  input,
  mul,
  round,
  simplify,
  sizeOf,
  sub,
  type Graph,
  type Input,
  type Shape,
  type Value,
} from "../graph/index.ts";
import type { NoisePiece } from "../privacy/index.ts";
import type { BlockwiseProgram, Engine, Feeds, HostTensor } from "../runtime/index.ts";
import { completeSettings, decays, optimisers, type OptimiserSettings } from "./optimisers.ts";

/** A trainable parameter as graph input; a {@link Model}'s parameters fit. */
export interface UpdatedParameter {
  readonly name: string;
  readonly value: Input;
}

/** The second half of a training step: what it computes besides the optimiser's step. */
export interface UpdateOptions {
  /** Adds noise to the sums. */
  readonly noise: boolean;
  /** Keeps an exponential moving average of every parameter. */
  readonly averaging: boolean;
  /** Adds a gradient that comes from no patient, after noise and division: it is public, so it needs no noise. */
  readonly exact?: boolean;
  /** Also gives out the sum of one parameter, with its noise, as `observed`: what an attacker sees who sees every step. */
  readonly observed?: string;
}

/** A state tensor of numbers that learn. */
export interface FloatTensor extends HostTensor {
  readonly data: Float32Array;
}

const scalarName = (key: string): string => `scalar/${key}`;

/**
 * The update half of a training step: gradient = (sum + noise) / divisor, then the optimiser's step. With `noise` the sum
 * is rounded to the noise's grid first: two multiples of a power of two are added, so what comes out is a function of
 * their exact sum, and the set of numbers it can take does not depend on the data (see noiseScale).
 *
 * Inputs, shaped as their parameter: every parameter by name, `sum/<name>`, `noise/<name>` (as
 * gaussianNoise draws it, on its grid; only with `noise`), `state/<kind>/<name>`, `average/<name>` (only with `averaging`), `exact/<name>` (only with
 * `exact`); and scalars, as {@link updateScalars} gives them.
 * Outputs: `next/` and the name, for parameters, state and averages.
 * Throws LG-TRAIN-003 for impossible settings.
 */
export function updateGraph(
  parameters: readonly UpdatedParameter[],
  optimiser: OptimiserSettings,
  { noise, averaging, exact = false, observed }: UpdateOptions,
): Graph {
  const settings = completeSettings(optimiser);
  const rule = optimisers[settings.name];
  const dtype = parameters[0]?.value.dtype ?? "float32";
  // The values do not matter here, only the names.
  const keys = Object.keys(rule.scalars(0, settings.learningRate, settings));
  const scalars = Object.fromEntries(keys.map((key) => [key, input(scalarName(key), [], dtype)]));
  const { decay, ...others } = scalars;
  const divisor = input(scalarName("divisor"), [], dtype);
  const average = input(scalarName("average"), [], dtype);
  const [grid, perGrid] = [input(scalarName("grid"), [], dtype), input(scalarName("perGrid"), [], dtype)];
  const inputs: Input[] = [];
  const outputs: Record<string, Value> = {};
  const next = (i: Input, value: Value): void => void (outputs[`next/${i.name}`] = value);
  for (const { name, value: parameter } of parameters) {
    const like = (prefix: string): Input => {
      const made = input(`${prefix}/${name}`, parameter.shape, parameter.dtype);
      inputs.push(made);
      return made;
    };
    inputs.push(parameter);
    const total = like("sum");
    const noisy = noise ? add(mul(round(mul(total, perGrid)), grid), like("noise")) : total;
    if (name === observed) outputs["observed"] = noisy;
    const divided = mul(noisy, divisor);
    const gradient = exact ? add(divided, like("exact")) : divided;
    const state = Object.fromEntries(rule.state(settings).map((kind) => [kind, like(`state/${kind}`)]));
    const decaying: Record<string, Value> = decay && decays(settings, parameter.shape.length) ? { decay } : {};
    const updated = rule.update({ parameter, gradient, state, scalars: { ...others, ...decaying } }, settings);
    next(parameter, updated.parameter);
    for (const [kind, before] of Object.entries(state)) next(before, updated.state[kind]!);
    if (averaging) {
      const before = like("average");
      next(before, add(updated.parameter, mul(sub(before, updated.parameter), average)));
    }
  }
  const scalarInputs = [
    ...Object.values(scalars),
    divisor,
    ...(averaging ? [average] : []),
    ...(noise ? [grid, perGrid] : []),
  ];
  return simplify(graphOf(`update ${settings.name}`, outputs, [...inputs, ...scalarInputs]));
}

/** Numbers of a block: few enough for a core's caches, enough that starting a run costs nothing beside it. */
const mostOfBlock = 2 ** 17;
/** Numbers of noise that are drawn and sent at once: whole blocks, and whole blocks of the generator. */
export const mostOfPiece = 2 ** 21;
/** Runs that may wait with their noise. */
const mostWaiting = 2;

export interface Update extends AsyncDisposable {
  /**
   * Takes what {@link updateGraph} is fed, the noise piece by piece, and returns its outputs that are not state. While one
   * piece is added and the optimiser steps on it, the next is drawn.
   */
  readonly run: (feeds: Feeds, noise?: Iterable<NoisePiece>) => Promise<Record<string, HostTensor>>;
}

/**
 * Loads {@link updateGraph} to be run over blocks of all parameters, in place: the same numbers as from one graph of whole
 * tensors, which would write each of its dozen steps to memory. With `observed` that one graph is loaded.
 * Throws LG-TRAIN-003 for impossible settings.
 */
export async function loadUpdate(
  engine: Engine,
  parameters: readonly UpdatedParameter[],
  optimiser: OptimiserSettings,
  options: UpdateOptions,
): Promise<Update> {
  if (options.observed !== undefined) return wholeUpdate(engine, parameters, optimiser, options);
  const settings = completeSettings(optimiser);
  const programs: { readonly program: BlockwiseProgram; readonly names: ReadonlySet<string> }[] = [];
  for (const [decaying, own] of Map.groupBy(parameters, ({ value }) => decays(settings, value.shape.length))) {
    const numbers = own.reduce((n, { value }) => n + sizeOf(value.shape), 0);
    const block = Math.min(mostOfBlock, numbers);
    const value = input("*", decaying ? [1, block] : [block]);
    const names = own.map(({ name }) => name);
    programs.push({
      program: await engine.loadBlockwise(updateGraph([{ name: "*", value }], optimiser, options), names),
      names: new Set(names),
    });
  }
  return {
    run: async (feeds, noise) => {
      // Fed arrays are moved.
      const copied = (): Feeds => Object.fromEntries(Object.entries(feeds).map(([name, { data, shape }]) => [name, { data: data.slice(), shape }])); // prettier-ignore
      if (!options.noise) {
        for (const { program } of programs) await program.run(copied());
        return {};
      }
      const waiting: Promise<void>[] = [];
      try {
        for (const { program, pieces } of gatheredPieces(complete(noise, parameters), programs)) {
          const parts = pieces.map(({ name, from, data }) => ({ name, from, to: from + data.length }));
          const drawn = pieces.map(({ name, data }) => [`noise/${name}`, { data, shape: [data.length] }]);
          const running = program.run({ ...copied(), ...(Object.fromEntries(drawn) as Feeds) }, parts);
          // Awaited below; until then a failure of a later one must not count as unheard.
          running.catch(() => undefined);
          waiting.push(running);
          if (waiting.length > mostWaiting) await waiting.shift();
        }
      } finally {
        await Promise.all(waiting);
      }
      return {};
    },
    [Symbol.asyncDispose]: async () => {
      for (const { program } of programs) await program[Symbol.asyncDispose]();
    },
  };
}

/** One graph of whole tensors. */
async function wholeUpdate(
  engine: Engine,
  parameters: readonly UpdatedParameter[],
  optimiser: OptimiserSettings,
  options: UpdateOptions,
): Promise<Update> {
  const program = await engine.load(updateGraph(parameters, optimiser, options), { seldom: true });
  return {
    run: (feeds, noise) => {
      if (!options.noise) return program.run(feeds);
      const drawn = parameters.map(({ name, value: { shape } }) => [`noise/${name}`, { data: new Float32Array(sizeOf(shape)), shape }] as const); // prettier-ignore
      const into = new Map(drawn.map(([name, { data }]) => [name, data]));
      for (const { name, from, data } of complete(noise, parameters)) into.get(`noise/${name}`)!.set(data, from);
      return program.run({ ...feeds, ...Object.fromEntries(drawn) });
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

/** The same pieces; throws LG-BUG-001 at the end unless every number of every parameter had its noise once, in order. */
function* complete(
  noise: Iterable<NoisePiece> | undefined,
  parameters: readonly UpdatedParameter[],
): Generator<NoisePiece, void> {
  const reached = new Map(parameters.map(({ name }) => [name, 0]));
  const refused = (name: string): LeadglassError => new LeadglassError("LG-BUG-001", `update: the noise of ${name} is not that of its sum`); // prettier-ignore
  for (const piece of noise ?? []) {
    if (reached.get(piece.name) !== piece.from) throw refused(piece.name);
    reached.set(piece.name, piece.from + piece.data.length);
    yield piece;
  }
  for (const { name, value } of parameters) if (reached.get(name) !== sizeOf(value.shape)) throw refused(name);
}

/** Pieces of noise by the program that takes them, small ones together; a name comes at most once in each gathering. */
function* gatheredPieces<P extends { readonly names: ReadonlySet<string> }>(
  noise: Iterable<NoisePiece>,
  programs: readonly P[],
): Generator<P & { readonly pieces: readonly NoisePiece[] }> {
  const open = new Map(programs.map((p) => [p, { pieces: [] as NoisePiece[], numbers: 0 }]));
  for (const piece of noise) {
    const program = programs.find(({ names }) => names.has(piece.name))!;
    const gathering = open.get(program)!;
    const full = gathering.numbers + piece.data.length > mostOfPiece;
    if (gathering.pieces.length > 0 && (full || gathering.pieces.at(-1)!.name === piece.name)) {
      yield { ...program, pieces: gathering.pieces.splice(0) };
      gathering.numbers = 0;
    }
    gathering.pieces.push(piece);
    gathering.numbers += piece.data.length;
  }
  for (const [program, { pieces }] of open) if (pieces.length > 0) yield { ...program, pieces };
}

/** The shapes of everything that a run keeps on the device, by name: parameters, sums, optimiser state, averages. */
export function stateShapes(
  parameters: readonly UpdatedParameter[],
  optimiser: OptimiserSettings,
  { averaging }: Pick<UpdateOptions, "averaging">,
): Record<string, Shape> {
  const settings = completeSettings(optimiser);
  const kinds = ["sum", ...optimisers[settings.name].state(settings).map((kind) => `state/${kind}`)];
  if (averaging) kinds.push("average");
  const rows = parameters.flatMap(({ name, value: { shape } }): [string, Shape][] => [
    [name, shape],
    ...kinds.map((kind): [string, Shape] => [`${kind}/${name}`, shape]),
  ]);
  return Object.fromEntries(rows);
}

/**
 * The state before the first step: parameters and averages are copies of `values`, all else is zero.
 * Throws LG-RUNTIME-003 where `values` lacks a parameter or holds it in another size.
 */
export function initialState(
  parameters: readonly UpdatedParameter[],
  optimiser: OptimiserSettings,
  { averaging }: Pick<UpdateOptions, "averaging">,
  values: Readonly<Record<string, Float32Array>>,
): Record<string, FloatTensor> {
  const state: Record<string, FloatTensor> = {};
  for (const [name, shape] of Object.entries(stateShapes(parameters, optimiser, { averaging })))
    state[name] = { data: new Float32Array(sizeOf(shape)), shape };
  for (const { name } of parameters) {
    const tensor = state[name]!;
    const size = tensor.data.length;
    if (values[name]?.length !== size)
      throw new LeadglassError(
        "LG-RUNTIME-003",
        `the weights hold ${values[name]?.length ?? 0} numbers for parameter ${name}; expected ${size}`,
        { hint: "These weights belong to another architecture." },
      );
    tensor.data.set(values[name]);
    if (averaging) state[`average/${name}`]!.data.set(values[name]);
  }
  return state;
}

/** What {@link updateScalars} needs to know of a step. */
export interface StepNumbers {
  /** From 0. */
  readonly step: number;
  /** The schedule's rate of this step. */
  readonly learningRate: number;
  /** What sums are divided by: a public number, never the size of the batch that was drawn. */
  readonly expectedBatchSize: number;
  /** The grid of the noise, a power of two; required where the graph adds noise. */
  readonly grid?: number;
  /** Decay of the moving average once warm; required where the graph keeps averages. */
  readonly averageDecay?: number;
}

/**
 * The scalar feeds of one update.
 * Throws LG-TRAIN-003 for impossible settings or numbers.
 */
export function updateScalars(
  optimiser: OptimiserSettings,
  { step, learningRate, expectedBatchSize, grid, averageDecay }: StepNumbers,
): Feeds {
  const settings = completeSettings(optimiser);
  const require = (name: string, value: number, passes: boolean, expected: string): void => {
    if (!passes)
      throw new LeadglassError("LG-TRAIN-003", `update: ${name} is ${value}; expected ${expected}`, {
        hint: `Change ${name}.`,
      });
  };
  require("step", step, Number.isInteger(step) && step >= 0, "a whole number of at least 0");
  require("learningRate", learningRate, learningRate >= 0 && learningRate < Infinity, "a number of at least 0");
  require("expectedBatchSize", expectedBatchSize, expectedBatchSize > 0 &&
    expectedBatchSize < Infinity, "a number above 0");
  const scalars = optimisers[settings.name].scalars(step, learningRate, settings);
  scalars["divisor"] = 1 / expectedBatchSize;
  if (grid !== undefined) {
    require("grid", grid, Number.isInteger(Math.log2(grid)) && grid === 2 ** Math.log2(grid), "a power of two");
    Object.assign(scalars, { grid, perGrid: 1 / grid });
  }
  if (averageDecay !== undefined) scalars["average"] = averageDecayAt(step, averageDecay);
  return Object.fromEntries(
    Object.entries(scalars).map(([key, x]) => [scalarName(key), { data: Float32Array.of(x), shape: [] }]),
  );
}

/**
 * The decay of the moving average at a step, counted from 0: min(decay, (1 + step) / (10 + step)), so that the first
 * weights are soon forgotten (TensorFlow's ExponentialMovingAverage with num_updates).
 * Throws LG-TRAIN-003 for a decay outside [0, 1).
 */
export function averageDecayAt(step: number, decay: number): number {
  if (!(decay >= 0 && decay < 1))
    throw new LeadglassError("LG-TRAIN-003", `averages: decay is ${decay}; expected a number from 0 to below 1`, {
      hint: "Use for example 0.999.",
    });
  return Math.min(decay, (1 + step) / (10 + step));
}
