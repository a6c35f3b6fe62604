/** Resampling and cropping of volumes. */
import { LeadglassError } from "../errors.ts";
import { taps } from "./taps.ts";
import type { Taps } from "./taps.ts";
import type { Volume } from "./volume.ts";

type Triple = readonly [number, number, number];

/** A side, and a volume, beyond these is taken for a mistake before anything is allocated. */
const MAX_SIDE = 4096;
const MAX_VOXELS = 400_000_000;

const wrong = (message: string, hint: string) => new LeadglassError("LG-IMAGE-011", message, { hint });

function requireShape(where: string, shape: Triple): void {
  const voxels = shape.reduce((product, side) => product * side, 1);
  if (shape.length !== 3 || !shape.every((n) => Number.isInteger(n) && n >= 1 && n <= MAX_SIDE) || voxels > MAX_VOXELS)
    throw wrong(
      `${where}: ${shape.join(" x ")} voxels; three whole numbers from 1 to ${MAX_SIDE} expected, ${MAX_VOXELS} voxels at most`,
      "Ask for a smaller volume or a wider spacing.",
    );
}

export type ResampleTarget =
  { readonly shape: Triple; readonly spacingMm?: never } | { readonly spacingMm: Triple; readonly shape?: never };

export interface ResampleOptions {
  /** `linear` for grey values, smoothing when voxels become larger so that nothing aliases; `nearest` for labels. */
  readonly kernel?: "linear" | "nearest";
}

/**
 * Resamples a volume to a shape, which stretches it, or to a spacing in millimetres (z, y, x), which keeps its centre in
 * place and makes as many voxels as come nearest to its extent, at least one. Values beyond the edge are those of the edge.
 * Throws LG-IMAGE-011 for a shape or spacing that cannot be.
 */
export function resampleVolume(
  volume: Volume,
  target: ResampleTarget,
  { kernel = "linear" }: ResampleOptions = {},
): Volume {
  const spacing = target.spacingMm;
  if (spacing !== undefined && !(spacing.length === 3 && spacing.every((mm) => mm > 0 && mm < Infinity)))
    throw wrong(`resampleVolume: a spacing of ${spacing.join(" x ")} mm`, "Give three positive lengths: z, y, x.");
  const axes = [0, 1, 2] as const;
  const shape = axes.map((a) =>
    spacing === undefined
      ? target.shape![a]
      : Math.max(1, Math.round((volume.shape[a] * volume.spacingMm[a]) / spacing[a])),
  ) as unknown as Triple;
  requireShape("resampleVolume", shape);
  // Source voxels to a target voxel.
  const scale = axes.map((a) =>
    spacing === undefined ? volume.shape[a] / shape[a] : spacing[a] / volume.spacingMm[a],
  ) as unknown as Triple;

  const size: [number, number, number] = [...volume.shape];
  let data = volume.data;
  // The axis that shrinks most goes first, so that the others have less to do.
  for (const a of axes.toSorted((b, c) => scale[c] - scale[b])) {
    if (shape[a] === size[a] && scale[a] === 1) continue;
    const extent = shape[a] * scale[a];
    const offset = (size[a] - extent) / 2;
    const along =
      kernel === "linear"
        ? taps(size[a], offset, extent, shape[a], "bilinear")
        : nearest(size[a], offset, scale[a], shape[a]);
    const inner = size.slice(a + 1).reduce((product, side) => product * side, 1);
    data = alongAxis(data, size[a], inner, along);
    size[a] = shape[a];
  }
  const spacingMm = axes.map((a) => volume.spacingMm[a] * scale[a]) as unknown as Triple;
  return { shape, spacingMm: spacing ?? spacingMm, data };
}

/** Every value as it is, from the position whose voxel holds the target's centre. */
function nearest(sourceSize: number, offset: number, scale: number, targetSize: number): Taps {
  const start = Int32Array.from({ length: targetSize }, (_, i) =>
    Math.min(sourceSize - 1, Math.max(0, Math.floor(offset + (i + 0.5) * scale))),
  );
  return { start, weights: new Float64Array(targetSize).fill(1), count: 1 };
}

/** [outer, n, inner] to [outer, m, inner]. */
function alongAxis(data: Float32Array, n: number, inner: number, { start, weights, count }: Taps): Float32Array {
  const m = start.length;
  const outer = data.length / (n * inner);
  const out = new Float32Array(outer * m * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < m; i++) {
      const from = (o * n + start[i]!) * inner;
      const to = (o * m + i) * inner;
      for (let j = 0; j < inner; j++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += weights[i * count + k]! * data[from + k * inner + j]!;
        out[to + j] = sum;
      }
    }
  return out;
}

/** Voxels from `start` up to, and without, `end`, along z, y, x. */
export interface Box {
  readonly start: Triple;
  readonly end: Triple;
}

export interface CropOptions {
  /** Voxels of the result along z, y, x; by default those of the box. */
  readonly shape?: Triple;
  /** What the result is centred on; by default the whole volume. It may reach beyond the volume. */
  readonly box?: Box;
  /** The value of what lies beyond the volume. */
  readonly fill?: number;
}

/**
 * Cuts out, and pads with `fill`, a volume of `shape` about the centre of a box; where the sizes differ by an odd number,
 * the odd voxel is lost, or added, at the end of the axis. Throws LG-IMAGE-011 for a shape or box that cannot be.
 */
export function cropVolume(volume: Volume, { shape: asked, box, fill = 0 }: CropOptions): Volume {
  const { start, end } = box ?? { start: [0, 0, 0], end: volume.shape };
  const shape = asked ?? (end.map((value, a) => value - start[a]!) as unknown as Triple);
  requireShape("cropVolume", shape);
  if (![...start, ...end].every(Number.isInteger))
    throw wrong("cropVolume: a box whose corners are not whole voxels", "Give whole numbers for start and end.");
  const [z0, y0, x0] = shape.map((side, a) => start[a]! + Math.floor((end[a]! - start[a]! - side) / 2)) as [number, number, number]; // prettier-ignore
  const [depth, height, width] = shape;
  const [d, h, w] = volume.shape;
  const data = new Float32Array(depth * height * width).fill(fill);
  const [first, last] = [Math.max(0, x0), Math.min(w, x0 + width)];
  if (first < last)
    for (let z = Math.max(0, -z0); z < depth && z + z0 < d; z++)
      for (let y = Math.max(0, -y0); y < height && y + y0 < h; y++) {
        const row = ((z + z0) * h + y + y0) * w;
        data.set(volume.data.subarray(row + first, row + last), (z * height + y) * width + first - x0);
      }
  return { shape, spacingMm: volume.spacingMm, data };
}

/** Fat is above -200 HU, lung, air and most clothes and table tops below. */
const BODY_HU = -200;

/**
 * The box around the body: around the largest set of voxels above `threshold` that touch face to face, which leaves out a
 * table that does not touch the skin. The whole volume where no voxel is above.
 */
export function bodyBox({ shape, data }: Volume, { threshold = BODY_HU }: { threshold?: number } = {}): Box {
  const [depth, height, width] = shape;
  const seen = new Uint8Array(data.length);
  let queue = new Int32Array(1024);
  let best = { size: 0, start: [0, 0, 0] as [number, number, number], end: [...shape] as [number, number, number] };
  for (let seed = 0; seed < data.length; seed++) {
    if (seen[seed] === 1 || !(data[seed]! > threshold)) continue;
    let [head, size] = [0, 1];
    const [start, end] = [[depth, height, width] as [number, number, number], [0, 0, 0] as [number, number, number]];
    const reach = (voxel: number) => {
      if (seen[voxel] === 1 || !(data[voxel]! > threshold)) return;
      seen[voxel] = 1;
      if (size === queue.length) {
        const larger = new Int32Array(2 * size);
        larger.set(queue);
        queue = larger;
      }
      queue[size++] = voxel;
    };
    seen[seed] = 1;
    queue[0] = seed;
    while (head < size) {
      const voxel = queue[head++]!;
      const x = voxel % width;
      const y = Math.floor(voxel / width) % height;
      const z = Math.floor(voxel / (width * height));
      [z, y, x].forEach((at, a) => {
        if (at < start[a]!) start[a] = at;
        if (at + 1 > end[a]!) end[a] = at + 1;
      });
      if (x > 0) reach(voxel - 1);
      if (x + 1 < width) reach(voxel + 1);
      if (y > 0) reach(voxel - width);
      if (y + 1 < height) reach(voxel + width);
      if (z > 0) reach(voxel - width * height);
      if (z + 1 < depth) reach(voxel + width * height);
    }
    if (size > best.size) best = { size, start, end };
  }
  return { start: best.start, end: best.end };
}
