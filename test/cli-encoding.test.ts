import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../src/cohort/index.ts";
import { readLedger } from "../src/study/index.ts";

const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** What the commands of this file print. */
interface Printed {
  readonly fingerprint: string;
  readonly images: number;
  readonly rows: number;
  readonly published: { readonly images: number };
  readonly ledger: { readonly path: string; readonly index: number };
  readonly leaks: readonly unknown[];
  readonly privacy: null;
  readonly patients: null;
  readonly releases: readonly unknown[];
  readonly validation: { readonly auroc: number };
  readonly metrics: Readonly<Record<string, { readonly auroc: { readonly value: number; readonly low: number } }>>;
  readonly error?: { readonly code: string };
}

interface Answer {
  readonly code: number;
  readonly json: Printed;
  readonly stdout: string;
  readonly stderr: string;
}

describe("private encodings on the command line", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "leadglass-encodings-"));
    await makePhantomCohort({ kind: "chest", patients: 60, seed: 2, imageSize: 32, out: join(dir, "chests") });
  });
  afterAll(() => rm(dir, { recursive: true }));
  const leadglass = (...words: string[]): Promise<Answer> =>
    new Promise((resolve) =>
      execFile(process.execPath, [main, ...words, "--json"], { cwd: dir }, (error, stdout, stderr) => {
        const code = error ? Number(error.code) : 0;
        resolve({ code, json: JSON.parse(stdout) as Printed, stdout, stderr });
      }),
    );

  it("fromKeysToAModelOfTwoHospitals", { timeout: 120_000 }, async () => {
    for (const hospital of ["north", "river"]) {
      const made = await leadglass("key", "make", "--out", `${hospital}.key`);
      expect(made.code).toBe(0);
      const secret = (JSON.parse(await readFile(join(dir, `${hospital}.key`), "utf8")) as { secret: string }).secret;
      expect(made.stdout + made.stderr).not.toContain(secret);
      const encoded = await leadglass(
        ...["encode", "--cohort", "chests", "--key", `${hospital}.key`, "--where", `hospital=${hospital}`],
        ...["--scheme", "linear", "--image-size", "32", "--target", "cardiomegaly", "--out", hospital],
        ...["--map", `${hospital}.map`],
      );
      // On a busy machine a line of progress is due; nothing else is.
      expect(encoded.stderr.replaceAll(/^encoding: .*\n/gm, "")).toBe("");
      expect(Object.keys(encoded.json)).toEqual(expect.arrayContaining(["release", "images", "bytes", "secondsPerImage"])); // prettier-ignore
      expect((await stat(join(dir, `${hospital}.map`))).mode & 0o777).toBe(0o600);
      const shown = await leadglass("key", "show", `${hospital}.key`);
      expect(shown.json.fingerprint).toBe(made.json.fingerprint);
      expect(shown.json.published.images).toBe(encoded.json.images);
      expect(shown.stdout).not.toContain(secret);
      const { entries } = await readLedger(encoded.json.ledger.path);
      const entry = entries[encoded.json.ledger.index]!;
      expect(entry.access).toBe("not accounted");
      expect(entry.sentence).toMatch(/^NOT ACCOUNTED.*encodings of \d+ images.*nothing is proven/);
      expect((await leadglass("encode", "check", hospital)).json.leaks).toEqual([]);
    }
    const trained = await leadglass(
      "train",
      "--release",
      "north",
      "--release",
      "river",
      "--out",
      "union",
      "--seed",
      "1",
    );
    expect(trained.code).toBe(0);
    expect(trained.json.privacy).toBeNull();
    expect(trained.json.releases.length).toBe(2);
    expect(trained.json.validation.auroc).toBeGreaterThanOrEqual(0);
    const evaluated = await leadglass("evaluate", "--run", "union", "--encodings", "north", "--encodings", "river");
    const { auroc } = evaluated.json.metrics["cardiomegaly"]!;
    expect(auroc.low).toBeLessThanOrEqual(auroc.value);
    expect(evaluated.json.patients).toBeNull();
    const predicted = await leadglass("predict", "--run", "union", "--encodings", "north", "--out", "answers.csv");
    expect((await readFile(join(dir, "answers.csv"), "utf8")).split("\n").length).toBe(predicted.json.rows + 2);
    const again = await leadglass("train", "--release", "north", "--release", "river", "--out", "again", "--seed", "1");
    expect(again.json.validation).toEqual(trained.json.validation);
  });

  it("mistakes_areRefusedWithTheirExitCodes", { timeout: 60_000 }, async () => {
    await leadglass("key", "make", "--out", "own.key");
    const encode = (...more: string[]): Promise<Answer> =>
      leadglass("encode", "--cohort", "chests", "--scheme", "linear", "--image-size", "32", ...more);
    const codes: Record<string, unknown> = {};
    const told = async (name: string, asked: Promise<Answer>): Promise<void> => {
      const { code, json } = await asked;
      codes[name] = [code, json.error?.code];
    };
    await writeFile(
      join(dir, "seed.key"),
      (await readFile(join(dir, "own.key"), "utf8")).replace('"system"', '"seed"'),
      {
        mode: 0o600,
      },
    );
    await told("weak key", encode("--key", "seed.key", "--out", "a"));
    await told("no key", encode("--key", "chests/metadata.csv", "--out", "a"));
    await told("map inside", encode("--key", "own.key", "--out", "a", "--map", "a/map.json"));
    await told("group of identifiers", encode("--key", "own.key", "--out", "a", "--group", "patient_id"));
    await told("key as release", leadglass("train", "--release", "own.key", "--out", "r"));
    await told("cohort as release", leadglass("train", "--release", "chests", "--out", "r"));
    await told("epsilon", leadglass("train", "--release", "chests", "--epsilon", "8", "--out", "r"));
    await told("neither", leadglass("train", "--out", "r"));
    expect(codes).toEqual({
      "weak key": [4, "LG-ENCODE-002"],
      "no key": [3, "LG-ENCODE-001"],
      "map inside": [4, "LG-ENCODE-004"],
      "group of identifiers": [4, "LG-ENCODE-004"],
      "key as release": [4, "LG-ENCODE-004"],
      "cohort as release": [3, "LG-ENCODE-003"],
      epsilon: [2, "LG-USAGE-001"],
      neither: [2, "LG-USAGE-001"],
    });
  });
});
