/** Random views of one volume: where the patient lies, never what is shown. */
import { LeadglassError } from "../errors.ts";
import type { RandomSource } from "../math/random.ts";
import type { Augmentation } from "./augment.ts";

/** Mirrored left to right, only where the organs have no side; shifted along each axis by a fraction of it at most. */
export type VolumeAugmentation = Pick<Augmentation, "flipHorizontal" | "shift">;

/**
 * One random view of a volume [depth, height, width], by whole voxels; beyond the border lies the nearest voxel. The same
 * source state gives the same view, and every view takes the same number of draws.
 * Throws LG-IMAGE-008 for a shift that is not from 0 to 1 and for an `out` of another length.
 */
export function augmentVolume(
  data: Float32Array,
  shape: readonly [number, number, number],
  { flipHorizontal = false, shift = 0 }: VolumeAugmentation,
  random: RandomSource,
  { out = new Float32Array(data.length) }: { readonly out?: Float32Array } = {},
): Float32Array {
  const [depth, height, width] = shape;
  if (!(shift >= 0 && shift <= 1))
    throw new LeadglassError("LG-IMAGE-008", `augmentVolume: shift ${shift}; 0 to 1 expected`, {
      hint: "Give a smaller shift.",
    });
  if (data.length !== depth * height * width || out.length !== data.length)
    throw new LeadglassError(
      "LG-IMAGE-008",
      `augmentVolume: ${data.length} numbers into ${out.length}; ${depth} x ${height} x ${width} expected`,
      { hint: "Give one float for each voxel." },
    );
  // Drawn always, so that switching one off leaves the other as it was.
  const flipped = random.integer(2) === 1 && flipHorizontal;
  const [dz, dy, dx] = shape.map((side) => Math.round((2 * random.uniform() - 1) * shift * side)) as [number, number, number]; // prettier-ignore
  const from = (i: number, by: number, side: number): number => Math.min(side - 1, Math.max(0, i - by));
  const columns = Int32Array.from({ length: width }, (_, x) => from(flipped ? width - 1 - x : x, dx, width));
  let at = 0;
  for (let z = 0; z < depth; z++)
    for (let y = 0; y < height; y++) {
      const row = (from(z, dz, depth) * height + from(y, dy, height)) * width;
      for (let x = 0; x < width; x++) out[at++] = data[row + columns[x]!]!;
    }
  return out;
}
