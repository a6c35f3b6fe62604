import { join } from "node:path";
import sharp from "sharp";
import type { Cohort, Target } from "../../cohort/index.ts";

/**
 * Images of one class side by side as a PNG: the first image of as many different patients of a split, `tile` pixels a
 * side, `columns` in a row.
 */
export async function contactSheet(
  cohort: Cohort,
  target: Target,
  {
    label,
    split,
    count = 12,
    columns = 6,
    tile = 128,
    gap = 6,
  }: { label: 0 | 1; split: string; count?: number; columns?: number; tile?: number; gap?: number },
): Promise<Uint8Array> {
  const firsts = cohort
    .patientsOf(split)
    .flatMap(({ images }) => images.find((i) => target.present[i] === 1 && target.labels[i] === label) ?? [])
    .slice(0, count);
  const tiles = await Promise.all(
    firsts.map((i) =>
      sharp(join(cohort.dir, cohort.records[i]!.file)).resize(tile, tile, { fit: "cover" }).png().toBuffer(),
    ),
  );
  const rows = Math.ceil(tiles.length / columns);
  const side = (n: number): number => n * tile + (n - 1) * gap;
  return sharp({ create: { width: side(columns), height: side(rows), channels: 3, background: "#ffffff" } })
    .composite(
      tiles.map((input, i) => ({
        input,
        left: (i % columns) * (tile + gap),
        top: Math.floor(i / columns) * (tile + gap),
      })),
    )
    .toColourspace("b-w")
    .png({ compressionLevel: 9 })
    .toBuffer();
}
