import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../cohort/index.ts";
import { seededRandom } from "../math/random.ts";
import { summariseLedger, sumOfUnitScores } from "../privacy/index.ts";
import { bestState, unitScores } from "./best-state.ts";
import { readLedger } from "./run-folder.ts";
import type { TrainingChoices } from "./settings.ts";
import { trainRun, type TrainRequest } from "./train-run.ts";

describe("unitScores", () => {
  it("isOneMinusTheSquaredError_onAverageOverWhatAUnitHas", () => {
    // Two images of a, one of b without any label; two targets. By hand: a has 1 - .04, 1 - .25 and 1 - .01.
    const scores = [0.2, 0.5, 0.9, 0.7, 0.3, 0.3];
    const labels = [0, 1, 1, NaN, NaN, NaN];
    const found = unitScores(scores, labels, ["a", "a", "b"], 2);
    expect(found[0]).toBeCloseTo((0.96 + 0.75 + 0.99) / 3, 12);
    expect(found[1]).toBe(0);
  });

  it("oneUnitMore_raisesTheSumByAtMostOne_howeverManyImagesItHas", () => {
    const image = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, NaN), fc.nat(3));
    fc.assert(
      fc.property(fc.array(image, { minLength: 1, maxLength: 40 }), fc.nat(3), (images, gone) => {
        const sumOf = (rows: typeof images): number =>
          sumOfUnitScores(unitScores(rows.map((r) => r[0]), rows.map((r) => r[1]), rows.map((r) => r[2]), 1)); // prettier-ignore
        const change = sumOf(images) - sumOf(images.filter((row) => row[2] !== gone));
        expect(change).toBeGreaterThanOrEqual(0);
        expect(change).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("bestState", () => {
  const perUnit = [[0.1, 0.2], [0.9, 0.8], [0.9, 0.8], [0.3, 0.3]]; // prettier-ignore
  it("withoutNoise_isTheLastOfTheBest", () => expect(bestState(perUnit, null)).toBe(2));

  it("withNoise_oftenIsNot, as the mechanism says", () => {
    // Two states whose sums differ by 1, at epsilon 1: the worse is taken with probability exp(-1) / 2 (permute and flip:
    // visited first, and its coin falls so). 2,000 draws: standard error 0.0086; false alarm 1e-6 at 5 of them. Seeded.
    const source = seededRandom(3, "best state");
    const noise = { epsilon: 1, relation: "add-or-remove-one", source, insecureSeed: true } as const;
    let worse = 0;
    for (let i = 0; i < 2000; i++) if (bestState([[0.5, 0.5, 1], [0.5, 0.5]], noise) === 1) worse++; // prettier-ignore
    expect(Math.abs(worse / 2000 - Math.exp(-1) / 2)).toBeLessThan(5 * 0.0086);
  });
});

describe("training that keeps its best state", () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "leadglass-best-"));
    await makePhantomCohort({ kind: "mass", patients: 60, seed: 5, imageSize: 64, out: join(root, "cohort") });
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
  const request = (out: string, choices: TrainingChoices, more: Partial<TrainRequest> = {}): TrainRequest => ({
    ...{
      cohort: join(root, "cohort"),
      targets: ["malignant"],
      out: join(root, out),
      ledger: join(root, `${out} book`),
    },
    choices: { imageSize: 32, epochs: 12, bestOf: 4, ...choices },
    seed: 2,
    ...more,
  });

  it("privately_paysForTheChoice_withinTheValidationPatientsBudget", async () => {
    const report = await trainRun(request("private", { epsilon: 8, delta: 1e-3 }));
    expect(report.kept!.of).toEqual([3, 6, 9, 12]);
    expect(report.kept!.of).toContain(report.kept!.step);
    expect(report.privacy!.epsilon).toBeLessThanOrEqual(8);
    const { entries, verification } = await readLedger(join(root, "private"));
    expect(verification.valid).toBe(true);
    const choice = entries.find((entry) => entry.kind === "private-choice");
    expect(choice).toMatchObject({ access: "accounted", candidates: 4, pureEpsilon: 2, splits: ["val"] });
    expect(choice!.sentence).toContain("One of 4 was chosen by a noisy maximum of epsilon 2 for each patient");
    const { splits } = summariseLedger(entries).budgets[0]!;
    const val = splits.find((split) => split.split === "val")!.epsilon;
    // A histogram of epsilon 6 with a choice of epsilon 2: more than either, and no more than their sum.
    expect(val.lower).toBeGreaterThan(6);
    expect(val.upper).toBeLessThanOrEqual(8);
  });

  it("whereTheValidationPatientsArePublic_itChoosesFreely_andSaysSo", async () => {
    await trainRun(request("public", { epsilon: 8, delta: 1e-3, validation: "public" }));
    const { entries } = await readLedger(join(root, "public"));
    expect(entries.some((entry) => entry.kind === "private-choice")).toBe(false);
    const said = entries.find(
      (entry) => entry.kind === "public" && entry.what.includes("declared public: the decision"),
    );
    expect(said).toMatchObject({ what: expect.stringContaining("the best of 4 states") as string });
  });

  it("aRunThatStopped_keepsWhatTheWholeOneKeeps", async () => {
    const choices = { epsilon: 8, delta: 1e-3 };
    const whole = await trainRun(request("whole", choices));
    const abort = new AbortController();
    const stop = { signal: abort.signal, onStep: ({ step }: { step: number }) => step === 8 && abort.abort() };
    await expect(trainRun(request("cut", choices, stop))).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    const resumed = await trainRun(request("cut", choices, { resume: true }));
    expect(resumed.kept).toEqual(whole.kept);
    const weights = (out: string): Promise<Buffer> => readFile(join(root, out, "weights.safetensors"));
    expect(await weights("cut")).toEqual(await weights("whole"));
  });

  it("asksForAtLeastTwo", async () => {
    await expect(trainRun(request("one", { bestOf: 1 }))).rejects.toMatchObject({ code: "LG-USAGE-001" });
  });
});
