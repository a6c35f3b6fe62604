import { accountantNamed, calibrateBatch, calibrateNoise, calibrateSteps, type Relation } from "../../privacy/index.ts";
import { command } from "../command.ts";
import type { Options } from "../options.ts";
import { significant, significantUp } from "../output.ts";

const relations: Readonly<Record<"add-remove" | "replace", Relation>> = {
  "add-remove": "add-or-remove-one",
  replace: "replace-one",
};

const common = {
  "sampling-probability": {
    kind: "number",
    value: "Q",
    about: "probability with which a unit joins a step",
    above: 0,
    atMost: 1,
    required: true,
  },
  steps: { kind: "whole", value: "T", about: "how many steps", atLeast: 1, required: true },
  delta: { kind: "number", value: "D", about: "the delta of the guarantee", above: 0, below: 1, required: true },
  accountant: {
    kind: "text",
    about: "pld is tight; rdp a looser cross-check; gaussian exact, for probability 1 only",
    oneOf: ["pld", "rdp", "gaussian"],
    initial: "pld",
  },
  relation: {
    kind: "text",
    about: "two cohorts differ by one unit more or less, or by one exchanged",
    oneOf: ["add-remove", "replace"],
    initial: "add-remove",
  },
} as const satisfies Options;

export const accountantEpsilon = command({
  name: "accountant epsilon",
  about: "The epsilon of steps that draw units by independent coins, clip them, and add Gaussian noise to their sum.",
  options: {
    ...common,
    "noise-multiplier": {
      kind: "number",
      value: "S",
      about: "standard deviation of the noise, divided by the most one unit adds",
      above: 0,
      required: true,
    },
  },
  notes: "The guarantee is the upper number; the lower one says how far from the truth it can be, where that is known.",
  examples: ["leadglass accountant epsilon --sampling-probability 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5"],
  run(options) {
    const { steps, delta, accountant, relation } = options;
    const event = {
      kind: "poisson-gaussian",
      samplingProbability: options["sampling-probability"],
      noiseMultiplier: options["noise-multiplier"],
      steps,
    } as const;
    const epsilon = accountantNamed(accountant).epsilon([event], delta, relations[relation]);
    const lower = epsilon.lower === null ? "" : `, and it is not below ${significant(epsilon.lower)}`;
    return {
      json: { epsilon, delta, accountant, relation: relations[relation] },
      text: `epsilon ${significantUp(epsilon.upper)} at delta ${significant(delta)} (${relations[relation]}, ${accountant})${lower}`,
    };
  },
});

export const accountantNoise = command({
  name: "accountant noise",
  about: "The least noise multiplier with which steps stay within an epsilon.",
  options: {
    epsilon: { kind: "number", value: "E", about: "what the steps may cost together", above: 0, required: true },
    ...common,
  },
  examples: ["leadglass accountant noise --epsilon 8 --delta 1e-5 --sampling-probability 0.01 --steps 1000"],
  run(options) {
    const { epsilon, delta, steps, accountant, relation } = options;
    const noiseMultiplier = calibrateNoise({
      target: { epsilon, delta },
      samplingProbability: options["sampling-probability"],
      steps,
      relation: relations[relation],
      accountant: accountantNamed(accountant),
    });
    return {
      json: { noiseMultiplier, epsilon, delta, accountant, relation: relations[relation] },
      text: `noise multiplier ${significantUp(noiseMultiplier)} for epsilon ${significant(epsilon)} at delta ${significant(delta)}`,
    };
  },
});

const target = {
  kind: "number",
  value: "E",
  about: "what the steps may cost together",
  above: 0,
  required: true,
} as const;
const noise = {
  kind: "number",
  value: "S",
  about: "standard deviation of the noise, divided by the most one unit adds",
  above: 0,
  required: true,
} as const;

export const accountantSteps = command({
  name: "accountant steps",
  about: "The most steps that stay within an epsilon with a given noise.",
  options: {
    epsilon: target,
    delta: common.delta,
    "sampling-probability": common["sampling-probability"],
    "noise-multiplier": noise,
    accountant: common.accountant,
    relation: common.relation,
  },
  examples: ["leadglass accountant steps --epsilon 3 --delta 1e-5 --sampling-probability 0.01 --noise-multiplier 1"],
  run(options) {
    const { epsilon, delta, accountant, relation } = options;
    const steps = calibrateSteps({
      target: { epsilon, delta },
      samplingProbability: options["sampling-probability"],
      noiseMultiplier: options["noise-multiplier"],
      relation: relations[relation],
      accountant: accountantNamed(accountant),
    });
    return {
      json: { steps, epsilon, delta, accountant, relation: relations[relation] },
      text: `${steps} steps for epsilon ${significant(epsilon)} at delta ${significant(delta)}`,
    };
  },
});

export const accountantBatch = command({
  name: "accountant batch",
  about: "The largest expected batch with which steps stay within an epsilon with a given noise.",
  options: {
    epsilon: target,
    delta: common.delta,
    units: { kind: "whole", value: "N", about: "how many patients (or images) there are", atLeast: 1, required: true },
    "noise-multiplier": noise,
    steps: common.steps,
    accountant: common.accountant,
    relation: common.relation,
  },
  examples: ["leadglass accountant batch --epsilon 3 --delta 1e-5 --units 50000 --noise-multiplier 1 --steps 1000"],
  run(options) {
    const { epsilon, delta, units, steps, accountant, relation } = options;
    const batch = calibrateBatch({
      target: { epsilon, delta },
      units,
      noiseMultiplier: options["noise-multiplier"],
      steps,
      relation: relations[relation],
      accountant: accountantNamed(accountant),
    });
    const samplingProbability = batch / units;
    return {
      json: { batch, samplingProbability, epsilon, delta, accountant, relation: relations[relation] },
      text: `${batch} of ${units} units a step on average (sampling probability ${significant(samplingProbability)}) for epsilon ${significant(epsilon)} at delta ${significant(delta)}`,
    };
  },
});
