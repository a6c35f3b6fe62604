/** Synthetic images: what they are worth, and whom they give away. */
export {
  judgeSynthetic,
  type FeatureDifference,
  type FidelityRow,
  type JudgeRequest,
  type Judgement,
  type NearDuplicate,
  type SpaceMemorisation,
} from "./judge/judge.ts";
export { readNetwork, type Network } from "./judge/spaces.ts";
export { type ConsistencyArm } from "./judge/consistency.ts";
export { type Coverage } from "./judge/coverage.ts";
export { frechetDistance } from "./judge/frechet.ts";
export { memorisation, type MemorisationInput, type MemorisationReport } from "./judge/memorisation.ts";
export { type Figure } from "./judge/sample.ts";
/** Generators of synthetic images: train, privately or not, and draw. */
export { usualDistortion, type DistortionStrength } from "./distortion.ts";
export { ganLosses, type GanLoss } from "./losses.ts";
export { drawLatents, drawSamples, samplerGraph } from "./sampling.ts";
export { ganArchitectures, ganNamed, type GanChoices, type GanSettings } from "./settings.ts";
export { drawSpectral, spectralLength, spectralModel, spectralVector, type SpectralModel } from "./spectral.ts";
export { fakeGraph, generatorGraph, realGraph, type GanStepOptions } from "./steps.ts";
export { sheetRows, trainGan, type GanData, type GanProgress, type GanTrainingOptions } from "./train-gan.ts";
