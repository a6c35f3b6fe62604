/** A NIfTI image to a volume in canonical axes. */
import { LeadglassError } from "../../errors.ts";
import type { Volume } from "../volume.ts";
import { orientationOf, spacingOf } from "./affine.ts";
import type { Affine } from "./affine.ts";
import type { NiftiImage } from "./decode.ts";

export interface ToVolumeOptions {
  /** How the file is called in an error. */
  readonly name?: string;
  /** Which of several volumes in one file (times, phases), counting from 0 in the file's order. */
  readonly frame?: number;
  /** What to do with a file that does not say which way its axes run: refuse it, or take them for right, front and head. */
  readonly unoriented?: "refuse" | "as-stored";
}

/**
 * The volume of an image with its axes brought to z (to the head), y (to the front), x (to the right) by exchanging and
 * turning them round: nothing is interpolated. An oblique volume keeps its grid, named after the axes it comes nearest to.
 * Throws LG-IMAGE-010 for several frames where none is chosen, a frame that is not there, and unoriented files.
 */
export function toVolume(image: NiftiImage, options: ToVolumeOptions = {}): Volume {
  const { name = "volume", frame, unoriented = "refuse" } = options;
  const refuse = (message: string, hint: string) => new LeadglassError("LG-IMAGE-010", `${name}: ${message}`, { hint });
  const [nx, ny, nz, ...rest] = image.shape as [number, number, number, ...number[]];
  const frames = rest.reduce((product, side) => product * side, 1);
  if (frame === undefined ? frames > 1 : !(Number.isInteger(frame) && frame >= 0 && frame < frames))
    throw refuse(
      `${frames} volumes in one file${frame === undefined ? "" : `, and frame ${frame} asked for`}`,
      frames > 1 ? `Choose a frame from 0 to ${frames - 1}, or store one volume a file.` : "There is only frame 0.",
    );
  if (image.orientedBy === "none" && unoriented === "refuse")
    throw refuse(
      "neither sform nor qform says which way its axes run",
      'Write the orientation into the file, or say unoriented: "as-stored" to take its axes for right, front and head.',
    );

  const size = nx * ny * nz;
  const stored = image.data.subarray((frame ?? 0) * size, ((frame ?? 0) + 1) * size);
  return canonicalVolume(stored, [nx, ny, nz], image.affine);
}

/**
 * Values whose first axis runs fastest, with their axes exchanged and turned round to z (to the head), y (to the front), x
 * (to the right), as the affine says of them.
 */
export function canonicalVolume(
  stored: Float32Array,
  sides: readonly [number, number, number],
  affine: Affine,
): Volume {
  const strides = [1, sides[0], sides[0] * sides[1]];
  const spacing = spacingOf(affine);
  const axes = orientationOf(affine).map(({ axis, flip }) => ({
    side: sides[axis]!,
    spacingMm: spacing[axis]!,
    first: flip ? (sides[axis]! - 1) * strides[axis]! : 0,
    step: flip ? -strides[axis]! : strides[axis]!,
  }));
  const [x, y, z] = axes as [(typeof axes)[0], (typeof axes)[0], (typeof axes)[0]];
  const data = new Float32Array(stored.length);
  let to = 0;
  for (let k = 0; k < z.side; k++)
    for (let j = 0; j < y.side; j++) {
      let from = z.first + k * z.step + y.first + j * y.step + x.first;
      for (let i = 0; i < x.side; i++, from += x.step) data[to++] = stored[from]!;
    }
  return { shape: [z.side, y.side, x.side], spacingMm: [z.spacingMm, y.spacingMm, x.spacingMm], data };
}
