/** Whole runs on whole cohorts, as the command line does them: train, evaluate, predict, export, demonstrate. */
export { setBudget, type BudgetSet } from "./budget.ts";
export { runDemo, type DemoOptions, type DemoReport } from "./demo.ts";
export { compareEncodings, type CompareReport, type CompareRequest, type ComparedArm } from "./compare-encodings.ts";
export {
  compareSynthetic,
  type CompareSyntheticReport,
  type CompareSyntheticRequest,
  type SyntheticArm,
} from "./compare-synthetic.ts";
export { encodeRun, type EncodeReport, type EncodeRequest } from "./encode-run.ts";
export { exportModel } from "./deploy.ts";
export { evaluateRun, predictRun, type EvaluateReport, type Prediction } from "./evaluate-run.ts";
export { judgeRun, type JudgeReport, type JudgeRunRequest } from "./judge-run.ts";
export {
  auditMembership,
  membershipAttacks,
  type AttackMetrics,
  type MembershipAttackName,
  type MembershipReport,
  type MembershipRequest,
} from "./membership.ts";
export { writeReport, type StudyReport } from "./report/write-report.ts";
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
export {
  evaluateReleases,
  predictRelease,
  readReleaseRun,
  trainReleases,
  type ReleaseEvaluateReport,
  type ReleasePrediction,
  type ReleaseTrainReport,
  type ReleaseTrainRequest,
} from "./release-run.ts";
export { chooseSettings, type ChosenSettings, type CohortSize, type TrainingChoices } from "./settings.ts";
export { type TrainReport } from "./train-report.ts";
export { trainRun, type TrainRequest } from "./train-run.ts";
export { abouts, defaultVolumeInput, type VolumeInput } from "./volume-input.ts";
