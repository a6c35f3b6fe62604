import { padAmounts, sliceRanges } from "../../graph/rules/layout.ts";
import { equalShapes, intOf, intsOf, normaliseAxis, stringOf } from "../../graph/shape.ts";
import {
  cast,
  concat,
  equal,
  expand,
  int64s,
  matMul,
  pad,
  reduceSum,
  reshape,
  scalar,
  scatterElements,
  sizeOf,
  slice,
  transpose,
  type Constant,
  type DType,
  type Node,
  type Value,
  add,
  apply,
} from "../../graph/index.ts";
import { splitSizes } from "../../graph/rules/layout.ts";
import { floats, noRule, sumTo, unaryRule, zerosOf, type GradientRule } from "../rule.ts";

const range = (n: number): number[] => [...Array(n).keys()];

const reshaping: GradientRule = unaryRule((dy, x) => reshape(dy, x.shape));

const transposeGradient = unaryRule((dy, x, _, node) => {
  const perm = intsOf(node.attributes, "perm") ?? range(x.shape.length).reverse();
  return transpose(
    dy,
    perm.map((_p, i) => perm.indexOf(i)),
  );
});

/** Puts a slice's cotangent back between zeros; steps other than 1 are spread by a product with a selection matrix. */
const sliceGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const ranges = sliceRanges(node);
  let d = dy;
  const begin: number[] = [];
  const end: number[] = [];
  ranges.forEach(({ start, step, size }, axis) => {
    const n = x.shape[axis]!;
    if (step === 1) {
      begin.push(start);
      end.push(n - start - size);
      return;
    }
    begin.push(0);
    end.push(0);
    d = alongAxis(
      d,
      axis,
      selection(
        Array.from({ length: size }, (_, i) => start + i * step),
        n,
        dy.dtype,
      ),
    );
  });
  return [pad(d, [...begin, ...end])];
};

/** The 0/1 matrix [rows, n] whose row i selects position indices[i]. */
function selection(indices: readonly number[], n: number, dtype: DType): Value {
  const data = new Float32Array(indices.length * n);
  indices.forEach((index, i) => (data[i * n + index] = 1));
  return floats(data, [indices.length, n], dtype);
}

/** Multiplies a matrix into one axis: x [..., rows, ...] -> [..., columns, ...]. */
function alongAxis(x: Value, axis: number, matrix: Value): Value {
  const last = x.shape.length - 1;
  const swap = range(x.shape.length);
  [swap[axis], swap[last]] = [last, axis];
  return transpose(matMul(transpose(x, swap), matrix), swap);
}

const concatGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), dy.shape.length);
  let at = 0;
  return node.inputs.map((x, i) => {
    const size = x!.shape[axis]!;
    at += size;
    return needs[i] ? slice(dy, [at - size], [at], [axis]) : undefined;
  });
};

const splitGradient: GradientRule = (node, dys) => {
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), node.inputs[0]!.shape.length);
  splitSizes(node);
  const like = node.inputs[0]!.dtype;
  const parts = node.outputs.map((y, i) => dys[i] ?? expand(scalar(0, like), y.shape));
  return [concat(parts, axis)];
};

const padGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const mode = stringOf(node.attributes, "mode", "constant");
  if (mode !== "constant") throw noRule(node, `mode ${mode} has no gradient rule`);
  if (needs[2]) throw noRule(node, "the padding value has no gradient rule");
  const amounts = padAmounts(node);
  return [pad(dy, [...amounts.map((a) => -a.begin), ...amounts.map((a) => -a.end)])];
};

const expandGradient = unaryRule((dy, x) => sumTo(dy, x.shape));

const tileGradient = unaryRule((dy, x) => {
  const split = x.shape.flatMap((n, i) => [dy.shape[i]! / n, n]);
  return reshape(
    reduceSum(
      reshape(dy, split),
      range(x.shape.length).map((i) => 2 * i),
    ),
    x.shape,
  );
});

/** Repeated indices add up: the cotangent is scattered with addition. */
const gatherGradient: GradientRule = (node, [dy], needs) => {
  if (!dy || !needs[0]) return [];
  const [x, indices] = [node.inputs[0]!, node.inputs[1]!];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  const [outer, inner, n] = [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis + 1)), x.shape[axis]!];
  const rows = sizeOf(indices.shape);
  // As [rows, outer * inner] scattered into [n, outer * inner].
  const d = reshape(transpose(reshape(dy, [outer, rows, inner]), [1, 0, 2]), [rows, outer * inner]);
  const positive = nonNegative(cast(reshape(indices, [rows, 1]), "int64"), n);
  const zeros = zerosOf([n, outer * inner], dy.dtype);
  const sum = scatterElements(zeros, expand(positive, [rows, outer * inner]), d, { reduction: "add" });
  return [reshape(transpose(reshape(sum, [n, outer, inner]), [1, 0, 2]), x.shape)];
};

/** Negative indices count from the end; ScatterElements and one-hot products want them from the start. */
export function nonNegative(indices: Value, n: number): Value {
  const zero = scalar(0, "int64");
  const negative = apply("Less", [indices, zero])[0]!;
  return apply("Where", [negative, add(indices, scalar(n, "int64")), indices])[0]!;
}

const gatherElementsGradient: GradientRule = (node, [dy], needs) => {
  if (!dy || !needs[0]) return [];
  const [x, indices] = [node.inputs[0]!, node.inputs[1]!];
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), x.shape.length);
  const zeros = zerosOf(x.shape, dy.dtype);
  return [scatterElements(zeros, indices, dy, { axis, reduction: "add" })];
};

const scatterElementsGradient: GradientRule = (node, [dy], needs) => {
  if (!dy) return [];
  const how = stringOf(node.attributes, "reduction", "none");
  if (how !== "add") throw noRule(node, `reduction ${how} has no gradient rule`);
  const axis = normaliseAxis(node, intOf(node.attributes, "axis", 0), dy.shape.length);
  return [
    needs[0] ? dy : undefined,
    undefined,
    needs[2] ? apply("GatherElements", [dy, node.inputs[1]], { axis: { int: axis } })[0] : undefined,
  ];
};

/** A Resize by a whole factor that copies every position that many times: the forms that models use. */
function repeatsPositions(node: Node, n: number, m: number, scale: number): boolean {
  const coordinates = stringOf(node.attributes, "coordinate_transformation_mode", "half_pixel");
  const rounding = stringOf(node.attributes, "nearest_mode", "round_prefer_floor");
  if (!Number.isInteger(m / n) || scale !== m / n) return false;
  return coordinates === "asymmetric"
    ? rounding === "floor"
    : coordinates.includes("half_pixel") && rounding.startsWith("round_prefer");
}

/**
 * The 0/1 matrix [m, n] of which position a nearest Resize copies, found by resizing the numbers 0 to n - 1: which
 * neighbour is nearest may hang on the last bit of a coordinate, and the runtime's answer is the one that counts. It is
 * made of constants, so the runtime computes it once.
 */
function nearestSelection(node: Node, n: number, m: number, scale: number | undefined, dtype: DType): Value {
  const ramp = floats(range(n), [1, 1, 1, n], "float32");
  // The second axis grows: a Resize that changes no size copies, whatever its scales.
  const target =
    scale === undefined ? [undefined, int64s([1, 1, 2, m])] : [floats([1, 1, 2, scale], [4], "float32"), undefined];
  const { coordinate_transformation_mode, nearest_mode } = node.attributes;
  const [resized] = apply("Resize", [ramp, undefined, ...target], {
    ...(coordinate_transformation_mode ? { coordinate_transformation_mode } : {}),
    ...(nearest_mode ? { nearest_mode } : {}),
  });
  const picked = reshape(slice(resized!, [0], [1], [2]), [m, 1]);
  return cast(equal(picked, floats(range(n), [1, n], "float32")), dtype);
}

const resizeGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  for (const [name, fallback] of [
    ["mode", "nearest"],
    ["coordinate_transformation_mode", "half_pixel"],
  ] as const) {
    const value = stringOf(node.attributes, name, fallback);
    if (value === "tf_crop_and_resize" || (name === "mode" && value !== "nearest"))
      throw noRule(node, `${name} ${value} has no gradient rule`);
  }
  const x = node.inputs[0]!;
  if (equalShapes(x.shape, dy.shape)) return [dy];
  const scales = node.inputs[3] ? undefined : (node.inputs[2] as Constant);
  let d = dy;
  x.shape.forEach((n, axis) => {
    const m = d.shape[axis]!;
    const scale = scales && Number(scales.data[axis]);
    if (m === n && (scale ?? 1) === 1) return;
    if (repeatsPositions(node, n, m, scale ?? m / n)) {
      const shape = [...d.shape.slice(0, axis), n, m / n, ...d.shape.slice(axis + 1)];
      d = reduceSum(reshape(d, shape), [axis + 1]);
    } else d = alongAxis(d, axis, nearestSelection(node, n, m, scale, dy.dtype));
  });
  return [d];
};

const depthToSpaceGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const b = intOf(node.attributes, "blocksize", 1);
  const [batch, c, h, w] = [x.shape[0]!, x.shape[1]! / (b * b), x.shape[2]!, x.shape[3]!];
  const blocks = reshape(dy, [batch, c, h, b, w, b]);
  const crd = stringOf(node.attributes, "mode", "DCR") === "CRD";
  return [reshape(transpose(blocks, crd ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]), x.shape)];
};
const spaceToDepthGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  const x = node.inputs[0]!;
  const b = intOf(node.attributes, "blocksize", 1);
  const [batch, c, h, w] = [x.shape[0]!, x.shape[1]!, x.shape[2]! / b, x.shape[3]! / b];
  return [reshape(transpose(reshape(dy, [batch, b, b, c, h, w]), [0, 3, 4, 1, 5, 2]), x.shape)];
};

const dropoutGradient: GradientRule = (_, [dy]) => [dy];

const cumulativeGradient: GradientRule = (node, [dy]) => {
  if (!dy) return [];
  // The transpose of a running sum is a running sum in the other direction.
  const reverse = 1 - intOf(node.attributes, "reverse", 0);
  return [apply("CumSum", [dy, node.inputs[1]], { ...node.attributes, reverse: { int: reverse } })[0]];
};

export const layoutGradients: Readonly<Record<string, GradientRule>> = {
  Transpose: transposeGradient,
  Reshape: reshaping,
  Squeeze: reshaping,
  Unsqueeze: reshaping,
  Flatten: reshaping,
  Slice: sliceGradient,
  Concat: concatGradient,
  Split: splitGradient,
  Pad: padGradient,
  Expand: expandGradient,
  Tile: tileGradient,
  Gather: gatherGradient,
  GatherElements: gatherElementsGradient,
  ScatterElements: scatterElementsGradient,
  Resize: resizeGradient,
  DepthToSpace: depthToSpaceGradient,
  SpaceToDepth: spaceToDepthGradient,
  Dropout: dropoutGradient,
  CumSum: cumulativeGradient,
  ConstantOfShape: () => [],
};
