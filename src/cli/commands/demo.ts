import { runDemo } from "../../study/demo.ts";
import { meaningOf } from "../../study/meaning.ts";
import { command } from "../command.ts";
import { textOf } from "./study-run.ts";

export const demo = command({
  name: "demo",
  about:
    "Runs a study of phantom patients: trains without and with differential privacy, on encodings and on synthetic images, attacks what would be shared, and writes a report that says which way to go. Minutes on two cores.",
  options: {
    out: { kind: "text", value: "DIR", about: "where to; numbered where it exists", initial: "leadglass-demo" },
    patients: { kind: "whole", value: "N", about: "how many patients to draw", atLeast: 120, initial: 360 },
  },
  examples: ["leadglass demo", "leadglass demo --out /tmp/demo --json"],
  async run({ out, patients }, terminal) {
    using bar = terminal.progress("demo", "s of work", { leave: true });
    const done = await runDemo({
      ...{ out, patients, signal: terminal.signal, onNote: terminal.note },
      onProgress: (seconds, total, doing) => bar.update(Math.round(seconds), Math.max(1, Math.round(total)), doing),
    });
    bar[Symbol.dispose]();
    const { record, rows: _rows, ...rest } = done;
    const { arms, attacks, costs, decision } = record;
    const promises = Object.entries(done.attackers).map(([arm, bound]) => `${arm}: ${meaningOf(bound)}`);
    return {
      json: { ...rest, arms, attacks, costs, decision },
      text: [...promises, "", textOf(done, done.report)].join("\n"),
    };
  },
});
