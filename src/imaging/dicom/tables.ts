/** Lookup tables of DICOM: of a modality (PS3.3, C.11.1) and of colours (PS3.3, C.7.6.3.1.5 and -6). */
import { bytesOf, invalid, unsupported } from "./dataset.ts";
import type { DataSet } from "./dataset.ts";

export interface LookupTable {
  /** The stored value that the first entry stands for; what lies below takes the first entry, above the last. */
  readonly first: number;
  /** Bits of an entry, 8 to 16. */
  readonly bits: number;
  readonly entries: Uint16Array;
}

/** The table's value for a stored one. */
export function looked({ first, entries }: LookupTable, value: number): number {
  const at = value - first;
  return entries[at < 0 ? 0 : at >= entries.length ? entries.length - 1 : at]!;
}

/** Reads a table whose descriptor and data are these elements. */
function tableOf(dataset: DataSet, descriptor: string, data: string, signed: boolean, name: string): LookupTable {
  const described = dataset.elements[descriptor];
  const element = dataset.elements[data];
  if (described === undefined || described.length < 6 || element === undefined)
    throw invalid(name, `a lookup table without a descriptor of three numbers, or without data`);
  // An entry count of 65,536 does not fit its 16 bits and is written as 0.
  const count = dataset.uint16(descriptor, 0)! || 65_536;
  const first = signed ? dataset.int16(descriptor, 1)! : dataset.uint16(descriptor, 1)!;
  const bits = dataset.uint16(descriptor, 2)!;
  if (bits < 8 || bits > 16) throw invalid(name, `a lookup table of ${bits} bits; 8 to 16 expected`);
  const bytes = bytesOf(dataset, element, name);
  // Tables of 8 bits occur with an entry a byte and with an entry in two.
  const wide = bytes.length >= 2 * count;
  if (!wide && (bits > 8 || bytes.length < count))
    throw invalid(name, `a lookup table of ${bytes.length} bytes; ${count} entries of ${bits} bits expected`);
  const entries = Uint16Array.from({ length: count }, (_, i) => (wide ? dataset.uint16(data, i)! : bytes[i]!));
  return { first, bits, entries };
}

/** The table of an item of the Modality LUT Sequence. */
export const modalityTable = (item: DataSet, signed: boolean, name: string): LookupTable =>
  tableOf(item, "x00283002", "x00283006", signed, name);

export type Palette = readonly [LookupTable, LookupTable, LookupTable];

/** The red, green and blue tables of a PALETTE COLOR image; their entries fill 8 or 16 bits. */
export function paletteOf(dataset: DataSet, signed: boolean, name: string): Palette {
  if (dataset.elements["x00281221"] !== undefined && dataset.elements["x00281201"] === undefined)
    throw unsupported(name, "a segmented palette", "Convert the image to RGB.");
  const [red, green, blue] = ["1", "2", "3"].map((c) =>
    tableOf(dataset, `x0028110${c}`, `x0028120${c}`, signed, name),
  ) as [LookupTable, LookupTable, LookupTable];
  if (red.bits !== green.bits || red.bits !== blue.bits || (red.bits !== 8 && red.bits !== 16))
    throw invalid(name, `a palette of ${red.bits}, ${green.bits} and ${blue.bits} bits; 8 or 16 expected`);
  return [red, green, blue];
}
