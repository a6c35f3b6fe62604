import { resolve } from "node:path";
import { synthSample } from "../../study/synth-run.ts";
import { command } from "../command.ts";
import { count, significant, significantUp, table } from "../output.ts";

export const synthSampleCommand = command({
  name: "synth sample",
  about: "Draws images of both classes from a generator, as a cohort that can be trained on and judged.",
  options: {
    run: { kind: "text", value: "RUN", about: "the folder that synth train wrote", required: true },
    "per-class": { kind: "whole", value: "N", about: "images of each class", required: true },
    out: { kind: "text", value: "DIR", about: "the folder to make; it must not exist", required: true },
    seed: { kind: "whole", value: "S", about: "draw the same images again" },
    device: { kind: "text", about: "where to compute", oneOf: ["cpu", "webgpu", "cuda"], initial: "cpu" },
  },
  notes:
    "Drawing opens no patient and costs nothing. The cohort says what its generator has cost, and so does every model trained on it.",
  examples: ["leadglass synth sample --run runs/generator --per-class 1000 --out samples"],
  async run(options, terminal) {
    const { run, out, seed, device } = options;
    using drawing = terminal.progress("drawing", "images", { leave: true });
    const report = await synthSample({
      run,
      out,
      perClass: options["per-class"]!,
      device,
      ...(seed === undefined ? {} : { seed }),
      signal: terminal.signal,
      onImage: drawing.update,
    });
    drawing[Symbol.dispose]();
    const { privacy, insecureSeed } = report.generator;
    const cost = privacy
      ? `epsilon ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit} it learned from`
      : "none: these images may give away the patients it learned from";
    const text = table([
      ["", ""],
      ["cohort", resolve(report.out)],
      ["images", `${count(report.images)}, half with ${report.target} 1 and half 0`],
      ["privacy of the generator", `${cost}${insecureSeed ? "; its noise came from a seed and protects nobody" : ""}`],
    ]);
    return { json: report, text: text.trimStart() };
  },
});
