/** One whole patient more or less moves the clipped sum by at most the clipping norm, however many images there are. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCohort } from "../src/cohort/index.ts";
import { seededRandom } from "../src/math/random.ts";
import { initialParameters, type Model } from "../src/nn/index.ts";
import { startEngine, type Engine } from "../src/runtime/index.ts";
import { openRows, prepareRows, type PreparedData, type RowSource } from "../src/study/rows.ts";
import { startAccumulator } from "../src/training/accumulate.ts";
import { initialState } from "../src/training/update.ts";

const data = process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../shared/data");
const chest = join(data, "nih-cxr-128");
const clipNorm = 0.01;

describe.skipIf(!existsSync(chest))("patients with up to 61 films (skipped where nih-cxr-128 is absent)", () => {
  let engine: Engine;
  let source: RowSource;
  let prepare: (units: readonly (readonly number[])[]) => Promise<PreparedData>;
  let patients: number[][];
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
    const cohort = await openCohort(chest);
    source = openRows(cohort, { channels: 1, imageSize: 64 });
    // The three with the most films, of whom one has 61 (awk over the table), and five others.
    const all = cohort.patientsOf("train").map((p) => [...p.images]);
    patients = all.sort((a, b) => b.length - a.length).slice(0, 8);
    expect(patients[0]).toHaveLength(61);
    prepare = (units) =>
      prepareRows({
        ...{ engine, cohort, source, units, architecture: "texture", variants: 2, augmentation: {} },
        targets: [cohort.target("Effusion")],
      });
  });
  afterAll(async () => {
    source.store[Symbol.dispose]();
    await engine[Symbol.asyncDispose]();
  });

  /** For some draws of units, the clipped sum of each, as one long vector. */
  async function clippedSums(units: readonly (readonly number[])[], draws: readonly (readonly number[])[]) {
    const { data, modelFor } = await prepare(units);
    const model: Model = modelFor(1);
    const values = initialParameters(model, seededRandom(1, "initial"));
    await engine.write(initialState(model.parameters, { name: "sgd", learningRate: 1 }, { averaging: false }, values));
    await using accumulator = await startAccumulator({
      ...{ engines: [engine], modelFor, data, views: 8, seed: "s", batchSize: 4, tileUnits: 4, measure: false },
      loss: { kind: "binary" },
      how: { kind: "clipped", clipping: { kind: "flat", norm: clipNorm } },
    });
    const sums: number[][] = [];
    for (const drawn of draws) {
      await accumulator.renew();
      await accumulator.sum(drawn, 0, { nonFinite: 0, clipped: 0, seen: 0 });
      const read = await engine.read(model.parameters.map((p) => `sum/${p.name}`));
      sums.push(Object.values(read).flatMap((tensor) => [...(tensor.data as Float32Array)]));
    }
    return sums;
  }

  const distance = (a: readonly number[], b: readonly number[]): number =>
    Math.sqrt(a.reduce((total, x, i) => total + (x - b[i]!) ** 2, 0));

  it("patientUnits_anyoneRemoved_movesTheSumByAtMostTheNorm", async () => {
    const everyone = patients.map((_, i) => i);
    const [whole, ...without] = await clippedSums(patients, [
      everyone,
      ...everyone.map((gone) => everyone.filter((i) => i !== gone)),
    ]);
    const moved = without.map((sum) => distance(whole!, sum));
    // Float32 sums: 1e-5 of the norm. Gradients at the start are far above so small a norm, so that it is reached.
    for (const distance of moved) {
      expect(distance).toBeLessThanOrEqual(clipNorm * (1 + 1e-5));
      expect(distance).toBeGreaterThan(clipNorm * (1 - 1e-4));
    }
  });

  it("imageUnits_thePatientOf61Removed_movesItByManyNorms", async () => {
    const images = patients.flat().map((image) => [image]);
    const everything = images.map((_, i) => i);
    const [whole, without] = await clippedSums(images, [everything, everything.slice(61)]);
    // At most 61 norms; films of one patient agree enough for many.
    expect(distance(whole!, without!)).toBeGreaterThan(5 * clipNorm);
    expect(distance(whole!, without!)).toBeLessThanOrEqual(61 * clipNorm * (1 + 1e-5));
  });
});
