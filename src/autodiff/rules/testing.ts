/** Gradient rules against finite differences, for tests of rule tables. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { input, sizeOf, type DType, type Input, type Shape, type Value } from "../../graph/index.ts";
import { seededRandom } from "../../math/random.ts";
import { dependents, pullBack } from "../gradients.ts";
import { compile, dot, evaluate, feedOf, numbers, type Domain, type Feed, type Feeds } from "../testing.ts";

/** One operand of an operator under test. */
export interface Operand {
  readonly shape: Shape;
  readonly domain?: Domain;
  /** Added to every number, so that operands of a maximum never tie. */
  readonly shift?: number;
  /** Indices or booleans: fed as they are and never differentiated. */
  readonly fixed?: { readonly dtype: DType; readonly values: readonly number[] };
  /** A float operand that has no gradient by definition (stored statistics). */
  readonly frozen?: boolean;
}

/** An operator applied to operands of given shapes. */
export interface OperatorCase {
  readonly operands: readonly Operand[];
  readonly build: (xs: readonly Value[]) => readonly Value[];
  /**
   * Where finite differences come from. By default the same graph in float64. "linear": the same graph in float32 with a
   * step of 1, exact for what is linear in each operand. A function: computed in double precision for one operand.
   * `definition`: another float64 graph, where the runtime has no float64 kernel for the operator itself.
   */
  readonly forward?: "linear" | ((x: number) => number) | { readonly definition: OperatorCase["build"] };
  /** How the operator is written, for failure messages. */
  readonly label?: string;
}

/**
 * Gradients are computed in float32 as in training; their error is a few rounding errors of 6e-8 each, relative to the sum
 * of absolute terms. Central differences in float64 with step 1e-4 add 1e-8 of truncation.
 */
const gradientTolerance = 2e-5;

/**
 * Compares the gradient of <random cotangents, outputs> in random directions with central differences, for a random
 * choice of operands that need it, and checks shapes and element types of gradients in float32 and float64 graphs.
 */
export async function checkGradient(c: OperatorCase, seed: number): Promise<void> {
  using random = seededRandom(seed, "choices");
  const trainable = c.operands.flatMap((o, i) => (o.fixed || o.frozen ? [] : [i]));
  const chosen = trainable.filter(() => random.uniform() < 0.7);
  const wanted = chosen.length > 0 ? chosen : trainable;
  const inputsOf = (dtype: DType): Input[] =>
    c.operands.map((o, i) => input(`x${i}`, o.shape, o.fixed?.dtype ?? dtype));
  const at = c.operands.map((o, i) => {
    const values = numbers(seed, `operand ${i}`, sizeOf(o.shape), o.domain);
    return o.fixed ? Float64Array.from(o.fixed.values) : values.map((v) => Math.fround(v + (o.shift ?? 0)));
  });
  const feeds = (dtype: DType, xs: readonly ArrayLike<number>[]): Record<string, Feed> =>
    Object.fromEntries(xs.map((x, i) => [`x${i}`, feedOf(x, c.operands[i]!.fixed?.dtype ?? dtype)]));

  const outputCount = c.build(inputsOf("float32")).length;
  const picked = [...Array(outputCount).keys()].filter(() => random.uniform() < 0.7);
  const seeded = picked.length > 0 ? picked : [random.integer(outputCount)];
  const graphIn = (dtype: DType): { gradients: (Value | undefined)[]; cotangents: Input[] } => {
    const xs = inputsOf(dtype);
    const ys = c.build(xs);
    const cotangents = seeded.map((k) => input(`dy${k}`, ys[k]!.shape, ys[k]!.dtype));
    const cotangentOf = pullBack(
      seeded.map((k, i) => [ys[k]!, cotangents[i]!]),
      dependents(ys, wanted.map((i) => xs[i]!)), // prettier-ignore
    );
    const gradients = wanted.map((i) => cotangentOf(xs[i]!));
    gradients.forEach((g, j) => {
      if (!g) return;
      expect(g.shape, "a gradient has the shape of its operand").toEqual(xs[wanted[j]!]!.shape);
      expect(g.dtype, "a gradient has the element type of its operand").toBe(dtype);
    });
    return { gradients, cotangents };
  };
  const { gradients, cotangents } = graphIn("float32");
  graphIn("float64");

  const dys = cotangents.map((d, i) => numbers(seed, `cotangent ${i}`, sizeOf(d.shape)));
  const dyFeeds = Object.fromEntries(cotangents.map((d, i) => [d.name, feedOf(dys[i]!, d.dtype)]));
  const named: Record<string, Value> = {};
  gradients.forEach((g, j) => {
    if (g) named[`g${j}`] = g;
  });
  const found = Object.keys(named).length > 0 ? await evaluate(named, { ...dyFeeds, ...feeds("float32", at) }) : {};

  await using forward = await forwardOf(c, seeded, inputsOf, feeds);
  const step = c.forward === "linear" ? 1 : 1e-4;
  for (const [j, operand] of wanted.entries()) {
    const gradient = found[`g${j}`]?.data ?? new Float64Array(at[operand]!.length);
    for (const trial of ["first", "second"]) {
      const direction = numbers(seed, `direction ${operand} ${trial}`, at[operand]!.length);
      const move = (by: number): Float64Array[] =>
        at.map((x, i) => (i === operand ? x.map((v, k) => v + by * direction[k]!) : x));
      const [above, below] = [await forward.run(move(step)), await forward.run(move(-step))];
      let [expected, scale] = [0, 0];
      above.forEach((y, k) => {
        for (let e = 0; e < y.length; e++) {
          const change = ((Number(y[e]) - Number(below[k]![e])) / (2 * step)) * dys[k]![e]!;
          expected += change;
          scale += Math.abs(change);
        }
      });
      for (let e = 0; e < direction.length; e++) scale += Math.abs(Number(gradient[e]) * direction[e]!);
      const got = dot(gradient as Float32Array, direction);
      expect(
        Math.abs(got - expected),
        `${c.label ?? ""} operand ${operand}: gradient gives ${got}, central differences ${expected}`,
      ).toBeLessThanOrEqual(gradientTolerance * scale + 1e-7);
    }
  }
}

interface Forward extends AsyncDisposable {
  readonly run: (xs: readonly Float64Array[]) => Promise<ArrayLike<number | bigint>[]>;
}

async function forwardOf(
  c: OperatorCase,
  seeded: readonly number[],
  inputsOf: (dtype: DType) => Input[],
  feeds: (dtype: DType, xs: readonly ArrayLike<number>[]) => Feeds,
): Promise<Forward> {
  if (typeof c.forward === "function") {
    const f = c.forward;
    return { run: ([x]) => Promise.resolve([x!.map(f)]), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const dtype = c.forward === "linear" ? "float32" : "float64";
  const build = typeof c.forward === "object" ? c.forward.definition : c.build;
  const ys = build(inputsOf(dtype));
  const compiled = await compile(Object.fromEntries(seeded.map((k) => [`y${k}`, ys[k]!])));
  return {
    async run(xs) {
      const results = await compiled.run(feeds(dtype, xs));
      return seeded.map((k) => results[`y${k}`]!.data);
    },
    [Symbol.asyncDispose]: () => compiled[Symbol.asyncDispose](),
  };
}

/** How to draw cases of an operator, and how many. */
export interface OperatorCases {
  readonly cases: fc.Arbitrary<OperatorCase>;
  readonly runs?: number;
}

/** One seeded property test per operator of a rule table; an operator without cases fails. */
export function testRules(
  rules: Readonly<Record<string, unknown>>,
  table: Readonly<Record<string, OperatorCases>>,
): void {
  it("everyRule_hasCases", () => {
    expect(Object.keys(table).sort()).toEqual(Object.keys(rules).sort());
  });
  it.each(Object.entries(table))("%s_gradientAgreesWithFiniteDifferences", async (op, { cases, runs = 12 }) => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(1e6), async (c, seed) => {
        await checkGradient({ label: op, ...c }, seed);
      }),
      { seed: 2026, numRuns: runs, endOnFailure: true },
    );
  });
}

/** Shapes of `rank` axes of 1 to 4. */
export const shapes = (minRank: number, maxRank: number, largest = 4): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: largest }), { minLength: minRank, maxLength: maxRank });

/** `count` shapes that broadcast to one: leading axes left out, other axes 1. The first keeps the whole shape if asked. */
export const broadcasting = (count: number, firstWhole = false): fc.Arbitrary<number[][]> =>
  shapes(0, 4, 3).chain((shape) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, i) =>
        fc
          .tuple(fc.nat(shape.length), fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }))
          .map(([drop, ones]) =>
            firstWhole && i === 0 ? shape : shape.map((n, axis) => (ones[axis] ? 1 : n)).slice(drop),
          ),
      ),
    ),
  );
