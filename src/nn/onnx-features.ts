import { LeadglassError } from "../errors.ts";
import {
  concat,
  declaredInputs,
  decodeModel,
  div,
  float32s,
  mul,
  reduceMean,
  reshape,
  scalar,
  sqrt,
  sub,
  add,
  substitute,
  type Value,
} from "../graph/index.ts";
import { zeros } from "./initialisers.ts";
import { dense } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";
import type { Architecture } from "./architectures.ts";
import { swinHead } from "./swin.ts";

/** ImageNet's mean and deviation of red, green and blue, which most public extractors were trained with. */
const imageNet = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };
/** The side that is fed where a model takes any. */
const usualSide = 224;

const wrong = (message: string, hint: string): LeadglassError => new LeadglassError("LG-GRAPH-003", `--features: ${message}`, { hint }); // prettier-ignore

/**
 * Any ONNX model as a frozen feature extractor with a trainable head. It must take images [batch, 1 or 3, height, width]
 * with a symbolic batch; its first output is flattened, and each image's features are brought to mean 0 and deviation 1 by
 * themselves, so that no statistic of the cohort is needed. Colour models are given grey three times over, scaled by
 * ImageNet's constants; grey ones pixels in [0, 1].
 * Throws LG-GRAPH-003 for a model that takes something else, LG-GRAPH-004 for bytes that are none.
 */
export function onnxFeatures(bytes: Uint8Array, head: "linear" | "two-layer" = "linear"): Architecture {
  const declared = declaredInputs(bytes);
  const [images] = declared;
  if (declared.length !== 1 || images!.shape.length !== 4)
    throw wrong(
      `the model has ${declared.length} inputs, the first with ${images?.shape.length ?? 0} axes; one of images [batch, channels, height, width] was expected`,
      "Export the extractor alone, with images as its only input.",
    );
  const { name, shape: sizes } = images!;
  const [batch, channels, height, width] = sizes;
  if (typeof batch === "number" && batch > 0)
    throw wrong(`the batch is fixed at ${batch}`, "Export it with a symbolic batch (dynamic_axes).");
  const colours = typeof channels === "number" ? channels : 3;
  if (colours !== 1 && colours !== 3) throw wrong(`images of ${colours} channels were expected by the model`, "Use one for grey or colour images."); // prettier-ignore
  if (typeof height === "number" && typeof width === "number" && height !== width)
    throw wrong(`the model takes images of ${height} x ${width}`, "Use one for square images.");
  const side = typeof height === "number" && height > 0 ? height : usualSide;
  const fixedSide = typeof height === "number" && height > 0;

  const fixedPart = (image: Value): Value => {
    const [rows, had, size] = image.shape as [number, number, number, number];
    if (fixedSide && size !== side)
      throw wrong(`the model takes images of ${side} pixels, not ${size}`, "Leave --image-size out.");
    const names = sizes.map((n, axis) => (typeof n === "string" && n ? n : `${name}[${axis}]`));
    const wanted = [rows, colours, size, size];
    const graph = decodeModel(bytes, { dimensions: Object.fromEntries(names.map((n, axis) => [n, wanted[axis]!])) });
    const output = graph.outputs[0]?.value;
    if (output?.dtype !== "float32" || output.shape[0] !== rows)
      throw wrong("its first output is not of float32 with one row for each image", "Export features as the first output."); // prettier-ignore
    let x = had === 1 && colours === 3 ? concat([image, image, image], 1) : image;
    if (had === 3 && colours === 1) x = reduceMean(image, [1], true);
    if (colours === 3) x = div(sub(x, float32s(imageNet.mean, [1, 3, 1, 1])), float32s(imageNet.deviation, [1, 3, 1, 1])); // prettier-ignore
    const [features] = substitute([output], new Map<Value, Value>([[graph.inputs[0]!, x]]));
    const flat = reshape(features!, [rows, -1]);
    const centred = sub(flat, reduceMean(flat, [1], true));
    return div(centred, add(sqrt(reduceMean(mul(centred, centred), [1], true)), scalar(1e-6)));
  };
  const build = (shape: ModelShape): Model =>
    modelOf("features", shape, fixedPart, (scope, x) =>
      head === "linear"
        ? dense(scope.at("head"), x, shape.outputs, { weight: zeros })
        : swinHead(scope, x, shape.outputs, "two-layer"),
    );
  return { build, imageSize: side, about: `${head} head on the features of an ONNX file, computed once` };
}
