import { expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { normalCdf } from "../math/statistics.ts";
import { bootstrapIntervals } from "./bootstrap.ts";

const simulations = 1000;
const threshold = 0.7;

/** Patients with 1 to 4 images, all of the patient's class; half of a score's spread within a class is the patient's. */
function cohortOf(seed: number, count: number) {
  const random = seededRandom(seed, "coverage.slow", String(count));
  const rows = Array.from({ length: count }, (_, patient) => {
    const label = random.uniform() < 0.4 ? 1 : 0;
    const effect = Math.SQRT2 * label + Math.SQRT1_2 * random.gaussian();
    return Array.from({ length: 1 + random.integer(4) }, () => ({
      ...{ patient, label, score: effect + Math.SQRT1_2 * random.gaussian() },
    }));
  }).flat();
  const column = <K extends keyof (typeof rows)[number]>(name: K) => rows.map((row) => row[name]);
  return { scores: column("score"), labels: column("label"), patients: column("patient") };
}

// Scores are normal with unit spread around 0 and sqrt 2: the population's values in closed form.
const truth = {
  auroc: normalCdf(1),
  sensitivity: normalCdf(Math.SQRT2 - threshold),
  specificity: normalCdf(threshold),
};

it.each([60, 150])("bca_covers90To98Of100_of1000Simulations: %i patients", (count) => {
  const metrics = ["auroc", "sensitivity", "specificity"] as const;
  const covered = { auroc: 0, sensitivity: 0, specificity: 0 };
  for (let seed = 0; seed < simulations; seed++) {
    const got = bootstrapIntervals({ ...cohortOf(seed, count), metrics, threshold, seed, resamples: 1000 });
    for (const name of metrics) {
      const { low, high } = got[name];
      if (low !== null && low <= truth[name] && truth[name] <= high!) covered[name]++;
    }
  }
  // eslint-disable-next-line no-console -- the counts are the result of a slow suite
  console.log(`${count} patients: coverage of 95 % intervals`, covered, `of ${simulations}`);
  for (const name of metrics) {
    expect(covered[name] / simulations, name).toBeGreaterThanOrEqual(0.9);
    expect(covered[name] / simulations, name).toBeLessThanOrEqual(0.98);
  }
});
