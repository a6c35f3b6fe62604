import { stat } from "node:fs/promises";
import { LeadglassError } from "../../errors.ts";
import { exportModel, inputShapeOfRun } from "../../study/deploy.ts";
import { readFinishedRun, readWeights } from "../../study/run-folder.ts";
import { command } from "../command.ts";
import { fileSize } from "../output.ts";

export const exportCommand = command({
  name: "export",
  about:
    "Writes a finished run's model as one ONNX file for any server: grey pixels from 0 to 1 as image [rows, channels, height, width] in (of volumes [rows, 1, depth, height, width]), logits and probabilities [rows, targets] out.",
  options: {
    run: { kind: "text", value: "RUN", about: "the run's folder", required: true },
    out: { kind: "text", value: "FILE", about: "where to write: a name that ends in .onnx", required: true },
    rows: { kind: "whole", value: "N", about: "images that one call takes", atLeast: 1, atMost: 1024, initial: 1 },
  },
  examples: ["leadglass export --run runs/private --out malignant.onnx"],
  async run({ run, out, rows }) {
    if (!/\.onnx$/i.test(out))
      throw new LeadglassError("LG-USAGE-001", "--out: a name that ends in .onnx was expected", {
        hint: "For example --out malignant.onnx.",
      });
    const record = await readFinishedRun(run);
    await exportModel({ run: record, weights: await readWeights(run), out, rows });
    const { size: sizeBytes } = await stat(out);
    const { targets, imageSize, channels, volume } = record;
    return {
      json: { out, sizeBytes, rows, channels, imageSize, ...(volume ? { volume } : {}), targets },
      text: `${out}: ${fileSize(sizeBytes)}; image [${[rows, ...inputShapeOfRun(record)].join(", ")}] to probabilities of ${targets.join(", ")}`,
    };
  },
});
