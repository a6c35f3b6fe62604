import { encodeModel } from "../graph/index.ts";
import { architectureNamed, inferenceGraph } from "../nn/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import type { RunRecord } from "./run-folder.ts";

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
  const { architecture, channels, imageSize, targets, mirror } = run;
  const model = architectureNamed(architecture).build({ rows, channels, imageSize, outputs: targets.length });
  const graph = inferenceGraph(model, weights, { mirror });
  await writeAtomically(
    out,
    encodeModel(graph, {
      metadata: {
        targets: targets.join(","),
        imageSize: String(imageSize),
        ...(run.preparation === undefined ? {} : { preparation: run.preparation }),
      },
    }),
  );
}
