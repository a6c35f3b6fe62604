import { encodeModel } from "../graph/index.ts";
import { buildModel, inferenceGraph } from "../nn/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import type { RunRecord } from "./run-folder.ts";

/** What one row of a run's model looks like, [channels, ...]. */
export const inputShapeOfRun = ({ channels, imageSize, volume }: RunRecord): readonly number[] =>
  volume ? [channels, ...volume.shape] : [channels, imageSize!, imageSize!];

/** Writes a run's model as one ONNX file: pixels in [0, 1] to logits and probabilities, weights inside. */
export async function exportModel({
  run,
  weights,
  out,
  rows,
}: {
  readonly run: RunRecord;
  readonly weights: Readonly<Record<string, Float32Array>>;
  readonly out: string;
  /** Images that one call takes. */
  readonly rows: number;
}): Promise<void> {
  const { architecture, imageSize, volume, targets, mirror } = run;
  const model = buildModel(architecture, { inputShape: inputShapeOfRun(run), rows, outputs: targets.length });
  // Whoever serves the model has to bring rows to this form.
  const size: Record<string, string> = volume
    ? {
        volumeShape: volume.shape.join(),
        spacingMm: volume.spacingMm.join(),
        windowHu: volume.windowHu.join(),
        about: typeof volume.about === "object" ? `${volume.about.beforeBackMm} mm before the back` : volume.about,
        axes: "z to the head, y to the front, x to the right",
      }
    : {
        imageSize: String(imageSize),
        ...(run.preparation === undefined ? {} : { preparation: run.preparation }),
      };
  const graph = inferenceGraph(model, weights, { mirror });
  await writeAtomically(out, encodeModel(graph, { metadata: { targets: targets.join(","), ...size } }));
}
