import { concat, expand, reduceMean, reshape, transpose, type Value } from "../graph/index.ts";
import { attentionPooling, dense, normalise, type Activation, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type Scope, type VolumeModelShape } from "./model.ts";
import { residualTrunk, type TrunkOptions } from "./resnet.ts";

export interface VolumeResNetOptions {
  /** Channels of the first stage; each later one has twice as many. */
  readonly width?: number;
  /** Basic blocks of each stage. */
  readonly blocks?: readonly number[];
  readonly stem?: TrunkOptions["stem"];
  readonly groups?: number;
  readonly activation?: Activation;
  readonly normalisation?: Normalisation;
}

/** The middle and about the spread of soft tissue, fat and air in a window from air to bright organs: constants. */
export const volumeNormalisation: Normalisation = { kind: "fixed", mean: 0.4, deviation: 0.3 };

type Defaults = Required<Omit<VolumeResNetOptions, "normalisation">>;

const trunkOf = ({ width, blocks, stem, groups, activation }: Defaults): TrunkOptions => ({
  widths: blocks.map((_, i) => width * 2 ** i),
  ...{ blocks, stem, groups, activation },
});

/** All slices of a volume [rows, channels, depth, height, width] along one axis: [rows, slices, channels, the other two]. */
function slicesAlong(x: Value, axis: number): Value {
  const others = [2, 3, 4].filter((a) => a !== axis);
  return transpose(x, [0, axis, 1, ...others]);
}

/** A scope that hands out a parameter again where it is asked for a second time: for parts that share their weights. */
function sharing(scope: Scope, known = new Map<string, Value>(), prefix = ""): Scope {
  return {
    parameter(name, shape, initialise) {
      const key = `${prefix}${name}`;
      const found = known.get(key) ?? scope.parameter(name, shape, initialise);
      known.set(key, found);
      return found;
    },
    at: (name) => sharing(scope.at(name), known, `${prefix}${name}.`),
  };
}

/**
 * Features of every slice of a volume along all three axes, [rows, depth + height + width, features of the trunk]. Slices of
 * the same size go through the trunk together, so that the network of a cube uses each parameter once.
 */
function sliceFeatures(scope: Scope, x: Value, trunk: (scope: Scope, slices: Value) => Value): Value {
  const rows = x.shape[0]!;
  const shared = sharing(scope);
  const bySize = Map.groupBy([2, 3, 4].map((axis) => slicesAlong(x, axis)), (slices) => slices.shape.slice(3).join()); // prettier-ignore
  const features = [...bySize.values()].map((group) => {
    const slices = group.length === 1 ? group[0]! : concat(group, 1);
    const count = slices.shape[1]!;
    const y = trunk(shared, reshape(slices, [rows * count, ...slices.shape.slice(2)]));
    return reshape(reduceMean(y, [2, 3]), [rows, count, y.shape[1]!]);
  });
  return features.length === 1 ? features[0]! : concat(features, 1);
}

/** Heads of the attention that pools slices. */
const heads = 8;

/**
 * The "2.5-D" network of arXiv 2307.06614, which Tayebi Arasteh et al. (arXiv 2302.01622) use for CT: one ResNet for the
 * slices of all three axes, their features as one sequence, attention pooling with 8 heads whose query is the mean over
 * slices, and a linear head. GroupNorm for BatchNorm, so that patients stay apart. The default is small enough for CPUs.
 */
export function resnet25d(
  shape: VolumeModelShape,
  {
    width = 16,
    blocks = [1, 1, 1],
    stem = { kernel: 5, stride: 2, pool: false },
    groups = 8,
    activation = "mish",
    normalisation = volumeNormalisation,
    name = "resnet25d",
    channels = shape.channels,
  }: VolumeResNetOptions & { readonly name?: string; readonly channels?: number } = {},
): Model {
  const trunk = trunkOf({ width, blocks, stem, groups, activation });
  return modelOf(
    name,
    shape,
    (volume) => normalise(volume, normalisation),
    (scope, x) => {
      const features = sliceFeatures(scope.at("trunk"), x, (at, slices) =>
        residualTrunk(at, expand(slices, [slices.shape[0]!, channels, ...slices.shape.slice(2)]), trunk),
      );
      return dense(scope.at("fc"), attentionPooling(scope.at("attention"), features, heads), shape.outputs);
    },
  );
}

/** ResNet-18: two blocks in each of four stages, 64 to 512 channels. */
const resnet18 = { width: 64, blocks: [2, 2, 2, 2], groups: 32, activation: "relu" } as const;

/** The same at the size of the papers: the trunk is torchvision's ResNet-18 on three equal channels, 512 features a slice. */
export const resnet25dLarge = (shape: VolumeModelShape, options: VolumeResNetOptions = {}): Model =>
  resnet25d(shape, {
    ...{ ...resnet18, name: "resnet25d-18", channels: 3, stem: { kernel: 7, stride: 2, pool: true } },
    ...options,
  });

/** A residual network of 3 x 3 x 3 convolutions with GroupNorm, mean over all places, linear head; small enough for CPUs. */
export function resnet3d(
  shape: VolumeModelShape,
  {
    width = 16,
    blocks = [1, 1, 1],
    stem = { kernel: 3, stride: 2, pool: false },
    groups = 8,
    activation = "mish",
    normalisation = volumeNormalisation,
    name = "resnet3d",
  }: VolumeResNetOptions & { readonly name?: string } = {},
): Model {
  const trunk = trunkOf({ width, blocks, stem, groups, activation });
  return modelOf(
    name,
    shape,
    (volume) => normalise(volume, normalisation),
    (scope, x) => {
      const y = residualTrunk(scope.at("trunk"), x, trunk);
      return dense(scope.at("fc"), reduceMean(y, [2, 3, 4]), shape.outputs);
    },
  );
}

/** torchvision's r3d_18 (Tran et al. 2018) with GroupNorm: its stem keeps the slices apart by stride 1 along z. */
export const resnet3dLarge = (shape: VolumeModelShape, options: VolumeResNetOptions = {}): Model =>
  resnet3d(shape, {
    ...{ ...resnet18, name: "resnet3d-18", stem: { kernel: [3, 7, 7], stride: [1, 2, 2], pool: false } },
    ...options,
  });
