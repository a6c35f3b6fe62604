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
}

/**
 * For abdominal CT: the usual window of soft tissue, in a box of 192 x 288 x 384 mm about the middle of the volume, which
 * holds most trunks, with voxels as coarse as a tumour of two centimetres bears and two cores can train on.
 */
export const defaultVolumeInput: VolumeInput = {
  shape: [24, 36, 48],
  spacingMm: [8, 8, 8],
  windowHu: [-160, 240],
};

const refuse = (option: string, expected: string, example: string): LeadglassError =>
  new LeadglassError("LG-USAGE-001", `--${option}: ${expected} expected`, { hint: `For example --${option} ${example}.` }); // prettier-ignore

const numbersOf = (text: string): number[] =>
  text.split(",").map((part) => (/^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/.test(part) ? Number(part) : NaN));

/** Reads `--window`, `--spacing` and `--volume-shape`. Throws LG-USAGE-001 for what is no window, spacing or shape. */
export function volumeInputOf({ window, spacing, volumeShape }: TrainingChoices): VolumeInput {
  return {
    shape: volumeShape === undefined ? defaultVolumeInput.shape : shapeOf(volumeShape),
    spacingMm: spacing === undefined ? defaultVolumeInput.spacingMm : spacingOf(spacing),
    windowHu: window === undefined ? defaultVolumeInput.windowHu : windowOf(window),
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
export const volumeText = ({ shape, spacingMm, windowHu }: VolumeInput): string =>
  `volumes of ${shape.join(" x ")} voxels (z, y, x) at ${[...new Set(spacingMm)].length === 1 ? spacingMm[0] : spacingMm.join(" x ")} mm about the middle, ${windowHu[0]} to ${windowHu[1]} HU`;
