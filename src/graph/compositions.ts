/**
 * Compositions of standard operators that ONNX Runtime runs faster than the one operator they stand for. Lowering uses
 * them forward and gradient rules use their parts: built from equal operands they are equal subgraphs, and common
 * subexpression elimination makes them one.
 */
import {
  add,
  div,
  erf,
  hardSigmoid,
  matMul,
  mul,
  reciprocal,
  reduceMean,
  reduceSum,
  reshape,
  sigmoid,
  softsign,
  sqrt,
  sub,
  transpose,
} from "./operators.ts";
import { scalar, sizeOf, type Value } from "./value.ts";

/**
 * Sums over rows of the product a * b, [rows, n] x [rows, n] -> [rows]. Long rows are a batch of row times transposed row,
 * which ONNX Runtime fuses into products without a temporary (eight times faster than row times column); short ones are
 * multiplied and summed.
 */
export function rowDots(a: Value, b: Value, rows: number): Value {
  const n = sizeOf(a.shape) / rows;
  if (n < 512) return reduceSum(mul(reshape(a, [rows, n]), reshape(b, [rows, n])), [1]);
  return reshape(matMul(reshape(a, [rows, 1, n]), transpose(reshape(b, [rows, 1, n]), [0, 2, 1])), [rows]);
}

/**
 * What group normalisation computes once and uses forward and backward.
 * The variance is that of the centred values: E[x^2] - mean^2 would lose precision where the mean is large.
 */
export interface GroupStatistics {
  /** x minus its group's mean, shaped as x. */
  readonly centred: Value;
  /** 1 / standard deviation, [batch, groups, 1]. */
  readonly inverseDeviation: Value;
}

/** Statistics of x [batch, channels, ...spatial] over `groups` groups of channels. */
export function groupStatistics(x: Value, groups: number, epsilon: number): GroupStatistics {
  const batch = x.shape[0]!;
  const rows = batch * groups;
  const n = sizeOf(x.shape) / rows;
  const flat = reshape(x, [rows, n]);
  const centred = sub(flat, reduceMean(flat, [1], true));
  const variance = div(rowDots(centred, centred, rows), scalar(n, x.dtype));
  const inverseDeviation = reciprocal(sqrt(add(variance, scalar(epsilon, x.dtype))));
  return {
    centred: reshape(centred, x.shape),
    inverseDeviation: reshape(inverseDeviation, [batch, groups, 1]),
  };
}

/** [channels] or [batch, groups, channels / groups] as [batch or 1, channels, 1, ...] against images of `rank`. */
export const perChannel = (v: Value, batch: number, channels: number, rank: number): Value =>
  reshape(v, [batch, channels, ...Array<number>(rank - 2).fill(1)]);

/** Group normalisation as one pass for the centring, one product and one sum. */
export function groupNormalizationComposed(
  x: Value,
  scale: Value,
  bias: Value,
  groups: number,
  epsilon: number,
): Value {
  const [batch, channels] = [x.shape[0]!, x.shape[1]!];
  const { centred, inverseDeviation } = groupStatistics(x, groups, epsilon);
  const gain = mul(inverseDeviation, reshape(scale, [1, groups, channels / groups]));
  return add(
    mul(centred, perChannel(gain, batch, channels, x.shape.length)),
    perChannel(bias, 1, channels, x.shape.length),
  );
}

/** Mish(x) = x tanh(softplus(x)) in six passes that cannot overflow, with the parts its derivative needs. */
export function mishParts(x: Value): { y: Value; gate: Value; slope: Value } {
  const slope = sigmoid(x);
  const rest = hardSigmoid(slope, -1, 1); // 1 - sigmoid(x), in [0, 1]
  // With r = 1 - s: tanh(softplus(x)) = (1 - r^2) / (1 + r^2) = 1 - 2 softsign(r^2).
  const gate = hardSigmoid(softsign(mul(rest, rest)), -2, 1);
  return { y: mul(x, gate), gate, slope };
}

/** The exact GELU x Phi(x), and Phi(x). */
export function geluParts(x: Value): { y: Value; phi: Value; z: Value } {
  const z = mul(x, scalar(Math.SQRT1_2, x.dtype));
  const phi = hardSigmoid(erf(z), 0.5, 0.5);
  return { y: mul(x, phi), phi, z };
}
