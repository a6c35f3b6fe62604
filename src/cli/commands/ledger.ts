import { group } from "../command.ts";

export const ledger = group({
  name: "ledger",
  about: "Every access of a run to private data: accounted, public, or NOT ACCOUNTED.",
  commands: {
    show: {
      about: "every entry in words, and what was spent",
      load: () => import("./ledger-show.ts").then((m) => m.ledgerShow),
    },
    verify: {
      about: "whether anything was changed",
      load: () => import("./ledger-show.ts").then((m) => m.ledgerVerify),
    },
  },
  examples: ["leadglass ledger show runs/private", "leadglass ledger verify runs/private"],
});
