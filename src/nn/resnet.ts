/** Residual networks with group normalisation, of images, of the slices of volumes, and of volumes. */
import { add, maxPool, type Value } from "../graph/index.ts";
import { kaimingNormal } from "./initialisers.ts";
import { activate, convolution, groupNorm, type Activation } from "./layers.ts";
import type { Scope } from "./model.ts";

export interface TrunkOptions {
  /** Channels of each stage; every stage but the first halves the sides. */
  readonly widths: readonly number[];
  /** Basic blocks of each stage. */
  readonly blocks: readonly number[];
  /** First convolution: kernel and stride along each axis, or one for all; `pool` adds a 3-wide maximum with stride 2. */
  readonly stem: { readonly kernel: number | readonly number[]; readonly stride: number | readonly number[]; readonly pool: boolean }; // prettier-ignore
  readonly groups: number;
  readonly activation: Activation;
}

const half = (kernel: number | readonly number[]): number | number[] =>
  typeof kernel === "number" ? (kernel - 1) / 2 : kernel.map((k) => (k - 1) / 2);

/**
 * The convolutional part of torchvision's ResNets of basic blocks, in two or three dimensions, with GroupNorm for
 * BatchNorm: [rows, channels, ...spatial] -> [rows, last width, ...spatial]. Parameters have torchvision's names.
 */
export function residualTrunk(scope: Scope, x: Value, options: TrunkOptions): Value {
  const { widths, blocks, stem, groups, activation } = options;
  const rank = x.shape.length - 2;
  const weight = kaimingNormal("out");
  type Along = number | readonly number[];
  const conv = (at: Scope, y: Value, out: number, kernel: Along, stride: Along): Value =>
    convolution(at, y, out, kernel, { stride, padding: half(kernel), bias: false, weight });
  const block = (at: Scope, y: Value, out: number, stride: number): Value => {
    const first = activate(activation, groupNorm(at.at("bn1"), conv(at.at("conv1"), y, out, 3, stride), groups));
    const second = groupNorm(at.at("bn2"), conv(at.at("conv2"), first, out, 3, 1), groups);
    const changes = stride !== 1 || y.shape[1] !== out;
    const shortcut = changes
      ? groupNorm(at.at("downsample.1"), conv(at.at("downsample.0"), y, out, 1, stride), groups)
      : y;
    return activate(activation, add(second, shortcut));
  };
  const first = conv(scope.at("conv1"), x, widths[0]!, stem.kernel, stem.stride);
  let y = activate(activation, groupNorm(scope.at("bn1"), first, groups));
  const all = (value: number, times = 1): number[] => Array<number>(times * rank).fill(value);
  if (stem.pool) y = maxPool(y, all(3), { strides: all(2), pads: all(1, 2) }).y;
  widths.forEach((out, stage) => {
    for (let i = 0; i < blocks[stage]!; i++)
      y = block(scope.at(`layer${stage + 1}.${i}`), y, out, stage > 0 && i === 0 ? 2 : 1);
  });
  return y;
}
