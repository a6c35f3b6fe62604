import { group } from "../command.ts";

export const attack = group({
  name: "attack",
  about: "Attackers of stated knowledge against a release: what it gives away, beside chance.",
  commands: {
    list: {
      about: "the attacks and what each knows",
      load: () => import("./attack-run.ts").then((m) => m.attackList),
    },
    all: {
      about: "every attack, one table",
      load: () => import("./attack-run.ts").then((m) => m.attackRun("all")),
    },
    ...Object.fromEntries(
      (
        [
          ["unshuffle", "patches back into common slots"],
          ["layout", "K3: which slots are neighbours"],
          ["linkage", "K4: another image of the same patient"],
          ["known-pairs", "K1: decode everything from a few known pairs"],
          ["matching", "the break without any pair"],
          ["mmd", "R1: an encoder of the attacker's own, trained to look alike"],
        ] as const
      ).map(([name, about]) => [name, { about, load: () => import("./attack-run.ts").then((m) => m.attackRun(name)) }]),
    ),
  },
  examples: [
    "leadglass attack list",
    "leadglass attack known-pairs --release duel/public/release --public chests --answers duel/sealed/answers.json",
    "leadglass attack all --release duel/public/release --public chests --answers duel/sealed/answers.json --json",
  ],
});
