/**
 * A private training that is interrupted, politely and not, and goes on: everything it leaves is to the byte what the
 * uninterrupted run of the same seed left. The step of the interruption is drawn anew in every run of these tests.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { readCheckpoint } from "../src/training/checkpoint.ts";
import { leadglass, start, temporaryFolder, type Outcome } from "./support/cli.ts";

const root = await temporaryFolder();
const cohort = join(root, "cohort");
const env = { LEADGLASS_CHECKPOINT_SECONDS: "0.02" };

/** Some 40 short steps; units are drawn, so that the sampler must go on where it was, and not only the noise. */
const settings = [
  ...["--cohort", cohort, "--target", "malignant", "--model", "cnn", "--image-size", "32", "--json"],
  ...[
    "--epsilon",
    "8",
    "--delta",
    "1e-3",
    "--unit",
    "patient",
    "--batch",
    "4",
    "--views",
    "1",
    "--epochs",
    "6",
    "--seed",
    "11",
  ],
];
/** Each run has a ledger of its own: in a shared one it would come after the others. */
const train = (out: string, ...words: string[]) => [
  ...["train", "--out", out, "--ledger", `${out} ledgers`],
  ...[...settings, ...words],
];

interface Report {
  readonly steps: number;
  readonly privacy: { readonly epsilon: number; readonly delta: number; readonly insecureSeed: boolean };
}

interface Left {
  readonly report: Report;
  readonly files: string[];
  readonly weights: Buffer;
  readonly ledger: string;
  readonly model: Buffer;
}

async function leftBy(out: string, outcome: Outcome): Promise<Left> {
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  return {
    report: JSON.parse(outcome.stdout) as Report,
    files: (await readdir(out)).sort(),
    weights: await readFile(join(out, "weights.safetensors")),
    ledger: await readFile(join(out, "ledger.jsonl"), "utf8"),
    model: await readFile(join(out, "model.onnx")),
  };
}

let whole: Left;
beforeAll(async () => {
  await leadglass(["cohort", "make", "--patients", "40", "--image-size", "32", "--seed", "5", "--out", cohort]);
  const out = join(root, "whole");
  whole = await leftBy(out, await leadglass(train(out), { env }));
});

/** Starts a training and sends it a signal once its checkpoint has reached a random step; returns how it ended. */
async function interrupted(out: string, signal: NodeJS.Signals): Promise<Outcome & { readonly atLeast: number }> {
  const atLeast = 1 + Math.floor(Math.random() * whole.report.steps * 0.7);
  const { child, outcome } = start(train(out), { env });
  let ended = false;
  void outcome.then(() => (ended = true));
  while (!ended) {
    const step = await readCheckpoint(join(out, "checkpoint.safetensors")).then(
      (checkpoint) => checkpoint.step,
      () => 0,
    );
    if (step >= atLeast) break;
    await sleep(2);
  }
  child.kill(signal);
  return { ...(await outcome), atLeast };
}

function expectSame(resumed: Left): void {
  expect(resumed.report.privacy).toEqual(whole.report.privacy);
  expect(resumed.report.steps).toBe(whole.report.steps);
  expect(resumed.ledger).toBe(whole.ledger);
  expect(resumed.weights.equals(whole.weights), "weights to the byte").toBe(true);
  expect(resumed.model.equals(whole.model), "deployable model to the byte").toBe(true);
  expect(resumed.files).toEqual(whole.files);
}

describe("a private run that was stopped goes on as if it had not been", () => {
  it("uninterruptedRun_isMarkedInsecureSeedAndLeavesNoCheckpoint", () => {
    expect(whole.report.privacy).toMatchObject({ delta: 1e-3, insecureSeed: true });
    expect(whole.report.privacy.epsilon).toBeLessThanOrEqual(8);
    expect(whole.files).toEqual(["ledger.jsonl", "model.onnx", "run.json", "weights.safetensors"]);
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s_savesACheckpointSaysHowToGoOnAndExitsWith5_otherSettingsAreRefused",
    async (signal) => {
      const out = join(root, signal);
      const { code, stdout, atLeast } = await interrupted(out, signal);
      expect(code, `asked to stop at step ${atLeast}`).toBe(5);
      const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } };
      expect(error.code).toBe("LG-RUNTIME-004");
      expect(error.hint).toContain("--resume");
      const said = Number(/after (\d+) of/.exec(error.message)![1]);
      expect((await readCheckpoint(join(out, "checkpoint.safetensors"))).step).toBe(said);
      const other = await leadglass(train(out, "--resume", "--lr", "0.5"), { env });
      expect(other.code).toBe(3);
      expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: "LG-TRAIN-002" } });
      expectSame(await leftBy(out, await leadglass(train(out, "--resume"), { env })));
    },
  );

  it("SIGKILL_losesOnlyWhatCameAfterTheLastCheckpoint", async () => {
    const out = join(root, "killed");
    const { signal, atLeast } = await interrupted(out, "SIGKILL");
    expect(signal, `killed at step ${atLeast}`).toBe("SIGKILL");
    // The whole budget stands in the ledger from the first step: a killed run has never spent more than it says.
    const begun = whole.ledger.trimEnd().split("\n").slice(0, -1).join("\n");
    expect(await readFile(join(out, "ledger.jsonl"), "utf8")).toBe(`${begun}\n`);
    // Whether it was in the middle of a checkpoint is chance: half of one holds weights too, and must not stay.
    await writeFile(join(out, "checkpoint.safetensors.tmp-1"), "half");
    expectSame(await leftBy(out, await leadglass(train(out, "--resume"), { env })));
  });
});
