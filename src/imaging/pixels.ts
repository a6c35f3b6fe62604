/** Pixel arrays as plain values: integers as a file holds them, and float planes as a model takes them. */

/** Decoded pixels as stored in the file: rows top to bottom, channels interleaved, no alpha. */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly bitDepth: 8 | 16;
  /** `width * height * channels` samples; Uint16Array exactly when `bitDepth` is 16. */
  readonly data: Uint8Array | Uint16Array;
}

/** Float pixels, planar: `data[(c * height + y) * width + x]`, the [C, H, W] of a model's input. */
export interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** Rec. 601 luma, the weights by which a colour file stands for a grey one (ITU-R BT.601-7, section 2.5.1). */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * Integers to floats in [0, 1]: each sample divided by the largest of its bit depth, so 8 and 16 bit files are alike.
 * `channels` 1 turns colour into grey by luma; 3 repeats grey; the default keeps what the file has.
 */
export function toPlanes(image: PixelImage, { channels = image.channels }: { channels?: 1 | 3 } = {}): Planes {
  const { width, height, data } = image;
  const size = width * height;
  const scale = 1 / (image.bitDepth === 8 ? 255 : 65535);
  const out = new Float32Array(size * channels);
  if (image.channels === 1) {
    for (let i = 0; i < size; i++) out[i] = data[i]! * scale;
    for (let c = 1; c < channels; c++) out.copyWithin(c * size, 0, size);
  } else if (channels === 3) {
    for (let i = 0; i < size; i++) for (let c = 0; c < 3; c++) out[c * size + i] = data[3 * i + c]! * scale;
  } else {
    for (let i = 0; i < size; i++)
      out[i] = (LUMA[0] * data[3 * i]! + LUMA[1] * data[3 * i + 1]! + LUMA[2] * data[3 * i + 2]!) * scale;
  }
  return { channels, height, width, data: out };
}

/**
 * Floats in [0, 1] back to integers, rounding to nearest; what lies outside [0, 1] is cut off to the ends.
 * One or three planes.
 */
export function toPixels(planes: Planes, { bitDepth = 8 }: { bitDepth?: 8 | 16 } = {}): PixelImage {
  const { width, height, data } = planes;
  const channels = planes.channels === 3 ? 3 : 1;
  const size = width * height;
  const top = bitDepth === 8 ? 255 : 65535;
  const out = bitDepth === 8 ? new Uint8Array(size * channels) : new Uint16Array(size * channels);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < size; i++) {
      const value = Math.round(data[c * size + i]! * top);
      out[i * channels + c] = value < 0 ? 0 : value > top ? top : value;
    }
  }
  return { width, height, channels, bitDepth, data: out };
}
