import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCohort } from "../src/cohort/index.ts";
import { gaussianEpsilon } from "../src/privacy/index.ts";
import { makePhantomCohort, trainRun } from "../src/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leadglass-"));
  await makePhantomCohort({ kind: "mass", patients: 40, seed: 1, out: join(folder, "cohort") });
});
afterAll(() => rm(folder, { recursive: true }));

const trained = (unit: "patient" | "image") =>
  trainRun({
    cohort: join(folder, "cohort"),
    targets: ["malignant"],
    out: join(folder, unit),
    ledger: join(folder, `ledger-${unit}`),
    choices: { epsilon: 8, delta: 1e-3, unit, epochs: 5 },
    seed: 1,
  });

describe("what a plan for images comes to for a whole patient", () => {
  it("isThatOfTheSumMovedAsManyTimesAsFar_andForTheOwnerAlone", async () => {
    const { wholePatient, ownerOnly, privacy, steps } = await trained("image");
    const cohort = await openCohort(join(folder, "cohort"));
    const most = Math.max(...cohort.patientsOf("train").map(({ images }) => images.length));
    expect(most).toBeGreaterThan(1);
    expect(wholePatient!.imagesPerPatient).toBe(most);
    // Full batches: T steps of noise s, moved by k clipping norms, are one Gaussian of noise s / (k sqrt(T)).
    const expected = gaussianEpsilon(privacy!.noiseMultiplier / (most * Math.sqrt(steps)), 1e-3);
    expect(wholePatient!.epsilon! / expected).toBeCloseTo(1, 9);
    expect(ownerOnly).toContain("wholePatient");
  });

  it("isNotAsked_wherePatientsAreTheUnits", async () => {
    expect((await trained("patient")).wholePatient).toBeNull();
  });
});
