import { describe, expect, it } from "vitest";
import { framingOf } from "./framing.ts";
import { parseManifest } from "./manifest.ts";

describe("framingOf", () => {
  // Column names of CBIS-DDSM, LIDC and LUNA16 tables; of NIH, CheXpert and MIMIC-CXR ones.
  it.each([["mass_id"], ["mass shape"], ["lesion-id"], ["nodule_diameter_mm"], ["ROI id"]])(
    "aTableWithColumn_%s_holdsCrops",
    (name) => {
      expect(framingOf(undefined, ["file_name", name])).toMatchObject({ framing: "finding" });
    },
  );
  it.each([["Mass"], ["Nodule"], ["lesion"], ["Lung Lesion"], ["patient_id"], ["massive_id"], ["tumor_stage"]])(
    "aColumn_%s_saysNothing",
    (name) => {
      expect(framingOf(undefined, ["file_name", name])).toBeNull();
    },
  );
  it("cohortYaml_hasTheLastWord", () => {
    expect(framingOf("field", ["file_name", "mass_id"])).toEqual({
      framing: "field",
      from: "framing: field in cohort.yaml",
    });
  });
  it("otherWords_areRefused", () => {
    expect(parseManifest("framing: finding\n", "cohort.yaml").framing).toBe("finding");
    expect(() => parseManifest("framing: crop\n", "cohort.yaml")).toThrow(/framing/);
  });
});
