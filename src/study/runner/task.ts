/** Work of a study as a graph of tasks that are named by their content, so that nothing is done twice. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { writeAtomically } from "../../training/checkpoint.ts";

/** Raised when what tasks make changes, so that results of older code are made anew. */
const format = 1;

export interface TaskContext {
  /** The task's own folder, relative to nothing; there already where an earlier attempt was interrupted. */
  readonly folder: string;
  /** Where every cohort's ledger of this study lies. */
  readonly ledgers: string;
  /** A task that takes it looks after interrupts itself; any other ends at its next word of progress. */
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (stage: string, done: number, total: number) => void;
  readonly onNote: (line: string) => void;
  /** What another task, one of `needs`, came to. */
  readonly outputOf: <T>(task: Task<T>) => T;
  /** The folder of another task. */
  readonly folderOf: (task: Task) => string;
}

/** One piece of work. `Output` is kept as JSON; files go into the task's folder. */
// The parameter is invariant in `run` only through its result, so a list of tasks is a list of Task<unknown>.
export interface Task<Output = unknown> {
  readonly kind: string;
  /** For people. */
  readonly name: string;
  /** Everything that its result depends on, beside what it needs. */
  readonly settings: unknown;
  readonly needs: readonly Task[];
  readonly run: (context: TaskContext) => Promise<Output>;
}

/** Hash of a task's settings and of all that it needs. */
export function taskKey(task: Task): string {
  const known = keys.get(task);
  if (known !== undefined) return known;
  const text = JSON.stringify([format, task.kind, task.settings, task.needs.map(taskKey)]);
  const key = createHash("sha256").update(text).digest("hex");
  keys.set(task, key);
  return key;
}
const keys = new WeakMap<Task, string>();

export type Outcome =
  | { readonly state: "done"; readonly output: unknown; readonly seconds: number; readonly reused: boolean }
  | { readonly state: "failed"; readonly error: LeadglassError }
  /** One of those that it needs failed. */
  | { readonly state: "waiting"; readonly because: LeadglassError };

export interface TaskCounts {
  readonly done: number;
  readonly reused: number;
  readonly failed: number;
  readonly waiting: number;
}

export interface RunTasksOptions {
  /** The study's folder. */
  readonly out: string;
  readonly ledgers: string;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  /** Seconds of work done and, as far as can be told, in all; with what is being done. */
  readonly onProgress?: (done: number, total: number, doing: string) => void;
}

const markFile = "done.json";

/** The folder of a task in a study's. */
export const taskFolder = (out: string, task: Task): string => join(out, "work", `${task.kind}-${taskKey(task).slice(0, 16)}`); // prettier-ignore

/**
 * Does every task once, each after those that it needs. A task's graphs use all cores by themselves, so that one runs at a
 * time, and the most memory that any single task takes bounds that of the study. What was done before, by the same content,
 * is taken as it is. A task that fails leaves those that need it waiting, and the others go on.
 * Throws LG-RUNTIME-004 and LG-INTERRUPTED-001 when cancelled; what is no error of ours is thrown on.
 */
export async function runTasks(
  tasks: readonly Task[],
  options: RunTasksOptions,
): Promise<{ outcomes: ReadonlyMap<Task, Outcome>; counts: TaskCounts }> {
  const { ledgers, signal, onNote = () => {}, onProgress = () => {} } = options;
  const out = resolve(options.out);
  const order = inOrder(tasks);
  const outcomes = new Map<Task, Outcome>();
  const byKey = new Map<string, Outcome>();
  const clock = expectedSeconds();
  for (const [at, task] of order.entries()) {
    const same = byKey.get(taskKey(task));
    const failed = task.needs.map((need) => outcomes.get(need)!).find((o) => o.state !== "done");
    let outcome: Outcome;
    if (same) outcome = same;
    else if (failed)
      outcome = { state: "waiting", because: failed.state === "failed" ? failed.error : (failed as { because: LeadglassError }).because }; // prettier-ignore
    else {
      const folder = taskFolder(out, task);
      const before = await readMark(out, task);
      if (before) outcome = { state: "done", ...before, reused: true };
      else {
        const rest = order.slice(at + 1).filter((t) => !byKey.has(taskKey(t)));
        const started = performance.now();
        const tell = (doing: string): void => {
          const elapsed = (performance.now() - started) / 1000;
          const own = Math.max(clock.of(task), elapsed);
          onProgress(clock.spent() + elapsed, clock.spent() + own + rest.reduce((sum, t) => sum + clock.of(t), 0), doing); // prettier-ignore
        };
        tell(task.name);
        await mkdir(folder, { recursive: true });
        throwIfCancelled(signal, task);
        let looksAfterItself = false;
        outcome = await attempt(task, {
          ...{ folder, ledgers, onNote },
          get signal() {
            looksAfterItself = true;
            return signal;
          },
          onProgress: (stage, done, total) => {
            if (!looksAfterItself) throwIfCancelled(signal, task);
            tell(`${task.name}${stage === "" ? "" : `, ${stage}`} ${done}/${total}`);
          },
          outputOf: <T>(other: Task<T>): T => (outcomes.get(other) as { output: unknown }).output as T,
          folderOf: (other) => taskFolder(out, other),
        });
        if (outcome.state === "done")
          await writeAtomically(join(folder, markFile), JSON.stringify({ key: taskKey(task), name: task.name, seconds: outcome.seconds, output: outcome.output }, within(out).stored)); // prettier-ignore
        else if (outcome.state === "failed") onNote(`${task.name}: ${outcome.error.code} ${outcome.error.message}`);
      }
      if (outcome.state === "done") clock.add(task, outcome.seconds, outcome.reused);
    }
    byKey.set(taskKey(task), outcome);
    outcomes.set(task, outcome);
  }
  const distinct = [...byKey.values()];
  const count = (is: (outcome: Outcome) => boolean): number => distinct.filter(is).length;
  return {
    outcomes,
    counts: {
      done: count((o) => o.state === "done" && !o.reused),
      reused: count((o) => o.state === "done" && o.reused),
      failed: count((o) => o.state === "failed"),
      waiting: count((o) => o.state === "waiting"),
    },
  };
}

function throwIfCancelled(signal: AbortSignal | undefined, { name }: Task): void {
  if (signal?.aborted)
    throw new LeadglassError("LG-RUNTIME-004", `the study was cancelled: ${name} is not done`, {
      hint: "Run the same command again: it goes on where it stopped.",
    });
}

/** Paths in the study's folder are kept relative to it, so that it may be moved between runs. */
const within = (out: string) => ({
  stored: (_key: string, value: unknown): unknown =>
    typeof value === "string" && value.startsWith(out + sep) ? `{study}${value.slice(out.length)}` : value,
  read: (_key: string, value: unknown): unknown =>
    typeof value === "string" && value.startsWith(`{study}${sep}`) ? out + value.slice("{study}".length) : value,
});

async function attempt(task: Task, context: TaskContext): Promise<Outcome> {
  const started = performance.now();
  try {
    const output = await task.run(context);
    return { state: "done", output, seconds: (performance.now() - started) / 1000, reused: false };
  } catch (error) {
    if (!(error instanceof LeadglassError) || ["LG-RUNTIME-004", "LG-INTERRUPTED-001"].includes(error.code))
      throw error;
    return { state: "failed", error };
  }
}

/** Needs before what needs them; otherwise in the order given. */
function inOrder(tasks: readonly Task[]): Task[] {
  const seen = new Set<Task>();
  const visit = (task: Task): Task[] => {
    if (seen.has(task)) return [];
    seen.add(task);
    return [...task.needs.flatMap(visit), task];
  };
  return tasks.flatMap(visit);
}

/** What a task of each kind is expected to take: the mean of those that are done; 10 s where none is. */
function expectedSeconds() {
  const known = new Map<string, number[]>();
  let spent = 0;
  return {
    of: ({ kind }: Task): number => {
      const own = known.get(kind) ?? [];
      return own.length > 0 ? own.reduce((a, b) => a + b, 0) / own.length : 10;
    },
    spent: (): number => spent,
    add: ({ kind }: Task, seconds: number, reused: boolean): void => {
      known.set(kind, [...(known.get(kind) ?? []), seconds]);
      if (!reused) spent += seconds;
    },
  };
}

async function readMark(out: string, task: Task): Promise<{ output: unknown; seconds: number } | undefined> {
  const text = await readFile(join(taskFolder(out, task), markFile), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const mark = JSON.parse(text, within(out).read) as { key: string; output: unknown; seconds: number };
    return mark.key === taskKey(task) ? { output: mark.output, seconds: mark.seconds } : undefined;
  } catch {
    return undefined;
  }
}

/** Removes what an interrupted attempt left in a folder of the task, for work that cannot go on in the middle. */
export async function emptied(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  return folder;
}
