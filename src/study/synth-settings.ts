import { LeadglassError } from "../errors.ts";
import { planPrivateTraining } from "../privacy/index.ts";
import { ganLosses, ganNamed, usualDistortion, type GanChoices, type GanLoss } from "../synthesis/index.ts";
import type { OptimiserSettings, TrainingSettings } from "../training/index.ts";
import { defaultDelta, type CohortSize, type TrainingChoices } from "./settings.ts";

/** What a generator is trained with; `gan` is null for the spectral one. */
export interface GeneratorSettings extends TrainingSettings {
  readonly gan: GanChoices | null;
}

export interface ChosenGenerator {
  readonly model: string;
  readonly imageSize: number;
  readonly unit: "patient" | "image";
  readonly settings: GeneratorSettings;
  readonly reasons: readonly string[];
}

/** Settings of arXiv 2407.12669's generator, and ours. */
const presets: Readonly<
  Record<
    string,
    {
      batch: number;
      epochs: number;
      /** Of the discriminator; the generator's is this share of it. */
      rate: number;
      generatorShare: number;
      decay: number | null;
      gan: Partial<GanChoices>;
    }
  >
> = {
  compact: {
    batch: 16,
    epochs: 40,
    rate: 5e-4,
    // At the discriminator's own rate the generator evades it before it has learnt what is amiss.
    generatorShare: 0.4,
    decay: 0.998,
    gan: { slope: { atReal: 0.05, atFake: 0, every: 4 }, distortion: usualDistortion },
  },
  // 3,000 epochs in the paper's code; its released weights are from epoch 1,400.
  mcgan: { batch: 8, epochs: 1400, rate: 1e-4, generatorShare: 1, decay: null, gan: { label: [0.7, 1.2] } },
  "mcgan-instance": { batch: 8, epochs: 1400, rate: 1e-4, generatorShare: 1, decay: null, gan: { label: [0.7, 1.2] } },
};

const plain: Omit<GanChoices, "imageSize" | "fakes" | "generatorOptimiser"> = {
  classes: 2,
  lossName: "bce",
  label: [1, 1],
  slope: { atReal: 0, atFake: 0, every: 1 },
  gradientPenalty: 10,
  instanceNoise: 0,
  distortion: null,
  discriminatorSteps: 1,
};

const wrong = (message: string, hint: string): LeadglassError => new LeadglassError("LG-USAGE-001", message, { hint });

/** What only adversarial generators can be told, by its option. */
const adversarial = (choices: TrainingChoices): readonly string[] =>
  Object.entries({
    loss: choices.loss,
    batch: choices.batch,
    epochs: choices.epochs,
    lr: choices.learningRate,
    views: choices.views,
    "clip-norm": choices.clipNorm,
    "discriminator-steps": choices.discriminatorSteps,
    "instance-noise": choices.instanceNoise,
  }).flatMap(([name, value]) => (value === undefined ? [] : [name]));

/**
 * Chooses the settings of a generator, with a sentence for what was chosen. Without --model: `spectral`, which is trained in
 * seconds and on masses lies nearer to real images than those of the paper's network; `compact` where something is asked for that only
 * adversarial training knows.
 * Throws LG-USAGE-001 for what cannot be, LG-PRIVACY-... where no noise meets the target.
 */
export function chooseGenerator(
  choices: TrainingChoices,
  { units, images }: CohortSize,
  { insecureSeed, seed, reproducible }: { insecureSeed: boolean; seed: string; reproducible: boolean },
): ChosenGenerator {
  const { epsilon } = choices;
  const asked = adversarial(choices);
  const model = choices.model ?? (asked.length > 0 ? "compact" : "spectral");
  const unit = choices.unit ?? (epsilon === undefined ? "image" : "patient");
  if (choices.loss !== undefined && !ganLosses.includes(choices.loss as GanLoss))
    throw wrong(`--loss ${choices.loss}: there is no such loss`, `Choose one of ${ganLosses.join(", ")}.`);
  const delta = choices.delta ?? defaultDelta(units);
  const common = { seed, reproducible, loss: { kind: "binary" }, schedule: { kind: "constant" } } as const;
  if (model === "spectral") {
    if (asked.length > 0)
      throw wrong(`--${asked[0]} is given for --model spectral, which takes no steps`, "Leave it out, or choose --model compact."); // prettier-ignore
    const plan = planPrivateTraining({
      // Without a target no noise is drawn; the plan then only says that everything is taken once.
      target: { epsilon: epsilon ?? 1, delta },
      unit,
      relation: "add-or-remove-one",
      sampling: { kind: "full" },
      clipping: { kind: "flat", norm: 1 },
      steps: 1,
      expectedBatchSize: units,
      publicCohortSize: units,
      insecureSeed,
    });
    return {
      model,
      imageSize: choices.imageSize ?? 128,
      unit,
      settings: {
        ...common,
        batches: epsilon === undefined ? { kind: "shuffled", batchSize: units, epochs: 1 } : { kind: "private", plan },
        views: 1,
        optimiser: { name: "sgd", learningRate: 1 },
        averaging: null,
        gan: null,
      },
      reasons: [
        "spectral: means and second moments of spectra in a basis of cosines, released once; no training. --model compact trains adversarial networks for about half an hour",
        ...(epsilon === undefined
          ? []
          : [
              `noise ${plan.noiseMultiplier.toPrecision(4)} times what one ${unit} may give, calibrated to epsilon ${epsilon} at delta ${delta}`,
            ]),
      ],
    };
  }
  const architecture = ganNamed(model);
  const preset = presets[model]!;
  const lossName = (choices.loss ?? preset.gan.lossName ?? "bce") as GanLoss;
  const isPrivate = epsilon !== undefined;
  if (isPrivate && lossName === "wgan-gp")
    throw wrong(
      "--loss wgan-gp: its penalty looks at points between real and generated images, which clipping does not cover",
      "Use bce or lsgan under --epsilon; slopes are then penalised at generated images, which costs nothing.",
    );
  if (isPrivate && model === "mcgan")
    throw wrong(
      "--model mcgan: BatchNorm mixes patients, so that this discriminator cannot be trained privately",
      "Choose --model mcgan-instance or compact; without --model the spectral generator is chosen.",
    );
  const imageSize = choices.imageSize ?? Math.max(...architecture.imageSizes);
  if (!architecture.imageSizes.includes(imageSize))
    throw wrong(`--image-size ${imageSize}: ${model} makes images of ${architecture.imageSizes.join(", ")} pixels`, "Choose one of these, or another --model."); // prettier-ignore
  const batch = Math.min(choices.batch ?? (isPrivate ? Math.min(64, Math.ceil(units / 4)) : preset.batch), units);
  const discriminatorSteps = choices.discriminatorSteps ?? (isPrivate ? 4 : lossName === "wgan-gp" ? 5 : 1);
  const epochs = choices.epochs ?? (isPrivate ? 100 : preset.epochs);
  const rate = choices.learningRate ?? preset.rate;
  const optimiser: OptimiserSettings = {
    name: "adam",
    learningRate: rate,
    beta1: lossName === "wgan-gp" ? 0 : 0.5,
    beta2: 0.999,
  };
  const plan = isPrivate
    ? planPrivateTraining({
        target: { epsilon, delta },
        unit,
        relation: "add-or-remove-one",
        sampling: { kind: batch === units ? "full" : "poisson" },
        clipping: { kind: "flat", norm: choices.clipNorm ?? 1 },
        steps: Math.max(1, Math.round((epochs * units) / batch)),
        expectedBatchSize: batch,
        publicCohortSize: units,
        insecureSeed,
      })
    : null;
  const gan: GanChoices = {
    ...plain,
    ...preset.gan,
    ...(isPrivate ? { slope: { atReal: 0, atFake: 1, every: 1 } } : {}),
    ...(lossName === "wgan-gp" ? { slope: plain.slope, label: [1, 1] as const } : {}),
    imageSize,
    lossName,
    instanceNoise: choices.instanceNoise ?? 0,
    discriminatorSteps,
    fakes: isPrivate ? 16 : batch,
    generatorOptimiser: { ...optimiser, learningRate: preset.generatorShare * rate },
  };
  const steps = plan ? plan.steps : epochs * Math.ceil((unit === "image" ? images : units) / batch);
  return {
    model,
    imageSize,
    unit,
    settings: {
      ...common,
      batches: plan ? { kind: "private", plan } : { kind: "shuffled", batchSize: batch, epochs },
      views: choices.views ?? (isPrivate ? 2 : 1),
      optimiser,
      averaging: preset.decay,
      gan,
    },
    reasons: [
      `${model}: ${architecture.about}`,
      `${steps} steps of the discriminator, one of the generator in every ${discriminatorSteps}`,
      ...(plan
        ? [
            `noise ${plan.noiseMultiplier.toPrecision(4)} times the clipping norm, on the gradient of real images only, calibrated to epsilon ${epsilon} at delta ${delta}`,
          ]
        : []),
    ],
  };
}
