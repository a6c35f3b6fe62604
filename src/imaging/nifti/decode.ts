/** Bytes of a `.nii` or `.nii.gz` file to numbers. */
import { constants, gunzip, gunzipSync } from "node:zlib";
import { endianness } from "node:os";
import { promisify } from "node:util";
import { LeadglassError } from "../../errors.ts";
import { dataTypes, LARGEST_HEADER, readHeader } from "./header.ts";
import type { NiftiDataType, NiftiHeader } from "./header.ts";

export interface NiftiImage extends NiftiHeader {
  /** Scaled values in the file's order, the first axis of `shape` running fastest. */
  readonly data: Float32Array;
}

export interface NiftiOptions {
  /** How the file is called in an error. */
  readonly name?: string;
  /** Refuse files of more voxels than this, before any voxel is allocated. */
  readonly maxVoxels?: number;
}

/** A CT of 512 x 512 x 1,500 slices has about 400 million voxels: 1.6 GB of floats. */
const DEFAULT_MAX_VOXELS = 400_000_000;

/** What may follow the voxels, as some writers pad their files; more is a header that does not belong to its voxels. */
const MAX_PADDING = 2 ** 20;

const unzip = promisify(gunzip);

/**
 * Decodes NIfTI-1 or -2 in one file, gzipped or not (told by its first bytes, not its name), in either byte order.
 * Numbers are scaled in double precision and kept in single: 24 bits of an integer or of a float64 survive.
 *
 * Throws LG-IMAGE-009 (not a whole, valid NIfTI file, or numbers that are not finite), LG-IMAGE-010 (valid, and not
 * read: see readHeader; integers beyond 2^53), LG-IMAGE-002 (too many voxels). Voxels are never partial.
 */
export async function decodeNifti(bytes: Uint8Array, options: NiftiOptions = {}): Promise<NiftiImage> {
  const { name = "volume", maxVoxels = DEFAULT_MAX_VOXELS } = options;
  const gzipped = bytes[0] === 0x1f && bytes[1] === 0x8b; // RFC 1952, 2.3.1
  const header = readHeader(gzipped ? beginning(bytes, name) : bytes, name);
  const voxels = header.shape.reduce((product, side) => product * side, 1);
  if (voxels > maxVoxels)
    throw new LeadglassError(
      "LG-IMAGE-002",
      `${name}: ${header.shape.join(" x ")} voxels, ${voxels} in all; at most ${maxVoxels} are read`,
      { hint: "Crop the volume, or raise maxVoxels if it is what it says it is.", fields: { voxels, maxVoxels } },
    );
  const end = header.offset + voxels * dataTypes[header.dataType].bytes;
  const whole = gzipped ? await inflate(bytes, end + MAX_PADDING, name) : bytes;
  if (whole.length < end || whole.length > end + MAX_PADDING)
    throw invalid(name, `${whole.length} bytes; ${end} expected of ${header.shape.join(" x ")} ${header.dataType}`);
  return { ...header, data: valuesOf(whole.subarray(header.offset, end), header, name) };
}

/** Enough of a gzipped file to read its header; at most 4 MB come out of 4 KiB (RFC 1951: at most 1032 to 1). */
function beginning(bytes: Uint8Array, name: string): Uint8Array {
  try {
    const start = gunzipSync(bytes.subarray(0, 4096), { finishFlush: constants.Z_SYNC_FLUSH });
    return start.subarray(0, LARGEST_HEADER);
  } catch (cause) {
    throw invalid(name, `${bytes.length} bytes that are not gzip`, cause);
  }
}

async function inflate(bytes: Uint8Array, most: number, name: string): Promise<Uint8Array> {
  try {
    return await unzip(bytes, { maxOutputLength: most });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw invalid(
      name,
      code === "ERR_BUFFER_TOO_LARGE"
        ? `more than ${most} bytes once unpacked; its header says fewer`
        : `${bytes.length} bytes of gzip that do not unpack (${code ?? "unknown"})`,
      cause,
    );
  }
}

const invalid = (name: string, message: string, cause?: unknown) =>
  new LeadglassError("LG-IMAGE-009", `${name}: ${message}`, {
    hint: "The file is truncated or damaged: copy it again from its source, or remove its row.",
    cause,
  });

/** Views of aligned memory in the platform's byte order. */
const arrays: Readonly<Record<NiftiDataType, (memory: ArrayBuffer) => ArrayLike<number> | BigInt64Array | BigUint64Array>> = {
  uint8: (memory) => new Uint8Array(memory),
  int8: (memory) => new Int8Array(memory),
  int16: (memory) => new Int16Array(memory),
  uint16: (memory) => new Uint16Array(memory),
  int32: (memory) => new Int32Array(memory),
  uint32: (memory) => new Uint32Array(memory),
  float32: (memory) => new Float32Array(memory),
  float64: (memory) => new Float64Array(memory),
  int64: (memory) => new BigInt64Array(memory),
  uint64: (memory) => new BigUint64Array(memory),
}; // prettier-ignore

const EXACT = BigInt(Number.MAX_SAFE_INTEGER);

function valuesOf(stored: Uint8Array, header: NiftiHeader, name: string): Float32Array {
  const { dataType, byteOrder, slope, intercept } = header;
  const own = Uint8Array.from(stored);
  if ((endianness() === "LE") !== (byteOrder === "little")) swapBytes(own, dataTypes[dataType].bytes);
  const raw = arrays[dataType](own.buffer);
  const data = new Float32Array(raw.length);
  if (raw instanceof BigInt64Array || raw instanceof BigUint64Array) {
    for (let i = 0; i < raw.length; i++) {
      const value = raw[i]!;
      if (value > EXACT || value < -EXACT)
        throw new LeadglassError("LG-IMAGE-010", `${name}: voxel ${i} of ${raw.length} is beyond 2^53`, {
          hint: "Store the volume as int16 or float32.",
        });
      data[i] = Number(value) * slope + intercept;
    }
  } else for (let i = 0; i < raw.length; i++) data[i] = raw[i]! * slope + intercept;

  let odd = 0;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) odd++;
  if (odd > 0)
    throw new LeadglassError("LG-IMAGE-009", `${name}: ${odd} of ${data.length} voxels are not finite numbers`, {
      hint: "Write the volume again with a value where there is none, such as -1024 in a CT.",
    });
  return data;
}

function swapBytes(bytes: Uint8Array, width: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else if (width === 8) buffer.swap64();
}
