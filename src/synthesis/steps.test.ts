import { describe, expect, it } from "vitest";
import { compile } from "../autodiff/testing.ts";
import { gradients } from "../autodiff/index.ts";
import {
  conv,
  input,
  leakyRelu,
  matMul,
  mul,
  reduceSum,
  reshape,
  scalar,
  sigmoid,
  sizeOf,
  type Value,
} from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { instanceNormalise } from "../nn/adversarial.ts";
import { compactGan, initialParameters } from "../nn/index.ts";
import { startEngine, type HostTensor } from "../runtime/index.ts";
import { fakeGraph, generatorGraph, halfSquaredSlope, realGraph } from "./steps.ts";

const shape = { rows: 3, classes: 2, imageSize: 16 };
const normals = (seed: string, n: number): Float32Array => {
  using random = seededRandom(seed);
  return Float32Array.from({ length: n }, () => random.gaussian());
};

const total = (v: Value): Value => reduceSum(v, undefined, false);

describe("gradients of gradients", () => {
  it("aPenaltyOnTheSlope_isQuadraticInEveryLayer", async () => {
    // Without biases, scores are homogeneous of degree 1 in the weights of a layer (leaky rectifiers keep signs), slopes
    // too, and their squares of degree 2. Euler: <w, dP/dw> = 2 P for every layer, exactly, kinks or not.
    const { image, classes } = compactGan.discriminator(shape);
    const layers = [input("w1", [4, 1, 4, 4]), input("w2", [5, 4, 4, 4]), input("w3", [80, 1])] as const;
    const strided = (x: Value, w: Value): Value => leakyRelu(conv(x, w, undefined, { strides: [2, 2], pads: [1, 1, 1, 1] }), 0.2); // prettier-ignore
    const scores = reshape(matMul(reshape(strided(strided(image, layers[0]), layers[1]), [3, 80]), layers[2]), [3]);
    const penalty = total(halfSquaredSlope({ image, classes, scores, parameters: [] }));
    const found = gradients(penalty, layers, scalar(1));
    const at: Record<string, Float32Array> = {
      image: normals("image", 768),
      ...Object.fromEntries(layers.map(({ name, shape: s }) => [name, normals(name, sizeOf(s))])),
    };
    await using compiled = await compile({
      penalty,
      ...Object.fromEntries(layers.map(({ name }, i) => [`d/${name}`, found[i]!])),
    });
    const here = await compiled.run(at);
    const value = Number(here["penalty"]!.data[0]);
    for (const { name } of layers) {
      const along = (here[`d/${name}`]!.data as Float32Array).reduce((s, g, i) => s + g * at[name]![i]!, 0);
      // float32: measured below 1e-5.
      expect(along / (2 * value), name).toBeCloseTo(1, 4);
    }
  });

  it("aSmoothDiscriminatorsPenalty_hasTheGradientOfFiniteDifferences", async () => {
    const { image, classes } = compactGan.discriminator(shape);
    const w1 = input("w1", [4, 1, 4, 4]);
    const w2 = input("w2", [3, 4, 4, 4]);
    const convolved = conv(image, w1, undefined, { strides: [2, 2], pads: [1, 1, 1, 1] });
    const hidden = sigmoid(conv(instanceNormalise(convolved), w2, undefined, { strides: [2, 2], pads: [1, 1, 1, 1] }));
    const scores = reduceSum(mul(hidden, hidden), [1, 2, 3]);
    const penalty = total(halfSquaredSlope({ image, classes, scores, parameters: [] }));
    const [d1, d2] = gradients(penalty, [w1, w2], scalar(1)) as [Value, Value];
    await using compiled = await compile({ penalty, d1, d2 });
    const at = { image: normals("image", 768), w1: normals("w1", 64), w2: normals("w2", 192) };
    const here = await compiled.run(at);
    for (const [name, d] of [
      ["w1", "d1"],
      ["w2", "d2"],
    ] as const) {
      const gradient = here[d]!.data as Float32Array;
      const along = normals(`along ${name}`, gradient.length);
      const moved = async (h: number): Promise<number> =>
        Number((await compiled.run({ ...at, [name]: at[name].map((w, i) => w + h * along[i]!) }))["penalty"]!.data[0]);
      const difference = ((await moved(3e-3)) - (await moved(-3e-3))) / 6e-3;
      const expected = gradient.reduce((s, g, i) => s + g * along[i]!, 0);
      const norm = Math.sqrt(gradient.reduce((s, g) => s + g * g, 0));
      // Central differences in float32, error of order h^2.
      expect(Math.abs(difference - expected) / norm, name).toBeLessThan(0.01);
    }
  });

  it("aLinearDiscriminator_hasTheSlopeOfItsWeights", async () => {
    // Closed form: scores = <w, x> per row have slope w, so that the penalty is |w|^2 / 2 in every row.
    const { image, classes } = compactGan.discriminator(shape);
    const w = normals("w", 256);
    const weight = compactGan.discriminator(shape).image;
    const linear = {
      image,
      classes,
      scores: reduceSum(mul(image, { ...weight, name: "w" }), [1, 2, 3]),
      parameters: [],
    };
    await using compiled = await compile({ penalty: halfSquaredSlope(linear) });
    const { penalty } = await compiled.run({
      image: normals("image", 768),
      w: Float32Array.from([...w, ...w, ...w]),
    });
    const expected = w.reduce((s, v) => s + v * v, 0) / 2;
    for (const value of penalty!.data) expect(Number(value) / expected).toBeCloseTo(1, 5);
  });
});

describe("graphs of a step", () => {
  const options = { loss: "bce", distortion: true, instanceNoise: true } as const;

  it("theGeneratorsGraphs_takeNoRealImage", () => {
    const names = [fakeGraph(compactGan, shape, { ...options, atFake: 1 }), generatorGraph(compactGan, shape, options)]
      .flatMap((g) => g.inputs)
      .map((i) => i.name);
    expect(names.filter((n) => /^real|between|sum\//.test(n))).toEqual([]);
  });

  it("whatIsKeptOfTheForwardPass_changesNoGradient", async () => {
    const { latent, grain, parameters } = compactGan.generator(shape);
    const discriminator = compactGan.discriminator(shape);
    const plain = { loss: "bce", distortion: false, instanceNoise: false } as const;
    await using engine = await startEngine({ threads: 1 });
    const weights = { ...initialParameters({ parameters }, seededRandom("g")), ...initialParameters(discriminator, seededRandom("d")) }; // prettier-ignore
    await engine.write(
      Object.fromEntries([...parameters, ...discriminator.parameters].map((p) => [p.name, { data: weights[p.name]!.slice(), shape: p.value.shape }])), // prettier-ignore
    );
    const feeds = () => ({
      latent: { data: normals("z", sizeOf(latent.shape)), shape: latent.shape },
      grain: { data: normals("grain", sizeOf(grain!.shape)), shape: grain!.shape },
      classes: { data: Float32Array.of(1, 0, 0, 1, 1, 0), shape: [3, 2] },
    });
    const sums = parameters.map((p) => `sum/${p.name}`);
    await using anew = await engine.load(generatorGraph(compactGan, shape, plain));
    const { loss, deviation } = await anew.run(feeds());
    const expected = await engine.read(sums);
    await using fake = await engine.load(fakeGraph(compactGan, shape, { ...plain, atFake: 0, keep: true }));
    await using keeping = await engine.load(generatorGraph(compactGan, shape, { ...plain, keep: true }));
    await fake.run(feeds());
    await engine.zero(sums);
    // A convolution whose result is kept is not fused with what follows: the last bit differs.
    const near = (found: HostTensor, wanted: HostTensor): void => {
      const [a, b] = [found.data as Float32Array, wanted.data as Float32Array];
      const largest = (values: Float32Array): number => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      expect(largest(a.map((v, i) => v - b[i]!))).toBeLessThan(1e-5 * largest(b));
    };
    const ran = await keeping.run(feeds());
    near(ran["loss"]!, loss!);
    near(ran["deviation"]!, deviation!);
    const found = await engine.read(sums);
    for (const name of sums) near(found[name]!, expected[name]!);
    expect(generatorGraph(compactGan, shape, { ...plain, keep: true }).outputs.length).toBe(sums.length + 2);
  });

  it("clippedSumsOfABatch_areThoseOfEachPatientAlone", async () => {
    const { parameters } = compactGan.discriminator(shape);
    const how = { loss: "bce", distortion: false, instanceNoise: false, atReal: 0, clipNorm: 0.5 } as const;
    await using engine = await startEngine({ threads: 1 });
    const weights = initialParameters({ parameters }, seededRandom("d"));
    const sums = parameters.map((p) => `sum/${p.name}`);
    const state = parameters.flatMap(({ name, value: { shape: s } }) => [
      [name, { data: weights[name]!, shape: s }] as const,
      [`sum/${name}`, { data: new Float32Array(sizeOf(s)), shape: s }] as const,
    ]);
    await engine.write(Object.fromEntries(state));
    const pixels = normals("real", 3 * 256).map((v) => 1 / (1 + Math.exp(-v)));
    const summed = async (rows: number, starts: readonly number[]) => {
      const graph = realGraph(
        compactGan,
        { ...shape, rows },
        { units: rows, views: 1 },
        { ...how, adding: starts.length > 1 },
      );
      await using program = await engine.load(graph);
      await engine.zero(sums);
      const norms: number[] = [];
      for (const from of starts) {
        const filled = (v: number) => ({ data: new Float32Array(rows).fill(v), shape: [rows] });
        const ran = await program.run({
          real: { data: pixels.slice(256 * from, 256 * (from + rows)), shape: [rows, 1, 16, 16] },
          "real/classes": { data: Float32Array.of(1, 0, 0, 1, 1, 0).slice(2 * from, 2 * (from + rows)), shape: [rows, 2] },
          ...{ label: filled(1), weights: filled(1), present: filled(1) },
        }); // prettier-ignore
        norms.push(...Array.from(ran["norms"]!.data as Float32Array));
      }
      return { norms, sums: await engine.read(sums) };
    };
    const [together, alone] = [await summed(3, [0]), await summed(1, [0, 1, 2])];
    expect(Math.min(...alone.norms)).toBeGreaterThan(how.clipNorm);
    together.norms.forEach((norm, i) => expect(norm / alone.norms[i]!).toBeCloseTo(1, 4));
    let [difference, size] = [0, 0];
    for (const name of sums)
      (together.sums[name]!.data as Float32Array).forEach((v, i) => {
        difference += (v - Number(alone.sums[name]!.data[i])) ** 2;
        size += v * v;
      });
    // float32, another order of summation: measured 1.1e-7.
    expect(Math.sqrt(difference / size)).toBeLessThan(1e-5);
  });

  it("everyLossBuilds_withAndWithoutClipping", () => {
    for (const loss of ["bce", "lsgan", "wgan-gp"] as const)
      for (const clipNorm of [undefined, 1]) {
        const graph = realGraph(compactGan, shape, { units: 3, views: 1 }, { ...options, loss, atReal: 0, ...(clipNorm === undefined ? {} : { clipNorm }) }); // prettier-ignore
        expect(graph.outputs.some((o) => o.name === "norms")).toBe(clipNorm !== undefined);
      }
  });
});
