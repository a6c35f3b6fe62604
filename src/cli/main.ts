#!/usr/bin/env node
/** The command line. Commands are loaded when they are called, so that help and mistakes are answered at once. */
import { readFileSync } from "node:fs";
import { runCommand } from "citty";
import { group, HelpWanted } from "./command.ts";
import { reportFailure } from "./failure.ts";

export const leadglass = group({
  name: "",
  about: "Leadglass: learn from medical images and stop what would expose the patient.",
  commands: {
    demo: {
      about: "the whole story on drawn patients, ending in a report",
      load: () => import("./commands/demo.ts").then((m) => m.demo),
    },
    cohort: {
      about: "make a phantom cohort, or check one",
      load: () => import("./commands/cohort.ts").then((m) => m.cohort),
    },
    train: {
      about: "train a model; privately with --epsilon",
      load: () => import("./commands/train.ts").then((m) => m.trainCommand),
    },
    evaluate: {
      about: "metrics with intervals, overall and by group",
      load: () => import("./commands/evaluate.ts").then((m) => m.evaluate),
    },
    predict: {
      about: "a model's answer for every image, as CSV or Parquet",
      load: () => import("./commands/predict.ts").then((m) => m.predict),
    },
    export: {
      about: "a model as an ONNX file for any server",
      load: () => import("./commands/export.ts").then((m) => m.exportCommand),
    },
    synth: {
      about: "synthetic images: generators, plain and private, and what they are worth",
      load: () => import("./commands/synth.ts").then((m) => m.synth),
    },
    study: {
      about: "several trainings of one cohort from one file, compared",
      load: () => import("./commands/study.ts").then((m) => m.study),
    },
    report: {
      about: "a study as one page, with its answer in plain words",
      load: () => import("./commands/report.ts").then((m) => m.report),
    },
    accountant: {
      about: "what private training costs, and the noise it needs",
      load: () => import("./commands/accountant.ts").then((m) => m.accountant),
    },
    audit: {
      about: "what attackers find out about a model in practice",
      load: () => import("./commands/audit.ts").then((m) => m.audit),
    },
    key: {
      about: "a hospital's secret for private encodings",
      load: () => import("./commands/key.ts").then((m) => m.key),
    },
    encode: {
      about: "private encodings of a cohort, with labels and a manifest",
      load: () => import("./commands/encode.ts").then((m) => m.encode),
    },
    attack: {
      about: "attackers of stated knowledge against a release",
      load: () => import("./commands/attack.ts").then((m) => m.attack),
    },
    challenge: {
      about: "a sealed challenge from a cohort; verify it, score submissions",
      load: () => import("./commands/challenge.ts").then((m) => m.challenge),
    },
    ledger: {
      about: "every access of a run to private data, and whether the record is whole",
      load: () => import("./commands/ledger.ts").then((m) => m.ledger),
    },
  },
  examples: ["leadglass demo", "leadglass train --cohort masses --target malignant --out runs/first --epsilon 8"],
});

const version = (): string =>
  (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;

async function main(words: readonly string[]): Promise<void> {
  if (words.length === 1 && (words[0] === "--version" || words[0] === "-v"))
    return void process.stdout.write(`${version()}\n`);
  const end = words.indexOf("--");
  const json = words.slice(0, end < 0 ? words.length : end).includes("--json");
  try {
    await runCommand(leadglass, { rawArgs: [...words] });
  } catch (error) {
    if (error instanceof HelpWanted) {
      (error.asked ? process.stdout : process.stderr).write(error.text);
      process.exitCode = error.asked ? 0 : 2;
    } else process.exitCode = reportFailure(error, { json });
  }
}

if (import.meta.main) {
  // A reader that goes away (| head) is no error of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  await main(process.argv.slice(2));
}
