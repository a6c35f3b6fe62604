/** Bytes of a DICOM file to the numbers that its pixels are stored as. */
import { endianness } from "node:os";
import { LeadglassError } from "../../errors.ts";
import { invalid, unsupported } from "./dataset.ts";
import type { DataSet } from "./dataset.ts";
import { codedFrame, nativeFrame } from "./frames.ts";
import { DEFAULT_MAX_PIXELS, readHeader } from "./header.ts";
import type { DicomHeader, Photometric, ReadHeader } from "./header.ts";
import { decodeJpeg } from "./jpeg/decode.ts";
import { decodeRle } from "./rle.ts";
import { looked } from "./tables.ts";
import type { Palette } from "./tables.ts";
import { decodeByWasm } from "./wasm.ts";

export type StoredArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

export interface DicomImage extends DicomHeader {
  /** Which frame this is, from 0. */
  readonly frame: number;
  /** What the samples are once decoded: compressed colour may come out as RGB where the file stores it as something else. */
  readonly colour: Photometric;
  readonly palette: Palette | undefined;
  /** `data[(y * columns + x) * samples + c]`, as stored: before any rescaling, table or inversion. */
  readonly data: StoredArray;
}

export interface DicomOptions {
  /** How the file is called in an error. */
  readonly name?: string;
  /** Which frame of several, from 0; a file of several frames is refused where none is chosen. */
  readonly frame?: number;
  /** Refuse images of more pixels than this, before any is allocated. */
  readonly maxPixels?: number;
}

/**
 * The header of a DICOM Part 10 file, without what names a person. Throws LG-IMAGE-014 and -015 as `decodeDicom`.
 */
export function readDicomHeader(bytes: Uint8Array, { name = "image" }: Pick<DicomOptions, "name"> = {}): DicomHeader {
  return publicOf(readHeader(bytes, name));
}

function publicOf(header: ReadHeader): DicomHeader {
  const { dataset: _1, syntax: _2, pixels: _3, highBit: _4, planar: _5, palette: _6, seriesUid: _7, ...rest } = header;
  return rest;
}

/**
 * Decodes one frame of a DICOM Part 10 file to the numbers it stores: uncompressed in both byte orders, deflated, RLE, JPEG
 * (8, 12 bit and lossless), JPEG-LS, JPEG 2000 and its high-throughput kind.
 *
 * Throws LG-IMAGE-014 (bytes that are not a whole, valid DICOM file), LG-IMAGE-015 (valid, and not read: no pixels, other
 * syntaxes, floating point, several frames and none chosen), LG-IMAGE-002 (too many pixels). Pixels are never partial.
 */
export async function decodeDicom(bytes: Uint8Array, options: DicomOptions = {}): Promise<DicomImage> {
  const { name = "image" } = options;
  return decodeFrame(readHeader(bytes, name), options);
}

/** The frame that `options` ask for, of a file whose header is read. */
export async function decodeFrame(header: ReadHeader, options: DicomOptions): Promise<DicomImage> {
  const { name = "image", frame, maxPixels = DEFAULT_MAX_PIXELS } = options;
  const { rows, columns, frames, palette } = header;
  if (rows * columns > maxPixels)
    throw new LeadglassError("LG-IMAGE-002", `${name}: ${columns} x ${rows} pixels; at most ${maxPixels} are read`, {
      hint: "Make the image smaller, or raise maxPixels if it is what it says it is.",
      fields: { width: columns, height: rows, maxPixels },
    });
  if (frame === undefined ? frames > 1 : !(Number.isInteger(frame) && frame >= 0 && frame < frames))
    throw unsupported(
      name,
      `${frames} frames${frame === undefined ? "" : `, and frame ${frame} asked for`}`,
      frames > 1 ? `Choose a frame from 0 to ${frames - 1}, or store one frame a file.` : "There is only frame 0.",
    );
  const { data, colour } = await samplesOf(header, frame ?? 0, name);
  return { ...publicOf(header), frame: frame ?? 0, colour, palette, data };
}

async function samplesOf(header: ReadHeader, frame: number, name: string) {
  const { rows, columns, samples, photometric, bitsAllocated } = header;
  const { coding } = header.syntax;
  const fail = (message: string): never => {
    throw invalid(name, message);
  };
  const pixels = rows * columns;
  if (coding === "native") return { data: native(header, frame, name), colour: photometric === "YBR_FULL_422" ? "YBR_FULL" : photometric } as const; // prettier-ignore
  const coded = codedFrame(header, frame, name);
  if (coding === "rle") {
    if (bitsAllocated === 1) return fail("run-length coded pixels of 1 bit");
    const bytesEach = (bitsAllocated / 8) as 1 | 2 | 4;
    const unpacked = decodeRle(coded, { pixels, samples, bytesEach }, fail);
    return { data: placed(littleEndian(unpacked, bytesEach), header), colour: photometric };
  }
  const expected = { width: columns, height: rows, components: samples };
  if (coding === "jpeg") {
    const { data, precision, adobe } = decodeJpeg(coded, expected, fail);
    // An Adobe marker says how the stream was coded, which a header may no longer.
    const colour = samples === 1 || adobe === undefined ? photometric : adobe === 0 ? "RGB" : "YBR_FULL";
    return { data: decoded(data, precision, false, header, fail), colour: colour === "YBR_FULL_422" ? "YBR_FULL" : colour } as const; // prettier-ignore
  }
  const { bytes, bits, signed } = await decodeByWasm(coding, coded, expected, fail);
  const data = decoded(littleEndian(bytes, bits > 8 ? 2 : 1), bits, signed, header, fail);
  // JPEG 2000 undoes its colour transform while it decodes.
  return { data, colour: coding !== "jpeg-ls" && samples === 3 ? "RGB" : photometric } as const;
}

/** Whole little-endian bytes as unsigned numbers. */
function littleEndian(
  bytes: Uint8Array,
  bytesEach: 1 | 2 | 4,
  bigEndian = false,
): Uint8Array | Uint16Array | Uint32Array {
  if (bytesEach === 1) return bytes;
  const own = Uint8Array.from(bytes);
  if (bigEndian === (endianness() === "LE")) {
    const buffer = Buffer.from(own.buffer);
    if (bytesEach === 2) buffer.swap16();
    else buffer.swap32();
  }
  return bytesEach === 2 ? new Uint16Array(own.buffer) : new Uint32Array(own.buffer);
}

const arrays = {
  1: { signed: Uint8Array, unsigned: Uint8Array },
  8: { signed: Int8Array, unsigned: Uint8Array },
  16: { signed: Int16Array, unsigned: Uint16Array },
  32: { signed: Int32Array, unsigned: Uint32Array },
} as const;

function native(header: ReadHeader, frame: number, name: string): StoredArray {
  const { rows, columns, samples, bitsAllocated, photometric, planar } = header;
  const { bytes, firstBit } = nativeFrame(header, frame, name);
  const pixels = rows * columns;
  if (bitsAllocated === 1)
    return Uint8Array.from({ length: pixels }, (_, i) => (bytes[(firstBit + i) >> 3]! >> ((firstBit + i) & 7)) & 1);
  if (photometric === "YBR_FULL_422") {
    if (bitsAllocated !== 8 || columns % 2 !== 0)
      throw invalid(
        name,
        `YBR_FULL_422 of ${bitsAllocated} bits and ${columns} columns; 8 bits and an even number expected`,
      );
    const data = new Uint8Array(3 * pixels);
    // Two pixels are stored as Y1 Y2 Cb Cr.
    for (let i = 0; i < pixels; i++) {
      data[3 * i] = bytes[(i >> 1) * 4 + (i & 1)]!;
      data[3 * i + 1] = bytes[(i >> 1) * 4 + 2]!;
      data[3 * i + 2] = bytes[(i >> 1) * 4 + 3]!;
    }
    return data;
  }
  const values = littleEndian(bytes, (bitsAllocated / 8) as 1 | 2 | 4, header.syntax.bigEndian);
  const stored = values.subarray(0, pixels * samples);
  return placed(planar ? interleaved(stored, pixels) : stored, header);
}

function interleaved<T extends Uint8Array | Uint16Array | Uint32Array>(planes: T, pixels: number): T {
  const out = planes.slice() as T;
  for (let c = 0; c < 3; c++) for (let i = 0; i < pixels; i++) out[3 * i + c] = planes[c * pixels + i]!;
  return out;
}

/**
 * Numbers from allocated bits. What lies above the highest bit belongs to them, as most writers extend the sign, unless an
 * overlay is kept there (PS3.5, 8.1.1, retired).
 */
function placed(allocated: Uint8Array | Uint16Array | Uint32Array, header: ReadHeader): StoredArray {
  const { bitsAllocated, bitsStored, highBit, signed, dataset } = header;
  const shift = highBit + 1 - bitsStored;
  const own = new arrays[bitsAllocated][signed ? "signed" : "unsigned"](allocated) as StoredArray;
  if (shift === 0 && (bitsStored === bitsAllocated || !hasEmbeddedOverlay(dataset))) return own;
  const up = 32 - bitsStored;
  for (let i = 0; i < own.length; i++) {
    const value = (allocated[i]! >>> shift) << up;
    own[i] = signed ? value >> up : value >>> up;
  }
  return own;
}

/** Overlay planes of groups 6000 to 601E that name a bit of the pixels instead of data of their own. */
function hasEmbeddedOverlay({ elements }: DataSet): boolean {
  return Array.from({ length: 16 }, (_, i) => `x60${(2 * i).toString(16).padStart(2, "0")}`).some(
    (group) => elements[`${group}0102`] !== undefined && elements[`${group}3000`] === undefined,
  );
}

/** Numbers from a stream of `bits` bits; what is signed by the header and not in the stream is so by its highest bit. */
function decoded(
  values: Uint8Array | Uint16Array | Uint32Array,
  bits: number,
  streamSigned: boolean,
  header: ReadHeader,
  fail: (message: string) => never,
): StoredArray {
  const { bitsAllocated, signed } = header;
  if (bitsAllocated === 1 || bits > bitsAllocated)
    return fail(`a stream of ${bits} bits; ${bitsAllocated} are allocated`);
  const up = 32 - bits;
  const extends_ = bits < bitsAllocated && (signed || streamSigned);
  const own = new arrays[bitsAllocated][signed ? "signed" : "unsigned"](values.length) as StoredArray;
  for (let i = 0; i < own.length; i++) own[i] = extends_ ? (values[i]! << up) >> up : values[i]!;
  return own;
}

/** The numbers that the stored ones stand for: Hounsfield units in CT. The file's window is not applied, nor its polarity. */
export function dicomValues({ data, modalityTransform: transform }: DicomImage): Float32Array {
  const out = new Float32Array(data.length);
  if (transform.kind === "table") for (let i = 0; i < out.length; i++) out[i] = looked(transform.table, data[i]!);
  else for (let i = 0; i < out.length; i++) out[i] = data[i]! * transform.slope + transform.intercept;
  return out;
}
