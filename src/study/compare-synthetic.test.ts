import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../cohort/index.ts";
import { compareSynthetic, type CompareSyntheticReport, type SyntheticArm } from "./compare-synthetic.ts";
import { pooled, planStrategy, strategies } from "./strategies.ts";
import { synthSample, synthTrain } from "./synth-run.ts";

let dir: string;
const at = (name: string): string => join(dir, name);
const request = (out: string) => ({
  ...{ cohort: at("cohort"), synthetic: at("drawn"), target: "malignant", out: at(out), model: "texture" },
  ...{ epsilons: [8], delta: 1e-3, seeds: 1 },
});
let report: CompareSyntheticReport;
const arm = (name: string, epsilon: number | null = 8): SyntheticArm =>
  report.arms.find((a) => a.name === name && a.epsilon === epsilon)!;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "strategies-"));
  await makePhantomCohort({ kind: "mass", patients: 60, seed: 5, out: at("cohort"), difficulty: 0.2, imageSize: 32 });
  await synthTrain({ cohort: at("cohort"), target: "malignant", out: at("generator"), choices: { model: "spectral", imageSize: 32 }, ledger: at("ledgers"), seed: 1 }); // prettier-ignore
  await synthSample({ run: at("generator"), perClass: 30, out: at("drawn"), seed: 1 });
  report = await compareSynthetic(request("compared"));
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("compareSynthetic", () => {
  it("hasEveryStrategy_withoutPrivacyAndAtEachEpsilon", () => {
    const names = strategies.map(({ name }) => name);
    expect(report.arms.filter((a) => a.epsilon === 8).map((a) => a.name)).toEqual(names);
    expect(report.arms.filter((a) => a.epsilon === null).map((a) => a.name)).toEqual(names.slice(0, 8));
    for (const { test, privacy, epsilon } of report.arms) {
      expect(test.each).toHaveLength(1);
      expect(test.value).toBeGreaterThan(0);
      expect(privacy === null).toBe(epsilon === null);
    }
  });
  it("privateArms_costWhatWasAskedFor_andTheMatchedControlLess", () => {
    for (const { name, privacy } of report.arms.filter((a) => a.epsilon === 8)) {
      expect(privacy!.epsilon).toBeLessThanOrEqual(8);
      if (!name.endsWith("equal noise and steps")) expect(privacy!.epsilon).toBeGreaterThan(7.5);
    }
    const [alone, matched] = [arm("real only, sampled"), arm("one pool, sampled, equal noise and steps")];
    expect(matched).toMatchObject({ steps: alone.steps, privacy: { noiseMultiplier: alone.privacy!.noiseMultiplier } });
    expect(matched.privacy!.epsilon).toBeLessThan(alone.privacy!.epsilon);
    // As in the paper: more units, so that each draw is rarer, the noise less and the steps more.
    const pool = arm("one pool, sampled");
    expect(pool.units).toBe(alone.units + 60);
    expect(pool.steps).toBeGreaterThan(alone.steps);
    expect(pool.privacy!.samplingProbability).toBeLessThan(alone.privacy!.samplingProbability);
  });
  it("aGeneratorWithoutPrivacy_isSaidToBeNotAccounted", () => {
    expect(report.generator).toContain("NOT ACCOUNTED");
  });
  it("differences_areToTheArmOnRealImagesOfTheSameBudget", () => {
    expect(arm("real only", null)).toMatchObject({ against: null, test: { difference: null } });
    for (const epsilon of [null, 8]) {
      const [own, other] = [arm("one pool", epsilon).test, arm("real only", epsilon).test];
      expect(own.difference!.value).toBeCloseTo(own.value! - other.value!, 10);
    }
  });
  it("aFinishedComparison_isReadAndNotRepeated_andAnotherOneIsRefused", async () => {
    const kept = await readFile(report.results, "utf8");
    expect(await compareSynthetic(request("compared"))).toEqual(report);
    expect(await readFile(report.results, "utf8")).toBe(kept);
    await expect(compareSynthetic({ ...request("compared"), seeds: 2 })).rejects.toMatchObject({ code: "LG-TRAIN-002" }); // prettier-ignore
  });
  it("aStoppedComparison_goesOn_andEndsTheSame", async () => {
    const abort = new AbortController();
    const stopped = compareSynthetic({
      ...{ ...request("again"), epsilons: [] },
      signal: abort.signal,
      onProgress: (stage, done) => {
        if (stage === "training" && done === 3) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    const { arms } = await compareSynthetic({ ...request("again"), epsilons: [] });
    expect(arms).toEqual(report.arms.filter((a) => a.epsilon === null));
  }, 60_000);
});

describe("pooled", () => {
  it("rowsOfBoth_comeFromWhereTheyBelong_inAnyOrder", async () => {
    const of = (images: number, value: number) => ({
      units: Array.from({ length: images }, (_, i) => [i]),
      targets: new Float32Array(images).fill(value),
      known: new Float32Array(images).fill(1),
      outputs: 1,
      rowShape: [2],
      variants: 1 as const,
      load: (requests: readonly { image: number }[], out: Float32Array) =>
        Promise.resolve(requests.forEach(({ image }, i) => out.fill(value + image, 2 * i, 2 * i + 2))),
    });
    const both = pooled(of(3, 10), of(2, 20));
    expect(both.units).toEqual([[0], [1], [2], [3], [4]]);
    expect(Array.from(both.targets)).toEqual([10, 10, 10, 20, 20]);
    const out = new Float32Array(6);
    await both.load([4, 0, 3].map((image) => ({ image, variant: 0 })), out); // prettier-ignore
    expect(Array.from(out)).toEqual([21, 21, 10, 10, 20, 20]);
  });
});

describe("planStrategy", () => {
  const sizes = { patient: { units: 578, images: 1104 }, image: { units: 1104, images: 1104 } };
  const plan = (name: string, epsilon = 6) =>
    planStrategy(
      strategies.find((s) => s.name === name)!,
      { choices: { model: "rings", epsilon, delta: 1e-4 }, sizes, synthetic: 3000, weight: 1, seed: "1" },
    ).chosen.plan!; // prettier-ignore
  it("samplesAsThePaperDoes", () => {
    // Section 3 of the paper's code: batches of 128 of 1,104 real images, or of 4,104 with the synthetic ones.
    expect(plan("real only, sampled").sampling).toEqual({ kind: "poisson", probability: 128 / 1104 });
    expect(plan("one pool, sampled").sampling).toEqual({ kind: "poisson", probability: 128 / 4104 });
    expect(plan("one pool, sampled").noiseMultiplier).toBeLessThan(0.7 * plan("real only, sampled").noiseMultiplier);
  });
  it("ofPatientsInFullBatches_hasTheSameNoiseWithAndWithoutSyntheticImages", () => {
    expect(plan("one pool").noiseMultiplier).toBe(plan("real only").noiseMultiplier);
    expect(plan("one pool").steps).toBe(plan("real only").steps);
    expect(plan("beside the pool")).toEqual(plan("real only"));
  });
});
