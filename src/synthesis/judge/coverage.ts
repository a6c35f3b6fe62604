/** How much of one distribution lies within the other, by nearest neighbours. */
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { drawRows, meanFigure, rowsOf, type Figure, type Sample } from "./sample.ts";

export interface Coverage {
  /** Share of synthetic images within the reach of some real one: fidelity. */
  readonly precision: Figure;
  /** Share of real images within the reach of some synthetic one: diversity, blind to outliers among the synthetic. */
  readonly recall: Figure;
  /** In how many reaches of real images a synthetic one lies, over k: fidelity that outliers do not inflate; about 1 if alike. */
  readonly density: Figure;
  /** Share of real images with a synthetic one within their reach; 1 - 2^-k if alike and as many. */
  readonly coverage: Figure;
  /** Images of each side. */
  readonly images: number;
  readonly k: number;
}

/** Euclidean distances of all pairs of rows, [a.rows, b.rows]. */
export function distances(a: Table, b: Table): Float32Array {
  const { columns } = a;
  const out = new Float32Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j < b.rows; j++) {
      let sum = 0;
      for (let c = 0, x = i * columns, y = j * columns; c < columns; c++) sum += (a.data[x + c]! - b.data[y + c]!) ** 2;
      out[i * b.rows + j] = Math.sqrt(sum);
    }
  return out;
}

/** The distance of each row to its k-th nearest other row. */
function reaches(table: Table, k: number): Float32Array {
  const all = distances(table, table);
  const { rows } = table;
  return Float32Array.from({ length: rows }, (_, i) => {
    const others = all.slice(i * rows, (i + 1) * rows);
    others[i] = Infinity;
    return others.sort()[k - 1]!;
  });
}

/**
 * Precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, arXiv
 * 2002.09797) of as many images from each side, drawn by units. Intervals resample units with the reaches held fixed:
 * real patients for recall and coverage, synthetic images for precision and density.
 */
export function coverageFigures(
  real: Sample,
  synthetic: Sample,
  { seed, k = 5, most = 2000 }: { readonly seed: number; readonly k?: number; readonly most?: number },
): Coverage {
  const random = seededRandom(seed, "judge", "coverage");
  const images = Math.min(most, real.units.length, synthetic.units.length);
  const [r, s] = [real, synthetic].map((sample) => rowsOf(sample, drawRows(sample.units, images, random))) as [
    Sample,
    Sample,
  ];
  const near = Math.min(k, images - 1);
  const [realReach, syntheticReach] = [reaches(r.table, near), reaches(s.table, near)];
  const between = distances(r.table, s.table);
  const [precise, dense] = [new Float64Array(images), new Float64Array(images)];
  const [recalled, covered] = [new Float64Array(images), new Float64Array(images)];
  for (let i = 0; i < images; i++)
    for (let j = 0; j < images; j++) {
      const d = between[i * images + j]!;
      if (d < realReach[i]!) {
        precise[j] = 1;
        dense[j]! += 1 / near;
        covered[i] = 1;
      }
      if (d < syntheticReach[j]!) recalled[i] = 1;
    }
  return {
    precision: meanFigure(precise, s.units, seed),
    recall: meanFigure(recalled, r.units, seed),
    density: meanFigure(dense, s.units, seed),
    coverage: meanFigure(covered, r.units, seed),
    ...{ images, k: near },
  };
}
