import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { checkCohort } from "./check.ts";
import { openCohort } from "./cohort.ts";
import { openImages } from "./images.ts";

const data = process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../../shared/data");
const cbis = join(data, "cbis-ddsm-masses");
const chest = join(data, "nih-cxr-256");

describe.skipIf(!existsSync(cbis))(
  "real mammographic masses (skipped where LEADGLASS_DATA or ../shared/data is absent)",
  () => {
    it("check_findsThePublishedCounts_andNothingWrong", async () => {
      const check = await checkCohort(cbis);
      // The data set's own description: 1,492 images of 783 patients; benign + malignant by split.
      expect(check).toMatchObject({ images: 1492, patients: 783, unreadable: 0, problems: [] });
      const of = (split: string, value: string) =>
        check.counts.find((c) => c.by === "malignant" && c.split === split && c.value === value)!.images;
      expect(["train", "val", "test"].map((split) => [of(split, "0"), of(split, "1")])).toEqual([
        [579, 525],
        [90, 102],
        [121, 75],
      ]);
    });
  },
);

describe.skipIf(!existsSync(chest))("real chest radiographs (skipped where absent)", () => {
  it("openAndRead_textTarget_andNormalisedPixels", async () => {
    const cohort = await openCohort(chest);
    // The data set's own description: 809 images of 550 patients, 396 with pneumonia.
    expect([cohort.records.length, cohort.patients, cohort.target("Pneumonia").positives]).toEqual([809, 550, 396]);
    // 382 images of women, 427 of men, counted with awk on the column (cut -d, -f6).
    expect(cohort.target("sex=F")).toMatchObject({ positives: 382, negatives: 427, missing: 0 });
    using store = openImages(cohort, { size: 64 });
    const batch = await store.readBatch([0, 400, 808]);
    expect(batch).toHaveLength(3 * 64 * 64);
    expect(batch.every(Number.isFinite)).toBe(true);
  });
});
