/** What a DICOM file says of its pixels: their storage, their meaning, and where in the patient they lie. */
import { codeOf, decimals, invalid, itemsOf, parseDataset, uint16, unsupported } from "./dataset.ts";
import type { DataSet, Element } from "./dataset.ts";
import { modalityTable } from "./tables.ts";
import type { LookupTable, Palette } from "./tables.ts";
import { paletteOf } from "./tables.ts";
import { syntaxes } from "./syntaxes.ts";
import type { Syntax } from "./syntaxes.ts";

export type Photometric =
  "MONOCHROME1" | "MONOCHROME2" | "PALETTE COLOR" | "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_RCT" | "YBR_ICT";

const PHOTOMETRICS: readonly string[] = [
  "MONOCHROME1",
  "MONOCHROME2",
  "PALETTE COLOR",
  "RGB",
  "YBR_FULL",
  "YBR_FULL_422",
  "YBR_RCT",
  "YBR_ICT",
] satisfies Photometric[];

/** How numbers as stored become numbers with a meaning, Hounsfield units in CT (PS3.3, C.11.1). */
export type ModalityTransform =
  { readonly kind: "linear"; readonly slope: number; readonly intercept: number } | { readonly kind: "table"; readonly table: LookupTable }; // prettier-ignore

/** Where an image lies: PS3.3, C.7.6.2; millimetres in the patient's left, back, head. */
export interface Placement {
  /** Centre of the first pixel. */
  readonly position: readonly [number, number, number];
  /** Direction in which columns grow along a row, then in which rows grow down a column: unit vectors. */
  readonly orientation: readonly [number, number, number, number, number, number];
}

export interface DicomHeader {
  readonly transferSyntax: string;
  /** CT, MR, CR, DX, MG ...; undefined where the file does not say. */
  readonly modality: string | undefined;
  readonly rows: number;
  readonly columns: number;
  readonly frames: number;
  readonly samples: 1 | 3;
  readonly photometric: Photometric;
  readonly bitsAllocated: 1 | 8 | 16 | 32;
  readonly bitsStored: number;
  readonly signed: boolean;
  readonly modalityTransform: ModalityTransform;
  /** The window that the file proposes for viewing, in values after the modality transform; never applied by itself. */
  readonly window: { readonly centre: number; readonly width: number } | undefined;
  /** Distance between rows, then between columns, in millimetres. */
  readonly pixelSpacingMm: readonly [number, number] | undefined;
  readonly sliceThicknessMm: number | undefined;
  readonly placement: Placement | undefined;
  /** What (0028,0301) says of text in the pixels. */
  readonly burnedInText: "yes" | "no" | "unsaid";
}

/** A header with what decoding needs besides. */
export interface ReadHeader extends DicomHeader {
  readonly dataset: DataSet;
  readonly syntax: Syntax;
  readonly pixels: Element;
  readonly highBit: number;
  readonly planar: boolean;
  readonly palette: Palette | undefined;
  readonly seriesUid: string | undefined;
}

/** 60 million is a stitched film; the sides of an image are 16-bit numbers. */
export const DEFAULT_MAX_PIXELS = 100_000_000;

/**
 * Reads and checks the header of a DICOM file, no pixel. Throws LG-IMAGE-014 for bytes that are not a whole, valid file,
 * LG-IMAGE-015 for what is not read: files without pixels, other transfer syntaxes, floating point, other colours.
 */
export function readHeader(bytes: Uint8Array, name: string): ReadHeader {
  const dataset = parseDataset(bytes, name);
  const transferSyntax = codeOf(dataset, "x00020010") ?? "";
  const syntax = syntaxes[transferSyntax];
  if (dataset.elements["x7fe00008"] !== undefined || dataset.elements["x7fe00009"] !== undefined)
    throw unsupported(name, "pixels in floating point", "Convert the file to integers with a rescale slope.");
  const pixels = dataset.elements["x7fe00010"];
  if (pixels === undefined)
    throw unsupported(name, "no pixel data (7FE0,0010)", "Remove its row: a report or a plan is no image.");
  if (syntax === undefined)
    throw unsupported(name, `transfer syntax ${transferSyntax}`, "Convert the file to Explicit VR Little Endian.");

  const required = (tag: string, what: string) => {
    const value = uint16(dataset, tag);
    if (value === undefined) throw invalid(name, `no ${what} (${tag.slice(1, 5)},${tag.slice(5)})`);
    return value;
  };
  const [rows, columns] = [required("x00280010", "rows"), required("x00280011", "columns")];
  if (rows === 0 || columns === 0) throw invalid(name, `${columns} x ${rows} pixels`);
  const samples = uint16(dataset, "x00280002") ?? 1;
  const photometric = codeOf(dataset, "x00280004") ?? (samples === 1 ? "MONOCHROME2" : "RGB");
  if (!PHOTOMETRICS.includes(photometric))
    throw unsupported(name, `a photometric interpretation that is not one of ${PHOTOMETRICS.join(", ")}`, "Convert the image to grey or RGB."); // prettier-ignore
  const grey = photometric.startsWith("MONOCHROME") || photometric === "PALETTE COLOR";
  if (samples !== (grey ? 1 : 3)) throw invalid(name, `${samples} samples a pixel, and ${photometric}`);
  const [bitsAllocated, bitsStored] = [required("x00280100", "bits allocated"), required("x00280101", "bits stored")];
  const highBit = uint16(dataset, "x00280102") ?? bitsStored - 1;
  if (![1, 8, 16, 32].includes(bitsAllocated))
    throw unsupported(
      name,
      `${bitsAllocated} bits allocated; 1, 8, 16 or 32 are read`,
      "Convert the image to 16 bits.",
    );
  if (bitsStored < 1 || bitsStored > bitsAllocated || highBit >= bitsAllocated || highBit + 1 < bitsStored)
    throw invalid(name, `${bitsStored} bits stored up to bit ${highBit} of ${bitsAllocated}`);
  if (samples === 3 && bitsAllocated !== 8 && bitsAllocated !== 16)
    throw unsupported(name, `colour of ${bitsAllocated} bits`, "Convert the image to 8 bits.");
  const signed = uint16(dataset, "x00280103") === 1;
  const frames = decimals(dataset, "x00280008", name)?.[0] ?? 1;
  if (!Number.isInteger(frames) || frames < 1) throw invalid(name, `${frames} frames`);

  const position = decimals(dataset, "x00200032", name);
  const orientation = decimals(dataset, "x00200037", name);
  const spacing = decimals(dataset, "x00280030", name);
  const [centre, width] = [decimals(dataset, "x00281050", name)?.[0], decimals(dataset, "x00281051", name)?.[0]];
  const burned = codeOf(dataset, "x00280301");
  return {
    dataset,
    syntax,
    pixels,
    highBit,
    planar: samples === 3 && uint16(dataset, "x00280006") === 1,
    palette: photometric === "PALETTE COLOR" ? paletteOf(dataset, signed, name) : undefined,
    seriesUid: codeOf(dataset, "x0020000e"),
    transferSyntax,
    modality: codeOf(dataset, "x00080060"),
    rows,
    columns,
    frames,
    samples: samples === 1 ? 1 : 3,
    photometric: photometric as Photometric,
    bitsAllocated: bitsAllocated as 1 | 8 | 16 | 32,
    bitsStored,
    signed,
    modalityTransform: modalityOf(dataset, signed, name),
    window: centre === undefined || width === undefined || !(width > 0) ? undefined : { centre, width },
    pixelSpacingMm: spacing?.length === 2 && spacing.every((mm) => mm > 0) ? [spacing[0]!, spacing[1]!] : undefined,
    sliceThicknessMm: decimals(dataset, "x00180050", name)?.[0],
    placement:
      position?.length === 3 && orientation?.length === 6
        ? {
            position: position as unknown as Placement["position"],
            orientation: orientation as unknown as Placement["orientation"],
          }
        : undefined,
    burnedInText: burned === "YES" ? "yes" : burned === "NO" ? "no" : "unsaid",
  };
}

function modalityOf(dataset: DataSet, signed: boolean, name: string): ModalityTransform {
  const items = itemsOf(dataset, "x00283000");
  if (items[0] !== undefined) return { kind: "table", table: modalityTable(items[0], signed, name) };
  const slope = decimals(dataset, "x00281053", name)?.[0] ?? 1;
  const intercept = decimals(dataset, "x00281052", name)?.[0] ?? 0;
  if (slope === 0) throw invalid(name, "a rescale slope (0028,1053) of 0");
  return { kind: "linear", slope, intercept };
}
