/**
 * A search for the learning rate that costs privacy and says how much: `node examples/private-search.ts [FOLDER [MEAN]]`.
 * It trains a random number of times, MEAN on average, and keeps the best model alone. What makes this cheaper than that
 * many trainings is that nobody outside learns how often it trained or what the others were like.
 */
import { rename, rm } from "node:fs/promises";
import { evaluateRun, makePhantomCohort, trainRun } from "../src/index.ts";
import { secureRandom } from "../src/math/index.ts";
import { drawRepetitions, planSearch, type Repetitions } from "../src/privacy/index.ts";

const folder = process.argv[2] ?? "private-search";
const repetitions: Repetitions = { kind: "negative-binomial", shape: 1, mean: Number(process.argv[3] ?? 6) };
const learningRates = [0.01, 0.03, 0.1, 0.3]; // public: written down before anybody looked at a patient

// The best model is chosen on other patients, who need no protection here; choosing on private ones would cost too.
const [cohort, others] = [`${folder}/cohort`, `${folder}/public`];
await makePhantomCohort({ kind: "mass", patients: 160, seed: 1, out: cohort });
await makePhantomCohort({ kind: "mass", patients: 160, seed: 2, out: others });

// Every training has every patient in each of 100 steps, whatever its learning rate.
const search = planSearch({ target: { epsilon: 8, delta: 1e-4 }, repetitions, samplingProbability: 1, steps: 100 });

using source = secureRandom();
const [kept, tried] = [`${folder}/best`, `${folder}/tried`];
let best: { auroc: number; notAccounted: readonly string[] } | undefined;
for (let left = drawRepetitions(repetitions, source); left > 0; left--) {
  const learningRate = learningRates[source.integer(learningRates.length)]!;
  const { privacy } = await trainRun({
    cohort,
    targets: ["malignant"],
    out: tried,
    choices: { epsilon: search.epsilonOfOne, delta: search.delta, epochs: 100, unit: "patient", learningRate },
  });
  const { report } = await evaluateRun({ run: tried, cohort: others, split: "test", groups: [] });
  const auroc = report.metrics["malignant"]!.auroc.value ?? 0;
  if (best === undefined || auroc > best.auroc) {
    await rm(kept, { recursive: true, force: true });
    await rename(tried, kept);
    best = { auroc, notAccounted: privacy!.notAccounted };
  } else await rm(tried, { recursive: true });
}

console.log(`epsilon of the search ${search.epsilon} at delta ${search.delta} for each patient`);
console.log(`epsilon of one training ${search.epsilonOfOne}`);
console.log(`not accounted: ${best!.notAccounted.join("; ") || "nothing"}`);
console.log(`AUROC on public patients ${best!.auroc}: ${kept}`);
