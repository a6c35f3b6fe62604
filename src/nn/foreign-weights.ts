import { sizeOf } from "../graph/index.ts";
import type { Parameter } from "./model.ts";

/** A tensor of a weights file. */
export interface ForeignTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Prefixes that wrappers put before every name. */
const wrappers = /^(?:_orig_mod\.|_?module\.|model\.|backbone\.|encoder\.)+/;

/** timm's names of a Swin transformer as torchvision's, which are ours; older timm keeps a merge with the stage before it. */
const swinRules: readonly (readonly [RegExp, (...parts: string[]) => string])[] = [
  [/^patch_embed\.proj\.(.+)$/, (_, rest) => `features.0.0.${rest}`],
  [/^patch_embed\.norm\.(.+)$/, (_, rest) => `features.0.2.${rest}`],
  [
    /^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(.+)$/,
    (_, s, i, rest) => `features.${2 * Number(s) + 1}.${i}.mlp.0.${rest}`,
  ],
  [
    /^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(.+)$/,
    (_, s, i, rest) => `features.${2 * Number(s) + 1}.${i}.mlp.3.${rest}`,
  ],
  [/^layers\.(\d+)\.blocks\.(\d+)\.(.+)$/, (_, s, i, rest) => `features.${2 * Number(s) + 1}.${i}.${rest}`],
  [/^layers\.(\d+)\.downsample\.(.+)$/, (_, s, rest) => `features.${2 * Number(s)}.${rest}`],
  [/^head\.fc\.(.+)$/, (_, rest) => `head.${rest}`],
];

/** Whether a timm file keeps each merge in the stage before it, as before version 0.9. */
const mergesBefore = (names: readonly string[]): boolean => names.some((name) => /^layers\.0\.downsample\./.test(name));

function ourName(name: string, older: boolean): string {
  const bare = name.replace(wrappers, "");
  const moved = older ? bare.replace(/^layers\.(\d+)\.downsample\./, (_, s: string) => `layers.${Number(s) + 1}.downsample.`) : bare; // prettier-ignore
  for (const [pattern, rename] of swinRules) if (pattern.test(moved)) return moved.replace(pattern, rename);
  return moved;
}

/**
 * Parameters of a model found in a file that torchvision or timm wrote, by name and shape; ResNets have torchvision's names
 * already. A first convolution over three colours is summed where the model sees grey, which is the same for grey images
 * repeated three times. Heads for other classes are left out.
 */
export function foreignWeights(
  parameters: readonly Parameter[],
  tensors: Readonly<Record<string, ForeignTensor>>,
): Record<string, Float32Array> {
  const older = mergesBefore(Object.keys(tensors).map((name) => name.replace(wrappers, "")));
  const byName = new Map(Object.entries(tensors).map(([name, tensor]) => [ourName(name, older), tensor]));
  const found: Record<string, Float32Array> = {};
  for (const { name, value } of parameters) {
    const tensor = byName.get(name);
    if (!tensor) continue;
    if (equal(tensor.shape, value.shape)) found[name] = tensor.data;
    else if (isColour(tensor.shape, value.shape)) found[name] = summedColours(tensor, sizeOf(value.shape));
  }
  return found;
}

const equal = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);

/** A convolution [out, 3, kernel, kernel] where [out, 1, kernel, kernel] is wanted. */
const isColour = (had: readonly number[], wanted: readonly number[]): boolean =>
  had.length === 4 && had[1] === 3 && wanted[1] === 1 && equal([had[0]!, 1, ...had.slice(2)], wanted);

function summedColours({ data, shape }: ForeignTensor, size: number): Float32Array {
  const area = shape[2]! * shape[3]!;
  return Float32Array.from({ length: size }, (_, i) => {
    const [out, at] = [Math.floor(i / area), i % area];
    return data[3 * out * area + at]! + data[(3 * out + 1) * area + at]! + data[(3 * out + 2) * area + at]!;
  });
}
