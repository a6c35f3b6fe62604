export { gradientRules, gradients, pullBack } from "./gradients.ts";
export { sumTo, type GradientRule } from "./rule.ts";
export { unitAxes, type UnitAxis } from "./units/axis.ts";
export { type UnitLayout } from "./units/contributions.ts";
export { unitGradients, type UnitGradients } from "./units/gradients.ts";
export { clipAutomatic, clipFlat, clipPerLayer, type ClippedSums } from "./units/clip.ts";
