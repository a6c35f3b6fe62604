import { group } from "../command.ts";

export const encode = group({
  name: "encode",
  about: "Private encodings: what a hospital publishes in place of its images.",
  own: {
    about: "encode a cohort as a release",
    load: () => import("./encode-run.ts").then((m) => m.encodeCommand),
  },
  commands: {
    check: {
      about: "whether a release is whole and holds nothing but encodings and labels",
      load: () => import("./encode-run.ts").then((m) => m.encodeCheck),
    },
  },
  examples: ["leadglass encode --cohort chests --key hospital.key --out release", "leadglass encode check release"],
});
