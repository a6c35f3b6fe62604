import { group } from "../command.ts";

export const accountant = group({
  name: "accountant",
  about: "What private training costs, and the noise it needs.",
  commands: {
    epsilon: {
      about: "the epsilon of a run",
      load: () => import("./accountant-epsilon.ts").then((m) => m.accountantEpsilon),
    },
    noise: {
      about: "the noise that meets an epsilon",
      load: () => import("./accountant-epsilon.ts").then((m) => m.accountantNoise),
    },
    steps: {
      about: "the most steps within an epsilon",
      load: () => import("./accountant-epsilon.ts").then((m) => m.accountantSteps),
    },
    batch: {
      about: "the largest batch within an epsilon",
      load: () => import("./accountant-epsilon.ts").then((m) => m.accountantBatch),
    },
    meaning: {
      about: "what a guarantee means in an attacker's terms",
      load: () => import("./accountant-meaning.ts").then((m) => m.accountantMeaning),
    },
  },
  examples: [
    "leadglass accountant epsilon --sampling-probability 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5",
    "leadglass accountant noise --epsilon 8 --delta 1e-5 --sampling-probability 0.01 --steps 1000",
  ],
});
