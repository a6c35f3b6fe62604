import { runDemo, type DemoReport } from "../../study/demo.ts";
import { meaningOf } from "../../study/report/meaning.ts";
import { command } from "../command.ts";
import { duration, interval, significant, significantUp, styled, table } from "../output.ts";
import type { Progress } from "../progress.ts";

export const demo = command({
  name: "demo",
  about:
    "Draws a cohort of phantom patients, trains a model without and two with differential privacy, compares them on the test patients, and writes a report with pictures. About a minute on two cores.",
  options: {
    out: { kind: "text", value: "DIR", about: "where to; numbered where it exists", initial: "leadglass-demo" },
    patients: { kind: "whole", value: "N", about: "how many patients to draw", atLeast: 120, initial: 360 },
  },
  examples: ["leadglass demo", "leadglass demo --out /tmp/demo --json"],
  async run({ out, patients }, terminal) {
    const stages = new Map<string, Progress>();
    using bars = new DisposableStack();
    let current: Progress | undefined;
    const report = await runDemo({
      out,
      patients,
      signal: terminal.signal,
      onNote: (line) => {
        current?.[Symbol.dispose]();
        terminal.note(line);
      },
      onProgress: (stage, unit, done, total) => {
        let bar = stages.get(stage);
        if (!bar) {
          current?.[Symbol.dispose]();
          // A training looks after interrupts itself; the other stages stop here.
          bar = bars.use(terminal.progress(stage, unit, { leave: stage.startsWith("training") }));
          stages.set(stage, bar);
          current = bar;
        }
        bar.update(done, total);
      },
    });
    return { json: report, text: textOf(report) };
  },
});

function textOf({ arms, target, testImages, testPatients, report, seconds }: DemoReport): string {
  const bold = (text: string) => styled("bold", text, process.stdout);
  return [
    "",
    bold(`Is the mass ${target}? ${testImages} test images of ${testPatients} patients, 95 % intervals`),
    "",
    table([
      ["", "AUROC", "accuracy", "sensitivity", "specificity"],
      ...arms.map(({ name, metrics }) => {
        const { auroc, accuracy, sensitivity, specificity } = metrics[target]!;
        return [name, ...[auroc, accuracy, sensitivity, specificity].map(interval)];
      }),
    ]),
    "",
    bold("What the private models promise"),
    "",
    ...arms.flatMap(({ name, privacy, attacker }) =>
      privacy && attacker
        ? [
            `${name}: at most ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit}.`,
            `  ${meaningOf(attacker)}`,
          ]
        : [`${name}: nothing. It may give away who was in the training.`],
    ),
    "",
    `${duration(seconds)}. The report: ${bold(report)}`,
  ].join("\n");
}
