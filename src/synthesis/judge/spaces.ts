/** The spaces in which images are compared: radiomics, fixed texture features, a network's features, and pixels. */
import { readFile } from "node:fs/promises";
import { openImages, type Cohort } from "../../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../../errors.ts";
import { decodeModel, graphOf, input, sizeOf, type Graph } from "../../graph/index.ts";
import { lower } from "../../graph/lower.ts";
import { radiomicFeatures, resize } from "../../imaging/index.ts";
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { fixedTexture } from "../../nn/index.ts";
import type { Engine } from "../../runtime/index.ts";
import type { Vectors } from "./nearest.ts";

export type Progress = (done: number, total: number) => void;

/** Grey levels of the radiomics: bins of 8 of 256 from black, so that brightness and contrast count. */
const bins = { kind: "fixed-bin-size", size: 8, from: 0 } as const;

/**
 * Features that repeat another exactly, or are the same for every image without a mask: IBSI names difference average and
 * dissimilarity, sum variance and cluster tendency, sum average and twice the joint average, mean square and energy.
 */
const repeated = new Set([
  "glcm.dissimilarity",
  "glcm.sumAverage",
  "glcm.clusterTendency",
  "intensity.energy",
  "intensity.range",
  "ngldm.percentage",
  "ngldm.greyLevelVariance",
  "ngldm.greyLevelNonUniformity",
  "ngldm.normalisedGreyLevelNonUniformity",
]);

/** Side of the square that the features of images are taken of. */
export const judgedSize = 128;
/** Side of the pictures that pixels are compared in. */
const thumbnail = 24;
/** More features than this are projected onto as many random directions. */
const mostFeatures = 256;

export interface Spaces {
  /** Feature sets by name; rows are the images asked for. */
  readonly tables: Readonly<Record<string, Table>>;
  /** Names of the radiomic features, in the order of the columns. */
  readonly radiomics: readonly string[];
  /** Thumbnails of mean 0 and length 1, and their mirror images. */
  readonly pixels: Vectors;
  /** How many features the network has, where they were projected. */
  readonly projectedFrom: number | null;
}

/**
 * Reads images once, brought to 128 x 128 grey, and computes what they are compared by. Values that are not finite become
 * NaN, which standardisation takes for the mean.
 */
export async function spacesOf(
  cohort: Cohort,
  images: readonly number[],
  engine: Engine,
  { network, onProgress }: { readonly network?: Network; readonly onProgress?: Progress } = {},
): Promise<Spaces> {
  using store = openImages(cohort, { size: judgedSize, channels: 1, normalise: "none" });
  const rows = 8;
  const image = input("image", [rows, 1, judgedSize, judgedSize]);
  const texture = fixedTexture(image, 2);
  await using program = await engine.load(lower(graphOf("texture", { features: texture }, [image])));
  const radiomic: Record<string, number>[] = [];
  const width = texture.shape[1]!;
  const textures = new Float64Array(images.length * width);
  const thumbs = [0, 1, 2, 3].map(() => new Float32Array(images.length * thumbnail ** 2));
  const size = judgedSize ** 2;
  for (let i = 0; i < images.length; i += rows) {
    const chunk = images.slice(i, i + rows);
    const data = new Float32Array(rows * size);
    await store.readBatch(chunk, data.subarray(0, chunk.length * size));
    chunk.forEach((_, k) => {
      const pixels = data.subarray(k * size, (k + 1) * size);
      radiomic.push(
        radiomicFeatures(
          { width: judgedSize, height: judgedSize, depth: 1, values: Float64Array.from(pixels, (x) => 255 * x) },
          { discretisation: bins },
        ),
      );
      thumbnailsInto(thumbs, pixels, i + k);
    });
    const { features } = await program.run({ image: { data, shape: image.shape } });
    textures.set((features!.data as Float32Array).subarray(0, chunk.length * width), i * width);
    onProgress?.(i + chunk.length, images.length);
  }
  const radiomics = Object.keys(radiomic[0]!).filter((name) => !repeated.has(name));
  const tables: Record<string, Table> = {
    radiomics: tableOf(radiomic.map((row) => radiomics.map((name) => row[name]!))),
    texture: { rows: images.length, columns: width, data: textures },
  };
  let projectedFrom: number | null = null;
  if (network) {
    const all = await networkFeatures(cohort, images, engine, network, onProgress);
    tables["network"] = projected(all);
    if (all.columns > mostFeatures) projectedFrom = all.columns;
  }
  const pixels = { count: images.length, length: thumbnail ** 2, data: thumbs[0]!, views: thumbs };
  return { tables, radiomics, pixels, projectedFrom };
}

const tableOf = (rows: readonly (readonly number[])[]): Table => ({
  rows: rows.length,
  columns: rows[0]!.length,
  data: Float64Array.from(rows.flat()),
});

/** The image, mirrored left to right, upside down, and both: generators are trained on mirror images. */
function thumbnailsInto(out: readonly Float32Array[], pixels: Float32Array, at: number): void {
  const n = thumbnail;
  const small = resize(
    { channels: 1, width: judgedSize, height: judgedSize, data: pixels },
    { width: n, height: n },
  ).data.slice();
  const mean = small.reduce((a, b) => a + b, 0) / small.length;
  const norm = Math.sqrt(small.reduce((sum, x) => sum + (x - mean) ** 2, 0)) || 1;
  for (let y = 0; y < n; y++)
    for (let x = 0; x < n; x++) {
      const value = (small[y * n + x]! - mean) / norm;
      [x, n - 1 - x].forEach((across, i) =>
        [y, n - 1 - y].forEach((down, j) => (out[2 * j + i]![at * n * n + down * n + across] = value)),
      );
    }
}

/** A network as a feature extractor: its first output for pixels in [0, 1], flattened. */
export interface Network {
  readonly graph: Graph;
  readonly rows: number;
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
}

/**
 * Reads an ONNX file that takes one tensor [rows, 1 or 3, height, width] of float32 pixels in [0, 1]; whatever
 * normalisation it needs has to be part of it. A symbolic number of rows becomes 8.
 * Throws LG-USAGE-001 where it takes something else, LG-GRAPH-003 or -004 where it cannot be read.
 */
export async function readNetwork(path: string): Promise<Network> {
  const bytes = await readFile(path);
  const names = ["batch", "batch_size", "N", "n", "None", "B", "b", "unk__0"];
  const inputs = ["input", "image", "images", "x", "pixel_values", "data", "input.1", "input_1"];
  const dimensions = Object.fromEntries([...names, ...inputs.map((name) => `${name}[0]`)].map((name) => [name, 8]));
  let graph: Graph;
  try {
    graph = decodeModel(bytes, { dimensions });
  } catch (error) {
    if (isLeadglassError(error) && error.code === "LG-GRAPH-004")
      throw new LeadglassError("LG-GRAPH-004", `${path}: ${error.message}`, {
        hint: "Export the network with a fixed input size; only the number of images may be open, called batch.",
        cause: error,
      });
    throw error;
  }
  const [only, ...others] = graph.inputs;
  const [rows, channels, height, width] = only?.shape ?? [];
  if (others.length > 0 || only?.shape.length !== 4 || only.dtype !== "float32" || (channels !== 1 && channels !== 3))
    throw new LeadglassError(
      "LG-USAGE-001",
      `--features: the network takes ${graph.inputs.map((i) => `${i.dtype} [${i.shape.join(", ")}]`).join(" and ")}`,
      { hint: "One float32 input [images, 1 or 3, height, width] of pixels from 0 to 1 was expected." },
    );
  return { graph, rows: rows!, channels, height: height!, width: width! };
}

async function networkFeatures(
  cohort: Cohort,
  images: readonly number[],
  engine: Engine,
  { graph, rows, channels, height, width }: Network,
  onProgress?: Progress,
): Promise<Table> {
  using store = openImages(cohort, { size: { width, height }, channels, normalise: "none" });
  await using program = await engine.load(lower(graph));
  const [source, result] = [graph.inputs[0]!, graph.outputs[0]!];
  const columns = sizeOf(result.value.shape) / rows;
  const data = new Float64Array(images.length * columns);
  for (let i = 0; i < images.length; i += rows) {
    const chunk = images.slice(i, i + rows);
    const pixels = new Float32Array(sizeOf(source.shape));
    await store.readBatch(chunk, pixels.subarray(0, chunk.length * channels * height * width));
    const found = await program.run({ [source.name]: { data: pixels, shape: source.shape } });
    data.set((found[result.name]!.data as Float32Array).subarray(0, chunk.length * columns), i * columns);
    onProgress?.(i + chunk.length, images.length);
  }
  return { rows: images.length, columns, data };
}

/** Random projection, the same for every call; distances keep their proportions (Johnson and Lindenstrauss 1984). */
function projected(table: Table): Table {
  const { rows, columns, data } = table;
  if (columns <= mostFeatures) return table;
  const random = seededRandom("judge", "projection", columns);
  const directions = Float64Array.from({ length: columns * mostFeatures }, () => random.gaussian());
  const out = new Float64Array(rows * mostFeatures);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const x = data[r * columns + c]!;
      if (x === 0) continue;
      for (let k = 0; k < mostFeatures; k++) out[r * mostFeatures + k]! += x * directions[c * mostFeatures + k]!;
    }
  return { rows, columns: mostFeatures, data: out };
}
