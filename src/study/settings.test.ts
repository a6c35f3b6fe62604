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

  it("aCap_isChosenSoThatItIsHardlyEverMet, and accounted as one", () => {
    const { plan } = choose({ sampling: "truncated-poisson", batch: 64, epochs: 1 });
    expect(plan).toMatchObject({ accountant: "pld", sampling: { kind: "truncated-poisson", cohortSize: 578 } });
    const { cap } = plan!.sampling as { cap: number };
    // P(Binomial(578, 64 / 578) > 100) = 3.0e-6 and P(> 115) = 2.2e-10 (scipy.stats.binom.sf); nine steps at delta 1e-4
    // may meet the cap with probability 1e-7 in all.
    expect(cap).toBeGreaterThan(100);
    expect(cap).toBeLessThan(150);
    expect(choose({ sampling: "truncated-poisson", batch: 64, epochs: 1, batchCap: 90 }).plan!.sampling).toMatchObject({
      cap: 90,
    });
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

describe("profile reference", () => {
  const reference = (choices: TrainingChoices) => chooseSettings({ profile: "reference", ...choices }, size, false);

  // The published code of Tayebi Arasteh et al. 2024: config.yaml, main_2D_DP.py and data_provider_UKA.py.
  it("isAsTheStudyTrained_privately", () => {
    const chosen = reference({ epsilon: 1 });
    expect(chosen).toMatchObject({
      architecture: "resnet9-reference",
      imageSize: 512,
      unit: "image",
      channels: 3,
      preparation: "reference",
      mirror: false,
      augmentation: {},
      optimiser: { name: "nadam", learningRate: 2e-4 },
      schedule: { kind: "constant" },
      averaging: null,
      epochs: 100,
    });
    expect(chosen.plan).toMatchObject({ clipping: { kind: "flat", norm: 1.5 }, delta: 1e-6 });
    // Counting labels takes a part of epsilon 1.
    expect(chosen.plan!.target!.epsilon).toBeLessThan(1);
    // 578 / 128 is four whole batches, so each unit joins with probability 1 / 4; 144.5 units on average, in whole ones.
    expect(chosen.plan!.sampling).toEqual({ kind: "poisson", probability: 145 / 578 });
    expect(chosen.noise!.labelCounts).toBeGreaterThan(0);
  });
  it("withoutPrivacy_mirrorsHalfTheImages_inBatchesOf32", () => {
    const chosen = reference({});
    expect(chosen).toMatchObject({ batchSize: 32, variants: 2, plan: null, loss: { kind: "binary" } });
    expect(chosen.loss).not.toHaveProperty("labelSmoothing");
  });
  it("givesWayToWhatIsChosen_andSaysWhatItsUnitMeans", () => {
    const chosen = reference({ epsilon: 1, unit: "patient", imageSize: 256, clipNorm: 1 });
    expect(chosen).toMatchObject({ unit: "patient", imageSize: 256, plan: { clipping: { norm: 1 } } });
    expect(reference({ epsilon: 1 }).reasons.join()).toContain("k times this epsilon");
  });
});

describe("the model of a private training", () => {
  const chosen = (framing: "finding" | "field" | null, choices: TrainingChoices = {}) =>
    chooseSettings(
      { epsilon: 8, delta: 1e-4, ...choices },
      { ...size, framing: framing && { framing, from: "cohort.yaml" } },
      false,
    );
  it("isRings_whereTheSchemaSaysThatImagesAreCrops", () => {
    expect(chosen("finding").architecture).toBe("rings");
    expect(chosen("finding").reasons.join()).toContain("cohort.yaml");
    expect(chosen("finding", { model: "texture" }).architecture).toBe("texture");
  });
  it("isTexture_whereItSaysNothing_withAWordOnHowToSayIt", () => {
    expect(chosen("field").architecture).toBe("texture");
    expect(chosen(null).architecture).toBe("texture");
    expect(chosen(null).reasons.join()).toContain("framing: finding");
  });
  it("withoutPrivacy_isTheSameEitherWay", () => {
    const open = (framing: "finding" | null) =>
      chooseSettings({}, { ...size, framing: framing && { framing, from: "x" } }, false).architecture;
    expect(open("finding")).toBe(open(null));
  });
});
