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

export interface Update extends AsyncDisposable {
  /** Takes what {@link updateGraph} is fed and returns its outputs that are not state. */
  readonly run: (feeds: Feeds) => Promise<Record<string, HostTensor>>;
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
  if (options.observed !== undefined) return engine.load(updateGraph(parameters, optimiser, options), { seldom: true });
  const settings = completeSettings(optimiser);
  const groups = Map.groupBy(parameters, ({ value }) => decays(settings, value.shape.length));
  const programs: BlockwiseProgram[] = [];
  for (const [decaying, own] of groups) {
    const numbers = own.reduce((n, { value }) => n + sizeOf(value.shape), 0);
    const block = Math.min(mostOfBlock, numbers);
    const value = input("*", decaying ? [1, block] : [block]);
    programs.push(
      await engine.loadBlockwise(updateGraph([{ name: "*", value }], optimiser, options), own.map(({ name }) => name)), // prettier-ignore
    );
  }
  return {
    run: async (feeds) => {
      const isNoise = (name: string): boolean => name.startsWith("noise/");
      const scalars = Object.entries(feeds).filter(([name]) => !isNoise(name));
      const groupNames = [...groups.values()].map((own) => new Set(own.map(({ name }) => `noise/${name}`)));
      for (const [i, program] of programs.entries())
        await program.run({
          ...Object.fromEntries(scalars.map(([name, { data, shape }]) => [name, { data: data.slice(), shape }])),
          ...Object.fromEntries(Object.entries(feeds).filter(([name]) => groupNames[i]!.has(name))),
        });
      return {};
    },
    [Symbol.asyncDispose]: async () => {
      for (const program of programs) await program[Symbol.asyncDispose]();
    },
  };
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
