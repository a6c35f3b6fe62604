import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort, openImages } from "../cohort/index.ts";
import { encodePng, toPixels } from "../imaging/index.ts";
import { readLedger, readWeights } from "./run-folder.ts";
import { chooseGenerator } from "./synth-settings.ts";
import { synthSample, synthTrain } from "./synth-run.ts";
import { trainRun } from "./train-run.ts";

let dir: string;
const at = (name: string): string => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "synth-"));
  await makePhantomCohort({ kind: "mass", patients: 40, seed: 3, out: at("cohort") });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const base = { target: "malignant", ledger: "" } as const;
const train = (out: string, more: Partial<Parameters<typeof synthTrain>[0]>) =>
  synthTrain({ ...base, cohort: at("cohort"), out: at(out), choices: {}, ...more, ledger: at("ledgers") });

describe("a private generator", () => {
  it("isAccounted_andItsCostFollowsItsImagesIntoAClassifier", async () => {
    const report = await train("private", { choices: { epsilon: 10, delta: 1e-3, imageSize: 32 } });
    expect(report).toMatchObject({ model: "spectral", steps: 1 });
    // One release calibrated to 10 by the closed form.
    expect(report.privacy!.epsilon).toBeGreaterThan(9.99);
    expect(report.privacy!.epsilon).toBeLessThanOrEqual(10);
    expect(report.privacy!.notAccounted).toEqual([]);
    const { verification, entries } = await readLedger(at("private"));
    expect(verification).toEqual({ valid: true, problems: [] });
    expect(entries.map((e) => e.kind)).toEqual(["cohort-opened", "training", "public", "owner-only", "finished"]);

    const sampled = await synthSample({ run: at("private"), perClass: 20, out: at("samples"), seed: 1 });
    expect(sampled).toMatchObject({ images: 40, target: "malignant" });
    const cohort = await openCohort(at("samples"));
    expect(cohort.synthetic).toMatchObject({ model: "spectral", privacy: { epsilon: report.privacy!.epsilon, unit: "patient" } }); // prettier-ignore
    expect(cohort.target("malignant").labels.reduce((a, b) => a + b, 0)).toBe(20);

    const classifier = { cohort: at("samples"), targets: ["malignant"], ledger: at("ledgers") };
    const open = await trainRun({ ...classifier, out: at("classifier"), choices: { model: "mlp", epochs: 1, imageSize: 16 } }); // prettier-ignore
    expect(open.synthetic?.privacy?.epsilon).toBe(report.privacy!.epsilon);
    const own = (await readLedger(at("classifier"))).entries;
    expect(own.some((e) => e.access === "not accounted")).toBe(false);
    expect(own.find((e) => e.kind === "public")?.what).toContain("generator (spectral) cost epsilon");

    // Private fine-tuning on the generator's own patients: both count.
    const tuned = await trainRun({ cohort: at("cohort"), targets: ["malignant"], ledger: at("ledgers"), out: at("tuned"), initFrom: at("classifier"), choices: { model: "mlp", epochs: 1, imageSize: 16, epsilon: 5, delta: 1e-3 } }); // prettier-ignore
    expect(tuned.privacy!.epsilon).toBeGreaterThan(10);
    expect(tuned.privacy!.notAccounted).toEqual([]);
  });

  it("withoutPrivacy_saysSoInEveryPlace", async () => {
    await train("open", { choices: { model: "spectral", imageSize: 32 }, seed: 1 });
    await synthSample({ run: at("open"), perClass: 4, out: at("open-samples"), seed: 1 });
    const { synthetic } = await openCohort(at("open-samples"));
    expect(synthetic).toMatchObject({ privacy: null });
    await trainRun({ cohort: at("open-samples"), targets: ["malignant"], ledger: at("ledgers"), out: at("open-classifier"), choices: { model: "mlp", epochs: 1, imageSize: 16 } }); // prettier-ignore
    const { entries } = await readLedger(at("open-classifier"));
    expect(entries.find((e) => e.access === "not accounted")).toMatchObject({ kind: "not-accounted" });
  });
});

describe("an adversarial generator", () => {
  const choices = { model: "compact", imageSize: 16, epochs: 2, batch: 16 };
  it("leavesSheetsAndAnOnnxModel_andDrawsTheSameImagesFromTheSameSeed", async () => {
    const report = await train("gan", { choices, seed: 1 });
    expect((await readdir(report.sheets!)).length).toBeGreaterThan(1);
    expect((await readFile(join(at("gan"), "model.onnx"))).length).toBeGreaterThan(1000);
    const pixels = await Promise.all(
      ["a", "b"].map(async (name) => {
        await synthSample({ run: at("gan"), perClass: 2, out: at(name), seed: 5 });
        return openImages(await openCohort(at(name)), { size: 16, normalise: "none" }).read(3);
      }),
    );
    expect(pixels[0]).toEqual(pixels[1]);
  });

  it.each([
    ["wgan-gp under privacy", { model: "compact", loss: "wgan-gp", epsilon: 5 }, "LG-USAGE-001"],
    ["BatchNorm under privacy", { model: "mcgan", epsilon: 5 }, "LG-USAGE-001"],
    ["a size it cannot make", { model: "compact", imageSize: 100 }, "LG-USAGE-001"],
    ["a model that is none", { model: "stylegan" }, "LG-USAGE-001"],
    ["steps of a generator that takes none", { model: "spectral", epochs: 5 }, "LG-USAGE-001"],
    ["a loss that is none", { model: "compact", loss: "hinge" }, "LG-USAGE-001"],
  ])("refuses_%s_andLeavesNothing", async (_, wrong, code) => {
    await expect(train("refused", { choices: wrong })).rejects.toMatchObject({ code });
    await expect(readdir(at("refused"))).rejects.toThrow();
  });

  it("anInterruptedRun_isResumedToTheSameGenerator", async () => {
    const how = { choices, seed: 3 };
    await train("uninterrupted", { ...how, ledger: at("ledgers-a") });
    const abort = new AbortController();
    const stopped = train("interrupted", {
      ...how,
      signal: abort.signal,
      onStep: (done) => {
        if (done === 3) abort.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    await train("interrupted", { ...how, resume: true });
    expect(await readWeights(at("interrupted"))).toEqual(await readWeights(at("uninterrupted")));
  });

  it("imagesOfMixedSizes_areBroughtToOne_andADamagedOneIsNamed", async () => {
    await cp(at("cohort"), at("mixed"), { recursive: true });
    const { records } = await openCohort(at("mixed"));
    const first = join(at("mixed"), records.find((r) => r.split === "train")!.file);
    const grey = toPixels({ channels: 1, width: 48, height: 40, data: new Float32Array(48 * 40).fill(0.5) });
    await writeFile(first, await encodePng(grey));
    const report = await train("from-mixed", { cohort: at("mixed"), choices, seed: 1 });
    expect(report.units).toBeGreaterThan(10);
    await writeFile(first, "no image");
    await expect(train("from-damaged", { cohort: at("mixed"), choices, seed: 1 })).rejects.toMatchObject({
      code: expect.stringMatching(/^LG-(IMAGE|COHORT)-/) as string,
    });
    await expect(readdir(at("from-damaged"))).rejects.toThrow();
  });

  it("aClassWithNoImages_isRefused", async () => {
    await expect(train("refused", { target: "malignant=2" })).rejects.toMatchObject({
      code: expect.stringMatching(/^LG-COHORT-01/) as string,
    });
  });

  it("isTakenWithoutItsName_whereStepsAreAskedFor_andSpectralOtherwise", () => {
    const chosen = (more: object) =>
      chooseGenerator(more, { units: 40, images: 80 }, { insecureSeed: true, seed: "1", reproducible: true }).model;
    expect(chosen({})).toBe("spectral");
    expect(chosen({ epsilon: 10 })).toBe("spectral");
    expect(chosen({ epochs: 3 })).toBe("compact");
  });

  it("aClassifiersRun_isNoGenerator", async () => {
    await expect(synthSample({ run: at("classifier"), perClass: 1, out: at("x") })).rejects.toMatchObject({ code: "LG-TRAIN-002" }); // prettier-ignore
  });
});
