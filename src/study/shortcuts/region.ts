/** Images of which a part is blanked. */
import type { ImageRows } from "../rows.ts";

/** A part of an image as shares of its width and height, from the upper left. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** 1 for the pixels of an image that lie in the region, [rows x columns]. */
export function insideOf({ x, y, width, height }: Region, columns: number, rows = columns): Uint8Array {
  const inside = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const [u, v] = [(column + 0.5) / columns, (row + 0.5) / rows];
      if (u >= x && u < x + width && v >= y && v < y + height) inside[row * columns + column] = 1;
    }
  return inside;
}

/** The same rows with the pixels inside or outside a mask replaced by the mean of those that are kept. */
export function maskedRows(source: ImageRows, inside: Uint8Array, keep: "all" | "inside" | "outside"): ImageRows {
  if (keep === "all") return source;
  const kept = keep === "inside" ? 1 : 0;
  const { store, channels } = source;
  const area = inside.length;
  const mask = (pixels: Float32Array): Float32Array => {
    const out = pixels.slice();
    for (let c = 0; c < channels; c++) {
      const plane = out.subarray(c * area, (c + 1) * area);
      let [sum, n] = [0, 0];
      for (let i = 0; i < area; i++)
        if (inside[i] === kept) {
          sum += plane[i]!;
          n++;
        }
      const mean = n > 0 ? sum / n : 0;
      for (let i = 0; i < area; i++) if (inside[i] !== kept) plane[i] = mean;
    }
    return out;
  };
  const read = async (index: number): Promise<Float32Array> => mask(await store.read(index));
  return {
    ...source,
    store: {
      ...store,
      read,
      readBatch: async (indices, out = new Float32Array(indices.length * channels * area)) => {
        for (const [k, index] of indices.entries()) out.set(await read(index), k * channels * area);
        return out;
      },
      // The pixels belong to the store that was given.
      [Symbol.dispose]: () => undefined,
    },
  };
}

/** Pixels of some images, [rows, channels, size, size], the last rows 0 where there are fewer images. */
export async function pixelsOf(source: ImageRows, images: readonly number[], rows: number): Promise<Float32Array> {
  const each = source.channels * source.imageSize ** 2;
  const out = new Float32Array(rows * each);
  await source.store.readBatch(images, out.subarray(0, images.length * each));
  return out;
}
