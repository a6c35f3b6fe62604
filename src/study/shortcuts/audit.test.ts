import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort, openImages, writeCohort, type CohortItem } from "../../cohort/index.ts";
import { toPixels } from "../../imaging/index.ts";
import { fillGaussian, seededRandom } from "../../math/random.ts";
import { auditShortcuts, type Shortcut } from "./audit.ts";
import { judge } from "./verdict.ts";

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-shortcuts-"));
  await makePhantomCohort({ kind: "mass", patients: 80, seed: 3, imageSize: 64, out: join(root, "plain") });
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The same cohort with detector noise on the images of ill patients: what a second, worse device would do. */
async function confounded(): Promise<string> {
  const cohort = await openCohort(join(root, "plain"));
  const target = cohort.target("malignant");
  using store = openImages(cohort, { size: 64, normalise: "none" });
  async function* items(): AsyncGenerator<CohortItem> {
    for (const [i, { file, patientId, split }] of cohort.records.entries()) {
      const data = (await store.read(i)).slice();
      const noise = new Float32Array(data.length);
      fillGaussian(seededRandom(7, i), noise, target.labels[i] === 1 ? 0.03 : 0.002);
      const noisy = data.map((x, p) => x + noise[p]!);
      yield {
        row: { file_name: file, patient_id: patientId, split, malignant: target.labels[i]! },
        image: toPixels({ channels: 1, width: 64, height: 64, data: noisy }),
      };
    }
  }
  const out = join(root, "confounded");
  await writeCohort(out, items());
  return out;
}

describe("auditShortcuts", { timeout: 240_000 }, () => {
  it("aPlantedShortcut_isFoundAndNamed", async () => {
    const report = await auditShortcuts({ cohort: await confounded(), target: "malignant" });
    const noise = report.shortcuts.find(({ name }) => name === "noise")!;
    // The two noise levels do not overlap, so nearly every patient is told apart.
    expect(noise.auroc).toBeGreaterThan(0.95);
    expect(report.verdict).toBe("confounded");
    expect(report.reasons.join(" ")).toMatch(/How the files were made \(noise\) alone predicts the target/);
  });

  it("drawnPatients_haveNone_andTheLesionIsInTheMiddle", async () => {
    const report = await auditShortcuts({ cohort: join(root, "plain"), target: "malignant" });
    expect(report.verdict).not.toBe("confounded");
    const auroc = (name: string) => report.shortcuts.find((s) => s.name === name)!.auroc;
    expect(auroc("only the region")).toBeGreaterThan(auroc("image without the region"));
  });

  it("aRegionOutsideTheImage_isRefused", async () => {
    const region = { x: 0.5, y: 0.5, width: 0.7, height: 0.2 };
    await expect(auditShortcuts({ cohort: join(root, "plain"), target: "malignant", region })).rejects.toThrow(
      expect.objectContaining({ code: "LG-USAGE-001" }),
    );
  });
});

describe("judge", () => {
  const row = (name: string, kind: Shortcut["kind"], auroc: number, half = 0.04): Shortcut => ({
    ...{ name, kind, auroc, low: auroc - half, high: auroc + half, images: 500, patients: 300 },
  });
  const whole = row("whole image", "image", 0.8);
  const options = { restatement: 0.98, regionGiven: true };

  it("aFindingOfTheDisease_isToldButDecidesNothing", () => {
    const { verdict, reasons } = judge([row("margins", "metadata", 0.8), whole], options);
    expect(verdict).toBe("no shortcut found");
    expect(reasons[0]).toContain('"margins"');
  });
  it("aCircumstance_decides", () => {
    expect(judge([row("hospital", "metadata", 0.8), whole], options).verdict).toBe("confounded");
  });
  it("whatIsLeftWithoutTheRegion_decidesOnlyWhereTheRegionWasGiven", () => {
    const rows = [whole, row("image without the region", "image", 0.78)];
    expect(judge(rows, options).verdict).toBe("confounded");
    expect(judge(rows, { ...options, regionGiven: false }).verdict).toBe("no shortcut found");
  });
  it("wideIntervals_areNotTakenForInnocence", () => {
    expect(judge([row("noise", "acquisition", 0.6, 0.2), whole], options).verdict).toBe("too few patients to tell");
  });
});
