export {
  type Accountant,
  type AccountantName,
  accountantNamed,
  bestAccountant,
  type DeltaInterval,
  type EpsilonInterval,
  pldAccountant,
  privacyProfile,
} from "./accountant.ts";
export { balancedAccuracy, type RateInterval, type TprAtFpr, tprAtFpr, tprBound } from "./audit/attack-rates.ts";
export {
  clopperPearson,
  type Interval,
  type ManyRunAudit,
  type ManyRunCounts,
  manyRunEpsilon,
} from "./audit/clopper-pearson.ts";
export { auditDrawnSplit, type DrawnSplitAudit } from "./audit/drawn-split.ts";
export { auditOneRun, declaredGuesses, type Guessing, type OneRunAudit, type ScoreOptions } from "./audit/guesses.ts";
export {
  type LiraOptions,
  liraScores,
  logitConfidence,
  type RmiaOptions,
  rmiaScores,
  type Shadow,
} from "./audit/membership.ts";
export {
  type AuditAssumption,
  type AuditOptions,
  type GuessCounts,
  oneRunEpsilon,
  oneRunPValue,
  refutesCurve,
} from "./audit/one-run.ts";
export { noiseOfCells, noisyCells } from "./cells.ts";
export { type AuditPower, auditPower, canariesNeeded, type PowerOptions } from "./audit/power.ts";
export { calibrateBatch, calibrateNoise, calibrateSteps, type PrivacyTarget } from "./calibration.ts";
export {
  type AdaptiveClipping,
  type Clipping,
  clippingKinds,
  type ClippingOptions,
  nextNorm,
  sensitivityOf,
  sumNoiseMultiplier,
} from "./clipping.ts";
export {
  type ApproximateEvent,
  type Event,
  type MixtureGaussianEvent,
  type PoissonGaussianEvent,
  type PureEvent,
  type Relation,
  type Repetitions,
  type SelectionEvent,
  type TruncatedPoissonGaussianEvent,
} from "./events.ts";
export { gaussianDelta, gaussianEpsilon, gaussianMu } from "./gaussian.ts";
export {
  appendEntries,
  appendEntry,
  canonicalJson,
  formatEntry,
  type LedgerBudget,
  type LedgerProblem,
  type LedgerRow,
  summariseLedger,
  verifyLedger,
} from "./ledger.ts";
export { budgetOf, costOfModel, lineageOf, type ModelCost } from "./ledger-costs.ts";
export {
  type Access,
  type BudgetEntry,
  type LedgerBody,
  type LedgerEntry,
  type LedgerKind,
  parseLedger,
} from "./ledger-entries.ts";
export {
  gaussianNoise,
  gaussianNoisePieces,
  type NoisePiece,
  noiseScale,
  type NoiseScale,
  noisyCount,
} from "./noise.ts";
export {
  type DpPlan,
  eventOf,
  expectedBatchSize,
  parsePlan,
  planPrivateTraining,
  type PlanOptions,
  type SamplingOptions,
  spent,
  type Unit,
} from "./plan.ts";
export { rdpOfStep, rdpOfStepReplacing, rdpOrders, rdpToDelta, rdpToEpsilon, type SubsampledGaussian } from "./rdp.ts";
export {
  expectedShare,
  poissonSample,
  sampleUnits,
  type Sampling,
  samplingEvent,
  samplingKinds,
  shuffledBatch,
} from "./sampling.ts";
export { patientEpsilon, type PatientCost } from "./patients.ts";
export { planSearch, type SearchPlan } from "./search.ts";
export { chooseBestOf, type ChoiceOptions, drawRepetitions, rdpOfSearch, sumOfUnitScores } from "./selection.ts";
export {
  attackerTerms,
  type AttackerTerms,
  type MembershipBound,
  type PrivacyProfile,
  type ReconstructionBound,
  type TradeOff,
  tradeOff,
  worstProfile,
} from "./tradeoff.ts";
