/** Where a model looks: what blanking each cell of a grid does to its answers. */
import type { Progress, ImageRows } from "../rows.ts";
import { insideOf, maskedRows } from "./region.ts";

/** Cells along each side. */
const cells = 8;

/**
 * For every cell of an 8 x 8 grid: by how much the probability of the right answer falls, on average over images, when
 * the cell is replaced by the mean of the rest. Large where the model looks; negative where looking misleads it.
 */
export async function occlusionGrid({
  source,
  probabilities,
  right,
  among,
  onProgress,
}: {
  readonly source: ImageRows;
  readonly probabilities: (source: ImageRows) => Promise<Float64Array>;
  /** The probability of the right answer for the image at a place, from the model's probability of a positive. */
  readonly right: (at: number, probability: number) => number;
  /** Places of the images in what `probabilities` returns. */
  readonly among: readonly number[];
  readonly onProgress: Progress;
}): Promise<number[][]> {
  const mean = (p: Float64Array): number => among.reduce((sum, at) => sum + right(at, p[at]!), 0) / among.length;
  const whole = mean(await probabilities(source));
  const grid: number[][] = [];
  for (let row = 0; row < cells; row++) {
    const falls: number[] = [];
    for (let column = 0; column < cells; column++) {
      const cell = { x: column / cells, y: row / cells, width: 1 / cells, height: 1 / cells };
      const without = maskedRows(source, insideOf(cell, source.imageSize), "outside");
      falls.push(whole - mean(await probabilities(without)));
      onProgress(row * cells + column + 1, cells * cells);
    }
    grid.push(falls);
  }
  return grid;
}
