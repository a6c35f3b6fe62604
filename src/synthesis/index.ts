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
