import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../src/cohort/index.ts";

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

interface Share {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** What the commands of this file print. */
interface Printed {
  readonly attacks: readonly { readonly attack: string; readonly knowledge: readonly string[] }[];
  readonly skipped: readonly { readonly attack: string; readonly reason: string }[];
  readonly valid: boolean | null;
  readonly success: Share;
  readonly chance: number;
  readonly knowledge: readonly string[];
  readonly seconds: number;
  readonly track: number;
  readonly accuracy: Share;
  readonly kAnonymity: { readonly band: string };
  readonly error?: { readonly code: string };
}

describe("challenges and attacks on the command line", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "leadglass-duel-"));
    await makePhantomCohort({ kind: "chest", patients: 60, seed: 2, imageSize: 64, out: join(dir, "chests") });
  });
  afterAll(() => rm(dir, { recursive: true }));
  const leadglass = (...words: string[]): Promise<{ code: number; json: Printed }> =>
    new Promise((resolve) =>
      execFile(process.execPath, [main, ...words, "--json"], { cwd: dir }, (error, stdout) =>
        resolve({ code: error ? Number(error.code) : 0, json: JSON.parse(stdout) as Printed }),
      ),
    );
  const duel = ["--release", "duel/public/release", "--public", "chests"];
  const answers = ["--answers", "duel/sealed/answers.json"];

  it("aChallengeIsMade_broken_andScored", { timeout: 240_000 }, async () => {
    expect((await leadglass("key", "make", "--out", "duel.key")).code).toBe(0);
    const made = await leadglass(
      ...["challenge", "make", "--cohort", "chests", "--target", "cardiomegaly", "--key", "duel.key", "--out", "duel"],
      ...[
        "--scheme",
        "linear",
        "--width",
        "64",
        "--image-size",
        "64",
        "--images",
        "40",
        "--known",
        "12",
        "--targets",
        "6",
      ],
    );
    expect(made.code).toBe(0);
    const verified = await leadglass("challenge", "verify", "--challenge", "duel/public", ...answers);
    expect(verified.json.valid).toBe(true);

    const { json } = await leadglass("attack", "matching", ...duel, ...answers, "--no-control", "--out", "found");
    expect(json.chance).toBe(1 / 40);
    expect(json.knowledge).toContain("the encodings");
    // Fewer than 6 of 40 by luck: P(Poisson(1) > 5) = 6e-4.
    expect(json.success.value).toBeGreaterThan(5 / 40);
    expect(json.success.low).toBeLessThanOrEqual(json.success.value);
    const scored = await leadglass("challenge", "score", "--challenge", "duel/public", ...answers, "--submission", "found/matching.json"); // prettier-ignore
    expect(scored.json.track).toBe(1);

    // Track 2 needs the key to be scored, and no answers to be attacked.
    const imitation = await leadglass("attack", "imitation", ...duel, "--no-control", "--out", "found");
    expect(imitation.json.success).toBeNull();
    const second = await leadglass(
      ...["challenge", "score", "--challenge", "duel/public", ...answers, "--submission", "found/imitation.json"],
      ...["--cohort", "chests", "--key", "duel.key"],
    );
    expect(second.json.track).toBe(2);
    expect(second.json.accuracy.value).toBeGreaterThanOrEqual(0);
  });

  it("allAttacks_goOnFromWhatIsThere_andSayWhatWasNotRun", { timeout: 240_000 }, async () => {
    const { json: list } = await leadglass("attack", "list");
    const all = ["attack", "all", ...duel, ...answers, "--out", "table", "--budget", "0.001"];
    const first = await leadglass(...all);
    expect(first.json.attacks.map(({ attack }) => attack)).toEqual(["unshuffle"]);
    expect(first.json.skipped.length).toBe(list.attacks.length - 1);
    const before = (await stat(join(dir, "table", "attacks.json"))).mtimeMs;
    const again = await leadglass(...all);
    expect(again.json.attacks).toEqual(first.json.attacks);
    expect((await stat(join(dir, "table", "attacks.json"))).mtimeMs).toBeGreaterThanOrEqual(before);
    const kept = JSON.parse(await readFile(join(dir, "table", "attacks.json"), "utf8")) as Printed;
    expect(kept.attacks).toEqual(first.json.attacks);
  });

  it("unknownAttack_isWrongUsage", async () => {
    expect((await leadglass("attack", "guess", ...duel)).code).toBe(2);
  });
});
