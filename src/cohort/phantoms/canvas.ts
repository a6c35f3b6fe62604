/** Drawing in floats: soft edges, strokes, smooth noise, blur. Coordinates run from -1 to 1, y downwards. */
import type { RandomSource } from "../../math/random.ts";

/** A square grey image in floats. */
export interface Canvas {
  readonly size: number;
  readonly data: Float32Array;
}

export const canvas = (size: number): Canvas => ({ size, data: new Float32Array(size * size) });

/** 0 below -1, 1 above 1, smooth between: an edge whose half-width is the unit of `t`. */
export function edge(t: number): number {
  if (t <= -1) return 0;
  if (t >= 1) return 1;
  return 0.5 + t * (0.75 - 0.25 * t * t);
}

/** A bell of height 1 that is exactly 0 beyond |t| = 1. */
export function bell(t: number): number {
  const s = 1 - t * t;
  return s <= 0 ? 0 : s * s;
}

export const mix = (a: number, b: number, t: number) => a + (b - a) * t;
export const clamp = (x: number, low: number, high: number) => (x < low ? low : x > high ? high : x);

/** A normal number, cut at 2.5 standard deviations so that no anatomy becomes impossible. */
export const normal = (random: RandomSource, mean: number, std: number) =>
  mean + std * clamp(random.gaussian(), -2.5, 2.5);
export const between = (random: RandomSource, low: number, high: number) => low + (high - low) * random.uniform();

/** Calls `paint` with every pixel's place and index. */
export function forEachPixel(size: number, paint: (x: number, y: number, i: number) => void): void {
  const step = 2 / size;
  for (let row = 0, i = 0; row < size; row++) {
    const y = (row + 0.5) * step - 1;
    for (let column = 0; column < size; column++, i++) paint((column + 0.5) * step - 1, y, i);
  }
}

/**
 * Paints a tapering line from (x0, y0) to (x1, y1) into a layer by maximum, so that strokes of one tree do not add up
 * where they meet. `w0` and `w1` are the half-widths at the ends, `height` what the middle of the line reaches.
 */
export function stroke(
  layer: Canvas,
  [x0, y0, x1, y1]: readonly [number, number, number, number],
  [w0, w1]: readonly [number, number],
  height: number,
): void {
  const { size, data } = layer;
  const [dx, dy] = [x1 - x0, y1 - y0];
  const square = dx * dx + dy * dy || 1e-12;
  const wide = Math.max(w0, w1);
  const toPixel = (u: number) => ((u + 1) * size) / 2 - 0.5;
  const left = Math.max(0, Math.floor(toPixel(Math.min(x0, x1) - wide)));
  const right = Math.min(size - 1, Math.ceil(toPixel(Math.max(x0, x1) + wide)));
  const top = Math.max(0, Math.floor(toPixel(Math.min(y0, y1) - wide)));
  const bottom = Math.min(size - 1, Math.ceil(toPixel(Math.max(y0, y1) + wide)));
  // A line thinner than a pixel is drawn a pixel wide and fainter, as a detector sees it.
  const thinnest = 1.2 / size;
  for (let row = top; row <= bottom; row++) {
    const y = ((row + 0.5) * 2) / size - 1;
    for (let column = left; column <= right; column++) {
      const x = ((column + 0.5) * 2) / size - 1;
      const t = clamp(((x - x0) * dx + (y - y0) * dy) / square, 0, 1);
      const width = mix(w0, w1, t);
      const drawn = Math.max(width, thinnest);
      const ex = x - x0 - t * dx;
      const ey = y - y0 - t * dy;
      const distance = (ex * ex + ey * ey) / (drawn * drawn);
      if (distance >= 1) continue;
      const value = height * (width / drawn) * (1 - distance);
      const i = row * size + column;
      if (value > data[i]!) data[i] = value;
    }
  }
}

/** Smooth random field of mean about 0 and range about -1 to 1, made of one seed. */
export type Noise = (x: number, y: number) => number;

/** Value noise: random heights at whole coordinates, joined by a quintic. */
export function valueNoise(random: RandomSource): Noise {
  const heights = Float32Array.from({ length: 4096 }, () => 2 * random.uniform() - 1);
  const height = (ix: number, iy: number) => heights[(Math.imul(ix, 73_856_093) ^ Math.imul(iy, 19_349_663)) & 4095]!;
  const ease = (t: number) => t * t * t * (t * (6 * t - 15) + 10);
  return (x, y) => {
    const ix = Math.floor(x);
    const iy = Math.floor(y);
    const u = ease(x - ix);
    const v = ease(y - iy);
    const top = mix(height(ix, iy), height(ix + 1, iy), u);
    return mix(top, mix(height(ix, iy + 1), height(ix + 1, iy + 1), u), v);
  };
}

/** Sum of octaves, each twice as fine and `gain` times as high: about 1/f noise for a gain of 0.5 to 0.7. */
export function fractal(noise: Noise, x: number, y: number, octaves: number, gain = 0.55): number {
  let sum = 0;
  let height = 1;
  let frequency = 1;
  for (let k = 0; k < octaves; k++) {
    sum += height * noise(x * frequency + 17.3 * k, y * frequency - 9.1 * k);
    height *= gain;
    frequency *= 2;
  }
  return sum;
}

/** Gaussian blur in place, `sigma` in pixels; nothing below a tenth of a pixel. */
export function blur({ size, data }: Canvas, sigma: number): void {
  if (sigma < 0.1) return;
  const radius = Math.ceil(3 * sigma);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, k) =>
    Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2)),
  );
  const total = kernel.reduce((a, b) => a + b);
  for (let k = 0; k < kernel.length; k++) kernel[k]! /= total;
  const line = new Float32Array(size + 2 * radius);
  const pass = (start: number, stride: number) => {
    for (let i = 0; i < line.length; i++) line[i] = data[start + clamp(i - radius, 0, size - 1) * stride]!;
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let k = 0; k <= 2 * radius; k++) sum += kernel[k]! * line[i + k]!;
      data[start + i * stride] = sum;
    }
  };
  for (let y = 0; y < size; y++) pass(y * size, 1);
  for (let x = 0; x < size; x++) pass(x, size);
}
