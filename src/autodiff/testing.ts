/** What tests of gradients need: running values, and seeded data. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeModel, graphOf, sizeOf, type DType, type Input, type Shape, type Value } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { simplify } from "../graph/simplify.ts";
import { seededRandom } from "../math/random.ts";

/** What a test feeds for an input; booleans as bytes. */
export type Feed = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array;
export type Feeds = Readonly<Record<string, Feed>>;

/** What a test reads. */
export interface Evaluated {
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array;
  readonly shape: Shape;
}

export interface EvaluationOptions {
  /** Run the graph as training runs it: slow operators replaced, then simplified. */
  readonly lowered?: boolean;
}

/** A compiled graph that can be run many times. Dispose of it after use. */
export interface Compiled extends AsyncDisposable {
  readonly run: (feeds: Feeds) => Promise<Record<string, Evaluated>>;
}

/**
 * Compiles the named values for ONNX Runtime's CPU provider on one thread. Throws what the runtime throws, with the name
 * of the operator that has no kernel for an element type.
 */
export async function compile(
  outputs: Readonly<Record<string, Value>>,
  { lowered = false }: EvaluationOptions = {},
): Promise<Compiled> {
  const graph = graphOf("test", outputs);
  const bytes = encodeModel(lowered ? simplify(lower(graph)) : graph);
  const session = await InferenceSession.create(bytes, {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return {
    async run(feeds) {
      const results = await session.run(
        Object.fromEntries(graph.inputs.map((i) => [i.name, tensorOf(i, feeds[i.name])])),
      );
      return Object.fromEntries(
        Object.entries(results).map(([name, t]) => [name, { data: t.data as Evaluated["data"], shape: t.dims }]),
      );
    },
    [Symbol.asyncDispose]: () => session.release(),
  };
}

function tensorOf(i: Input, data: Feed | undefined): Tensor {
  if (!data) throw new RangeError(`evaluate: nothing is fed for input ${i.name}`);
  if (data.length !== sizeOf(i.shape))
    throw new RangeError(`evaluate: ${data.length} numbers for input ${i.name} of shape [${i.shape.join(", ")}]`);
  return new Tensor(i.dtype, data as Float32Array, [...i.shape]);
}

/** Computes the named values once. */
export async function evaluate(
  outputs: Readonly<Record<string, Value>>,
  feeds: Feeds,
  options: EvaluationOptions = {},
): Promise<Record<string, Evaluated>> {
  await using compiled = await compile(outputs, options);
  return await compiled.run(feeds);
}

/** Where the numbers of a test tensor lie: away from points at which the operator under test has no derivative. */
export type Domain =
  /** Standard normal. */
  | "normal"
  /** 0.5 to 2. */
  | "positive"
  /** 0.2 to 1.5 on either side of 0. */
  | "nonzero"
  /** Multiples of 0.3 plus 0.137, shuffled: all different, none within 0.03 of a multiple of 0.5. */
  | "distinct";

/** Seeded numbers that float32 holds exactly, so that single and double precision compute at the same point. */
export function numbers(seed: number, label: string, size: number, domain: Domain = "normal"): Float64Array {
  using random = seededRandom(seed, label);
  const out = new Float64Array(size);
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  for (let i = 0; i < size; i++) {
    const [u, sign] = [random.uniform(), random.uniform() < 0.5 ? -1 : 1];
    if (domain === "normal") out[i] = random.gaussian();
    else if (domain === "positive") out[i] = 0.5 + 1.5 * u;
    else if (domain === "nonzero") out[i] = sign * (0.2 + 1.3 * u);
    else out[i] = 0.3 * (order[i]! - Math.floor(size / 2)) + 0.137;
    out[i] = Math.fround(out[i]!);
  }
  return out;
}

/** Numbers in the array that a tensor of `dtype` is fed from. */
export function feedOf(values: ArrayLike<number>, dtype: DType): Feed {
  if (dtype === "float64") return Float64Array.from(values);
  if (dtype === "int64") return BigInt64Array.from(Array.from(values, (v) => BigInt(v)));
  if (dtype === "int32") return Int32Array.from(values);
  if (dtype === "bool" || dtype === "uint8") return Uint8Array.from(values);
  return Float32Array.from(values);
}

/** <a, b> in double precision. */
export function dot(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Number(a[i]) * Number(b[i]);
  return sum;
}

/** Euclidean norm in double precision. */
export const norm = (a: ArrayLike<number | bigint>): number => Math.sqrt(dot(a, a));

/** |a - b| / |b|, or |a - b| where b is 0. */
export function relativeError(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  if (a.length !== b.length) return Infinity;
  const difference = norm(Array.from(a, (x, i) => Number(x) - Number(b[i])));
  const size = norm(b);
  return size > 0 ? difference / size : difference;
}
