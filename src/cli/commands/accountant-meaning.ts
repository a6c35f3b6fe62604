import { LeadglassError } from "../../errors.ts";
import {
  accountantNamed,
  attackerTerms,
  type AttackerTerms,
  bestAccountant,
  calibrateNoise,
  patientEpsilon,
  type PatientCost,
  type PoissonGaussianEvent,
  privacyProfile,
  type Relation,
  worstProfile,
} from "../../privacy/index.ts";
import { command } from "../command.ts";
import { significant, significantUp, table } from "../output.ts";

const relations: Readonly<Record<"add-remove" | "replace", Relation>> = {
  "add-remove": "add-or-remove-one",
  replace: "replace-one",
};

export const accountantMeaning = command({
  name: "accountant meaning",
  about:
    "What a guarantee means in an attacker's terms: the most he can reach who holds the model, knows the method, and knows everybody else's data.",
  options: {
    epsilon: { kind: "number", value: "E", about: "the guarantee, with --delta", above: 0 },
    delta: { kind: "number", value: "D", about: "the delta of the guarantee", above: 0, below: 1 },
    "noise-multiplier": {
      kind: "number",
      value: "S",
      about: "instead of --epsilon: the noise, divided by the most one unit adds",
      above: 0,
    },
    "sampling-probability": {
      kind: "number",
      value: "Q",
      about: "probability with which a unit joins a step",
      above: 0,
      atMost: 1,
    },
    steps: { kind: "whole", value: "T", about: "how many steps", atLeast: 1 },
    relation: {
      kind: "text",
      about: "two cohorts differ by one unit more or less, or by one exchanged",
      oneOf: ["add-remove", "replace"],
      initial: "add-remove",
    },
    share: {
      kind: "number",
      value: "P",
      about: "share of members among those whom the attacker tests",
      above: 0,
      below: 1,
      initial: 0.1,
    },
    "images-per-patient": {
      kind: "whole",
      value: "K",
      about: "the plan protects single images, and a patient has up to K: say what that is for a patient",
      atLeast: 1,
    },
  },
  notes:
    "With --sampling-probability and --steps the figures are those of the plan itself. With --epsilon and --delta alone they are those of the worst mechanism that keeps them, which can be much more.",
  examples: [
    "leadglass accountant meaning --epsilon 8 --delta 1e-4",
    "leadglass accountant meaning --epsilon 8 --delta 1e-4 --sampling-probability 1 --steps 100",
    "leadglass accountant meaning --noise-multiplier 5 --sampling-probability 0.1 --steps 400 --delta 1e-4 --images-per-patient 4",
  ],
  run(options) {
    const { delta, share, relation: named } = options;
    const relation = relations[named];
    const images = options["images-per-patient"];
    const events = eventsOf(options, relation);
    if (events === null && images !== undefined)
      throw usage(
        "--images-per-patient: needs --sampling-probability and --steps",
        "Epsilon and delta alone do not say what several images cost.",
      );
    if (images !== undefined && delta === undefined)
      throw usage("--images-per-patient: needs --delta", "Give the delta of the guarantee.");
    const profile = events ? privacyProfile(events, relation) : worstProfile(options.epsilon!, delta!);
    const epsilon =
      events === null
        ? options.epsilon!
        : delta === undefined
          ? null
          : accountantNamed(bestAccountant(events)).epsilon(events, delta, relation).upper;
    const terms = attackerTerms(profile, { memberShare: share });
    const patient =
      events && images !== undefined && delta !== undefined
        ? patientEpsilon(events, delta, images, { relation })
        : null;
    const json = {
      epsilon,
      delta: delta ?? null,
      relation,
      noiseMultiplier: events?.[0]!.noiseMultiplier ?? null,
      samplingProbability: events?.[0]!.samplingProbability ?? null,
      steps: events?.[0]!.steps ?? null,
      ...terms,
      patient,
    };
    return { json, text: textOf({ epsilon, delta, terms, patient, relation }) };
  },
});

const usage = (message: string, hint: string): LeadglassError => new LeadglassError("LG-USAGE-001", message, { hint });

/** The plan's event, or null where only a guarantee was given. */
function eventsOf(
  options: {
    readonly epsilon: number | undefined;
    readonly delta: number | undefined;
    readonly "noise-multiplier": number | undefined;
    readonly "sampling-probability": number | undefined;
    readonly steps: number | undefined;
  },
  relation: Relation,
): readonly PoissonGaussianEvent[] | null {
  const { epsilon, delta, steps } = options;
  const [noise, samplingProbability] = [options["noise-multiplier"], options["sampling-probability"]];
  if ((epsilon === undefined) === (noise === undefined))
    throw usage("accountant meaning: one of --epsilon and --noise-multiplier was expected", "Give one of the two.");
  if (epsilon !== undefined && delta === undefined)
    throw usage("--epsilon: needs --delta", "Give both halves of the guarantee, such as --epsilon 8 --delta 1e-4.");
  if ((samplingProbability === undefined) !== (steps === undefined))
    throw usage("--sampling-probability and --steps belong together", "Give both, or neither.");
  if (samplingProbability === undefined || steps === undefined) {
    if (noise !== undefined)
      throw usage(
        "--noise-multiplier: needs --sampling-probability and --steps",
        "Noise alone protects by how often it is added.",
      );
    return null;
  }
  const accountant = accountantNamed(samplingProbability === 1 ? "gaussian" : "pld");
  const noiseMultiplier =
    noise ??
    calibrateNoise({ target: { epsilon: epsilon!, delta: delta! }, samplingProbability, steps, relation, accountant });
  return [{ kind: "poisson-gaussian", samplingProbability, noiseMultiplier, steps }];
}

/** A share as a percentage of three digits, rounded up: it is the most that can happen. */
const atMost = (share: number): string => {
  const percent = 100 * share;
  const unit = 10 ** (Math.floor(Math.log10(percent)) - 2);
  return `${percent === 0 ? 0 : Math.min(100, Number((Math.ceil(percent / unit - 1e-7) * unit).toPrecision(3)))} %`;
};
const given = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;

function textOf({
  epsilon,
  delta,
  terms,
  patient,
  relation,
}: {
  readonly epsilon: number | null;
  readonly delta: number | undefined;
  readonly terms: AttackerTerms;
  readonly patient: PatientCost | null;
  readonly relation: Relation;
}): string {
  const { advantage, memberShare, membership, reconstruction } = terms;
  return [
    ...(epsilon === null || delta === undefined
      ? []
      : [`epsilon ${significantUp(epsilon)} at delta ${significant(delta)} (${relation})`, ""]),
    "Was somebody in the training? At most, for whoever holds the model and knows everybody else's data:",
    "",
    table([
      ["wrongly accused", "members caught", "of the accused, members"],
      ...membership.map((row) => [
        given(row.falsePositiveRate),
        atMost(row.truePositiveRate),
        atMost(row.positivePredictiveValue),
      ]),
    ]),
    "",
    `The last column holds where ${given(memberShare)} of those tested are members (--share).`,
    `Best gap between members caught and others accused: ${atMost(advantage)} (0 is guessing, 100 % is certainty).`,
    "",
    "What was in somebody's image? The chance of a right guess, at most:",
    "",
    table([
      ["without the model", "with it"],
      ...reconstruction.map(({ prior, success }) => [`1 in ${significant(1 / prior)}`, atMost(success)]),
    ]),
    ...(patient ? ["", patientText(patient)] : []),
  ].join("\n");
}

function patientText({ epsilon, delta, imagesPerPatient, how }: PatientCost): string {
  const about = `for a patient of up to ${imagesPerPatient} images`;
  if (epsilon === null) return `The above is for one image; ${about} nothing is proved.`;
  const certainty = how === "exact" ? "exactly" : "at most";
  return `The above is for one image; ${about} epsilon is ${certainty} ${significantUp(epsilon)} at delta ${significant(delta)}.`;
}
