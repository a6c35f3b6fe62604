import * as ort from "onnxruntime-node";
import { expect, it } from "vitest";
import { encodeModel, graphOf, sizeOf } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import { compactGenerator, initialParameters } from "./index.ts";

const [rows, size] = [8, 64];

/** Images [rows, 1, size, size] of a fresh generator. */
async function freshImages(grainDeviation: number): Promise<Float32Array> {
  const generator = compactGenerator({ rows, classes: 2, imageSize: size });
  const { latent, grain, classes } = generator;
  const random = seededRandom("fresh");
  const weights = initialParameters(generator, seededRandom("weights"));
  const normals = (shape: readonly number[], deviation: number) => new ort.Tensor("float32", Float32Array.from({ length: sizeOf(shape) }, () => deviation * random.gaussian()), shape); // prettier-ignore
  const session = await ort.InferenceSession.create(encodeModel(graphOf("fresh", { image: generator.image })), { intraOpNumThreads: 1 }); // prettier-ignore
  const ran = await session.run({
    ...Object.fromEntries(generator.parameters.map((p) => [p.name, new ort.Tensor("float32", weights[p.name]!, p.value.shape)])), // prettier-ignore
    latent: normals(latent.shape, 1),
    grain: normals(grain!.shape, grainDeviation),
    classes: new ort.Tensor(
      "float32",
      Float32Array.from({ length: 2 * rows }, (_, i) => i % 2),
      classes.shape,
    ),
  });
  await session.release();
  return ran["image"]!.data as Float32Array;
}

/** Mean square of `f` at every pixel of the images in a range of columns. */
const power = (images: Float32Array, from: number, to: number, f: (at: number) => number): number => {
  let [sum, count] = [0, 0];
  for (let at = 0; at < images.length; at++) {
    const column = at % size;
    if (column < from || column >= to) continue;
    sum += f(at) ** 2;
    count++;
  }
  return sum / count;
};

it("aFreshGenerator_drawsNeitherGridNorFrame", async () => {
  const images = await freshImages(0);
  const step = (at: number): number => images[at + 1]! - images[at]!;
  // What alternates from pixel to pixel is small beside what goes from one to the next; of white noise it is 10 times as much.
  const alternating = power(images, 1, size - 2, (at) => images[at - 1]! - 3 * images[at]! + 3 * images[at + 1]! - images[at + 2]!); // prettier-ignore
  expect(alternating / power(images, 1, size - 2, step)).toBeLessThan(0.2);
  // A frame of zeros would make the last step along each border several times as large as others.
  const border = power(images, 0, 1, step) + power(images, size - 2, size - 1, step);
  expect(border / 2 / power(images, 1, size - 2, step)).toBeLessThan(1.5);
});

it("grain_reachesTheImage", async () => {
  const [without, with_] = [await freshImages(0), await freshImages(1)];
  expect(with_.some((v, i) => Math.abs(v - without[i]!) > 1e-3)).toBe(true);
});
