import { describe, expect, it } from "vitest";
import { architectureNamed } from "./architectures.ts";
import { foreignWeights, type ForeignTensor } from "./foreign-weights.ts";
import { parameterCount } from "./model.ts";
import { resnet9 } from "./resnet9.ts";
import { smallSwin, swin } from "./swin.ts";

const shape = { rows: 1, channels: 1, imageSize: 224, outputs: 1000 };

describe("parameter counts", () => {
  // torchvision 0.28: sum(p.numel() for p in swin_t().parameters()) = 28,288,354.
  it("swinT_hasTorchvisions28_3Million", () => {
    expect(parameterCount(swin(shape))).toBe(28_288_354);
  });

  // arXiv 2407.12669: a frozen backbone leaves 768 x 384 + 384 + 384 x 2 + 2, or 768 x 2 + 2.
  it("theHeads_haveThePapers296066And1538", () => {
    const heads = (name: string): number =>
      parameterCount({
        parameters: architectureNamed(name)
          .build({ ...shape, outputs: 2 })
          .parameters.filter((p) => p.name.startsWith("head")),
      });
    expect(heads("swin-t-two-layer")).toBe(296_066);
    expect(heads("swin-t")).toBe(1538);
  });

  // Counted by hand from the layers: 608 + 2 x 13,154 + 8,448 + 2 x 50,884 + 33,280 + 2 x 200,072 + 256 + 129.
  it("theSmallOne_isSmall", () => {
    expect(parameterCount(smallSwin({ ...shape, imageSize: 128, outputs: 1 }))).toBe(570_941);
  });
});

describe("weights of other projects", () => {
  const small = swin(
    { rows: 1, channels: 1, imageSize: 56, outputs: 2 },
    { width: 24, depths: [2, 2], heads: [2, 4], channels: 1 },
  );
  const made = (names: Readonly<Record<string, readonly number[]>>): Record<string, ForeignTensor> =>
    Object.fromEntries(
      Object.entries(names).map(([name, s], k) => [
        name,
        { shape: s, data: Float32Array.from({ length: s.reduce((a, b) => a * b, 1) }, (_, i) => k + i / 1e4) },
      ]),
    );
  const shapes = Object.fromEntries(small.parameters.map((p) => [p.name, p.value.shape]));

  // timm 1.0 names merges after the stage they lead to, timm 0.6 after the one they leave.
  const timm =
    (older: boolean) =>
    (name: string): string =>
      name
        .replace(/^features\.0\.0\./, "patch_embed.proj.")
        .replace(/^features\.0\.2\./, "patch_embed.norm.")
        .replace(/^features\.(\d+)\.(\d+)\./, (_, s: string, i: string) => `layers.${(Number(s) - 1) / 2}.blocks.${i}.`)
        .replace(
          /^features\.(\d+)\.(norm|reduction)/,
          (_, s: string, what: string) => `layers.${Number(s) / 2 - Number(older)}.downsample.${what}`,
        ) // prettier-ignore
        .replace(".mlp.0.", ".mlp.fc1.")
        .replace(".mlp.3.", ".mlp.fc2.")
        .replace(/^head\./, older ? "head." : "head.fc.");

  it.each([
    ["torchvision", (name: string) => name],
    ["timm 1.0", timm(false)],
    ["timm 0.6", timm(true)],
    ["a wrapped torchvision", (name: string) => `_module.${name}`],
  ])("%s_isReadByName", (_, rename) => {
    const theirs = made(Object.fromEntries(Object.entries(shapes).map(([name, s]) => [rename(name), s])));
    const found = foreignWeights(small.parameters, theirs);
    expect(Object.keys(found).sort()).toEqual(Object.keys(shapes).sort());
    for (const name of Object.keys(shapes)) expect(found[name]).toBe(theirs[rename(name)]!.data);
  });

  it("coloursAreSummed_andOtherHeadsLeftOut", () => {
    const model = resnet9({ rows: 1, channels: 1, imageSize: 64, outputs: 2 });
    const first = model.parameters[0]!;
    const [out, , kernel] = first.value.shape as [number, number, number];
    const tensor = { shape: [out, 3, kernel, kernel], data: new Float32Array(out * 3 * kernel * kernel).fill(0.5) };
    const head = model.parameters.find((p) => p.value.shape[0] === 2)!;
    const other = { shape: [1000, head.value.shape[1]!], data: new Float32Array(1000 * head.value.shape[1]!) };
    const found = foreignWeights(model.parameters, { [`module.${first.name}`]: tensor, [head.name]: other });
    expect(Object.keys(found)).toEqual([first.name]);
    expect(new Set(found[first.name])).toEqual(new Set([1.5]));
  });
});
