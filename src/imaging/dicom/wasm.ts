/** JPEG-LS by CharLS and JPEG 2000, high-throughput too, by OpenJPEG, compiled to WebAssembly; loaded when first needed. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** What these codecs have in common. */
interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  decode(): void;
  getFrameInfo(): Info;
  getInterleaveMode?(): number;
}

interface Info {
  readonly width: number;
  readonly height: number;
  readonly bitsPerSample: number;
  readonly componentCount: number;
  readonly isSigned?: boolean;
}

type Module = Readonly<Record<string, new () => Decoder>>;
type Instantiate = (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) => object;
type Factory = (options: {
  readonly print: () => void;
  readonly printErr: () => void;
  readonly instantiateWasm: Instantiate;
}) => Promise<Module>;

/** Where each codec's code and its WebAssembly are, and its decoder's name. */
const CODECS = {
  "jpeg-ls": ["@cornerstonejs/codec-charls", "JpegLSDecoder"],
  "jpeg-2000": ["@cornerstonejs/codec-openjpeg", "J2KDecoder"],
} as const;

const load = createRequire(import.meta.url);
const compiled = new Map<string, WebAssembly.Module>();

/**
 * A codec with memory of its own. A damaged stream can leave a codec in any state, even where it seems to have decoded, so
 * every image gets one that no other has used, in a few milliseconds, since what is compiled is kept.
 */
async function freshDecoder(coding: keyof typeof CODECS): Promise<Decoder> {
  const [codec, name] = CODECS[coding];
  const code = compiled.get(coding) ?? new WebAssembly.Module(readFileSync(load.resolve(`${codec}/decodewasm`)));
  compiled.set(coding, code);
  const instantiateWasm: Instantiate = (imports, done) => {
    const instance = new WebAssembly.Instance(code, imports);
    done(instance);
    return instance.exports;
  };
  // What the codecs have to say goes nowhere: standard output belongs to results.
  const silent = () => undefined;
  const module = await (load(`${codec}/decodewasmjs`) as Factory)({ print: silent, printErr: silent, instantiateWasm });
  return new module[name]!();
}

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
  const decoder = await freshDecoder(coding);
  let result: WasmSamples | undefined;
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const { bitsPerSample: bits, isSigned: signed = false } = decoder.getFrameInfo();
    const decoded = decoder.getDecodedBuffer();
    const bytesEach = bits > 8 ? 2 : 1;
    const inPlanes = components > 1 && decoder.getInterleaveMode?.() === 0;
    if (decoded.length === width * height * components * bytesEach && bits <= 16)
      result = {
        bits,
        signed,
        bytes: inPlanes ? interleave(decoded, components, bytesEach) : Uint8Array.from(decoded),
      };
  } catch {
    // An exception of C++, a trap or an abort: whichever, there are no pixels.
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
