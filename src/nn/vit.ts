import { LeadglassError } from "../errors.ts";
import { add, reduceMean, reshape, transpose } from "../graph/index.ts";
import { truncatedNormal } from "./initialisers.ts";
import { convolution, dense, layerNorm, normalise, transformerBlock, type Normalisation } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";

export interface VitOptions {
  readonly patch?: number;
  readonly width?: number;
  readonly depth?: number;
  readonly heads?: number;
  readonly normalisation?: Normalisation;
}

/**
 * Vision transformer (Dosovitskiy et al. 2021) without a class token: patches, learned positions, pre-norm blocks, final
 * normalisation, mean over tokens. The default is small enough for CPUs.
 * Throws LG-GRAPH-001 where the image size is not a multiple of the patch.
 */
export function vit(
  shape: ModelShape,
  { patch = 16, width = 96, depth = 4, heads = 3, normalisation = { kind: "standardise" } }: VitOptions = {},
): Model {
  if (shape.imageSize % patch !== 0)
    throw new LeadglassError(
      "LG-GRAPH-001",
      `vit: image size ${shape.imageSize} is not a multiple of the patch ${patch}`,
      {
        hint: "Choose another --image-size.",
      },
    );
  return modelOf(
    "vit",
    shape,
    (image) => normalise(image, normalisation),
    (scope, x) => {
      const patches = convolution(scope.at("patch"), x, width, patch, { stride: patch });
      const tokens = (shape.imageSize / patch) ** 2;
      let y = transpose(reshape(patches, [shape.rows, width, tokens]), [0, 2, 1]);
      y = add(y, scope.at("position").parameter("weight", [tokens, width], truncatedNormal(0.02)));
      for (let i = 0; i < depth; i++) y = transformerBlock(scope.at(`blocks.${i}`), y, heads);
      return dense(scope.at("head"), reduceMean(layerNorm(scope.at("norm"), y), [1]), shape.outputs);
    },
  );
}
