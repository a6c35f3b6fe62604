import { resolve } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { clippingKinds, samplingKinds } from "../../privacy/index.ts";
import { trainRun } from "../../study/train-run.ts";
import type { TrainReport } from "../../study/train-report.ts";
import type { TrainingChoices } from "../../study/settings.ts";
import { aboutNames } from "../../study/volume-input.ts";
import { command, type Result, type Terminal } from "../command.ts";
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
  profile: {
    kind: "text",
    about: "settings of the reference study (Tayebi Arasteh et al. 2024) for what is not given, to compare with it",
    oneOf: ["reference"],
  },
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
  features: {
    kind: "text",
    value: "FILE",
    about:
      "an ONNX model as frozen feature extractor, run once for each image; --model is then its head: linear, two-layer",
  },
  "image-size": { kind: "whole", value: "PIXELS", about: "side that images are brought to" },
  window: {
    kind: "text",
    value: "LOW,HIGH",
    about: "Hounsfield units that volumes are cut off at, or abdomen, lung, bone, brain",
  },
  spacing: { kind: "text", value: "MM", about: "distance between voxels that volumes are brought to, or Z,Y,X" },
  "volume-shape": { kind: "text", value: "D,H,W", about: "voxels of the box that volumes are cut to" },
  about: { kind: "text", about: "what lies in the middle of that box", oneOf: aboutNames },
  views: { kind: "whole", value: "V", about: "views of a unit in one step" },
  batch: { kind: "whole", value: "B", about: "units of a step; under privacy the expected number" },
  epochs: { kind: "whole", value: "N", about: "passes over the training units" },
  lr: { kind: "number", value: "R", about: "learning rate" },
  optimizer: { kind: "text", about: "the update rule", oneOf: ["sgd", "adam", "adamw", "nadam"] },
  averaging: {
    kind: "number",
    value: "D",
    about: "decay of the average over steps that becomes the model's weights; 0 keeps the last ones",
  },
  "init-from": {
    kind: "text",
    value: "RUN",
    about:
      "start from another run's weights, or a .safetensors file of torchvision's or timm's, where names and sizes agree",
  },
  "init-cohort": {
    kind: "text",
    value: "DIR",
    about: "the cohort that run was trained on, if it has moved: patients of both are refused",
  },
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

/** What a training that is not an audit can be told of images that are nobody's. */
const syntheticOptions = {
  synthetic: {
    kind: "text",
    value: "DIR",
    about: "a cohort of synthetic images to learn from too; what their generator cost is added, or said to be unknown",
  },
  "synthetic-use": {
    kind: "text",
    about: "in the pool, as units; or beside it, by their exact gradient, which needs no noise: beside unless given",
    oneOf: ["pool", "beside"],
  },
  "synthetic-weight": { kind: "number", value: "W", about: "what that gradient counts, the pool's being 1", above: 0 },
} as const satisfies Options;

/** What of it decides the training. */
export const choicesOf = (options: Omit<Values<typeof trainingOptions>, "cohort" | "target">): TrainingChoices => ({
  profile: options.profile,
  model: options.model,
  features: options.features,
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
  window: options.window,
  spacing: options.spacing,
  volumeShape: options["volume-shape"],
  about: options.about,
  views: options.views,
  averaging: options.averaging,
  freeze: options.freeze.length > 0 ? options.freeze.join() : undefined,
  bestOf: options["best-of"],
  validation: options.validation,
  positiveWeights: options["positive-weights"] || undefined,
});

const { cohort: cohortOption, target: targetOption, ...otherOptions } = trainingOptions;
const optional = <O extends { readonly required: true }>({ required: _, ...option }: O): Omit<O, "required"> => option;

export const trainCommand = command({
  name: "train",
  about:
    "Trains a model on a cohort's train split; with --epsilon under differential privacy; or on hospitals' releases of encodings. What is not given is chosen for the cohort's size and the budget, and said.",
  options: {
    cohort: optional(cohortOption),
    release: {
      kind: "list",
      value: "RELEASE",
      about: "in place of a cohort: a release of encodings; several for one model on their union",
    },
    target: optional(targetOption),
    ...otherOptions,
    ...syntheticOptions,
  },
  notes:
    "Ctrl-C saves a checkpoint and exits with 5; the same command with --resume goes on, and ends as if nothing had happened.",
  examples: [
    "leadglass train --cohort masses --target malignant --out runs/open",
    "leadglass train --cohort masses --target malignant --out runs/private --epsilon 8 --delta 1e-4",
    "leadglass train --cohort masses --target malignant --out runs/private --resume",
    "leadglass train --release north --release river --target pneumonia --out runs/union",
  ],
  async run(options, terminal) {
    const { cohort, target, out, epsilon, seed } = options;
    if (options.release.length > 0) return trainOnUnion(options, terminal);
    if (cohort === undefined) throw new LeadglassError("LG-USAGE-001", "--cohort or --release is missing");
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
      choices: {
        ...choicesOf(options),
        synthetic: options.synthetic,
        syntheticUse: options["synthetic-use"],
        syntheticWeight: options["synthetic-weight"],
      },
      resume: options.resume,
      ...(seed === undefined ? {} : { seed }),
      ...(options["init-from"] === undefined ? {} : { initFrom: options["init-from"] }),
      ...(options["init-cohort"] === undefined ? {} : { initCohort: options["init-cohort"] }),
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

/** What trainings on releases can be told; the rest is about images or private noise. */
const releaseOptions = [
  "release",
  "target",
  "out",
  "model",
  "batch",
  "epochs",
  "lr",
  "seed",
  "resume",
  "device",
  "json",
];

async function trainOnUnion(
  options: Values<Options> & { readonly release: readonly string[]; readonly target: readonly string[] },
  terminal: Terminal,
): Promise<Result> {
  const given = (name: string): boolean => {
    const value = options[name] as unknown;
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const other = Object.keys(options).find((name) => given(name) && !releaseOptions.includes(name) && name !== "help");
  if (other !== undefined)
    throw new LeadglassError("LG-USAGE-001", `--${other}: it does not go with --release`, {
      hint: `With --release go: ${releaseOptions.slice(1, -1).join(", ")}.`,
    });
  const { trainReleases } = await import("../../study/release-run.ts");
  const { releaseModelNames } = await import("../../encoding/index.ts");
  const values = options as unknown as Values<typeof trainingOptions>;
  const model = releaseModelNames.find((name) => name === values.model);
  if (values.model !== undefined && model === undefined)
    throw new LeadglassError("LG-USAGE-001", `--model ${values.model}: there is no such model of releases`, {
      hint: `Choose one of ${releaseModelNames.join(", ")}.`,
    });
  using reading = terminal.progress("reading", "encodings");
  using training = terminal.progress("training", "steps", { leave: true });
  const report = await trainReleases({
    releases: options.release,
    targets: options.target,
    out: values.out,
    choices: { model, batch: values.batch, epochs: values.epochs, learningRate: values.lr },
    ...(values.seed === undefined ? {} : { seed: values.seed }),
    resume: values.resume,
    device: values.device,
    ...checkpointTime(),
    signal: terminal.signal,
    onFeatures: reading.update,
    onStep: ({ step, steps, loss }) => {
      reading[Symbol.dispose]();
      training.update(step, steps, loss === null ? "" : `loss ${loss.toFixed(3)}`);
    },
  });
  training[Symbol.dispose]();
  const keys = new Set(report.releases.map(({ key }) => key)).size;
  return {
    json: report,
    text: table([
      ["", ""],
      ["run", resolve(report.run)],
      ["model", `${report.model}, ${count(report.parameters)} parameters`],
      [
        "trained on",
        `${count(report.images)} encodings of ${report.releases.length} releases under ${keys} keys, ${count(report.steps)} steps`,
      ],
      ["privacy", "none here: what releases give away was given away when they were published"],
      ...Object.entries(report.validation?.targets ?? {}).map(([name, { auroc }]) => [
        `validation ${name}`,
        `AUROC ${interval(auroc)}`,
      ]),
      ["time", `${duration(report.seconds)}; peak memory ${fileSize(report.peakMemoryBytes)}`],
    ]).trimStart(),
  };
}

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
  const { privacy, validation, nonFiniteUnits, wholePatient } = report;
  const rows = [
    ["run", resolve(report.run)],
    ["model", `${report.model}, ${count(report.parameters)} parameters`],
    ["trained on", `${count(report.images)} images of ${count(report.units)} units, ${count(report.steps)} steps`],
    [
      "privacy",
      privacy
        ? `epsilon ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit}` +
          ` (${privacy.relation}, noise ${significant(privacy.noiseMultiplier)}, ${privacy.accountant})`
        : report.synthetic?.privacy && !report.synthetic.insecureSeed
          ? "that of the images' generator, below"
          : "none: this model may give away its patients",
    ],
    ...(privacy?.insecureSeed
      ? [["", "insecureSeed: the noise came from a seed, so this epsilon protects nobody"]]
      : []),
    ...(wholePatient
      ? [
          [
            "whole patient",
            `${wholePatient.epsilon === null ? "no epsilon is proved" : `epsilon ${significantUp(wholePatient.epsilon)} at delta ${significant(wholePatient.delta)}`}` +
              ` for the patient who has most images, ${wholePatient.imagesPerPatient}; for the owner alone`,
          ],
        ]
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
    ...(report.synthetic
      ? [
          [
            "images",
            report.synthetic.privacy
              ? `synthetic; their generator cost epsilon ${significantUp(report.synthetic.privacy.epsilon)} at delta ${significant(report.synthetic.privacy.delta)} for each ${report.synthetic.privacy.unit}${report.synthetic.insecureSeed ? ", but its noise came from a seed" : ""}`
              : "synthetic; their generator was trained without privacy, and so this model may give away its patients",
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
