/** The header of a NIfTI file: what its voxels are, and where in the patient they lie. */
import { LeadglassError } from "../../errors.ts";
import { affineOfQform, isInvertible } from "./affine.ts";
import type { Affine } from "./affine.ts";

/** How voxels are stored: the NIfTI code, bytes a voxel. */
export const dataTypes = {
  uint8: { code: 2, bytes: 1 },
  int16: { code: 4, bytes: 2 },
  int32: { code: 8, bytes: 4 },
  float32: { code: 16, bytes: 4 },
  float64: { code: 64, bytes: 8 },
  int8: { code: 256, bytes: 1 },
  uint16: { code: 512, bytes: 2 },
  uint32: { code: 768, bytes: 4 },
  int64: { code: 1024, bytes: 8 },
  uint64: { code: 1280, bytes: 8 },
} as const;

export type NiftiDataType = keyof typeof dataTypes;

/** Types of the standard (nifti1.h, NIFTI_TYPE_*) that are no grey values, or of more digits than a number here holds. */
const refusedTypes: Readonly<Record<number, string>> = {
  0: "unknown",
  1: "binary",
  32: "complex64",
  128: "rgb24",
  1536: "float128",
  1792: "complex128",
  2048: "complex256",
  2304: "rgba32",
};

export interface NiftiHeader {
  readonly version: 1 | 2;
  readonly byteOrder: "little" | "big";
  /** Voxels along each stored axis, the first running fastest in the file: three of space, then time and others. */
  readonly shape: readonly number[];
  readonly dataType: NiftiDataType;
  /** A stored number s means `s * slope + intercept`; 1 and 0 where the file says there is no scaling. */
  readonly slope: number;
  readonly intercept: number;
  /** Byte of the first voxel. */
  readonly offset: number;
  /** Voxel indices to millimetres, x to the patient's right, y to the front, z to the head. */
  readonly affine: Affine;
  /** Which part of the header the affine is from; with `none` the file does not say where left is. */
  readonly orientedBy: "sform" | "qform" | "none";
  /** Unit of length in the file; the affine is in millimetres all the same, and `unknown` is taken for them. */
  readonly unit: "m" | "mm" | "um" | "unknown";
}

/** Bytes that hold any header: that of NIfTI-2. */
export const LARGEST_HEADER = 540;

/** Where the fields lie: nifti1.h and nifti2.h of the NIfTI-1.1 and NIfTI-2 standards. */
const layouts = {
  1: {
    size: 348,
    magicAt: 344,
    single: "n+1\0",
    pair: "ni1\0",
    dim: (v: DataView, i: number, le: boolean) => v.getInt16(40 + 2 * i, le),
    dataType: (v: DataView, le: boolean) => v.getInt16(70, le),
    bitsPerVoxel: (v: DataView, le: boolean) => v.getInt16(72, le),
    pixdim: (v: DataView, i: number, le: boolean) => v.getFloat32(76 + 4 * i, le),
    offset: (v: DataView, le: boolean) => v.getFloat32(108, le),
    slope: (v: DataView, le: boolean) => v.getFloat32(112, le),
    intercept: (v: DataView, le: boolean) => v.getFloat32(116, le),
    units: (v: DataView) => v.getUint8(123),
    qformCode: (v: DataView, le: boolean) => v.getInt16(252, le),
    sformCode: (v: DataView, le: boolean) => v.getInt16(254, le),
    /** Three quaternion parameters, then three offsets. */
    quatern: (v: DataView, i: number, le: boolean) => v.getFloat32(256 + 4 * i, le),
    srow: (v: DataView, i: number, le: boolean) => v.getFloat32(280 + 4 * i, le),
  },
  2: {
    size: 540,
    magicAt: 4,
    single: "n+2\0\r\n\x1a\n",
    pair: "ni2\0\r\n\x1a\n",
    dim: (v: DataView, i: number, le: boolean) => Number(v.getBigInt64(16 + 8 * i, le)),
    dataType: (v: DataView, le: boolean) => v.getInt16(12, le),
    bitsPerVoxel: (v: DataView, le: boolean) => v.getInt16(14, le),
    pixdim: (v: DataView, i: number, le: boolean) => v.getFloat64(104 + 8 * i, le),
    offset: (v: DataView, le: boolean) => Number(v.getBigInt64(168, le)),
    slope: (v: DataView, le: boolean) => v.getFloat64(176, le),
    intercept: (v: DataView, le: boolean) => v.getFloat64(184, le),
    units: (v: DataView, le: boolean) => v.getInt32(500, le),
    qformCode: (v: DataView, le: boolean) => v.getInt32(344, le),
    sformCode: (v: DataView, le: boolean) => v.getInt32(348, le),
    quatern: (v: DataView, i: number, le: boolean) => v.getFloat64(352 + 8 * i, le),
    srow: (v: DataView, i: number, le: boolean) => v.getFloat64(400 + 8 * i, le),
  },
} as const;

const MILLIMETRES = { 0: 1, 1: 1000, 2: 1, 3: 0.001 } as const;
const UNITS = { 0: "unknown", 1: "m", 2: "mm", 3: "um" } as const;

/**
 * Reads the header at the start of (uncompressed) bytes and checks it, before anything of the size it tells is allocated.
 * Throws LG-IMAGE-009 for bytes that are no NIfTI header or contradict themselves, LG-IMAGE-010 for what is valid and
 * not read: a header whose voxels are in another file, ANALYZE 7.5, complex numbers and colours, an affine without an
 * inverse. Source: the NIfTI-1.1 and NIfTI-2 standards (nifti1.h, nifti2.h).
 */
export function readHeader(bytes: Uint8Array, name: string): NiftiHeader {
  const bad = (message: string) =>
    new LeadglassError("LG-IMAGE-009", `${name}: ${message}`, {
      hint: "The file is damaged or no NIfTI file: copy it again from its source, or remove its row.",
    });
  const refuse = (message: string, hint: string) => new LeadglassError("LG-IMAGE-010", `${name}: ${message}`, { hint });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < layouts[1].size)
    throw bad(`${bytes.length} bytes; a NIfTI header has at least ${layouts[1].size}`);
  const found = ([1, 2] as const).flatMap((version) =>
    [true, false].flatMap((le) => (view.getInt32(0, le) === layouts[version].size ? [{ version, le }] : [])),
  )[0];
  if (found === undefined)
    throw bad(`${bytes.length} bytes that begin with neither ${layouts[1].size} nor ${layouts[2].size}`);
  const { version, le } = found;
  const layout = layouts[version];
  if (bytes.length < layout.size) throw bad(`${bytes.length} bytes; a NIfTI-2 header has ${layout.size}`);

  const magic = String.fromCharCode(...bytes.subarray(layout.magicAt, layout.magicAt + layout.single.length));
  if (magic === layout.pair)
    throw refuse("a header whose voxels are in a second file (.hdr and .img)", "Convert the pair to one .nii file.");
  if (magic !== layout.single)
    throw version === 1 && /^\0*$/.test(magic)
      ? refuse("an ANALYZE 7.5 header, which does not tell left from right", "Convert the file to NIfTI.")
      : bad(`a header of NIfTI-${version} without its magic string`);

  const dimensions = layout.dim(view, 0, le);
  if (dimensions < 1 || dimensions > 7) throw bad(`${dimensions} dimensions; 1 to 7 expected`);
  const shape = Array.from({ length: Math.max(3, dimensions) }, (_, i) => (i < dimensions ? layout.dim(view, i + 1, le) : 1)); // prettier-ignore
  const empty = shape.findIndex((side) => !(Number.isSafeInteger(side) && side >= 1));
  if (empty >= 0) throw bad(`${shape[empty]} voxels along axis ${empty + 1}; at least 1 expected`);

  const code = layout.dataType(view, le);
  const entry = Object.entries(dataTypes).find(([, type]) => type.code === code);
  if (entry === undefined)
    throw code in refusedTypes
      ? refuse(
          `voxels of type ${refusedTypes[code]} (${code})`,
          `Convert the file to one of: ${Object.keys(dataTypes).join(", ")}.`,
        )
      : bad(`voxels of type ${code}, which the standard does not know`);
  const [dataType, { bytes: width }] = entry as [NiftiDataType, { bytes: number }];
  const bits = layout.bitsPerVoxel(view, le);
  if (bits !== 8 * width) throw bad(`${bits} bits a voxel; ${8 * width} expected of ${dataType}`);

  const offset = layout.offset(view, le);
  const earliest = layout.size + 4; // four bytes say whether extensions follow
  if (!Number.isSafeInteger(offset) || offset < earliest)
    throw bad(`voxels at byte ${offset}; at byte ${earliest} or later expected`);

  const slope = layout.slope(view, le);
  const intercept = layout.intercept(view, le);
  const scaled = slope !== 0 && Number.isFinite(slope); // nifti1.h: a slope of 0 is no scaling
  if (scaled && !Number.isFinite(intercept)) throw bad(`a scaling of slope ${slope} and intercept ${intercept}`);

  const spatial = layout.units(view, le) & 0x07;
  if (!(spatial in UNITS)) throw bad(`unit of length ${spatial}; 0 to 3 expected`);
  const unit = spatial as keyof typeof UNITS;
  const { affine, orientedBy } = place(view, layout, le, bad);
  const millimetres = affine.map((row) => row.map((value) => value * MILLIMETRES[unit])) as unknown as Affine;
  if (!isInvertible(millimetres))
    throw refuse(
      `an affine (from ${orientedBy === "none" ? "the voxel sizes" : orientedBy}) that has no inverse`,
      "Write the file again with the place of its voxels: an axis of length 0 or two axes in one line have none.",
    );
  return {
    version,
    byteOrder: le ? "little" : "big",
    shape,
    dataType,
    slope: scaled ? slope : 1,
    intercept: scaled ? intercept : 0,
    offset,
    affine: millimetres,
    orientedBy,
    unit: UNITS[unit],
  };
}

/** The sform where there is one, else the qform, else voxel sizes alone (methods 3, 2 and 1 of nifti1.h). */
function place(
  view: DataView,
  layout: (typeof layouts)[1 | 2],
  le: boolean,
  bad: (message: string) => LeadglassError,
): { affine: Affine; orientedBy: NiftiHeader["orientedBy"] } {
  const row = (r: number) => [0, 1, 2, 3].map((c) => layout.srow(view, 4 * r + c, le)) as unknown as Affine[0];
  if (layout.sformCode(view, le) > 0) return { affine: [row(0), row(1), row(2)], orientedBy: "sform" };
  const sizes = [1, 2, 3].map((i) => Math.abs(layout.pixdim(view, i, le))) as [number, number, number];
  if (layout.qformCode(view, le) > 0) {
    const [b, c, d, x, y, z] = [0, 1, 2, 3, 4, 5].map((i) => layout.quatern(view, i, le)) as [number, number, number, number, number, number]; // prettier-ignore
    // b, c and d are written with seven digits, so their squares may pass one by that much and no more.
    const squares = b * b + c * c + d * d;
    if (!(squares <= 1 + 1e-6)) throw bad(`a qform whose quaternion has length ${Math.sqrt(squares).toFixed(4)}`);
    const qfac = layout.pixdim(view, 0, le) < 0 ? -1 : 1;
    return { affine: affineOfQform([b, c, d], [x, y, z], sizes, qfac), orientedBy: "qform" };
  }
  const [x, y, z] = sizes;
  return {
    affine: [
      [x, 0, 0, 0],
      [0, y, 0, 0],
      [0, 0, z, 0],
    ],
    orientedBy: "none",
  };
}
