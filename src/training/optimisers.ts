import { LeadglassError } from "../errors.ts";
import { add, div, mul, sqrt, sub, type Value } from "../graph/index.ts";

export type OptimiserName = "sgd" | "adam" | "adamw" | "nadam";

/** An optimiser and its numbers; what is absent takes torch.optim's default (see {@link completeSettings}). */
export interface OptimiserSettings {
  readonly name: OptimiserName;
  /** The largest of the run; a schedule may lower it. */
  readonly learningRate: number;
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
  /** "matrices" spares one-dimensional parameters: biases, scales of normalisation. */
  readonly decayOnly?: "matrices" | "all";
}

export type CompleteSettings = Required<OptimiserSettings>;

/** What an update reads: graph values of one shape, and scalars by the names that {@link OptimiserRule.scalars} gives. */
export interface UpdateOperands {
  readonly parameter: Value;
  readonly gradient: Value;
  readonly state: Readonly<Record<string, Value>>;
  /** `decay` is absent where this parameter's weights do not decay. */
  readonly scalars: Readonly<Record<string, Value>>;
}

export interface OptimiserRule {
  /** The settings it reads, besides those every optimiser reads, with torch.optim's defaults. */
  readonly defaults: Readonly<Partial<CompleteSettings>>;
  /** Names of the state tensors of one parameter, shaped as it; all start at zero. */
  readonly state: (settings: CompleteSettings) => readonly string[];
  /** What changes from step to step, in float64; `step` counts from 0. */
  readonly scalars: (step: number, learningRate: number, settings: CompleteSettings) => Record<string, number>;
  /** One step as graph, in as few passes over memory as we know. */
  readonly update: (operands: UpdateOperands, settings: CompleteSettings) => Updated;
}

/** The new values. */
export interface Updated {
  readonly parameter: Value;
  readonly state: Readonly<Record<string, Value>>;
}

/** torch.optim.NAdam's default of the argument of this name. */
const momentumDecay = 4e-3;

/** The gradient of the loss plus weightDecay / 2 times the squared weights. */
const penalised = ({ parameter, gradient, scalars }: UpdateOperands): Value =>
  scalars["decay"] ? add(gradient, mul(parameter, scalars["decay"])) : gradient;

/**
 * Adam's moments as plain decaying sums, m = beta1 m + g and v = beta2 v + g^2, which takes two passes less than averages.
 * What makes averages of them, (1 - beta) / (1 - beta^t), goes into the scalars.
 */
function moments(gradient: Value, { state, scalars }: UpdateOperands): { m: Value; v: Value } {
  return {
    m: add(mul(state["m"]!, scalars["beta1"]!), gradient),
    v: add(mul(state["v"]!, scalars["beta2"]!), mul(gradient, gradient)),
  };
}

/** sqrt(v) + epsilon, up to the factor that {@link deviationScale} gives. */
const deviation = (v: Value, { scalars }: UpdateOperands): Value => add(sqrt(v), scalars["epsilon"]!);

/** What turns the root of a decaying sum of squares after t steps into that of an unbiased average. */
const deviationScale = (t: number, beta2: number): number => Math.sqrt((1 - beta2) / (1 - beta2 ** t));

function adamScalars(step: number, learningRate: number, { beta1, beta2, epsilon }: CompleteSettings) {
  const t = step + 1;
  const scale = deviationScale(t, beta2);
  return {
    beta1,
    beta2,
    epsilon: epsilon / scale,
    rate: (learningRate * (1 - beta1)) / (1 - beta1 ** t) / scale,
  };
}

function adamUpdate(parameter: Value, gradient: Value, operands: UpdateOperands): Updated {
  const { m, v } = moments(gradient, operands);
  const change = mul(div(m, deviation(v, operands)), operands.scalars["rate"]!);
  return { parameter: sub(parameter, change), state: { m, v } };
}

/** NAdam's momentum of step t, from 1 (Dozat 2016, as torch.optim states it). */
const momentumAt = (t: number, beta1: number): number => beta1 * (1 - 0.5 * 0.96 ** (t * momentumDecay));

/**
 * The rules by name. They compute what torch.optim's SGD (dampening 0), Adam, AdamW and NAdam compute, up to rounding,
 * but keep moments in another scale.
 */
export const optimisers: Readonly<Record<OptimiserName, OptimiserRule>> = {
  sgd: {
    defaults: { momentum: 0, nesterov: false, weightDecay: 0, decayOnly: "all" },
    state: ({ momentum }) => (momentum === 0 ? [] : ["momentum"]),
    scalars: (_, learningRate, { momentum, weightDecay }) => ({
      rate: learningRate,
      ...(momentum === 0 ? {} : { momentum }),
      ...(weightDecay === 0 ? {} : { decay: weightDecay }),
    }),
    update: (operands, { nesterov }): Updated => {
      const { parameter, scalars, state } = operands;
      const gradient = penalised(operands);
      const descend = (direction: Value): Value => sub(parameter, mul(direction, scalars["rate"]!));
      if (!state["momentum"]) return { parameter: descend(gradient), state: {} };
      const momentum = add(mul(state["momentum"], scalars["momentum"]!), gradient);
      const direction = nesterov ? add(gradient, mul(momentum, scalars["momentum"]!)) : momentum;
      return { parameter: descend(direction), state: { momentum } };
    },
  },
  adam: {
    defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, decayOnly: "all" },
    state: () => ["m", "v"],
    scalars: (step, learningRate, settings) => ({
      ...adamScalars(step, learningRate, settings),
      ...(settings.weightDecay === 0 ? {} : { decay: settings.weightDecay }),
    }),
    update: (operands) => adamUpdate(operands.parameter, penalised(operands), operands),
  },
  adamw: {
    defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-2, decayOnly: "matrices" },
    state: () => ["m", "v"],
    scalars: (step, learningRate, settings) => ({
      ...adamScalars(step, learningRate, settings),
      ...(settings.weightDecay === 0 ? {} : { decay: 1 - learningRate * settings.weightDecay }),
    }),
    update: (operands) => {
      const { parameter, gradient, scalars } = operands;
      return adamUpdate(scalars["decay"] ? mul(parameter, scalars["decay"]) : parameter, gradient, operands);
    },
  },
  nadam: {
    defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, decayOnly: "all" },
    state: () => ["m", "v"],
    scalars: (step, learningRate, { beta1, beta2, epsilon, weightDecay }) => {
      const t = step + 1;
      let product = 1;
      for (let i = 1; i <= t; i++) product *= momentumAt(i, beta1);
      const [now, next] = [momentumAt(t, beta1), momentumAt(t + 1, beta1)];
      const scale = deviationScale(t, beta2);
      return {
        beta1,
        beta2,
        epsilon: epsilon / scale,
        gradientRate: (learningRate * (1 - now)) / (1 - product) / scale,
        rate: (learningRate * next * (1 - beta1)) / (1 - product * next) / scale,
        ...(weightDecay === 0 ? {} : { decay: weightDecay }),
      };
    },
    update: (operands) => {
      const { parameter, scalars } = operands;
      const gradient = penalised(operands);
      const { m, v } = moments(gradient, operands);
      const direction = add(mul(gradient, scalars["gradientRate"]!), mul(m, scalars["rate"]!));
      return { parameter: sub(parameter, div(direction, deviation(v, operands))), state: { m, v } };
    },
  },
};

/** Every optimiser accepts these. */
const shared: readonly string[] = ["name", "learningRate", "weightDecay", "decayOnly"];

/** Values of settings that an optimiser does not read. */
const unread = { momentum: 0, nesterov: false, beta1: 0, beta2: 0, epsilon: 1 } as const;

const ranges: readonly [keyof OptimiserSettings, (x: number) => boolean, string][] = [
  ["learningRate", (x) => x > 0 && x < Infinity, "a number above 0"],
  ["momentum", (x) => x >= 0 && x < 1, "a number from 0 to below 1"],
  ["beta1", (x) => x >= 0 && x < 1, "a number from 0 to below 1"],
  ["beta2", (x) => x >= 0 && x < 1, "a number from 0 to below 1"],
  // Without it, a gradient that is always zero would be divided by zero.
  ["epsilon", (x) => x > 0 && x < Infinity, "a number above 0"],
  ["weightDecay", (x) => x >= 0 && x < Infinity, "a number of at least 0"],
];

/**
 * The settings with torch.optim's defaults where they say nothing; adamw decays matrices only, which torch leaves to the
 * caller. Throws LG-TRAIN-003 for an unknown optimiser, a number out of range, or a setting that it does not read.
 */
export function completeSettings(settings: OptimiserSettings): CompleteSettings {
  const refuse = (what: string, hint: string): never => {
    throw new LeadglassError("LG-TRAIN-003", `optimiser ${settings.name}: ${what}`, { hint });
  };
  const names = Object.keys(optimisers).join(", ");
  if (!Object.hasOwn(optimisers, settings.name))
    refuse(`there is none of this name; expected ${names}`, "Choose another.");
  const { defaults } = optimisers[settings.name];
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  for (const key of Object.keys(given))
    if (!shared.includes(key) && !Object.hasOwn(defaults, key))
      refuse(`it does not read ${key}`, `Leave out ${key}, or choose another optimiser.`);
  const complete = { ...unread, ...defaults, ...given } as CompleteSettings;
  for (const [key, passes, expected] of ranges)
    if (!passes(complete[key] as number)) refuse(`${key} is ${complete[key]}; expected ${expected}`, `Change ${key}.`);
  if (complete.decayOnly !== "matrices" && complete.decayOnly !== "all")
    refuse(`decayOnly is ${String(complete.decayOnly)}; expected matrices or all`, "Change decayOnly.");
  if (complete.nesterov && complete.momentum === 0)
    refuse("nesterov is asked for and momentum is 0; expected more than 0", "Set momentum, for example to 0.9.");
  return complete;
}

/** Whether weight decay touches a parameter of this rank. */
export const decays = ({ weightDecay, decayOnly }: CompleteSettings, rank: number): boolean =>
  weightDecay > 0 && (decayOnly === "all" || rank > 1);
