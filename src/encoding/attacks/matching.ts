/** Matching two graphs without knowing which node is which: soft assignments, sharpened step by step. */
import { assignBest } from "../../math/assignment.ts";
import { normalQuantile } from "../../math/statistics.ts";
import type { Products } from "./products.ts";

/** The entries above the diagonal of a symmetric matrix [n, n] replaced by normal scores of their ranks; diagonal 0. */
export function normalScores(matrix: Float32Array, n: number): Float32Array {
  const places: number[] = [];
  for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) places.push(i * n + j);
  places.sort((p, q) => matrix[p]! - matrix[q]!);
  const out = new Float32Array(n * n);
  places.forEach((at, rank) => {
    const score = normalQuantile((rank + 0.5) / places.length);
    out[at] = score;
    out[(at % n) * n + Math.floor(at / n)] = score;
  });
  return out;
}

/** Rows and columns of exp(logits) brought to sum 1 in turn (Sinkhorn), in the logarithm. */
function doublyStochastic(logits: Float64Array, n: number, rounds: number): Float32Array {
  const row = new Float64Array(n);
  const column = new Float64Array(n);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < n; i++) {
      let top = -Infinity;
      for (let j = 0; j < n; j++) top = Math.max(top, logits[i * n + j]! - column[j]!);
      let sum = 0;
      for (let j = 0; j < n; j++) sum += Math.exp(logits[i * n + j]! - column[j]! - top);
      row[i] = top + Math.log(sum);
    }
    const top = new Float64Array(n).fill(-Infinity);
    const sum = new Float64Array(n);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) top[j] = Math.max(top[j]!, logits[i * n + j]! - row[i]!);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum[j]! += Math.exp(logits[i * n + j]! - row[i]! - top[j]!);
    for (let j = 0; j < n; j++) column[j] = top[j]! + Math.log(sum[j]!);
  }
  return Float32Array.from(logits, (x, at) => Math.exp(x - row[Math.floor(at / n)]! - column[at % n]!));
}

/**
 * Matches the n nodes of graphs a to those of graphs b (pairs of symmetric weight matrices [n, n]) so that heavy edges
 * fall on heavy edges, with `unary` [n, n] as evidence of single nodes. Answers b's node of each of a's.
 * Source: softassign, Gold and Rangarajan, A graduated assignment algorithm for graph matching, IEEE TPAMI 18, 1996.
 */
export async function matchGraphs(
  graphs: readonly (readonly [Float32Array, Float32Array])[],
  unary: Float32Array,
  n: number,
  { product }: Products,
  {
    steps = 60,
    coldest = 60,
    warmest = 2,
  }: { readonly steps?: number; readonly coldest?: number; readonly warmest?: number } = {},
): Promise<Int32Array> {
  const cube = { m: n, k: n, n };
  let soft = doublyStochastic(
    Float64Array.from(unary, (x) => warmest * x),
    n,
    30,
  );
  for (let step = 0; step < steps; step++) {
    const logits = Float64Array.from(unary);
    for (const [a, b] of graphs) {
      const agreed = await product(await product(a, soft, cube), b, cube);
      for (let at = 0; at < logits.length; at++) logits[at]! += agreed[at]! / n;
    }
    const beta = warmest * (coldest / warmest) ** (step / (steps - 1));
    soft = doublyStochastic(
      logits.map((x) => beta * x),
      n,
      20,
    );
  }
  return assignBest(soft, n, n);
}
