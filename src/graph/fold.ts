/**
 * Computes nodes whose operands are literals: the shape arithmetic that exporters leave in a model, and constant scalars.
 * Only operations whose result is exact (integers), correctly rounded (+ - * / sqrt on floats) or a rearrangement.
 */
import { reductionAxes } from "./rules/reduction.ts";
import { sliceRanges } from "./rules/layout.ts";
import { intOf, intsOf, type Application } from "./shape.ts";
import { broadcastStrides, dataFrom, offsetsOf, stridesOf, zeros } from "./tensor.ts";
import { constant, sizeOf, type Constant, type DType, type Result, type Shape, type TensorType } from "./value.ts";

/** Larger results stay nodes: a file must not be able to ask for gigabytes. */
const largestFold = 1 << 16;

/**
 * A constant whose value may be computed with. A named float constant may be a parameter that somebody wants to train, so
 * its value is never used; integers and booleans are shapes, indices and masks.
 */
export const isLiteral = (c: Constant): boolean =>
  c.name === undefined || !(c.dtype === "float32" || c.dtype === "float64" || c.dtype === "float16");

type Numbers = ArrayLike<number | bigint>;
/** The elements of the node's outputs, or undefined where this case is not computed here. */
type Fold = (node: Application, operands: readonly Constant[], out: readonly TensorType[]) => Numbers[] | undefined;

/** The outputs of a node as constants, or undefined where it has to be computed at run time. */
export function foldNode(results: readonly Result[]): Constant[] | undefined {
  const node = results[0]?.node;
  if (!node || results.reduce((sum, r) => sum + sizeOf(r.shape), 0) > largestFold) return undefined;
  if (node.op === "Shape") return [shapeConstant(node, results[0]!)];
  const fold = Object.hasOwn(folds, node.op) ? folds[node.op]! : undefined;
  const operands = node.inputs.filter((v) => v !== undefined);
  if (!fold || operands.length !== node.inputs.length) return undefined;
  if (!operands.every((v): v is Constant => v.kind === "constant" && isLiteral(v) && v.dtype !== "float16"))
    return undefined;
  const values = fold(node, operands, results);
  if (!values || results.some((r) => r.dtype === "float16")) return undefined;
  return results.map((r, i) => constant(dataFrom(r.dtype, values[i]!), r.shape, r.dtype));
}

function shapeConstant(node: Application, result: TensorType): Constant {
  const { shape } = node.inputs[0]!;
  const start = intOf(node.attributes, "start", 0);
  const from = Math.min(Math.max(start < 0 ? start + shape.length : start, 0), shape.length);
  return constant(dataFrom("int64", shape.slice(from, from + result.shape[0]!)), result.shape, "int64");
}

/** Elements of `c` at `offsets`. */
const take = (c: Constant, offsets: readonly number[]): Numbers => offsets.map((o) => c.data[o]!);

const spread = (c: Constant, shape: Shape): Numbers => take(c, offsetsOf(shape, broadcastStrides(c.shape, shape)));

const sameElements: Fold = (_, [x]) => [x!.data];

type Binary<T> = (a: T, b: T) => T | boolean | undefined;

/** Elementwise with broadcasting over any number of operands, left to right. */
const elementwise =
  (onNumbers: Binary<number> | undefined, onIntegers?: Binary<bigint>): Fold =>
  (_, operands, [out]) => {
    const integers = operands[0]!.dtype === "int64";
    const combine = (integers ? onIntegers : onNumbers) as Binary<number | bigint> | undefined;
    if (!combine) return undefined;
    // Rounding to the operand's type after every step is what makes float32 sums of three terms right.
    const store = zeros(operands[0]!.dtype, 1);
    const rounded = (v: number | bigint): number | bigint => {
      store[0] = v as never;
      return store[0]!;
    };
    let result = Array.from(spread(operands[0]!, out!.shape));
    for (const next of operands.slice(1)) {
      const other = spread(next, out!.shape);
      const combined = result.map((a, i) => combine(a, other[i]!));
      if (combined.includes(undefined)) return undefined;
      result = combined.map((v) => (typeof v === "boolean" ? Number(v) : rounded(v!)));
    }
    return [result];
  };

const unary =
  (onNumbers: ((x: number) => number) | undefined, onIntegers?: (x: bigint) => bigint): Fold =>
  (_, [x]) => {
    const f = (x!.dtype === "int64" ? onIntegers : onNumbers) as ((v: number | bigint) => number | bigint) | undefined;
    return f && [Array.from(x!.data as Numbers, f)];
  };

const compare = (test: (a: number | bigint, b: number | bigint) => boolean): Fold => elementwise(test, test);

const whole: readonly DType[] = ["int64", "int32", "int8", "uint8", "bool"];

const cast: Fold = (_, [x], [out]) => {
  const values = Array.from(x!.data as Numbers);
  if (out!.dtype === "bool") return [values.map((v) => Number(Number(v) !== 0))];
  if (!whole.includes(out!.dtype)) return [values.map(Number)];
  if (whole.includes(x!.dtype))
    return [out!.dtype === "int64" ? values : values.map((v) => Number(BigInt.asIntN(32, BigInt(v))))];
  // What a float beyond the integer type becomes differs between machines.
  const limit = out!.dtype === "int64" ? 2 ** 63 : out!.dtype === "int32" ? 2 ** 31 : 2 ** 7;
  const truncated = values.map((v) => Math.trunc(Number(v)));
  return truncated.every((v) => Math.abs(v) < limit) ? [truncated] : undefined;
};

const gather: Fold = (node, [x, indices], [out]) => {
  const axis = (intOf(node.attributes, "axis", 0) + x!.shape.length) % x!.shape.length;
  const n = x!.shape[axis]!;
  const inner = sizeOf(x!.shape.slice(axis + 1));
  const outer = sizeOf(x!.shape.slice(0, axis));
  const at = Array.from(indices!.data as Numbers, (v) => (Number(v) < 0 ? Number(v) + n : Number(v)));
  if (at.some((i) => i < 0 || i >= n)) return undefined;
  const offsets: number[] = [];
  for (let o = 0; o < outer; o++)
    for (const i of at) for (let j = 0; j < inner; j++) offsets.push((o * n + i) * inner + j);
  return offsets.length === sizeOf(out!.shape) ? [take(x!, offsets)] : undefined;
};

const concat: Fold = (node, operands) => {
  const rank = operands[0]!.shape.length;
  const axis = (intOf(node.attributes, "axis", 0) + rank) % rank;
  const outer = sizeOf(operands[0]!.shape.slice(0, axis));
  const values: (number | bigint)[] = [];
  for (let o = 0; o < outer; o++)
    for (const c of operands) {
      const chunk = sizeOf(c.shape.slice(axis));
      for (let i = 0; i < chunk; i++) values.push(c.data[o * chunk + i]!);
    }
  return [values];
};

const split: Fold = (node, [x], out) => {
  const axis = (intOf(node.attributes, "axis", 0) + x!.shape.length) % x!.shape.length;
  const strides = stridesOf(x!.shape);
  let start = 0;
  return out.map(({ shape }) => {
    const part = take(x!, offsetsOf(shape, strides, start));
    start += shape[axis]! * strides[axis]!;
    return part;
  });
};

const slice: Fold = (node, [x], [out]) => {
  const strides = stridesOf(x!.shape);
  const ranges = sliceRanges(node);
  const start = ranges.reduce((sum, r, i) => sum + r.start * strides[i]!, 0);
  return [take(x!, offsetsOf(out!.shape, ranges.map((r, i) => r.step * strides[i]!), start))]; // prettier-ignore
};

const transpose: Fold = (node, [x], [out]) => {
  const perm = intsOf(node.attributes, "perm") ?? x!.shape.map((_, i) => x!.shape.length - 1 - i);
  const strides = stridesOf(x!.shape);
  return [take(x!, offsetsOf(out!.shape, perm.map((p) => strides[p]!)))]; // prettier-ignore
};

const tile: Fold = (_, [x, repeats]) => {
  const strides = stridesOf(x!.shape);
  const shape = x!.shape.flatMap((n, i) => [Number(repeats!.data[i]), n]);
  return [take(x!, offsetsOf(shape, x!.shape.flatMap((_n, i) => [0, strides[i]!])))]; // prettier-ignore
};

const where: Fold = (_, [condition, a, b], [out]) => {
  const [choice, yes, no] = [condition!, a!, b!].map((c) => spread(c, out!.shape)) as [Numbers, Numbers, Numbers];
  return [Array.from(choice, (c, i) => (c ? yes[i]! : no[i]!))];
};

const range: Fold = (_, [start, , delta], [out]) => {
  const count = Array.from({ length: out!.shape[0]! }, (_n, i) => i);
  if (!whole.includes(out!.dtype)) return [count.map((i) => Number(start!.data[0]) + i * Number(delta!.data[0]))];
  return [count.map((i) => BigInt(start!.data[0]!) + BigInt(i) * BigInt(delta!.data[0]!))];
};

const constantOfShape: Fold = (node, _, [out]) => {
  const value = node.attributes["value"];
  const element = value && "tensor" in value ? value.tensor.data[0]! : 0;
  return [Array<number | bigint>(sizeOf(out!.shape)).fill(element)];
};

/** Over integers only: the order in which floats are added is the runtime's. */
const reduce =
  (combine: (a: bigint, b: bigint) => bigint): Fold =>
  (node, [x], [out]) => {
    if (!whole.includes(x!.dtype) || sizeOf(x!.shape) === 0) return undefined;
    const axes = reductionAxes(node);
    const strides = stridesOf(x!.shape);
    const kept = x!.shape.map((n, i) => (axes.includes(i) ? 1 : n));
    const reduced = x!.shape.map((n, i) => (axes.includes(i) ? n : 1));
    const within = offsetsOf(reduced, strides);
    const values = offsetsOf(kept, strides).map((o) => within.map((w) => BigInt(x!.data[o + w]!)).reduce(combine));
    return values.length === sizeOf(out!.shape) ? [values] : undefined;
  };

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
/** ONNX Mod with fmod 0: the sign of the divisor, as in Python. */
const floorMod = (a: number, b: number): number | undefined => (b === 0 ? undefined : ((a % b) + b) % b);
const integerMod = (a: bigint, b: bigint): bigint | undefined => (b === 0n ? undefined : ((a % b) + b) % b);
const divide =
  (dtypeIsWhole: boolean): Binary<number> =>
  (a, b) =>
    dtypeIsWhole ? (b === 0 ? undefined : Math.trunc(a / b)) : a / b;

const folds: Readonly<Record<string, Fold>> = {
  Identity: sameElements,
  Reshape: sameElements,
  Squeeze: sameElements,
  Unsqueeze: sameElements,
  Flatten: sameElements,
  Cast: cast,
  Gather: gather,
  Concat: concat,
  Split: split,
  Slice: slice,
  Transpose: transpose,
  Tile: tile,
  Expand: (_, [x], [out]) => [spread(x!, out!.shape)],
  Where: where,
  Range: range,
  ConstantOfShape: constantOfShape,
  Add: elementwise((a, b) => a + b, (a, b) => a + b), // prettier-ignore
  Sum: elementwise((a, b) => a + b, (a, b) => a + b), // prettier-ignore
  Sub: elementwise((a, b) => a - b, (a, b) => a - b), // prettier-ignore
  Mul: elementwise((a, b) => a * b, (a, b) => a * b), // prettier-ignore
  Div: (node, operands, out) =>
    elementwise(divide(whole.includes(operands[0]!.dtype)), (a, b) => (b === 0n ? undefined : a / b))(
      node,
      operands,
      out,
    ),
  Mod: (node, operands, out) =>
    intOf(node.attributes, "fmod", 0) === 0 ? elementwise(floorMod, integerMod)(node, operands, out) : undefined,
  Min: elementwise(Math.min, smaller),
  Max: elementwise(Math.max, larger),
  Neg: unary((x) => -x, (x) => -x), // prettier-ignore
  Abs: unary(Math.abs, (x) => (x < 0n ? -x : x)),
  Sign: unary(Math.sign, (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n)),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Equal: compare((a, b) => a === b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  And: elementwise((a, b) => a !== 0 && b !== 0),
  Or: elementwise((a, b) => a !== 0 || b !== 0),
  Xor: elementwise((a, b) => (a !== 0) !== (b !== 0)),
  Not: unary((x) => Number(x === 0)),
  ReduceProd: reduce((a, b) => a * b),
  ReduceSum: reduce((a, b) => a + b),
  ReduceMax: reduce(larger),
  ReduceMin: reduce(smaller),
};
