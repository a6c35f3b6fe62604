import { makePhantomCohort, phantomKinds } from "../../cohort/index.ts";
import { command } from "../command.ts";
import { count } from "../output.ts";

export const cohortMake = command({
  name: "cohort make",
  about:
    "Draws a phantom cohort: images with labels, age, sex, comorbidity and hospital, several images a patient, split by patient.",
  options: {
    out: { kind: "text", value: "DIR", about: "the folder to write; it must not exist", required: true },
    kind: { kind: "text", about: "what is drawn", oneOf: phantomKinds, initial: "mass" },
    patients: { kind: "whole", value: "N", about: "how many patients, at least 10", initial: 360 },
    seed: { kind: "whole", value: "S", about: "the same seed draws the same patients", initial: 0 },
    "image-size": { kind: "whole", value: "PIXELS", about: "side of an image; each kind has its own" },
    difficulty: { kind: "number", value: "X", about: "from 0, plain to see, to 1, close to chance", initial: 0.5 },
  },
  examples: ["leadglass cohort make --kind mass --patients 360 --seed 1 --out masses"],
  async run({ out, kind, patients, seed, difficulty, "image-size": imageSize }, terminal) {
    using progress = terminal.progress("drawing", "patients");
    const made = await makePhantomCohort({
      out,
      kind,
      patients,
      seed,
      difficulty,
      imageSize,
      onProgress: progress.update,
    });
    return {
      json: { ...made, out, kind, seed },
      text: `${count(made.images)} images of ${count(made.patients)} patients in ${out}`,
    };
  },
});
