/** How volumes come to a model: window, spacing and shape. Public constants unless a user says otherwise. */
import { LeadglassError } from "../errors.ts";
import { windows } from "../imaging/index.ts";
import type { TrainingChoices } from "./settings.ts";

type Triple = readonly [number, number, number];

/** What a model of volumes reads of each file. */
export interface VolumeInput {
  /** Voxels along z, y, x. */
  readonly shape: Triple;
  /** Distance between voxels along z, y, x, in millimetres. */
  readonly spacingMm: Triple;
  /** Hounsfield units that become 0 and 1. */
  readonly windowHu: readonly [number, number];
  /** What lies in the middle: see `volumeTensor`. */
  readonly about: "volume" | "body" | { readonly beforeBackMm: number };
}

/** What `--about` names: the middle of the file, of the body, or of the upper abdomen before the spine. */
export const abouts = { volume: "volume", body: "body", pancreas: { beforeBackMm: 104 } } as const;
export const aboutNames = Object.keys(abouts) as (keyof typeof abouts)[];

/**
 * For abdominal CT: the usual window of soft tissue, in a box of 96 x 120 x 144 mm about where the pancreas lies, as in
 * the paper's task, with voxels as fine as a tumour of two centimetres needs and two cores can train on.
 */
export const defaultVolumeInput: VolumeInput = {
  shape: [16, 20, 24],
  spacingMm: [6, 6, 6],
  windowHu: [-160, 240],
  about: abouts.pancreas,
};

const refuse = (option: string, expected: string, example: string): LeadglassError =>
  new LeadglassError("LG-USAGE-001", `--${option}: ${expected} expected`, { hint: `For example --${option} ${example}.` }); // prettier-ignore

const numbersOf = (text: string): number[] =>
  text.split(",").map((part) => (/^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/.test(part) ? Number(part) : NaN));

/** Reads `--window`, `--spacing`, `--volume-shape` and `--about`. Throws LG-USAGE-001 for what is no window, spacing or shape. */
export function volumeInputOf({ window, spacing, volumeShape, about }: TrainingChoices): VolumeInput {
  return {
    shape: volumeShape === undefined ? defaultVolumeInput.shape : shapeOf(volumeShape),
    spacingMm: spacing === undefined ? defaultVolumeInput.spacingMm : spacingOf(spacing),
    windowHu: window === undefined ? defaultVolumeInput.windowHu : windowOf(window),
    about: about === undefined ? defaultVolumeInput.about : abouts[about],
  };
}

function windowOf(text: string): readonly [number, number] {
  if (Object.hasOwn(windows, text)) {
    const { centre, width } = windows[text as keyof typeof windows];
    return [centre - width / 2, centre + width / 2];
  }
  const [low, high, ...rest] = numbersOf(text);
  if (rest.length > 0 || !(low! < high!))
    throw refuse("window", `LOW,HIGH in Hounsfield units, or one of ${Object.keys(windows).join(", ")}, was`, "-160,240"); // prettier-ignore
  return [low!, high!];
}

function spacingOf(text: string): Triple {
  const numbers = numbersOf(text);
  const [z, y = z, x = y] = numbers as [number, number?, number?];
  if (![1, 3].includes(numbers.length) || !(z > 0 && y > 0 && x > 0))
    throw refuse("spacing", "one distance in millimetres, or three for z, y and x, was", "8");
  return [z, y, x];
}

function shapeOf(text: string): Triple {
  const numbers = numbersOf(text);
  if (numbers.length !== 3 || !numbers.every((n) => Number.isInteger(n) && n >= 8 && n <= 512))
    throw refuse("volume-shape", "three whole numbers of voxels from 8 to 512, for z, y and x, were", "24,36,48");
  return numbers as unknown as Triple;
}

/** In words, as training says it. */
export function volumeText({ shape, spacingMm, windowHu, about }: VolumeInput): string {
  const spacing = new Set(spacingMm).size === 1 ? spacingMm[0] : spacingMm.join(" x ");
  const place =
    typeof about === "object"
      ? `about the middle line, ${about.beforeBackMm} mm before the back`
      : `about the middle of the ${about}`;
  return `volumes of ${shape.join(" x ")} voxels (z, y, x) at ${spacing} mm ${place}, ${windowHu[0]} to ${windowHu[1]} HU`;
}
