/** A DICOM image to grey or RGB pixels, dark to bright as a viewer shows it. */
import type { PixelImage } from "../pixels.ts";
import { invalid, unsupported } from "./dataset.ts";
import type { DicomImage } from "./decode.ts";
import { looked } from "./tables.ts";

/**
 * Pixels whose full range is the full range of the bits that the file stores, so that two images of a scanner keep their
 * relation and nothing is cut off; 8 bits become 8, others 16. A modality table is applied, MONOCHROME1 inverted, a palette
 * and YCbCr made RGB; the window that a file proposes is not applied.
 * Throws LG-IMAGE-015 for more than 16 bits, LG-IMAGE-014 for values beyond the bits that the file says it stores.
 */
export function dicomToPixels(image: DicomImage, { name = "image" }: { readonly name?: string } = {}): PixelImage {
  const { columns: width, rows: height, data, colour, palette, bitsStored } = image;
  if (palette !== undefined) {
    const bitDepth = palette[0].bits === 8 ? 8 : 16;
    const out = new (bitDepth === 8 ? Uint8Array : Uint16Array)(3 * data.length);
    for (let i = 0; i < data.length; i++) palette.forEach((table, c) => (out[3 * i + c] = looked(table, data[i]!)));
    return { width, height, channels: 3, bitDepth, data: out };
  }
  if (image.samples === 3) {
    const scaled = scaledPixels(data, 0, 2 ** bitsStored - 1, false, name);
    if (colour !== "RGB") toRgb(scaled.data, scaled.bitDepth === 8 ? 255 : 65_535);
    return { width, height, channels: 3, ...scaled };
  }
  if (bitsStored > 16)
    throw unsupported(
      name,
      `${bitsStored} bits stored; an image of at most 16 is read`,
      "Convert the image to 16 bits.",
    );
  const transform = image.modalityTransform;
  const dark = colour === "MONOCHROME1";
  if (transform.kind === "table") {
    const values = Uint16Array.from(data, (value) => looked(transform.table, value));
    return { width, height, channels: 1, ...scaledPixels(values, 0, 2 ** transform.table.bits - 1, dark, name) };
  }
  const low = image.signed ? -(2 ** (bitsStored - 1)) : 0;
  // A falling line turns the order round, as MONOCHROME1 does.
  const falls = transform.slope < 0;
  return { width, height, channels: 1, ...scaledPixels(data, low, low + 2 ** bitsStored - 1, dark !== falls, name) };
}

function scaledPixels(values: ArrayLike<number>, low: number, high: number, invert: boolean, name: string) {
  const bitDepth: 8 | 16 = high - low <= 255 ? 8 : 16;
  const top = bitDepth === 8 ? 255 : 65_535;
  const scale = top / (high - low);
  const data = new (bitDepth === 8 ? Uint8Array : Uint16Array)(values.length);
  let beyond = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value < low || value > high) beyond++;
    const placed = Math.round((value - low) * scale);
    data[i] = invert ? top - placed : placed;
  }
  if (beyond > 0)
    throw invalid(
      name,
      `${beyond} of ${values.length} samples are not from ${low} to ${high}, which its bits stored say`,
    );
  return { bitDepth, data };
}

/** YCbCr to RGB in place (PS3.3, C.7.6.3.1.2, the inverse of YBR_FULL). */
function toRgb(data: Uint8Array | Uint16Array, top: number): void {
  const middle = (top + 1) / 2;
  const cut = (value: number) => Math.min(top, Math.max(0, Math.round(value)));
  for (let i = 0; i < data.length; i += 3) {
    const [y, cb, cr] = [data[i]!, data[i + 1]! - middle, data[i + 2]! - middle];
    data[i] = cut(y + 1.402 * cr);
    data[i + 1] = cut(y - 0.344136 * cb - 0.714136 * cr);
    data[i + 2] = cut(y + 1.772 * cb);
  }
}
