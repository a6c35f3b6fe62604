/** What most programs need: a cohort, a private training on it, and what came of it. Parts are in `leadglass/privacy` and so on. */
export { checkCohort, makePhantomCohort, openCohort, type Cohort, type CohortCheck } from "./cohort/index.ts";
export { errorTable, isLeadglassError, LeadglassError, type ErrorCode } from "./errors.ts";
export { planPrivateTraining, spent, verifyLedger, type DpPlan, type PlanOptions } from "./privacy/index.ts";
export {
  evaluateRun,
  exportModel,
  predictRun,
  readFinishedRun,
  readLedger,
  readWeights,
  trainRun,
  type EvaluateReport,
  type Prediction,
  type TrainingChoices,
  type TrainReport,
  type TrainRequest,
} from "./study/index.ts";
