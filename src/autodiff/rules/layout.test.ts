import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  add,
  apply,
  concat,
  expand,
  float32s,
  input,
  int64s,
  mul,
  sizeOf,
  type Attributes,
  type DType,
  type Value,
} from "../../graph/index.ts";
import { gradients } from "../gradients.ts";
import { layoutGradients } from "./layout.ts";
import { shapes, testRules, type OperatorCase, type OperatorCases } from "./testing.ts";

const integer = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const permutation = (n: number): fc.Arbitrary<number[]> =>
  fc.shuffledSubarray([...Array(n).keys()], { minLength: n, maxLength: n });
const axisOf = (shape: readonly number[]): fc.Arbitrary<number> => integer(-shape.length, shape.length - 1);
const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
const take = <T>(stream: fc.Stream<T>, n: number): T[] => [...stream.take(n)];

/** An operator on one tensor, with constant operands and attributes. */
const one = (
  op: string,
  shape: readonly number[],
  others: readonly (Value | undefined)[] = [],
  attributes: Attributes = {},
): OperatorCase => ({
  operands: [{ shape }],
  build: ([x]) => [apply(op, [x, ...others], attributes, { outputs: 1 })[0]!],
  label: `${op} of [${shape.join()}] ${JSON.stringify(attributes)} ${others.map((v) => (v?.kind === "constant" ? v.data.join() : "-")).join(" | ")}`,
});

const slices: fc.Arbitrary<OperatorCase> = shapes(1, 4).chain((shape) =>
  fc.subarray([...shape.keys()], { minLength: 1 }).chain((axes) =>
    fc
      .tuple(
        ...axes.map((axis) =>
          fc.tuple(
            integer(0, shape[axis]! - 1),
            integer(0, shape[axis]! - 1),
            integer(1, 3),
            fc.boolean(),
            fc.boolean(),
          ),
        ),
      )
      .map((ranges) => {
        // prettier-ignore
        const [starts, ends, steps] = [[], [], []] as [number[], number[], number[]];
        ranges.forEach(([a, b, step, backwards, fromTheEnd], i) => {
          const n = shape[axes[i]!]!;
          const [low, high] = [Math.min(a, b), Math.max(a, b)];
          const wrap = (v: number): number => (fromTheEnd ? v - n : v);
          starts.push(wrap(backwards ? high : low));
          // An end before the first or after the last position is clamped.
          ends.push(backwards ? (low === 0 ? -n - 1 : wrap(low) - 1) : high === n - 1 ? n + 5 : wrap(high) + 1);
          steps.push(backwards ? -step : step);
        });
        // "One before position low" must not be read as counted from the end.
        ranges.forEach(([a, b, , backwards, fromTheEnd], i) => {
          if (backwards && !fromTheEnd && Math.min(a, b) === 0) ends[i] = -shape[axes[i]!]! - 1;
        });
        return one(
          "Slice",
          shape,
          [starts, ends, axes, steps].map((v) => int64s(v)),
        );
      }),
  ),
);

const pads: fc.Arbitrary<OperatorCase> = shapes(1, 4).chain((shape) =>
  fc
    .tuple(fc.infiniteStream(integer(-1, 2)), fc.subarray([...shape.keys()], { minLength: 1 }), fc.boolean())
    .map(([stream, some, all]) => {
      // prettier-ignore
      const axes = all ? [...shape.keys()] : some;
      // Something must be left of every axis.
      const begin = axes.map((a) => Math.max(take(stream, 1)[0]!, 1 - shape[a]!));
      const end = axes.map((a, i) => Math.max(take(stream, 1)[0]!, 1 - shape[a]! - begin[i]!));
      return one("Pad", shape, [int64s([...begin, ...end]), undefined, ...(all ? [] : [int64s(axes)])]);
    }),
);

const gathers: fc.Arbitrary<OperatorCase> = shapes(1, 3).chain((shape) =>
  fc
    .tuple(axisOf(shape), shapes(0, 2), fc.infiniteStream(fc.nat(99)), fc.constantFrom<DType>("int64", "int32"))
    .map(([axis, indices, stream, dtype]) => {
      // prettier-ignore
      const n = shape[normal(axis, shape.length)]!;
      const values = take(stream, sizeOf(indices)).map((v) => (v % (2 * n)) - n);
      return {
        operands: [{ shape }, { shape: indices, fixed: { dtype, values } }],
        build: ([x, i]) => [apply("Gather", [x, i], { axis: { int: axis } })[0]!],
        label: `Gather [${values.join()}] along ${axis} of [${shape.join()}]`,
      };
    }),
);

/** Indices of a shape that is nowhere larger than the data's. */
const elements = (scatter: boolean): fc.Arbitrary<OperatorCase> =>
  shapes(1, 3).chain((shape) =>
    fc.tuple(axisOf(shape), fc.infiniteStream(fc.nat(99))).map(([axis, stream]) => {
      const along = normal(axis, shape.length);
      const picked = shape.map((n, i) =>
        i === along ? 1 + (stream.next().value! % 4) : 1 + (stream.next().value! % n),
      );
      const n = shape[along]!;
      const values = take(stream, sizeOf(picked)).map((v) => (v % (2 * n)) - n);
      const indices = { shape: picked, fixed: { dtype: "int64" as const, values } };
      return scatter
        ? {
            operands: [{ shape }, indices, { shape: picked }],
            build: (xs) => [apply("ScatterElements", xs, { axis: { int: axis }, reduction: { string: "add" } })[0]!],
          }
        : {
            operands: [{ shape }, indices],
            build: (xs) => [apply("GatherElements", xs, { axis: { int: axis } })[0]!],
          };
    }),
  );

const coordinates = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners"];
const roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
const resizes: fc.Arbitrary<OperatorCase> = fc
  .tuple(
    fc.array(integer(1, 6), { minLength: 1, maxLength: 3 }),
    fc.constantFrom(...coordinates),
    fc.constantFrom(...roundings),
    fc.infiniteStream(integer(1, 9)),
    fc.infiniteStream(fc.constantFrom(0.5, 0.6, 1, 1.5, 1.7, 2, 3)),
    fc.boolean(),
  ) // prettier-ignore
  .map(([spatial, coordinate, rounding, sizes, factors, byScale]) => {
    const shape = [1, 2, ...spatial];
    const scales = [1, 1, ...spatial.map((n) => Math.max(factors.next().value!, 1 / n))];
    const operands = byScale
      ? [undefined, float32s(scales)]
      : [undefined, undefined, int64s([1, 2, ...spatial.map(() => sizes.next().value!)])];
    return {
      ...one("Resize", shape, operands, {
        mode: { string: "nearest" },
        coordinate_transformation_mode: { string: coordinate },
        nearest_mode: { string: rounding },
      }),
      forward: "linear" as const,
    };
  });

const table: Record<string, OperatorCases> = {
  Transpose: {
    cases: shapes(1, 5).chain((shape) =>
      fc
        .option(permutation(shape.length))
        .map((perm) => one("Transpose", shape, [], perm ? { perm: { ints: perm } } : {})),
    ),
  },
  Reshape: {
    cases: fc
      .constantFrom([6, -1], [-1], [0, -1, 2], [0, 0, 4], [2, 2, 2, 3], [1, 24, 1])
      .map((target) => one("Reshape", [2, 3, 4], [int64s(target)])),
  },
  Squeeze: {
    cases: fc
      .constantFrom(undefined, [0], [-1], [0, 3])
      .map((axes) => one("Squeeze", [1, 2, 3, 1], axes ? [int64s(axes)] : [])),
  },
  Unsqueeze: {
    cases: fc.constantFrom([0], [-1], [0, 2], [1, -1]).map((axes) => one("Unsqueeze", [2, 3], [int64s(axes)])),
  },
  Flatten: { cases: integer(-3, 3).map((axis) => one("Flatten", [2, 3, 4], [], { axis: { int: axis } })) },
  Slice: { cases: slices, runs: 60 },
  Concat: {
    runs: 20,
    cases: shapes(1, 3).chain((shape) =>
      fc.tuple(axisOf(shape), fc.array(integer(1, 3), { minLength: 1, maxLength: 4 })).map(([axis, sizes]) => ({
        operands: sizes.map((n) => ({ shape: shape.map((m, i) => (i === normal(axis, shape.length) ? n : m)) })),
        build: (xs) => [apply("Concat", xs, { axis: { int: axis } })[0]!],
      })),
    ),
  },
  Split: {
    runs: 20,
    cases: shapes(1, 3).chain((shape) =>
      fc
        .tuple(axisOf(shape), fc.array(integer(1, 3), { minLength: 1, maxLength: 4 }), fc.boolean())
        .map(([axis, sizes, even]) => {
          // prettier-ignore
          const n = even ? 2 * sizes.length + 1 : sizes.reduce((a, b) => a + b);
          const whole = shape.map((m, i) => (i === normal(axis, shape.length) ? n : m));
          // num_outputs cuts into ceil(n / count) and leaves the last part smaller; one of 1 for 3 into 1 is the whole.
          const count = sizes.length === 1 ? 1 : 2;
          return {
            operands: [{ shape: whole }],
            build: ([x]): readonly Value[] =>
              even
                ? apply("Split", [x], { axis: { int: axis }, num_outputs: { int: count } })
                : apply("Split", [x, int64s(sizes)], { axis: { int: axis } }),
            label: `Split of [${whole.join()}] along ${axis} into ${even ? `${count} parts` : sizes.join()}`,
          };
        }),
    ),
  },
  Pad: { cases: pads, runs: 40 },
  Expand: {
    runs: 20,
    cases: fc.tuple(shapes(0, 3), shapes(0, 2), fc.infiniteStream(fc.boolean())).map(([shape, lead, ones]) => {
      const from = shape.map((n) => (ones.next().value! ? 1 : n));
      // A target of 1 keeps what is there.
      return one("Expand", from, [
        int64s([...lead, ...shape.map((n, i) => (from[i] === n && ones.next().value! ? 1 : n))]),
      ]);
    }),
  },
  Tile: {
    cases: shapes(1, 4, 3).chain(
      (shape) =>
      fc.array(integer(1, 3), { minLength: shape.length, maxLength: shape.length }).map((repeats) => one("Tile", shape, [int64s(repeats)])), // prettier-ignore
    ),
  },
  Gather: { cases: gathers, runs: 40 },
  GatherElements: { cases: elements(false), runs: 20 },
  ScatterElements: { cases: elements(true), runs: 20 },
  Resize: { cases: resizes, runs: 150 },
  DepthToSpace: {
    cases: fc
      .tuple(integer(1, 2), integer(1, 3), integer(1, 2), fc.constantFrom("DCR", "CRD"))
      .map(([c, b, h, mode]) =>
        one("DepthToSpace", [2, c * b * b, h, 3], [], { blocksize: { int: b }, mode: { string: mode } }),
      ),
  },
  SpaceToDepth: {
    cases: fc
      .tuple(integer(1, 2), integer(1, 3), integer(1, 2))
      .map(([c, b, h]) => one("SpaceToDepth", [2, c, h * b, 2 * b], [], { blocksize: { int: b } })),
  },
  Dropout: { cases: shapes(1, 3).map((shape) => one("Dropout", shape)) },
  CumSum: {
    cases: shapes(1, 3).chain((shape) =>
      fc.tuple(axisOf(shape), fc.boolean(), fc.boolean()).map(([axis, exclusive, reverse]) =>
        one("CumSum", shape, [int64s([axis])], {
          exclusive: { int: Number(exclusive) },
          reverse: { int: Number(reverse) },
        }),
      ),
    ),
  },
  ConstantOfShape: {
    // Depends on nothing; what it is added to keeps its gradient.
    cases: shapes(1, 3).map((shape) => ({
      operands: [{ shape }],
      build: ([x]) => {
        const zeros = apply("ConstantOfShape", [int64s(shape)])[0]!;
        return [mul(x!, add(x!, apply("Cast", [zeros], { to: { int: x!.dtype === "float64" ? 11 : 1 } })[0]!))];
      },
    })),
  },
};

describe("layout rules", () => {
  testRules(layoutGradients, table);

  const x = input("x", [1, 1, 4]);
  const refusals: [string, Value, RegExp][] = [
    ["Pad", apply("Pad", [x, int64s([0, 0, 1, 0, 0, 1])], { mode: { string: "reflect" } })[0]!, /Pad.*reflect/],
    [
      "Resize",
      apply("Resize", [x, undefined, float32s([1, 1, 2])], { mode: { string: "linear" } })[0]!,
      /Resize.*linear/,
    ],
    [
      "ScatterElements",
      apply("ScatterElements", [x, input("i", [1, 1, 2], "int64"), input("u", [1, 1, 2])])[0]!,
      /ScatterElements.*none/,
    ],
  ];
  it.each(refusals)("%s_inAModeWithoutRule_isRefusedByName", (_, y, message) => {
    expect(() => gradients(concat([y], 0), [x], expand(y, y.shape))).toThrow(
      expect.objectContaining({ code: "LG-AUTODIFF-001", message: expect.stringMatching(message) }),
    );
  });
});
