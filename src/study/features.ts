/** Feature extractors from files: known by their digest, and kept with the runs that use them. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LeadglassError } from "../errors.ts";
import { importArchitecture, onnxFeatures } from "../nn/index.ts";

/** The file's name in a run folder. */
export const featuresFile = "features.onnx";

export interface Extractor {
  /** The name of the architecture. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

const heads = ["linear", "two-layer"] as const;

/**
 * Reads an extractor and makes its architecture known to this process as `features:<digest>:<head>`.
 * Throws LG-USAGE-001 for a head that is none, LG-USAGE-003 for a file that cannot be read, LG-GRAPH-... for another model.
 */
export async function importFeatures(path: string, head = "linear"): Promise<Extractor> {
  const found = heads.find((h) => h === head);
  if (!found)
    throw new LeadglassError("LG-USAGE-001", `--model ${head}: with --features the model is a head`, {
      hint: `Choose one of ${heads.join(", ")}.`,
    });
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new LeadglassError("LG-USAGE-003", `--features ${path}: the file cannot be read`, { hint: "Give the path of an .onnx file.", cause }); // prettier-ignore
  });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const name = `features:${sha256.slice(0, 16)}:${found}`;
  importArchitecture(name, onnxFeatures(bytes, found));
  return { name, bytes, sha256 };
}

/**
 * Makes the architecture of a run known, where it is on an extractor of its own. Throws LG-TRAIN-002 where the file in the
 * run's folder is another.
 */
export async function knowArchitecture(dir: string, architecture: string): Promise<void> {
  if (!architecture.startsWith("features:")) return;
  const { name } = await importFeatures(`${dir}/${featuresFile}`, architecture.split(":")[2]);
  if (name !== architecture)
    throw new LeadglassError("LG-TRAIN-002", `${dir}: its ${featuresFile} is not the one it was trained on`, {
      hint: "Restore the run folder from a backup.",
    });
}
