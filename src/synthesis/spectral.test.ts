import { expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { cosineTransform, inverseCosineTransform } from "./cosines.ts";
import { drawSpectral, spectralLength, spectralModel, spectralVector } from "./spectral.ts";

const shape = { imageSize: 32, classes: 2 };
const size = 32 * 32;
const norm = (v: ArrayLike<number>): number => Math.sqrt(Array.from(v).reduce((s, x) => s + x * x, 0));
const noise = (seed: string): Float32Array => {
  using random = seededRandom(seed);
  return Float32Array.from({ length: size }, () => Math.min(1, Math.max(0, 0.5 + 0.2 * random.gaussian())));
};

it("cosineTransform_isOrthonormal_andOfAWaveIsOneNumber", () => {
  const image = noise("transform");
  const coefficients = cosineTransform(image, 32);
  expect(norm(coefficients) / norm(image)).toBeCloseTo(1, 10);
  expect(Math.max(...inverseCosineTransform(coefficients, 32).map((v, i) => Math.abs(v - image[i]!)))).toBeLessThan(
    1e-12,
  );
  // DCT-II: cos(pi k (2 i + 1) / 2 n) down the rows has one coefficient, at row k and column 0, of size n / sqrt(2).
  const wave = Float64Array.from({ length: size }, (_, i) =>
    Math.cos((Math.PI * 3 * (2 * Math.floor(i / 32) + 1)) / 64),
  );
  const found = cosineTransform(wave, 32);
  expect(found[3 * 32]).toBeCloseTo(32 / Math.SQRT2, 10);
  expect(norm(found)).toBeCloseTo(32 / Math.SQRT2, 10);
});

// What the noise is calibrated to: one patient's vector, a mean of such vectors, has norm 1 at most.
it("noImage_givesAVectorLongerThanOne", () => {
  const images: Float32Array[] = [
    new Float32Array(size),
    new Float32Array(size).fill(1),
    Float32Array.from({ length: size }, (_, i) => i % 2),
    Float32Array.from({ length: size }, (_, i) => Number(i % 32 < 16)),
    Float32Array.from({ length: size }, (_, i) => Number(i === 5)),
    Float32Array.from({ length: size }, (_, i) => Math.floor(i / 32) / 31),
    ...Array.from({ length: 5 }, (_, k) => noise(`n${k}`)),
  ];
  for (const image of images)
    for (const label of [0, 1]) {
      const vector = spectralVector(image, label, shape);
      expect(vector).toHaveLength(spectralLength(shape));
      expect(norm(vector)).toBeLessThanOrEqual(1 + 1e-12);
      expect(norm(vector)).toBeGreaterThan(0);
    }
});

/** Images of one class are bright and smooth, of the other dark and rough. */
function cohortSum(count: number): Float64Array {
  const sum = new Float64Array(spectralLength(shape));
  using random = seededRandom("cohort");
  for (let k = 0; k < count; k++) {
    const label = k % 2;
    const coefficients = new Float64Array(size);
    for (let i = 1; i < size; i++) {
      const r = Math.hypot(i % 32, Math.floor(i / 32));
      coefficients[i] = random.gaussian() * r ** (label === 1 ? -1.5 : -0.8);
    }
    const image = inverseCosineTransform(coefficients, 32);
    const deviation = norm(image) / 32;
    const mean = label === 1 ? 0.6 : 0.4;
    const pixels = Float32Array.from(image, (v) => Math.min(1, Math.max(0, mean + (0.1 * v) / deviation)));
    spectralVector(pixels, label, shape).forEach((v, i) => (sum[i]! += v));
  }
  return sum;
}

it("drawnImages_haveTheClassesBrightnessContrastAndRoughness", () => {
  const model = spectralModel(cohortSum(200), 0, shape);
  using random = seededRandom("draws");
  const roughness = (image: Float32Array): number => {
    const c = cosineTransform(image, 32);
    let [fine, all] = [0, 0];
    c.forEach((v, i) => {
      if (i === 0) return;
      all += v * v;
      if (Math.hypot(i % 32, Math.floor(i / 32)) > 12) fine += v * v;
    });
    return fine / all;
  };
  const means = [0, 1].map((label) => {
    const images = Array.from({ length: 40 }, () => drawSpectral(model, label, random));
    const average = (f: (image: Float32Array) => number): number => images.reduce((s, v) => s + f(v), 0) / 40;
    return {
      brightness: average((v) => v.reduce((s, x) => s + x, 0) / size),
      deviation: average((v) => {
        const m = v.reduce((s, x) => s + x, 0) / size;
        return norm(v.map((x) => x - m)) / 32;
      }),
      roughness: average(roughness),
    };
  });
  // The cohort's own numbers by construction: .4 and .6, .1; tolerances are four standard errors of forty draws or more.
  expect(means[0]!.brightness).toBeCloseTo(0.4, 1);
  expect(means[1]!.brightness).toBeCloseTo(0.6, 1);
  for (const { deviation } of means) expect(deviation).toBeCloseTo(0.1, 1.5);
  // Energy beyond radius 12 of a spectrum r^-e, by summing it; rings hold mean logarithms, which takes a fifth at most.
  [1.6, 3].forEach((e, label) => {
    let [fine, all] = [0, 0];
    for (let i = 1; i < size; i++) {
      const r = Math.hypot(i % 32, Math.floor(i / 32));
      all += r ** -e;
      if (r > 12) fine += r ** -e;
    }
    expect(Math.abs(Math.log(means[label]!.roughness / (fine / all)))).toBeLessThan(Math.log(1.5));
  });
});

it("aClassLostInTheNoise_isRefused", () => {
  const sum = cohortSum(20);
  expect(() => spectralModel(sum, 10, shape)).toThrow(expect.objectContaining({ code: "LG-TRAIN-001" }));
});
