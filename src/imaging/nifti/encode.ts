/** Volumes to bytes: NIfTI-1 in one gzipped file. */
import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { LeadglassError } from "../../errors.ts";
import type { Volume } from "../volume.ts";
import { dataTypes } from "./header.ts";

export interface NiftiEncoding {
  /** int16 takes whole numbers from -32,768 to 32,767, uint8 from 0 to 255: nothing is rounded or cut off. */
  readonly dataType?: "uint8" | "int16" | "float32";
  /** Which way the axes of the file run, in the file's order x, y, z: `LPS` is how most CT is stored. */
  readonly axes?: `${"R" | "L"}${"A" | "P"}${"S" | "I"}`;
  /** Where the voxel furthest to the left, back and foot lies: x, y, z in millimetres. */
  readonly originMm?: readonly [number, number, number];
}

const HEADER = 348;
const OFFSET = 352;

/** NIFTI_XFORM_SCANNER_ANAT of nifti1.h: the affine is in the scanner's coordinates. */
const SCANNER = 1;
const MILLIMETRES = 2;

const zip = promisify(gzip);

/**
 * Encodes a volume as `.nii.gz`: little-endian NIfTI-1 with an sform, lengths in millimetres, no scaling.
 * Throws LG-IMAGE-011 for values that the data type does not hold exactly, or a volume of more than 32,767 voxels along
 * an axis, which NIfTI-1 cannot say.
 */
export async function encodeNifti(volume: Volume, options: NiftiEncoding = {}): Promise<Uint8Array> {
  const { dataType = "int16", axes = "RAS", originMm = [0, 0, 0] } = options;
  const [depth, height, width] = volume.shape;
  const sides = [width, height, depth] as const;
  const spacing = volume.spacingMm.toReversed();
  const refuse = (message: string, hint: string) =>
    new LeadglassError("LG-IMAGE-011", `encodeNifti: ${message}`, { hint });
  if (sides.some((side) => side > 32_767))
    throw refuse(`${sides.join(" x ")} voxels; at most 32767 along an axis`, "Crop or resample the volume.");
  if (volume.data.length !== width * height * depth)
    throw refuse(`${volume.data.length} values; ${width * height * depth} expected`, "Make shape and data agree.");

  const { code, bytes: bytesPerVoxel } = dataTypes[dataType];
  const bytes = new Uint8Array(OFFSET + volume.data.length * bytesPerVoxel);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, HEADER, true);
  [3, ...sides, 1, 1, 1, 1].forEach((value, i) => view.setInt16(40 + 2 * i, value, true));
  view.setInt16(70, code, true);
  view.setInt16(72, 8 * bytesPerVoxel, true);
  [1, ...spacing, 0, 0, 0, 0].forEach((value, i) => view.setFloat32(76 + 4 * i, value, true));
  view.setFloat32(108, OFFSET, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, MILLIMETRES);
  view.setInt16(254, SCANNER, true);
  const flips = [axes[0] === "L", axes[1] === "P", axes[2] === "I"];
  flips.forEach((flip, i) => {
    // A flipped axis begins at the other end and runs back.
    view.setFloat32(280 + 20 * i, spacing[i]! * (flip ? -1 : 1), true);
    view.setFloat32(280 + 16 * i + 12, originMm[i]! + (flip ? (sides[i]! - 1) * spacing[i]! : 0), true);
  });
  bytes.set(new TextEncoder().encode("n+1"), 344);

  const put = {
    uint8: (at: number, value: number) => view.setUint8(at, value),
    int16: (at: number, value: number) => view.setInt16(at, value, true),
    float32: (at: number, value: number) => view.setFloat32(at, value, true),
  }[dataType];
  const [low, high] = { uint8: [0, 255], int16: [-32_768, 32_767], float32: [-Infinity, Infinity] }[dataType] as [number, number]; // prettier-ignore
  let at = OFFSET;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const row = ((flips[2] ? depth - 1 - z : z) * height + (flips[1] ? height - 1 - y : y)) * width;
      for (let x = 0; x < width; x++, at += bytesPerVoxel) {
        const value = volume.data[row + (flips[0] ? width - 1 - x : x)]!;
        if (dataType !== "float32" && !(Number.isInteger(value) && value >= low && value <= high))
          throw refuse(`a value that ${dataType} does not hold exactly`, "Round the volume first, or use float32.");
        put(at, value);
      }
    }
  return zip(bytes);
}
