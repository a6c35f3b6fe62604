/** Resampling of float planes: separable, antialiased, in single precision from the first to the last step. */
import { LeadglassError } from "../errors.ts";
import { toPlanes } from "./pixels.ts";
import type { PixelImage, Planes } from "./pixels.ts";

export type Fit = "stretch" | "pad" | "crop";
export type Kernel = keyof typeof kernels;

export interface ResizeOptions {
  readonly width: number;
  readonly height: number;
  /** `stretch` ignores the aspect; `pad` keeps it and adds borders; `crop` keeps it and cuts the longer side, centred. */
  readonly fit?: Fit;
  readonly kernel?: Kernel;
  /** The value of the borders that `pad` adds, in the units of the planes. */
  readonly padValue?: number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Kernels in units of source pixels (upsampling) or of target pixels (downsampling), zero beyond `support`. */
const kernels = {
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

/** A side beyond this is taken for a mistake or an attack, before anything is allocated. */
const MAX_SIDE = 16_384;

/**
 * Resamples to `width` x `height`. Integers are first divided by the largest value of their bit depth (see toPlanes);
 * planes keep their units. When shrinking, the kernel widens with the scale, so nothing aliases.
 * Throws LG-IMAGE-006 for a size that is not a whole number between 1 and 16,384.
 */
export function resize(image: PixelImage | Planes, options: ResizeOptions): Planes {
  const { width, height, fit = "stretch", kernel = "bilinear", padValue = 0 } = options;
  for (const [side, value] of [
    ["width", width],
    ["height", height],
  ] as const)
    // prettier-ignore
    if (!Number.isInteger(value) || value < 1 || value > MAX_SIDE)
      throw new LeadglassError("LG-IMAGE-006", `resize: ${side} ${value}; a whole number from 1 to ${MAX_SIDE} expected`, {
        hint: "Ask for a smaller image.",
      });
  const planes = "bitDepth" in image ? toPlanes(image) : image;
  const [sw, sh] = [planes.width, planes.height];
  if (sw === width && sh === height) return planes;

  if (fit === "stretch") return resample(planes, { x: 0, y: 0, width: sw, height: sh }, width, height, kernel);
  if (fit === "crop") {
    const scale = Math.max(width / sw, height / sh);
    const [cw, ch] = [Math.min(sw, width / scale), Math.min(sh, height / scale)];
    return resample(planes, { x: (sw - cw) / 2, y: (sh - ch) / 2, width: cw, height: ch }, width, height, kernel);
  }
  const scale = Math.min(width / sw, height / sh);
  const inner = { width: Math.max(1, Math.round(sw * scale)), height: Math.max(1, Math.round(sh * scale)) };
  const small = resample(planes, { x: 0, y: 0, width: sw, height: sh }, inner.width, inner.height, kernel);
  return place(small, width, height, padValue);
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function resample(planes: Planes, box: Box, width: number, height: number, kernel: Kernel): Planes {
  const across = taps(planes.width, box.x, box.width, width, kernel);
  const down = taps(planes.height, box.y, box.height, height, kernel);
  const { channels } = planes;
  const middle = new Float32Array(planes.height * width);
  const data = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    const source = planes.data.subarray(c * planes.height * planes.width, (c + 1) * planes.height * planes.width);
    const target = data.subarray(c * height * width, (c + 1) * height * width);
    for (let y = 0; y < planes.height; y++) {
      const row = y * planes.width;
      for (let x = 0; x < width; x++) {
        const from = across.start[x]!;
        let sum = 0;
        for (let k = 0; k < across.count; k++)
          sum += across.weights[x * across.count + k]! * (source[row + from + k] ?? 0);
        middle[y * width + x] = sum;
      }
    }
    for (let y = 0; y < height; y++) {
      for (let k = 0; k < down.count; k++) {
        const weight = down.weights[y * down.count + k]!;
        if (weight === 0) continue;
        const row = (down.start[y]! + k) * width;
        for (let x = 0; x < width; x++) target[y * width + x]! += weight * middle[row + x]!;
      }
    }
  }
  return { channels, height, width, data };
}

/** For each target position the first source position and `count` weights that sum to one, none outside the source. */
function taps(sourceSize: number, offset: number, extent: number, targetSize: number, kernel: Kernel) {
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

function place(planes: Planes, width: number, height: number, value: number): Planes {
  const { channels } = planes;
  const data = new Float32Array(channels * height * width).fill(value);
  const [left, top] = [Math.floor((width - planes.width) / 2), Math.floor((height - planes.height) / 2)];
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < planes.height; y++) {
      const row = (c * planes.height + y) * planes.width;
      data.set(planes.data.subarray(row, row + planes.width), (c * height + top + y) * width + left);
    }
  }
  return { channels, height, width, data };
}
