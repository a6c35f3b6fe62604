/** The bytes of one frame of a DICOM file, as stored or as coded. */
import { bytesOf, invalid } from "./dataset.ts";
import type { ReadHeader } from "./header.ts";

/** How much may follow the last frame, as writers pad to even lengths or words. */
const MAX_PADDING = 64;

/** Bits of a frame that is stored as it is; 4:2:2 colour has one pair of chroma for two pixels. */
export const frameBits = ({ rows, columns, samples, bitsAllocated, photometric }: ReadHeader): number =>
  rows * columns * (photometric === "YBR_FULL_422" ? 2 : samples) * bitsAllocated;

/** The stored bytes of a frame and the bit it begins at. Throws LG-IMAGE-014 where the file holds more or less than it says. */
export function nativeFrame(header: ReadHeader, frame: number, name: string): { bytes: Uint8Array; firstBit: number } {
  const bits = frameBits(header);
  const total = Math.ceil((bits * header.frames) / 8);
  const bytes = header.pixels.encapsulatedPixelData
    ? invalidEncapsulation(name)
    : bytesOf(header.dataset, header.pixels, name);
  if (bytes.length < total || bytes.length > total + MAX_PADDING)
    throw invalid(name, `${bytes.length} bytes of pixels; ${total} expected of ${header.columns} x ${header.rows} pixels, ${header.frames} frames`); // prettier-ignore
  const start = bits * frame;
  return { bytes: bytes.subarray(Math.floor(start / 8), Math.ceil((start + bits) / 8)), firstBit: start % 8 };
}

function invalidEncapsulation(name: string): never {
  throw invalid(name, "pixels in fragments under a transfer syntax without them");
}

/**
 * The coded bytes of a frame, put together from its fragments (PS3.5, A.4): by the offset table where there is one, else one
 * fragment a frame, else a frame begins where a fragment begins as a stream does. Throws LG-IMAGE-014 where these do not
 * give as many frames as the file says.
 */
export function codedFrame(header: ReadHeader, frame: number, name: string): Uint8Array {
  const { dataset, pixels, frames } = header;
  const fragments = pixels.fragments ?? [];
  if (pixels.encapsulatedPixelData !== true || fragments.length === 0)
    throw invalid(name, "no fragments of pixels under a transfer syntax that has them");
  const offsets = pixels.basicOffsetTable ?? [];
  const bytesAt = (i: number) => dataset.byteArray.subarray(fragments[i]!.position, fragments[i]!.position + fragments[i]!.length); // prettier-ignore
  let starts: number[];
  if (frames === 1) starts = [0];
  else if (offsets.length === frames)
    starts = offsets.map((offset) => fragments.findIndex((fragment) => fragment.offset === offset));
  else if (fragments.length === frames) starts = fragments.map((_, i) => i);
  else starts = fragments.flatMap((_, i) => (isStart(bytesAt(i)) ? [i] : []));
  if (starts.length !== frames || starts.some((start, i) => start < 0 || (i > 0 && start <= starts[i - 1]!)))
    throw invalid(name, `${fragments.length} fragments that cannot be told apart into ${frames} frames`);
  const last = starts[frame + 1] ?? fragments.length;
  const parts = Array.from({ length: last - starts[frame]! }, (_, i) => bytesAt(starts[frame]! + i));
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** FFD8 begins JPEG and JPEG-LS, FF4F JPEG 2000. */
const isStart = (bytes: Uint8Array) => bytes[0] === 0xff && (bytes[1] === 0xd8 || bytes[1] === 0x4f);
