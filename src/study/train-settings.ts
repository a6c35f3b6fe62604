import { secureRandom, seededRandom, type RandomSource } from "../math/random.ts";
import type { DpPlan } from "../privacy/index.ts";
import type { TrainingSettings } from "../training/index.ts";
import type { NobodysImages } from "./nobodys-images.ts";
import type { ChosenSettings } from "./settings.ts";

/** What the trainer is told of what was chosen. */
export function settingsOf(
  chosen: ChosenSettings,
  seed: string,
  reproducible: boolean,
  nobodys: Pick<NobodysImages, "use" | "weight"> | null = null,
): TrainingSettings {
  return {
    ...(nobodys?.use === "beside"
      ? { beside: { weight: nobodys.weight, batchSize: chosen.plan?.expectedBatchSize ?? chosen.batchSize } }
      : {}),
    batches: chosen.plan
      ? { kind: "private", plan: chosen.plan }
      : { kind: "shuffled", batchSize: chosen.batchSize, epochs: chosen.epochs },
    views: chosen.views,
    loss: chosen.loss,
    optimiser: chosen.optimiser,
    schedule: chosen.schedule,
    averaging: chosen.averaging,
    seed,
    reproducible,
  };
}

/** Whether anybody who knows the settings can repeat every draw. */
export const seedIsPublic = (settings: TrainingSettings): boolean =>
  settings.batches.kind === "private" ? settings.batches.plan.insecureSeed : settings.reproducible;

/** Coins that protect, unless the run is openly marked as one to be repeated. */
export const sourceFor = (plan: DpPlan, seed: string, purpose: string): RandomSource =>
  plan.insecureSeed ? seededRandom(seed, purpose) : secureRandom();
