/**
 * Every error that leaves Leadglass is a {@link LeadglassError}: a stable code from {@link errorTable}, a message that
 * says where, what was got and what was expected, and a hint that says what to do.
 * A message never carries a patient's value: only a column, a row number, a length, a hash.
 */

interface ErrorEntry {
  /** What went wrong, in general; shown by `docs` and used where no better title exists. */
  readonly title: string;
  /** Exit code of the command line: 2 usage, 3 bad input data, 4 privacy refused, 5 interrupted, 70 a bug of ours. */
  readonly exitCode: 2 | 3 | 4 | 5 | 70;
  readonly httpStatus: number;
}

const entry = (exitCode: ErrorEntry["exitCode"], httpStatus: number, title: string): ErrorEntry => ({
  title,
  exitCode,
  httpStatus,
});

/** The stable error codes. Codes are never reused or renumbered. */
export const errorTable = {
  // graph: construction and decoding
  "LG-GRAPH-001": entry(70, 500, "operands have shapes that do not fit"),
  "LG-GRAPH-002": entry(70, 500, "operands have element types that do not fit"),
  "LG-GRAPH-003": entry(3, 422, "an operator is not supported"),
  "LG-GRAPH-004": entry(3, 422, "bytes are not a readable ONNX model"),
  "LG-GRAPH-005": entry(70, 500, "a graph is malformed"),
  // autodiff
  "LG-AUTODIFF-001": entry(3, 422, "no gradient rule for an operator"),
  "LG-AUTODIFF-002": entry(4, 422, "an operator mixes privacy units"),
  "LG-AUTODIFF-003": entry(3, 422, "a trainable parameter is not reached by the loss"),
  // runtime
  "LG-RUNTIME-001": entry(2, 400, "the device is not available"),
  "LG-RUNTIME-002": entry(70, 500, "the runtime refused a graph or a feed"),
  "LG-RUNTIME-003": entry(3, 422, "bytes are not a readable safetensors file"),
  "LG-RUNTIME-004": entry(5, 499, "the work was cancelled"),
  // imaging
  "LG-IMAGE-001": entry(3, 422, "bytes are not a whole, valid PNG or JPEG file"),
  "LG-IMAGE-002": entry(3, 422, "an image has too many pixels"),
  "LG-IMAGE-003": entry(3, 422, "a colour space is not supported"),
  "LG-IMAGE-004": entry(3, 422, "an alpha channel hides pixels"),
  "LG-IMAGE-005": entry(70, 500, "pixels and their description disagree"),
  "LG-IMAGE-006": entry(2, 400, "a size to resample to is not usable"),
  "LG-IMAGE-007": entry(2, 400, "normalisation constants are not usable"),
  "LG-IMAGE-008": entry(2, 400, "an augmentation is not usable"),
  "LG-IMAGE-009": entry(3, 422, "bytes are not a whole, valid NIfTI file"),
  "LG-IMAGE-010": entry(3, 422, "a NIfTI file holds what is not read"),
  "LG-IMAGE-011": entry(2, 400, "a volume cannot be windowed, resampled, cropped or written as asked"),
  "LG-IMAGE-014": entry(3, 422, "bytes are not a whole, valid DICOM file"),
  "LG-IMAGE-015": entry(3, 422, "a DICOM file, or a series of them, holds what is not read"),
  // cohort
  "LG-COHORT-001": entry(3, 422, "a folder holds no metadata table"),
  "LG-COHORT-002": entry(3, 422, "a metadata table cannot be read"),
  "LG-COHORT-003": entry(3, 422, "cohort.yaml is not valid"),
  "LG-COHORT-004": entry(3, 422, "a column is missing"),
  "LG-COHORT-005": entry(3, 422, "a file name is blank or leads out of the folder"),
  "LG-COHORT-006": entry(3, 422, "a file is named by more than one row"),
  "LG-COHORT-007": entry(3, 422, "an image is missing"),
  "LG-COHORT-008": entry(3, 422, "a patient identifier is blank"),
  "LG-COHORT-009": entry(3, 422, "a patient is in more than one split"),
  "LG-COHORT-010": entry(3, 422, "a split name is blank"),
  "LG-COHORT-011": entry(3, 422, "a split is empty"),
  "LG-COHORT-012": entry(3, 422, "a label is not 0, 1 or blank"),
  "LG-COHORT-013": entry(3, 422, "a target has only one class"),
  "LG-COHORT-014": entry(3, 422, "the output folder exists"),
  "LG-COHORT-015": entry(2, 400, "a phantom cohort cannot be made as asked"),
  "LG-COHORT-016": entry(3, 422, "no patient column: each image is taken for a patient"),
  "LG-COHORT-017": entry(3, 422, "no split column: patients are split by a seed"),
  "LG-COHORT-018": entry(3, 422, "an image file has no row"),
  "LG-COHORT-019": entry(3, 422, "identical images"),
  "LG-COHORT-020": entry(3, 422, "an image holds one constant value"),
  "LG-COHORT-021": entry(3, 422, "an age or sex is not readable"),
  "LG-COHORT-022": entry(3, 422, "two cohorts share patients"),
  "LG-COHORT-023": entry(3, 422, "images and volumes in one cohort"),
  "LG-COHORT-024": entry(3, 422, "a cohort of images where volumes are needed, or the other way round"),
  "LG-COHORT-025": entry(3, 422, "DICOM files carry what identifies patients"),
  "LG-COHORT-026": entry(3, 422, "text may be burned into pixels"),
  // evaluation
  "LG-EVAL-001": entry(3, 422, "scores, labels, patients or groups do not describe the same rows"),
  "LG-EVAL-002": entry(3, 422, "a score, label or weight cannot be evaluated"),
  "LG-EVAL-003": entry(3, 422, "a metric cannot be computed from these scores and options"),
  "LG-EVAL-004": entry(3, 422, "a class is absent"),
  "LG-EVAL-005": entry(3, 422, "a grouping cannot be evaluated"),
  "LG-EVAL-006": entry(3, 422, "a chart cannot be drawn from these values"),
  // privacy
  "LG-PRIVACY-001": entry(2, 400, "a privacy parameter is impossible"),
  "LG-PRIVACY-002": entry(4, 403, "the privacy budget is spent"),
  "LG-PRIVACY-003": entry(4, 422, "no amount of noise or no number of steps meets the target"),
  "LG-PRIVACY-004": entry(2, 400, "an accountant is unknown or does not cover this case"),
  "LG-PRIVACY-005": entry(4, 422, "a privacy plan contradicts itself"),
  "LG-PRIVACY-006": entry(3, 422, "bytes are not a readable plan or ledger"),
  "LG-PRIVACY-007": entry(4, 403, "private training needs a cryptographic generator"),
  "LG-PRIVACY-008": entry(4, 409, "the ledger was changed"),
  "LG-PRIVACY-009": entry(4, 501, "the platform has no cryptographic generator or hash"),
  "LG-PRIVACY-010": entry(3, 422, "an epsilon with which nothing can be learned"),
  "LG-PRIVACY-011": entry(4, 423, "another process keeps the ledger"),
  // training
  "LG-TRAIN-001": entry(3, 422, "training diverged"),
  "LG-TRAIN-002": entry(3, 422, "a run folder cannot be used"),
  "LG-TRAIN-003": entry(2, 400, "a training setting is impossible"),
  // private encodings
  "LG-ENCODE-001": entry(3, 422, "bytes are not a readable key"),
  "LG-ENCODE-002": entry(4, 403, "a key can be found by trying"),
  "LG-ENCODE-003": entry(3, 422, "a release cannot be read"),
  "LG-ENCODE-004": entry(4, 422, "a release would give away more than encodings"),
  "LG-ENCODE-005": entry(3, 422, "releases do not fit together"),
  "LG-ENCODE-006": entry(2, 400, "an encoding setting is impossible"),
  // studies
  "LG-STUDY-001": entry(3, 422, "a folder is not that of a finished study"),
  // attacks and challenges
  "LG-ATTACK-001": entry(3, 422, "a challenge, its answers or a submission do not fit together"),
  // command line
  "LG-USAGE-001": entry(2, 400, "an option is missing or wrong"),
  "LG-USAGE-002": entry(2, 400, "an unknown command"),
  "LG-USAGE-003": entry(2, 400, "the system refuses a file or folder"),
  "LG-USAGE-004": entry(2, 400, "a study file is not valid"),
  "LG-INTERRUPTED-001": entry(5, 499, "interrupted; the run can be resumed"),
  "LG-BUG-001": entry(70, 500, "an internal invariant does not hold"),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorDetails {
  /** What the reader can do about it. */
  readonly hint?: string;
  /** Typed particulars for programs: a path, a row number, a count. Never a patient's value. */
  readonly fields?: Readonly<Record<string, string | number | boolean | readonly number[] | readonly string[]>>;
  readonly cause?: unknown;
}

const tag = Symbol.for("leadglass.error");

export class LeadglassError extends Error {
  readonly [tag] = true;
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly fields: NonNullable<ErrorDetails["fields"]>;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "LeadglassError";
    this.code = code;
    this.hint = details.hint;
    this.fields = details.fields ?? {};
  }

  get exitCode(): number {
    return errorTable[this.code].exitCode;
  }

  get httpStatus(): number {
    return errorTable[this.code].httpStatus;
  }
}

/** True for errors of ours, also across realms and duplicated packages. */
export function isLeadglassError(error: unknown): error is LeadglassError {
  return typeof error === "object" && error !== null && tag in error;
}
