import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCohort } from "../src/cohort/index.ts";
import { seededRandom } from "../src/math/random.ts";
import { initialParameters } from "../src/nn/index.ts";
import { planPrivateTraining, sensitivityOf, type Clipping } from "../src/privacy/index.ts";
import { startEngine, type Engine } from "../src/runtime/index.ts";
import { openRows, prepareRows } from "../src/study/rows.ts";
import { startAccumulator } from "../src/training/accumulate.ts";
import { initialState } from "../src/training/index.ts";

const chest = join(process.env["LEADGLASS_DATA"] ?? resolve(import.meta.dirname, "../../shared/data"), "nih-cxr-128");

describe.skipIf(!existsSync(chest))(
  "patients with up to 61 chest films (skipped where LEADGLASS_DATA or ../shared/data is absent)",
  () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ threads: 1 });
    });
    afterAll(async () => {
      await engine[Symbol.asyncDispose]();
    });

    /** The clipped sum over some patients of the train split as one vector, for a model as `train` builds it. */
    async function sumsOf(
      architecture: string,
      { imageSize, views, variants }: { imageSize: number; views: number; variants: 2 | "random" },
      clipping: Clipping,
      images: readonly (readonly number[])[],
    ) {
      const cohort = await openCohort(chest);
      const source = openRows(cohort, { channels: 1, imageSize });
      const targets = [cohort.target("sex=F")];
      const augmentation = { flipHorizontal: true };
      const rows = { engine, cohort, targets, source, units: images, architecture, variants, augmentation };
      const { data, modelFor } = await prepareRows(rows);
      const { parameters } = modelFor(views);
      const values = initialParameters(modelFor(views), seededRandom("weights"));
      const sgd = { name: "sgd", learningRate: 1 } as const;
      await engine.write(initialState(parameters, sgd, { averaging: false }, values));
      const accumulator = await startAccumulator({
        engines: [engine],
        modelFor,
        data,
        loss: { kind: "binary" },
        how: { kind: "clipped", clipping },
        views,
        seed: "views",
        batchSize: images.length,
        tileUnits: 4,
        measure: false,
      });
      return {
        of: async (units: readonly number[]): Promise<Float64Array> => {
          await accumulator.renew();
          await accumulator.sum(units, 0, { nonFinite: 0, clipped: 0, seen: 0 });
          const read = await engine.read(parameters.map((p) => `sum/${p.name}`));
          return Float64Array.from(Object.values(read).flatMap((t) => Array.from(t.data, Number)));
        },
        [Symbol.asyncDispose]: async () => {
          await accumulator[Symbol.asyncDispose]();
          source.store[Symbol.dispose]();
        },
      };
    }

    const clipNorm = 0.05;
    const clippingOf = (kind: Clipping["kind"]): Clipping =>
      planPrivateTraining({
        noiseMultiplier: 1,
        delta: 1e-5,
        sampling: { kind: "full" },
        publicCohortSize: 100,
        clipping: { kind, norm: clipNorm },
        steps: 1,
      }).clipping;

    it.each([
      // As `train` sets the two up: all fixed views of a patient up to 8, and fresh random ones.
      ["texture", { imageSize: 128, views: 8, variants: 2 }, "flat"],
      ["texture", { imageSize: 128, views: 128, variants: 2 }, "automatic"],
      ["cnn", { imageSize: 32, views: 4, variants: "random" }, "flat"],
      ["cnn", { imageSize: 32, views: 4, variants: "random" }, "per-layer"],
    ] as const)(
      "removingOneWholePatient_changesTheClippedSumByAtMostTheClipNorm: %s %o %s",
      async (architecture, views, kind) => {
        const cohort = await openCohort(chest);
        const patients = cohort.patientsOf("train").map((p) => p.images);
        // The six with most films, the most of all among them, and ten others.
        const chosen = patients.toSorted((a, b) => b.length - a.length).filter((_, i) => i < 6 || i % 10 === 0).slice(0, 16); // prettier-ignore
        // The data set's own table: 61 films of the patient with most.
        expect(chosen[0]).toHaveLength(61);
        const clipping = clippingOf(kind);
        await using sums = await sumsOf(architecture, views, clipping, chosen);
        const all = chosen.map((_, i) => i);
        const whole = await sums.of(all);
        const bound = sensitivityOf(clipping, "add-or-remove-one");
        for (const removed of [0, 1, 5, 12]) {
          const without = await sums.of(all.filter((i) => i !== removed));
          const change = Math.sqrt(whole.reduce((total, v, i) => total + (v - without[i]!) ** 2, 0));
          // Float32: 1e-6 of the norm, and the rounding of sums of sixteen vectors of it in another order.
          expect(change).toBeLessThanOrEqual(bound * (1 + 3e-6));
          // It is a real patient's gradient that went.
          expect(change).toBeGreaterThan(0.2 * bound);
        }
      },
    );
  },
);
