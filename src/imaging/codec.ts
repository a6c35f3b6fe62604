/** Bytes to pixels and back: PNG, JPEG and DICOM, 8 and 16 bit. */
import sharp from "sharp";
import { LeadglassError } from "../errors.ts";
import { isDicom } from "./dicom/dataset.ts";
import { decodeDicom } from "./dicom/decode.ts";
import { dicomToPixels } from "./dicom/to-pixels.ts";
import type { PixelImage } from "./pixels.ts";

// Every image is decoded once and kept by us, so libvips' own cache would only hold memory twice; and one thread an
// image is faster for small images than several, since many are decoded at once and the engine needs the cores.
sharp.cache(false);
sharp.concurrency(1);

export interface DecodeOptions {
  /** How the image is called in an error: a file name, or something less telling where names are identities. */
  readonly name?: string;
  /** Refuse images of more pixels than this, before any pixel is allocated. */
  readonly maxPixels?: number;
  /** What to do with an alpha channel that is not opaque everywhere; an opaque one changes nothing and is dropped. */
  readonly alpha?: "refuse" | "drop";
}

/** A full-field digital mammogram has about 24 million pixels; a stitched spine film up to 60 million. */
const DEFAULT_MAX_PIXELS = 100_000_000;

const SIGNATURES: readonly { format: string; bytes: readonly number[] }[] = [
  { format: "png", bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] }, // PNG (ISO/IEC 15948) 5.2
  { format: "jpeg", bytes: [0xff, 0xd8, 0xff] }, // ITU-T T.81 B.1.1.3: SOI and the start of the next marker
];

/** Channels and bit depth of the colour spaces that libvips finds in PNG and JPEG. */
const SPACES: Readonly<Record<string, { channels: 1 | 3; bitDepth: 8 | 16 }>> = {
  "b-w": { channels: 1, bitDepth: 8 },
  srgb: { channels: 3, bitDepth: 8 },
  grey16: { channels: 1, bitDepth: 16 },
  rgb16: { channels: 3, bitDepth: 16 },
};

/**
 * Decodes a PNG, JPEG or DICOM file into the sample values that the file holds: no colour management, no change of bit depth, turned
 * upright as its EXIF orientation says. PNG of 1, 2 and 4 bit becomes 8 bit over the full range; a palette becomes colour.
 * DICOM files of one frame are made pixels as `dicomToPixels` says.
 *
 * Throws LG-IMAGE-001 (bytes that are not a whole, valid PNG or JPEG), LG-IMAGE-002 (too many pixels), LG-IMAGE-003
 * (CMYK and other spaces), LG-IMAGE-004 (an alpha channel that hides something), and of DICOM LG-IMAGE-014 and -015. Pixels
 * are never partial.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<PixelImage> {
  const { name = "image", maxPixels = DEFAULT_MAX_PIXELS, alpha = "refuse" } = options;
  if (isDicom(bytes)) return dicomToPixels(await decodeDicom(bytes, { name, maxPixels }), { name });
  if (!SIGNATURES.some((signature) => signature.bytes.every((byte, i) => bytes[i] === byte)))
    throw new LeadglassError(
      "LG-IMAGE-001",
      `${name}: ${bytes.length} bytes that do not begin as a PNG, JPEG or DICOM file`,
      {
        hint: "Store the image as PNG, JPEG or DICOM, or remove its row.",
      },
    );

  if (bytes[0] === SIGNATURES[0]!.bytes[0] && !endsAsPng(bytes)) unreadable(name, bytes.length)(undefined);

  const input = { failOn: "warning", limitInputPixels: false, ignoreIcc: true, autoOrient: true } as const;
  const metadata = await sharp(bytes, input).metadata().catch(unreadable(name, bytes.length));
  const { width, height } = metadata;
  if (width * height > maxPixels)
    throw new LeadglassError("LG-IMAGE-002", `${name}: ${width} x ${height} pixels; at most ${maxPixels} are read`, {
      hint: "Make the image smaller, or raise maxPixels if it is what it says it is.",
      fields: { width, height, maxPixels },
    });
  const space = SPACES[metadata.space];
  if (space === undefined)
    throw new LeadglassError("LG-IMAGE-003", `${name}: colour space ${metadata.space}; grey or RGB was expected`, {
      hint: "Convert the image to grey or RGB.",
    });

  if (metadata.hasAlpha && alpha === "refuse") {
    const { isOpaque } = await sharp(bytes, input).stats().catch(unreadable(name, bytes.length));
    if (!isOpaque)
      throw new LeadglassError("LG-IMAGE-004", `${name}: has an alpha channel that is not opaque everywhere`, {
        hint: 'Flatten the image on a known background, or pass alpha: "drop" to ignore transparency.',
      });
  }

  const pipeline = sharp(bytes, input).removeAlpha().toColourspace(metadata.space);
  const { data, info } = await pipeline
    .raw({ depth: space.bitDepth === 8 ? "uchar" : "ushort" })
    .toBuffer({ resolveWithObject: true })
    .catch(unreadable(name, bytes.length));
  const samples = info.width * info.height * space.channels;
  if (info.channels !== space.channels || data.length !== (samples * space.bitDepth) / 8)
    throw new LeadglassError("LG-IMAGE-001", `${name}: ${data.length} bytes of pixels; ${samples} samples expected`, {
      hint: "Save the image again as plain grey or RGB.",
    });
  const shape = { width: info.width, height: info.height, channels: space.channels, bitDepth: space.bitDepth };
  if (space.bitDepth === 8) return { ...shape, data: new Uint8Array(data.buffer, data.byteOffset, samples) };
  // A pooled buffer may start at an odd byte, where a Uint16Array may not.
  const aligned = data.byteOffset % 2 === 0 ? data : Uint8Array.from(data);
  return { ...shape, data: new Uint16Array(aligned.buffer, aligned.byteOffset, samples) };
}

/** Whether the chunks of a PNG run to its end chunk; libpng does not mind when only that is missing. */
function endsAsPng(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const END = 0x49454e44; // "IEND", ISO/IEC 15948 11.2.5
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at))
    if (view.getUint32(at + 4) === END) return true;
  return false;
}

function unreadable(name: string, length: number) {
  return (cause: unknown): never => {
    throw new LeadglassError("LG-IMAGE-001", `${name}: ${length} bytes that are not a whole, valid PNG or JPEG file`, {
      hint: "The file is truncated or damaged: copy it again from its source, or remove its row.",
      cause,
    });
  };
}

/** Encodes pixels as PNG without loss, grey or RGB, 8 or 16 bit, with no metadata. */
export async function encodePng(image: PixelImage): Promise<Uint8Array> {
  const { width, height, channels, bitDepth, data } = image;
  const wanted = width * height * channels;
  if (data.length !== wanted || data instanceof Uint16Array !== (bitDepth === 16))
    throw new LeadglassError(
      "LG-IMAGE-005",
      `encodePng: ${data.constructor.name} of ${data.length}; ${width} x ${height} x ${channels} of ${bitDepth} bit expected`,
      { hint: "Make width, height, channels and bitDepth agree with data." },
    );
  const space = Object.keys(SPACES).find(
    (key) => SPACES[key]!.channels === channels && SPACES[key]!.bitDepth === bitDepth,
  );
  return sharp(data, { raw: { width, height, channels } })
    .toColourspace(space!)
    .png({ compressionLevel: 6 })
    .toBuffer();
}
