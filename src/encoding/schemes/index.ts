export * from "./scheme.ts";
export * from "./graph.ts";
export { calibrationInputs, drawWeights, type Affine, type EncoderWeights, type LayerStatistics } from "./weights.ts";
