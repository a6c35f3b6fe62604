import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openVolumes, type Cohort } from "../../cohort/index.ts";
import { decodeImage, encodePng, resize, toPlanes } from "../../imaging/index.ts";

/** Of a volume the middle slice of so many is shown, of the body in the window of soft tissue. */
const slices = 24;

/** One image of a cohort, `side` pixels a side, in shades from 0 to 1: the whole cut to a square, or the middle axial slice. */
async function tileOf(cohort: Cohort, image: number, side: number): Promise<Float32Array> {
  if (cohort.medium === "volumes") {
    using volumes = openVolumes(cohort, {
      shape: [slices, side, side],
      ...{ window: "abdomen", about: "body", cacheBytes: 0 },
    });
    const size = side * side;
    return (await volumes.read(image)).subarray((slices / 2) * size, (slices / 2 + 1) * size);
  }
  const decoded = await decodeImage(await readFile(join(cohort.dir, cohort.records[image]!.file)), { alpha: "drop" });
  const { data } = resize(toPlanes(decoded, { channels: 1 }), { width: side, height: side, fit: "crop" });
  return decoded.bitDepth === 8 ? data : stretched(data);
}

/** Few files of 16 bit use their whole range: what they do use is spread over it, but for the outermost half per cent. */
function stretched(data: Float32Array): Float32Array {
  const sorted = data.slice().sort();
  const [low, high] = [sorted[Math.floor(0.005 * sorted.length)]!, sorted[Math.ceil(0.995 * sorted.length) - 1]!];
  return data.map((value) => (value - low) / (high - low || 1));
}

/**
 * Images in columns as a grey PNG, each cell `tile` pixels a side: row by row the images of one cohort by their indices,
 * in whatever format they are; of volumes the middle slice. Throws what decoding throws.
 */
export async function imageGrid(
  rows: readonly { readonly cohort: Cohort; readonly images: readonly number[] }[],
  { tile = 96, gap = 4 }: { readonly tile?: number; readonly gap?: number } = {},
): Promise<Uint8Array> {
  const columns = Math.max(...rows.map(({ images }) => images.length));
  const side = (n: number): number => n * tile + (n - 1) * gap;
  const [width, height] = [side(columns), side(rows.length)];
  const data = new Uint8Array(width * height).fill(255);
  for (const [r, { cohort, images }] of rows.entries()) {
    const cells = await Promise.all(images.map((image) => tileOf(cohort, image, tile)));
    cells.forEach((cell, c) =>
      cell.forEach((value, i) => {
        const [y, x] = [r * (tile + gap) + Math.floor(i / tile), c * (tile + gap) + (i % tile)];
        data[y * width + x] = Math.max(0, Math.min(255, Math.round(255 * value)));
      }),
    );
  }
  return encodePng({ width, height, channels: 1, bitDepth: 8, data });
}
