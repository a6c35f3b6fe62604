import * as ort from "onnxruntime-node";
import { encodeModel, type Graph, type TensorData } from "../../src/graph/index.ts";

export interface Ran {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number | bigint>;
}

/**
 * Runs the bytes of an ONNX file in ONNX Runtime on the CPU, with its own graph optimisations off, so that two models that
 * do the same arithmetic give the same bits.
 */
export async function runModel(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, { dtype: string; shape: readonly number[]; data: TensorData }>>,
): Promise<Record<string, Ran>> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const tensors = Object.entries(feeds).map(([name, { dtype, shape, data }]) => [
      name,
      new ort.Tensor(dtype as "float32", data as Float32Array, shape),
    ]);
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(
      Object.entries(results).map(([name, t]) => [
        name,
        { dtype: t.type, shape: t.dims, data: t.data as ArrayLike<number | bigint> },
      ]),
    );
  } finally {
    await session.release();
  }
}

/** Deterministic values for every input of a graph: floats in (-1, 1), small integers, alternating booleans. */
export function feedsFor(graph: Graph): Record<string, { dtype: string; shape: readonly number[]; data: TensorData }> {
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape }, k) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const at = (i: number): number => Math.sin(12.9898 * (i + 1) + 78.233 * (k + 1));
      const data: TensorData =
        dtype === "int64"
          ? BigInt64Array.from({ length: size }, (_, i) => BigInt(i % 2))
          : dtype === "float64"
            ? Float64Array.from({ length: size }, (_, i) => at(i))
            : dtype === "bool"
              ? Uint8Array.from({ length: size }, (_, i) => i % 2)
              : Float32Array.from({ length: size }, (_, i) => at(i));
      return [name, { dtype, shape, data }];
    }),
  );
}

/** Encodes a graph and runs it on {@link feedsFor}. */
export const runGraph = (graph: Graph): Promise<Record<string, Ran>> => runModel(encodeModel(graph), feedsFor(graph));

/**
 * Equal numbers; NaN equals NaN, and 0 equals -0: which of the two zeros Max gives depends in ONNX Runtime on the order of
 * its operands (Max(0, -0) is -0, Max(-0, 0) is 0), and a constant that was computed beforehand has JavaScript's, which is 0.
 */
export const sameNumbers = (a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): boolean =>
  a.length === b.length && Array.from(a).every((v, i) => v === b[i] || (Number.isNaN(v) && Number.isNaN(b[i])));
