import {
  add,
  concat,
  constant,
  matMul,
  min,
  mul,
  reduceMean,
  relu,
  reshape,
  scalar,
  sizeOf,
  sqrt,
  sub,
  type Value,
} from "../graph/index.ts";
import { zeros } from "./initialisers.ts";
import { activate, convolution, dense, groupNorm } from "./layers.ts";
import { modelOf, type Model, type VolumeModelShape } from "./model.ts";
import { poolingMatrix } from "./texture.ts";

/**
 * Densities that are told apart, as shares of the window: in that of the abdomen fat, water, unenhanced soft tissue,
 * enhanced organs, and vessels with what is brighter.
 */
const densities = [0.15, 0.4, 0.5, 0.6, 0.7];
/** Square roots of the share of each in a trunk, rounded; they only centre the features. */
const typicalRoots = [0.3, 0.3, 0.4, 0.4, 0.5];
type Cells = readonly [number, number, number];
/** Cells along z, y, x: of 24 mm in the default box for the linear model, and half of that for the convolutions. */
const coarse: Cells = [4, 5, 6];
const fine: Cells = [8, 10, 12];
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

/** Mean over a grid of cells: [rows, 1, depth, height, width] -> [rows, 1, ...cells]. */
function poolCells(x: Value, [d, h, w]: Cells): Value {
  const [rows, , depth, height, width] = x.shape as [number, number, number, number, number];
  const across = poolingMatrix(width, w);
  const transposed = Float32Array.from({ length: width * w }, (_, i) => across[(i % w) * width + Math.floor(i / w)]!);
  const columns = matMul(reshape(x, [rows, depth, height, width]), constant(transposed, [width, w]));
  const planes = matMul(constant(poolingMatrix(height, h), [h, height]), columns);
  const cells = matMul(constant(poolingMatrix(depth, d), [d, depth]), reshape(planes, [rows, depth, h * w]));
  return reshape(cells, [rows, 1, d, h, w]);
}

/** Square roots of the share of each density in each cell, centred: [rows, densities, ...cells]. */
function tissueMaps(volume: Value, cells: Cells): Value {
  const root = (k: number): Value => sqrt(add(poolCells(nearTo(volume, k), cells), scalar(1e-6)));
  return concat(densities.map((_, k) => sub(root(k), scalar(typicalRoots[k]!))), 1); // prettier-ignore
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
    // Roots of five shares that add up to one, centred, have a length of about a half in each cell.
    (volume) =>
      mul(
        reshape(tissueMaps(volume, coarse), [shape.rows, densities.length * sizeOf(coarse)]),
        scalar(length / (0.5 * Math.sqrt(sizeOf(coarse)))),
      ),
    (scope, x) => dense(scope.at("head"), x, shape.outputs, { weight: zeros }),
  );
}

/** Three small convolutions on the same shares over a finer grid: the non-private default for small cohorts of volumes. */
export function tissueCnn(shape: VolumeModelShape): Model {
  return modelOf(
    "tissue-cnn",
    shape,
    (volume) => mul(tissueMaps(volume, fine), scalar(4)),
    (scope, x) => {
      const layer = (k: number, y: Value, out: number, stride: number): Value =>
        activate(
          "mish",
          groupNorm(
            scope.at(`norm${k}`),
            convolution(scope.at(`conv${k}`), y, out, 3, { stride, padding: 1, bias: false }),
            4,
          ),
        );
      const y = layer(3, layer(2, layer(1, x, 16, 1), 32, 2), 32, 1);
      const parts = reduceMean(reshape(y, [shape.rows, 32, 2, 2, 5, 2, 3]), [3, 6]);
      return dense(scope.at("head"), reshape(parts, [shape.rows, 32 * 2 * 5 * 2]), shape.outputs);
    },
  );
}
