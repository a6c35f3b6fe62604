/** The files of a DICOM series to one volume. */
import { LeadglassError } from "../../errors.ts";
import type { Affine } from "../nifti/affine.ts";
import { canonicalVolume } from "../nifti/to-volume.ts";
import type { Volume } from "../volume.ts";
import { unsupported } from "./dataset.ts";
import { decodeFrame, dicomValues } from "./decode.ts";
import type { DicomImage } from "./decode.ts";
import { readHeader } from "./header.ts";
import type { Placement, ReadHeader } from "./header.ts";

export interface SeriesFile {
  /** How the file is called in an error. */
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array> | Uint8Array;
}

export interface SeriesOptions {
  /** How the series is called in an error. */
  readonly name?: string;
  /** Refuse series of more voxels than this, before any voxel is allocated. */
  readonly maxVoxels?: number;
}

export interface DicomSeries {
  /** Voxels along a row, down a column, and along the slices in the order of their places. */
  readonly shape: readonly [number, number, number];
  /** From [column, row, slice] to millimetres towards right, front, head, as NIfTI has it. */
  readonly affine: Affine;
  readonly modality: string | undefined;
  /** After rescaling, Hounsfield units in CT; the first axis of `shape` runs fastest. */
  readonly data: Float32Array;
}

/** As NIfTI's: a CT of 512 x 512 x 1,500 slices. */
const DEFAULT_MAX_VOXELS = 400_000_000;

/** Slices may be out of their even places by this share of their distance, as positions are written with few digits. */
const UNEVEN = 0.01;
/** Slices may lie beside each other by this share of their distance, 100 slices by one distance, and by what is rounded off. */
const TILT = 0.01;
const ROUNDED_MM = 0.05;
/** Direction cosines and spacings are the same to this. */
const SAME = 1e-4;

type Triple = readonly [number, number, number];
const dot = (a: Triple, b: Triple) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a: Triple, b: Triple): Triple => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const near = (a: readonly number[], b: readonly number[]) => a.every((value, i) => Math.abs(value - b[i]!) <= SAME);

/**
 * Reads the slices of one series, in any order, one file at a time, and sorts them along the normal of their rows and
 * columns. Nothing is interpolated and no slice made up.
 *
 * Throws LG-IMAGE-015 where they are not one volume: several series, sizes, directions or spacings, a slice that is missing
 * or there twice, a tilted gantry, no place in the patient; and what `decodeDicom` throws. Source: DICOM PS3.3, C.7.6.2.
 */
export async function decodeDicomSeries(
  files: readonly SeriesFile[],
  options: SeriesOptions = {},
): Promise<DicomSeries> {
  const { name = "series", maxVoxels = DEFAULT_MAX_VOXELS } = options;
  if (files.length === 0) throw unsupported(name, "no file", "Put the slices of the series into the folder.");
  let first: ReadHeader | undefined;
  const slices: { file: string; placement: Placement; image: DicomImage }[] = [];
  for (const file of files) {
    const header = readHeader(await file.bytes(), file.name);
    const placement = placementOf(header, file.name);
    if (first === undefined) {
      first = header;
      const voxels = header.rows * header.columns * files.length;
      if (voxels > maxVoxels)
        throw new LeadglassError(
          "LG-IMAGE-002",
          `${name}: ${header.columns} x ${header.rows} x ${files.length} voxels, ${voxels} in all; at most ${maxVoxels} are read`,
          { hint: "Crop the series, or raise maxVoxels if it is what it says it is.", fields: { voxels, maxVoxels } },
        );
    } else requireAlike(first, header, file.name);
    slices.push({ file: file.name, placement, image: await decodeFrame(header, { name: file.name }) });
  }
  const { rows, columns, modality, pixelSpacingMm } = first!;
  if (pixelSpacingMm === undefined)
    throw unsupported(name, "no pixel spacing (0028,0030)", "Export the series again with its geometry.");
  const o = slices[0]!.placement.orientation;
  const [along, down]: [Triple, Triple] = [
    [o[0], o[1], o[2]],
    [o[3], o[4], o[5]],
  ];
  const normal: Triple = [
    along[1] * down[2] - along[2] * down[1],
    along[2] * down[0] - along[0] * down[2],
    along[0] * down[1] - along[1] * down[0],
  ];
  const placeOf = ({ placement }: (typeof slices)[number]) => dot(placement.position, normal);
  slices.sort((a, b) => placeOf(a) - placeOf(b));
  const spacing = slices.length === 1 ? thicknessOf(first!, name) : evenSpacing(slices.map(placeOf), slices, name);
  const origin = slices[0]!.placement.position;
  for (const [k, { placement, file }] of slices.entries()) {
    const offset = minus(placement.position, origin);
    const aside = Math.hypot(...minus(offset, normal.map((n) => n * dot(offset, normal)) as unknown as Triple));
    if (aside > TILT * spacing * k + ROUNDED_MM)
      throw unsupported(
        file,
        `slice ${k + 1} of ${slices.length} lies ${aside.toFixed(2)} mm beside the first: a tilted gantry, or a table that moved`,
        "Resample the series to slices that stand upright on each other, and store it as NIfTI.",
      );
  }

  const size = rows * columns;
  const data = new Float32Array(size * slices.length);
  slices.forEach(({ image }, k) => data.set(dicomValues(image), k * size));
  const [betweenRows, betweenColumns] = pixelSpacingMm;
  // DICOM's axes run to the left, back and head; the first two are turned round.
  const row = (axis: 0 | 1 | 2) => {
    const sign = axis === 2 ? 1 : -1;
    const at = (value: number) => sign * value + 0;
    return [at(along[axis] * betweenColumns), at(down[axis] * betweenRows), at(normal[axis] * spacing), at(origin[axis])] as const; // prettier-ignore
  };
  return { shape: [columns, rows, slices.length], affine: [row(0), row(1), row(2)], modality, data };
}

/** The series in canonical axes: see `toVolume`. */
export const seriesToVolume = ({ data, shape, affine }: DicomSeries): Volume => canonicalVolume(data, shape, affine);

function placementOf(header: ReadHeader, name: string): Placement {
  const { placement, samples, frames, photometric } = header;
  if (samples !== 1 || photometric === "PALETTE COLOR")
    throw unsupported(name, "colour, in a series that is to be a volume", "Keep only grey slices in the folder.");
  if (frames > 1)
    throw unsupported(name, `${frames} frames in one file of a series`, "Convert it to one slice a file, or to NIfTI.");
  if (placement === undefined)
    throw unsupported(
      name,
      "no image position (0020,0032) and orientation (0020,0037)",
      "Remove localisers, reports and secondary captures from the folder, or export the series again.",
    );
  const o = placement.orientation;
  const [along, down]: [Triple, Triple] = [
    [o[0], o[1], o[2]],
    [o[3], o[4], o[5]],
  ];
  if (Math.abs(dot(along, along) - 1) > 1e-3 || Math.abs(dot(down, down) - 1) > 1e-3 || Math.abs(dot(along, down)) > 1e-3)
    throw unsupported(name, "an image orientation (0020,0037) of axes that are not at right angles", "Export the series again."); // prettier-ignore
  return placement;
}

function requireAlike(first: ReadHeader, header: ReadHeader, name: string): void {
  const different: readonly (readonly [boolean, string, string])[] = [
    [
      first.seriesUid !== header.seriesUid,
      "belongs to another series than the first file",
      "Keep the files of one series in a folder.",
    ],
    [
      first.rows !== header.rows || first.columns !== header.columns,
      `has ${header.columns} x ${header.rows} pixels; ${first.columns} x ${first.rows} expected`,
      "Keep the slices of one size in a folder.",
    ],
    [
      !near(first.placement!.orientation, header.placement!.orientation),
      "runs in another direction than the first file",
      "Remove localisers, and keep one direction in a folder.",
    ],
    [
      !near(first.pixelSpacingMm ?? [], header.pixelSpacingMm ?? [NaN, NaN]),
      "has another pixel spacing (0028,0030) than the first file",
      "Keep the slices of one spacing in a folder.",
    ],
    [
      first.modality !== header.modality,
      "is of another modality than the first file",
      "Keep one modality in a folder.",
    ],
    [
      first.photometric !== header.photometric,
      "is of another polarity than the first file",
      "Keep one kind of image in a folder.",
    ],
  ];
  const found = different.find(([is]) => is);
  if (found !== undefined) throw unsupported(name, `a slice that ${found[1]}`, found[2]);
}

function thicknessOf({ sliceThicknessMm }: ReadHeader, name: string): number {
  if (sliceThicknessMm === undefined || !(sliceThicknessMm > 0))
    throw unsupported(
      name,
      "one slice, without a thickness (0018,0050)",
      "Put all slices of the series into the folder.",
    );
  return sliceThicknessMm;
}

/** The distance between neighbours, which has to be the same everywhere. */
function evenSpacing(places: readonly number[], slices: readonly { readonly file: string }[], name: string): number {
  const gaps = places.slice(1).map((place, i) => place - places[i]!);
  const usual = gaps.toSorted((a, b) => a - b)[gaps.length >> 1]!;
  for (const [i, gap] of gaps.entries()) {
    const between = `slices ${i + 1} and ${i + 2} of ${slices.length} (${slices[i]!.file} and ${slices[i + 1]!.file})`;
    if (gap <= SAME)
      throw unsupported(name, `${between} lie at the same place`, "Keep one phase or reconstruction in a folder.");
    if (Math.abs(gap - usual) <= UNEVEN * usual) continue;
    const missing = Math.round(gap / usual) - 1;
    throw unsupported(
      name,
      `${between} are ${gap.toFixed(2)} mm apart; ${usual.toFixed(2)} mm expected` +
        (missing > 0 ? `: about ${missing} slices are missing` : ""),
      missing > 0
        ? "Export the whole series again: no slice is made up."
        : "Keep one reconstruction in a folder, or resample the series to even slices and store it as NIfTI.",
    );
  }
  // Over the whole length, what each position was rounded by hardly counts.
  return (places.at(-1)! - places[0]!) / gaps.length;
}
