import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hashedValues } from "../../test/fixtures/hashed-values.ts";
import { evaluate } from "../autodiff/testing.ts";
import { onnxFeatures } from "./onnx-features.ts";

const file = (name: string, folder = "extractor"): Buffer =>
  readFileSync(new URL(`../../test/fixtures/${folder}/${name}`, import.meta.url));
// PyTorch in float64: test/fixtures/make_feature_extractor.py.
const { features } = JSON.parse(file("features-20.json").toString()) as { features: number[][] };
const shape = { rows: 3, channels: 1, imageSize: 32, outputs: 2 };

/** To mean 0 and deviation 1, each image by itself. */
function standardised(row: readonly number[]): number[] {
  const mean = row.reduce((a, b) => a + b, 0) / row.length;
  const deviation = Math.sqrt(row.reduce((s, v) => s + (v - mean) ** 2, 0) / row.length);
  return row.map((v) => (v - mean) / (deviation + 1e-6));
}

describe("an ONNX file as feature extractor", () => {
  const architecture = onnxFeatures(file("features-20.onnx"));

  it("fixedPart_isPyTorchsFeatures_eachImageStandardisedByItself", async () => {
    const model = architecture.build(shape);
    const images = hashedValues({ name: "extractor/images", shape: [3, 1, 32, 32], scale: 1, offset: 0.5 });
    const { fixed } = await evaluate({ fixed: model.fixed }, { image: images });
    const expected = features.flatMap(standardised);
    // float32 through two convolutions, over deviations of about a fifth of the features.
    expected.forEach((v, i) => expect(Number(fixed!.data[i])).toBeCloseTo(v, 4));
  });

  it("onlyTheHead_isTrained", () => {
    expect(architecture.imageSize).toBe(32);
    expect(architecture.build(shape).parameters.map((p) => [p.name, p.value.shape])).toEqual([
      ["head.weight", [2, 10]],
      ["head.bias", [2]],
    ]);
    const two = onnxFeatures(file("features-20.onnx"), "two-layer").build(shape);
    expect(two.parameters.map((p) => p.value.shape)).toEqual([[5, 10], [5], [2, 5], [2]]);
  });

  it("anotherImageSize_isRefused", () => {
    expect(() => architecture.build({ ...shape, imageSize: 64 })).toThrow(
      expect.objectContaining({ code: "LG-GRAPH-003" }),
    );
  });

  it.each(["cnn-17.onnx", "dynamic-20.onnx", "vit-block-20.onnx"])("%s_whichTakesSomethingElse_isRefused", (name) => {
    expect(() => onnxFeatures(file(name, "onnx"))).toThrow(expect.objectContaining({ code: "LG-GRAPH-003" }));
  });
});
