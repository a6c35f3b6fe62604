/**
 * Radiographs prepared as the study of Tayebi Arasteh et al. 2024 prepared them, for comparison with it; but for the JPEG
 * files it kept them in, whose losses depend on the encoder.
 */
import type { PixelImage, Planes } from "./pixels.ts";
import { splineZoom } from "./spline.ts";

/** Rec. 601 luma in whole steps, as image libraries make grey of colour. */
function greyOf({ channels, data }: PixelImage): ArrayLike<number> {
  if (channels === 1) return data;
  return Uint16Array.from({ length: data.length / 3 }, (_, i) =>
    Math.round(0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!),
  );
}

/** To the nearest whole number, halves to the even one: what numpy's and OpenCV's rounding does. */
function halfEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** The smallest value to 0 and the largest to 255; one constant value becomes 0. */
export function toBytes(values: ArrayLike<number>): Uint8Array {
  let [min, max] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    min = Math.min(min, values[i]!);
    max = Math.max(max, values[i]!);
  }
  return Uint8Array.from(values, (value) => (max > min ? halfEven(((value - min) / (max - min)) * 255) : 0));
}

/**
 * Histogram equalisation over the whole image: the darkest grey that occurs goes to 0, every other to the share of the
 * remaining pixels that are at most as bright, times 255, in single precision as `cv2.equalizeHist` computes it.
 */
export function equaliseHistogram(pixels: Uint8Array): Uint8Array {
  const counts = new Uint32Array(256);
  for (const value of pixels) counts[value]!++;
  const darkest = counts.findIndex((count) => count > 0);
  if (pixels.length === 0 || counts[darkest] === pixels.length) return pixels.slice();
  const scale = Math.fround(255 / (pixels.length - counts[darkest]!));
  const table = new Uint8Array(256);
  let sum = 0;
  for (let value = darkest + 1; value < 256; value++) {
    sum += counts[value]!;
    table[value] = Math.min(255, halfEven(Math.fround(Math.fround(sum) * scale)));
  }
  return pixels.map((value) => table[value]!);
}

/**
 * Grey, brought to `size` x `size` by quadratic splines without keeping the aspect, the range to bytes, inverted where the
 * file stores white as 0 (DICOM's MONOCHROME1), and the histogram equalised. Returns planes in [0, 1], the same in each
 * of `channels`. Throws LG-IMAGE-006 for a size that is not a whole number above 0.
 * Source: the preprocessing code that the authors published with an earlier study of theirs.
 */
export function referencePlanes(
  image: PixelImage,
  { size, channels = 1, inverted = false }: { size: number; channels?: 1 | 3; inverted?: boolean },
): Planes {
  const most = image.bitDepth === 8 ? 255 : 65_535;
  // scipy returns what it was given: whole numbers of the file's depth, halves rounded up.
  const zoomed = splineZoom(greyOf(image), image, { width: size, height: size }).map((value) =>
    Math.min(most, Math.max(0, Math.floor(value + 0.5))),
  );
  const bytes = toBytes(zoomed);
  const equalised = equaliseHistogram(inverted ? bytes.map((value) => 255 - value) : bytes);
  const area = size * size;
  const data = new Float32Array(channels * area);
  for (let i = 0; i < data.length; i++) data[i] = equalised[i % area]! / 255;
  return { channels, height: size, width: size, data };
}
