/** Weights that a training starts from, or that it does not train: another run's, or a file's. */
import { readFile } from "node:fs/promises";
import { LeadglassError } from "../errors.ts";
import { sizeOf } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { foreignWeights, initialParameters, type ForeignTensor, type Model } from "../nn/index.ts";
import { decodeSafetensors } from "../runtime/safetensors.ts";
import { frozenNames } from "./freeze.ts";
import { readFinishedRun, readFrozen, readWeights, type FrozenWeights, type RunRecord } from "./run-folder.ts";

/** Weights that another project wrote, where no run is named. */
export const isWeightsFile = (place: string): boolean => place.endsWith(".safetensors");

export async function readForeign(path: string): Promise<Record<string, ForeignTensor>> {
  const { tensors } = decodeSafetensors(await readFile(path));
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([name, { dtype, shape, data }]) =>
      dtype === "float32" ? [[name, { shape, data: data as Float32Array }]] : [],
    ),
  );
}

export async function weightsOfRun(dir: string): Promise<Record<string, Float32Array>> {
  await readFinishedRun(dir);
  return readWeights(dir);
}

export const shapesOf = (model: Model): Record<string, readonly number[]> =>
  Object.fromEntries(model.parameters.map((p) => [p.name, p.value.shape]));

/** Weights of another run, or of a file, for the parameters that have its names and sizes. */
export async function initialFrom(
  dir: string,
  model: Model,
  onNote?: (line: string) => void,
): Promise<Record<string, Float32Array>> {
  const weights = isWeightsFile(dir)
    ? foreignWeights(model.parameters, await readForeign(dir))
    : await weightsOfRun(dir);
  const taken = model.parameters.filter((p) => weights[p.name]?.length === sizeOf(p.value.shape));
  if (taken.length === 0)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: none of these weights fits the model ${model.name}`, {
      hint: "Start from a run, or a file of weights, of the same architecture.",
    });
  onNote?.(`${taken.length} of ${model.parameters.length} parameters start from ${dir}`);
  return Object.fromEntries(taken.map((p) => [p.name, weights[p.name]!]));
}

/** The parameters that are not trained: kept with the run, so that a resumed one has the same. */
export async function frozenWeights(
  previous: RunRecord | undefined,
  dir: string,
  model: Model,
  { choices, settings, initial }: Pick<RunRecord, "choices" | "settings"> & { initial?: Record<string, Float32Array> },
): Promise<FrozenWeights | undefined> {
  if (choices.freeze === undefined) return undefined;
  const shapes = shapesOf(model);
  if (previous) return { values: await readFrozen(dir), shapes };
  const start = { ...initialParameters(model, seededRandom(settings.seed, "initial")), ...initial };
  return { values: Object.fromEntries(frozenNames(model, choices.freeze).map((name) => [name, start[name]!])), shapes };
}
