export * from "./initialisers.ts";
export * from "./layers.ts";
export * from "./model.ts";
export {
  architectureNamed,
  architectures,
  buildModel,
  volumeArchitectureNamed,
  volumeArchitectures,
  type Architecture,
  type VolumeArchitecture,
} from "./architectures.ts";
export { inferenceGraph } from "./inference.ts";
export { mlp, mnistCnn, smallCnn } from "./cnn.ts";
export { resnet9, type ResNet9Options } from "./resnet9.ts";
export { textureCnn, textureLinear } from "./texture.ts";
export { tissueCnn, tissueLinear } from "./tissue.ts";
export { vit, type VitOptions } from "./vit.ts";
export { residualTrunk, type TrunkOptions } from "./resnet.ts";
export {
  resnet25d,
  resnet25dLarge,
  resnet3d,
  resnet3dLarge,
  volumeNormalisation,
  type VolumeResNetOptions,
} from "./volume-resnets.ts";
