import { expect, it } from "vitest";
import { mcgan, parameterCount } from "../nn/index.ts";
import { realGraph } from "./steps.ts";

const shape = { rows: 4, classes: 2, imageSize: 128 };
const options = { loss: "bce", distortion: false, instanceNoise: false } as const;

// The paper's 14.42 M and 25.9 M, counted by hand from its layer list.
it("parameterCounts_areThoseOfThePaper", () => {
  expect(parameterCount(mcgan("instance").generator(shape))).toBe(14_424_144);
  expect(parameterCount(mcgan("instance").discriminator(shape))).toBe(25_944_676);
  // BatchNorm adds scale and bias: 2 (1024 + 512 + 256 + 128 + 64) and 2 (128 + 256 + 512 + 1024).
  expect(parameterCount(mcgan("batch").generator(shape))).toBe(14_424_144 + 3968);
  expect(parameterCount(mcgan("batch").discriminator(shape))).toBe(25_944_676 + 3840);
});

it("batchNormInADiscriminator_isRefusedUnderClipping", () => {
  const build = (): unknown => realGraph(mcgan("batch"), shape, { units: 4, views: 1 }, { ...options, atReal: 0, clipNorm: 1 }); // prettier-ignore
  expect(build).toThrow(expect.objectContaining({ code: "LG-AUTODIFF-002" }));
});
