/** Nobody spends twice: budgets stop runs, and whatever states what was spent cannot be changed unseen. */
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../src/cohort/index.ts";
import { isLeadglassError } from "../src/errors.ts";
import { readLedger, trainRun } from "../src/study/index.ts";
import { leadglass, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const cohort = join(root, "cohort");
const stopped = join(root, "stopped");
const slow = 60_000;

const targets = ["--cohort", cohort, "--target", "malignant"];
const train = (out: string, ...words: string[]) =>
  leadglass(["train", ...targets, "--out", out, "--delta", "1e-3", "--epochs", "20", "--json", ...words]);

interface Refusal {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string };
}
const refusalOf = (stdout: string): Refusal["error"] => (JSON.parse(stdout) as Refusal).error;
const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

beforeAll(async () => {
  await makePhantomCohort({ kind: "mass", patients: 60, seed: 3, imageSize: 64, out: cohort });
  const abort = new AbortController();
  const run = trainRun({
    ...{ cohort, targets: ["malignant"], out: stopped, checkpointSeconds: 0 },
    choices: { epsilon: 8, delta: 1e-3, epochs: 30, imageSize: 32 },
    signal: abort.signal,
    onStep: ({ step }) => {
      if (step === 14) abort.abort();
    },
  });
  await expect(run).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
}, slow);

describe("a cohort's budget", () => {
  it("stopsTheRunThatWouldPassIt_beforeItStarts, and lets the one through that fits", { timeout: slow }, async () => {
    const ledger = ["--ledger", join(root, "budget")];
    const set = await leadglass(
      ["ledger", "budget", "--cohort", cohort, "--epsilon", "8", "--delta", "1e-3", "--json", ...ledger],
      { cwd: root },
    );
    expect(JSON.parse(set.stdout)).toMatchObject({ spent: 0, epsilon: 8 });
    expect((await train(join(root, "first"), "--epsilon", "6", ...ledger)).code).toBe(0);
    const second = await train(join(root, "second"), "--epsilon", "6", ...ledger);
    expect(second.code).toBe(4);
    const { code, message, hint } = refusalOf(second.stdout);
    expect(code).toBe("LG-PRIVACY-002");
    // Full batches: mu is 1.671199 at epsilon 6 and delta 1e-3, and sqrt(2) times that gives 9.462235 (Balle and Wang 2018,
    // theorem 8; scipy 1.17.1, brentq).
    expect(message).toMatch(/epsilon 6 is spent and 6 was asked, together 9\.46/);
    expect(await exists(join(root, "second"))).toBe(false);
    // An unprivate training passes every budget.
    const open = await leadglass(["train", ...targets, "--out", join(root, "open"), "--json", ...ledger]);
    expect([open.code, refusalOf(open.stdout).code]).toEqual([4, "LG-PRIVACY-002"]);
    const fits = /--epsilon ([\d.]+)/.exec(hint)![1]!;
    expect((await train(join(root, "third"), "--epsilon", fits, ...ledger)).code).toBe(0);

    const shown = await leadglass(["ledger", "show", join(root, "third")]);
    expect(shown.code).toBe(0);
    for (const words of ["The budget of this cohort was set", "steps of private training cost epsilon", "owner only"])
      expect(shown.stdout).toContain(words);
    expect(shown.stdout).toMatch(/budget: epsilon 8 at delta 0\.001, of which [78](\.\d+)? is spent/);
  });
});

describe("a run that was tampered with is refused with exit code 4", () => {
  let copies = 0;
  type Change = (dir: string, ledger: string) => Promise<void>;
  /** A copy of the interrupted run and its ledger, changed. */
  async function changedCopy(change: Change): Promise<string> {
    const place = join(root, `copy ${++copies}`);
    const dir = join(place, "stopped");
    await cp(stopped, dir, { recursive: true });
    await cp(join(root, "ledgers"), join(place, "ledgers"), { recursive: true });
    const [file] = await readdir(join(place, "ledgers"));
    await change(dir, join(place, "ledgers", file!));
    return dir;
  }
  /** How resuming it ends on the command line, and whether `ledger verify` sees it. */
  async function resumed(change: Change) {
    const dir = await changedCopy(change);
    const outcome = await leadglass(["train", ...targets, "--out", dir, "--resume", "--json"]);
    const verified = await leadglass(["ledger", "verify", dir, "--json"]);
    const error = outcome.code === 0 ? null : refusalOf(outcome.stdout);
    return { exit: outcome.code, code: error?.code, message: error?.message, verified: verified.code };
  }
  /** The same in this process, which takes a tenth of the time. */
  async function refused(change: Change) {
    const dir = await changedCopy(change);
    const error: unknown = await trainRun({ cohort, targets: ["malignant"], out: dir, choices: {}, resume: true }).then(
      () => null,
      (reason: unknown) => reason,
    );
    const { valid } = (await readLedger(dir)).verification;
    return isLeadglassError(error) ? { exit: error.exitCode, code: error.code, valid } : { error, valid };
  }
  /** Replaces a text that must be there. */
  async function edit(path: string, from: string | RegExp, to: string): Promise<void> {
    const before = await readFile(path, "latin1");
    const after = before.replace(from, to);
    expect(after).not.toBe(before);
    await writeFile(path, after, "latin1");
  }

  it("unlessNothingWasChanged", { timeout: slow }, async () => {
    expect(await resumed(() => Promise.resolve())).toMatchObject({ exit: 0, verified: 0 });
  });

  it("theSpentStepsOfACheckpoint", { timeout: slow }, async () => {
    const found = await resumed((dir) => edit(join(dir, "checkpoint.safetensors"), /\\"step\\":14/, '\\"step\\":10'));
    expect(found).toMatchObject({ exit: 4, code: "LG-PRIVACY-005" });
    expect(found.message).toContain("changed since it was written");
  });

  it("theNoiseOfThePlan", { timeout: slow }, async () => {
    const found = await resumed((dir) =>
      edit(join(dir, "run.json"), /"noiseMultiplier": [\d.]+/, '"noiseMultiplier": 0.5'),
    );
    expect(found).toMatchObject({ exit: 4, code: "LG-PRIVACY-008", verified: 4 });
  });

  it.each<[string, Change]>([
    ["theStepsOfThePlan", (dir) => edit(join(dir, "run.json"), /"steps": 30/, '"steps": 90')],
    ["theLearningRate", (dir) => edit(join(dir, "run.json"), /"learningRate": [\d.]+/, '"learningRate": 0.125')],
    ["anEntryOfTheCohortsLedger", (_, ledger) => edit(ledger, "training patients", "training patlents")],
    ["theLastEntryOfTheCohortsLedger", (_, ledger) => edit(ledger, /[^\n]*\n$/, "")],
    ["theWholeLedgerOfTheCohort", (_, ledger) => rm(ledger)],
    ["theRunsOwnLedger", (dir) => edit(join(dir, "ledger.jsonl"), '"upper":', '"upper":1')],
  ])("%s", { timeout: slow }, async (_, change) => {
    expect(await refused(change)).toEqual({ exit: 4, code: "LG-PRIVACY-008", valid: false });
  });

  it("aLedgerThatWasCut_stopsTheNextRunToo", { timeout: slow }, async () => {
    const place = join(root, "cut");
    await cp(stopped, join(place, "stopped"), { recursive: true });
    await cp(join(root, "ledgers"), join(place, "ledgers"), { recursive: true });
    const [file] = await readdir(join(place, "ledgers"));
    await rm(join(place, "ledgers", file!));
    const next = await train(join(place, "next"), "--epsilon", "2");
    expect([next.code, refusalOf(next.stdout).code]).toEqual([4, "LG-PRIVACY-008"]);
    expect(await exists(join(place, "next"))).toBe(false);
  });
});
