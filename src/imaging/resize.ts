/** Resampling of float planes: separable, antialiased, in single precision from the first to the last step. */
import { LeadglassError } from "../errors.ts";
import { toPlanes } from "./pixels.ts";
import type { PixelImage, Planes } from "./pixels.ts";
import { taps } from "./taps.ts";
import type { Kernel } from "./taps.ts";

export type Fit = "stretch" | "pad" | "crop";
export type { Kernel } from "./taps.ts";

export interface ResizeOptions {
  readonly width: number;
  readonly height: number;
  /** `stretch` ignores the aspect; `pad` keeps it and adds borders; `crop` keeps it and cuts the longer side, centred. */
  readonly fit?: Fit;
  readonly kernel?: Kernel;
  /** The value of the borders that `pad` adds, in the units of the planes. */
  readonly padValue?: number;
}

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
