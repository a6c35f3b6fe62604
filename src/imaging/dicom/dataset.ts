/** Bytes of a DICOM Part 10 file to a data set whose elements can be asked for. */
import { constants, inflateRawSync } from "node:zlib";
import dicomParser from "dicom-parser";
import type { DataSet, Element } from "dicom-parser";
import { LeadglassError } from "../../errors.ts";

export type { DataSet, Element };

/** The file is broken. Messages name attributes, lengths and counts, never what an attribute holds of a patient. */
export const invalid = (name: string, message: string) =>
  new LeadglassError("LG-IMAGE-014", `${name}: ${message}`, {
    hint: "The file is truncated, damaged or no DICOM: copy it again from its source, or remove it and its row.",
  });

/** The file is sound, and not read. */
export const unsupported = (name: string, message: string, hint: string) =>
  new LeadglassError("LG-IMAGE-015", `${name}: ${message}`, { hint });

/** PS3.10, 7.1: a preamble of 128 bytes, then "DICM". */
const PREAMBLE = 128;
const PREFIX = [0x44, 0x49, 0x43, 0x4d];

/** Whether bytes begin as a DICOM Part 10 file. */
export const isDicom = (bytes: Uint8Array): boolean => PREFIX.every((byte, i) => bytes[PREAMBLE + i] === byte);

/** An unpacked data set beyond this is taken for a bomb. */
const MAX_INFLATED = 2 ** 31;

/**
 * The parsed data set of a file, group 2 among its elements. Nothing is copied: values are read where they lie.
 * Throws LG-IMAGE-014 for bytes that are no DICOM Part 10 file, end early, or do not say their transfer syntax.
 */
export function parseDataset(bytes: Uint8Array, name: string): DataSet {
  if (!isDicom(bytes))
    throw invalid(name, `${bytes.length} bytes without "DICM" at byte ${PREAMBLE}, where a DICOM file has it`);
  try {
    return dicomParser.parseDicom(bytes, { inflater });
  } catch (thrown) {
    // What the parser throws may hold the data set so far, and with it the patient: only its own words are read.
    const said = thrown as { exception?: string; message?: string } | string;
    const text = String(typeof said === "string" ? said : (said.exception ?? said.message));
    const what = /missing required meta header attribute 0002,0010/.test(text)
      ? "no transfer syntax (0002,0010) in its file meta information"
      : /past end|overrun|maxPosition|cannot be greater|buffer too|unexpected end/i.test(text)
        ? "an element is longer than what is left of the file"
        : "elements that cannot be told apart";
    throw invalid(name, `${bytes.length} bytes of DICOM, and ${what}`);
  }
}

/** PS3.5, A.5: everything after the file meta information is packed, without a header of its own (RFC 1951). */
function inflater(bytes: Uint8Array, position: number): Uint8Array {
  const packed = bytes.subarray(position);
  const rest = inflateRawSync(packed, { maxOutputLength: MAX_INFLATED, finishFlush: constants.Z_FINISH });
  const whole = new Uint8Array(position + rest.length);
  whole.set(bytes.subarray(0, position));
  whole.set(rest, position);
  return whole;
}

/** The bytes of an element; length checked against the file. */
export function bytesOf(dataset: DataSet, element: Element, name: string): Uint8Array {
  const end = element.dataOffset + element.length;
  if (!(element.length >= 0) || end > dataset.byteArray.length)
    throw invalid(name, `an element of ${element.length} bytes; ${dataset.byteArray.length - element.dataOffset} are left`); // prettier-ignore
  return dataset.byteArray.subarray(element.dataOffset, end);
}

/** A text without padding, upper case, or undefined where the element is absent or empty. */
export function codeOf(dataset: DataSet, tag: string, index?: number): string | undefined {
  const text = guarded(() => dataset.string(tag, index))
    ?.replaceAll("\0", "")
    .trim()
    .toUpperCase();
  return text === "" ? undefined : text;
}

/** All decimal strings of an element; undefined where absent or empty. Throws LG-IMAGE-014 for what is no number. */
export function decimals(dataset: DataSet, tag: string, name: string): number[] | undefined {
  const text = guarded(() => dataset.string(tag))
    ?.replaceAll("\0", " ")
    .trim();
  if (text === undefined || text === "") return undefined;
  const values = text.split("\\").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (!values.every(Number.isFinite))
    throw invalid(name, `attribute (${tag.slice(1, 5)},${tag.slice(5)}) is not a list of numbers`);
  return values;
}

/** An unsigned 16-bit number; undefined where absent. */
export const uint16 = (dataset: DataSet, tag: string): number | undefined => guarded(() => dataset.uint16(tag));

/** The parser throws strings where an element is shorter than its type; such an element counts as absent. */
function guarded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The data sets of a sequence's items. */
export const itemsOf = (dataset: DataSet, tag: string): readonly DataSet[] =>
  (dataset.elements[tag]?.items ?? []).flatMap((item) => (item.dataSet === undefined ? [] : [item.dataSet]));
