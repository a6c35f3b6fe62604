import {
  add,
  apply,
  concat,
  constant,
  conv,
  div,
  expand,
  float32s,
  int64s,
  log,
  matMul,
  mul,
  reduceMean,
  reshape,
  scalar,
  sizeOf,
  slice,
  sqrt,
  sub,
  type Value,
} from "../graph/index.ts";
import { zeros } from "./initialisers.ts";
import { activate, convolution, dense, groupNorm, imageStatistics } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";

/** Orientations of the filter bank, equally spaced over half a turn. */
export const orientations = 8;
export const kernelSize = 7;
/** Peak frequency in radians a pixel, width along the wave in pixels, and aspect of the Morlet filters. */
const morlet = { frequency: 0.6 * Math.PI, width: 1.3, slant: 0.6 };
/** Log energy of 1/f^1.75 noise at each level of the pyramid, so from no cohort at all; it only centres the features. */
export const typicalLogEnergy = [-1.93, -1.63, -1.23, -0.83, -0.55];
export const logEnergySpread = 0.45;
export const energyFloor = 0.02;

/** Zero-mean complex Morlet filters of unit norm as real convolution weights [2 x orientations, 1, kernel, kernel], real parts first. */
export function morletBank(): Float32Array {
  const { frequency, width, slant } = morlet;
  const radius = (kernelSize - 1) / 2;
  const area = kernelSize ** 2;
  const bank = new Float32Array(2 * orientations * area);
  for (let o = 0; o < orientations; o++) {
    const angle = (Math.PI * o) / orientations;
    const taps = Array.from({ length: area }, (_, i) => {
      const [y, x] = [Math.floor(i / kernelSize) - radius, (i % kernelSize) - radius];
      const u = x * Math.cos(angle) + y * Math.sin(angle);
      const v = -x * Math.sin(angle) + y * Math.cos(angle);
      const envelope = Math.exp(-(u * u + (slant * v) ** 2) / (2 * width ** 2));
      return { envelope, re: envelope * Math.cos(frequency * u), im: envelope * Math.sin(frequency * u) };
    });
    const total = (of: (t: (typeof taps)[number]) => number): number => taps.reduce((s, t) => s + of(t), 0);
    const mass = total((t) => t.envelope);
    const [meanRe, meanIm] = [total((t) => t.re) / mass, total((t) => t.im) / mass];
    const centred = taps.map((t) => ({ re: t.re - t.envelope * meanRe, im: t.im - t.envelope * meanIm }));
    const norm = Math.sqrt(centred.reduce((s, t) => s + t.re ** 2 + t.im ** 2, 0));
    centred.forEach((t, i) => {
      bank[o * area + i] = t.re / norm;
      bank[(orientations + o) * area + i] = t.im / norm;
    });
  }
  return bank;
}

/** Mirrors (or, where the image is too small to mirror, repeats) the border. */
export function border(x: Value, width: number): Value {
  const mode = x.shape[2]! > width ? "reflect" : "edge";
  const pads = int64s([0, 0, width, width, 0, 0, width, width]);
  return apply("Pad", [x, pads], { mode: { string: mode } })[0]!;
}

/** Smooths by the binomial filter 1 4 6 4 1 and keeps every second pixel. */
export function halve(x: Value): Value {
  const taps = [1, 4, 6, 4, 1].map((t) => t / 16);
  const rows = conv(border(x, 2), float32s(taps, [1, 1, 5, 1]), undefined, { strides: [2, 1] });
  return conv(rows, float32s(taps, [1, 1, 1, 5]), undefined, { strides: [1, 2] });
}

/** The averaging matrix of adaptive pooling, [cells, n]; cells finer than pixels repeat them. */
export function poolingMatrix(n: number, cells: number): Float32Array {
  const matrix = new Float32Array(cells * n);
  for (let c = 0; c < cells; c++) {
    const [from, to] = [Math.floor((c * n) / cells), Math.ceil(((c + 1) * n) / cells)];
    for (let i = from; i < to; i++) matrix[c * n + i] = 1 / (to - from);
  }
  return matrix;
}

/** Mean over a grid of cells: [rows, channels, n, n] -> [rows, channels, cells, cells]. */
function pool(x: Value, cells: number): Value {
  const n = x.shape[2]!;
  const matrix = poolingMatrix(n, cells);
  const transposed = Float32Array.from(
    { length: n * cells },
    (_, i) => matrix[(i % cells) * n + Math.floor(i / cells)]!,
  );
  return matMul(matMul(constant(matrix, [cells, n]), x), constant(transposed, [n, cells]));
}

/**
 * Fixed texture features of an image: on a pyramid of up to five octaves, the energies of eight oriented Morlet filters,
 * averaged over a grid: how much texture (log energy), and its direction (second harmonic over orientations); with the
 * coarse image itself and its brightness and contrast. Every number is a constant or comes from the image alone, so the
 * features cost no privacy. In the manner of scattering (Tramer and Boneh 2021), chosen by cross-validation.
 * @returns maps [rows, 3 levels + 1, grid, grid] and globals [rows, 2].
 */
function textureMaps(image: Value, grid: number): { maps: Value; globals: Value; levels: number } {
  const [rows, channels, size] = image.shape as [number, number, number, number];
  const grey = channels === 1 ? image : reduceMean(image, [1], true);
  const { mean, deviation, centred } = imageStatistics(mul(reshape(grey, [rows, size * size]), scalar(255)));
  const contrast = add(deviation, scalar(1));
  let level = reshape(div(centred, contrast), [rows, 1, size, size]);
  const levels = Math.max(1, Math.min(typicalLogEnergy.length, Math.floor(Math.log2(size / 8)) + 1));
  const bank = constant(morletBank(), [2 * orientations, 1, kernelSize, kernelSize]);
  const angles = Array.from({ length: orientations }, (_, o) => (2 * Math.PI * o) / orientations);
  const harmonics = [() => 1, Math.cos, Math.sin].flatMap((f) => angles.map((a) => f(a) / orientations));
  const mixing = float32s(harmonics, [3, orientations, 1, 1]);
  const maps: Value[] = [];
  const coarse = pool(level, grid);
  for (let j = 0; j < levels; j++) {
    const waves = conv(border(level, (kernelSize - 1) / 2), bank);
    const [re, im] = [0, 1].map((i) => slice(waves, [i * orientations], [(i + 1) * orientations], [1])) as [
      Value,
      Value,
    ];
    const energy = sqrt(add(add(mul(re, re), mul(im, im)), scalar(1e-8)));
    const pooled = pool(conv(energy, mixing), grid);
    const [amount, direction] = [slice(pooled, [0], [1], [1]), slice(pooled, [1], [3], [1])];
    const floored = add(amount, scalar(energyFloor));
    maps.push(mul(sub(log(floored), scalar(typicalLogEnergy[j]!)), scalar(1 / logEnergySpread)));
    maps.push(div(mul(direction, scalar(6)), floored));
    if (j + 1 < levels) level = halve(level);
  }
  const brightness = mul(sub(mean, scalar(128)), scalar(1 / 32));
  const spread = mul(sub(log(contrast), scalar(3.5)), scalar(2));
  return { maps: concat([...maps, coarse], 1), globals: concat([spread, brightness], 1), levels };
}

/** The fixed texture features of images [rows, channels, n, n] over a grid, flat: [rows, features]. */
export function fixedTexture(image: Value, grid: number): Value {
  const { maps, globals } = textureMaps(image, grid);
  return concat([reshape(maps, [image.shape[0]!, sizeOf(maps.shape.slice(1))]), globals], 1);
}

/** Linear model on fixed texture features over a 4 x 4 grid: the private default for small cohorts. */
export function textureLinear(shape: ModelShape): Model {
  return modelOf(
    "texture",
    shape,
    (image) => fixedTexture(image, 4),
    (scope, x) => dense(scope.at("head"), x, shape.outputs, { weight: zeros }),
  );
}

/** Three small convolutions on fixed texture maps over an 8 x 8 grid: the non-private default for small cohorts. */
export function textureCnn(shape: ModelShape): Model {
  return modelOf(
    "texture-cnn",
    shape,
    (image) => {
      const { maps, globals } = textureMaps(image, 8);
      const spread = expand(reshape(globals, [shape.rows, 2, 1, 1]), [shape.rows, 2, 8, 8]);
      return concat([maps, spread], 1);
    },
    (scope, x) => {
      let y = activate(
        "mish",
        groupNorm(scope.at("norm1"), convolution(scope.at("conv1"), x, 16, 3, { padding: 1 }), 4),
      );
      y = activate(
        "mish",
        groupNorm(scope.at("norm2"), convolution(scope.at("conv2"), y, 32, 3, { stride: 2, padding: 1 }), 4),
      );
      y = activate("mish", groupNorm(scope.at("norm3"), convolution(scope.at("conv3"), y, 32, 3, { padding: 1 }), 4));
      const quarters = reduceMean(reshape(y, [shape.rows, 32, 2, 2, 2, 2]), [3, 5]);
      return dense(scope.at("head"), reshape(quarters, [shape.rows, 128]), shape.outputs);
    },
  );
}
