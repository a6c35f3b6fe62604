import { LeadglassError } from "../../errors.ts";
import { compareSynthetic, type SyntheticArm } from "../../study/compare-synthetic.ts";
import { command } from "../command.ts";
import { count, interval, significant, significantUp, table } from "../output.ts";

export const studySynthetic = command({
  name: "study synthetic",
  about:
    "Compares, on one cohort and its test split, ways of training with synthetic images: without them, on them alone, in one pool, beside the private pool, and before it; without privacy and at several epsilons; with noise images in their place, and at equal noise and steps. Goes on where it was stopped.",
  options: {
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
    synthetic: { kind: "text", value: "DIR", about: "a cohort of synthetic images with the same target", required: true }, // prettier-ignore
    target: { kind: "text", value: "COLUMN", about: "what to learn", required: true },
    out: { kind: "text", value: "DIR", about: "where to keep what is done", required: true },
    model: { kind: "text", value: "NAME", about: "the architecture; by default the one train takes under privacy" },
    epsilon: { kind: "list", value: "E", about: "budgets of the private arms; 1,6,12,20,60" },
    delta: { kind: "number", value: "D", about: "their delta", initial: 1e-4, above: 0, below: 1 },
    seeds: { kind: "whole", value: "N", about: "how often each arm is trained", initial: 3, atLeast: 1 },
    weight: {
      kind: "number",
      value: "W",
      about: "what the gradient beside the pool counts, the pool's being 1",
      initial: 1,
      above: 0,
    },
  },
  notes:
    "Noise and batches come from seeds, so that the table can be repeated; no model is kept. Rates and batches are those of train, and are not searched for on the validation patients. The figures carry no noise: they are for the owner of the data.",
  examples: ["leadglass study synthetic --cohort masses --synthetic drawn --target malignant --out compared"],
  async run(options, terminal) {
    const epsilons = options.epsilon.map((text) => {
      const value = Number(text);
      if (value > 0 && Number.isFinite(value)) return value;
      throw new LeadglassError("LG-USAGE-001", "--epsilon: numbers above 0 were expected", {
        hint: "For example 1,6.",
      });
    });
    let stage = "";
    let progress: ReturnType<typeof terminal.progress> | undefined;
    using _last = { [Symbol.dispose]: () => progress?.[Symbol.dispose]() };
    const report = await compareSynthetic({
      ...{ cohort: options.cohort, synthetic: options.synthetic, target: options.target, out: options.out },
      ...(options.model === undefined ? {} : { model: options.model }),
      ...(epsilons.length > 0 ? { epsilons } : {}),
      ...{ delta: options.delta, seeds: options.seeds, weight: options.weight },
      signal: terminal.signal,
      onNote: terminal.note,
      onProgress: (now, done, total) => {
        if (now !== stage) {
          progress?.[Symbol.dispose]();
          progress = terminal.progress(now, now === "training" ? "arms" : "images");
          stage = now;
        }
        progress!.update(done, total);
      },
    });
    progress?.[Symbol.dispose]();
    progress = undefined;
    terminal.note(`synthetic images: ${report.generator}`);
    return { json: report, text: table([heading, ...report.arms.map(cellsOf)]) };
  },
});

const heading = ["arm", "epsilon", "noise", "steps", "validation", "test AUROC [95 %]", "less real only [95 %]"];

const cellsOf = ({ name, privacy, steps, validation, test, against }: SyntheticArm): string[] => [
  name,
  privacy ? significantUp(privacy.epsilon) : "none",
  privacy ? significant(privacy.noiseMultiplier) : "",
  count(steps),
  validation?.value?.toFixed(3) ?? "",
  interval(test),
  against === null || test.difference === null ? "" : interval(test.difference),
];
