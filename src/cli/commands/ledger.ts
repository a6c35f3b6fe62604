import { group } from "../command.ts";

export const ledger = group({
  name: "ledger",
  about: "Everything that was done with a cohort's patients: accounted, public, for the owner only, or NOT ACCOUNTED.",
  commands: {
    show: {
      about: "every entry in words, and what was spent",
      load: () => import("./ledger-show.ts").then((m) => m.ledgerShow),
    },
    verify: {
      about: "whether anything was changed",
      load: () => import("./ledger-show.ts").then((m) => m.ledgerVerify),
    },
    budget: {
      about: "the most that all of it may cost together",
      load: () => import("./ledger-budget.ts").then((m) => m.ledgerBudget),
    },
  },
  examples: ["leadglass ledger show runs/private", "leadglass ledger verify runs/private"],
});
