import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { decodeModel, encodeModel, graphOf, input, type Value } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import {
  architectureNamed,
  architectures,
  inferenceGraph,
  initialParameters,
  kaimingNormal,
  normalise,
  parameterCount,
  resnet25dLarge,
  resnet3dLarge,
  resnet9,
  textureCnn,
  textureLinear,
  tissueLinear,
  truncatedNormal,
  uniformFan,
  vit,
  volumeArchitectureNamed,
  type Model,
  type Normalisation,
  type VolumeModelShape,
} from "./index.ts";
import { convolution } from "./layers.ts";

const run = async (
  outputs: Record<string, Value>,
  feeds: Record<string, { data: Float32Array; shape: readonly number[] }>,
) => {
  const session = await ort.InferenceSession.create(encodeModel(graphOf("test", outputs)), { intraOpNumThreads: 1 });
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([n, f]) => [n, new ort.Tensor("float32", f.data, f.shape)]),
  );
  const results = await session.run(tensors);
  await session.release();
  return Object.fromEntries(Object.entries(results).map(([n, t]) => [n, t.data as Float32Array]));
};

describe("architectures", () => {
  it("resnet9_hasThePapersParameterCount", () => {
    // design/papers/private-fair-accurate.md 2.1: 4,909,896 with 3 input channels and 8 outputs.
    expect(parameterCount(resnet9({ rows: 1, channels: 3, imageSize: 224, outputs: 8 }))).toBe(4_909_896);
    // Grey input has 64 x 49 x 2 weights less in the stem, not three equal channels.
    expect(parameterCount(resnet9({ rows: 1, channels: 1, imageSize: 224, outputs: 8 }))).toBe(4_909_896 - 64 * 49 * 2);
  });

  it("vit_hasTheExpectedParameterCount", () => {
    // PyTorch: patch 16*16*192+192, position 196*192, 12 blocks of 444,864, norm 384, head 192*5+5.
    const model = vit({ rows: 1, channels: 1, imageSize: 224, outputs: 5 }, { width: 192, depth: 12, heads: 3 });
    expect(parameterCount(model)).toBe(16 * 16 * 192 + 192 + 196 * 192 + 12 * 444_864 + 384 + 965);
  });

  it("networksOfVolumesInThePapersSize_haveTheExpectedParameterCounts", () => {
    // PyTorch 2.13 (test/fixtures/make_volume_steps.py): ResNet-18 on three channels, 4 x 512 x 512 + 4 x 512 of the
    // attention, 513 of the head; and r3d_18 on one channel.
    const shape = { rows: 1, channels: 1, volumeShape: [16, 16, 16] as const, outputs: 1 };
    const count = (name: string) => parameterCount(volumeArchitectureNamed(name).build(shape));
    expect([count("resnet25d-18"), count("resnet3d-18")]).toEqual([12_227_649, 33_147_969]);
    // Slices of three sizes share the same weights.
    const oblong = { ...shape, volumeShape: [16, 20, 24] as const };
    expect(parameterCount(volumeArchitectureNamed("resnet25d-18").build(oblong))).toBe(12_227_649);
  });

  // The networks in the papers' size with two stages of half the width: their stems, pools and shapes in little time.
  const little = { width: 32, blocks: [1, 1] };
  it.each<[string, (shape: VolumeModelShape) => Model]>([
    ["resnet25d", volumeArchitectureNamed("resnet25d").build],
    ["resnet3d", volumeArchitectureNamed("resnet3d").build],
    ["tissue", volumeArchitectureNamed("tissue").build],
    ["tissue-cnn", volumeArchitectureNamed("tissue-cnn").build],
    ["resnet25d-18", (shape) => resnet25dLarge(shape, little)],
    ["resnet3d-18", (shape) => resnet3dLarge(shape, little)],
  ])("%s_ofVolumes_answersFiniteLogitsAndExportsAModelThatReadsBack", async (_name, build) => {
    const model = build({ rows: 2, channels: 1, volumeShape: [8, 12, 16], outputs: 3 });
    const graph = inferenceGraph(model, initialParameters(model, seededRandom("weights")), { mirror: false });
    const random = seededRandom("voxels");
    const data = Float32Array.from({ length: 2 * 8 * 12 * 16 }, () => random.uniform());
    data.fill(0.25, 0, 8 * 12 * 16); // a constant volume must not give NaN
    const feeds = { image: { data, shape: model.image.shape } };
    const { probabilities } = await run(Object.fromEntries(graph.outputs.map((o) => [o.name, o.value])), feeds);
    expect(probabilities).toHaveLength(6);
    expect(probabilities!.every((p) => p > 0 && p < 1)).toBe(true);
    const back = decodeModel(encodeModel(graph));
    const again = await run(Object.fromEntries(back.outputs.map((o) => [o.name, o.value])), feeds);
    expect([...again["probabilities"]!]).toEqual([...probabilities!]);
  });

  it("aNameOfTheOtherMedium_isRefused", () => {
    expect(() => volumeArchitectureNamed("resnet9")).toThrow(/reads images, and these are volumes/);
    expect(() => architectureNamed("resnet3d")).toThrow(/reads volumes, and these are images/);
    expect(() => volumeArchitectureNamed("constructor")).toThrow(/no such architecture/);
  });

  // The 28 million parameters of Swin-T take twenty seconds here; a small one of the same code is among the others.
  const light = Object.keys(architectures).filter((name) => !name.startsWith("swin-t"));
  it.each(light)("%s_answersFiniteLogitsAndExportsAModelThatReadsBack", async (name) => {
    const imageSize = name === "mnist-cnn" ? 28 : 32;
    const model = architectureNamed(name).build({ rows: 2, channels: 1, imageSize, outputs: 3 });
    const weights = initialParameters(model, seededRandom("weights"));
    const graph = inferenceGraph(model, weights, { mirror: false });
    const random = seededRandom("pixels");
    const data = Float32Array.from({ length: 2 * imageSize ** 2 }, () => random.uniform());
    data.fill(0.25, 0, imageSize ** 2); // a constant image must not give NaN
    const { probabilities } = await run(Object.fromEntries(graph.outputs.map((o) => [o.name, o.value])), {
      image: { data, shape: model.image.shape },
    });
    expect([...probabilities!].every((p) => p >= 0 && p <= 1)).toBe(true);
    expect(decodeModel(encodeModel(graph)).outputs.map((o) => o.value.shape)).toEqual([
      [2, 3],
      [2, 3],
    ]);
  });

  it("unknownArchitecture_isRefusedWithTheNamesThereAre", () => {
    expect(() => architectureNamed("resnet900")).toThrow(
      expect.objectContaining({ code: "LG-USAGE-001", hint: expect.stringContaining("resnet9") as string }),
    );
    expect(() => architectureNamed("constructor")).toThrow(expect.objectContaining({ code: "LG-USAGE-001" }));
  });

  it("vit_refusesAnImageThatIsNoMultipleOfThePatch", () => {
    expect(() => vit({ rows: 1, channels: 1, imageSize: 100, outputs: 1 })).toThrow(
      /100 is not a multiple of the patch 16/,
    );
  });
});

it("aStandardisedWeight_hasMean0AndDeviation1OverTheRootOfItsFan", async () => {
  const parameters: Record<string, Float32Array> = {};
  const scope = {
    at: () => scope,
    parameter: (name: string, shape: readonly number[]) => {
      parameters[name] = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => 3 + Math.sin(7 * i));
      return input(name, shape);
    },
  };
  const y = convolution(scope, input("x", [1, 1, 5, 5]), 2, 3, { padding: 1, bias: false, standardised: true });
  // A single bright pixel in the middle answers with the filter itself, turned round.
  const x = Float32Array.from({ length: 25 }, (_, i) => Number(i === 12));
  const out = await run({ y }, { x: { data: x, shape: [1, 1, 5, 5] }, weight: { data: parameters["weight"]!, shape: [2, 1, 3, 3] } }); // prettier-ignore
  for (const filter of [out["y"]!.slice(0, 25), out["y"]!.slice(25)]) {
    expect(filter.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 5);
    // Nine weights of variance 1/9, but for the 1e-5 under the root.
    expect(filter.reduce((a, b) => a + b * b, 0)).toBeCloseTo(1, 3);
  }
});

describe("texture", () => {
  const fixture = JSON.parse(readFileSync(new URL("./fixtures/texture.json", import.meta.url), "utf8")) as {
    size: number;
    texture: number[];
    textureCnn: { shape: number[]; values: number[] };
  };
  // The image of make_texture.py.
  const image = (size: number): Float32Array =>
    Float32Array.from({ length: size * size }, (_, i) => {
      const [y, x] = [Math.floor(i / size), i % size];
      return 0.5 + 0.2 * Math.sin(0.9 * x + 0.3 * y) + 0.1 * Math.cos(0.05 * x * y) + (x > 40 && y < 20 ? 0.1 : 0);
    });
  const features = async (
    build: typeof textureLinear,
    pixels: Float32Array,
  ): Promise<{ model: Model; values: Float32Array }> => {
    const model = build({ rows: 1, channels: 1, imageSize: fixture.size, outputs: 1 });
    const { f } = await run({ f: model.fixed }, { image: { data: pixels, shape: model.image.shape } });
    return { model, values: f! };
  };
  // float32 convolutions against float64 sums: absolute 2e-4 on features of size about 1 to 10.
  const close = (a: Float32Array, b: readonly number[]): number => Math.max(...b.map((v, i) => Math.abs(v - a[i]!)));

  it("features_agreeWithNumPy", async () => {
    const linear = await features(textureLinear, image(fixture.size));
    expect(linear.values).toHaveLength(fixture.texture.length);
    expect(close(linear.values, fixture.texture)).toBeLessThan(2e-4);
    const cnn = await features(textureCnn, image(fixture.size));
    expect(cnn.model.fixed.shape.slice(1)).toEqual(fixture.textureCnn.shape);
    expect(close(cnn.values, fixture.textureCnn.values)).toBeLessThan(2e-4);
  });

  it("featuresOfAnImage_dependOnNoOtherImage", async () => {
    const model = textureLinear({ rows: 2, channels: 1, imageSize: 32, outputs: 1 });
    const random = seededRandom("two");
    const both = Float32Array.from({ length: 2 * 32 * 32 }, () => random.uniform());
    const other = both.slice().fill(0.9, 32 * 32);
    const [a, b] = [
      await run({ f: model.fixed }, { image: { data: both, shape: model.image.shape } }),
      await run({ f: model.fixed }, { image: { data: other, shape: model.image.shape } }),
    ];
    expect([...a["f"]!.subarray(0, model.fixed.shape[1])]).toEqual([...b["f"]!.subarray(0, model.fixed.shape[1])]);
  });
});

describe("tissue", () => {
  it("features_areRootsOfSharesOfEachDensity_cellByCell", async () => {
    const model = tissueLinear({ rows: 2, channels: 1, volumeShape: [4, 5, 6], outputs: 1 });
    expect(model.fixed.shape).toEqual([2, 5 * 4 * 5 * 6]);
    // As many voxels as cells. The first volume is water, 0.4 of the window, with one voxel of 0.625: a quarter of the way
    // from 0.6 to 0.7. The second is all air.
    const data = new Float32Array(240).fill(0.4, 0, 120);
    const cell = (1 * 5 + 2) * 6 + 3;
    data[cell] = 0.625;
    const { f } = await run({ f: model.fixed }, { image: { data, shape: model.image.shape } });
    // Scale 8 / (0.5 sqrt(120)); centres 0.3, 0.3, 0.4, 0.4, 0.5; roots of shares plus 1e-6.
    const scale = 8 / (0.5 * Math.sqrt(120));
    const feature = (row: number, density: number, at: number) => f![row * 600 + density * 120 + at]! / scale;
    const root = (share: number) => Math.sqrt(share + 1e-6);
    [0, 1, 0, 0, 0].forEach((share, k) => expect(feature(0, k, 0)).toBeCloseTo(root(share) - [0.3, 0.3, 0.4, 0.4, 0.5][k]!, 5)); // prettier-ignore
    [0, 0, 0, 0.75, 0.25].forEach((share, k) => expect(feature(0, k, cell)).toBeCloseTo(root(share) - [0.3, 0.3, 0.4, 0.4, 0.5][k]!, 4)); // prettier-ignore
    [1, 0, 0, 0, 0].forEach((share, k) => expect(feature(1, k, 7)).toBeCloseTo(root(share) - [0.3, 0.3, 0.4, 0.4, 0.5][k]!, 5)); // prettier-ignore
  });
});

describe("inferenceGraph", () => {
  it("mirrored_answersTheMeanOfImageAndMirrorImage", async () => {
    const model = architectureNamed("mlp").build({ rows: 1, channels: 1, imageSize: 8, outputs: 1 });
    const weights = initialParameters(model, seededRandom("weights"));
    const random = seededRandom("pixels");
    const pixels = Float32Array.from({ length: 64 }, () => random.uniform());
    const flipped = pixels.map((_, i) => pixels[i - (i % 8) + 7 - (i % 8)]!);
    const logit = async (mirror: boolean, data: Float32Array): Promise<number> => {
      const graph = inferenceGraph(model, weights, { mirror });
      return (await run({ logits: graph.outputs[0]!.value }, { image: { data, shape: [1, 1, 8, 8] } }))["logits"]![0]!;
    };
    const [direct, other] = [await logit(false, pixels), await logit(false, flipped)];
    expect(Math.abs(direct - other)).toBeGreaterThan(1e-4);
    expect(await logit(true, pixels)).toBeCloseTo((direct + other) / 2, 6);
  });

  it("missingWeights_areNamed", () => {
    const model = architectureNamed("mlp").build({ rows: 1, channels: 1, imageSize: 8, outputs: 1 });
    expect(() => inferenceGraph(model, {}, { mirror: false })).toThrow(/lack parameter fc1\.weight/);
  });
});

describe("normalise", () => {
  const shape = [2, 1, 2, 2];
  const pixels = Float32Array.of(0, 0.25, 0.5, 0.25, 0.5, 0.5, 0.5, 0.5);
  const normalised = async (how: Normalisation): Promise<number[]> => [
    ...(await run({ y: normalise(input("x", shape), how) }, { x: { data: pixels, shape } }))["y"]!,
  ];

  it("standardise_givesMeanZeroAndDeviationOne_andZerosForAConstantImage", async () => {
    const y = await normalised({ kind: "standardise" });
    // Mean .25, deviation sqrt(.03125) = .17678, plus 1/255 against division by zero.
    expect(y[2]).toBeCloseTo(0.25 / (Math.sqrt(0.03125) + 1 / 255), 5);
    expect(y.slice(4)).toEqual([0, 0, 0, 0]);
  });

  it("minmaxAndFixed_doAsTheySay", async () => {
    expect((await normalised({ kind: "minmax" }))[1]).toBeCloseTo(0.5, 4);
    expect(await normalised({ kind: "fixed", mean: 0.5, deviation: 0.25 })).toEqual([-2, -1, 0, -1, 0, 0, 0, 0]);
  });
});

describe("initialisers", () => {
  it("haveTheirStatedSpread", () => {
    const random = () => seededRandom("spread");
    const deviation = (v: Float32Array): number => Math.sqrt(v.reduce((s, x) => s + x * x, 0) / v.length);
    // 10,000 draws: relative standard error of a deviation below 1 %; 5 % is five of them or more.
    expect(deviation(kaimingNormal("out")([100, 4, 5, 5], random()))).toBeCloseTo(Math.sqrt(2 / 2500), 2);
    expect(deviation(uniformFan()([100, 100], random())) * Math.sqrt(300)).toBeCloseTo(1, 1);
    const truncated = truncatedNormal(0.02)([100, 100], random());
    expect(Math.max(...truncated.map(Math.abs))).toBeLessThanOrEqual(0.04 + 1e-7);
  });
});
