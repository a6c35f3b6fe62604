import { resolve } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { synthTrain, type SynthTrainReport } from "../../study/synth-run.ts";
import { ganLosses } from "../../synthesis/index.ts";
import { command } from "../command.ts";
import { count, duration, fileSize, significant, significantUp, table } from "../output.ts";
import { checkpointTime, trainingOptions } from "./train.ts";

const { epsilon, delta, unit, ledger, resume, device } = trainingOptions;

export const synthTrainCommand = command({
  name: "synth train",
  about:
    "Trains a generator of images of both classes of a target on a cohort's train split; with --epsilon under differential privacy.",
  options: {
    cohort: trainingOptions.cohort,
    target: { kind: "text", value: "COLUMN", about: "the class to generate by, or COLUMN=VALUE", required: true },
    out: trainingOptions.out,
    ...{ epsilon, delta, unit },
    model: { kind: "text", about: "the generator", oneOf: ["compact", "spectral", "mcgan", "mcgan-instance"] },
    loss: { kind: "text", about: "what adversarial networks minimise", oneOf: ganLosses },
    "image-size": { kind: "whole", value: "PIXELS", about: "side of the images" },
    "clip-norm": trainingOptions["clip-norm"],
    "discriminator-steps": { kind: "whole", value: "N", about: "steps of the discriminator to one of the generator" },
    "instance-noise": { kind: "number", value: "S", about: "deviation of noise on all images at first; falls to 0" },
    batch: trainingOptions.batch,
    epochs: trainingOptions.epochs,
    lr: trainingOptions.lr,
    views: trainingOptions.views,
    ledger,
    seed: trainingOptions.seed,
    resume,
    device,
  },
  notes:
    "Without --model: spectral, which takes seconds; compact where something is given that only adversarial training knows. Under --epsilon only the discriminator's gradient on real images is clipped and given noise. Ctrl-C saves a checkpoint and exits with 5; --resume goes on.",
  examples: [
    "leadglass synth train --cohort masses --target malignant --out runs/generator",
    "leadglass synth train --cohort masses --target malignant --out runs/private --epsilon 10 --delta 1e-4",
  ],
  async run(options, terminal) {
    if (options.seed !== undefined && options.epsilon !== undefined)
      terminal.warn("--seed makes noise that anybody can repeat: this run is marked insecureSeed, and its epsilon protects nobody."); // prettier-ignore
    if (!options.target) throw new LeadglassError("LG-USAGE-001", "--target is missing");
    using reading = terminal.progress("reading", "images");
    using training = terminal.progress("training", "steps", { leave: true });
    const report = await synthTrain({
      cohort: options.cohort,
      target: options.target,
      out: options.out,
      choices: {
        model: options.model,
        epsilon: options.epsilon,
        delta: options.delta,
        unit: options.unit,
        clipNorm: options["clip-norm"],
        loss: options.loss,
        imageSize: options["image-size"],
        discriminatorSteps: options["discriminator-steps"],
        instanceNoise: options["instance-noise"],
        batch: options.batch,
        epochs: options.epochs,
        learningRate: options.lr,
        views: options.views,
      },
      resume: options.resume,
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      device: options.device,
      ...checkpointTime(),
      signal: terminal.signal,
      onNote: terminal.note,
      onReading: reading.update,
      onStep: (done, total, note) => {
        reading[Symbol.dispose]();
        training.update(done, total, note);
      },
    });
    training[Symbol.dispose]();
    return { json: report, text: textOf(report) };
  },
});

function textOf({
  run,
  model,
  target,
  units,
  steps,
  privacy,
  sheets,
  seconds,
  peakMemoryBytes,
}: SynthTrainReport): string {
  const rows = [
    ["run", resolve(run)],
    ["model", `${model}, images with ${target} 0 and 1`],
    ["trained on", `${count(units)} units, ${count(steps)} steps`],
    [
      "privacy",
      privacy
        ? `epsilon ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit} (noise ${significant(privacy.noiseMultiplier)})`
        : "none: its images may give away the patients it learned from",
    ],
    ...(privacy?.insecureSeed
      ? [["", "insecureSeed: the noise came from a seed, so this epsilon protects nobody"]]
      : []),
    ...(privacy?.notAccounted.map((what) => ["not accounted", what]) ?? []),
    ...(sheets === null ? [] : [["sheets of samples", resolve(sheets)]]),
    ["time", `${duration(seconds)}; peak memory ${fileSize(peakMemoryBytes)}`],
  ];
  return table([["", ""], ...rows]).trimStart();
}
