import { encodePng } from "../../imaging/index.ts";

/**
 * Grey images as a PNG, one row for each list, side by side; each image [height, width] is scaled to its own range.
 */
export async function pictureSheet(
  rows: readonly (readonly Float32Array[])[],
  { height, width, gap = 4 }: { readonly height: number; readonly width: number; readonly gap?: number },
): Promise<Uint8Array> {
  const columns = Math.max(...rows.map((row) => row.length));
  const [w, h] = [columns * (width + gap) - gap, rows.length * (height + gap) - gap];
  const data = new Uint8Array(w * h).fill(255);
  rows.forEach((row, r) =>
    row.forEach((image, c) => {
      const sorted = image.slice().sort();
      const [low, high] = [sorted[Math.floor(0.005 * sorted.length)]!, sorted[Math.ceil(0.995 * sorted.length) - 1]!];
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const grey = (255 * (image[y * width + x]! - low)) / (high - low || 1);
          data[(r * (height + gap) + y) * w + c * (width + gap) + x] = Math.max(0, Math.min(255, Math.round(grey)));
        }
    }),
  );
  return encodePng({ width: w, height: h, channels: 1, bitDepth: 8, data });
}
