import { group } from "../command.ts";

export const cohort = group({
  name: "cohort",
  about: "A cohort is a folder with a metadata table and the images it names.",
  commands: {
    make: {
      about: "draw a phantom cohort: patients who never lived",
      load: () => import("./cohort-make.ts").then((m) => m.cohortMake),
    },
    check: {
      about: "read everything once and say what is there and what is wrong",
      load: () => import("./cohort-check.ts").then((m) => m.cohortCheck),
    },
    shortcuts: {
      about: "how far a target can be predicted without seeing the disease",
      load: () => import("./cohort-shortcuts.ts").then((m) => m.cohortShortcuts),
    },
  },
  examples: ["leadglass cohort make --kind mass --patients 360 --out masses", "leadglass cohort check masses"],
});
