/** Discrete cosine coefficients of JPEG, and samples from them (ITU-T T.81, annexes F and G). */
import { extend } from "./bits.ts";
import type { Bits, HuffmanTable } from "./bits.ts";
import type { JpegComponent, JpegFrame, JpegScan } from "./decode.ts";

/** Natural position of the coefficients in the order of the stream (T.81, figure A.6). */
const ZIGZAG = (() => {
  const order = new Uint8Array(64);
  let [x, y] = [0, 0];
  for (let i = 0; i < 64; i++) {
    order[i] = 8 * y + x;
    if ((x + y) % 2 === 0) {
      if (x === 7) y++;
      else {
        x++;
        if (y > 0) y--;
      }
    } else if (y === 7) x++;
    else {
      y++;
      if (x > 0) x--;
    }
  }
  return order;
})();

/** Decodes a scan into the coefficients of its components. */
export function decodeDctScan(frame: JpegFrame, scan: JpegScan, bits: Bits, fail: (message: string) => never): void {
  const progressive = frame.process === "progressive";
  // A sequential scan always holds all coefficients; some writers say 0 to 0.
  const { first, last, high, low } = progressive ? scan : { first: 0, last: 63, high: 0, low: 0 };
  const { restart } = scan;
  if (last > 63 || first > last || (progressive && first === 0 && last > 0) || low > 13)
    fail(`a JPEG scan of coefficients ${first} to ${last}`);
  if (first > 0 && scan.components.length > 1) fail("a JPEG scan of several components' details");
  const predictions = new Int32Array(scan.components.length);
  const state = { run: 0 };
  const needed = (table: HuffmanTable | undefined) => table ?? fail("a JPEG scan without its Huffman table");

  const block = (index: number, at: number) => {
    const { component, dc, ac } = scan.components[index]!;
    const { values } = component;
    if (first === 0) {
      if (high > 0) values[at]! |= bits.receive(1) << low;
      else {
        const size = bits.decode(needed(dc));
        if (size > 16) fail(`a JPEG difference of ${size} bits`);
        predictions[index]! += extend(bits.receive(size), size);
        values[at] = predictions[index]! << low;
      }
      if (!progressive) sequentialDetails(values, at, needed(ac), bits, fail);
    } else if (high === 0) firstDetails(values, at, scan, needed(ac), bits, state);
    else refinedDetails(values, at, scan, needed(ac), bits, state);
  };

  const alone = scan.components.length === 1 ? scan.components[0]!.component : undefined;
  // A component by itself is coded block by block as far as it reaches; several are coded unit by unit.
  const across = alone === undefined ? frame.unitsAcross : Math.ceil(alone.width / 8);
  const units = across * (alone === undefined ? frame.unitsDown : Math.ceil(alone.height / 8));
  for (let unit = 0; unit < units; unit++) {
    if (restart > 0 && unit > 0 && unit % restart === 0) {
      bits.restart();
      predictions.fill(0);
      state.run = 0;
    }
    const [x, y] = [unit % across, Math.floor(unit / across)];
    if (alone !== undefined) block(0, 64 * (y * alone.blocksAcross + x));
    else
      scan.components.forEach(({ component: { h, v, blocksAcross } }, index) => {
        for (let j = 0; j < v; j++)
          for (let i = 0; i < h; i++) block(index, 64 * ((y * v + j) * blocksAcross + x * h + i));
      });
  }
}

/** F.2.2.2. */
function sequentialDetails(
  values: Int32Array,
  at: number,
  table: HuffmanTable,
  bits: Bits,
  fail: (message: string) => never,
) {
  // prettier-ignore
  for (let k = 1; k < 64; k++) {
    const symbol = bits.decode(table);
    const [run, size] = [symbol >> 4, symbol & 15];
    if (size === 0) {
      if (run < 15) return;
      k += 15;
      continue;
    }
    k += run;
    if (k > 63) fail("more than 64 JPEG coefficients in a block");
    values[at + ZIGZAG[k]!] = extend(bits.receive(size), size);
  }
}

/** G.1.2.2. */
function firstDetails(
  values: Int32Array,
  at: number,
  { first, last, low }: JpegScan,
  table: HuffmanTable,
  bits: Bits,
  state: { run: number },
) {
  // prettier-ignore
  if (state.run > 0) {
    state.run--;
    return;
  }
  for (let k = first; k <= last; k++) {
    const symbol = bits.decode(table);
    const [run, size] = [symbol >> 4, symbol & 15];
    if (size === 0) {
      if (run < 15) {
        state.run = (1 << run) + bits.receive(run) - 1;
        return;
      }
      k += 15;
      continue;
    }
    k += run;
    if (k <= last) values[at + ZIGZAG[k]!] = extend(bits.receive(size), size) << low;
  }
}

/** G.1.2.3. */
function refinedDetails(
  values: Int32Array,
  at: number,
  { first, last, low }: JpegScan,
  table: HuffmanTable,
  bits: Bits,
  state: { run: number },
) {
  // prettier-ignore
  const bit = 1 << low;
  const refine = (position: number) => {
    const value = values[position]!;
    if (bits.receive(1) === 1 && (Math.abs(value) & bit) === 0) values[position] = value + (value > 0 ? bit : -bit);
  };
  let k = first;
  if (state.run === 0)
    for (; k <= last; k++) {
      const symbol = bits.decode(table);
      let run = symbol >> 4;
      let fresh = 0;
      if ((symbol & 15) === 0) {
        if (run < 15) {
          state.run = (1 << run) + bits.receive(run);
          break;
        }
      } else fresh = bits.receive(1) === 1 ? bit : -bit;
      for (; k <= last; k++) {
        const position = at + ZIGZAG[k]!;
        if (values[position] !== 0) refine(position);
        else if (--run < 0) break;
      }
      if (fresh !== 0 && k <= last) values[at + ZIGZAG[k]!] = fresh;
    }
  if (state.run > 0) {
    for (; k <= last; k++) if (values[at + ZIGZAG[k]!] !== 0) refine(at + ZIGZAG[k]!);
    state.run--;
  }
}

/** COSINES[8 x + u]: the basis of T.81, A.3.3, with its factors. */
const COSINES = Float64Array.from({ length: 64 }, (_, i) => {
  const [x, u] = [i >> 3, i & 7];
  return (u === 0 ? Math.SQRT1_2 : 1) * 0.5 * Math.cos(((2 * x + 1) * u * Math.PI) / 16);
});

/** Samples, interleaved, [height, width, components]. */
export function samplesOfDct(
  frame: JpegFrame,
  quantisation: readonly (Uint16Array | undefined)[],
  fail: (message: string) => never,
): Uint16Array {
  const { width, height, components, precision } = frame;
  const count = components.length;
  const data = new Uint16Array(width * height * count);
  components.forEach((component, c) => {
    const table = quantisation[component.quantisation];
    if (table === undefined) return fail("a JPEG component without its quantisation table");
    const plane = planeOf(component, table, precision);
    const stride = 8 * component.blocksAcross;
    if (component.width === width && component.height === height) {
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) data[(y * width + x) * count + c] = plane[y * stride + x]!;
    } else {
      const [columns, rows] = [between(component.width, width), between(component.height, height)];
      for (let y = 0; y < height; y++) {
        const { low: top, high: bottom, share: down } = rows[y]!;
        for (let x = 0; x < width; x++) {
          const { low, high, share } = columns[x]!;
          const above = plane[top * stride + low]! * (1 - share) + plane[top * stride + high]! * share;
          const below = plane[bottom * stride + low]! * (1 - share) + plane[bottom * stride + high]! * share;
          data[(y * width + x) * count + c] = Math.round(above * (1 - down) + below * down);
        }
      }
    }
  });
  return data;
}

/** The two samples that each of `to` positions lies between, and how far it is towards the second. */
function between(from: number, to: number) {
  // The chroma of a pair of pixels lies in the middle between them (JFIF 1.02).
  const step = to / from > 1 ? Math.ceil(to / from) : 1;
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(from - 1, Math.max(0, (i + 0.5) / step - 0.5));
    const low = Math.floor(place);
    return { low, high: Math.min(from - 1, low + 1), share: place - low };
  });
}

function planeOf({ values, blocksAcross, blocksDown }: JpegComponent, table: Uint16Array, precision: number) {
  const stride = 8 * blocksAcross;
  const plane = new Uint16Array(stride * 8 * blocksDown);
  const [shift, top] = [1 << (precision - 1), (1 << precision) - 1];
  const factors = new Uint16Array(64);
  for (let i = 0; i < 64; i++) factors[ZIGZAG[i]!] = table[i]!;
  const [half, block] = [new Float64Array(64), new Float64Array(64)];
  for (let by = 0; by < blocksDown; by++)
    for (let bx = 0; bx < blocksAcross; bx++) {
      const at = 64 * (by * blocksAcross + bx);
      let flat = true;
      for (let i = 0; i < 64; i++) {
        block[i] = values[at + i]! * factors[i]!;
        if (i > 0 && block[i] !== 0) flat = false;
      }
      const to = 8 * by * stride + 8 * bx;
      if (flat) {
        const value = Math.min(top, Math.max(0, Math.round(block[0]! / 8 + shift)));
        for (let y = 0; y < 8; y++) plane.fill(value, to + y * stride, to + y * stride + 8);
        continue;
      }
      for (let v = 0; v < 8; v++)
        for (let x = 0; x < 8; x++) {
          let sum = 0;
          for (let u = 0; u < 8; u++) sum += COSINES[8 * x + u]! * block[8 * v + u]!;
          half[8 * v + x] = sum;
        }
      for (let y = 0; y < 8; y++)
        for (let x = 0; x < 8; x++) {
          let sum = shift;
          for (let v = 0; v < 8; v++) sum += COSINES[8 * y + v]! * half[8 * v + x]!;
          plane[to + y * stride + x] = Math.min(top, Math.max(0, Math.round(sum)));
        }
    }
  return plane;
}
