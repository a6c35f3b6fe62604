/** How near a reconstruction is to its original: PSNR and SSIM. */
import { mean } from "../../math/statistics.ts";

/** Peak signal to noise in decibels for images in [0, peak]. */
export function psnr(a: Float32Array, b: Float32Array, peak = 1): number {
  let error = 0;
  for (let i = 0; i < a.length; i++) error += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10((peak * peak * a.length) / error);
}

/** Gaussian window of the original paper: 11 taps of deviation 1.5. */
const taps = (() => {
  const raw = Array.from({ length: 11 }, (_, k) => Math.exp(-((k - 5) ** 2) / (2 * 1.5 ** 2)));
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((x) => x / sum);
})();

/** The valid part of a separable filtering of [height, width]. */
function filtered(image: Float64Array, height: number, width: number): Float64Array {
  const [h, w] = [height - 10, width - 10];
  const across = new Float64Array(height * w);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < w; x++) for (let k = 0; k < 11; k++) across[y * w + x]! += taps[k]! * image[y * width + x + k]!;
  const out = new Float64Array(h * w);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) for (let k = 0; k < 11; k++) out[y * w + x]! += taps[k]! * across[(y + k) * w + x]!;
  return out;
}

/**
 * Mean structural similarity of two grey images [height, width], at least 11 pixels a side, in [0, peak].
 * Source: Wang, Bovik, Sheikh, Simoncelli, Image quality assessment, IEEE TIP 13, 2004: 11 x 11 Gaussian window of
 * deviation 1.5, K1 = 0.01, K2 = 0.03, over positions where the window fits.
 */
export function ssim(a: Float32Array, b: Float32Array, height: number, width: number, peak = 1): number {
  const product = (x: Float32Array, y: Float32Array): Float64Array =>
    filtered(
      Float64Array.from(x, (v, i) => v * y[i]!),
      height,
      width,
    );
  const [ma, mb] = [filtered(Float64Array.from(a), height, width), filtered(Float64Array.from(b), height, width)];
  const [aa, bb, ab] = [product(a, a), product(b, b), product(a, b)];
  const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2];
  let sum = 0;
  for (let i = 0; i < ma.length; i++) {
    const [p, q] = [ma[i]!, mb[i]!];
    const [va, vb, cov] = [aa[i]! - p * p, bb[i]! - q * q, ab[i]! - p * q];
    sum += ((2 * p * q + c1) * (2 * cov + c2)) / ((p * p + q * q + c1) * (va + vb + c2));
  }
  return sum / ma.length;
}

/** How like their originals some pictures are, on average. */
export interface Fidelity {
  readonly ssim: number;
  /** Decibels. */
  readonly psnr: number;
}

/** Mean SSIM and PSNR of grey images in [0, 1] against their originals, one by one. */
export const fidelity = (
  found: readonly Float32Array[],
  originals: readonly Float32Array[],
  { height, width }: { readonly height: number; readonly width: number },
): Fidelity => ({
  ssim: mean(found.map((x, i) => ssim(x, originals[i]!, height, width))),
  psnr: mean(found.map((x, i) => psnr(x, originals[i]!))),
});
