import { LeadglassError } from "../errors.ts";
import { compactGan, mcgan, type GanArchitecture } from "../nn/index.ts";
import type { OptimiserSettings, TrainingSettings } from "../training/index.ts";
import type { DistortionStrength } from "./distortion.ts";
import type { GanLoss } from "./losses.ts";

/** The adversarial generators that `synth train --model` names. */
export const ganArchitectures: Readonly<Record<string, GanArchitecture>> = {
  compact: compactGan,
  mcgan: mcgan("batch"),
  "mcgan-instance": mcgan("instance"),
};

/** An adversarial architecture by name. Throws LG-USAGE-001, listing the names, where there is none. */
export function ganNamed(name: string): GanArchitecture {
  const found = Object.hasOwn(ganArchitectures, name) ? ganArchitectures[name] : undefined;
  if (found) return found;
  throw new LeadglassError("LG-USAGE-001", `--model ${name}: there is no such generator`, {
    hint: `Choose one of ${Object.keys(ganArchitectures).join(", ")}, spectral.`,
  });
}

/** What an adversarial training is told besides what any training is told; `optimiser` there is the discriminator's. */
export interface GanChoices {
  readonly imageSize: number;
  readonly classes: number;
  readonly lossName: GanLoss;
  /** The label of a real image: uniform in this range (one-sided smoothing; 1 and 1 for none). */
  readonly label: readonly [low: number, high: number];
  /** Weights of the squared slope at real and at generated images, taken in every `every`th step with `every` times the weight. */
  readonly slope: { readonly atReal: number; readonly atFake: number; readonly every: number };
  /** Weight of WGAN-GP's penalty. */
  readonly gradientPenalty: number;
  /** Deviation of the noise on all images at the start; it falls in a straight line to 0 at the end. */
  readonly instanceNoise: number;
  readonly distortion: DistortionStrength | null;
  readonly discriminatorSteps: number;
  /** Generated images of a step. */
  readonly fakes: number;
  readonly generatorOptimiser: OptimiserSettings;
}

export interface GanSettings extends TrainingSettings {
  readonly gan: GanChoices;
}
