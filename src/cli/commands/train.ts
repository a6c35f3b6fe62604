import { resolve } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { clippingKinds, samplingKinds } from "../../privacy/index.ts";
import { trainRun, type TrainReport } from "../../study/train-run.ts";
import type { TrainingChoices } from "../../study/settings.ts";
import { command } from "../command.ts";
import type { Options, Values } from "../options.ts";
import { count, duration, interval, fileSize, significant, significantUp, table } from "../output.ts";

/** What any training can be told. */
export const trainingOptions = {
  cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
  target: {
    kind: "list",
    value: "COLUMN",
    about: "what to learn: a column of 0, 1 and blank, or COLUMN=VALUE; several for one model with several answers",
    required: true,
  },
  out: { kind: "text", value: "RUN", about: "the run's folder; it must not exist, unless --resume", required: true },
  epsilon: { kind: "number", value: "E", about: "train privately within this epsilon" },
  delta: { kind: "number", value: "D", about: "and this delta; chosen from the number of patients" },
  unit: { kind: "text", about: "whose privacy: everything of a patient, or each image", oneOf: ["patient", "image"] },
  relation: {
    kind: "text",
    about: "cohorts that must look alike: one unit more or less, or one exchanged for another",
    oneOf: ["add-remove", "replace"],
  },
  sampling: { kind: "text", about: "how units come into a step", oneOf: samplingKinds },
  "batch-cap": { kind: "whole", value: "N", about: "the most units of a step, with truncated-poisson" },
  clipping: { kind: "text", about: "how a unit's gradient is bounded", oneOf: clippingKinds },
  "clip-norm": { kind: "number", value: "C", about: "the most one unit may add to a step" },
  model: { kind: "text", value: "NAME", about: "the architecture" },
  "image-size": { kind: "whole", value: "PIXELS", about: "side that images are brought to" },
  views: { kind: "whole", value: "V", about: "views of a unit in one step" },
  batch: { kind: "whole", value: "B", about: "units of a step; under privacy the expected number" },
  epochs: { kind: "whole", value: "N", about: "passes over the training units" },
  lr: { kind: "number", value: "R", about: "learning rate" },
  optimizer: { kind: "text", about: "the update rule", oneOf: ["sgd", "adam", "adamw", "nadam"] },
  "init-from": { kind: "text", value: "RUN", about: "start from another run's weights, where names and sizes agree" },
  freeze: {
    kind: "list",
    value: "NAME",
    about: "parameters that are not trained; a star stands for any text, as in conv*.weight",
  },
  validation: {
    kind: "text",
    about: "public where the validation patients need no protection: threshold and AUROC are then taken without noise",
    oneOf: ["private", "public"],
  },
  "best-of": {
    kind: "whole",
    value: "K",
    about:
      "keep the best of K states of the training, as the validation patients have it; by a noisy maximum unless they are public",
    atLeast: 2,
  },
  "positive-weights": {
    kind: "flag",
    about: "weigh positives by how many negatives there are to each; privately from counts with noise",
  },
  ledger: {
    kind: "text",
    value: "DIR",
    about: "the folder of ledgers; LEADGLASS_LEDGERS, or the nearest one beside or above the run, unless given",
  },
  seed: { kind: "whole", value: "S", about: "repeat exactly; not for private models that leave the house" },
  resume: { kind: "flag", about: "go on with a run that was interrupted" },
  device: { kind: "text", about: "where to compute", oneOf: ["cpu", "webgpu", "cuda"], initial: "cpu" },
} as const satisfies Options;

/** What of it decides the training. */
export const choicesOf = (options: Values<typeof trainingOptions>): TrainingChoices => ({
  model: options.model,
  epsilon: options.epsilon,
  delta: options.delta,
  unit: options.unit,
  clipNorm: options["clip-norm"],
  clipping: options.clipping,
  sampling: options.sampling,
  batchCap: options["batch-cap"],
  relation: options.relation,
  batch: options.batch,
  epochs: options.epochs,
  learningRate: options.lr,
  optimizer: options.optimizer,
  imageSize: options["image-size"],
  views: options.views,
  freeze: options.freeze.length > 0 ? options.freeze.join() : undefined,
  bestOf: options["best-of"],
  validation: options.validation,
  positiveWeights: options["positive-weights"] || undefined,
});

export const trainCommand = command({
  name: "train",
  about:
    "Trains a model on a cohort's train split; with --epsilon under differential privacy. What is not given is chosen for the cohort's size and the budget, and said.",
  options: trainingOptions,
  notes:
    "Ctrl-C saves a checkpoint and exits with 5; the same command with --resume goes on, and ends as if nothing had happened.",
  examples: [
    "leadglass train --cohort masses --target malignant --out runs/open",
    "leadglass train --cohort masses --target malignant --out runs/private --epsilon 8 --delta 1e-4",
    "leadglass train --cohort masses --target malignant --out runs/private --resume",
  ],
  async run(options, terminal) {
    const { cohort, target, out, epsilon, seed } = options;
    if (target.length === 0) throw new LeadglassError("LG-USAGE-001", "--target is missing");
    if (seed !== undefined && epsilon !== undefined)
      terminal.warn(
        "--seed makes noise that anybody can repeat: this run is marked insecureSeed, and its epsilon protects nobody.",
      );
    using reading = terminal.progress("reading", "images");
    using training = terminal.progress("training", "steps", { leave: true });
    const report = await trainRun({
      cohort,
      targets: target,
      out,
      choices: choicesOf(options),
      resume: options.resume,
      ...(seed === undefined ? {} : { seed }),
      ...(options["init-from"] === undefined ? {} : { initFrom: options["init-from"] }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      device: options.device,
      ...checkpointTime(),
      signal: terminal.signal,
      onNote: terminal.note,
      onFeatures: reading.update,
      onStep: ({ step, steps, loss }) => {
        reading[Symbol.dispose]();
        // The loss is private: it goes to the owner's own screen, and into no file.
        training.update(step, steps, loss === null ? "empty batch" : `loss ${loss.toFixed(3)}`);
      },
    });
    training[Symbol.dispose]();
    return { json: report, text: textOf(report) };
  },
});

/** Seconds between checkpoints, from the environment: tests of interruption need them close together. */
export function checkpointTime(): { checkpointSeconds?: number } {
  const text = process.env["LEADGLASS_CHECKPOINT_SECONDS"];
  if (text === undefined) return {};
  const seconds = Number(text);
  if (text.trim() !== "" && seconds >= 0) return { checkpointSeconds: seconds };
  throw new LeadglassError("LG-USAGE-001", "LEADGLASS_CHECKPOINT_SECONDS: a number of at least 0 was expected", {
    hint: "Correct it, or remove it from the environment.",
  });
}

function textOf(report: TrainReport): string {
  const { privacy, validation, nonFiniteUnits } = report;
  const rows = [
    ["run", resolve(report.run)],
    ["model", `${report.model}, ${count(report.parameters)} parameters`],
    ["trained on", `${count(report.images)} images of ${count(report.units)} units, ${count(report.steps)} steps`],
    [
      "privacy",
      privacy
        ? `epsilon ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit}` +
          ` (${privacy.relation}, noise ${significant(privacy.noiseMultiplier)}, ${privacy.accountant})`
        : "none: this model may give away its patients",
    ],
    ...(privacy?.insecureSeed
      ? [["", "insecureSeed: the noise came from a seed, so this epsilon protects nobody"]]
      : []),
    ...(privacy?.notAccounted.map((what) => ["not accounted", what]) ?? []),
    ...(privacy && privacy.cumulative.epsilon > privacy.epsilon
      ? [
          [
            "cohort so far",
            `epsilon ${significantUp(privacy.cumulative.epsilon)} at delta ${significant(privacy.cumulative.delta)}, with all that was done before`,
          ],
        ]
      : []),
    ...Object.entries(validation?.targets ?? {}).map(([name, { auroc }]) => [
      `validation ${name}`,
      `AUROC ${interval(auroc)}${validation?.private ? "; for you alone: no noise covers it" : ""}`,
    ]),
    ...(nonFiniteUnits > 0 ? [["left out", `${nonFiniteUnits} gradients that were not finite`]] : []),
    [
      "time",
      `${duration(report.seconds)}, ${duration(report.secondsPerEpoch)} an epoch; peak memory ${fileSize(report.peakMemoryBytes)}`,
    ],
  ];
  return table([["", ""], ...rows]).trimStart();
}
