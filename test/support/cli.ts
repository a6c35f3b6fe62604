import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const entry = join(import.meta.dirname, "../../src/cli/main.ts");

export interface Outcome {
  /** Exit code, or null where a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the command line as a process of its own, as a person's shell would, with no terminal attached. */
export function start(
  words: readonly string[],
  { cwd, env = {} }: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): { readonly child: ChildProcess; readonly outcome: Promise<Outcome> } {
  const { FORCE_COLOR: _color, ...inherited } = process.env;
  const child = spawn(process.execPath, [entry, ...words], { cwd, env: { ...inherited, ...env } });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (texts.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (texts.stderr += chunk.toString()));
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...texts }));
  });
  return { child, outcome };
}

export const leadglass = (words: readonly string[], options?: Parameters<typeof start>[1]): Promise<Outcome> =>
  start(words, options).outcome;

/** A folder for the tests of one file, removed after them. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "leadglass-cli-"));
  afterAll(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
