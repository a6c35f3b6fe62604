import { group } from "../command.ts";

export const key = group({
  name: "key",
  about: "A hospital's secret for private encodings.",
  commands: {
    make: {
      about: "make a secret of 256 bits",
      load: () => import("./key-make.ts").then((m) => m.keyMake),
    },
    show: {
      about: "the fingerprint of a key, and how much was published with it",
      load: () => import("./key-make.ts").then((m) => m.keyShow),
    },
  },
  examples: ["leadglass key make --out hospital.key", "leadglass key show hospital.key"],
});
