/** Generators of synthetic images: train, privately or not, and draw. */
export { usualDistortion, type DistortionStrength } from "./distortion.ts";
export { ganLosses, type GanLoss } from "./losses.ts";
export { drawLatents, drawSamples, samplerGraph } from "./sampling.ts";
export { ganArchitectures, ganNamed, type GanChoices, type GanSettings } from "./settings.ts";
export { drawSpectral, spectralLength, spectralModel, spectralVector, type SpectralModel } from "./spectral.ts";
export { fakeGraph, generatorGraph, realGraph, type GanStepOptions } from "./steps.ts";
export { sheetRows, trainGan, type GanData, type GanProgress, type GanTrainingOptions } from "./train-gan.ts";
