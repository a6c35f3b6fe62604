import { LeadglassError } from "../errors.ts";
import type { Shape } from "../graph/index.ts";
import { mlp, mnistCnn, smallCnn } from "./cnn.ts";
import type { Model, ModelShape, VolumeModelShape } from "./model.ts";
import { resnet9 } from "./resnet9.ts";
import { ringsLinear } from "./rings.ts";
import { textureCnn, textureLinear } from "./texture.ts";
import { smallSwin, swin } from "./swin.ts";
import { tissueCnn, tissueLinear } from "./tissue.ts";
import { vit } from "./vit.ts";
import { resnet25d, resnet25dLarge, resnet3d, resnet3dLarge } from "./volume-resnets.ts";

/** An architecture that reads square images. */
export interface Architecture {
  readonly build: (shape: ModelShape) => Model;
  readonly imageSize: number;
  readonly about: string;
}

/** An architecture that reads volumes. */
export interface VolumeArchitecture {
  readonly build: (shape: VolumeModelShape) => Model;
  readonly about: string;
}

/** The architectures of images that `--model` names. */
export const architectures: Readonly<Record<string, Architecture>> = {
  texture: {
    build: textureLinear,
    imageSize: 128,
    about: "linear model on fixed oriented texture features; strong under privacy at small n",
  },
  rings: {
    build: ringsLinear,
    imageSize: 128,
    about: "linear model on fixed features of concentric rings; for what is round and in the middle, as a mass",
  },
  "texture-cnn": { build: textureCnn, imageSize: 128, about: "three small convolutions on fixed texture maps" },
  cnn: { build: (shape) => smallCnn(shape), imageSize: 96, about: "small convolutional network for CPUs" },
  "cnn-ws": {
    build: (shape) => smallCnn(shape, { standardised: true }),
    imageSize: 96,
    about: "the same with standardised convolution weights",
  },
  mlp: { build: (shape) => mlp(shape), imageSize: 32, about: "two hidden layers on the pixels" },
  resnet9: {
    build: (shape) => resnet9(shape),
    imageSize: 224,
    about: "the network of arXiv 2302.01622: GroupNorm, Mish, 4.9 M parameters",
  },
  "resnet9-relu": {
    build: (shape) => resnet9(shape, { activation: "relu" }),
    imageSize: 224,
    about: "the same with ReLU",
  },
  "resnet9-reference": {
    build: (shape) => resnet9(shape, { normalisation: { kind: "none" } }),
    imageSize: 512,
    about: "resnet9 on pixels from 0 to 1 as they are, as that study feeds it",
  },
  vit: { build: (shape) => vit(shape), imageSize: 128, about: "small vision transformer" },
  "swin-t": {
    build: (shape) => swin(shape),
    imageSize: 224,
    about: "Swin-T with one dense layer as head; freeze features.* and norm.* to train the head alone",
  },
  "swin-t-two-layer": {
    build: (shape) => swin(shape, { head: "two-layer" }),
    imageSize: 224,
    about: "Swin-T with the two-layer head of arXiv 2407.12669",
  },
  "swin-small": { build: smallSwin, imageSize: 128, about: "a Swin of three stages for CPUs" },
  "mnist-cnn": { build: mnistCnn, imageSize: 28, about: "the network of Opacus's MNIST example" },
};

/** Architectures on extractors that were read from files in this process; their names hold the file's digest. */
const imported = new Map<string, Architecture>();

/** Makes an architecture known under a name that begins with `features:`. */
export const importArchitecture = (name: string, architecture: Architecture): void =>
  void imported.set(name, architecture);

/** Whether a model is linear on features that are computed once. */
export const isLinearOnFeatures = (name: string): boolean =>
  ["texture", "rings", "tissue"].includes(name) || (name.startsWith("features:") && !name.endsWith(":two-layer"));

/** Whether a model's fixed part does the work, so that each image's features are computed once. */
export const hasFixedFeatures = (name: string): boolean =>
  name === "texture-cnn" || name.startsWith("features:") || isLinearOnFeatures(name);

/** The architectures of volumes that `--model` names. */
export const volumeArchitectures: Readonly<Record<string, VolumeArchitecture>> = {
  tissue: {
    build: tissueLinear,
    about: "linear model on how much tissue of which density lies where; strong under privacy at small n",
  },
  "tissue-cnn": { build: tissueCnn, about: "three small convolutions on the shares of tissue of five densities" },
  resnet25d: {
    build: (shape) => resnet25d(shape),
    about: "one small residual network for the slices of all three axes, pooled by attention",
  },
  "resnet25d-18": {
    build: (shape) => resnet25dLarge(shape),
    about: "the network for CT of arXiv 2302.01622: ResNet-18 on all slices, 8 heads of attention, 12.2 M parameters",
  },
  resnet3d: { build: (shape) => resnet3d(shape), about: "small residual network of 3-D convolutions" },
  "resnet3d-18": {
    build: (shape) => resnet3dLarge(shape),
    about: "torchvision's r3d_18 with GroupNorm, 33 M parameters",
  },
};

const tables = { images: architectures, volumes: volumeArchitectures } as const;

/** An architecture of one medium by name. */
function named<T>(table: Readonly<Record<string, T>>, medium: keyof typeof tables, name: string): T {
  if (Object.hasOwn(table, name)) return table[name]!;
  const other = medium === "images" ? "volumes" : "images";
  throw new LeadglassError(
    "LG-USAGE-001",
    Object.hasOwn(tables[other], name)
      ? `--model ${name}: it reads ${other}, and these are ${medium}`
      : `--model ${name}: there is no such architecture`,
    { hint: `Choose one of ${Object.keys(table).join(", ")}.` },
  );
}

/** An architecture of images by name. Throws LG-USAGE-001, listing the names, where there is none. */
export const architectureNamed = (name: string): Architecture =>
  imported.get(name) ?? named(architectures, "images", name);

/** An architecture of volumes by name. Throws LG-USAGE-001, listing the names, where there is none. */
export const volumeArchitectureNamed = (name: string): VolumeArchitecture =>
  named(volumeArchitectures, "volumes", name);

/**
 * A model of an architecture for rows of the given shape, [channels, side, side] or [channels, depth, height, width].
 * Throws LG-USAGE-001 for an unknown name, and where the architecture reads the other kind of rows.
 */
export function buildModel(
  name: string,
  { inputShape, rows, outputs }: { readonly inputShape: Shape; readonly rows: number; readonly outputs: number },
): Model {
  const [channels, depth, height, width] = inputShape as [number, number, number, number?];
  return width === undefined
    ? architectureNamed(name).build({ rows, channels, imageSize: depth, outputs })
    : volumeArchitectureNamed(name).build({ rows, channels, volumeShape: [depth, height, width], outputs });
}
