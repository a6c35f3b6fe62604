import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forwardFft, inverseFft, mirroredPosition } from "./fft.ts";
import { seededRandom } from "./random.ts";

const reversedBits = (value: number, bits: number): number => {
  let reversed = 0;
  for (let bit = 0; bit < bits; bit++) reversed = 2 * reversed + ((value >> bit) & 1);
  return reversed;
};

/** The definition, term by term. */
function directTransform(re: Float64Array, im: Float64Array): { re: Float64Array; im: Float64Array } {
  const n = re.length;
  const out = { re: new Float64Array(n), im: new Float64Array(n) };
  for (let k = 0; k < n; k++)
    for (let t = 0; t < n; t++) {
      const angle = (-2 * Math.PI * ((k * t) % n)) / n;
      out.re[k]! += re[t]! * Math.cos(angle) - im[t]! * Math.sin(angle);
      out.im[k]! += re[t]! * Math.sin(angle) + im[t]! * Math.cos(angle);
    }
  return out;
}

const numbers = fc.double({ min: -1, max: 1, noNaN: true });
const sequences = fc.integer({ min: 0, max: 8 }).chain((bits) => {
  const part = fc.array(numbers, { minLength: 2 ** bits, maxLength: 2 ** bits });
  return fc.tuple(fc.constant(bits), part, part);
});

describe("forwardFft", () => {
  it("isTheDefinition_atBitReversedPositions [absolute 1e-12]", () => {
    fc.assert(
      fc.property(sequences, ([bits, real, imaginary]) => {
        const [re, im] = [Float64Array.from(real), Float64Array.from(imaginary)];
        const expected = directTransform(re, im);
        forwardFft(re, im);
        for (let k = 0; k < re.length; k++) {
          const position = reversedBits(k, bits);
          expect(Math.abs(re[position]! - expected.re[k]!)).toBeLessThan(1e-12);
          expect(Math.abs(im[position]! - expected.im[k]!)).toBeLessThan(1e-12);
        }
      }),
      { numRuns: 40 },
    );
  });

  it.each([4, 15, 16])("isUndoneByTheInverse_andKeepsTheSumOfSquares, length 2^%i [1e-12, 1e-14]", (bits) => {
    const random = seededRandom(bits);
    const n = 2 ** bits;
    const re = Float64Array.from({ length: n }, () => random.uniform() - 0.5);
    const im = Float64Array.from({ length: n }, () => random.uniform() - 0.5);
    const [startRe, startIm] = [re.slice(), im.slice()];
    const squares = (): number => re.reduce((sum, x, i) => sum + x * x + im[i]! ** 2, 0);
    const before = squares();
    forwardFft(re, im);
    // Parseval's theorem.
    expect(Math.abs(squares() / (n * before) - 1)).toBeLessThan(1e-12);
    inverseFft(re, im);
    let worst = 0;
    for (let i = 0; i < n; i++) worst = Math.max(worst, Math.abs(re[i]! - startRe[i]!), Math.abs(im[i]! - startIm[i]!));
    expect(worst).toBeLessThan(1e-14);
  });

  it("refusesWhatIsNotAPowerOfTwo", () => {
    expect(() => forwardFft(new Float64Array(6), new Float64Array(6))).toThrow(/length 6 and 6/);
    expect(() => inverseFft(new Float64Array(4), new Float64Array(8))).toThrow(/length 4 and 8/);
    expect(() => forwardFft(new Float64Array(0), new Float64Array(0))).toThrow(/length 0 and 0/);
  });
});

it("mirroredPosition_holdsTheOppositeFrequency", () => {
  for (const bits of [1, 4, 7])
    for (let k = 0; k < 2 ** bits; k++)
      expect(mirroredPosition(reversedBits(k, bits))).toBe(reversedBits((2 ** bits - k) % 2 ** bits, bits));
});
