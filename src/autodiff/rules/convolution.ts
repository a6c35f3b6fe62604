import { transposedWindowOf, windowOf, type Window } from "../../graph/rules/convolution.ts";
import { intOf, intsOf } from "../../graph/shape.ts";
import { weightGradientByFewerProducts } from "../../graph/winograd.ts";
import {
  concat,
  conv,
  convTranspose,
  hardSigmoid,
  matMul,
  max,
  mul,
  pad,
  reduceSum,
  reshape,
  sizeOf,
  slice,
  sub,
  sum,
  transpose,
  transposeLast,
  div,
  expand,
  scalar,
  scatterElements,
  apply,
  type Node,
  type Shape,
  type Value,
} from "../../graph/index.ts";
import { floats, noRule, zerosOf, type GradientRule } from "../rule.ts";

const range = (n: number): number[] => [...Array(n).keys()];
const spatialAxes = (rank: number): number[] => range(rank).map((i) => i + 2);

/** Window and group count of a Conv node. */
export function convWindow(node: Node): { window: Window; group: number } {
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  return { window: windowOf(node, x.shape.slice(2), w.shape.slice(2)), group: intOf(node.attributes, "group", 1) };
}

/** Window and group count of a ConvTranspose node. */
export function convTransposeWindow(node: Node): {
  window: Window & { readonly outputPadding: readonly number[] };
  group: number;
} {
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  return {
    window: transposedWindowOf(node, x.shape.slice(2), w.shape.slice(2)),
    group: intOf(node.attributes, "group", 1),
  };
}

/**
 * For every kernel tap, in row-major order, the pixels it meets: [outer, channels, ...between, ...spatial] ->
 * [outer, channels, 1, ...between, ...out] each.
 * A strided window is read from the s^rank planes of its phases, so that every tap is a contiguous slice.
 */
function pixelsOfTaps(x: Value, window: Window, out: Shape): Value[] {
  const rank = window.kernel.length;
  // The axis of taps is there before anything is cut, so that no slice has to be reshaped.
  const lead = x.shape.length - rank + 1;
  const { kernel, strides, dilations, pads } = window;
  const axes = range(rank).map((i) => i + lead);
  // How far each phase plane must reach on each axis.
  const reach = range(rank).map((i) => out[i]! + Math.floor(((kernel[i]! - 1) * dilations[i]!) / strides[i]!));
  const apart = reshape(x, [...x.shape.slice(0, 2), 1, ...x.shape.slice(2)]);
  const padded = pad(apart, [
    ...Array<number>(lead).fill(0),
    ...pads.slice(0, rank),
    ...Array<number>(lead).fill(0),
    ...range(rank).map((i) => Math.max(reach[i]! * strides[i]! - apart.shape[lead + i]! - pads[i]!, pads[i + rank]!)),
  ]);
  const planes = new Map<string, Value>();
  const plane = (phase: number[]): Value => {
    if (strides.every((s) => s === 1)) return padded;
    const key = phase.join();
    const found = planes.get(key);
    if (found) return found;
    const made = slice(
      padded,
      phase,
      range(rank).map((i) => phase[i]! + (reach[i]! - 1) * strides[i]! + 1),
      axes,
      strides,
    );
    planes.set(key, made);
    return made;
  };
  const taps = sizeOf(kernel);
  return range(taps).map((tap) => {
    const at: number[] = [];
    for (let i = rank - 1, rest = tap; i >= 0; i--) {
      at[i] = (rest % kernel[i]!) * dilations[i]!;
      rest = Math.floor(rest / kernel[i]!);
    }
    const source = plane(at.map((a, i) => a % strides[i]!));
    const start = at.map((a, i) => Math.floor(a / strides[i]!));
    const end = start.map((s, i) => s + out[i]!);
    const whole = axes.every((axis, i) => start[i] === 0 && end[i] === source.shape[axis]);
    return whole ? source : slice(source, start, end, axes);
  });
}

/** Per-unit factors whose products over positions are a weight gradient, and how their sums become the weight. */
export interface WeightFactors {
  /** [units, groups, p, positions] */
  readonly left: Value;
  /** Each [units, groups, q, positions]: one for all taps of the kernel, or one for each of them. */
  readonly rights: readonly Value[];
  /** From the products, one after another, [rights, groups, p, q] (in any shape) to the weight's shape. */
  readonly finish: (products: Value) => Value;
  /** The products, one after another, lie in another order than the weight. */
  readonly reordered: boolean;
}

/**
 * From so many numbers on (64 MiB) the columns of a convolution are not laid side by side: memory of such a size comes
 * anew from the system every time, and to touch it first costs more than the one large product of all taps saves.
 */
const manyColumns = 2 ** 24;

/**
 * Factors of the weight gradient of a convolution that maps `image` to something with cotangent `cotangent`, folded into
 * `units` runs of consecutive images. For a transposed convolution image and cotangent change places. With `together`
 * there is one right factor, whatever its size.
 */
export function weightFactors(
  image: Value,
  cotangent: Value,
  window: Window,
  group: number,
  units: number,
  weightShape: Shape,
  { together = false }: { readonly together?: boolean } = {},
): WeightFactors {
  // Images of one unit: its views, and whatever else of it lies along the batch axis, such as slices of a volume.
  const views = image.shape[0]! / units;
  const [ci, co] = [image.shape[1]!, cotangent.shape[1]!];
  const out = cotangent.shape.slice(2);
  const rank = out.length;
  const taps = sizeOf(window.kernel);
  const positions = views * sizeOf(out);
  // Views are folded into the positions before the columns are cut: images are smaller than columns.
  const fold = (v: Value, channels: number): Value =>
    views === 1
      ? v
      : transpose(reshape(v, [units, views, channels, ...v.shape.slice(2)]), [
          0,
          2,
          1,
          ...range(rank).map((i) => i + 3),
        ]);
  if (cheaperByCotangent(window, ci, co)) return factorsByCotangent();
  const cut = pixelsOfTaps(fold(image, ci), window, out);
  const left = reshape(fold(cotangent, co), [units, group, co / group, positions]);
  if (!together && taps > 1 && positions >= co / group && taps * ci * positions * units >= manyColumns)
    return {
      left,
      rights: cut.map((pixels) => reshape(pixels, [units, group, ci / group, positions])),
      finish: (products) => reshape(transpose(reshape(products, [taps, -1]), [1, 0]), weightShape),
      reordered: true,
    };
  // Taps in the order of the weight, so that nothing has to be rearranged.
  const right = reshape(concat(cut, 2), [units, group, (ci / group) * taps, positions]);
  return { left, rights: [right], finish: (product) => reshape(product, weightShape), reordered: false };

  // The same sum with the image at rest and the cotangent moved: the columns of few channels, taps in reverse.
  function factorsByCotangent(): WeightFactors {
    const far = window.kernel.map((k, i) => (k - 1) * window.dilations[i]!);
    const mirrored = { ...window, pads: window.pads.map((p, i) => far[i % rank]! - p) };
    const within = image.shape.slice(2);
    const at = views * sizeOf(within);
    return {
      left: reshape(fold(image, ci), [units, group, ci / group, at]),
      rights: [
        reshape(concat(pixelsOfTaps(fold(cotangent, co), mirrored, within), 2), [
          units,
          group,
          (co / group) * taps,
          at,
        ]),
      ],
      reordered: true,
      finish: (product) => {
        const back = matMul(reshape(product, [-1, taps]), floats(exchange(taps), [taps, taps], product.dtype));
        return reshape(transpose(reshape(back, [group, ci / group, co / group, taps]), [0, 2, 1, 3]), weightShape);
      },
    };
  }
}

/** Whether the columns of the cotangent are far smaller than those of the image; only without strides are they possible. */
const cheaperByCotangent = ({ kernel, strides, dilations, pads }: Window, ci: number, co: number): boolean =>
  ci >= 4 * co &&
  sizeOf(kernel) > 1 &&
  strides.every((s) => s === 1) &&
  pads.every((p, i) => p <= (kernel[i % kernel.length]! - 1) * dilations[i % kernel.length]!);

/** The matrix that reverses `n` numbers. */
const exchange = (n: number): number[] =>
  Array.from({ length: n * n }, (_, i) => (Math.floor(i / n) + (i % n) === n - 1 ? 1 : 0));

/** The product of each pair of factors, [units, groups, p, q]. */
export const weightProducts = ({ left, rights }: WeightFactors): Value[] =>
  rights.map((right) => matMul(left, transposeLast(right)));

/** The gradient of a weight over a whole batch. */
function weightGradient(image: Value, cotangent: Value, window: Window, group: number, shape: Shape): Value {
  const fewer = group === 1 ? weightGradientByFewerProducts(image, cotangent, window, shape) : undefined;
  if (fewer) return fewer.finish(weightGradient(fewer.image, fewer.cotangent, fewer.window, fewer.group, fewer.shape));
  const factors = weightFactors(image, cotangent, window, group, 1, shape);
  return factors.finish(concat(weightProducts(factors), 0));
}

/** The kernel reversed on every spatial axis, with input and output channels exchanged inside each group. */
function flipped(w: Value, group: number): Value {
  const [o, i] = [w.shape[0]!, w.shape[1]!];
  const kernel = w.shape.slice(2);
  const taps = sizeOf(kernel);
  const reversed = taps === 1 ? w : matMul(reshape(w, [o * i, taps]), floats(exchange(taps), [taps, taps], w.dtype));
  return reshape(transpose(reshape(reversed, [group, o / group, i, taps]), [0, 2, 1, 3]), [
    group * i,
    o / group,
    ...kernel,
  ]);
}

/** Zeros between neighbouring positions of every spatial axis: n -> stride (n - 1) + 1. */
function dilate(x: Value, strides: readonly number[]): Value {
  const spatial = x.shape.slice(2);
  const apart = reshape(x, [...x.shape.slice(0, 2), ...spatial.flatMap((n) => [n, 1])]);
  const pads = [0, 0, ...strides.flatMap((s) => [0, s - 1])];
  const filled = reshape(pad(apart, [...pads.map(() => 0), ...pads]), [
    ...x.shape.slice(0, 2),
    ...spatial.map((n, i) => n * strides[i]!),
  ]);
  const trailing = [0, 0, ...strides.map((s) => 1 - s)];
  return pad(filled, [...trailing.map(() => 0), ...trailing]);
}

/** The input gradient: a convolution with the flipped kernel, or a transposed one where the window is strided. */
function inputGradient(node: Node, dy: Value): Value {
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  const { window, group } = convWindow(node);
  const rank = window.kernel.length;
  const extent = window.kernel.map((k, i) => (k - 1) * window.dilations[i]! + 1);
  const spatial = x.shape.slice(2);
  const used = spatial.map((_, i) => (dy.shape[i + 2]! - 1) * window.strides[i]! + extent[i]!);
  // Positions at the end of the padded image that no window reaches.
  const unused = spatial.map((n, i) => n + window.pads[i]! + window.pads[i + rank]! - used[i]!);
  const begin = extent.map((e, i) => e - 1 - window.pads[i]!);
  const end = extent.map((e, i) => e - 1 - window.pads[i + rank]! + unused[i]!);
  const unit = window.strides.every((s) => s === 1);
  // ENGINE.md: a transposed convolution is right for strided images, but ten times too slow for strided volumes.
  if ((unit || rank === 3) && [...begin, ...end].every((p) => p >= 0))
    return conv(unit ? dy : dilate(dy, window.strides), flipped(w, group), undefined, {
      pads: [...begin, ...end],
      dilations: window.dilations,
      group,
    });
  // Leftover positions at the end count as output padding, which must stay below the stride.
  const dx = convTranspose(dy, w, undefined, {
    strides: window.strides,
    dilations: window.dilations,
    group,
    pads: [...window.pads.slice(0, rank), ...window.pads.slice(rank).map((p, i) => Math.max(0, p - unused[i]!))],
    outputPadding: unused.map((u, i) => Math.max(0, u - window.pads[i + rank]!)),
  });
  return dx;
}

const channelSum = (dy: Value): Value => reduceSum(dy, [0, ...spatialAxes(dy.shape.length - 2)]);

const convGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const { window, group } = convWindow(node);
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  const dw = (): Value => weightGradient(x, dy, window, group, w.shape);
  return [
    needs[0] ? inputGradient(node, dy) : undefined,
    needs[1] ? dw() : undefined,
    needs[2] ? channelSum(dy) : undefined,
  ];
};

const convTransposeGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const { window, group } = convTransposeWindow(node);
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  const dw = (): Value => weightGradient(dy, x, window, group, w.shape);
  const dx = (): Value =>
    conv(dy, w, undefined, { strides: window.strides, dilations: window.dilations, pads: window.pads, group });
  return [needs[0] ? dx() : undefined, needs[1] ? dw() : undefined, needs[2] ? channelSum(dy) : undefined];
};

/**
 * Sends the cotangent of a running maximum along one axis to the first of the values it was taken of. With stride 1 all
 * of them are contiguous slices, and a handful of passes is three times faster than scattering to indices.
 */
function routeToFirst(dy: Value, source: Value, maximum: Value, axis: number, kernel: number): Value {
  const n = dy.shape[axis]!;
  let left = dy;
  const parts = range(kernel).map((i) => {
    if (i === kernel - 1) return left;
    const candidate = slice(source, [i], [i + n], [axis]);
    // 1 where the candidate is the maximum, 0 where it is below it by any amount.
    const taken = mul(left, hardSigmoid(sub(maximum, candidate), -3e38, 1));
    left = sub(left, taken);
    return taken;
  });
  const zeros = (amount: number): number[] => source.shape.map((_, a) => (a === axis ? amount : 0));
  return sum(parts.map((part, i) => pad(part, [...zeros(i), ...zeros(kernel - 1 - i)])));
}

/** Maximum over `kernel` neighbours along one axis, stride 1. */
function runningMaximum(x: Value, axis: number, kernel: number): Value {
  const n = x.shape[axis]! - kernel + 1;
  return max(...range(kernel).map((i) => slice(x, [i], [i + n], [axis])));
}

/** The gradient of an unpadded stride-1 pooling, axis by axis from the last: row-major order decides ties, as in PyTorch. */
function densePoolGradient(node: Node, dy: Value, kernel: readonly number[]): Value {
  const stages = [node.inputs[0]!];
  kernel
    .map((k, i) => ({ k, axis: i + 2 }))
    .reverse()
    .slice(0, -1)
    .forEach(({ k, axis }) => stages.push(k === 1 ? stages.at(-1)! : runningMaximum(stages.at(-1)!, axis, k)));
  let d = dy;
  let maximum: Value = node.outputs[0]!;
  kernel.forEach((k, i) => {
    const source = stages[kernel.length - 1 - i]!;
    if (k > 1) d = routeToFirst(d, source, maximum, i + 2, k);
    maximum = source;
  });
  return d;
}

/** The cotangent goes to the first maximum of each window, as in PyTorch; overlapping windows add up. */
const maxPoolGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const kernel = intsOf(node.attributes, "kernel_shape")!;
  const window = windowOf(node, x.shape.slice(2), kernel);
  const dense =
    [window.strides, window.dilations].every((v) => v.every((s) => s === 1)) && window.pads.every((p) => p === 0);
  if (dense && x.dtype === "float32" && kernel.every((k) => k <= 4)) return [densePoolGradient(node, dy, kernel)];
  const rowMajor = intOf(node.attributes, "storage_order", 0) === 0;
  const indices =
    (rowMajor ? node.outputs[1] : undefined) ??
    apply("MaxPool", node.inputs, { ...node.attributes, storage_order: { int: 0 } }, { name: node.name })[1]!;
  const zeros = zerosOf([sizeOf(x.shape)], x.dtype);
  const flat = scatterElements(zeros, reshape(indices, [-1]), reshape(dy, [-1]), { reduction: "add" });
  return [reshape(flat, x.shape)];
};

const averagePoolGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  if (intOf(node.attributes, "ceil_mode", 0) === 1) throw noRule(node, "ceil_mode has no gradient rule");
  const kernel = (node.attributes["kernel_shape"] as { ints: readonly number[] }).ints;
  const spatial = x.shape.slice(2);
  const window = windowOf(node, spatial, kernel);
  const out = dy.shape.slice(2);
  const includePad = intOf(node.attributes, "count_include_pad", 0) === 1;
  const counts = includePad ? undefined : windowCounts(spatial, out, window);
  const area = sizeOf(kernel);
  const share = counts ? div(dy, floats(counts, [1, 1, ...out], dy.dtype)) : mul(dy, scalar(1 / area, dy.dtype));
  const rank = kernel.length;
  const extent = kernel.map((k, i) => (k - 1) * window.dilations[i]! + 1);
  const tiles = window.pads.every((p) => p === 0) && kernel.every((k, i) => k === extent[i] && k === window.strides[i]);
  if (tiles) {
    const apart = reshape(share, [...dy.shape.slice(0, 2), ...out.flatMap((n) => [n, 1])]);
    const spread = expand(apart, [...dy.shape.slice(0, 2), ...out.flatMap((n, i) => [n, kernel[i]!])]);
    const covered = reshape(spread, [...dy.shape.slice(0, 2), ...out.map((n, i) => n * kernel[i]!)]);
    const rest = [0, 0, ...spatial.map((n, i) => n - out[i]! * kernel[i]!)];
    return [pad(covered, [...rest.map(() => 0), ...rest])];
  }
  const channels = x.shape[1]!;
  const ones = floats(new Float32Array(channels * area).fill(1), [channels, 1, ...kernel], dy.dtype);
  const unused = spatial.map(
    (n, i) => n + window.pads[i]! + window.pads[i + rank]! - ((out[i]! - 1) * window.strides[i]! + extent[i]!),
  );
  const { strides, dilations } = window;
  const full = convTranspose(share, ones, undefined, { strides, dilations, group: channels });
  const crop = [0, 0, ...window.pads.slice(0, rank).map((p) => -p)];
  const cropEnd = [0, 0, ...unused.map((u, i) => u - window.pads[i + rank]!)];
  return [pad(full, [...crop, ...cropEnd])];
};

/** How many real pixels each pooling window holds, in row-major order of the output. */
function windowCounts(spatial: Shape, out: Shape, window: Window): Float32Array {
  const counts = new Float32Array(sizeOf(out)).fill(1);
  let inner = counts.length;
  out.forEach((n, axis) => {
    inner /= n;
    for (let j = 0; j < counts.length; j++) {
      const position = Math.floor(j / inner) % n;
      const start = position * window.strides[axis]! - window.pads[axis]!;
      const taps = range(window.kernel[axis]!).map((tap) => start + tap * window.dilations[axis]!);
      counts[j]! *= taps.filter((at) => at >= 0 && at < spatial[axis]!).length;
    }
  });
  return counts;
}

const globalAveragePoolGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const { shape, dtype } = node.inputs[0]!;
  return [expand(mul(dy, scalar(1 / sizeOf(shape.slice(2)), dtype)), shape)];
};

export const convolutionGradients: Readonly<Record<string, GradientRule>> = {
  Conv: convGradient,
  ConvTranspose: convTransposeGradient,
  MaxPool: maxPoolGradient,
  AveragePool: averagePoolGradient,
  GlobalAveragePool: globalAveragePoolGradient,
};
