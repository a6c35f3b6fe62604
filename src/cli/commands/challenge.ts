import { group } from "../command.ts";

export const challenge = group({
  name: "challenge",
  about: "Sealed challenges: may others try to break a release, with answers nobody can change afterwards.",
  commands: {
    make: {
      about: "a release, what attackers may know, and sealed answers",
      load: () => import("./challenge-run.ts").then((m) => m.challengeMake),
    },
    verify: {
      about: "whether answers are those that were committed to",
      load: () => import("./challenge-run.ts").then((m) => m.challengeVerify),
    },
    score: {
      about: "how far a submission got",
      load: () => import("./challenge-run.ts").then((m) => m.challengeScore),
    },
  },
  examples: [
    "leadglass challenge make --cohort chests --target pneumonia --key hospital.key --images 128 --out duel",
    "leadglass challenge score --challenge duel/public --answers duel/sealed/answers.json --submission found/matching.json",
  ],
});
