/** A private training from a program, on patients it draws itself: `node examples/train-privately.ts [FOLDER]`. */
import { evaluateRun, makePhantomCohort, trainRun } from "../src/index.ts";

const folder = process.argv[2] ?? "train-privately";
const [cohort, run] = [`${folder}/cohort`, `${folder}/run`];

await makePhantomCohort({ kind: "mass", patients: 240, seed: 1, out: cohort });
const { privacy } = await trainRun({
  cohort,
  targets: ["malignant"],
  out: run,
  choices: { epsilon: 8, unit: "patient" }, // the rest is chosen for the cohort's size and the budget
});
console.log(`epsilon ${privacy!.epsilon} at delta ${privacy!.delta} for each ${privacy!.unit}`);
console.log(`not accounted: ${privacy!.notAccounted.join("; ")}`);

const { report } = await evaluateRun({ run, cohort, split: "test", groups: ["sex"] });
const { value, low, high } = report.metrics["malignant"]!.auroc;
console.log(`test AUROC ${value} [${low}, ${high}] on ${report.patients} patients`);
