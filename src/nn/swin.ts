import {
  add,
  concat,
  constant,
  gather,
  int64s,
  leakyRelu,
  matMul,
  mul,
  pad,
  reduceMean,
  reshape,
  scalar,
  slice,
  softmax,
  split,
  squeeze,
  transpose,
  transposeLast,
  gelu,
  type Value,
} from "../graph/index.ts";
import { truncatedNormal } from "./initialisers.ts";
import { convolution, dense, layerNorm, normalise, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type ModelShape, type Scope } from "./model.ts";

export interface SwinOptions {
  /** Width of the first stage; each stage doubles it. */
  readonly width?: number;
  readonly depths?: readonly number[];
  readonly heads?: readonly number[];
  readonly window?: number;
  readonly patch?: number;
  /** One dense layer, or two with a leaky rectifier between them. */
  readonly head?: "linear" | "two-layer";
  /** Grey images are repeated where this is 3. */
  readonly channels?: 1 | 3;
  readonly normalisation?: Normalisation;
}

const weight = truncatedNormal(0.02);

/** Rows of the bias table for each pair of positions in a window, row-major (window^2 x window^2). */
function relativePositions(window: number): number[] {
  const n = window * window;
  return Array.from({ length: n * n }, (_, k) => {
    const [i, j] = [Math.floor(k / n), k % n];
    const dy = Math.floor(i / window) - Math.floor(j / window) + window - 1;
    const dx = (i % window) - (j % window) + window - 1;
    return dy * (2 * window - 1) + dx;
  });
}

/** Moves images [rows, height, width, channels] by `shift` to the left and up, around the edges. */
function roll(x: Value, shift: number): Value {
  const turn = (v: Value, axis: number): Value => {
    const n = v.shape[axis]!;
    const at = ((shift % n) + n) % n;
    return concat([slice(v, [at], [n], [axis]), slice(v, [0], [at], [axis])], axis);
  };
  return shift === 0 ? x : turn(turn(x, 1), 2);
}

/** What keeps apart the parts of a shifted window that are not neighbours: 0 or -100, [windows, 1, n, n]. */
function shiftMask(side: number, window: number, shift: number): Value {
  const region = (p: number): number => (p < side - window ? 0 : p < side - shift ? 1 : 2);
  const across = side / window;
  const n = window * window;
  const mask = new Float32Array(across * across * n * n);
  for (let w = 0; w < across * across; w++) {
    const place = (i: number): number => {
      const y = Math.floor(w / across) * window + Math.floor(i / window);
      const x = (w % across) * window + (i % window);
      return 3 * region(y) + region(x);
    };
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) mask[(w * n + i) * n + j] = place(i) === place(j) ? 0 : -100;
  }
  return constant(mask, [across * across, 1, n, n]);
}

/** Zeros below and to the right of maps [rows, height, width, channels]. */
const padBelow = (x: Value, by: number): Value => pad(x, [0, 0, 0, 0, 0, by, by, 0]);

/** Attention within windows of tokens [rows, side, side, width], shifted by `shift`. */
function windowAttention(scope: Scope, x: Value, o: { heads: number; window: number; shift: number }): Value {
  const [rows, mapSide, , width] = x.shape as [number, number, number, number];
  const { heads, window } = o;
  // What does not divide into windows is padded by zeros below and to the right, as in torchvision.
  const across = Math.ceil(mapSide / window);
  const side = across * window;
  const padded = padBelow(x, side - mapSide);
  // A window as large as the map is not shifted: there is nothing beside it.
  const shift = window >= side ? 0 : o.shift;
  const n = window * window;
  const size = width / heads;
  const windows = reshape(
    transpose(reshape(roll(padded, shift), [rows, across, window, across, window, width]), [0, 1, 3, 2, 4, 5]),
    [rows * across * across, n, width],
  );
  const table = scope.parameter("relative_position_bias_table", [(2 * window - 1) ** 2, heads], weight);
  const qkv = dense(scope.at("qkv"), windows, 3 * width, { weight });
  const parts = split(
    transpose(reshape(qkv, [rows * across * across, n, 3, heads, size]), [2, 0, 3, 1, 4]),
    [1, 1, 1],
    0,
  );
  const [q, k, v] = parts.map((part) => squeeze(part, [0])) as [Value, Value, Value];
  const bias = transpose(reshape(gather(table, int64s(relativePositions(window)), 0), [n, n, heads]), [2, 0, 1]);
  let logits = add(matMul(mul(q, scalar(1 / Math.sqrt(size))), transposeLast(k)), reshape(bias, [1, heads, n, n]));
  if (shift > 0) {
    const apart = reshape(logits, [rows, across * across, heads, n, n]);
    const mask = shiftMask(side, window, shift);
    logits = reshape(add(apart, reshape(mask, [1, across * across, 1, n, n])), logits.shape);
  }
  const mixed = transpose(matMul(softmax(logits, -1), v), [0, 2, 1, 3]);
  const out = dense(scope.at("proj"), reshape(mixed, [rows * across * across, n, width]), width, { weight });
  const whole = reshape(transpose(reshape(out, [rows, across, across, window, window, width]), [0, 1, 3, 2, 4, 5]), [
    rows,
    side,
    side,
    width,
  ]);
  return slice(roll(whole, -shift), [0, 0], [mapSide, mapSide], [1, 2]);
}

/** A quarter of the tokens, twice the width: neighbours side by side, normalised, and projected. */
function mergePatches(scope: Scope, x: Value): Value {
  const [rows, side, , width] = x.shape as [number, number, number, number];
  const half = Math.ceil(side / 2);
  // torchvision's order: even rows and columns, odd rows, odd columns, both.
  const cells = transpose(reshape(padBelow(x, side % 2), [rows, half, 2, half, 2, width]), [0, 1, 3, 4, 2, 5]);
  const joined = reshape(cells, [rows, half, half, 4 * width]);
  return dense(scope.at("reduction"), layerNorm(scope.at("norm"), joined), 2 * width, { bias: false, weight });
}

/** Everything up to the pooled features [rows, width x 8]; parameters are called as torchvision calls them. */
function backbone(
  scope: Scope,
  image: Value,
  o: Required<Pick<SwinOptions, "width" | "depths" | "heads" | "window" | "patch">>,
): Value {
  const rows = image.shape[0]!;
  const features = scope.at("features");
  const patches = convolution(features.at("0.0"), image, o.width, o.patch, { stride: o.patch });
  let x = layerNorm(features.at("0.2"), transpose(patches, [0, 2, 3, 1]));
  o.depths.forEach((depth, stage) => {
    for (let i = 0; i < depth; i++) {
      const block = features.at(`${2 * stage + 1}.${i}`);
      const shift = i % 2 === 0 ? 0 : Math.floor(o.window / 2);
      const attended = windowAttention(block.at("attn"), layerNorm(block.at("norm1"), x), {
        heads: o.heads[stage]!,
        window: o.window,
        shift,
      });
      x = add(x, attended);
      const width = x.shape[3]!;
      const hidden = gelu(dense(block.at("mlp.0"), layerNorm(block.at("norm2"), x), 4 * width, { weight }));
      x = add(x, dense(block.at("mlp.3"), hidden, width, { weight }));
    }
    if (stage < o.depths.length - 1) x = mergePatches(features.at(`${2 * stage + 2}`), x);
  });
  const width = x.shape[3]!;
  return reduceMean(reshape(layerNorm(scope.at("norm"), x), [rows, -1, width]), [1]);
}

/** Grey images three times over, where a network was made for colour. */
const coloured = (image: Value, channels: number): Value =>
  image.shape[1] === 1 && channels === 3 ? concat([image, image, image], 1) : image;

/**
 * Swin transformer (Liu et al. 2021): attention in windows that are shifted in every second block, and whose relative
 * positions have a trained table of biases, reached by per-unit clipping like any other parameter. The default is Swin-T
 * as torchvision builds it: 28.3 M parameters with 1,000 classes, window 7, images of 224 pixels.
 */
export function swin(
  shape: ModelShape,
  {
    width = 96,
    depths = [2, 2, 6, 2],
    heads = [3, 6, 12, 24],
    window = 7,
    patch = 4,
    head = "linear",
    channels = 3,
    // The paper's: mean and deviation .5, not ImageNet's.
    normalisation = { kind: "fixed", mean: 0.5, deviation: 0.5 },
  }: SwinOptions = {},
): Model {
  return modelOf(
    "swin",
    shape,
    (image) => normalise(coloured(image, channels), normalisation),
    (scope, image) =>
      swinHead(scope, backbone(scope, image, { width, depths, heads, window, patch }), shape.outputs, head),
  );
}

/** One dense layer, or two with a leaky rectifier between them as in arXiv 2407.12669. */
export function swinHead(scope: Scope, pooled: Value, outputs: number, head: "linear" | "two-layer"): Value {
  if (head === "linear") return dense(scope.at("head"), pooled, outputs, { weight });
  const hidden = leakyRelu(dense(scope.at("head.0"), pooled, Math.round(pooled.shape[1]! / 2)), 0.2);
  return dense(scope.at("head.2"), hidden, outputs);
}

/** A Swin for CPUs: images of 128 pixels, patches of 4, windows of 8, three stages; 0.57 M parameters. */
export const smallSwin = (shape: ModelShape): Model =>
  swin(shape, {
    width: 32,
    depths: [2, 2, 2],
    heads: [2, 4, 8],
    window: 8,
    channels: 1,
    normalisation: { kind: "standardise" },
  });
