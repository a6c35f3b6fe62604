import { LeadglassError } from "../../errors.ts";
import { compareEncodings } from "../../study/compare-encodings.ts";
import { schemeNames } from "../../encoding/index.ts";
import { command } from "../command.ts";
import { count, interval, table } from "../output.ts";

export const studyEncodings = command({
  name: "study encodings",
  about:
    "Compares, on one cohort and its test split: raw images, private encodings under one key and under a key for each hospital, each hospital alone, the linear scheme, a random frozen encoder, and private training. Goes on where it was stopped.",
  options: {
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
    target: { kind: "text", value: "COLUMN", about: "what to learn", required: true },
    out: { kind: "text", value: "DIR", about: "where to keep what is done", required: true },
    hospital: { kind: "text", value: "COLUMN", about: "the column that names hospitals; dealt at random without it" },
    hospitals: { kind: "whole", value: "N", about: "how many to deal patients to", initial: 3, atLeast: 2 },
    scheme: { kind: "text", about: "the kind of encoder", oneOf: schemeNames, initial: "neuracrypt" },
    "image-size": {
      kind: "whole",
      value: "PIXELS",
      about: "side that images are brought to",
      initial: 256,
      atLeast: 1,
    },
    epsilon: { kind: "list", value: "E", about: "private trainings to compare with: 1,8" },
    seed: {
      kind: "whole",
      value: "S",
      about: "of the open trainings; keys and private noise are always fresh",
      initial: 1,
    },
  },
  examples: ["leadglass study encodings --cohort chests --target cardiomegaly --hospital hospital --out compared"],
  async run(options, terminal) {
    const epsilons = options.epsilon.map((text) => {
      const value = Number(text);
      if (value > 0 && Number.isFinite(value)) return value;
      throw new LeadglassError("LG-USAGE-001", "--epsilon: numbers above 0 were expected", {
        hint: "For example 1,8.",
      });
    });
    using progress = terminal.progress("encoding", "images", { leave: true });
    const report = await compareEncodings({
      ...{ cohort: options.cohort, target: options.target, out: options.out, scheme: options.scheme, epsilons },
      ...(options.hospital === undefined ? {} : { hospitalColumn: options.hospital }),
      ...{ hospitals: options.hospitals, imageSize: options["image-size"], seed: options.seed },
      signal: terminal.signal,
      onNote: terminal.note,
      onProgress: (_, done, total) => progress.update(done, total),
    });
    progress[Symbol.dispose]();
    const mean = (x: number | null): string => (x === null ? "" : x.toFixed(3));
    return {
      json: report,
      text: table([
        ["arm", "trained on", "tested on", "test AUROC [95 %]", ""],
        ...report.arms.map((arm) => [
          arm.name,
          count(arm.trainedOn),
          count(arm.testedOn),
          interval(arm.auroc),
          arm.about,
        ]),
        ["mean hospital alone, on all", "", "", mean(report.meanAlone.everywhere), ""],
        ["mean hospital alone, on its own", "", "", mean(report.meanAlone.own), ""],
      ]),
    };
  },
});
