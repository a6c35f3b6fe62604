import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runModel } from "../../test/support/run-onnx.ts";
import { encodeModel, input } from "../graph/index.ts";
import { fillGaussian, seededRandom } from "../math/random.ts";
import { gaussianNoise, noiseScale, planPrivateTraining, type NoisePiece } from "../privacy/index.ts";
import { startEngine } from "../runtime/index.ts";
import type { OptimiserSettings } from "./optimisers.ts";
import {
  averageDecayAt,
  initialState,
  loadUpdate,
  stateShapes,
  updateGraph,
  updateScalars,
  type FloatTensor,
  type StepNumbers,
} from "./update.ts";

const shapes = { "layer.weight": [2, 3], "layer.bias": [2] };
const parameters = Object.entries(shapes).map(([name, shape]) => ({ name, value: input(name, shape) }));
const values = {
  "layer.weight": Float32Array.of(1, 2, 3, 4, 5, 6),
  "layer.bias": Float32Array.of(-1, 1),
};
const settings: Record<OptimiserSettings["name"], OptimiserSettings> = {
  sgd: { name: "sgd", learningRate: 0.5, momentum: 0.9 },
  adam: { name: "adam", learningRate: 0.1, weightDecay: 0.1 },
  adamw: { name: "adamw", learningRate: 0.1 },
  nadam: { name: "nadam", learningRate: 0.1 },
};
const named = Object.entries(settings) as [OptimiserSettings["name"], OptimiserSettings][];

/** Runs one update; gives every output. */
async function update(
  optimiser: OptimiserSettings,
  state: Readonly<Record<string, FloatTensor>>,
  noise: Readonly<Record<string, ArrayLike<number>>> | undefined,
  numbers: StepNumbers,
): Promise<Record<string, number[]>> {
  const averaging = numbers.averageDecay !== undefined;
  const graph = updateGraph(parameters, optimiser, { noise: noise !== undefined, averaging });
  const tensor = (data: ArrayLike<number>, shape: readonly number[]) => ({
    dtype: "float32",
    shape,
    data: Float32Array.from(data),
  });
  const fed = Object.entries({ ...state, ...updateScalars(optimiser, numbers) }).map(
    ([name, { data, shape }]) => [name, tensor(data as Float32Array, shape)] as const,
  );
  const drawn = parameters.flatMap(({ name, value }) =>
    noise ? [[`noise/${name}`, tensor(noise[name]!, value.shape)] as const] : [],
  );
  const ran = await runModel(encodeModel(graph), Object.fromEntries([...fed, ...drawn]));
  return Object.fromEntries(Object.entries(ran).map(([name, { data }]) => [name, Array.from(data, Number)]));
}

describe("loadUpdate", () => {
  it.each(named)("blocks_giveTheNumbersOfWholeTensors_bitForBit: %s", async (_, optimiser) => {
    // Larger than a block, with a rest; a matrix and a vector, which may decay differently.
    const own = Object.entries({ large: [300, 500], small: [3, 5], bias: [7] }).map(([name, shape]) => ({ name, value: input(name, shape) })); // prettier-ignore
    const options = { noise: true, averaging: true, exact: true };
    const normals = (seed: string, shape: readonly number[]): FloatTensor => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      fillGaussian(seededRandom(seed), data, 1);
      return { data, shape };
    };
    const shapes = { ...stateShapes(own, optimiser, options), ...Object.fromEntries(own.map(({ name, value }) => [`exact/${name}`, value.shape])) }; // prettier-ignore
    // Squares are never negative.
    const state = () => Object.fromEntries(Object.entries(shapes).map(([name, shape]) => {
      const { data } = normals(name, shape);
      return [name, { data: name.startsWith("state/v/") ? data.map(Math.abs) : data, shape }];
    })); // prettier-ignore
    const scalars = () => updateScalars(optimiser, { step: 2, learningRate: 0.1, expectedBatchSize: 3, grid: 2 ** -10, averageDecay: 0.9 }); // prettier-ignore
    const drawn = own.map(({ name, value }) => [name, normals(`noise ${name}`, value.shape)] as const);
    /** The noise in pieces of some numbers. */
    const pieces = (most: number): NoisePiece[] =>
      drawn.flatMap(([name, { data }]) =>
        Array.from({ length: Math.ceil(data.length / most) }, (_, i) => ({ name, from: i * most, data: data.slice(i * most, (i + 1) * most) })),
      ); // prettier-ignore
    const kept = Object.keys(shapes);
    await using engine = await startEngine({ threads: 2 });
    await engine.write(state());
    await using whole = await engine.load(updateGraph(own, optimiser, options));
    await whole.run({ ...scalars(), ...Object.fromEntries(drawn.map(([name, { data, shape }]) => [`noise/${name}`, { data: data.slice(), shape }])) }); // prettier-ignore
    const expected = await engine.read(kept);
    await using blocks = await loadUpdate(engine, own, optimiser, options);
    await using observing = await loadUpdate(engine, own, optimiser, { ...options, observed: "bias" });
    for (const most of [Infinity, 2 ** 17, 10_000, 1000]) {
      await engine.write(state());
      expect(await blocks.run(scalars(), pieces(Math.min(most, 150_000)))).toEqual({});
      expect(await engine.read(kept), `pieces of ${most}`).toEqual(expected);
    }
    await engine.write(state());
    expect(Object.keys(await observing.run(scalars(), pieces(1000)))).toEqual(["observed"]);
    expect(await engine.read(kept)).toEqual(expected);
    expect(expected["large"]!.data).not.toEqual(state()["large"]!.data);
  });
});

describe("an update with noise", () => {
  it.each([
    ["no noise", []],
    ["too little", [{ name: "a", from: 0, data: new Float32Array(2) }]],
    ["a gap", [{ name: "a", from: 1, data: new Float32Array(2) }]],
    ["the same twice", [0, 0].map((from) => ({ name: "a", from, data: new Float32Array(3) }))],
    ["another's", [{ name: "b", from: 0, data: new Float32Array(3) }]],
  ])("isRefusedWith_%s", async (_, noise) => {
    const parameter = { name: "a", value: input("a", [3]) };
    await using engine = await startEngine({ threads: 1 });
    await engine.write(initialState([parameter], settings.sgd, { averaging: false }, { a: new Float32Array(3) }));
    const scalars = () => updateScalars(settings.sgd, { step: 0, learningRate: 1, expectedBatchSize: 1, grid: 1 });
    for (const observed of [undefined, "a"]) {
      const options = { noise: true, averaging: false, ...(observed ? { observed } : {}) };
      await using update = await loadUpdate(engine, [parameter], settings.sgd, options);
      await expect((async () => update.run(scalars(), noise))()).rejects.toMatchObject({ code: "LG-BUG-001" });
    }
  });
});

describe("updateGraph", () => {
  it.each(named)("everyInput_isState_orNoise_orAScalarThatUpdateScalarsGives: %s", (_, optimiser) => {
    const graph = updateGraph(parameters, optimiser, { noise: true, averaging: true });
    const numbers = { step: 3, learningRate: 0.1, expectedBatchSize: 7, grid: 0.25, averageDecay: 0.99 };
    const noise = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [`noise/${name}`, shape]));
    const scalars = updateScalars(optimiser, numbers);
    const expected = {
      ...stateShapes(parameters, optimiser, { averaging: true }),
      ...noise,
      ...Object.fromEntries(Object.entries(scalars).map(([name, s]) => [name, s.shape])),
    };
    expect(Object.fromEntries(graph.inputs.map((i) => [i.name, i.shape]))).toEqual(expected);
  });

  it.each(named)("everyStateTensor_isReplaced_exceptTheSums: %s", (_, optimiser) => {
    const graph = updateGraph(parameters, optimiser, { noise: false, averaging: true });
    const state = stateShapes(parameters, optimiser, { averaging: true });
    const replaced = Object.entries(state).filter(([name]) => !name.startsWith("sum/"));
    expect(Object.fromEntries(graph.outputs.map((o) => [o.name, o.value.shape]))).toEqual(
      Object.fromEntries(replaced.map(([name, shape]) => [`next/${name}`, shape])),
    );
  });

  it("gradient_isTheNoisySum_dividedByTheExpectedBatchSize", async () => {
    const number = fc.integer({ min: -1000, max: 1000 }).map((n) => n / 64);
    const tensors = fc.record({
      "layer.weight": fc.array(number, { minLength: 6, maxLength: 6 }),
      "layer.bias": fc.array(number, { minLength: 2, maxLength: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(tensors, tensors, fc.integer({ min: 1, max: 500 }), async (sums, noise, batch) => {
        const sgd: OptimiserSettings = { name: "sgd", learningRate: 0.5 };
        const state = initialState(parameters, sgd, { averaging: false }, values);
        for (const [name, sum] of Object.entries(sums)) state[`sum/${name}`]!.data.set(sum);
        const numbers = { step: 0, learningRate: 0.5, expectedBatchSize: batch, grid: 1 / 64 };
        const ran = await update(sgd, state, noise, numbers);
        for (const name of ["layer.weight", "layer.bias"] as const)
          ran[`next/${name}`]!.forEach((got, i) => {
            const change = (0.5 * (sums[name][i]! + noise[name][i]!)) / batch;
            // Sums of 64ths are exact; the quotient, the product and the difference round: 3 x 2^-24.
            const size = Math.abs(values[name][i]!) + Math.abs(change);
            expect(Math.abs(got - (values[name][i]! - change))).toBeLessThanOrEqual(2e-7 * size);
          });
      }),
      { numRuns: 30 },
    );
  });

  it("emptyBatch_movesTheWeightsByTheNoiseAlone", async () => {
    const sgd: OptimiserSettings = { name: "sgd", learningRate: 1 };
    const state = initialState(parameters, sgd, { averaging: false }, values);
    const noise = { "layer.weight": [8, 0, 0, 0, 0, -8], "layer.bias": [4, 0] };
    const ran = await update(sgd, state, noise, { step: 0, learningRate: 1, expectedBatchSize: 4, grid: 0.5 });
    expect(ran).toEqual({ "next/layer.weight": [-1, 2, 3, 4, 5, 8], "next/layer.bias": [-2, 1] });
  });

  /** The noisy sums that an update releases: from weights of 0 and with a rate and divisor of 1, the new weights are minus those. */
  async function released(sum: Float32Array, noise: Float32Array, grid: number): Promise<Float32Array> {
    const w = [{ name: "w", value: input("w", [sum.length]) }];
    const sgd: OptimiserSettings = { name: "sgd", learningRate: 1 };
    const state = initialState(w, sgd, { averaging: false }, { w: new Float32Array(sum.length) });
    state["sum/w"]!.data.set(sum);
    const scalars = updateScalars(sgd, { step: 0, learningRate: 1, expectedBatchSize: 1, grid });
    const fed = { ...state, ...scalars, "noise/w": { data: noise, shape: [noise.length] } };
    const graph = updateGraph(w, sgd, { noise: true, averaging: false });
    const ran = await runModel(
      encodeModel(graph),
      Object.fromEntries(Object.entries(fed).map(([name, t]) => [name, { dtype: "float32", ...t }])),
    );
    return Float32Array.from(ran["next/w"]!.data, (v) => -Number(v));
  }

  it("releasedSums_areMultiplesOfTheGrid_andFunctionsOfTheExactRoundedSum", async () => {
    // Sums from far below the grid to far beyond float32's whole numbers of grids, and halves, which go to the even one.
    const grid = 2 ** -10;
    const random = seededRandom("adversarial");
    const sums = Float32Array.from({ length: 20_000 }, (_, i) => {
      const exponent = -40 + random.integer(66);
      const value = (1 + random.uniform()) * 2 ** exponent * (random.integer(2) === 0 ? -1 : 1);
      return i % 4 === 0 ? (random.integer(2 ** 20) + 0.5) * grid : value;
    });
    const noise = Float32Array.from(sums, () => (random.integer(2 ** 25 - 1) - 2 ** 24 + 1) * grid);
    const got = await released(sums, noise, grid);
    const even = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
    const wrong = got.filter((v, i) => {
      // Whole numbers below 2^53, so float64 adds them exactly; rounded once to float32, as IEEE 754 does.
      const exact = even(sums[i]! / grid) + noise[i]! / grid;
      return v !== Math.fround(exact * grid) || !Number.isInteger(v / grid);
    });
    expect(wrong).toHaveLength(0);
  });

  it("theLeastSignificantBits_betrayTheSum_withoutTheGrid_andNothingWithIt [false alarm: 1e-9]", async () => {
    // Mironov 2012. Two neighbouring sums, 0 and 1, and what was released is near 0: 0 + noise has a float's 24 bits
    // below its own first, 1 + noise only those of a noise near -1. The attacker looks at the last bit that is set.
    const n = 40_000;
    const plan = planPrivateTraining({
      noiseMultiplier: 1,
      delta: 1e-5,
      sampling: { kind: "full" },
      clipping: { kind: "flat", norm: 1 },
      steps: 1,
      insecureSeed: true,
    });
    const { grid, deviation } = noiseScale(plan, n);
    /** Share of releases near 0 whose last bit is above 2^-25, and how many they are. */
    const look = (values: Float32Array): { coarse: number; near: number } => {
      const near = values.filter((v) => Math.abs(v) < 2 ** -3 && v !== 0);
      return { coarse: near.filter((v) => Number.isInteger(v * 2 ** 25)).length / near.length, near: near.length };
    };
    const of = (sum: number): Float32Array => new Float32Array(n).fill(sum);
    const naive = (sum: number): Float32Array => {
      const drawn = new Float32Array(n);
      fillGaussian(seededRandom("naive", sum), drawn, deviation);
      return drawn.map((z) => Math.fround(sum + z));
    };
    // A noise within 2^-3 of -1 is a multiple of 2^-25, always; one within 2^-3 of 0 by chance, when it is above 2^-4
    // (then 2^-4 / 2^-28 last places are even enough: one in 8) and less often below.
    expect(look(naive(1)).coarse).toBe(1);
    expect(look(naive(0)).coarse).toBeLessThan(0.3);
    const guarded = async (sum: number): Promise<Float32Array> =>
      released(of(sum), gaussianNoise(plan, { w: n }, seededRandom("guarded", sum))["w"]!, grid);
    const [zero, one] = [await guarded(0), await guarded(1)];
    // Every multiple of the grid is above 2^-25, whatever the sum.
    expect([look(zero).coarse, look(one).coarse]).toEqual([1, 1]);
    // And finer: by how many trailing zeros a release has, counted in grids, the two cannot be told apart. Chi-square of a
    // 2 x 8 table of releases near 0, whose sizes differ as the normal density says and so are taken as they are: 7
    // degrees of freedom exceed 56.5 with probability 7.5e-10.
    const table = [zero, one].map((values) => {
      const counts = new Float64Array(8);
      for (const v of values)
        if (Math.abs(v) < 2 ** -3 && v !== 0) counts[Math.min(7, 31 - Math.clz32((v / grid) & -(v / grid)))]!++;
      return counts;
    });
    const totals = table.map((counts) => counts.reduce((a, b) => a + b, 0));
    let chi = 0;
    for (let bit = 0; bit < 8; bit++)
      table.forEach((counts, row) => {
        const expected = ((table[0]![bit]! + table[1]![bit]!) * totals[row]!) / (totals[0]! + totals[1]!);
        chi += (counts[bit]! - expected) ** 2 / expected;
      });
    expect(totals.every((total) => total > 2000)).toBe(true);
    expect(chi).toBeLessThan(56.5);
  });

  it("average_followsTheNewWeights", async () => {
    const sgd: OptimiserSettings = { name: "sgd", learningRate: 1 };
    const state = initialState(parameters, sgd, { averaging: true }, values);
    state["sum/layer.bias"]!.data.set([1, 0]);
    state["average/layer.bias"]!.data.set([3, 1]);
    const numbers = { step: 0, learningRate: 1, expectedBatchSize: 1, averageDecay: 0.99 };
    const ran = await update(sgd, state, undefined, numbers);
    expect(ran["next/layer.bias"]).toEqual([-2, 1]);
    // At step 0 the decay is 1 / 10: 0.1 x 3 + 0.9 x -2 = -1.5; float32 rounding of 5.
    expect(ran["next/average/layer.bias"]![0]).toBeCloseTo(-1.5, 6);
    expect(ran["next/average/layer.bias"]![1]).toBe(1);
    expect(ran["next/average/layer.weight"]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe("initialState", () => {
  it("parametersAndAverages_areCopies_andAllElseIsZero", () => {
    const state = initialState(parameters, settings.adam, { averaging: true }, values);
    expect(Object.keys(state).sort()).toEqual(
      Object.keys(shapes).flatMap((n) => [n, `average/${n}`, `state/m/${n}`, `state/v/${n}`, `sum/${n}`]).sort(), // prettier-ignore
    );
    for (const [name, shape] of Object.entries(shapes)) {
      for (const copy of [state[name]!, state[`average/${name}`]!]) {
        expect(copy).toEqual({ data: values[name as keyof typeof shapes], shape });
        // The engine takes the arrays it is given, so none may be shared.
        expect(copy.data.buffer).not.toBe(values[name as keyof typeof shapes].buffer);
      }
      expect(state[name]!.data.buffer).not.toBe(state[`average/${name}`]!.data.buffer);
      for (const zero of ["sum", "state/m", "state/v"])
        expect(state[`${zero}/${name}`]!.data.every((x) => x === 0)).toBe(true);
    }
  });

  it("weightsOfAnotherModel_areRefused", () => {
    const of = (given: Record<string, Float32Array>) => () =>
      initialState(parameters, settings.sgd, { averaging: false }, given);
    expect(of({ "layer.weight": values["layer.weight"] })).toThrow("0 numbers for parameter layer.bias; expected 2");
    expect(of({ ...values, "layer.bias": new Float32Array(3) })).toThrow("3 numbers for parameter layer.bias");
  });
});

describe("updateScalars", () => {
  it("divisor_isTheReciprocalOfTheExpectedBatchSize", () => {
    const scalars = updateScalars(settings.sgd, { step: 0, learningRate: 0.5, expectedBatchSize: 8 });
    expect(scalars["scalar/divisor"]).toEqual({ data: Float32Array.of(0.125), shape: [] });
    expect(scalars["scalar/rate"]).toEqual({ data: Float32Array.of(0.5), shape: [] });
  });

  it.each([
    [{ step: -1, learningRate: 1, expectedBatchSize: 1 }, "step is -1"],
    [{ step: 0.5, learningRate: 1, expectedBatchSize: 1 }, "step is 0.5"],
    [{ step: 0, learningRate: NaN, expectedBatchSize: 1 }, "learningRate is NaN"],
    [{ step: 0, learningRate: 1, expectedBatchSize: 1, grid: 0.3 }, "grid is 0.3; expected a power of two"],
    [{ step: 0, learningRate: 1, expectedBatchSize: 0 }, "expectedBatchSize is 0; expected a number above 0"],
    [
      { step: 0, learningRate: 1, expectedBatchSize: 1, averageDecay: 1 },
      "decay is 1; expected a number from 0 to below 1",
    ],
  ])("isRefused: %o", (numbers, message) => {
    expect(() => updateScalars(settings.sgd, numbers)).toThrow(
      expect.objectContaining({ code: "LG-TRAIN-003", message: expect.stringContaining(message) as string }) as Error,
    );
  });
});

describe("averageDecayAt", () => {
  it("rises_from_oneTenth_toTheDecay", () => {
    expect(averageDecayAt(0, 0.999)).toBe(0.1);
    expect(averageDecayAt(8, 0.999)).toBe(0.5);
    // (1 + t) / (10 + t) >= 0.999 from t = 8,990 on
    expect(averageDecayAt(8989, 0.999)).toBeLessThan(0.999);
    expect(averageDecayAt(8991, 0.999)).toBe(0.999);
    expect(averageDecayAt(1000, 0)).toBe(0);
  });
});
