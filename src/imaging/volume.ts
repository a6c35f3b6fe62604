/** CT volumes as plain values: their axes, Hounsfield windows, and the tensor that a model takes. */
import { LeadglassError } from "../errors.ts";
import { bodyBox, cropVolume, resampleVolume, type Box } from "./volume-geometry.ts";

/** Slices from foot to head, rows from back to front, columns from the patient's left to the right: "RAS" read backwards. */
export interface Volume {
  /** Voxels along z, y, x. */
  readonly shape: readonly [number, number, number];
  /** Distance between voxel centres along z, y, x, in millimetres. */
  readonly spacingMm: readonly [number, number, number];
  /** `data[(z * shape[1] + y) * shape[2] + x]`: Hounsfield units in CT, labels in masks. */
  readonly data: Float32Array;
}

/** The range of Hounsfield units that is told apart: `centre - width / 2` becomes 0 and `centre + width / 2` becomes 1. */
export interface Window {
  readonly centre: number;
  readonly width: number;
}

/** Windows in common clinical use; scanners and readers differ by some tens of units. */
export const windows = {
  abdomen: { centre: 40, width: 400 },
  lung: { centre: -600, width: 1500 },
  bone: { centre: 400, width: 1800 },
  brain: { centre: 40, width: 80 },
} as const satisfies Record<string, Window>;

export type WindowName = keyof typeof windows;

/** CT numbers are -1000 in air by definition; scanners write -1024 where nothing was measured. */
export const AIR_HU = -1024;

/**
 * Hounsfield units to [0, 1], linear inside the window and cut off at its ends (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT).
 * Throws LG-IMAGE-011 for a width that is not positive or an unknown name.
 */
export function windowed(data: Float32Array, window: WindowName | Window): Float32Array {
  const chosen: Window | undefined =
    typeof window !== "string" ? window : Object.hasOwn(windows, window) ? windows[window] : undefined;
  if (chosen === undefined || !Number.isFinite(chosen.centre) || !(chosen.width > 0 && chosen.width < Infinity))
    throw new LeadglassError("LG-IMAGE-011", `windowed: a window that is neither known nor of positive width`, {
      hint: `Give { centre, width } in Hounsfield units, or one of: ${Object.keys(windows).join(", ")}.`,
    });
  const low = chosen.centre - chosen.width / 2;
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = (data[i]! - low) / chosen.width;
    out[i] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
  return out;
}

export interface VolumeTensorOptions {
  /** Voxels along z, y, x of the result. */
  readonly shape: readonly [number, number, number];
  readonly window: WindowName | Window;
  /**
   * Distance between voxels along z, y, x in millimetres: the volume is resampled to it and then cropped or padded with air
   * to `shape`, so that sizes stay true. Without it the whole volume (or body) is stretched to `shape`.
   */
  readonly spacingMm?: readonly [number, number, number];
  /**
   * What is centred, or stretched: the whole volume, or the box around the body in it. With a spacing also a place on the
   * body's middle line, halfway from its lowest to its highest slice, this many millimetres before its back: organs beside
   * the spine keep their distance from the back, however large the belly.
   */
  readonly about?: "volume" | "body" | { readonly beforeBackMm: number };
}

/** What a model of volumes reads: one channel. */
export interface VolumeTensor {
  readonly shape: readonly [1, number, number, number];
  readonly data: Float32Array;
}

/**
 * A volume as [1, D, H, W] in [0, 1]: resampled in Hounsfield units, cropped or padded, then windowed, since a window cuts
 * off and what is cut off must not be averaged. Throws LG-IMAGE-011 for a shape, spacing or window that cannot be.
 */
export function volumeTensor(volume: Volume, options: VolumeTensorOptions): VolumeTensor {
  const { shape, window, spacingMm, about = "volume" } = options;
  if (spacingMm !== undefined) {
    const spaced = resampleVolume(volume, { spacingMm });
    const box = about === "volume" ? undefined : boxAbout(spaced, about);
    return { shape: [1, ...shape], data: windowed(cropVolume(spaced, { shape, box, fill: AIR_HU }).data, window) };
  }
  if (typeof about === "object")
    throw new LeadglassError("LG-IMAGE-011", "volumeTensor: a place before the back without a spacing", {
      hint: "Give spacingMm, so that sizes stay true.",
    });
  const cut = about === "body" ? cropVolume(volume, { box: bodyBox(volume) }) : volume;
  return { shape: [1, ...shape], data: windowed(resampleVolume(cut, { shape }).data, window) };
}

/** The body's box, or one whose middle lies before its back. */
function boxAbout(volume: Volume, about: "body" | { readonly beforeBackMm: number }): Box {
  const { start, end } = bodyBox(volume);
  if (about === "body") return { start, end };
  if (!(about.beforeBackMm >= 0 && about.beforeBackMm < Infinity))
    throw new LeadglassError("LG-IMAGE-011", `volumeTensor: a place ${about.beforeBackMm} mm before the back`, {
      hint: "Give a length that is not negative.",
    });
  // A box from the back to twice as far before it has its middle there.
  const [back, depth] = [start[1], Math.round((2 * about.beforeBackMm) / volume.spacingMm[1])];
  return { start, end: [end[0], back + depth, end[2]] };
}
