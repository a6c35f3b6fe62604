export { findLeaks, lintRelease, releaseRules, smallestGroup, type Leak } from "./lint.ts";
export { manifestSchema, type ReleaseManifest } from "./manifest.ts";
export { openRelease, type Release, type ReleaseLabels } from "./read.ts";
export { startRelease, type ReleaseStart, type ReleaseWriter } from "./write.ts";
