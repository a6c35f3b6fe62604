/** What radiomic features are computed of: a region of interest in an image or volume, and its discretised grey levels. */
import { LeadglassError } from "../../errors.ts";

/** A region of interest: values in the order x fastest, then y, then z; `inside` is 1 where a voxel belongs to it. */
export interface Region {
  readonly width: number;
  readonly height: number;
  /** 1 for an image. */
  readonly depth: number;
  readonly values: ArrayLike<number>;
  /** All voxels where it is left out. */
  readonly inside?: Uint8Array;
}

/** Grey levels from 1 to `count`; 0 marks voxels outside the region. */
export interface GreyLevels {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly levels: Uint16Array;
  /** N_g, the number of grey levels there may be. */
  readonly count: number;
}

/**
 * How intensities become grey levels. A fixed number of bins spans what occurs in the region, so that brightness and
 * contrast do not count; bins of a fixed size begin at `from`, so that they do.
 */
export type Discretisation =
  | { readonly kind: "fixed-bin-number"; readonly bins: number }
  | { readonly kind: "fixed-bin-size"; readonly size: number; readonly from: number };

const mostLevels = 65535;

/** The values inside a region. Throws LG-IMAGE-005 where there are none, or sizes disagree. */
export function valuesInside({ width, height, depth, values, inside }: Region): Float64Array {
  const voxels = width * height * depth;
  if (values.length !== voxels || (inside && inside.length !== voxels))
    throw new LeadglassError(
      "LG-IMAGE-005",
      `radiomics: ${values.length} values and a mask of ${inside?.length ?? voxels} for ${width} x ${height} x ${depth} voxels`,
    );
  const found = new Float64Array(voxels);
  let n = 0;
  for (let i = 0; i < voxels; i++) if (!inside || inside[i] === 1) found[n++] = values[i]!;
  if (n === 0) throw new LeadglassError("LG-IMAGE-005", "radiomics: the region holds no voxel");
  return found.subarray(0, n);
}

/**
 * Grey levels of a region. Fixed bin number: 1 + floor(N (x - min) / (max - min)), the maximum in the last bin; a region
 * of one value is all level 1. Fixed bin size: 1 + floor((x - from) / size), where N_g is the largest level that occurs.
 * Throws LG-IMAGE-005 for settings without a bin, and for values below `from` or above 65,535 levels.
 * Source: IBSI reference manual (Zwanenburg et al., arXiv 1612.07003), section 2.7, identifiers K15C and Q3RU.
 */
export function discretise(region: Region, how: Discretisation): GreyLevels {
  const { width, height, depth, values, inside } = region;
  const own = valuesInside(region);
  const min = own.reduce((a, b) => Math.min(a, b));
  const max = own.reduce((a, b) => Math.max(a, b));
  const size = how.kind === "fixed-bin-number" ? how.bins : how.size;
  if (!(size > 0) || (how.kind === "fixed-bin-number" && !Number.isInteger(size)))
    throw new LeadglassError("LG-IMAGE-005", `discretise: ${how.kind} ${size}; a positive number was expected`);
  const levelOf =
    how.kind === "fixed-bin-number"
      ? (x: number) => (max === min ? 1 : Math.min(how.bins, 1 + Math.floor((how.bins * (x - min)) / (max - min))))
      : (x: number) => 1 + Math.floor((x - how.from) / how.size);
  const top = levelOf(max);
  if (!(levelOf(min) >= 1 && top <= mostLevels))
    throw new LeadglassError(
      "LG-IMAGE-005",
      `discretise: levels from ${levelOf(min)} to ${top}; expected 1 to ${mostLevels}`,
    );
  const levels = new Uint16Array(width * height * depth);
  for (let i = 0; i < levels.length; i++) if (!inside || inside[i] === 1) levels[i] = levelOf(values[i]!);
  return { width, height, depth, levels, count: how.kind === "fixed-bin-number" && max > min ? how.bins : top };
}

/** The slices of a volume, as images of the same grey levels. */
export function slicesOf({ width, height, depth, levels, count }: GreyLevels): GreyLevels[] {
  const size = width * height;
  return Array.from({ length: depth }, (_, z) => ({
    ...{ width, height, depth: 1, count },
    levels: levels.subarray(z * size, (z + 1) * size),
  }));
}

export type Step = readonly [dx: number, dy: number, dz: number];

/** The 4 directions of a plane or 13 of space to the next voxel (Chebyshev distance 1), each pair of opposites once. */
export function directionsOf(dimensions: 2 | 3): Step[] {
  return neighbourSteps(dimensions).filter(([x, y, z]) => z > 0 || (z === 0 && (y > 0 || (y === 0 && x > 0))));
}

/** The 8 or 26 steps to a neighbour. */
export function neighbourSteps(dimensions: 2 | 3): Step[] {
  const range = [-1, 0, 1];
  return (dimensions === 3 ? range : [0]).flatMap((z) =>
    range.flatMap((y) => range.flatMap((x) => (x === 0 && y === 0 && z === 0 ? [] : [[x, y, z] as const]))),
  );
}

/** For each voxel, calls `visit` with its index and those of its neighbours in the given steps that lie in the volume. */
export function eachPair(
  { width, height, depth }: Pick<GreyLevels, "width" | "height" | "depth">,
  [dx, dy, dz]: Step,
  visit: (from: number, to: number) => void,
): void {
  const offset = (dz * height + dy) * width + dx;
  const [x0, x1] = [Math.max(0, -dx), width - Math.max(0, dx)];
  const [y0, y1] = [Math.max(0, -dy), height - Math.max(0, dy)];
  const [z0, z1] = [Math.max(0, -dz), depth - Math.max(0, dz)];
  for (let z = z0; z < z1; z++)
    for (let y = y0; y < y1; y++)
      for (let x = x0, at = (z * height + y) * width + x0; x < x1; x++, at++) visit(at, at + offset);
}
