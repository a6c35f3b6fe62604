/**
 * A study that is killed again and again, at moments drawn anew in every run of this test, and started again: its table and
 * its ledger are those of the same study left alone, and what was done is not done again.
 */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { readRows, studyFiles, type ResultRow, type StudyRecord } from "../src/study/results/index.ts";
import { leadglass, start, temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();

const train = "{ model: cnn, imageSize: 32, epochs: 3, batch: 16 }";
/** One arm of every kind, two seeds, a private generator, attacks. */
const lines = (privateTraining = train): string =>
  [
    "name: killed",
    "cohorts: { masses: { phantom: mass, patients: 80, seed: 1, imageSize: 32 } }",
    "targets: [malignant]",
    "groups: [sex]",
    "seeds: [1, 2]",
    "shortcuts: false",
    "hospitals: { count: 2 }",
    "arms:",
    `  - { kind: open, train: ${train}, audits: [loss] }`,
    `  - { kind: private, epsilon: 8, train: ${privateTraining} }`,
    "  - kind: encodings",
    "    scheme: linear",
    "    width: 64",
    "    imageSize: 32",
    "    train: { epochs: 2 }",
    "    attacks: [known-pairs]",
    "    attacked: { images: 48, known: 16 }",
    "  - kind: synthetic",
    "    generator: { model: spectral, epsilon: 8, imageSize: 32, perClass: 20 }",
    "    judge: false",
    `    train: ${train}`,
  ].join("\n");

interface Report {
  readonly counts: { readonly done: number; readonly reused: number; readonly failed: number };
}

const file = join(root, "study.yaml");
const words = (out: string): string[] => ["study", "run", file, "--out", out, "--json"];

async function ended(out: string): Promise<Report> {
  const { code, stdout, stderr } = await leadglass(words(out));
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Report;
}

/** What was measured, without what a clock or the machine's load decides. */
async function leftBy(out: string): Promise<{ rows: ResultRow[]; record: StudyRecord }> {
  const rows = await readRows(join(out, studyFiles.results));
  const record = JSON.parse(await readFile(join(out, studyFiles.record), "utf8")) as StudyRecord;
  return {
    rows: rows.filter(({ metric }) => !/seconds|memory/.test(metric)).map((r) => ({ ...r, ledgerEntry: null })),
    record,
  };
}

/** What each access of the ledger was and came to; runs are named by chance. */
const accesses = ({ ledger }: StudyRecord) =>
  ledger.rows.map(({ kind, access, epsilon, delta, cumulative }) => ({ kind, access, epsilon, delta, cumulative }));

it("killedStudy_endsWithTheTableAndTheSpendOfOneLeftAlone", { timeout: 1_800_000 }, async () => {
  await writeFile(file, lines());
  const [alone, out] = [join(root, "alone"), join(root, "killed")];
  const started = performance.now();
  const whole = await ended(alone);
  const seconds = (performance.now() - started) / 1000;

  let kills = 0;
  while (kills < 8) {
    const { child, outcome } = start(words(out));
    await sleep((0.5 + Math.random() * seconds * 0.4) * 1000);
    if (!child.kill("SIGKILL")) break;
    expect(await outcome).toMatchObject({ signal: "SIGKILL" });
    kills++;
    if (await stat(join(out, studyFiles.results)).catch(() => null)) break;
  }
  expect(kills).toBeGreaterThanOrEqual(2);
  const rest = await ended(out);
  expect(rest.counts.done + rest.counts.reused).toBe(whole.counts.done);
  expect(rest.counts.reused).toBeGreaterThan(0);

  const [left, expected] = [await leftBy(out), await leftBy(alone)];
  expect(left.rows).toEqual(expected.rows);
  expect(accesses(left.record)).toEqual(accesses(expected.record));
  expect(left.record.arms.map(({ epsilon }) => epsilon)).toEqual(expected.record.arms.map(({ epsilon }) => epsilon));

  // Once more: nothing is done. With one setting of one arm changed: that arm's two trainings and what follows them.
  expect((await ended(out)).counts).toMatchObject({ done: 0, failed: 0, reused: whole.counts.done });
  await writeFile(file, lines(train.replace("epochs: 3", "epochs: 4")));
  expect((await ended(out)).counts).toMatchObject({ done: 4, failed: 0, reused: whole.counts.done - 4 });
});
