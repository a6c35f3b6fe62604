export * from "./initialisers.ts";
export * from "./layers.ts";
export * from "./model.ts";
export { architectureNamed, architectures, type Architecture } from "./architectures.ts";
export { inferenceGraph } from "./inference.ts";
export { mlp, mnistCnn, smallCnn } from "./cnn.ts";
export { resnet9, type ResNet9Options } from "./resnet9.ts";
export { fixedTexture, textureCnn, textureLinear } from "./texture.ts";
export { vit, type VitOptions } from "./vit.ts";
