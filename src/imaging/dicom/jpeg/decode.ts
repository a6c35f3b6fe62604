/** A JPEG stream to samples: Huffman-coded DCT, sequential and progressive, of 8 and 12 bits, and lossless of 2 to 16. */
import { bitsOf, huffmanTable } from "./bits.ts";
import type { HuffmanTable } from "./bits.ts";
import { decodeDctScan, samplesOfDct } from "./dct.ts";
import { decodeLosslessScan } from "./lossless.ts";

export interface JpegComponent {
  readonly id: number;
  readonly h: number;
  readonly v: number;
  readonly quantisation: number;
  /** Samples of this component. */
  readonly width: number;
  readonly height: number;
  /** Blocks along a row and a column, up to whole units of interleaved components. */
  readonly blocksAcross: number;
  readonly blocksDown: number;
  /** Coefficients of all blocks, 64 each in natural order; in lossless streams, samples. */
  readonly values: Int32Array;
}

export interface JpegFrame {
  readonly process: "sequential" | "progressive" | "lossless";
  readonly precision: number;
  readonly width: number;
  readonly height: number;
  readonly components: readonly JpegComponent[];
  readonly unitsAcross: number;
  readonly unitsDown: number;
}

export interface JpegScan {
  readonly components: readonly { readonly component: JpegComponent; readonly dc?: HuffmanTable; readonly ac?: HuffmanTable }[]; // prettier-ignore
  readonly first: number;
  readonly last: number;
  readonly high: number;
  readonly low: number;
  /** Units between restart markers; 0 is none. */
  readonly restart: number;
}

export interface JpegSamples {
  readonly precision: number;
  /** Interleaved, [height, width, components]; as coded, no colour changed. */
  readonly data: Uint16Array;
  /** What an Adobe marker says of three components: 0 is RGB, 1 YCbCr; undefined without one. */
  readonly adobe: number | undefined;
}

/** Start-of-frame markers of Huffman-coded processes (T.81, table B.1). */
const PROCESSES: Readonly<Record<number, JpegFrame["process"]>> = {
  0xc0: "sequential",
  0xc1: "sequential",
  0xc2: "progressive",
  0xc3: "lossless",
};

/**
 * Decodes one image whose size and components have to be as expected, which is checked before anything is allocated.
 * `fail` throws; it is called with what is wrong. Source: ITU-T T.81 (ISO/IEC 10918-1).
 */
export function decodeJpeg(
  bytes: Uint8Array,
  expected: { readonly width: number; readonly height: number; readonly components: number },
  fail: (message: string) => never,
): JpegSamples {
  const quantisation: (Uint16Array | undefined)[] = [];
  const tables = { dc: [] as (HuffmanTable | undefined)[], ac: [] as (HuffmanTable | undefined)[] };
  let frame: JpegFrame | undefined;
  let [restart, at, scans, ended] = [0, 2, 0, false];
  let adobe: number | undefined;
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) fail("a JPEG stream without its start");
  while (!ended) {
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++;
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff || marker === undefined) fail(`a JPEG stream of ${bytes.length} bytes that ends early`);
    at += 2;
    if (marker === 0xd9) ended = true;
    if (marker === 0xd9 || marker === 0x01 || (marker! >= 0xd0 && marker! <= 0xd7)) continue;
    const length = (bytes[at]! << 8) | bytes[at + 1]!;
    if (at + 2 > bytes.length || length < 2 || at + length > bytes.length)
      fail(`a JPEG segment of ${length} bytes; ${bytes.length - at} are left`);
    const body = bytes.subarray(at + 2, at + length);
    at += length;
    if (marker === 0xdb) readQuantisation(body, quantisation, fail);
    else if (marker === 0xc4) readHuffman(body, tables, fail);
    else if (marker === 0xdd) restart = (body[0]! << 8) | body[1]!;
    else if (marker === 0xee && String.fromCharCode(...body.subarray(0, 5)) === "Adobe") adobe = body[11];
    else if (marker !== undefined && PROCESSES[marker] !== undefined) {
      if (frame !== undefined) fail("two frames in a JPEG stream");
      frame = readFrame(body, PROCESSES[marker], expected, fail);
    } else if (marker! >= 0xc5 && marker! <= 0xcf && marker !== 0xc8 && marker !== 0xcc)
      fail("a JPEG process that is arithmetic or hierarchical");
    else if (marker === 0xda) {
      if (frame === undefined) return fail("a JPEG scan before its frame");
      // Every scan costs a pass over the image; progressive ones need a few for each of ten bits and of three components.
      if (++scans > 500) fail("more than 500 JPEG scans");
      const scan = readScan(body, frame, tables, restart, fail);
      const bits = bitsOf(bytes, at, fail);
      if (frame.process === "lossless") decodeLosslessScan(frame, scan, bits, fail);
      else decodeDctScan(frame, scan, bits, fail);
      at = bits.end();
      // Streams that lack only their end marker are whole.
      if (at >= bytes.length - 1) ended = true;
    }
  }
  if (frame === undefined || scans === 0) return fail("a JPEG stream without an image");
  const data = frame.process === "lossless" ? interleaved(frame) : samplesOfDct(frame, quantisation, fail);
  return { precision: frame.precision, data, adobe };
}

function readQuantisation(body: Uint8Array, tables: (Uint16Array | undefined)[], fail: (message: string) => never) {
  for (let at = 0; at < body.length;) {
    const [wide, id] = [body[at]! >> 4, body[at]! & 15];
    const size = wide === 0 ? 64 : 128;
    if (wide > 1 || id > 3 || at + 1 + size > body.length) fail("a damaged JPEG quantisation table");
    const from = at + 1;
    tables[id] = Uint16Array.from({ length: 64 }, (_, i) =>
      wide === 0 ? body[from + i]! : (body[from + 2 * i]! << 8) | body[from + 2 * i + 1]!,
    );
    at += 1 + size;
  }
}

function readHuffman(
  body: Uint8Array,
  tables: { dc: (HuffmanTable | undefined)[]; ac: (HuffmanTable | undefined)[] },
  fail: (message: string) => never,
) {
  for (let at = 0; at < body.length;) {
    const [kind, id] = [body[at]! >> 4, body[at]! & 15];
    const counts = body.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const end = at + 17 + total;
    const table = end > body.length ? undefined : huffmanTable(counts, body.subarray(at + 17, end));
    if (kind > 1 || id > 3 || table === undefined) fail("a damaged JPEG Huffman table");
    tables[kind === 0 ? "dc" : "ac"][id] = table;
    at = end;
  }
}

function readFrame(
  body: Uint8Array,
  process: JpegFrame["process"],
  expected: { readonly width: number; readonly height: number; readonly components: number },
  fail: (message: string) => never,
): JpegFrame {
  const precision = body[0]!;
  const [height, width] = [(body[1]! << 8) | body[2]!, (body[3]! << 8) | body[4]!];
  const count = body[5]!;
  if (width !== expected.width || height !== expected.height || count !== expected.components)
    fail(`a JPEG of ${width} x ${height} x ${count}; ${expected.width} x ${expected.height} x ${expected.components} expected`); // prettier-ignore
  if (process === "lossless" ? precision < 2 || precision > 16 : precision !== 8 && precision !== 12)
    fail(`a JPEG of ${precision} bits`);
  if (body.length < 6 + 3 * count) fail("a damaged JPEG frame header");
  const given = Array.from({ length: count }, (_, i) => {
    const at = 6 + 3 * i;
    return { id: body[at]!, h: body[at + 1]! >> 4, v: body[at + 1]! & 15, quantisation: body[at + 2]! };
  });
  if (given.some(({ h, v }) => h < 1 || h > 4 || v < 1 || v > 4)) fail("JPEG sampling factors out of 1 to 4");
  const [hMost, vMost] = [Math.max(...given.map(({ h }) => h)), Math.max(...given.map(({ v }) => v))];
  const side = process === "lossless" ? 1 : 8;
  if (process === "lossless" && (hMost > 1 || vMost > 1) && count > 1) fail("a lossless JPEG with subsampled colour");
  const unitsAcross = Math.ceil(width / (side * hMost));
  const unitsDown = Math.ceil(height / (side * vMost));
  const components = given.map(({ id, h, v, quantisation }) => {
    const [blocksAcross, blocksDown] = [unitsAcross * h, unitsDown * v];
    const values = new Int32Array(process === "lossless" ? width * height : blocksAcross * blocksDown * 64);
    const size = { width: Math.ceil((width * h) / hMost), height: Math.ceil((height * v) / vMost) };
    return { id, h, v, quantisation, ...size, blocksAcross, blocksDown, values };
  });
  return { process, precision, width, height, components, unitsAcross, unitsDown };
}

function readScan(
  body: Uint8Array,
  frame: JpegFrame,
  tables: { dc: (HuffmanTable | undefined)[]; ac: (HuffmanTable | undefined)[] },
  restart: number,
  fail: (message: string) => never,
): JpegScan {
  const count = body[0]!;
  if (count < 1 || count > 4 || body.length < 4 + 2 * count) fail("a damaged JPEG scan header");
  const components = Array.from({ length: count }, (_, i) => {
    const component = frame.components.find(({ id }) => id === body[1 + 2 * i]);
    if (component === undefined) return fail("a JPEG scan of a component that its frame has not");
    const selectors = body[2 + 2 * i]!;
    return { component, dc: tables.dc[selectors >> 4], ac: tables.ac[selectors & 15] };
  });
  const [first, last, approximation] = [body[1 + 2 * count]!, body[2 + 2 * count]!, body[3 + 2 * count]!];
  return { components, first, last, high: approximation >> 4, low: approximation & 15, restart };
}

function interleaved({ components, width, height }: JpegFrame): Uint16Array {
  const data = new Uint16Array(width * height * components.length);
  components.forEach(({ values }, c) => {
    for (let i = 0, to = c; i < values.length; i++, to += components.length) data[to] = values[i]!;
  });
  return data;
}
