/** Lossless JPEG: differences to a prediction from neighbours (ITU-T T.81, annex H). */
import { extend } from "./bits.ts";
import type { Bits } from "./bits.ts";
import type { JpegFrame, JpegScan } from "./decode.ts";

/** Predictions from the neighbours at the left, above, and above at the left; table H.1. */
const PREDICTORS: Readonly<Record<number, (a: number, b: number, c: number) => number>> = {
  1: (a) => a,
  2: (_, b) => b,
  3: (_, __, c) => c,
  4: (a, b, c) => a + b - c,
  5: (a, b, c) => a + ((b - c) >> 1),
  6: (a, b, c) => b + ((a - c) >> 1),
  7: (a, b) => (a + b) >> 1,
};

/** Decodes a scan into the samples of its components. */
export function decodeLosslessScan(
  frame: JpegFrame,
  scan: JpegScan,
  bits: Bits,
  fail: (message: string) => never,
): void {
  const { width, height, precision } = frame;
  const { low, restart } = scan;
  const predict = PREDICTORS[scan.first];
  if (predict === undefined) return fail(`JPEG predictor ${scan.first}; 1 to 7 expected`);
  if (restart % width !== 0) fail("JPEG restarts within a line");
  if (low >= precision) fail("a JPEG point transform of all bits");
  const initial = 1 << (precision - low - 1);
  let firstLine = true;
  for (let y = 0; y < height; y++) {
    if (restart > 0 && y > 0 && (y * width) % restart === 0) {
      bits.restart();
      firstLine = true;
    }
    for (let x = 0; x < width; x++)
      for (const { component, dc } of scan.components) {
        if (dc === undefined) return fail("a JPEG scan without its Huffman table");
        const { values } = component;
        const at = y * width + x;
        // Samples are kept shifted to their place, so that several scans or a point transform change nothing here.
        const a = x > 0 ? values[at - 1]! >> low : 0;
        const b = firstLine ? 0 : values[at - width]! >> low;
        const prediction = firstLine
          ? x === 0
            ? initial
            : a
          : x === 0
            ? b
            : predict(a, b, values[at - width - 1]! >> low);
        const size = bits.decode(dc);
        if (size > 16) fail(`a JPEG difference of ${size} bits`);
        // H.1.2.2: 16 stands for 32,768 and has no further bits.
        const difference = size === 16 ? 32_768 : extend(bits.receive(size), size);
        values[at] = ((prediction + difference) & 0xffff) << low;
      }
    firstLine = false;
  }
}
