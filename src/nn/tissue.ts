import {
  add,
  concat,
  constant,
  matMul,
  min,
  mul,
  relu,
  reshape,
  scalar,
  sizeOf,
  sqrt,
  sub,
  type Value,
} from "../graph/index.ts";
import { zeros } from "./initialisers.ts";
import { dense } from "./layers.ts";
import { modelOf, type Model, type VolumeModelShape } from "./model.ts";
import { poolingMatrix } from "./texture.ts";

/**
 * Densities that are told apart, as shares of the window: in that of the abdomen fat, water, unenhanced soft tissue,
 * enhanced organs, and vessels with what is brighter.
 */
const densities = [0.15, 0.4, 0.5, 0.6, 0.7];
/** Square roots of the share of each in a trunk, rounded; they only centre the features. */
const typicalRoots = [0.3, 0.3, 0.4, 0.4, 0.5];
/** Cells along z, y, x: of two to three centimetres in the default box. */
const grid = [4, 5, 6] as const;
/** Length of the centred features of a usual volume, about: the clipping norm is 1. */
const length = 8;

/** How near voxels in [0, 1] are to a density: 1 at it, falling to 0 at the densities beside it; beyond the first and last, 1. */
function nearTo(x: Value, k: number): Value {
  const [below, at, above] = [densities[k - 1], densities[k]!, densities[k + 1]];
  const rising = below === undefined ? undefined : mul(sub(x, scalar(below)), scalar(1 / (at - below)));
  const falling = above === undefined ? undefined : mul(sub(scalar(above), x), scalar(1 / (above - at)));
  const least = [rising, falling, scalar(1)].filter((v) => v !== undefined);
  return relu(min(...least));
}

/** Mean over a grid of cells: [rows, 1, depth, height, width] -> [rows, cells]. */
function poolCells(x: Value): Value {
  const [rows, , depth, height, width] = x.shape as [number, number, number, number, number];
  const [d, h, w] = grid;
  const across = poolingMatrix(width, w);
  const transposed = Float32Array.from({ length: width * w }, (_, i) => across[(i % w) * width + Math.floor(i / w)]!);
  const columns = matMul(reshape(x, [rows, depth, height, width]), constant(transposed, [width, w]));
  const planes = matMul(constant(poolingMatrix(height, h), [h, height]), columns);
  const cells = matMul(constant(poolingMatrix(depth, d), [d, depth]), reshape(planes, [rows, depth, h * w]));
  return reshape(cells, [rows, d * h * w]);
}

/**
 * Linear model on fixed features of a volume: how much tissue of each of five densities lies in each cell of a coarse
 * grid, as square roots of soft histograms (Hellinger), whose length is the same for every volume. Every number is a
 * constant or comes from the volume alone, so the features cost no privacy. Only the first channel is read. The densities,
 * the grid and the default box were chosen by cross-validation on phantoms.
 */
export function tissueLinear(shape: VolumeModelShape): Model {
  return modelOf(
    "tissue",
    shape,
    (volume) => {
      const maps = densities.map((_, k) =>
        sub(sqrt(add(poolCells(nearTo(volume, k)), scalar(1e-6))), scalar(typicalRoots[k]!)),
      );
      // Roots of five shares that add up to one, centred, have a length of about a half in each cell.
      return mul(concat(maps, 1), scalar(length / (0.5 * Math.sqrt(sizeOf(grid)))));
    },
    (scope, x) => dense(scope.at("head"), x, shape.outputs, { weight: zeros }),
  );
}
