/** Whether a DICOM header holds what identifies a person: how much, never what. */
import { parseDataset } from "./dataset.ts";

/** Attributes of PS3.15, table E.1-1, that name a patient, those about him, or his visit outright. */
const IDENTIFYING = [
  "x00100010", // patient's name
  "x00100020", // patient identifier
  "x00100030", // birth date
  "x00100032", // birth time
  "x00101000", // other identifiers
  "x00101001", // other names
  "x00101002", // other identifiers, as a sequence
  "x00101005", // birth name
  "x00101040", // address
  "x00101060", // mother's birth name
  "x00102154", // telephone numbers
  "x00104000", // comments
  "x00080050", // accession number
  "x00080080", // institution
  "x00080081", // its address
  "x00080090", // referring physician
  "x00081048", // physicians of record
  "x00081050", // performing physician
  "x00081060", // reading physician
  "x00081070", // operators
  "x00200010", // study identifier
] as const;

/** How many of the attributes that name a person outright are filled in a DICOM file. Throws LG-IMAGE-014. */
export function identifyingAttributes(bytes: Uint8Array, { name = "image" }: { readonly name?: string } = {}): number {
  const { elements, byteArray } = parseDataset(bytes, name);
  return IDENTIFYING.filter((tag) => {
    const element = elements[tag];
    if (element === undefined) return false;
    // A value of nothing but padding is empty.
    const value = byteArray.subarray(element.dataOffset, element.dataOffset + element.length);
    return (element.items?.length ?? 0) > 0 || value.some((byte) => byte !== 0x20 && byte !== 0);
  }).length;
}
