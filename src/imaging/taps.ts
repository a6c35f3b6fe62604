/** Resampling along one axis: for each target position, which source positions count, and how much. */

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Kernels in units of source pixels (upsampling) or of target pixels (downsampling), zero beyond `support`. */
export const kernels = {
  area: { support: 0.5, weight: (x: number) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  // Keys 1981, "Cubic convolution interpolation", with a = -1/2.
  bicubic: {
    support: 2,
    weight: (x: number) => {
      const t = Math.abs(x);
      return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
    },
  },
  lanczos3: { support: 3, weight: (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} as const;

export type Kernel = keyof typeof kernels;

/** For each target position the first source position and `count` weights that sum to one, none outside the source. */
export interface Taps {
  readonly start: Int32Array;
  readonly weights: Float64Array;
  readonly count: number;
}

/**
 * Taps from `sourceSize` positions to `targetSize` that divide the stretch from `offset` to `offset + extent` (in source
 * pixels) evenly. When shrinking, the kernel widens with the scale, so nothing aliases.
 */
export function taps(sourceSize: number, offset: number, extent: number, targetSize: number, kernel: Kernel): Taps {
  const { support, weight } = kernels[kernel];
  const scale = extent / targetSize;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  const count = Math.min(sourceSize, Math.ceil(reach) * 2 + 1);
  const start = new Int32Array(targetSize);
  const weights = new Float64Array(targetSize * count);
  for (let i = 0; i < targetSize; i++) {
    const centre = offset + (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(sourceSize, Math.floor(centre + reach + 0.5));
    let sum = 0;
    for (let s = first; s < last; s++) sum += weight((s + 0.5 - centre) / stretch);
    start[i] = Math.min(first, sourceSize - count);
    for (let s = first; s < last; s++) weights[i * count + s - start[i]!] = weight((s + 0.5 - centre) / stretch) / sum;
  }
  return { start, weights, count };
}
