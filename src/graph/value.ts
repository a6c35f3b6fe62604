/**
 * ONNX graphs as plain data. A {@link Value} knows the node that makes it, a node knows its operands: a graph is what can
 * be reached from its outputs. Nothing is ever mutated; building is calling functions.
 */

export type DType = "float32" | "float64" | "float16" | "int64" | "int32" | "int8" | "uint8" | "bool";

/** Static: every dimension is a known, non-negative integer. A scalar has shape []. */
export type Shape = readonly number[];

/** bool and uint8 are stored as bytes; float16 as its 16-bit patterns. */
export type TensorData =
  Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A tensor fed at run time: an image batch, a parameter, a running sum. */
export interface Input extends TensorType {
  readonly kind: "input";
  readonly name: string;
}

/** A tensor stored in the model (an ONNX initialiser). */
export interface Constant extends TensorType {
  readonly kind: "constant";
  readonly name?: string;
  readonly data: TensorData;
}

/** An output of a node. */
export interface Result extends TensorType {
  readonly kind: "result";
  readonly node: Node;
  readonly index: number;
}

export type Value = Input | Constant | Result;

export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: Constant };

export type Attributes = Readonly<Record<string, Attribute>>;

/** One application of an operator of the default ONNX domain. An omitted optional operand is undefined. */
export interface Node {
  readonly op: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  readonly outputs: readonly Result[];
  /** Where in the model this node stands, for error messages and viewers. */
  readonly name?: string;
}

export const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);

/** A tensor to be fed at run time. */
export const input = (name: string, shape: Shape, dtype: DType = "float32"): Input => ({
  kind: "input",
  name,
  dtype,
  shape,
});

/** A stored tensor; `data` holds `shape` in row-major order. */
export function constant(data: TensorData, shape: Shape, dtype: DType = dtypeOf(data), name?: string): Constant {
  if (data.length !== sizeOf(shape))
    throw new RangeError(`constant ${name ?? ""}: ${data.length} elements do not fill shape [${shape.join(", ")}]`);
  return { kind: "constant", dtype, shape, data, ...(name === undefined ? {} : { name }) };
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  if (data instanceof Uint16Array) return "float16";
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof Int8Array) return "int8";
  return "uint8";
}

/** A float32 scalar, or a scalar of another float type. */
export function scalar(x: number, dtype: DType = "float32"): Constant {
  if (dtype === "int64") return constant(BigInt64Array.of(BigInt(x)), []);
  if (dtype === "int32") return constant(Int32Array.of(x), []);
  if (dtype === "float64") return constant(Float64Array.of(x), []);
  if (dtype === "bool") return constant(Uint8Array.of(x), [], "bool");
  if (dtype !== "float32") throw new RangeError(`scalar: element type ${dtype} is not supported`);
  return constant(Float32Array.of(x), []);
}

/** A one-dimensional int64 tensor: axes, shapes, indices. */
export const int64s = (values: readonly number[]): Constant =>
  constant(
    BigInt64Array.from(values, (v) => BigInt(v)),
    [values.length],
  );

/** A float32 tensor of the given shape. */
export const float32s = (values: ArrayLike<number>, shape: Shape = [values.length]): Constant =>
  constant(Float32Array.from(values), shape);

/** The numbers of an integer constant, or undefined where the value is not a constant. */
export function integersOf(value: Value | undefined): number[] | undefined {
  if (value?.kind !== "constant") return undefined;
  return Array.from(value.data as ArrayLike<number | bigint>, Number);
}

/** "float32[2, 3] images": how messages name an operand. */
export function describe(value: TensorType & Partial<Pick<Input, "name">> & { node?: Node }): string {
  const label = value.name ?? value.node?.name ?? (value.node ? `of ${value.node.op}` : "");
  return `${value.dtype}[${value.shape.join(", ")}]${label ? ` ${label}` : ""}`;
}
