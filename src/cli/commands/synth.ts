import { group } from "../command.ts";

export const synth = group({
  name: "synth",
  about: "Synthetic images: generators, what their images are worth, and whom they give away.",
  commands: {
    train: {
      about: "train a generator of both classes of a target; privately with --epsilon",
      load: () => import("./synth-train.ts").then((m) => m.synthTrainCommand),
    },
    sample: {
      about: "draw images from a generator, as a cohort",
      load: () => import("./synth-sample.ts").then((m) => m.synthSampleCommand),
    },
    judge: {
      about: "fidelity, diversity and memorisation of a cohort of synthetic images",
      load: () => import("./synth-judge.ts").then((m) => m.synthJudge),
    },
  },
  examples: [
    "leadglass synth train --cohort masses --target malignant --out runs/generator --epsilon 10",
    "leadglass synth sample --run runs/generator --per-class 1000 --out samples",
    "leadglass synth judge --real masses --synthetic samples --target malignant --out judged",
  ],
});
