/** What is printed, and with which exit code, when something goes wrong. */
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { styled } from "./output.ts";

/** Any error as one of ours: what is none is a bug, and its text stays short. */
function asOurs(error: unknown): LeadglassError {
  if (isLeadglassError(error)) return error;
  const { code, message, path } = (error ?? {}) as { code?: string; message?: string; path?: string };
  const what = typeof message === "string" ? message.split("\n")[0]!.slice(0, 200) : `a thrown ${typeof error}`;
  const systemHint = code !== undefined && systemHints[code];
  if (systemHint) return new LeadglassError("LG-USAGE-003", what, { hint: systemHint, cause: error });
  // A path may be an image's, and its name a record number: it is told only under LEADGLASS_DEBUG.
  return new LeadglassError("LG-BUG-001", `an unexpected error: ${path === undefined ? what : (code ?? "of a file")}`, {
    hint: "Please report it with the output of the same command under LEADGLASS_DEBUG=1.",
    cause: error,
  });
}

/** What the system refused, which no program of ours can mend. */
const systemHints: Readonly<Record<string, string>> = {
  EACCES: "Give yourself the right to this file or folder, or name another.",
  EPERM: "Give yourself the right to this file or folder, or name another.",
  EROFS: "This place is read-only: name another for what is written.",
  ENOSPC: "The disk is full: make room, or name another place.",
  EISDIR: "A folder is where a file was expected.",
  ENOTDIR: "A file is where a folder was expected.",
  EMFILE: "Too many files are open: raise the limit (ulimit -n).",
};

/**
 * Prints an error, as JSON on standard output where JSON was asked for and as two lines on standard error otherwise, and
 * returns the exit code. The stack is shown only under LEADGLASS_DEBUG=1.
 */
export function reportFailure(error: unknown, { json }: { json: boolean }): number {
  const ours = asOurs(error);
  const { code, message, hint } = ours;
  if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, hint: hint ?? null } }, null, 2)}\n`);
  else {
    process.stderr.write(`${styled("red", code, process.stderr)}  ${message}\n`);
    if (hint !== undefined) process.stderr.write(`${" ".repeat(code.length)}  ${hint}\n`);
  }
  if (process.env["LEADGLASS_DEBUG"] === "1") console.error(error);
  return ours.exitCode;
}
