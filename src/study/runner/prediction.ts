/** What a model answered for the images of a split, kept beside its evaluation: for the owner alone. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../../training/checkpoint.ts";

export interface KeptPrediction {
  /** Indices into the cohort. */
  readonly images: readonly number[];
  /** [images, targets] */
  readonly probabilities: Float32Array;
  readonly thresholds: readonly number[];
}

export const predictionFile = "predictions.json";

export const keepPrediction = (folder: string, { images, probabilities, thresholds }: KeptPrediction): Promise<void> =>
  writeAtomically(join(folder, predictionFile), JSON.stringify({ images, thresholds, probabilities: [...probabilities] })); // prettier-ignore

export async function readPrediction(folder: string): Promise<KeptPrediction> {
  const { images, thresholds, probabilities } = JSON.parse(await readFile(join(folder, predictionFile), "utf8")) as {
    images: number[];
    thresholds: number[];
    probabilities: number[];
  };
  return { images, thresholds, probabilities: Float32Array.from(probabilities) };
}
