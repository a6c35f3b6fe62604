import { intOf, intsOf, operand, refuse, sameDType, stringOf, type Application, type ShapeRule } from "../shape.ts";
import type { Shape } from "../value.ts";

/** The window of a convolution or pooling, with every default filled in. `pads` is [begin..., end...]. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Reads kernel, strides, dilations and pads (also auto_pad) for a convolution or pooling over `spatial`. */
export function windowOf(node: Application, spatial: Shape, kernel: readonly number[]): Window {
  const rank = spatial.length;
  const strides = intsOf(node.attributes, "strides") ?? spatial.map(() => 1);
  const dilations = intsOf(node.attributes, "dilations") ?? spatial.map(() => 1);
  let pads = intsOf(node.attributes, "pads") ?? Array<number>(2 * rank).fill(0);
  if (kernel.length !== rank || strides.length !== rank || dilations.length !== rank || pads.length !== 2 * rank)
    throw refuse(node, `kernel, strides, dilations and pads must be given for ${rank} spatial axes`);
  const auto = stringOf(node.attributes, "auto_pad", "NOTSET");
  if (auto === "VALID") pads = Array<number>(2 * rank).fill(0);
  else if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
    const total = spatial.map((n, i) => {
      const out = Math.ceil(n / strides[i]!);
      return Math.max(0, (out - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1 - n);
    });
    const small = total.map((t) => Math.floor(t / 2));
    const large = total.map((t, i) => t - small[i]!);
    pads = auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  } else if (auto !== "NOTSET") throw refuse(node, `auto_pad ${auto} is not known`);
  if (strides.some((s) => s < 1) || dilations.some((d) => d < 1))
    throw refuse(node, "strides and dilations must be positive");
  return { kernel, strides, dilations, pads };
}

function outputSize(node: Application, n: number, window: Window, axis: number, ceil: boolean): number {
  const rank = window.kernel.length;
  const extent = (window.kernel[axis]! - 1) * window.dilations[axis]! + 1;
  const padded = n + window.pads[axis]! + window.pads[axis + rank]!;
  if (padded < extent)
    throw refuse(node, `a kernel of extent ${extent} does not fit ${padded} padded positions on spatial axis ${axis}`);
  const steps = (padded - extent) / window.strides[axis]!;
  let size = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1;
  // A window may not start in the end padding (ONNX and PyTorch agree).
  if (ceil && (size - 1) * window.strides[axis]! >= n + window.pads[axis]!) size -= 1;
  return size;
}

const conv: ShapeRule = (node) => {
  const [x, w] = [operand(node, 0), operand(node, 1)];
  sameDType(node, [0, 1, 2]);
  const group = intOf(node.attributes, "group", 1);
  if (x.shape.length < 3 || w.shape.length !== x.shape.length)
    throw refuse(node, "needs images [batch, channels, ...spatial] and weights of the same rank");
  if (w.shape[1]! * group !== x.shape[1])
    throw refuse(node, `${x.shape[1]} channels do not fit weights for ${group} x ${w.shape[1]}`);
  if (w.shape[0]! % group !== 0) throw refuse(node, `${w.shape[0]} output channels do not divide into ${group} groups`);
  const bias = node.inputs[2];
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== w.shape[0]))
    throw refuse(node, `the bias must have shape [${w.shape[0]}]`);
  const spatial = x.shape.slice(2);
  const window = windowOf(node, spatial, intsOf(node.attributes, "kernel_shape") ?? w.shape.slice(2));
  if (window.kernel.some((k, i) => k !== w.shape[i + 2])) throw refuse(node, "kernel_shape differs from the weights");
  return [
    {
      dtype: x.dtype,
      shape: [x.shape[0]!, w.shape[0]!, ...spatial.map((n, i) => outputSize(node, n, window, i, false))],
    },
  ];
};

/** The window of a transposed convolution; pads derived from output_shape or auto_pad where those are given. */
export function transposedWindowOf(
  node: Application,
  spatial: Shape,
  kernel: readonly number[],
): Window & { readonly outputPadding: readonly number[] } {
  if (
    intsOf(node.attributes, "output_shape") ||
    !["NOTSET", "VALID"].includes(stringOf(node.attributes, "auto_pad", "NOTSET"))
  )
    throw refuse(node, "output_shape and auto_pad are not supported; give pads and output_padding", "LG-GRAPH-003");
  const window = windowOf(node, spatial, kernel);
  return { ...window, outputPadding: intsOf(node.attributes, "output_padding") ?? spatial.map(() => 0) };
}

const convTranspose: ShapeRule = (node) => {
  const [x, w] = [operand(node, 0), operand(node, 1)];
  sameDType(node, [0, 1, 2]);
  const group = intOf(node.attributes, "group", 1);
  if (x.shape.length < 3 || w.shape.length !== x.shape.length)
    throw refuse(node, "needs images [batch, channels, ...spatial] and weights of the same rank");
  if (w.shape[0] !== x.shape[1]) throw refuse(node, `${x.shape[1]} channels do not fit weights for ${w.shape[0]}`);
  if (x.shape[1]! % group !== 0) throw refuse(node, `${x.shape[1]} channels do not divide into ${group} groups`);
  const spatial = x.shape.slice(2);
  const channels = w.shape[1]! * group;
  const bias = node.inputs[2];
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== channels))
    throw refuse(node, `the bias must have shape [${channels}]`);
  const window = transposedWindowOf(node, spatial, intsOf(node.attributes, "kernel_shape") ?? w.shape.slice(2));
  const rank = spatial.length;
  const out = spatial.map((n, i) => {
    const extent = (window.kernel[i]! - 1) * window.dilations[i]! + 1;
    return window.strides[i]! * (n - 1) + window.outputPadding[i]! + extent - window.pads[i]! - window.pads[i + rank]!;
  });
  if (out.some((n) => n < 1)) throw refuse(node, `the output would be empty`);
  return [{ dtype: x.dtype, shape: [x.shape[0]!, channels, ...out] }];
};

const pool =
  (outputs: 1 | 2): ShapeRule =>
  (node) => {
    const x = operand(node, 0);
    const kernel = intsOf(node.attributes, "kernel_shape");
    if (x.shape.length < 3 || !kernel)
      throw refuse(node, "needs images [batch, channels, ...spatial] and kernel_shape");
    const spatial = x.shape.slice(2);
    const window = windowOf(node, spatial, kernel);
    const ceil = intOf(node.attributes, "ceil_mode", 0) === 1;
    const shape = [...x.shape.slice(0, 2), ...spatial.map((n, i) => outputSize(node, n, window, i, ceil))];
    return outputs === 1
      ? [{ dtype: x.dtype, shape }]
      : [
          { dtype: x.dtype, shape },
          { dtype: "int64", shape },
        ];
  };

const globalPool: ShapeRule = (node) => {
  const x = operand(node, 0);
  if (x.shape.length < 3) throw refuse(node, "needs images [batch, channels, ...spatial]");
  return [{ dtype: x.dtype, shape: [...x.shape.slice(0, 2), ...x.shape.slice(2).map(() => 1)] }];
};

export const convolutionRules: Readonly<Record<string, ShapeRule>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool(2),
  AveragePool: pool(1),
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
};
