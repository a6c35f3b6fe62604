import { resolve } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { auditRun, type AuditReport } from "../../study/audit-run.ts";
import { command } from "../command.ts";
import { count, significant, significantUp, table } from "../output.ts";
import { checkpointTime, choicesOf, trainingOptions } from "./train.ts";

export const auditRunCommand = command({
  name: "audit",
  about:
    "Trains privately with canaries among the patients, attacks the training to find out which were in, and shows the epsilon that the attack proves beside the one that is claimed.",
  options: {
    ...trainingOptions,
    epsilon: { ...trainingOptions.epsilon, required: true },
    canaries: {
      kind: "whole",
      value: "M",
      about: "how many coins are tossed; 1000 gradients, or a quarter of the patients",
      atLeast: 1,
    },
    kind: {
      kind: "text",
      about:
        "gradient: invented units, for an attacker who sees every step; image: patients with the opposite labels, for one who sees the model",
      oneOf: ["gradient", "image"],
      initial: "gradient",
    },
  },
  notes:
    "Exits with 4 where the attack proves more than is claimed. The run is entered in the ledger like any private training; its model has seen the canaries: audit a training of its own, not the one you release. Ctrl-C exits with 5, and --resume goes on. Who was in a model that is finished already: leadglass audit membership --help.",
  examples: [
    "leadglass audit --cohort masses --target malignant --epsilon 8 --delta 1e-4 --canaries 1000 --out runs/audit",
    "leadglass audit --cohort masses --target malignant --epsilon 8 --kind image --out runs/audit-image",
  ],
  async run(options, terminal) {
    const { cohort, target, out, seed, kind, canaries } = options;
    if (target.length === 0) throw new LeadglassError("LG-USAGE-001", "--target is missing");
    using reading = terminal.progress("reading", "images");
    using training = terminal.progress("training", "steps", { leave: true });
    const report = await auditRun({
      cohort,
      targets: target,
      out,
      kind,
      ...(canaries === undefined ? {} : { canaries }),
      choices: choicesOf(options),
      resume: options.resume,
      ...(seed === undefined ? {} : { seed }),
      ...(options["init-from"] === undefined ? {} : { initFrom: options["init-from"] }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      device: options.device,
      ...checkpointTime(),
      signal: terminal.signal,
      onNote: terminal.note,
      onFeatures: reading.update,
      onStep: ({ step, steps }) => {
        reading[Symbol.dispose]();
        training.update(step, steps);
      },
    });
    training[Symbol.dispose]();
    return { json: report, text: textOf(report), exitCode: report.epsilon.lower > report.epsilon.upper ? 4 : 0 };
  },
});

function textOf({ run, canaries, included, guesses, correct, epsilon, delta, confidence, attacker, training }: AuditReport): string {
  const percent = `${100 * confidence} %`;
  const rows = [
    ["run", resolve(run)],
    ["training", `${training.model}, ${count(training.steps)} steps, noise ${significant(training.noiseMultiplier)}`],
    ["canaries", `${count(canaries)}, of which coins put ${count(included)} in`],
    ["attacker", attacker],
    ["guesses", `${count(correct)} of ${count(guesses)} right`],
    ["epsilon proved", `at least ${significant(epsilon.lower)} at ${percent} confidence, delta ${significant(delta)}`],
    ...(epsilon.lowerIfGaussian === null
      ? []
      : [["", `at least ${significant(epsilon.lowerIfGaussian)} if the noise is Gaussian, as the plan says`]]),
    ["epsilon claimed", `at most ${significantUp(epsilon.upper)}`],
    ["verdict", epsilon.lower > epsilon.upper
        ? "REFUTED: the training leaks more than it claims"
        : "not refuted; that proves no privacy, it is what this attack found"],
    ...(training.insecureSeed ? [["", "insecureSeed: the noise came from a seed, so no epsilon holds"]] : []),
  ];
  return table([["", ""], ...rows]).trimStart();
} // prettier-ignore
