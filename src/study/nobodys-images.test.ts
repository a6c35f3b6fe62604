import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../cohort/index.ts";
import { readLedger, readWeights } from "./run-folder.ts";
import { synthSample, synthTrain } from "./synth-run.ts";
import { trainRun, type TrainRequest } from "./train-run.ts";

let dir: string;
const at = (name: string): string => join(dir, name);
const spent = 10;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "nobody-"));
  await makePhantomCohort({ kind: "mass", patients: 40, seed: 3, out: at("cohort"), imageSize: 32 });
  const common = { cohort: at("cohort"), target: "malignant", ledger: at("ledgers") };
  const small = { model: "spectral", imageSize: 32 };
  await synthTrain({ ...common, out: at("generator"), choices: { ...small, epsilon: spent, delta: 1e-3 } });
  await synthSample({ run: at("generator"), perClass: 12, out: at("drawn"), seed: 1 });
  await synthTrain({ ...common, out: at("open-generator"), choices: small });
  await synthSample({ run: at("open-generator"), perClass: 12, out: at("open-drawn"), seed: 1 });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const train = (out: string, choices: TrainRequest["choices"], more: Partial<TrainRequest> = {}) =>
  trainRun({
    ...{ cohort: at("cohort"), targets: ["malignant"], out: at(out), ledger: at("ledgers") },
    choices: { model: "texture", epsilon: 2, delta: 1e-3, imageSize: 32, ...choices },
    ...more,
  });

describe("train with synthetic images", () => {
  it("beside_leavesThePlanOfThePatientsAsItIs", async () => {
    const alone = await train("alone", {}, { seed: 1 });
    const beside = await train("beside", { synthetic: at("drawn") }, { seed: 1 });
    expect(beside.units).toBe(alone.units);
    expect(beside.privacy!.noiseMultiplier).toBe(alone.privacy!.noiseMultiplier);
    const [a, b] = [await readWeights(at("alone")), await readWeights(at("beside"))];
    expect(a["head.weight"]).not.toEqual(b["head.weight"]);
  });

  it("aGeneratorOfTheSamePatients_countsIntoTheEpsilon", async () => {
    const { privacy, synthetic } = await train("both", { synthetic: at("drawn"), syntheticUse: "beside" });
    // Epsilons of 10 and 2 compose to no more than their sum, and to more than either.
    expect(privacy!.epsilon).toBeGreaterThan(spent);
    expect(privacy!.epsilon).toBeLessThanOrEqual(spent + 2);
    expect(privacy!.notAccounted).toEqual([]);
    expect(synthetic?.model).toBe("spectral");
  });

  it("aGeneratorWithoutPrivacy_orOfUnknownCost_isNotAccounted", async () => {
    const open = await train("with-open", { synthetic: at("open-drawn"), syntheticUse: "pool" });
    expect(open.privacy!.notAccounted.join()).toContain("without privacy");
    await rm(join(at("open-drawn"), "cohort.yaml"));
    const unknown = await train("with-unknown", { synthetic: at("open-drawn"), syntheticUse: "pool" });
    expect(unknown.privacy!.notAccounted.join()).toContain("nothing says who drew them");
    const { entries } = await readLedger(at("with-unknown"));
    expect(entries.some((e) => e.access === "not accounted")).toBe(true);
  });

  it("aStoppedRun_goesOnWithTheSameImages_andRefusesOthers", async () => {
    const choices = { synthetic: at("drawn"), syntheticUse: "beside", syntheticWeight: 0.5 } as const;
    const whole = await train("whole", choices, { seed: 2, ledger: at("ledgers-a") });
    const abort = new AbortController();
    const stopped = train("stopped", choices, {
      ...{ seed: 2, signal: abort.signal, ledger: at("ledgers-b") },
      onStep: ({ step }) => {
        if (step === 30) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    const table = await readFile(join(at("drawn"), "metadata.csv"), "utf8");
    await writeFile(join(at("drawn"), "metadata.csv"), `${table}\n`.replace(",1,", ",0,"));
    const resume = () => train("stopped", choices, { seed: 2, resume: true, ledger: at("ledgers-b") });
    await expect(resume()).rejects.toMatchObject({ code: "LG-TRAIN-002" });
    await writeFile(join(at("drawn"), "metadata.csv"), table);
    const resumed = await resume();
    expect(resumed.steps).toBe(whole.steps);
    expect(await readWeights(at("stopped"))).toEqual(await readWeights(at("whole")));
  });

  it("optionsWithoutImages_areRefused", async () => {
    await expect(train("x", { syntheticUse: "pool" })).rejects.toMatchObject({ code: "LG-USAGE-001" });
    await expect(train("x", { synthetic: at("drawn"), syntheticUse: "pool", syntheticWeight: 2 })).rejects.toMatchObject({ code: "LG-USAGE-001" }); // prettier-ignore
  });
});
