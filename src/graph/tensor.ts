/** Typed arrays by element type, and index arithmetic over row-major tensors. */
import type { Constant, DType, Shape, TensorData } from "./value.ts";

const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>;

export const bytesPerElement = (dtype: DType): number => arrays[dtype].BYTES_PER_ELEMENT;

/** A tensor's data, all zeros. */
export const zeros = (dtype: DType, length: number): TensorData => new arrays[dtype](length);

/** A tensor's data from little-endian bytes, copied; the length must be a multiple of the element's. */
export function dataFromBytes(dtype: DType, bytes: Uint8Array): TensorData {
  // Not bytes.slice(): Node's Buffer gives a view there, and a view need not be aligned.
  const aligned = new Uint8Array(bytes);
  return new arrays[dtype](aligned.buffer, 0, aligned.length / bytesPerElement(dtype));
}

/** The bytes of a tensor as ONNX stores them: little-endian, as on every machine that runs JavaScript engines today. */
export const rawBytes = (data: Constant["data"]): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Equal for constants of equal type and bits. */
export function contentKey({ dtype, shape, data }: Constant): string {
  return `${dtype}[${shape.join()}]${rawBytes(data).join()}`;
}

/** A tensor's data from numbers; int64 takes bigints or integral numbers, everything else numbers. */
export function dataFrom(dtype: DType, values: ArrayLike<number | bigint>): TensorData {
  const data = zeros(dtype, values.length);
  if (data instanceof BigInt64Array) for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  else for (let i = 0; i < values.length; i++) data[i] = Number(values[i]);
  return data;
}

/** Elements between neighbours along every axis of a row-major tensor. */
export function stridesOf(shape: Shape): number[] {
  const strides = Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** Strides with which a tensor of `shape` is read as if broadcast to `target`: 0 along what repeats. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((_, i) => (i < shift || shape[i - shift] === 1 ? 0 : strides[i - shift]!));
}

/** The offsets of all elements of a strided view of `shape`, in row-major order. */
export function offsetsOf(shape: Shape, strides: readonly number[], start = 0): number[] {
  let offsets = [start];
  shape.forEach((n, axis) => {
    const next: number[] = [];
    for (const o of offsets) for (let i = 0; i < n; i++) next.push(o + i * strides[axis]!);
    offsets = next;
  });
  return offsets;
}
