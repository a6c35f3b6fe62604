/** Random views of one image: where it lies and how bright it is, never what it shows. */
import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import { moments, range } from "./normalise.ts";
import type { Planes } from "./pixels.ts";

/** What may be varied, and by how much at most. What is absent or 0 is left alone. */
export interface Augmentation {
  readonly flipHorizontal?: boolean;
  readonly flipVertical?: boolean;
  /** Multiples of 90 degrees, each as likely; square images only. */
  readonly rightAngles?: boolean;
  /** Shift along each axis, as a fraction of the side: uniform in [-shift, shift]. */
  readonly shift?: number;
  /** Rotation about the centre in degrees: uniform in [-rotate, rotate]. */
  readonly rotate?: number;
  /** Enlargement: log-uniform in [1 / (1 + scale), 1 + scale]. */
  readonly scale?: number;
  /**
   * Gain about the mean in [1 - i, 1 + i], offset in [-i, i] / 2 of the image's range, gamma in [1 / (1 + i), 1 + i] over
   * its range. All relative to the image itself, so that any normalisation may come before.
   */
  readonly intensity?: number;
}

export interface AugmentOptions {
  /** What lies beyond the border: the nearest pixel, or the mirrored image. */
  readonly edge?: "replicate" | "reflect";
  /** Written into when given (channels x height x width), so that a batch is filled without copies. */
  readonly out?: Float32Array;
}

/** Backward map: the source position of target (x, y) is (a x + b y + c, d x + e y + f), in pixels. */
type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * One random view of `planes`, of the same shape; all geometry in one bilinear pass. Flips and right angles alone move
 * pixels exactly. The same source state gives the same view, and every view takes the same number of draws.
 * Throws LG-IMAGE-008 for a negative or non-finite amount, a scale or intensity of 1 or more, right angles of an oblong.
 */
export function augment(
  planes: Planes,
  augmentation: Augmentation,
  random: RandomSource,
  { edge = "replicate", out = new Float32Array(planes.data.length) }: AugmentOptions = {},
): Planes {
  const { width, height, channels } = planes;
  const { shift = 0, rotate = 0, scale = 0, intensity = 0 } = augmentation;
  validate(planes, { shift, rotate, scale, intensity }, augmentation, out);

  // Drawn always and in this order, so that switching one amount off leaves the others as they were.
  const symmetric = () => 2 * random.uniform() - 1;
  const coins = random.integer(16);
  const [dx, dy, turn, zoom, gain, offset, gamma] = Array.from({ length: 7 }, symmetric) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number, // prettier-ignore
  ];
  const map = backwardMap({
    flipX: augmentation.flipHorizontal === true && (coins & 1) === 1,
    flipY: augmentation.flipVertical === true && (coins & 2) === 2,
    quarters: augmentation.rightAngles === true ? coins >> 2 : 0,
    radians: (turn * rotate * Math.PI) / 180,
    zoom: Math.exp(zoom * Math.log1p(scale)),
    dx: dx * shift * width,
    dy: dy * shift * height,
    width,
    height,
  });
  const size = width * height;
  for (let c = 0; c < channels; c++)
    warp(
      planes.data.subarray(c * size, (c + 1) * size),
      out.subarray(c * size, (c + 1) * size),
      width,
      height,
      map,
      edge,
    );
  if (intensity > 0)
    jitter(out, 1 + gain * intensity, (offset * intensity) / 2, Math.exp(gamma * Math.log1p(intensity)));
  return { channels, height, width, data: out };
}

function validate(
  planes: Planes,
  amounts: Readonly<Record<string, number>>,
  { rightAngles }: Augmentation,
  out: Float32Array,
): void {
  const refuse = (message: string, hint: string) => {
    throw new LeadglassError("LG-IMAGE-008", `augment: ${message}`, { hint });
  };
  for (const [name, amount] of Object.entries(amounts)) {
    const limit = name === "rotate" ? 180 : 1;
    if (!(amount >= 0 && amount <= limit))
      refuse(`${name} ${amount}; 0 to ${limit} expected`, `Give a smaller ${name}.`);
  }
  if (rightAngles === true && planes.width !== planes.height)
    refuse(`rightAngles of ${planes.width} x ${planes.height}`, "Resize to a square first, or leave rightAngles out.");
  if (out.length !== planes.data.length)
    refuse(`out of length ${out.length}; ${planes.data.length} expected`, "Give one float for each pixel and channel.");
}

interface Geometry {
  readonly flipX: boolean;
  readonly flipY: boolean;
  readonly quarters: number;
  readonly radians: number;
  readonly zoom: number;
  readonly dx: number;
  readonly dy: number;
  readonly width: number;
  readonly height: number;
}

function backwardMap({ flipX, flipY, quarters, radians, zoom, dx, dy, width, height }: Geometry): Affine {
  const [cx, cy] = [(width - 1) / 2, (height - 1) / 2];
  // Quarter turns by exact integers: cos(pi / 2) is not 0 in floating point.
  const [qc, qs] = [[1, 0], [0, 1], [-1, 0], [0, -1]][quarters % 4] as [number, number]; // prettier-ignore
  const [cos, sin] = [Math.cos(radians) / zoom, Math.sin(radians) / zoom];
  const [fx, fy] = [flipX ? -1 : 1, flipY ? -1 : 1];
  const a = fx * (qc * cos - qs * sin);
  const b = fx * (qc * sin + qs * cos);
  const d = fy * (-qs * cos - qc * sin);
  const e = fy * (-qs * sin + qc * cos);
  return [a, b, cx - a * (cx + dx) - b * (cy + dy), d, e, cy - d * (cx + dx) - e * (cy + dy)];
}

const clamp = (i: number, size: number) => (i < 0 ? 0 : i >= size ? size - 1 : i);
function mirror(i: number, size: number): number {
  const period = 2 * size;
  const k = ((i % period) + period) % period;
  return k < size ? k : period - 1 - k;
}

function warp(
  source: Float32Array,
  target: Float32Array,
  width: number,
  height: number,
  [a, b, c, d, e, f]: Affine,
  edge: "replicate" | "reflect",
): void {
  const fold = edge === "replicate" ? clamp : mirror;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const sx = a * x + b * y + c;
      const sy = d * x + e * y + f;
      const x0 = Math.floor(sx);
      const y0 = Math.floor(sy);
      const u = sx - x0;
      const v = sy - y0;
      let p = y0 * width + x0;
      let q = p + width;
      let next = 1;
      if (x0 < 0 || y0 < 0 || x0 >= width - 1 || y0 >= height - 1) {
        const left = fold(x0, width);
        next = fold(x0 + 1, width) - left;
        p = fold(y0, height) * width + left;
        q = fold(y0 + 1, height) * width + left;
      }
      const upper = source[p]! + u * (source[p + next]! - source[p]!);
      const lower = source[q]! + u * (source[q + next]! - source[q]!);
      target[i] = upper + v * (lower - upper);
    }
  }
}

/** Steps of the tone curve; between them it is straight, which is far below what 8 bit films resolve. */
const CURVE_STEPS = 512;

function jitter(data: Float32Array, gain: number, offset: number, gamma: number): void {
  const { min, max } = range(data);
  const span = max - min;
  if (!(span > 0)) return; // one value has no range to which gain, offset or gamma could relate
  const middle = moments(data).mean;
  const curve = new Float32Array(CURVE_STEPS + 2);
  for (let k = 0; k < curve.length; k++) {
    const value = min + span * (k / CURVE_STEPS) ** gamma;
    curve[k] = middle + gain * (value - middle) + offset * span;
  }
  const step = CURVE_STEPS / span;
  for (let i = 0; i < data.length; i++) {
    const t = (data[i]! - min) * step;
    const k = Math.floor(t);
    data[i] = curve[k]! + (t - k) * (curve[k + 1]! - curve[k]!);
  }
}
