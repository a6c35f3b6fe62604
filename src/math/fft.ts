/**
 * Discrete Fourier transforms of complex sequences whose length is a power of two, in place, without reordering: the
 * forward transform leaves frequency k at the position whose binary digits are those of k reversed, and the inverse takes
 * it from there. What lies between them, such as a product for a convolution, seldom cares about the order.
 *
 * Two radix-2 stages are done at a time (decimation in frequency forward, in time backward), with the roots of unity of
 * every stage in a table. Source: Cooley and Tukey 1965; Gentleman and Sande 1966.
 */

import { LeadglassError } from "../errors.ts";

/** For each length, cos and sin of -2 pi j / length times 1, 2 and 3, six numbers for each j below a quarter of it. */
const roots = new Map<number, Float64Array>();

function rootsOf(length: number): Float64Array {
  const known = roots.get(length);
  if (known) return known;
  const table = new Float64Array((length / 4) * 6);
  for (let j = 0; j < length / 4; j++)
    for (let power = 1; power <= 3; power++) {
      const angle = (-2 * Math.PI * j * power) / length;
      table[6 * j + 2 * power - 2] = Math.cos(angle);
      table[6 * j + 2 * power - 1] = Math.sin(angle);
    }
  roots.set(length, table);
  return table;
}

function checkLengths(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  if (n === im.length && n >= 1 && Number.isInteger(Math.log2(n))) return;
  throw new LeadglassError(
    "LG-BUG-001",
    `fft: real and imaginary parts of length ${n} and ${im.length}; expected the same power of two`,
  );
}

/**
 * Replaces x[0..n-1] by its transform sum over t of x[t] exp(-2 pi i k t / n), frequency k at bit-reversed position.
 * Throws LG-BUG-001 unless both parts have the same power of two as length.
 */
export function forwardFft(re: Float64Array, im: Float64Array): void {
  checkLengths(re, im);
  const n = re.length;
  let length = n;
  for (; length >= 4; length /= 4) {
    const quarter = length / 4;
    const w = rootsOf(length);
    for (let start = 0; start < n; start += length) {
      for (let j = 0, i0 = start; j < quarter; j++, i0++) {
        const i1 = i0 + quarter;
        const i2 = i1 + quarter;
        const i3 = i2 + quarter;
        const r02 = re[i0]! + re[i2]!;
        const m02 = im[i0]! + im[i2]!;
        const r13 = re[i1]! + re[i3]!;
        const m13 = im[i1]! + im[i3]!;
        const d02 = re[i0]! - re[i2]!;
        const e02 = im[i0]! - im[i2]!;
        const d13 = re[i1]! - re[i3]!;
        const e13 = im[i1]! - im[i3]!;
        re[i0] = r02 + r13;
        im[i0] = m02 + m13;
        const at = 6 * j;
        // Twice the root for the difference of the sums; once and three times for the others, turned by -i and i.
        rotate(re, im, i1, r02 - r13, m02 - m13, w[at + 2]!, w[at + 3]!);
        rotate(re, im, i2, d02 + e13, e02 - d13, w[at]!, w[at + 1]!);
        rotate(re, im, i3, d02 - e13, e02 + d13, w[at + 4]!, w[at + 5]!);
      }
    }
  }
  if (length === 2) sumsAndDifferences(re, im);
}

/**
 * Undoes {@link forwardFft}: takes frequencies at bit-reversed positions and leaves the sequence in its order.
 * Throws LG-BUG-001 unless both parts have the same power of two as length.
 */
export function inverseFft(re: Float64Array, im: Float64Array): void {
  checkLengths(re, im);
  const n = re.length;
  const odd = Math.log2(n) % 2 === 1;
  if (odd) sumsAndDifferences(re, im);
  for (let length = odd ? 8 : 4; length <= n; length *= 4) {
    const quarter = length / 4;
    const w = rootsOf(length);
    for (let start = 0; start < n; start += length) {
      for (let j = 0, i0 = start; j < quarter; j++, i0++) {
        const i1 = i0 + quarter;
        const i2 = i1 + quarter;
        const i3 = i2 + quarter;
        const at = 6 * j;
        rotate(re, im, i1, re[i1]!, im[i1]!, w[at + 2]!, -w[at + 3]!);
        rotate(re, im, i2, re[i2]!, im[i2]!, w[at]!, -w[at + 1]!);
        rotate(re, im, i3, re[i3]!, im[i3]!, w[at + 4]!, -w[at + 5]!);
        const s01 = re[i0]! + re[i1]!;
        const t01 = im[i0]! + im[i1]!;
        const d01 = re[i0]! - re[i1]!;
        const e01 = im[i0]! - im[i1]!;
        const s23 = re[i2]! + re[i3]!;
        const t23 = im[i2]! + im[i3]!;
        const d23 = re[i2]! - re[i3]!;
        const e23 = im[i2]! - im[i3]!;
        re[i0] = s01 + s23;
        im[i0] = t01 + t23;
        re[i2] = s01 - s23;
        im[i2] = t01 - t23;
        re[i1] = d01 - e23;
        im[i1] = e01 + d23;
        re[i3] = d01 + e23;
        im[i3] = e01 - d23;
      }
    }
  }
  for (let i = 0; i < n; i++) {
    re[i]! /= n;
    im[i]! /= n;
  }
}

/**
 * Where the transform holds the frequency n - k, given that it holds the frequency k at `position`. The transform of a
 * real sequence has complex conjugates at the two.
 */
export function mirroredPosition(position: number): number {
  // Numbers of b binary digits and a leading 1, reversed, are the odd multiples of n / 2^(b + 1) in mirrored order.
  return position === 0 ? 0 : 3 * 2 ** (31 - Math.clz32(position)) - 1 - position;
}

function rotate(
  re: Float64Array,
  im: Float64Array,
  at: number,
  real: number,
  imaginary: number,
  cos: number,
  sin: number,
): void {
  re[at] = real * cos - imaginary * sin;
  im[at] = real * sin + imaginary * cos;
}

function sumsAndDifferences(re: Float64Array, im: Float64Array): void {
  for (let i = 0; i < re.length; i += 2) {
    const [real, imaginary] = [re[i]!, im[i]!];
    re[i] = real + re[i + 1]!;
    im[i] = imaginary + im[i + 1]!;
    re[i + 1] = real - re[i + 1]!;
    im[i + 1] = imaginary - im[i + 1]!;
  }
}
