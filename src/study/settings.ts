import type { KnownFraming, Medium } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import type { Augmentation } from "../imaging/index.ts";
import { freezesBackbone } from "./freeze.ts";
import { architectureNamed, hasFixedFeatures, isLinearOnFeatures, volumeArchitectureNamed } from "../nn/index.ts";
import {
  accountantNamed,
  bestAccountant,
  eventOf,
  gaussianEpsilon,
  gaussianMu,
  noiseOfCells,
  planPrivateTraining,
  type Clipping,
  type DpPlan,
  type Event,
  type PrivacyTarget,
  type Relation,
  type Sampling,
  type SamplingOptions,
} from "../privacy/index.ts";
import type { Loss } from "../training/losses.ts";
import type { OptimiserSettings } from "../training/optimisers.ts";
import type { Schedule } from "../training/schedules.ts";
import { volumeInputOf, volumeText, type aboutNames, type VolumeInput } from "./volume-input.ts";

/** What a user may decide; everything else is chosen from the cohort's size and the budget. */
export interface TrainingChoices {
  /** "reference": what Tayebi Arasteh et al. 2024 did, where nothing else is chosen. */
  readonly profile?: "reference";
  readonly model?: string;
  readonly epsilon?: number;
  readonly delta?: number;
  readonly unit?: "patient" | "image";
  readonly clipNorm?: number;
  readonly clipping?: Clipping["kind"];
  readonly sampling?: Sampling["kind"];
  /** The most units of a step, under truncated sampling. */
  readonly batchCap?: number;
  readonly relation?: "add-remove" | "replace";
  readonly batch?: number;
  readonly epochs?: number;
  readonly learningRate?: number;
  readonly optimizer?: string;
  readonly imageSize?: number;
  /** LOW,HIGH in Hounsfield units, or a window's name. Of volumes, as the next two. */
  readonly window?: string;
  /** Millimetres, one number or z, y and x. */
  readonly spacing?: string;
  /** Voxels along z, y and x. */
  readonly volumeShape?: string;
  readonly about?: (typeof aboutNames)[number];
  readonly views?: number;
  /** Decay of the average of weights that is kept as the result; 0 keeps the last weights. */
  readonly averaging?: number;
  /** Names of parameters that are not trained, separated by commas; a star stands for any text. */
  readonly freeze?: string;
  /** The ONNX file of a frozen feature extractor. */
  readonly features?: string;
  /** A cohort of synthetic images, and how the training takes them: in its pool, or exactly beside it. */
  readonly synthetic?: string;
  readonly syntheticUse?: "pool" | "beside";
  readonly syntheticWeight?: number;
  /** Of that cohort, for whoever resumes. */
  readonly syntheticFingerprint?: string;
  /** For generators: what adversarial networks minimise, and how many steps the discriminator takes to one. */
  readonly loss?: string;
  readonly discriminatorSteps?: number;
  readonly instanceNoise?: number;
  /** Canaries of an audit, in words: whoever resumes must have the same. */
  readonly canaries?: string;
  /** Weigh positives by how many negatives there are to each; under privacy from counts with noise. */
  readonly positiveWeights?: boolean;
  /** Keep the best of so many states of the training, as the validation patients have it; the last state otherwise. */
  readonly bestOf?: number;
  /** Whether the validation patients are as private as the others, which they are unless they are said to be public. */
  readonly validation?: "private" | "public";
}

/** What the choices are made for. */
export interface CohortSize {
  /** Training units: patients or images; declared public. */
  readonly units: number;
  readonly images: number;
  /** What the files hold; images unless said. */
  readonly medium?: Medium;
  /** How images are framed, by the cohort's schema alone. */
  readonly framing?: KnownFraming | null;
}

/** Everything that follows from the choices, with a sentence for each thing that was chosen for the user. */
export interface ChosenSettings {
  readonly architecture: string;
  /** Null for volumes. */
  readonly imageSize: number | null;
  /** Null for images. */
  readonly volume: VolumeInput | null;
  readonly unit: "patient" | "image";
  readonly views: number;
  /** Each image and its mirror image as fixed variants, or fresh random views. */
  readonly variants: 1 | 2 | "random";
  readonly augmentation: Augmentation;
  readonly channels: 1 | 3;
  readonly preparation: "plain" | "reference";
  /** Whether the answer is the mean over an image and its mirror image. */
  readonly mirror: boolean;
  readonly plan: DpPlan | null;
  /** Noise of what else is released under the run's budget, relative to what one unit changes; null without a plan. */
  readonly noise: {
    /** Of counts of positives and negatives, which cost a part of the training's budget; null where none are taken. */
    readonly labelCounts: number | null;
    /** Of the histogram of validation scores, which has the whole budget, of other patients, for itself. */
    readonly validation: number;
    /** What choosing among the training's states may cost the same patients, of the same budget; null without a choice. */
    readonly choice: number | null;
  } | null;
  readonly batchSize: number;
  readonly epochs: number;
  readonly loss: Loss;
  readonly optimiser: OptimiserSettings;
  readonly schedule: Schedule;
  readonly averaging: number | null;
  /**
   * What the trained parameters are multiplied by at the end. The noise makes a private linear model too sure of itself:
   * a third of its logits is about as sure as it is right (over three cohorts and epsilons 1 to 8). Only calibration
   * changes, no ranking.
   */
  readonly shrinkage: number;
  readonly reasons: readonly string[];
}

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

const plainPixels = { channels: 1, preparation: "plain", mirror: true } as const;

/** Whether each image's features can be computed once: by design, or because only what follows a backbone is trained. */
function isComputedOnce(
  architecture: string,
  { freeze, imageSize }: TrainingChoices,
  medium: Medium | undefined,
): boolean {
  const fixed = hasFixedFeatures(architecture);
  if (fixed || freeze === undefined || medium === "volumes") return fixed;
  const { build, imageSize: usual } = architectureNamed(architecture);
  return freezesBackbone(build({ rows: 1, channels: 1, imageSize: imageSize ?? usual, outputs: 1 }), freeze);
}

/**
 * Chooses settings for a training.
 * Throws LG-USAGE-001 for a number out of its range, LG-PRIVACY-010 for an epsilon that is not above 0, and LG-PRIVACY-... where no noise meets the target.
 */
export function chooseSettings(choices: TrainingChoices, size: CohortSize, insecureSeed: boolean): ChosenSettings {
  checkChoices(choices);
  if (choices.profile === "reference") return chooseReference(choices, size, insecureSeed);
  checkInput(choices, size.medium);
  return choices.epsilon === undefined
    ? chooseOpen(choices, size)
    : choosePrivate(choices, size, choices.epsilon, insecureSeed);
}

/** Whose privacy a training is about; without privacy, what a batch is made of. */
export const unitOf = ({ unit, epsilon, profile }: TrainingChoices): "patient" | "image" =>
  unit ?? (epsilon === undefined || profile === "reference" ? "image" : "patient");

/** The settings of the reference study's published code, for whatever is not chosen. */
function chooseReference(choices: TrainingChoices, size: CohortSize, insecureSeed: boolean): ChosenSettings {
  const { units } = size;
  const isPrivate = choices.epsilon !== undefined;
  // A loader of batches of 128, and each unit drawn with one over the number of such batches; or shuffled batches of 32.
  const batch = Math.min(choices.batch ?? (isPrivate ? 128 : 32), units);
  const expected = isPrivate ? Math.round(units / Math.max(1, Math.floor(units / batch))) : batch;
  const given: TrainingChoices = {
    ...choices,
    model: choices.model ?? "resnet9-reference",
    unit: unitOf(choices),
    ...(isPrivate ? { delta: choices.delta ?? 1e-6, clipNorm: choices.clipNorm ?? 1.5 } : {}),
    batch: expected,
    epochs: choices.epochs ?? 100,
    learningRate: choices.learningRate ?? 2e-4,
    optimizer: choices.optimizer ?? "nadam",
    imageSize: choices.imageSize ?? 512,
    views: choices.views ?? 1,
    positiveWeights: choices.positiveWeights ?? true,
  };
  const chosen = isPrivate ? choosePrivate(given, size, choices.epsilon, insecureSeed) : chooseOpen(given, size);
  return {
    ...chosen,
    // Neither their private training nor ours changes images at random under this profile; the other one mirrors half.
    ...(isPrivate
      ? { variants: 1 as const, augmentation: {} }
      : { variants: 2 as const, augmentation: { flipHorizontal: true } }),
    channels: 3,
    preparation: "reference",
    mirror: false,
    loss: { kind: "binary" },
    schedule: { kind: "constant", warmupFraction: 0 },
    averaging: averagingOf(choices, null),
    shrinkage: 1,
    reasons: [
      "profile reference: as Tayebi Arasteh et al. 2024 trained, and not as we advise",
      ...chosen.reasons,
      ...(isPrivate
        ? [
            `the unit is the ${given.unit}` +
              (given.unit === "image" ? ", as theirs: a patient with k images has about k times this epsilon" : ""),
            "positive weights come from noisy counts within the budget, where theirs came from exact ones outside it",
          ]
        : []),
    ],
  };
}

function checkChoices({
  epsilon,
  delta,
  batch,
  epochs,
  learningRate,
  clipNorm,
  views,
  imageSize,
  bestOf,
  ...choices
}: TrainingChoices): void {
  const positive: Record<string, number | undefined> = {
    epsilon,
    delta,
    batch,
    epochs,
    lr: learningRate,
    "clip-norm": clipNorm,
    views,
    "image-size": imageSize,
    "batch-cap": choices.batchCap,
    "best-of": bestOf,
  };
  for (const [name, value] of Object.entries(positive))
    if (value !== undefined && !(value > 0 && Number.isFinite(value)))
      throw new LeadglassError(
        name === "epsilon" ? "LG-PRIVACY-010" : "LG-USAGE-001",
        `--${name}: a number above 0 was expected, ${value} was given`,
        {
          hint:
            name === "epsilon"
              ? "An epsilon of 0 would let nothing be learned; 1 to 10 is usual."
              : `Leave --${name} out for a good choice.`,
        },
      );
  for (const [name, value] of Object.entries({
    batch,
    epochs,
    views,
    "image-size": imageSize,
    "batch-cap": choices.batchCap,
    "best-of": bestOf,
  }))
    if (value !== undefined && !Number.isInteger(value))
      throw new LeadglassError("LG-USAGE-001", `--${name}: a whole number was expected, ${value} was given`);
  if (choices.averaging !== undefined && !(choices.averaging >= 0 && choices.averaging < 1))
    throw new LeadglassError(
      "LG-USAGE-001",
      `--averaging: a number from 0 to below 1 was expected, ${choices.averaging} was given`,
      { hint: "0.99 averages over about the last hundred steps; 0 keeps the last weights." },
    );
  if (bestOf === 1)
    throw new LeadglassError("LG-USAGE-001", "--best-of 1: a choice needs at least two states of the training", {
      hint: "Leave --best-of out to keep the last state.",
    });
  if (delta !== undefined && delta >= 1)
    throw new LeadglassError("LG-USAGE-001", `--delta: a number below 1 was expected, ${delta} was given`, {
      hint: "Choose delta well below one over the number of patients.",
    });
  if (delta !== undefined && epsilon === undefined)
    throw new LeadglassError("LG-USAGE-001", "--delta is given without --epsilon", {
      hint: "Give --epsilon to train privately, or leave --delta out.",
    });
  const privateOnly = {
    clipping: choices.clipping,
    sampling: choices.sampling,
    "batch-cap": choices.batchCap,
    relation: choices.relation,
  };
  for (const [name, value] of Object.entries(privateOnly))
    if (value !== undefined && epsilon === undefined)
      throw new LeadglassError("LG-USAGE-001", `--${name} is given without --epsilon`, {
        hint: `Give --epsilon to train privately, or leave --${name} out.`,
      });
  if (choices.batchCap !== undefined && choices.sampling !== "truncated-poisson")
    throw new LeadglassError("LG-USAGE-001", "--batch-cap is given without --sampling truncated-poisson", {
      hint: "Only truncated batches have a cap.",
    });
}

/** Throws LG-USAGE-001 for an option of images on volumes, and the other way round. */
function checkInput(
  { imageSize, window, spacing, volumeShape, about }: TrainingChoices,
  medium: Medium = "images",
): void {
  const foreign =
    medium === "volumes" ? { "image-size": imageSize } : { window, spacing, "volume-shape": volumeShape, about };
  for (const [name, value] of Object.entries(foreign))
    if (value !== undefined)
      throw new LeadglassError("LG-USAGE-001", `--${name} is given for a cohort of ${medium}`, {
        hint: medium === "volumes" ? "Volumes have --volume-shape, --spacing, --window and --about." : "Images have --image-size.", // prettier-ignore
      });
}

/** What is said of an architecture. Throws LG-USAGE-001 where there is none of this name for the medium. */
const aboutOf = (name: string, medium: Medium = "images"): string =>
  `${name}: ${(medium === "volumes" ? volumeArchitectureNamed(name) : architectureNamed(name)).about}`;

const optimiserOf = (name: string, learningRate: number): OptimiserSettings => {
  if (name === "sgd") return { name, learningRate, momentum: 0.9 };
  if (name === "adam" || name === "nadam") return { name, learningRate };
  if (name === "adamw") return { name, learningRate, weightDecay: 0.1 };
  throw new LeadglassError("LG-USAGE-001", `--optimizer ${name}: there is no such optimiser`, {
    hint: "Choose one of sgd, adam, adamw, nadam.",
  });
};

const averagingOf = ({ averaging }: TrainingChoices, otherwise: number | null): number | null =>
  averaging === undefined ? otherwise : averaging === 0 ? null : averaging;

/** How rows come to the model: images at its usual size, or at most `largest`, unless another is asked for. */
function formOf(
  choices: TrainingChoices,
  medium: Medium | undefined,
  architecture: string,
  largest = Infinity,
): Pick<ChosenSettings, "imageSize" | "volume"> {
  if (medium === "volumes") return { imageSize: null, volume: volumeInputOf(choices) };
  return { imageSize: choices.imageSize ?? Math.min(largest, architectureNamed(architecture).imageSize), volume: null };
}

/** Left and right look alike in most images, but the organs of a trunk have their sides: volumes are not mirrored. */
const volumeAugmentation: Augmentation = { shift: 0.06 };

function chooseOpen(choices: TrainingChoices, { images, medium }: CohortSize): ChosenSettings {
  const volumes = medium === "volumes";
  const architecture = choices.model ?? (volumes ? "tissue-cnn" : "texture-cnn");
  const about = aboutOf(architecture, medium);
  const form = formOf(choices, medium, architecture);
  const fixed = isComputedOnce(architecture, choices, medium);
  const batchSize = Math.min(choices.batch ?? 32, images);
  // About 900 steps on a thousand images, and fewer epochs where there are many images.
  const epochs = choices.epochs ?? Math.round(passesShare(architecture) * clamp(25_000 / images, 4, 60));
  const defaults: Record<string, { optimizer: string; rate: number }> = {
    texture: { optimizer: "adamw", rate: 2e-3 },
    tissue: { optimizer: "adamw", rate: 2e-3 },
    "texture-cnn": { optimizer: "adamw", rate: 2e-3 },
    "tissue-cnn": { optimizer: "adamw", rate: 1e-3 },
    resnet9: { optimizer: "nadam", rate: 2e-4 },
    vit: { optimizer: "adamw", rate: 5e-4 },
  };
  const preset = defaults[architecture] ?? { optimizer: "adamw", rate: 1e-3 };
  const optimizer = choices.optimizer ?? preset.optimizer;
  return {
    architecture,
    ...form,
    unit: choices.unit ?? "image",
    views: choices.views ?? 1,
    variants: fixed ? (volumes ? 1 : 2) : "random",
    augmentation: volumes
      ? volumeAugmentation
      : fixed
        ? { flipHorizontal: true }
        : { flipHorizontal: true, shift: 0.06, rotate: 8, scale: 0.08, intensity: 0.1 },
    ...plainPixels,
    mirror: !volumes,
    plan: null,
    noise: null,
    batchSize,
    epochs,
    loss: { kind: "binary", labelSmoothing: 0.05 },
    optimiser: optimiserOf(
      optimizer,
      choices.learningRate ?? (optimizer === preset.optimizer ? preset.rate : optimizer === "sgd" ? 0.05 : 1e-3),
    ),
    schedule: { kind: "cosine", warmupFraction: 0.05 },
    averaging: averagingOf(choices, 0.99),
    shrinkage: 1,
    reasons: [
      about,
      ...(form.volume ? [volumeText(form.volume)] : []),
      `${epochs} epochs of ${images} images in batches of ${batchSize}`,
    ],
  };
}

/** The slices of a volume are sixty images: half as many passes are enough work. */
const passesShare = (architecture: string): number => (architecture.startsWith("resnet25d") ? 0.5 : 1);

/** Share of the validation patients' epsilon that choosing among states of the training may take. */
const choiceShare = 0.25;

/** Share of the squared mu that counting labels may take; the training's noise grows by 2.6 % for it. */
const labelCountShare = 0.05;

function choosePrivate(
  choices: TrainingChoices,
  size: CohortSize,
  epsilon: number,
  insecureSeed: boolean,
): ChosenSettings {
  const { units, medium } = size;
  const volumes = medium === "volumes";
  const crops = size.framing?.framing === "finding";
  const architecture = choices.model ?? (volumes ? "tissue" : crops ? "rings" : "texture");
  const unit = unitOf(choices);
  const delta = choices.delta ?? defaultDelta(units);
  const clipNorm = choices.clipNorm ?? 1;
  const linear = isLinearOnFeatures(architecture);
  const fixed = isComputedOnce(architecture, choices, medium);
  const reasons = [aboutOf(architecture, medium)];
  const form = formOf(choices, medium, architecture, fixed ? Infinity : 96);
  if (form.volume) reasons.push(volumeText(form.volume));
  // What an image shows may only be known from the schema: a look at pixels or labels would cost privacy.
  if (choices.model === undefined && !volumes)
    reasons.push(
      crops
        ? `images are crops around one finding, as ${size.framing!.from} says, which is public: rings is the better private model for these; --model texture for the other`
        : "where images are crops of something round, such as masses, --model rings is the better private model; framing: finding in cohort.yaml chooses it",
    );
  // Small cohorts: every patient in every step, with few large steps. Large ones: a public expected batch size.
  const whole = choices.sampling === "full" || (choices.sampling === undefined && linear && units <= 20_000);
  const batch = Math.min(choices.batch ?? (whole ? units : Math.round(clamp(units / 4, 64, 2048))), units);
  if (choices.sampling === "full" && batch !== units)
    throw new LeadglassError("LG-USAGE-001", `--batch ${batch}: full batches hold all ${units} training ${unit}s`, {
      hint: "Leave --batch out, or choose another --sampling.",
    });
  const q = batch / units;
  const epochs = choices.epochs ?? (linear ? 100 : 60 * passesShare(architecture));
  const steps = Math.max(
    1,
    choices.sampling === "shuffle" ? epochs * Math.ceil(units / batch) : Math.round(epochs / q),
  );
  const sampling = samplingOf(choices, { batch, units, steps, delta });
  const target = { epsilon, delta };
  const relation = choices.relation === "replace" ? "replace-one" : "add-or-remove-one";
  const choice = (choices.bestOf ?? 1) > 1 && choices.validation !== "public" ? choiceShare * epsilon : null;
  const labelCounts = choices.positiveWeights ? labelCountNoise(target, relation) : null;
  const plan = planBeside(labelCounts, target, relation, (own) =>
    planPrivateTraining({
      target: own,
      unit,
      relation,
      sampling,
      clipping: { kind: choices.clipping ?? "flat", norm: clipNorm },
      steps,
      expectedBatchSize: batch,
      publicCohortSize: units,
      insecureSeed,
    }),
  );
  reasons.push(
    q === 1
      ? `every ${unit} in each of ${steps} steps: the least noise for its cost at this size`
      : `${steps} steps, each with ${drawnText(plan.sampling, batch)} of ${units} ${unit}s`,
    `noise ${plan.noiseMultiplier.toPrecision(4)} times the clipping norm ${clipNorm}, calibrated to epsilon ${epsilon} at delta ${delta}`,
  );
  if (plan.clipping.kind !== "flat") reasons.push(clippingText[plan.clipping.kind]);
  if (labelCounts !== null)
    reasons.push(
      `positives weighed by counts with noise ${labelCounts.toPrecision(4)}, within the same epsilon: the training's noise is about 3 % larger for it`,
    );
  if (choice !== null)
    reasons.push(
      `the best of ${choices.bestOf} states of the training, chosen by the validation patients with a noisy maximum of epsilon ${significant(choice)}`,
    );
  const optimizer = choices.optimizer ?? (linear ? "sgd" : "adamw");
  // How far a clipped linear model may travel before its noise outweighs what it learns (found by cross-validation).
  const travel = clamp(0.4 * gaussianMu(epsilon, delta) * units, 20, 2000);
  const rate =
    linear && optimizer === "sgd" ? travel / (10 * steps) / clipNorm : optimizer === "sgd" ? 0.5 / clipNorm : 1e-3;
  return {
    architecture,
    ...form,
    unit,
    // A constant: how many images a patient has is private. Eight hold four images and their mirror images.
    views: choices.views ?? (linear ? 8 : volumes ? 1 : 2),
    variants: fixed ? (volumes ? 1 : 2) : "random",
    augmentation: volumes ? volumeAugmentation : { flipHorizontal: true, ...(fixed ? {} : { shift: 0.06, rotate: 8 }) },
    ...plainPixels,
    mirror: !volumes,
    plan,
    // Epsilons add up, so that the two together stay within the target; the ledger composes them more tightly.
    noise: {
      ...{ labelCounts, choice },
      validation: noiseOfCells({ epsilon: epsilon - (choice ?? 0), delta }, relation),
    },
    batchSize: batch,
    epochs,
    loss: { kind: "binary" },
    optimiser: optimiserOf(optimizer, choices.learningRate ?? rate),
    schedule: { kind: linear ? "constant" : "cosine", warmupFraction: 0 },
    averaging: averagingOf(choices, linear ? null : 0.99),
    shrinkage: linear ? 1 / 3 : 1,
    reasons,
  };
}

/** The noise of counts that take their share of a target. */
function labelCountNoise({ epsilon, delta }: PrivacyTarget, relation: Relation): number {
  const noise = 1 / (gaussianMu(epsilon, delta) * Math.sqrt(labelCountShare));
  return relation === "replace-one" ? 2 * noise : noise;
}

/** The plan that stays within a target together with one release of noise `counts`, or alone where there is none. */
function planBeside(
  counts: number | null,
  target: PrivacyTarget,
  relation: Relation,
  plan: (target: PrivacyTarget) => DpPlan,
): DpPlan {
  if (counts === null) return plan(target);
  const { epsilon, delta } = target;
  const counting: Event = { kind: "poisson-gaussian", samplingProbability: 1, noiseMultiplier: counts, steps: 1 };
  // What is left to a Gaussian training; one that samples has another profile, and may have to give up a little more.
  let left = gaussianEpsilon(1 / (gaussianMu(epsilon, delta) * Math.sqrt(1 - labelCountShare)), delta);
  for (;;) {
    const made = plan({ epsilon: left, delta });
    const events = [eventOf(made, made.steps), counting];
    if (accountantNamed(bestAccountant(events)).epsilon(events, delta, relation).upper <= epsilon) return made;
    left *= 0.99;
  }
}

/** The sampling of a plan; full batches where every unit is in every step anyway. */
function samplingOf(
  { sampling, batchCap }: TrainingChoices,
  { batch, units, steps, delta }: { batch: number; units: number; steps: number; delta: number },
): SamplingOptions {
  switch (sampling) {
    case undefined:
      return { kind: batch === units ? "full" : "poisson" };
    case "truncated-poisson":
      return { kind: "truncated-poisson", cap: batchCap ?? Math.min(units, roomyCap(batch, delta / (1000 * steps))) };
    case "shuffle":
      return { kind: "shuffle", batchSize: batch, cohortSize: units };
    default:
      return { kind: sampling };
  }
}

/**
 * A cap that a draw of `batch` units on average exceeds with at most this probability, by Bernstein's inequality:
 * P(X >= batch + t) <= exp(-t^2 / (2 batch + 2 t / 3)). A cap that is met more often costs epsilon.
 */
function roomyCap(batch: number, probability: number): number {
  const exponent = -Math.log(probability);
  return Math.ceil(batch + exponent / 3 + Math.sqrt(exponent ** 2 / 9 + 2 * batch * exponent));
}

function drawnText(sampling: Sampling, batch: number): string {
  if (sampling.kind === "shuffle") return `the next ${batch} of a random order`;
  const cap = sampling.kind === "truncated-poisson" ? `, at most ${sampling.cap},` : "";
  return `about ${batch}${cap} drawn at random`;
}

const clippingText: Readonly<Record<Exclude<Clipping["kind"], "flat">, string>> = {
  "per-layer": "each layer is clipped by itself, to an equal part of the clipping norm",
  automatic: "every gradient is brought to nearly the clipping norm, small ones too",
  adaptive: "the clipping norm follows the median of the gradients' norms by a noisy count, which the noise pays for",
};

const significant = (x: number): string => String(Number(x.toPrecision(4)));

/** A power of ten at most a tenth of one over the number of units. */
export const defaultDelta = (units: number): number => 10 ** Math.floor(Math.log10(0.1 / units));
