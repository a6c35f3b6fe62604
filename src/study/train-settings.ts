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
