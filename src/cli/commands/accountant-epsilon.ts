import { accountantNamed, calibrateNoise, type Relation } from "../../privacy/index.ts";
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
