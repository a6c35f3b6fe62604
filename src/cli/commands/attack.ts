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
          ["mmd", "R1: a linear encoder of the attacker's own, trained to look alike"],
          ["contrastive", "the published break, with embeddings learned over many keys"],
          ["mmd-encoder", "R1 with the scheme's own architecture"],
          ["across", "R3: R1 with attackers of other depths and widths"],
          ["adversarial", "R2: an encoder against a discriminator"],
          ["plaintext", "R4: an encoder trained on known pairs"],
          ["mispaired", "R5: an encoder trained on pairs of unknown pairing"],
          ["noise", "R6: R1 without images"],
          ["transfer", "R7: the label, by a classifier on other images"],
          ["imitation", "R9: mean encodings of given images, without the key"],
          ["attribute", "an attribute that was not published"],
          ["membership", "who is in the release"],
          ["other-key", "another hospital's breached key against this one"],
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
