/** From a plan to steps: losses, optimisers, schedules, the loop, checkpoints. */
export {
  canaryParameter,
  plantCanaries,
  scoreCanaries,
  tossCanaries,
  withCanaryParameter,
  type Canaries,
  type Canary,
} from "./canaries.ts";
export { type BesideSettings } from "./beside.ts";
export { readCheckpoint, writeCheckpoint, type Checkpoint } from "./checkpoint.ts";
export { chooseViews, type ChosenViews, type RowRequest, type TrainingData } from "./data.ts";
export { startTeam, type EngineTeam } from "./engines.ts";
export { rowLosses, type Loss } from "./losses.ts";
export { completeSettings, optimisers, type OptimiserName, type OptimiserSettings } from "./optimisers.ts";
export { learningRateAt, type Schedule } from "./schedules.ts";
export { accumulateGraph, type GradientSum } from "./step.ts";
export { floatsOfUnit } from "./tile.ts";
export {
  stepsOf,
  train,
  type Batches,
  type TrainingOptions,
  type TrainingProgress,
  type TrainingResult,
  type TrainingSettings,
} from "./train.ts";
export { initialState, stateShapes, updateGraph, updateScalars, type UpdateOptions } from "./update.ts";
