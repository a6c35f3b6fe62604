/** Ways of learning from real and synthetic images together, and their controls. */
import { planPrivateTraining } from "../privacy/index.ts";
import type { TrainingSettings } from "../training/index.ts";
import type { TrainingData } from "../training/data.ts";
import type { PreparedData } from "./rows.ts";
import { chooseSettings, type ChosenSettings, type CohortSize, type TrainingChoices } from "./settings.ts";
import { settingsOf } from "./train-settings.ts";

/** What becomes of images that are nobody's: left out, alone, one pool with the real ones, beside it, or before it. */
export type SyntheticUse = "none" | "alone" | "pool" | "beside" | "before";

export interface Strategy {
  readonly name: string;
  readonly about: string;
  readonly use: SyntheticUse;
  /** Images of noise with the same labels in place of the synthetic ones. */
  readonly noise?: true;
  /** Images as units, drawn into small batches as arXiv 2407.12669 does it; only under privacy. */
  readonly sampled?: true;
  /** With the noise and steps of the sampled training on real images alone, whatever that costs. */
  readonly matched?: true;
  /** The strategy that its AUROC is compared with. */
  readonly against?: string;
}

const realOnly = "real only";
const realSampled = "real only, sampled";

/** The table's rows, in its order. */
export const strategies: readonly Strategy[] = [
  { name: realOnly, use: "none", about: "patients as units, as train does it" },
  { name: "synthetic only", use: "alone", against: realOnly, about: "no real image" },
  { name: "one pool", use: "pool", against: realOnly, about: "synthetic images as further units of the same pool" },
  { name: "one pool, noise images", use: "pool", noise: true, against: realOnly, about: "control" },
  { name: "beside the pool", use: "beside", against: realOnly, about: "their exact gradient beside the private one" },
  { name: "beside the pool, noise images", use: "beside", noise: true, against: realOnly, about: "control" },
  { name: "pre-training", use: "before", against: realOnly, about: "on synthetic images, then on real ones" },
  { name: "pre-training, noise images", use: "before", noise: true, against: realOnly, about: "control" },
  { name: realSampled, use: "none", sampled: true, about: "images as units, batches of 128, as in the paper" },
  {
    name: "one pool, sampled",
    use: "pool",
    sampled: true,
    against: realSampled,
    about: "as in the paper: each draw is rarer, so the noise is less and the steps are more",
  },
  { name: "one pool, sampled, noise images", use: "pool", sampled: true, noise: true, against: realSampled, about: "control" }, // prettier-ignore
  {
    name: "one pool, sampled, equal noise and steps",
    use: "pool",
    sampled: true,
    matched: true,
    against: realSampled,
    about: "control: the noise and steps of real only, sampled",
  },
];

/** How the paper draws batches: its 128 of 1,104 images. Its 300 epochs are 30 here, at the rate of this model. */
const sampling: TrainingChoices = { unit: "image", batch: 128, sampling: "poisson", epochs: 30 };

/** What a strategy trains with, and on how many units. */
export interface PlannedStrategy {
  readonly chosen: ChosenSettings;
  readonly settings: TrainingSettings;
  readonly unit: "patient" | "image";
}

/**
 * The settings of one training of a strategy: those that `train` chooses for its pool and budget.
 * Throws as {@link chooseSettings}.
 */
export function planStrategy(
  strategy: Strategy,
  {
    choices,
    sizes,
    synthetic,
    weight,
    seed,
  }: {
    /** Model, and epsilon and delta where it is private. */
    readonly choices: TrainingChoices;
    /** Of the real training images, by unit. */
    readonly sizes: Readonly<Record<"patient" | "image", CohortSize>>;
    /** How many images are nobody's. */
    readonly synthetic: number;
    readonly weight: number;
    readonly seed: string;
  },
): PlannedStrategy {
  const isPrivate = choices.epsilon !== undefined;
  const asked: TrainingChoices = strategy.sampled ? { ...choices, ...sampling } : choices;
  const unit = asked.unit ?? (isPrivate ? "patient" : "image");
  const real = sizes[unit];
  const extra = strategy.use === "alone" || strategy.use === "pool" ? synthetic : 0;
  const own = strategy.use === "alone" ? { units: 0, images: 0 } : real;
  const size: CohortSize = { ...real, units: own.units + extra, images: own.images + extra };
  let chosen = chooseSettings(asked, size, true);
  if (strategy.matched) {
    const { plan, optimiser } = chooseSettings(asked, real, true);
    const matched = planPrivateTraining({
      ...{ noiseMultiplier: plan!.noiseMultiplier, delta: plan!.delta, unit, relation: plan!.relation },
      ...{ steps: plan!.steps, expectedBatchSize: plan!.expectedBatchSize!, publicCohortSize: size.units },
      ...{ sampling: { kind: "poisson" } as const, clipping: { kind: "flat", norm: 1 } as const, insecureSeed: true },
    });
    chosen = { ...chosen, plan: matched, optimiser };
  }
  // Units of one image have no more views than there are fixed variants: the rest would be padding.
  const single = strategy.use === "alone" || unit === "image";
  const views = single && chosen.variants !== "random" ? Math.min(chosen.views, chosen.variants) : chosen.views;
  const settings = { ...settingsOf(chosen, seed, true), views };
  const beside = { weight, batchSize: chosen.plan?.expectedBatchSize ?? chosen.batchSize };
  return { chosen, settings: strategy.use === "beside" ? { ...settings, beside } : settings, unit };
}

/** Two sets of rows of one kind as one pool: the second's images are numbered after the first's. */
export function pooled(first: TrainingData, second: TrainingData): TrainingData {
  const offset = first.targets.length / first.outputs;
  const join = (a: Float32Array, b: Float32Array): Float32Array => {
    const both = new Float32Array(a.length + b.length);
    both.set(a);
    both.set(b, a.length);
    return both;
  };
  return {
    ...first,
    units: [...first.units, ...second.units.map((images) => images.map((i) => i + offset))],
    targets: join(first.targets, second.targets),
    known: join(first.known, second.known),
    load: async (requests, out) => {
      const size = out.length / requests.length;
      for (const { of, data, from } of [
        { of: (image: number) => image < offset, data: first, from: 0 },
        { of: (image: number) => image >= offset, data: second, from: offset },
      ]) {
        const places = requests.flatMap(({ image }, i) => (of(image) ? [i] : []));
        if (places.length === 0) continue;
        const rows = new Float32Array(places.length * size);
        await data.load(
          places.map((i) => ({ ...requests[i]!, image: requests[i]!.image - from })),
          rows,
        );
        places.forEach((place, i) => out.set(rows.subarray(i * size, (i + 1) * size), place * size));
      }
    },
  };
}

/** The same for rows with their model. */
export const pooledRows = (first: PreparedData, second: PreparedData): PreparedData => ({
  data: pooled(first.data, second.data),
  modelFor: first.modelFor,
});
