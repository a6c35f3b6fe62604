import type { Cohort, Target } from "../../cohort/index.ts";
import { imageGrid } from "./image-grid.ts";

/**
 * Images of one class side by side as a PNG: the first image of as many different patients of a split, `tile` pixels a
 * side, `columns` in a row.
 */
export function contactSheet(
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
  const rows = Array.from({ length: Math.ceil(firsts.length / columns) }, (_, r) => ({
    cohort,
    images: firsts.slice(r * columns, (r + 1) * columns),
  }));
  return imageGrid(rows, { tile, gap });
}
