/** Training on CT volumes from end to end: on a drawn cohort, and its models on real volumes. */
import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort } from "../src/cohort/index.ts";
import { decodeModel } from "../src/graph/index.ts";
import { decodeNifti, encodeNifti, resampleVolume, toVolume, volumeTensor } from "../src/imaging/index.ts";
import { evaluateRun, predictRun } from "../src/study/evaluate-run.ts";
import { readFinishedRun } from "../src/study/run-folder.ts";
import type { TrainingChoices } from "../src/study/settings.ts";
import { trainRun } from "../src/study/train-run.ts";
import { defaultVolumeInput } from "../src/study/volume-input.ts";
import { temporaryFolder } from "./support/cli.ts";

const root = await temporaryFolder();
const at = (...names: string[]): string => join(root, ...names);
const small = { volumeShape: "8,10,12", spacing: "12" };

const train = (out: string, choices: TrainingChoices, more: object = {}) =>
  trainRun({ cohort: at("cohort"), targets: ["lesion"], out: at(out), choices, seed: 1, ...more });

beforeAll(async () => {
  await makePhantomCohort({ kind: "volume", patients: 40, seed: 3, imageSize: 32, out: at("cohort") });
  await makePhantomCohort({ kind: "mass", patients: 20, seed: 3, imageSize: 32, out: at("masses") });
});

describe("a cohort of volumes", () => {
  it("aPrivateTrainingWithoutFurtherFlags_saysWhatItChose_andLeavesARunThatIsEvaluated", async () => {
    const report = await train("private", { epsilon: 8 });
    expect(report).toMatchObject({ model: "tissue", privacy: { unit: "patient" } });
    expect(report.privacy!.epsilon).toBeLessThanOrEqual(8);
    expect(report.reasons.some((line) => line.includes("16 x 20 x 24 voxels"))).toBe(true);
    const run = await readFinishedRun(at("private"));
    expect(run).toMatchObject({ imageSize: null, volume: defaultVolumeInput, mirror: false });
    const { inputs } = decodeModel(await readFile(at("private", "model.onnx")));
    expect(inputs.map((v) => v.shape)).toEqual([[1, 1, 16, 20, 24]]);
    const groups = ["sex", "age:18,40,60,75"];
    const { report: evaluated } = await evaluateRun({
      run: at("private"),
      cohort: at("cohort"),
      split: "test",
      groups,
    });
    expect(evaluated.groups.map((g) => g.column)).toContain("sex");
    expect(evaluated.metrics["lesion"]!.n).toBe(evaluated.n);
  });

  it.each(["tissue-cnn", "resnet25d", "resnet3d"])(
    "%s_trainsPrivately_andAStoppedRunEndsAsIfNothingHadHappened",
    async (model) => {
      const choices: TrainingChoices = { ...small, model, epsilon: 8, epochs: 3, batch: 10, clipping: "flat" };
      const whole = await train(`${model}-whole`, choices);
      expect(whole.nonFiniteUnits).toBe(0);
      const controller = new AbortController();
      const stopping = train(`${model}-stopped`, choices, {
        signal: controller.signal,
        onStep: ({ step }: { step: number }) => step === 2 && controller.abort(),
      });
      await expect(stopping).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
      const resumed = await train(`${model}-stopped`, choices, { resume: true });
      expect(resumed.validation).toEqual(whole.validation);
      expect(await readFile(at(`${model}-stopped`, "weights.safetensors"))).toEqual(
        await readFile(at(`${model}-whole`, "weights.safetensors")),
      );
    },
  );

  it("theOtherMedium_isRefused_byTrainingAndByPrediction", async () => {
    await expect(train("no", { model: "resnet9" })).rejects.toMatchObject({ code: "LG-USAGE-001" });
    await expect(train("no", { imageSize: 64 })).rejects.toMatchObject({ code: "LG-USAGE-001" });
    expect(existsSync(at("no"))).toBe(false);
    const onImages = trainRun({ cohort: at("masses"), targets: ["malignant"], out: at("no"), choices: { model: "tissue" } }); // prettier-ignore
    await expect(onImages).rejects.toMatchObject({ code: "LG-USAGE-001" });
    await expect(predictRun({ run: at("private"), cohort: at("masses"), split: "test" })).rejects.toMatchObject({
      code: "LG-COHORT-024",
    });
  });
});

const data = process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../shared/data");
const folder = join(data, "ct3d");

interface Entry {
  readonly file: string;
  readonly shape: readonly [number, number, number];
  readonly spacing_mm?: readonly number[];
  readonly orientation?: string;
  readonly modality?: string;
  readonly min: number;
  readonly max: number;
}

describe.skipIf(!existsSync(folder))("real volumes (skipped where LEADGLASS_DATA or ../shared/data is absent)", () => {
  const entries = existsSync(folder)
    ? (JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Entry[]).filter(
        ({ file, modality }) => /\.nii(\.gz)?$/.test(file) && modality === "CT",
      )
    : [];
  const volumeOf = async (file: string) => toVolume(await decodeNifti(await readFile(join(folder, file))));

  // Expected: the data's manifest, made with nibabel: shape, spacing (printed to 1e-4), orientation and extremes.
  it.each(entries)("isTurnedToTheHead_theFrontAndTheRight_andWindowed: $file", async (entry) => {
    const image = await decodeNifti(await readFile(join(folder, entry.file)));
    const volume = toVolume(image);
    const [nx, ny, nz] = entry.shape;
    expect(volume.shape).toEqual([nz, ny, nx]);
    entry.spacing_mm?.forEach((mm, i) => expect(volume.spacingMm[2 - i]).toBeCloseTo(mm, 3));
    // A file stored from right to left begins at the right, which is where the volume's columns end.
    const [x, y, z] = entry.orientation ?? "RAS";
    const [tensor, low, width] = [volumeTensor(volume, { shape: volume.shape, window: "abdomen" }), -160, 400];
    const clip = (hu: number): number => Math.min(1, Math.max(0, (hu - low) / width));
    for (let n = 0; n < 500; n++) {
      const [i, j, k] = [(n * 7919) % nx, (n * 104729) % ny, (n * 1299709) % nz];
      const stored = image.data[(k * ny + j) * nx + i]!;
      const place = [z === "S" ? k : nz - 1 - k, y === "A" ? j : ny - 1 - j, x === "R" ? i : nx - 1 - i] as const;
      const to = (place[0] * ny + place[1]) * nx + place[2];
      expect(volume.data[to]).toBe(stored);
      expect(tensor.data[to]).toBeCloseTo(clip(stored), 6);
    }
    const extremes = [Infinity, -Infinity];
    for (const v of tensor.data) [extremes[0], extremes[1]] = [Math.min(extremes[0]!, v), Math.max(extremes[1]!, v)];
    expect(extremes[0]).toBeCloseTo(clip(entry.min), 6);
    expect(extremes[1]).toBeCloseTo(clip(entry.max), 6);
  });

  it("theLiver_isOnTheRight_andTheSpleenOnTheLeftAndBehind", async () => {
    // TotalSegmentator's classes: 1 spleen, 5 liver.
    const { shape, data: labels } = await volumeOf("ts_torso_sm_3mm_labels.nii.gz");
    const centre = (label: number): number[] => {
      const [sum, n] = [[0, 0, 0], labels.reduce((count, v) => count + Number(v === label), 0)];
      labels.forEach((v, i) => {
        if (v !== label) return;
        const [depth, height, width] = shape;
        [Math.floor(i / (height * width)) % depth, Math.floor(i / width) % height, i % width].forEach((p, a) => (sum[a]! += p / n)); // prettier-ignore
      });
      return sum;
    };
    const [liver, spleen] = [centre(5), centre(1)];
    expect(liver[2]).toBeGreaterThan(spleen[2]! + shape[2] / 4);
    expect(liver[1]).toBeGreaterThan(spleen[1]!);
  });

  it("aTrainedModel_answersForAllOfThem_alsoWithThickSlices", async () => {
    await mkdir(at("real"));
    const rows: string[] = [];
    for (const [i, { file }] of entries.entries()) {
      await copyFile(join(folder, file), at("real", `${i}.nii.gz`));
      rows.push(`${i}.nii.gz,real-${i},test`);
    }
    // The torso again in slices of 9 mm, three times as far apart as its pixels.
    const torso = entries.findIndex((e) => e.file === "ts_torso_3mm.nii.gz");
    const thick = resampleVolume(await volumeOf("ts_torso_3mm.nii.gz"), { spacingMm: [9, 3, 3] });
    await writeFile(at("real", "thick.nii.gz"), await encodeNifti({ ...thick, data: thick.data.map(Math.round) }, { axes: "LPS" })); // prettier-ignore
    rows.push("thick.nii.gz,real-thick,test");
    await writeFile(at("real", "metadata.csv"), `file_name,patient_id,split\n${rows.join("\n")}\n`);
    const { probabilities } = await predictRun({ run: at("private"), cohort: at("real"), split: "test" });
    expect(probabilities).toHaveLength(entries.length + 1);
    expect(probabilities.every((p) => p > 0 && p < 1)).toBe(true);
    // Thicker slices blur a little, and change an answer that is a mean over cells of 24 mm as little.
    expect(Math.abs(probabilities.at(-1)! - probabilities[torso]!)).toBeLessThan(0.1);
  });
});
