import { group } from "../command.ts";

export const study = group({
  name: "study",
  about: "Several trainings of one cohort from one file, compared.",
  commands: {
    run: {
      about: "train and evaluate every arm; resumable",
      load: () => import("./study-run.ts").then((m) => m.studyRun),
    },
    encodings: {
      about: "private encodings against raw images, one key, hospitals alone and private training",
      load: () => import("./study-encodings.ts").then((m) => m.studyEncodings),
    },
    synthetic: {
      about: "ways of training with synthetic images, with and without privacy, against controls",
      load: () => import("./study-synthetic.ts").then((m) => m.studySynthetic),
    },
    check: { about: "whether a study file is valid", load: () => import("./study-run.ts").then((m) => m.studyCheck) },
  },
  examples: ["leadglass study run sweep.yaml --out sweep", "leadglass study check sweep.yaml"],
});
