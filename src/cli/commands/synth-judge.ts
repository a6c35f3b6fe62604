import { judgeRun, type JudgeReport } from "../../study/judge-run.ts";
import {
  fidelityCells, fidelityHeading, fidelityName, figureText, memorySentence, short,
} from "../../study/report/judge-page.ts"; // prettier-ignore
import { command } from "../command.ts";
import { count, styled, table } from "../output.ts";

export const synthJudge = command({
  name: "synth judge",
  about:
    "Judges synthetic images against the real images of a split: distances of features and how much of one lies within the other, with real images of other patients as a control; whether a classifier learns the same from them; and whether they give training patients away. Writes judge.json and judge.html.",
  options: {
    real: {
      kind: "text",
      value: "DIR",
      about: "the real cohort, with the patients trained on and others",
      required: true,
    },
    synthetic: { kind: "text", value: "DIR", about: "the cohort of synthetic images", required: true },
    split: { kind: "text", value: "NAME", about: "the split that the generator was trained on", initial: "train" },
    target: { kind: "text", value: "COLUMN", about: "a label that both have: also by class, and class consistency" },
    features: {
      kind: "text",
      value: "FILE.onnx",
      about: "also by the features of a network that takes pixels from 0 to 1",
    },
    canaries: {
      kind: "text",
      value: "COLUMN",
      about: "a column that is 1 for images planted in the training: their ranks",
    },
    images: {
      kind: "whole",
      value: "N",
      about: "at most this many images of each side, drawn by patients; 3000",
      atLeast: 20,
    },
    seed: { kind: "whole", value: "N", about: "for draws and resamples", initial: 1 },
    ledger: { kind: "text", value: "DIR", about: "the folder of ledgers; else as for a run in DIR" },
    out: { kind: "text", value: "DIR", about: "where the table and the page go", required: true },
  },
  notes:
    "The page shows real images beside their nearest synthetic ones: it stays with the owner of the data. The figures carry no noise and are entered in the real cohort's ledger.",
  examples: [
    "leadglass synth judge --real masses --synthetic samples --target malignant --out judged",
    "leadglass synth judge --real masses --synthetic samples --features radimagenet.onnx --out judged --json",
  ],
  async run({ images, target, features, canaries, ledger, ...options }, terminal) {
    let stage = "";
    let progress: ReturnType<typeof terminal.progress> | undefined;
    using _last = { [Symbol.dispose]: () => progress?.[Symbol.dispose]() };
    const report = await judgeRun({
      ...options,
      ...(images === undefined ? {} : { most: images }),
      ...(target === undefined ? {} : { target }),
      ...(features === undefined ? {} : { features }),
      ...(canaries === undefined ? {} : { canaries }),
      ...(ledger === undefined ? {} : { ledger }),
      onWarning: terminal.warn,
      onProgress: (name, done, total) => {
        if (name !== stage) {
          progress?.[Symbol.dispose]();
          progress = terminal.progress(name, name === "distances" ? "tables" : "images");
          stage = name;
        }
        progress!.update(done, total);
      },
    });
    progress?.[Symbol.dispose]();
    return { json: report, text: textOf(report) };
  },
});

function textOf(report: JudgeReport): string {
  const { images, patients, split, fidelity, classConsistency, nearestNeighbour, ledger, page } = report;
  const heading = (text: string) => styled("bold", text, process.stdout);
  const parts = [
    heading(
      `${count(images.synthetic)} synthetic images against ${count(images.real)} real ones of ${count(patients.real)} patients (${split}); control: ${count(images.heldOut)} real images of ${count(patients.heldOut)} other patients`,
    ),
    "",
    table([
      ["features", "images (other : real)", ...fidelityHeading],
      ...fidelity.map((row) => [row.features, fidelityName(row), ...fidelityCells(row)]),
    ]),
  ];
  if (classConsistency.length > 0)
    parts.push(
      "",
      table([
        ["trained on", "tested on", "AUROC"],
        ...classConsistency.map(({ train, test, auroc, reason }) => [
          train,
          test,
          auroc ? figureText(auroc) : (reason ?? ""),
        ]),
      ]),
    );
  if (nearestNeighbour.memorisation)
    parts.push(
      "",
      table([
        ["nearest by", "suspects", "of training patients", "if nothing were memorised", "p", "membership AUROC"],
        ...Object.entries(nearestNeighbour.memorisation).map(([space, { suspects, membership }]) => [
          space,
          count(suspects.images),
          figureText(suspects.share),
          figureText(suspects.expected),
          short(suspects.pValue),
          figureText(membership.auroc),
        ]),
      ]),
    );
  parts.push(
    "",
    heading(memorySentence(report)),
    `page: ${page}`,
    `NOT ACCOUNTED: these figures carry no noise for the ${count(patients.real + patients.heldOut)} patients they were measured on${ledger === null ? "; no ledger could be written" : `; entry ${ledger.entries[0]} of ${ledger.path}`}`,
  );
  return parts.join("\n");
}
