import { describe, expect, it } from "vitest";
import { chooseSettings, type TrainingChoices } from "./settings.ts";

const size = { units: 578, images: 1104 };
const choose = (choices: TrainingChoices) => chooseSettings({ epsilon: 8, delta: 1e-4, ...choices }, size, false);
const withCode = (code: string) => expect.objectContaining({ code });

describe("sampling and clipping of a private training", () => {
  it("byDefault_everyPatientIsInEveryStepOfTheLinearModel, and clipping is flat", () => {
    const { plan } = choose({});
    expect(plan).toMatchObject({
      relation: "add-or-remove-one",
      sampling: { kind: "full", probability: 1 },
      clipping: { kind: "flat", norm: 1 },
      steps: 100,
      expectedBatchSize: 578,
    });
  });

  it("samplingIsPlannedAsAsked", () => {
    expect(choose({ sampling: "poisson", batch: 64 }).plan!.sampling).toEqual({
      kind: "poisson",
      probability: 64 / 578,
    });
    // Ten batches of 64 hold 578 patients.
    const shuffled = choose({ sampling: "shuffle", relation: "replace", batch: 64, epochs: 5 }).plan!;
    expect(shuffled).toMatchObject({
      relation: "replace-one",
      sampling: { kind: "shuffle", batchSize: 64, cohortSize: 578 },
      steps: 50,
      accountant: "gaussian",
    });
    expect(choose({ sampling: "full", relation: "replace" }).plan!.relation).toBe("replace-one");
  });

  it("clippingIsPlannedAsAsked_withThePublicBatchSize", () => {
    expect(choose({ clipping: "per-layer", clipNorm: 2 }).plan!.clipping).toEqual({ kind: "per-layer", norm: 2 });
    expect(choose({ clipping: "adaptive" }).plan!.clipping).toMatchObject({ kind: "adaptive", countNoise: 578 / 20 });
    expect(choose({ clipping: "automatic" }).reasons.join("\n")).toContain("small ones too");
  });

  it.each<[string, TrainingChoices, string]>([
    ["shuffled batches where a patient is added or removed", { sampling: "shuffle" }, "LG-PRIVACY-005"],
    ["full batches of part of the patients", { sampling: "full", batch: 64 }, "LG-USAGE-001"],
    ["a cap without truncation", { sampling: "poisson", batchCap: 100 }, "LG-USAGE-001"],
    ["a cap that is not whole", { sampling: "truncated-poisson", batchCap: 1.5 }, "LG-USAGE-001"],
    ["a sampling without epsilon", { sampling: "full", epsilon: undefined, delta: undefined }, "LG-USAGE-001"],
    ["a clipping without epsilon", { clipping: "flat", epsilon: undefined, delta: undefined }, "LG-USAGE-001"],
    ["a relation without epsilon", { relation: "replace", epsilon: undefined, delta: undefined }, "LG-USAGE-001"],
  ])("refuses %s", (_, choices, code) => {
    expect(() => choose(choices)).toThrow(withCode(code));
  });
});
