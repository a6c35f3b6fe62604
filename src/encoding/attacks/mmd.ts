/** R1: an encoder of the attacker's own is trained until its encodings are distributed as the released ones. */
import { gradients } from "../../autodiff/index.ts";
import {
  add,
  exp,
  gemm,
  graphOf,
  input,
  mul,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  scalar,
  simplify,
  sub,
  sum,
  type Input,
  type Value,
} from "../../graph/index.ts";
import { lower } from "../../graph/lower.ts";
import { assignBest } from "../../math/assignment.ts";
import { seededRandom } from "../../math/random.ts";
import { startEngine } from "../../runtime/index.ts";
import { completeSettings, optimisers } from "../../training/index.ts";
import { centred, meanImage, type Vectors } from "./arrays.ts";

/** Bandwidths of the reference's 19 Gaussian kernels, exp(-d^2 / (2 s)). */
export const mmdBandwidths: readonly number[] = [
  1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 5, 10, 15, 20, 25, 30, 35, 100, 1e3, 1e4, 1e5, 1e6,
];

/** Squared distances of all rows of a [n, d] and b [m, d], [n, m]; not below 0. */
function squaredDistances(a: Value, b: Value): Value {
  const [n, m] = [a.shape[0]!, b.shape[0]!];
  const [aa, bb] = [reshape(reduceSum(mul(a, a), [1]), [n, 1]), reshape(reduceSum(mul(b, b), [1]), [1, m])];
  return relu(sub(add(aa, bb), mul(gemm(a, b, undefined, { transB: true }), scalar(2))));
}

/** Mean of the summed kernels over all pairs of rows. */
const meanKernel = (a: Value, b: Value): Value => {
  const d = squaredDistances(a, b);
  return reduceMean(sum(mmdBandwidths.map((s) => exp(mul(d, scalar(-1 / (2 * s)))))), [0, 1]);
};

/**
 * The squared maximum mean discrepancy of the rows of a and b, biased (the diagonals count), a scalar.
 * Source: Gretton et al., A kernel two-sample test, JMLR 13, 2012, equation 5, with the reference attack's kernels.
 */
export const mmd = (a: Value, b: Value): Value =>
  sub(add(meanKernel(a, a), meanKernel(b, b)), mul(meanKernel(a, b), scalar(2)));

export interface MmdBreak {
  /** The candidate of each encoding, one to one. */
  readonly images: Int32Array;
  readonly loss: number;
}

/**
 * Trains a linear encoder of mean patches by MMD and matches one to one by squared distance. Both sets are mean patches,
 * [images, 1, width], as many candidates as encodings; the encoder starts as PyTorch's Linear does.
 */
export async function breakByMmd(
  { codes, candidates }: { readonly codes: Vectors; readonly candidates: Vectors },
  {
    seed,
    steps = 2000,
    learningRate = 1e-3,
    onProgress,
  }: {
    readonly seed: number;
    readonly steps?: number;
    readonly learningRate?: number;
    readonly onProgress?: (done: number, total: number) => void;
  },
): Promise<MmdBreak> {
  const n = codes.images;
  const [x, y] = [input("x", [n, candidates.width]), input("y", [n, codes.width])];
  const weight = input("weight", [candidates.width, codes.width]);
  const bias = input("bias", [codes.width]);
  const made = gemm(x, weight, bias);
  const loss = mmd(made, y);
  const settings = completeSettings({ name: "adam", learningRate });
  const rule = optimisers.adam;
  const scalarNames = Object.keys(rule.scalars(0, learningRate, settings));
  const scalars = Object.fromEntries(scalarNames.map((name) => [name, input(`scalar/${name}`, [])]));
  const parameters = [weight, bias];
  const outputs: Record<string, Value> = { loss };
  const zeros: Input[] = [];
  gradients(loss, parameters, scalar(1)).forEach((gradient, i) => {
    const parameter = parameters[i]!;
    const state = Object.fromEntries(
      rule.state(settings).map((kind) => [kind, input(`state/${kind}/${parameter.name}`, parameter.shape)]),
    );
    zeros.push(...Object.values(state));
    const next = rule.update({ parameter, gradient, state, scalars }, settings);
    outputs[`next/${parameter.name}`] = next.parameter;
    for (const [kind, value] of Object.entries(next.state)) outputs[`next/state/${kind}/${parameter.name}`] = value;
  });
  const random = seededRandom(seed, "mmd");
  const bound = 1 / Math.sqrt(candidates.width);
  const tensor = ({ shape }: Input, next: () => number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { data: Float32Array.from({ length: size }, next), shape };
  };
  await using engine = await startEngine();
  const pixels = centred(candidates, meanImage(candidates));
  await engine.write({
    x: { data: pixels.data.slice(), shape: x.shape },
    y: { data: codes.data.slice(), shape: y.shape },
    ...Object.fromEntries(parameters.map((p) => [p.name, tensor(p, () => (2 * random.uniform() - 1) * bound)])),
    ...Object.fromEntries(zeros.map((z) => [z.name, tensor(z, () => 0)])),
  });
  const step = await engine.load(simplify(lower(graphOf("mmd step", outputs))));
  let last = Infinity;
  for (let k = 0; k < steps; k++) {
    const feeds = rule.scalars(k, learningRate * (1 - k / steps), settings);
    const result = await step.run(
      Object.fromEntries(
        Object.entries(feeds).map(([name, v]) => [`scalar/${name}`, { data: Float32Array.of(v), shape: [] }]),
      ),
    );
    last = result["loss"]!.data[0] as number;
    onProgress?.(k + 1, steps);
  }
  const distances = await engine.load(graphOf("mmd match", { d: squaredDistances(y, made) }), { seldom: true });
  const { d } = await distances.run({});
  return {
    images: assignBest(
      (d!.data as Float32Array).map((v) => -v),
      n,
      n,
    ),
    loss: last,
  };
}
