/** What is wrong with a cohort, as values: `openCohort` throws the first that is an error, `checkCohort` lists all. */
import { createHash } from "node:crypto";
import { errorTable, LeadglassError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

export interface Problem {
  readonly code: ErrorCode;
  /** An `error` keeps the cohort from being used; a `warning` is for a person to judge. */
  readonly severity: "error" | "warning";
  /** The table and, where it applies, the data row or the column. Data rows count from 1 below the header. */
  readonly place: string;
  readonly message: string;
  readonly remedy: string;
  /** Data rows concerned, at most the first {@link MAX_ROWS}. */
  readonly rows?: readonly number[];
  readonly column?: string;
}

export const MAX_ROWS = 20;

/** The problem as the error that a program meets. */
export function problemError(problem: Problem, others = 0): LeadglassError {
  const more = others > 0 ? ` (and ${others} more; see cohort check)` : "";
  return new LeadglassError(problem.code, `${problem.place}: ${problem.message}${more}`, {
    hint: problem.remedy,
    fields: {
      title: errorTable[problem.code].title,
      ...(problem.rows === undefined ? {} : { rows: problem.rows }),
      ...(problem.column === undefined ? {} : { column: problem.column }),
    },
  });
}

/**
 * How a file is called in a message. A file name may be built from a medical record number, so by default it is shown
 * as the first six hex digits of its SHA-256: enough to find it in a folder (`printf %s NAME | sha256sum`), too few to
 * tell which of many possible numbers it was. The row number finds it faster.
 */
export function fileTag(file: string, showNames: boolean): string {
  // A folder is known by its name without the slash that marks it.
  const plain = file.replace(/\/$/, "");
  return showNames ? `"${plain}"` : `file #${createHash("sha256").update(plain).digest("hex").slice(0, 6)}`;
}

/** "data row 5", "data rows 5 and 9", "data rows 1, 2, 3 ... (40 in all)". */
export function rowsText(rows: readonly number[]): string {
  if (rows.length === 1) return `data row ${rows[0]}`;
  if (rows.length <= 3) return `data rows ${rows.slice(0, -1).join(", ")} and ${rows.at(-1)}`;
  return `data rows ${rows.slice(0, 3).join(", ")} ... (${rows.length} in all)`;
}
