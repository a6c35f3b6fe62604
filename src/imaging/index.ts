/** Bytes to pixel arrays and back, resampling, normalisation, and random views. */
export { decodeImage, encodePng } from "./codec.ts";
export type { DecodeOptions } from "./codec.ts";
export { toPixels, toPlanes } from "./pixels.ts";
export type { PixelImage, Planes } from "./pixels.ts";
export { resize } from "./resize.ts";
export type { Fit, Kernel, ResizeOptions } from "./resize.ts";
export { normalise } from "./normalise.ts";
export type { Normalisation } from "./normalise.ts";
export { augment } from "./augment.ts";
export type { Augmentation, AugmentOptions } from "./augment.ts";
