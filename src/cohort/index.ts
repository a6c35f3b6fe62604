/** Images, labels, attributes, patients and splits; phantoms. */
export { openCohort, requireBothClasses } from "./cohort.ts";
export type { Cohort, CohortOptions, PatientImages } from "./cohort.ts";
export type { CohortRecord } from "./inspect.ts";
export { parseTarget } from "./targets.ts";
export type { Target, TargetSpec } from "./targets.ts";
export { openImages } from "./images.ts";
export type { ImageStore, ImageStoreOptions } from "./images.ts";
export { checkCohort } from "./check.ts";
export type { CheckCount, CheckOptions, CohortCheck } from "./check.ts";
export { cohortOverlap, type CohortOverlap } from "./overlap.ts";
export { problemError } from "./problems.ts";
export type { Problem } from "./problems.ts";
export { ageBand, ageColumn, ageYearsOf, sexColumn, sexOf } from "./demographics.ts";
export { writeCohort } from "./write.ts";
export type { Cell, CohortItem } from "./write.ts";
export type { Manifest, TargetRule } from "./manifest.ts";
export { makePhantomCohort, phantomKinds } from "./phantoms/make.ts";
export type { PhantomCohortOptions, PhantomKindName } from "./phantoms/make.ts";
