import { add, matMul, reshape, transpose } from "./operators.ts";
import { transposedWindowOf, type Window } from "./rules/convolution.ts";
import { intOf } from "./shape.ts";
import { constant, sizeOf, type Node, type Shape, type Value } from "./value.ts";

/** Of the multiply-adds, at most so small a share may go into spreading what was multiplied. */
const spreadingShare = 1 / 8;
/** Weights that a core's cache does not hold. */
const manyWeights = 2 ** 20;

type TransposedWindow = ReturnType<typeof transposedWindowOf>;

/**
 * A transposed convolution of small maps by many weights, as two matrix products: of all images' pixels with the weights,
 * then with a constant of zeros and ones that spreads every tap to where it belongs. ONNX Runtime multiplies image by image
 * and reads all weights anew for each: 1,024 channels at 4 x 4 to 512 at 8 x 8 with kernels of 6 take it 1.9 times as long
 * (16 images, two Zen 3 cores). Undefined where maps are too large or weights too few for that to help.
 */
export function transposedByProducts(node: Node, x: Value, w: Value, bias: Value | undefined): Value | undefined {
  const [images, channels, ...from] = x.shape as [number, number, ...number[]];
  const [, , ...to] = node.outputs[0]!.shape as [number, number, ...number[]];
  const group = intOf(node.attributes, "group", 1);
  if (x.dtype !== "float32" || images === 1 || sizeOf(w.shape) < manyWeights) return undefined;
  if (sizeOf(to) > (spreadingShare * channels) / group) return undefined;
  const y = spreadProducts(x, w, transposedWindowOf(node, from, w.shape.slice(2)), group, to);
  return bias ? add(y, reshape(bias, [-1, ...to.map(() => 1)])) : y;
}

/** The same whatever the sizes, without a bias; `to` are the spatial sizes of the result. */
export function spreadProducts(x: Value, w: Value, window: TransposedWindow, group: number, to: Shape): Value {
  const [images, channels, ...from] = x.shape as [number, number, ...number[]];
  const [ci, co, taps, pixels] = [channels / group, w.shape[1]!, sizeOf(window.kernel), sizeOf(from)];
  // Images innermost, so that both products leave them where they are.
  const innermost = transpose(reshape(x, [images, channels, pixels]), [1, 2, 0]);
  const weights = transpose(reshape(w, [group, ci, co * taps]), [0, 2, 1]);
  const products = matMul(weights, reshape(innermost, [group, ci, pixels * images]));
  const spread = matMul(spreading(window, from, to), reshape(products, [group * co, taps * pixels, images]));
  return reshape(transpose(spread, [2, 0, 1]), [images, group * co, ...to]);
}

/** 1 where a tap of an input pixel falls on an output pixel, [output pixels, taps x input pixels]. */
function spreading({ kernel, strides, dilations, pads }: Window, from: Shape, to: Shape): Value {
  const [taps, pixels, places] = [sizeOf(kernel), sizeOf(from), sizeOf(to)];
  const ones = new Float32Array(places * taps * pixels);
  for (let tap = 0; tap < taps; tap++)
    for (let pixel = 0; pixel < pixels; pixel++) {
      let place = 0;
      let step = 1;
      let [restOfTap, restOfPixel] = [tap, pixel];
      for (let axis = kernel.length - 1; axis >= 0 && place >= 0; axis--) {
        const offset = (restOfTap % kernel[axis]!) * dilations[axis]!;
        const at = (restOfPixel % from[axis]!) * strides[axis]! - pads[axis]! + offset;
        place = at >= 0 && at < to[axis]! ? place + at * step : -1;
        step *= to[axis]!;
        restOfTap = Math.floor(restOfTap / kernel[axis]!);
        restOfPixel = Math.floor(restOfPixel / from[axis]!);
      }
      if (place >= 0) ones[place * taps * pixels + tap * pixels + pixel] = 1;
    }
  return constant(ones, [places, taps * pixels]);
}
