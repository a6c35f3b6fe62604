import { group } from "../command.ts";

export const synth = group({
  name: "synth",
  about: "Synthetic images: what they are worth, and whom they give away.",
  commands: {
    judge: {
      about: "fidelity, diversity and memorisation of a cohort of synthetic images",
      load: () => import("./synth-judge.ts").then((m) => m.synthJudge),
    },
  },
  examples: ["leadglass synth judge --real masses --synthetic samples --target malignant --out judged"],
});
