import { join } from "node:path";
import sharp from "sharp";
import type { Cohort } from "../../cohort/index.ts";

/**
 * Images in columns as a PNG, each cell `tile` pixels a side: row by row the images of one cohort by their indices.
 */
export async function imageGrid(
  rows: readonly { readonly cohort: Cohort; readonly images: readonly number[] }[],
  { tile = 96, gap = 4 }: { readonly tile?: number; readonly gap?: number } = {},
): Promise<Uint8Array> {
  const columns = Math.max(...rows.map(({ images }) => images.length));
  const side = (n: number): number => n * tile + (n - 1) * gap;
  const cells = await Promise.all(
    rows.flatMap(({ cohort, images }, y) =>
      images.map(async (image, x) => ({
        input: await sharp(join(cohort.dir, cohort.records[image]!.file))
          .resize(tile, tile, { fit: "cover" })
          .png()
          .toBuffer(),
        left: x * (tile + gap),
        top: y * (tile + gap),
      })),
    ),
  );
  return sharp({ create: { width: side(columns), height: side(rows.length), channels: 3, background: "#ffffff" } })
    .composite(cells)
    .toColourspace("b-w")
    .png({ compressionLevel: 9 })
    .toBuffer();
}
