import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  apply,
  constant,
  conv,
  convTranspose,
  globalAveragePool,
  input,
  sizeOf,
  type Attributes,
  type Value,
} from "../../graph/index.ts";
import { fewerWeightProducts, weightGradientByFewerProducts } from "../../graph/winograd.ts";
import { seededRandom } from "../../math/random.ts";
import { gradients } from "../gradients.ts";
import { evaluate, numbers, relativeError } from "../testing.ts";
import { unitGradients } from "../units/gradients.ts";
import { convolutionGradients, convWindow } from "./convolution.ts";
import { shapes, testRules, type OperatorCase, type OperatorCases } from "./testing.ts";

const integer = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const perAxis = (rank: number, min: number, max: number): fc.Arbitrary<number[]> =>
  fc.array(integer(min, max), { minLength: rank, maxLength: rank });

/** A window over 1 to 3 spatial axes that fits its image with 0 to 3 positions to spare. */
const windows = (largestPad: number) =>
  integer(1, 3).chain((rank) =>
    fc.record({
      kernel: perAxis(rank, 1, 3),
      strides: perAxis(rank, 1, 3),
      dilations: perAxis(rank, 1, 2),
      pads: perAxis(2 * rank, 0, largestPad),
      spare: perAxis(rank, 0, rank === 3 ? 2 : 4),
    }),
  );
type Window = { kernel: number[]; strides: number[]; dilations: number[]; pads: number[]; spare: number[] };

const extentOf = (w: Window): number[] => w.kernel.map((k, i) => (k - 1) * w.dilations[i]! + 1);
const imageOf = (w: Window): number[] =>
  extentOf(w).map((e, i) => Math.max(1, e - w.pads[i]! - w.pads[i + w.kernel.length]!) + w.spare[i]!);
const attributesOf = ({ kernel, strides, dilations, pads }: Window): Attributes => ({
  kernel_shape: { ints: kernel },
  strides: { ints: strides },
  dilations: { ints: dilations },
  pads: { ints: pads },
});

const convolution = fc
  .tuple(
    windows(3),
    integer(1, 2),
    integer(1, 3),
    // 4 channels to 1: the gradient of such a weight is taken by moving the cotangent.
    fc.constantFrom(1, 2, 4),
    integer(1, 2),
    fc.boolean(),
    fc.constantFrom("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
  ) // prettier-ignore
  .map(([w, batch, group, ci, co, bias, auto]): OperatorCase => {
    const automatic = auto !== "NOTSET";
    // The runtime does not dilate where it pads automatically.
    const window = automatic ? { ...w, dilations: w.dilations.map(() => 1), pads: w.pads.map(() => 0) } : w;
    const { pads, ...rest } = attributesOf(window);
    const attributes = {
      ...rest,
      group: { int: group },
      ...(automatic ? { auto_pad: { string: auto } } : { pads: pads! }),
    };
    return {
      operands: [
        { shape: [batch, group * ci, ...imageOf(window)] },
        { shape: [group * co, ci, ...window.kernel] },
        ...(bias ? [{ shape: [group * co] }] : []),
      ],
      build: (xs) => [apply("Conv", xs, attributes)[0]!],
      forward: "linear",
      label: `Conv ${JSON.stringify(attributes)} on [${imageOf(window).join()}]`,
    };
  });

const transposed = fc
  .tuple(
    windows(2),
    integer(1, 2),
    integer(1, 3),
    integer(1, 2),
    integer(1, 2),
    fc.boolean(),
    fc.infiniteStream(fc.nat(2)),
  )
  .map(([w, batch, group, ci, co, bias, stream]): OperatorCase => {
    const extent = extentOf(w);
    const rank = extent.length;
    // Output padding below the stride, as the runtime demands; image sizes that leave some output.
    const outputPadding = extent.map((_, i) => stream.next().value! % w.strides[i]!);
    const image = w.spare.map((s, i) => {
      const missing = 1 - (outputPadding[i]! + extent[i]! - w.pads[i]! - w.pads[i + rank]!);
      return 1 + Math.max(s % 3, Math.ceil(missing / w.strides[i]!));
    });
    const attributes = { ...attributesOf(w), group: { int: group }, output_padding: { ints: outputPadding } };
    return {
      operands: [
        { shape: [batch, group * ci, ...image] },
        { shape: [group * ci, co, ...w.kernel] },
        ...(bias ? [{ shape: [group * co] }] : []),
      ],
      build: (xs) => [apply("ConvTranspose", xs, attributes)[0]!],
      forward: "linear",
      label: `ConvTranspose ${JSON.stringify(attributes)} on [${image.join()}]`,
    };
  });

/** Pooling windows; a pad is smaller than its kernel, so that no window is empty. */
const pooling = (op: string, extra: fc.Arbitrary<Attributes>): fc.Arbitrary<OperatorCase> =>
  fc
    .tuple(windows(2), integer(1, 2), integer(1, 3), extra, integer(0, 3))
    .map(([given, batch, channels, attributes, kind]) => {
      const rank = given.kernel.length;
      // One window in four has its size as stride and no padding: without dilation the windows tile the image.
      const w =
        kind === 0
          ? { ...given, strides: given.kernel, pads: given.pads.map(() => 0) }
          : { ...given, pads: given.pads.map((p, i) => Math.min(p, given.kernel[i % rank]! - 1)) };
      const image = imageOf(w).map((n) => n + 1);
      const all = { ...attributesOf(w), ...attributes };
      return {
        operands: [{ shape: [batch, channels, ...image], domain: "distinct" }],
        build: ([x]): Value[] => [apply(op, [x], all)[0]!],
        label: `${op} ${JSON.stringify(all)} on [${image.join()}]`,
      };
    });

const flag = (name: string): fc.Arbitrary<Attributes> => fc.boolean().map((on) => ({ [name]: { int: Number(on) } }));

const table: Record<string, OperatorCases> = {
  Conv: { cases: convolution, runs: 120 },
  ConvTranspose: { cases: transposed, runs: 80 },
  MaxPool: {
    runs: 50,
    cases: pooling(
      "MaxPool",
      fc.tuple(flag("ceil_mode"), flag("storage_order")).map(([a, b]) => ({ ...a, ...b })),
    ),
  },
  AveragePool: {
    runs: 60,
    cases: pooling("AveragePool", flag("count_include_pad")).map((c) => ({ ...c, forward: "linear" as const })),
  },
  GlobalAveragePool: {
    cases: shapes(3, 5, 3).map((shape) => ({
      operands: [{ shape }],
      build: ([x]) => [globalAveragePool(x!)],
      forward: "linear",
    })),
  },
};

describe("convolution and pooling rules", () => {
  testRules(convolutionGradients, table);

  it("manyColumns_giveTheGradientsOfFew [in two halves, below the bound of the taken-apart form, and unit by unit]", async () => {
    const options = { strides: [2, 2], pads: [1, 1, 1, 1] };
    const of = (rows: number): Record<string, Value> => {
      const [x, w, seed] = [
        input("x", [rows, 2, 1024, 1024]),
        input("w", [3, 2, 4, 4]),
        input("seed", [rows, 3, 512, 512]),
      ];
      const y = conv(x, w, undefined, options);
      const units = unitGradients(y, seed, [w], new Map([[x, 0]]), { units: rows, views: 1 });
      const factors = input("factors", [rows]);
      return { g: gradients(y, [w], seed)[0]!, norms: units.squaredNorm, sum: units.weightedSums(factors)[0]! };
    };
    using random = seededRandom(1, "many columns");
    const draw = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.uniform() - 0.5);
    const [x, seed, w] = [draw(2 ** 22), draw(3 * 2 ** 19), draw(96)];
    const both = await evaluate(of(2), { x, seed, w, factors: Float32Array.of(0.5, 2) });
    const [first, second] = await Promise.all(
      [0, 1].map((i) =>
        evaluate(of(1), {
          x: x.slice(i * 2 ** 21, (i + 1) * 2 ** 21),
          seed: seed.slice(i * 3 * 2 ** 18, (i + 1) * 3 * 2 ** 18),
          w,
          factors: Float32Array.of(1),
        }),
      ),
    );
    const [a, b] = [first!["g"]!.data as Float32Array, second!["g"]!.data as Float32Array];
    // 1e-5: sums of 262144 products in float32.
    expect(
      relativeError(
        both["g"]!.data,
        a.map((v, i) => v + b[i]!),
      ),
    ).toBeLessThan(1e-5);
    expect(
      relativeError(
        both["sum"]!.data,
        a.map((v, i) => 0.5 * v + 2 * b[i]!),
      ),
    ).toBeLessThan(1e-5);
    const squared = [a, b].map((g) => g.reduce((total, v) => total + v * v, 0));
    expect(relativeError(both["norms"]!.data, squared)).toBeLessThan(1e-5);
  });

  it("weightGradientsWithFewerProducts_areThoseOfTheDefinition [our own rule for the convolution as it stands; 1e-5]", async () => {
    const whole = fc.integer({ min: 0, max: 2 });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          stride: fc.integer({ min: 2, max: 3 }),
          taps: fc.integer({ min: 2, max: 3 }),
          tiles: fc.integer({ min: 1, max: 2 }),
          top: whole,
          left: whole,
          spare: whole,
        }),
        fc.record({ kernel: fc.integer({ min: 1, max: 4 }), stride: fc.integer({ min: 1, max: 3 }) }),
        async ({ stride, taps, tiles, top, left, spare }, columns) => {
          const height = (4 * tiles - 1) * stride + taps * stride - top + Math.min(spare, stride - 1);
          const [x, w] = [input("x", [2, 3, height, 6]), input("w", [2, 3, taps * stride, columns.kernel])];
          const y = conv(x, w, undefined, { strides: [stride, columns.stride], pads: [top, left, 0, 1] });
          const dy = input("dy", y.shape);
          const { window } = convWindow(y.kind === "result" ? y.node : (undefined as never));
          const fewer = fewerWeightProducts(x, dy, window, w.shape);
          const grouped = input("grouped", fewer.shape);
          const { strides, pads } = fewer.window;
          const products = conv(fewer.image, grouped, undefined, { strides, pads, group: fewer.group });
          const found = fewer.finish(gradients(products, [grouped], fewer.cotangent)[0]!);
          const feeds = Object.fromEntries(
            [x, w, dy, grouped].map((v, i) => [v.name, Float32Array.from(numbers(i, v.name, sizeOf(v.shape)))]),
          );
          const { expected, got } = await evaluate({ expected: gradients(y, [w], dy)[0]!, got: found }, feeds);
          expect(got!.shape).toEqual(expected!.shape);
          expect(relativeError(got!.data, expected!.data)).toBeLessThan(1e-5);
        },
      ),
      { seed: 2026, numRuns: 40 },
    );
  });

  it("gradientsOfALargeConvolution_areThoseOfItsHalves, which are too small for fewer products", async () => {
    const options = { strides: [2, 2], pads: [2, 2, 2, 2] };
    const of = (rows: number): Record<string, Value> => {
      const [x, w, dy] = [
        input("x", [rows, 64, 32, 32]),
        input("w", [128, 64, 6, 6]),
        input("dy", [rows, 128, 16, 16]),
      ];
      const back = convTranspose(dy, w, undefined, options);
      const [g, t] = [gradients(conv(x, w, undefined, options), [w], dy)[0]!, gradients(back, [w], x)[0]!];
      return { g, t };
    };
    expect(
      weightGradientByFewerProducts(
        input("x", [16, 64, 32, 32]),
        input("dy", [16, 128, 16, 16]),
        { kernel: [6, 6], dilations: [1, 1], ...options },
        [128, 64, 6, 6],
      ),
    ).toBeDefined();
    const [x, dy] = [numbers(1, "x", 2 ** 20), numbers(2, "dy", 2 ** 19)].map((v) => Float32Array.from(v)) as [
      Float32Array,
      Float32Array,
    ];
    const w = new Float32Array(128 * 64 * 36);
    const both = await evaluate(of(16), { x, dy, w });
    const halves = [0, 1].map((i) => ({
      x: x.slice(i * 2 ** 19, (i + 1) * 2 ** 19),
      dy: dy.slice(i * 2 ** 18, (i + 1) * 2 ** 18),
      w,
    }));
    const [a, b] = [await evaluate(of(8), halves[0]!), await evaluate(of(8), halves[1]!)];
    for (const name of ["g", "t"]) {
      const [first, second] = [a, b].map((half) => half[name]!.data as Float32Array) as [Float32Array, Float32Array];
      const sum = first.map((v, i) => v + second[i]!);
      // float32, sums of 4,096 products: measured 2e-6.
      expect(relativeError(both[name]!.data, sum)).toBeLessThan(1e-5);
    }
  });

  it("averagePoolInTiles_spreadsEveryMean", async () => {
    // Kernel = stride, 5 columns of which 4 are used: each used pixel gets dy / 4, the rest 0.
    const x = input("x", [1, 1, 2, 5]);
    const y = apply("AveragePool", [x], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } })[0]!;
    const [g] = gradients(y, [x], constant(Float32Array.of(4, 8), [1, 1, 1, 2]));
    const found = await evaluate({ g: g! }, {});
    expect([...found["g"]!.data]).toEqual([1, 1, 2, 2, 0, 1, 1, 2, 2, 0]);
  });

  it("averagePoolThatRoundsUp_isRefused", () => {
    const x = input("x", [1, 1, 5]);
    const attributes = { kernel_shape: { ints: [2] }, strides: { ints: [2] }, ceil_mode: { int: 1 } };
    const y = apply("AveragePool", [x], attributes, { name: "encoder/pool" })[0]!;
    expect(() => gradients(y, [x], y)).toThrow(
      expect.objectContaining({
        code: "LG-AUTODIFF-001",
        message: expect.stringMatching(/AveragePool \(encoder\/pool\).*ceil_mode/),
      }),
    );
  });

  it("tiesOfAMaximumPool_giveAllToTheFirst", async () => {
    const x = input("x", [1, 1, 4]);
    const y = apply("MaxPool", [x], { kernel_shape: { ints: [2] }, strides: { ints: [2] } })[0]!;
    const found = await evaluate(
      { g: gradients(y, [x], constant(Float32Array.of(1, 1), [1, 1, 2]))[0]! },
      { x: Float32Array.of(3, 3, 0, 1) },
    );
    // As PyTorch has it: the first of the equal ones.
    expect([...found["g"]!.data]).toEqual([1, 0, 0, 1]);
  });
});
