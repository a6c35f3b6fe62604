import { LeadglassError } from "../errors.ts";
import { mlp, mnistCnn, smallCnn } from "./cnn.ts";
import type { Model, ModelShape } from "./model.ts";
import { resnet9 } from "./resnet9.ts";
import { ringsLinear } from "./rings.ts";
import { textureCnn, textureLinear } from "./texture.ts";
import { smallSwin, swin } from "./swin.ts";
import { vit } from "./vit.ts";

export interface Architecture {
  readonly build: (shape: ModelShape) => Model;
  readonly imageSize: number;
  readonly about: string;
}

/** The architectures that `--model` names. */
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
  ["texture", "rings"].includes(name) || (name.startsWith("features:") && !name.endsWith(":two-layer"));

/** Whether a model's fixed part does the work, so that each image's features are computed once. */
export const hasFixedFeatures = (name: string): boolean =>
  name === "texture-cnn" || name.startsWith("features:") || isLinearOnFeatures(name);

/** An architecture by name. Throws LG-USAGE-001, listing the names, where there is none. */
export function architectureNamed(name: string): Architecture {
  const found = Object.hasOwn(architectures, name) ? architectures[name] : imported.get(name);
  if (!found)
    throw new LeadglassError("LG-USAGE-001", `--model ${name}: there is no such architecture`, {
      hint: `Choose one of ${Object.keys(architectures).join(", ")}.`,
    });
  return found;
}
