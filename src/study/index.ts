/** Whole runs on whole cohorts, as the command line does them: train, evaluate, predict, export, demonstrate. */
export { setBudget, type BudgetSet } from "./budget.ts";
export { runDemo, type DemoArm, type DemoOptions, type DemoReport } from "./demo.ts";
export { exportModel } from "./deploy.ts";
export { evaluateRun, predictRun, type EvaluateReport, type Prediction } from "./evaluate-run.ts";
export {
  auditMembership,
  membershipAttacks,
  type AttackMetrics,
  type MembershipAttackName,
  type MembershipReport,
  type MembershipRequest,
} from "./membership.ts";
export {
  readFinishedRun,
  readLedger,
  readRun,
  readWeights,
  runFiles,
  type RunLedger,
  type RunRecord,
  type RunResult,
  type RunStart,
} from "./run-folder.ts";
export { chooseSettings, type ChosenSettings, type CohortSize, type TrainingChoices } from "./settings.ts";
export { trainRun, type TrainReport, type TrainRequest } from "./train-run.ts";
export { abouts, defaultVolumeInput, type VolumeInput } from "./volume-input.ts";
