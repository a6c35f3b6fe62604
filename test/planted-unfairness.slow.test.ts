/**
 * The whole way: masses are drawn, people sent to one of two scanners by coin, the images of one made noisier, a
 * model is trained on all, and its evaluation is asked whom it serves worse. And the same people without the noise: by
 * the coin, no group differs then; by sex a model may well serve people differently without our planting it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makePhantomCohort, openCohort, openImages, writeCohort, type CohortItem } from "../src/cohort/index.ts";
import { toPixels } from "../src/imaging/index.ts";
import { fillGaussian, seededRandom } from "../src/math/random.ts";
import { evaluateRun } from "../src/study/evaluate-run.ts";
import { trainRun } from "../src/study/train-run.ts";

const size = 64;
const people = 500;
const seeds = Number(process.env["LEADGLASS_PLANTED_SEEDS"] ?? 20);

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-planted-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The same images with detector noise on those of scanner B; two fifths of the people train, the others test. */
async function withNoise(drawn: string, out: string, deviation: number, seed: number): Promise<void> {
  const cohort = await openCohort(drawn);
  const { labels } = cohort.target("malignant");
  const ids = [...new Set(cohort.records.map(({ patientId }) => patientId))];
  const coin = seededRandom(seed, "scanner");
  const scanner = new Map(ids.map((id) => [id, coin.uniform() < 0.5 ? "A" : "B"]));
  const trained = new Set(ids.slice(0, (2 * people) / 5));
  using store = openImages(cohort, { size, normalise: "none" });
  async function* items(): AsyncGenerator<CohortItem> {
    for (const [i, { file, patientId }] of cohort.records.entries()) {
      const noise = new Float32Array(size * size);
      fillGaussian(seededRandom(seed, "planted", i), noise, scanner.get(patientId) === "B" ? deviation : 0);
      const data = (await store.read(i)).map((x, p) => x + noise[p]!);
      const split = trained.has(patientId) ? "train" : "test";
      yield {
        row: {
          file_name: file,
          patient_id: patientId,
          split,
          malignant: labels[i]!,
          scanner: scanner.get(patientId)!,
        },
        image: toPixels({ channels: 1, width: size, height: size, data }),
      };
    }
  }
  await writeCohort(out, items());
}

async function findings(seed: number, deviation: number) {
  const [cohort, run] = [join(root, `cohort-${seed}-${deviation}`), join(root, `run-${seed}-${deviation}`)];
  await withNoise(join(root, `drawn-${seed}`), cohort, deviation, seed);
  await trainRun({
    ...{ cohort, targets: ["malignant"], out: run, ledger: join(root, "ledgers"), seed },
    choices: { model: "texture", imageSize: size, epochs: 20 },
  });
  const { report } = await evaluateRun({ run, cohort, split: "test", groups: ["scanner"] });
  await Promise.all([cohort, run].map((dir) => rm(dir, { recursive: true })));
  return report.fairness["malignant"]!.verdict.findings;
}

it("aGroupWithNoisierImagesIsFound_andFairGroupsAreNotAccused", { timeout: 3_600_000 }, async () => {
  let [found, accused] = [0, 0];
  for (let seed = 1; seed <= seeds; seed++) {
    const drawn = join(root, `drawn-${seed}`);
    await makePhantomCohort({ kind: "mass", patients: people, seed, imageSize: size, difficulty: 0, out: drawn });
    const noisier = (await findings(seed, 0.2)).find(({ value }) => value === "B");
    if (noisier?.direction === "worse") found++;
    if ((await findings(seed, 0)).length > 0) accused++;
    await rm(drawn, { recursive: true });
    // eslint-disable-next-line no-console -- the counts are the result of a slow suite
    console.log(`after seed ${seed}: found ${found}, accused ${accused}`, noisier?.gap ?? "");
  }
  expect(found).toBeGreaterThanOrEqual(seeds - 1);
  // At a false alarm of .02, more than 2 of 20 are accused with probability .007.
  expect(accused).toBeLessThanOrEqual(2);
});
