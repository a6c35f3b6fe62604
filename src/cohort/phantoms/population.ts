/** People who never lived: age, sex, comorbidity, hospital, and what their illness depends on. */
import type { RandomSource } from "../../math/random.ts";
import { clamp, normal } from "./canvas.ts";

export const comorbidities = ["none", "diabetes", "copd", "heart-failure"] as const;
export type Comorbidity = (typeof comorbidities)[number];

export const hospitals = ["north", "river", "hill"] as const;
export type Hospital = (typeof hospitals)[number];

export interface Person {
  readonly patientId: string;
  readonly ageYears: number;
  readonly sex: "F" | "M";
  readonly comorbidity: Comorbidity;
  readonly hospital: Hospital;
  /** How many images there are of this person: 1 to 4. */
  readonly images: number;
}

/** How each hospital's machines and habits show in its images. */
export interface Acquisition {
  readonly contrast: number;
  readonly brightness: number;
  /** Standard deviation of the noise where the image is mid-grey, as a fraction of full scale. */
  readonly noise: number;
  /** Standard deviation of the blur, as a fraction of the side. */
  readonly blur: number;
  /** Share of images taken AP, in bed (chest), where there is a choice. */
  readonly bedside: number;
}

export const acquisitions: Readonly<Record<Hospital, Acquisition>> = {
  north: { contrast: 1, brightness: 0, noise: 0.012, blur: 0.0035, bedside: 0.2 },
  river: { contrast: 0.86, brightness: 0.04, noise: 0.02, blur: 0.0055, bedside: 0.4 },
  hill: { contrast: 1.12, brightness: -0.03, noise: 0.016, blur: 0.0025, bedside: 0.3 },
};

/** Shares of 1, 2, 3 and 4 images a patient; their mean is 2.3. */
const IMAGE_SHARES = [0.25, 0.35, 0.25, 0.15] as const;

/** The logistic function. */
export const logistic = (x: number) => 1 / (1 + Math.exp(-x));
export const chance = (random: RandomSource, probability: number) => random.uniform() < probability;

/** Person number `index`. `femaleShare` is 1 for mammograms. */
export function drawPerson(random: RandomSource, index: number, femaleShare: number): Person {
  const ageYears = Math.round(clamp(normal(random, 57, 16), 18, 92));
  const sex = chance(random, femaleShare) ? "F" : "M";
  const older = (ageYears - 57) / 16;
  const ill = chance(random, logistic(-0.5 + 0.6 * older));
  const comorbidity = ill ? comorbidities[1 + random.integer(3)]! : "none";
  const hospital = hospitals[choose(random, [0.45, 0.33, 0.22])]!;
  const images = 1 + choose(random, IMAGE_SHARES);
  return { patientId: `phantom-${String(index + 1).padStart(5, "0")}`, ageYears, sex, comorbidity, hospital, images };
}

/** An index, drawn with the given shares. */
export function choose(random: RandomSource, shares: readonly number[]): number {
  let left = random.uniform() * shares.reduce((a, b) => a + b);
  const index = shares.findIndex((share) => (left -= share) < 0);
  return index < 0 ? shares.length - 1 : index;
}
