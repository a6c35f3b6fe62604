/** The transfer syntaxes that are read (PS3.5, section 8 and annex A; PS3.6, table A-1). */

export type Coding = "native" | "rle" | "jpeg" | "jpeg-ls" | "jpeg-2000" | "htj2k";

export interface Syntax {
  readonly coding: Coding;
  readonly bigEndian: boolean;
}

const of = (coding: Coding, bigEndian = false): Syntax => ({ coding, bigEndian });

export const syntaxes: Readonly<Record<string, Syntax | undefined>> = {
  "1.2.840.10008.1.2": of("native"),
  "1.2.840.10008.1.2.1": of("native"),
  "1.2.840.10008.1.2.1.99": of("native"), // deflated
  "1.2.840.10008.1.2.2": of("native", true),
  "1.2.840.10008.1.2.5": of("rle"),
  "1.2.840.10008.1.2.4.50": of("jpeg"), // baseline, 8 bit
  "1.2.840.10008.1.2.4.51": of("jpeg"), // extended, 8 and 12 bit
  "1.2.840.10008.1.2.4.53": of("jpeg"), // spectral selection, retired
  "1.2.840.10008.1.2.4.55": of("jpeg"), // full progression, retired
  "1.2.840.10008.1.2.4.57": of("jpeg"), // lossless
  "1.2.840.10008.1.2.4.70": of("jpeg"), // lossless, first-order prediction
  "1.2.840.10008.1.2.4.80": of("jpeg-ls"),
  "1.2.840.10008.1.2.4.81": of("jpeg-ls"), // near-lossless
  "1.2.840.10008.1.2.4.90": of("jpeg-2000"), // lossless
  "1.2.840.10008.1.2.4.91": of("jpeg-2000"),
  "1.2.840.10008.1.2.4.201": of("htj2k"), // lossless
  "1.2.840.10008.1.2.4.202": of("htj2k"), // lossless, progressive
  "1.2.840.10008.1.2.4.203": of("htj2k"),
};
