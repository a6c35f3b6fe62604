import fc from "fast-check";
import * as g from "../../src/graph/index.ts";
import type { Graph, Value } from "../../src/graph/index.ts";

/** From a pool of values, another one; undefined where the operands that were drawn do not fit. */
type Step = (pick: (i: number) => Value, a: number, b: number) => Value | undefined;

const rotated = (n: number, by: number): number[] => Array.from({ length: n }, (_, i) => (i + by) % n);
const broadcastable = (a: Value, b: Value): boolean => {
  for (let i = 1; i <= Math.min(a.shape.length, b.shape.length); i++) {
    const [x, y] = [a.shape.at(-i), b.shape.at(-i)];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
};
const binary =
  (build: (a: Value, b: Value) => Value): Step =>
  (pick, a, b) =>
    broadcastable(pick(a), pick(b)) ? build(pick(a), pick(b)) : undefined;
const literal =
  (build: (a: Value, b: Value) => Value): Step =>
  (pick, a, b) =>
    build(pick(a), g.scalar([0, 1, 2, 1, 0.5][b % 5]!));

const steps: readonly Step[] = [
  (pick, a) => g.neg(pick(a)),
  (pick, a) => g.tanh(pick(a)),
  (pick, a) => g.relu(pick(a)),
  (pick, a) => g.identity(pick(a)),
  (pick, a) => g.sum([g.identity(pick(a))]),
  binary(g.add),
  binary(g.sub),
  binary((a, b) => g.mul(g.tanh(a), b)),
  binary((a, b) => g.where(g.greater(a, b), a, b)),
  binary((a, b) => g.max(a, b)),
  literal(g.add),
  literal(g.sub),
  literal(g.mul),
  literal((x, c) => g.mul(c, x)),
  literal((x, c) => g.add(x, g.mul(g.add(c, g.scalar(1)), g.scalar(0.25)))),
  (pick, a, b) => g.transpose(pick(a), rotated(pick(a).shape.length, b)),
  (pick, a) => g.reshape(pick(a), [-1]),
  (pick, a, b) => g.reshape(pick(a), [...pick(a).shape.slice(0, b % 3), -1]),
  (pick, a, b) => g.unsqueeze(pick(a), [b % (pick(a).shape.length + 1)]),
  (pick, a) => (pick(a).shape[0] === 1 ? g.squeeze(pick(a), [0]) : undefined),
  (pick, a, b) => (g.sizeOf(pick(a).shape) < 500 ? g.expand(pick(a), [1 + (b % 2), ...pick(a).shape]) : undefined),
  (pick, a) => g.expand(g.identity(pick(a)), pick(a).shape),
  (pick, a, b) =>
    pick(a).shape.length > 0 ? g.reduceSum(pick(a), [b % pick(a).shape.length], b % 2 === 0) : undefined,
  (pick, a) => (pick(a).shape.length > 0 ? g.softmax(pick(a)) : undefined),
  (pick, a, b) => (pick(a).shape.length > 0 ? g.slice(pick(a), [b % 2], [1000], [0], [1]) : undefined),
  (pick, a) =>
    g.sizeOf(pick(a).shape) < 500 && pick(a).shape.length > 0 ? g.concat([pick(a), pick(a)], 0) : undefined,
  (pick, a) => ((pick(a).shape.at(-1) ?? 0) > 1 ? g.split(pick(a), [1, pick(a).shape.at(-1)! - 1], -1)[1] : undefined),
  (pick, a) => g.cast(g.cast(pick(a), "float64"), "float32"),
  (pick, a) => (pick(a).shape.length > 1 ? g.matMul(g.tanh(pick(a)), g.tanh(g.transposeLast(pick(a)))) : undefined),
];

/**
 * Random graphs of float32 values over two inputs, literals and a named constant: any of the steps above, some of them
 * written twice, and outputs that may be inputs, constants, or one value under two names.
 */
export const randomGraph = (): fc.Arbitrary<Graph> =>
  fc
    .record({
      program: fc.array(fc.tuple(fc.nat(steps.length - 1), fc.nat(30), fc.nat(30), fc.boolean()), {
        maxLength: 30,
        size: "max",
      }),
      outputs: fc.array(fc.nat(12), { minLength: 1, maxLength: 4 }),
    })
    .map(({ program, outputs }) => {
      const inputs = [g.input("x", [2, 3, 4]), g.input("y", [3, 1])];
      const weights = g.constant(Float32Array.of(1, 1, 1, 1), [4], "float32", "weights");
      const pool: Value[] = [...inputs, weights, g.float32s([1, 1, 1]), g.scalar(0)];
      for (const [step, a, b, twice] of program) {
        const size = pool.length;
        // Later values are drawn more often, so that graphs are deep.
        const pick = (i: number): Value => pool[size - 1 - (Math.floor((i * i) / 30) % size)]!;
        for (let copies = twice ? 2 : 1; copies > 0; copies--) {
          const value = steps[step]!(pick, a, b);
          if (value && g.sizeOf(value.shape) > 0 && g.sizeOf(value.shape) < 3000) pool.push(value);
        }
      }
      const named = outputs.map((o, i) => [`output ${i}`, pool[pool.length - 1 - (o % pool.length)]!] as const);
      return g.graphOf("random", Object.fromEntries(named), inputs);
    });
