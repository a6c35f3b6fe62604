/** JPEG-LS and JPEG 2000 by CharLS, OpenJPEG and OpenJPH, compiled to WebAssembly; loaded when first needed. */
import { createRequire } from "node:module";

/** What these codecs have in common. */
interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  readHeader?(): void;
  decode(): void;
  getFrameInfo(): Info;
  getInterleaveMode?(): number;
  delete(): void;
}

interface Info {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned?: boolean;
}

type Module = Readonly<Record<string, new () => Decoder>>;
type Factory = (options: { readonly print: () => void; readonly printErr: () => void }) => Promise<Module>;

/** Where each codec is, and its decoder's name. */
const CODECS = {
  "jpeg-ls": ["@cornerstonejs/codec-charls/decodewasmjs", "JpegLSDecoder"],
  "jpeg-2000": ["@cornerstonejs/codec-openjpeg/decodewasmjs", "J2KDecoder"],
  htj2k: ["@cornerstonejs/codec-openjph", "HTJ2KDecoder"],
} as const;

const load = createRequire(import.meta.url);
const loaded = new Map<string, Promise<Module>>();

export interface WasmSamples {
  readonly bits: number;
  readonly signed: boolean;
  /** Interleaved; two bytes a sample, little-endian, where it has more than 8 bits. */
  readonly bytes: Uint8Array;
}

/**
 * Decodes one image whose size and components have to be as expected, which is checked before the codec allocates.
 * `fail` throws; it is called with what is wrong.
 */
export async function decodeByWasm(
  coding: keyof typeof CODECS,
  bytes: Uint8Array,
  expected: { readonly width: number; readonly height: number; readonly components: number },
  fail: (message: string) => never,
): Promise<WasmSamples> {
  const { width, height, components } = expected;
  const wanted = `${width} x ${height} x ${components}`;
  const check = (info: Pick<Info, "width" | "height" | "componentCount">) => {
    if (info.width !== width || info.height !== height || info.componentCount !== components)
      fail(`a stream of ${info.width} x ${info.height} x ${info.componentCount}; ${wanted} expected`);
  };
  check(coding === "jpeg-ls" ? sizeOfJpegLs(bytes, fail) : sizeOfJpeg2000(bytes, fail));
  // OpenJPH fills in what is cut off; a whole stream ends with its marker (T.800, A.4.4), and at most some padding.
  if (coding === "htj2k" && !Buffer.from(bytes.subarray(-16)).includes("ffd9", 0, "hex"))
    fail(`a JPEG 2000 stream of ${bytes.length} bytes that ends early`);
  const [path, name] = CODECS[coding];
  // What the codecs have to say goes nowhere: standard output belongs to results.
  if (!loaded.has(coding)) loaded.set(coding, (load(path) as Factory)({ print: () => undefined, printErr: () => undefined })); // prettier-ignore
  const Decoder = (await loaded.get(coding)!)[name]!;
  let result: WasmSamples | undefined;
  try {
    const decoder = new Decoder();
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const info = decoder.getFrameInfo();
    const { bitsPerSample: bits, isSigned: signed = false } = info;
    const decoded = decoder.getDecodedBuffer();
    if (decoded.length === width * height * components * (bits > 8 ? 2 : 1) && bits <= 16)
      result = {
        bits,
        signed,
        bytes:
          components > 1 && decoder.getInterleaveMode?.() === 0
            ? interleave(decoded, components, bits > 8 ? 2 : 1)
            : Uint8Array.from(decoded),
      };
    decoder.delete();
  } catch {
    // A codec that failed may be left in any state: the next image gets a fresh one.
    loaded.delete(coding);
  }
  return (
    result ?? fail(`a ${coding} stream of ${bytes.length} bytes that does not decode to ${wanted} of at most 16 bits`)
  );
}

function interleave(planes: Uint8Array, components: number, bytesEach: number): Uint8Array {
  const out = new Uint8Array(planes.length);
  const size = planes.length / components / bytesEach;
  for (let c = 0; c < components; c++)
    for (let i = 0; i < size; i++)
      for (let b = 0; b < bytesEach; b++)
        out[(i * components + c) * bytesEach + b] = planes[(c * size + i) * bytesEach + b]!;
  return out;
}

/** The frame header of JPEG-LS (ITU-T T.87, C.2.2: marker FFF7). */
function sizeOfJpegLs(bytes: Uint8Array, fail: (message: string) => never) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) fail("a JPEG-LS stream without its start");
  for (let at = 2; at + 10 <= bytes.length; at += 2 + view.getUint16(at + 2)) {
    if (bytes[at] !== 0xff) break;
    if (bytes[at + 1] === 0xf7)
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), componentCount: bytes[at + 9]! };
  }
  return fail("a JPEG-LS stream without a frame header");
}

/** The image size of JPEG 2000 (ITU-T T.800, A.5.1: marker FF51 behind FF4F), in a file of boxes or without. */
function sizeOfJpeg2000(bytes: Uint8Array, fail: (message: string) => never) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("ff4fff51", 0, "hex");
  if (at < 0 || at + 44 > bytes.length) return fail("a JPEG 2000 stream without an image size");
  const value = (offset: number) => view.getUint32(at + offset);
  return {
    width: value(8) - value(16),
    height: value(12) - value(20),
    componentCount: view.getUint16(at + 40),
  };
}
