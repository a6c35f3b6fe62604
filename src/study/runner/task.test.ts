import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LeadglassError } from "../../errors.ts";
import { emptied, runTasks, taskFolder, taskKey, type Task } from "./task.ts";

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "leadglass-tasks-"));
});
afterEach(() => rm(out, { recursive: true, force: true }));

/** What was run, in order. */
let ran: string[] = [];
beforeEach(() => {
  ran = [];
});

/** Adds up its settings and what its needs came to. */
function sum(name: string, settings: number, needs: readonly Task<number>[] = []): Task<number> {
  return {
    ...{ kind: "sum", name, settings, needs },
    run: ({ outputOf }) => {
      ran.push(name);
      return Promise.resolve(needs.reduce((total, need) => total + outputOf(need), settings));
    },
  };
}
const refusal = new LeadglassError("LG-PRIVACY-001", "there is no more budget");
const failing = (name: string, error: unknown, needs: readonly Task[] = []): Task<number> => ({
  ...{ kind: "sum", name, settings: name, needs },
  run: () => Promise.reject(error as Error),
});
const run = (tasks: readonly Task[]) => runTasks(tasks, { out, ledgers: join(out, "ledgers") });

/** One cohort, two arms on it, each trained and evaluated. */
function study(first: number, second: number): Task<number>[] {
  const cohort = sum("cohort", 100);
  const arms = [first, second].map((setting, i) => sum(`train ${i}`, setting, [cohort]));
  return arms.map((trained, i) => sum(`evaluate ${i}`, i, [trained]));
}

describe("runTasks", () => {
  it("everyTask_isRunOnce_afterWhatItNeeds", async () => {
    const tasks = study(1, 2);
    const { outcomes, counts } = await run(tasks);
    expect(ran).toEqual(["cohort", "train 0", "evaluate 0", "train 1", "evaluate 1"]);
    expect(tasks.map((task) => outcomes.get(task))).toMatchObject([{ output: 101 }, { output: 103 }]);
    expect(counts).toEqual({ done: 5, reused: 0, failed: 0, waiting: 0 });
  });

  it("secondRun_takesEverythingAsItIs", async () => {
    await run(study(1, 2));
    ran = [];
    const tasks = study(1, 2);
    const { outcomes, counts } = await run(tasks);
    expect(ran).toEqual([]);
    expect(outcomes.get(tasks[1]!)).toMatchObject({ state: "done", output: 103, reused: true });
    expect(counts).toEqual({ done: 0, reused: 5, failed: 0, waiting: 0 });
  });

  it("changedSetting_runsAgainWhatDependsOnIt_andNothingElse", async () => {
    await run(study(1, 2));
    ran = [];
    const { counts } = await run(study(1, 7));
    expect(ran).toEqual(["train 1", "evaluate 1"]);
    expect(counts).toEqual({ done: 2, reused: 3, failed: 0, waiting: 0 });
    // And back again: what was made before is still there.
    ran = [];
    expect((await run(study(1, 2))).counts).toMatchObject({ done: 0, reused: 5 });
  });

  it("equalContent_isDoneOnce_underWhateverName", async () => {
    const { outcomes, counts } = await run([sum("a", 4), sum("b", 4)]);
    expect(ran).toEqual(["a"]);
    expect(counts.done).toBe(1);
    expect([...outcomes.values()]).toMatchObject([{ output: 4 }, { output: 4 }]);
  });

  it("failure_leavesWhatNeedsItWaiting_andTheOthersGoOn", async () => {
    const broken = failing("broken", refusal);
    const tasks = [sum("after", 1, [broken]), sum("long after", 1, [sum("after", 1, [broken])]), sum("other", 5)];
    const { outcomes, counts } = await run(tasks);
    expect(outcomes.get(broken)).toEqual({ state: "failed", error: refusal });
    expect(outcomes.get(tasks[0]!)).toEqual({ state: "waiting", because: refusal });
    expect(outcomes.get(tasks[1]!)).toEqual({ state: "waiting", because: refusal });
    expect(outcomes.get(tasks[2]!)).toMatchObject({ state: "done", output: 5 });
    expect(counts).toEqual({ done: 1, reused: 0, failed: 1, waiting: 2 });
    // What failed is tried again.
    expect((await run(tasks)).counts).toEqual({ done: 0, reused: 1, failed: 1, waiting: 2 });
  });

  it.each([
    new LeadglassError("LG-RUNTIME-004", "cancelled"),
    new LeadglassError("LG-INTERRUPTED-001", "interrupted"),
    new TypeError("a bug"),
  ])("%s endsTheStudy", async (error) => {
    await expect(run([failing("x", error), sum("other", 1)])).rejects.toBe(error);
    expect(ran).toEqual([]);
  });

  it.each([
    ["torn", (text: string) => text.slice(0, text.length / 2)],
    ["another's", (text: string) => text.replace(/"key":"./, '"key":"x')],
    ["empty", () => ""],
  ])("mark_thatIs %s isNotBelieved", async (_, spoil) => {
    const task = sum("a", 4);
    await run([task]);
    const path = join(taskFolder(out, task), "done.json");
    await writeFile(path, spoil(await readFile(path, "utf8")));
    expect((await run([task])).counts).toMatchObject({ done: 1, reused: 0 });
  });

  it("interruptedTask_findsItsFolderAsItLeftIt_orEmptiesIt", async () => {
    let attempts = 0;
    const task: Task = {
      ...{ kind: "resumable", name: "a", settings: null, needs: [] },
      run: async ({ folder }) => {
        attempts++;
        await writeFile(join(folder, `step-${attempts}`), "");
        if (attempts === 1) throw new TypeError("killed");
        const before = await readFile(join(folder, "step-1"));
        await emptied(join(folder, "step-1"));
        return before.length;
      },
    };
    await expect(run([task])).rejects.toThrow("killed");
    expect((await run([task])).outcomes.get(task)).toMatchObject({ output: 0 });
    await expect(readFile(join(taskFolder(out, task), "step-1"))).rejects.toThrow("ENOENT");
  });

  it("interrupt_endsATaskAtItsNextWordOfProgress_orBeforeItStarts_unlessItLooksAfterItself", async () => {
    const cancelled = new AbortController();
    const telling = (name: string, more: (context: Parameters<Task["run"]>[0]) => unknown): Task => ({
      ...{ kind: "telling", name, settings: name, needs: [] },
      run: (context) => {
        cancelled.abort();
        const answer = more(context);
        context.onProgress("step", 1, 2);
        ran.push(name);
        return Promise.resolve(answer);
      },
    });
    const options = { out, ledgers: out, signal: cancelled.signal };
    const code = { code: "LG-RUNTIME-004" };
    await expect(runTasks([telling("ends", () => null)], options)).rejects.toMatchObject(code);
    await expect(runTasks([sum("not begun", 1)], options)).rejects.toMatchObject(code);
    expect(ran).toEqual([]);
    const again = { ...options, signal: new AbortController().signal };
    expect((await runTasks([telling("saves", ({ signal }) => signal?.aborted)], again)).counts.done).toBe(1);
    expect(ran).toEqual(["saves"]);
  });

  it("studyThatWasMoved_findsWhatItMade", async () => {
    const task: Task<{ run: string }> = {
      ...{ kind: "made", name: "a", settings: 1, needs: [] },
      run: async ({ folder }) => {
        await writeFile(join(folder, "made"), "whole");
        return { run: join(folder, "made") };
      },
    };
    const reads: Task<string> = {
      ...{ kind: "reads", name: "b", settings: 1, needs: [task] },
      run: ({ outputOf }) => readFile(outputOf(task).run, "utf8"),
    };
    await run([task]);
    await rename(out, `${out}-moved`);
    out = `${out}-moved`;
    const { outcomes, counts } = await run([task, reads]);
    expect(counts).toMatchObject({ done: 1, reused: 1 });
    expect(outcomes.get(reads)).toMatchObject({ output: "whole" });
  });

  it("progress_endsAtWhatWasDone_andNeverPassesTheWhole", async () => {
    const told: [number, number, string][] = [];
    const slow: Task = {
      ...{ kind: "slow", name: "slow", settings: 1, needs: [] },
      run: ({ onProgress }) => {
        for (let i = 1; i <= 3; i++) onProgress("step", i, 3);
        return Promise.resolve(null);
      },
    };
    await runTasks([slow, ...study(1, 2)], {
      ...{ out, ledgers: out },
      onProgress: (done, total, doing) => told.push([done, total, doing]),
    });
    expect(told.map(([, , doing]) => doing)).toContain("slow, step 2/3");
    expect(told.every(([done, total]) => done <= total)).toBe(true);
  });
});

describe("taskKey", () => {
  it("isOfContent_notOfNames_andChangesWithAnythingUpstream", () => {
    const key = (settings: unknown, needs: readonly Task[] = [], name = "x", kind = "k"): string =>
      taskKey({ kind, name, settings, needs, run: () => Promise.resolve(null) });
    expect(key({ a: 1 }, [], "x")).toBe(key({ a: 1 }, [], "y"));
    expect(key({ a: 1 }, [], "x", "k")).not.toBe(key({ a: 1 }, [], "x", "l"));
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        expect(key(a) === key(b)).toBe(same);
        expect(key(1, [sumOf(a)]) === key(1, [sumOf(b)])).toBe(same);
      }),
    );
  });
});

const sumOf = (settings: unknown): Task => ({
  kind: "s",
  name: "",
  settings,
  needs: [],
  run: () => Promise.resolve(null),
});
