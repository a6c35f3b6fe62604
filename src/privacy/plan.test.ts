import { describe, expect, it } from "vitest";
import { accountantNamed } from "./accountant.ts";
import { clippingKinds } from "./clipping.ts";
import { gaussianEpsilon } from "./gaussian.ts";
import { expectedBatchSize, parsePlan, planPrivateTraining, type PlanOptions, spent } from "./plan.ts";
import { expectedShare } from "./sampling.ts";

const options: PlanOptions = {
  target: { epsilon: 8, delta: 1e-4 },
  unit: "patient",
  relation: "add-or-remove-one",
  sampling: { kind: "poisson", probability: 1 / 9 },
  clipping: { kind: "flat", norm: 1 },
  steps: 450,
};
const withCode = (code: string) => expect.objectContaining({ code });

describe("planPrivateTraining", () => {
  it("calibratesTheNoise_soThatTheWholeRunCostsAtMostTheTarget", () => {
    const plan = planPrivateTraining(options);
    expect(plan.epsilon.upper).toBeLessThanOrEqual(8);
    expect(plan.epsilon.upper).toBeGreaterThan(8 * 0.9999);
    const event = { kind: "poisson-gaussian", samplingProbability: 1 / 9, steps: 450 } as const;
    const { noiseMultiplier } = plan;
    expect(accountantNamed("rdp").epsilon([{ ...event, noiseMultiplier }], 1e-4)).toEqual(plan.epsilon);
  });

  it("statesTheCostOfAChosenNoise", () => {
    // Opacus 4d0ebc8 accountants_test.py::test_rdp_accountant: 7.32911117143.
    const plan = planPrivateTraining({
      noiseMultiplier: 1.5,
      delta: 1e-5,
      sampling: { kind: "poisson", probability: 0.04 },
      clipping: { kind: "flat", norm: 2 },
      steps: 2250,
    });
    expect(plan.epsilon.upper).toBeCloseTo(7.32911117143, 9);
    expect(plan).toMatchObject({ unit: "patient", relation: "add-or-remove-one", target: null, insecureSeed: false });
  });

  it("fullBatches_areAccountedExactlyUnlessAskedOtherwise", () => {
    const full: PlanOptions = { ...options, sampling: { kind: "poisson", probability: 1 } };
    const plan = planPrivateTraining(full);
    expect(plan.accountant).toBe("gaussian");
    expect(plan.noiseMultiplier).toBeLessThan(planPrivateTraining({ ...full, accountant: "rdp" }).noiseMultiplier);
  });

  it("replaceOne_needsMoreNoise", () => {
    const plan = planPrivateTraining({ ...options, relation: "replace-one" });
    expect(plan.noiseMultiplier).toBeGreaterThan(1.5 * planPrivateTraining(options).noiseMultiplier);
    expect(plan.epsilon.upper).toBeLessThanOrEqual(8);
  });

  it("isAValue: JSON brings back the same plan", () => {
    const plan = planPrivateTraining({ ...options, publicCohortSize: 579 });
    expect(parsePlan(JSON.stringify(plan))).toEqual(plan);
    expect(parsePlan(structuredClone(plan))).toEqual(plan);
  });

  it.each<[string, Partial<PlanOptions>, string]>([
    ["epsilon of 0", { target: { epsilon: 0, delta: 1e-4 } }, "LG-PRIVACY-001"],
    ["delta of 1", { target: { epsilon: 8, delta: 1 } }, "LG-PRIVACY-001"],
    ["clipping norm of 0", { clipping: { kind: "flat", norm: 0 } }, "LG-PRIVACY-001"],
    ["no step", { steps: 0 }, "LG-PRIVACY-001"],
    ["probability above 1", { sampling: { kind: "poisson", probability: 1.5 } }, "LG-PRIVACY-001"],
    ["neither target nor noise", { target: undefined }, "LG-PRIVACY-001"],
    ["noise but no delta", { target: undefined, noiseMultiplier: 1 }, "LG-PRIVACY-001"],
    ["target and noise", { noiseMultiplier: 1 }, "LG-PRIVACY-005"],
    ["no probability", { sampling: undefined }, "LG-PRIVACY-001"],
    ["public numbers that disagree", { expectedBatchSize: 64, publicCohortSize: 1000 }, "LG-PRIVACY-005"],
  ])("refuses %s", (_, change, code) => {
    expect(() => planPrivateTraining({ ...options, ...change })).toThrow(withCode(code));
  });
});

describe("the sampling of a plan", () => {
  it("full_isEveryUnitInEveryStep_andCostsWhatPoissonWithProbability1Costs", () => {
    const full = planPrivateTraining({ ...options, sampling: { kind: "full" }, publicCohortSize: 579 });
    const poisson = planPrivateTraining({ ...options, sampling: { kind: "poisson", probability: 1 } });
    expect(full).toMatchObject({ accountant: "gaussian", expectedBatchSize: 579, publicCohortSize: 579 });
    expect(full.noiseMultiplier).toBe(poisson.noiseMultiplier);
    expect(parsePlan(JSON.stringify(full))).toEqual(full);
  });

  const shuffled: PlanOptions = {
    ...options,
    relation: "replace-one",
    sampling: { kind: "shuffle", batchSize: 64, cohortSize: 600 },
    steps: 45,
  };

  it("shuffledBatches_areRefusedWhereUnitsAreAddedOrRemoved", () => {
    expect(() => planPrivateTraining({ ...shuffled, relation: "add-or-remove-one" })).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-005", exitCode: 4 }),
    );
  });

  it("shuffledBatches_costOneUnamplifiedReleaseOfTwiceTheNormForEachPassBegun", () => {
    // 600 units in batches of 64 are 10 batches a pass, so 45 steps begin 5 passes: mu = 2 sqrt(5) / z.
    const plan = planPrivateTraining({ ...shuffled, target: undefined, noiseMultiplier: 3, delta: 1e-5 });
    expect(plan.epsilon.upper).toBeCloseTo(gaussianEpsilon(3 / (2 * Math.sqrt(5)), 1e-5), 10);
    expect(plan).toMatchObject({ accountant: "gaussian", expectedBatchSize: 64, publicCohortSize: 600 });
    // The first step of a pass pays for the whole pass.
    expect(spent(plan, 1)).toEqual(spent(plan, 10));
    expect(spent(plan, 11).upper).toBeGreaterThan(spent(plan, 10).upper);
    expect(spent(plan, 45)).toEqual(plan.epsilon);
    expect(parsePlan(JSON.stringify(plan))).toEqual(plan);
    // An order that nobody may rely on hides nobody: far more than Poisson sampling of the same size.
    const poisson = planPrivateTraining({ ...shuffled, sampling: { kind: "poisson", probability: 64 / 600 } });
    expect(planPrivateTraining(shuffled).noiseMultiplier).toBeGreaterThan(poisson.noiseMultiplier);
  });

  it("truncatedBatches_areAccountedAsTruncated", () => {
    const of = (cap: number) =>
      planPrivateTraining({
        noiseMultiplier: 1,
        delta: 1e-5,
        sampling: { kind: "truncated-poisson", probability: 0.05, cap },
        clipping: { kind: "flat", norm: 1 },
        publicCohortSize: 1000,
        steps: 50,
      });
    const { epsilon } = planPrivateTraining({
      noiseMultiplier: 1,
      delta: 1e-5,
      sampling: { kind: "poisson", probability: 0.05 },
      clipping: { kind: "flat", norm: 1 },
      steps: 50,
      accountant: "pld",
    });
    const [roomy, tight] = [of(150), of(60)];
    expect(roomy).toMatchObject({ accountant: "pld", expectedBatchSize: 50, publicCohortSize: 1000 });
    expect(parsePlan(JSON.stringify(roomy))).toEqual(roomy);
    // A cap 14 deviations above the mean of 50 costs nothing that can be seen; one at 1.5 deviations a good deal more.
    expect(Math.abs(roomy.epsilon.upper / epsilon.upper - 1)).toBeLessThan(0.005);
    expect(tight.epsilon.upper).toBeGreaterThan(1.1 * epsilon.upper);
    // The other accountants say that they cannot.
    for (const accountant of ["rdp", "gaussian"] as const)
      expect(() => planPrivateTraining({ ...options, sampling: roomy.sampling, accountant })).toThrow(
        withCode("LG-PRIVACY-004"),
      );
  });

  it("truncatedBatches_areCalibrated", () => {
    const plan = planPrivateTraining({
      target: { epsilon: 3, delta: 1e-5 },
      sampling: { kind: "truncated-poisson", probability: 0.05, cap: 70 },
      clipping: { kind: "flat", norm: 1 },
      publicCohortSize: 1000,
      steps: 10,
    });
    expect(plan.epsilon.upper).toBeLessThanOrEqual(3);
    expect(plan.epsilon.upper).toBeGreaterThan(2.99);
  });

  it.each<[string, Partial<PlanOptions>, string]>([
    [
      "a batch size that is not whole",
      { sampling: { kind: "shuffle", batchSize: 1.5, cohortSize: 10 } },
      "LG-PRIVACY-001",
    ],
    ["no cohort size", { sampling: { kind: "shuffle", batchSize: 64 } }, "LG-PRIVACY-001"],
    ["two batch sizes", { expectedBatchSize: 32 }, "LG-PRIVACY-005"],
    ["two cohort sizes", { publicCohortSize: 599 }, "LG-PRIVACY-005"],
  ])("refuses shuffled batches with %s", (_, change, code) => {
    expect(() => planPrivateTraining({ ...shuffled, ...change })).toThrow(withCode(code));
  });
});

describe("the clipping of a plan", () => {
  it("isCompletedWithThePublishedNumbers", () => {
    const of = (clipping: PlanOptions["clipping"]) =>
      planPrivateTraining({ ...options, publicCohortSize: 900, clipping }).clipping;
    expect(of({ kind: "per-layer", norm: 2 })).toEqual({ kind: "per-layer", norm: 2 });
    // arXiv 2206.07136: gamma 0.01.
    expect(of({ kind: "automatic", norm: 1 })).toEqual({ kind: "automatic", norm: 1, gamma: 0.01 });
    // arXiv 1905.03871: quantile 0.5, rate 0.2; the count noise is a twentieth of the batch of 100, or 2.5 z.
    const { noiseMultiplier } = planPrivateTraining(options);
    const countNoise = Math.max(5, 2.5 * noiseMultiplier);
    expect(of({ kind: "adaptive", norm: 1 })).toEqual({
      kind: "adaptive",
      norm: 1,
      quantile: 0.5,
      rate: 0.2,
      countNoise,
    });
  });

  it("costsTheSame_whateverItsKind", () => {
    // The noise multiplier is that of everything a step releases, so the accountant never asks for the clipping.
    const costs = clippingKinds.map(
      (kind) => planPrivateTraining({ ...options, publicCohortSize: 900, clipping: { kind, norm: 1 } }).epsilon,
    );
    for (const cost of costs) expect(cost).toEqual(costs[0]);
  });

  it("survivesJson_andIsRefusedWhereACountWouldCostMoreThanTheWholeStep", () => {
    for (const kind of clippingKinds) {
      const plan = planPrivateTraining({ ...options, publicCohortSize: 900, clipping: { kind, norm: 1 } });
      expect(parsePlan(JSON.stringify(plan))).toEqual(plan);
    }
    const adaptive = planPrivateTraining({
      ...options,
      publicCohortSize: 900,
      clipping: { kind: "adaptive", norm: 1 },
    });
    const countNoise = 0.5 * adaptive.noiseMultiplier;
    const edited = { ...adaptive, clipping: { ...adaptive.clipping, countNoise } };
    expect(() => parsePlan(edited)).toThrow(withCode("LG-PRIVACY-005"));
    expect(() => planPrivateTraining({ ...options, clipping: { kind: "adaptive", norm: 1 } })).toThrow(
      withCode("LG-PRIVACY-001"),
    );
  });
});

describe("expectedBatchSize", () => {
  it("followsFromThePublicCohortSize_orGivesTheProbability", () => {
    expect(planPrivateTraining({ ...options, publicCohortSize: 579 }).expectedBatchSize).toBeCloseTo(579 / 9, 12);
    const plan = planPrivateTraining({
      ...options,
      sampling: { kind: "poisson" },
      expectedBatchSize: 64,
      publicCohortSize: 576,
    });
    expect(expectedShare(plan.sampling)).toBeCloseTo(1 / 9, 15);
    expect(expectedBatchSize(plan)).toBe(64);
    expect(expectedBatchSize(plan, 576)).toBeCloseTo(64, 12);
  });

  it("isNeverGuessed", () => {
    const plan = planPrivateTraining(options);
    expect(() => expectedBatchSize(plan)).toThrow(withCode("LG-PRIVACY-001"));
    expect(expectedBatchSize(plan, 900)).toBeCloseTo(100, 12);
    expect(() => expectedBatchSize(planPrivateTraining({ ...options, publicCohortSize: 579 }), 600)).toThrow(
      withCode("LG-PRIVACY-005"),
    );
  });
});

describe("spent", () => {
  it("startsAtNothing_grows_andEndsAtThePlansEpsilon", () => {
    const plan = planPrivateTraining(options);
    expect(spent(plan, 0)).toEqual({ upper: 0, lower: 0 });
    let before = 0;
    for (const steps of [1, 10, 100, 300, 449]) {
      const { upper } = spent(plan, steps);
      expect(upper).toBeGreaterThan(before);
      before = upper;
    }
    expect(spent(plan, 450)).toEqual(plan.epsilon);
  });

  it("stopsHardAtTheLastStep", () => {
    const plan = planPrivateTraining(options);
    expect(() => spent(plan, 451)).toThrow(expect.objectContaining({ code: "LG-PRIVACY-002", exitCode: 4 }));
    expect(() => spent(plan, -1)).toThrow(withCode("LG-PRIVACY-001"));
  });
});

describe("parsePlan", () => {
  const plan = planPrivateTraining({ ...options, publicCohortSize: 579 });

  it.each([
    ["less noise", { noiseMultiplier: plan.noiseMultiplier * 0.9 }],
    ["more steps", { steps: 900 }],
    ["a larger probability", { sampling: { kind: "poisson", probability: 0.2 } }],
    ["a smaller stated cost", { epsilon: { upper: 4, lower: null } }],
    ["another delta", { delta: 1e-3 }],
    ["another relation", { relation: "replace-one" }],
    ["a smaller target", { target: { epsilon: 4, delta: 1e-4 } }],
    ["a divisor that does not fit", { expectedBatchSize: 10 }],
    ["less noise with the cost to match", planPrivateTraining({ ...options, target: { epsilon: 9, delta: 1e-4 } }), 8],
  ])("refuses a plan edited to %s", (_, edit, targetEpsilon?) => {
    const edited = { ...plan, ...edit };
    if (targetEpsilon !== undefined) edited.target = { epsilon: targetEpsilon as number, delta: 1e-4 };
    expect(() => parsePlan(edited)).toThrow(withCode("LG-PRIVACY-005"));
  });

  it.each([
    ["text that is not JSON", "{"],
    ["nothing", null],
    ["a later version", { ...plan, version: 2 }],
    ["an unknown field", { ...plan, extra: 1 }],
    ["a missing field", { ...plan, clipping: undefined }],
    ["a number in quotes", { ...plan, noiseMultiplier: "1" }],
  ])("refuses %s", (_, value) => {
    expect(() => parsePlan(value)).toThrow(withCode("LG-PRIVACY-006"));
  });
});
