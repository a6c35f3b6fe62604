export * from "./initialisers.ts";
export * from "./layers.ts";
export * from "./model.ts";
export {
  architectureNamed,
  architectures,
  hasFixedFeatures,
  importArchitecture,
  isLinearOnFeatures,
  buildModel,
  volumeArchitectureNamed,
  volumeArchitectures,
  type Architecture,
  type VolumeArchitecture,
} from "./architectures.ts";
export { inferenceGraph } from "./inference.ts";
export { mlp, mnistCnn, smallCnn } from "./cnn.ts";
export { resnet9, type ResNet9Options } from "./resnet9.ts";
export { fixedTexture, textureCnn, textureLinear } from "./texture.ts";
export { setTransformer, type SetTransformerOptions } from "./set-transformer.ts";
export { vit, type VitOptions } from "./vit.ts";
export type { BatchMoments, Discriminator, GanArchitecture, GanNorm, GanShape, Generator } from "./adversarial.ts";
export { compactDiscriminator, compactGan, compactGenerator } from "./compact-gan.ts";
export { mcgan, mcganDiscriminator, mcganGenerator } from "./mcgan.ts";
export { smallSwin, swin, type SwinOptions } from "./swin.ts";
export { foreignWeights, type ForeignTensor } from "./foreign-weights.ts";
export { onnxFeatures } from "./onnx-features.ts";
export { ringsLinear } from "./rings.ts";
export { tissueCnn, tissueLinear } from "./tissue.ts";
export { residualTrunk, type TrunkOptions } from "./resnet.ts";
export {
  resnet25d,
  resnet25dLarge,
  resnet3d,
  resnet3dLarge,
  volumeNormalisation,
  type VolumeResNetOptions,
} from "./volume-resnets.ts";
