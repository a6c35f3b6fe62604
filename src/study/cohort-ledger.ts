/** The ledger of a cohort as a file: one for each fingerprint, so that all runs on the same patients add up in it. */
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, resolve, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import {
  appendEntries,
  formatEntry,
  parseLedger,
  verifyLedger,
  type LedgerBody,
  type LedgerEntry,
} from "../privacy/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";

/** The file of a cohort's ledger. The name is a part of the fingerprint; the whole stands in every entry. */
export const ledgerPath = (folder: string, cohortFingerprint: string): string =>
  join(folder, `${cohortFingerprint.slice(0, 16)}.jsonl`);

/** The folder of ledgers that was asked for, or that the environment's LEADGLASS_LEDGERS names. */
const namedFolder = (asked: string | undefined): string | undefined => {
  const folder = asked ?? (process.env["LEADGLASS_LEDGERS"] || undefined);
  return folder === undefined ? undefined : resolve(folder);
};

/** `ledgers` beside a run, and in the folders above as far as the working folder. */
function foldersFor(out: string): string[] {
  const top = process.cwd();
  const folders = [dirname(resolve(out))];
  while (folders.at(-1)!.startsWith(join(top, sep))) folders.push(dirname(folders.at(-1)!));
  return folders.map((folder) => join(folder, "ledgers"));
}

/**
 * The ledger of a cohort for a run in `out`: in the folder that is named; or else the nearest that exists in a folder
 * `ledgers` beside the run or above it, up to the working folder, so that runs in several folders can share one; or else a
 * new one beside the run.
 */
export async function ledgerForRun(
  cohortFingerprint: string,
  { out, ledger }: { readonly out: string; readonly ledger?: string },
): Promise<string> {
  const named = namedFolder(ledger);
  if (named !== undefined) return ledgerPath(named, cohortFingerprint);
  const places = foldersFor(out).map((folder) => ledgerPath(folder, cohortFingerprint));
  for (const place of places) if (await isThere(place)) return place;
  return places[0]!;
}

/**
 * The ledger of a cohort where no run is at hand: in the folder that is named; or else the one that exists in `ledgers`
 * here or in a folder right here; or else a new one here.
 * Throws LG-USAGE-001 where there are several: a budget in the wrong one would bind nobody.
 */
export async function ledgerOfCohort(
  cohortFingerprint: string,
  { from, ledger }: { readonly from: string; readonly ledger?: string },
): Promise<string> {
  const named = namedFolder(ledger);
  if (named !== undefined) return ledgerPath(named, cohortFingerprint);
  const here = resolve(from);
  const items = await readdir(here, { withFileTypes: true });
  const below = items.filter((item) => item.isDirectory()).map((item) => join(here, item.name));
  const places = [here, ...below].map((folder) => ledgerPath(join(folder, "ledgers"), cohortFingerprint));
  const found: string[] = [];
  for (const place of places) if (await isThere(place)) found.push(place);
  if (found.length > 1)
    throw new LeadglassError("LG-USAGE-001", `--ledger: this cohort has ${found.length} ledgers: ${found.join(", ")}`, {
      hint: "Name the folder of the one that is meant.",
    });
  return found[0] ?? places[0]!;
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The text of a file; undefined where there is none. */
export const textOf = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });

/** The refusal of a ledger, or of a run that does not agree with its ledger. */
export const changed = (message: string, hint: string, cause?: unknown): LeadglassError =>
  new LeadglassError("LG-PRIVACY-008", message, { hint, ...(cause === undefined ? {} : { cause }) });

/**
 * Reads and verifies a ledger file; undefined where there is none.
 * Throws LG-PRIVACY-008 where it is not whole.
 */
export async function readLedgerFile(path: string): Promise<LedgerEntry[] | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  const { entries, problems } = await checkedLedger(text);
  const problem = problems[0];
  if (problem === undefined) return entries;
  throw changed(
    `${path}, entry ${problem.index}: ${problem.message}`,
    "Restore the ledger from a backup, or from the ledger.jsonl of the last run on this cohort.",
  );
}

/** The entries of a ledger's text with everything that is wrong with them; unreadable lines are problems too. */
export async function checkedLedger(
  text: string,
): Promise<{ entries: LedgerEntry[] } & Awaited<ReturnType<typeof verifyLedger>>> {
  try {
    const entries = parseLedger(text);
    return { entries, ...(await verifyLedger(entries)) };
  } catch (error) {
    if (!isLeadglassError(error) || error.code !== "LG-PRIVACY-006") throw error;
    const line = Number(error.fields["line"]);
    const readable = parseLedger(
      text
        .split("\n")
        .slice(0, line - 1)
        .map((row) => `${row}\n`)
        .join(""),
    );
    return { entries: readable, valid: false, problems: [{ index: line - 1, message: error.message }] };
  }
}

/**
 * Appends entries to a cohort's ledger, all or none, on the disk before it returns; `make` is given the ledger as it
 * stands while nobody else can write to it. Returns the whole ledger.
 * Throws LG-PRIVACY-002 past the budget, LG-PRIVACY-008 for a ledger that is not whole, LG-PRIVACY-011 where another
 * process keeps it.
 */
export async function appendToCohortLedger(
  path: string,
  make: (entries: readonly LedgerEntry[]) => readonly LedgerBody[] | Promise<readonly LedgerBody[]>,
): Promise<LedgerEntry[]> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  await using _lock = await lockFile(`${path}.lock`);
  const before = (await readLedgerFile(path)) ?? [];
  const all = await appendEntries(before, await make(before));
  if (all.length > before.length) await writeLedgerFile(path, all);
  return all;
}

/** Writes a ledger file and sees to it that it is on the disk, name and all. */
export async function writeLedgerFile(path: string, entries: readonly LedgerEntry[]): Promise<void> {
  await writeAtomically(path, entries.map(formatEntry).join(""));
  const folder = await open(dirname(path));
  try {
    await folder.sync();
  } catch (error) {
    // Some file systems cannot do this for a folder; the file itself is safe then.
    if (!["EINVAL", "EPERM", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  } finally {
    await folder.close();
  }
}

/** How long to wait for another process; an append takes milliseconds. */
const patience = 30_000;
/** A lock without a name in it is given up after this long: its process died between two system calls. */
const nameless = 10_000;

/** Takes a lock file that only one process can hold. One whose process on this machine is gone is taken over. */
async function lockFile(path: string): Promise<AsyncDisposable> {
  const until = Date.now() + patience;
  for (;;) {
    if (await createdAlone(path)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    if (Date.now() > until)
      throw new LeadglassError("LG-PRIVACY-011", `${path}: another process has kept this ledger for half a minute`, {
        hint: `Wait for it to end. If none is running, on this machine or another, remove this file, and ${path}.break.`,
      });
    if (await isAbandoned(path)) await takeAway(path);
    else await sleep(20);
  }
}

async function createdAlone(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const text = await textOf(path);
  if (text === undefined) return false;
  let holder: { pid?: unknown; host?: unknown };
  try {
    holder = JSON.parse(text) as typeof holder;
  } catch {
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
    return Date.now() - mtimeMs > nameless;
  }
  if (holder.host !== hostname() || typeof holder.pid !== "number") return false;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Removes an abandoned lock. Only one process does so at a time, and looks again first: the lock may be another's by now. */
async function takeAway(path: string): Promise<void> {
  const guard = `${path}.break`;
  if (!(await createdAlone(guard))) return sleep(20);
  try {
    if (await isAbandoned(path)) await rm(path, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}
