/** Phantom cohorts: drawn people with drawn images, for tests, demonstrations and anybody without data. */
import { LeadglassError } from "../../errors.ts";
import { toPixels } from "../../imaging/index.ts";
import { seededRandom } from "../../math/random.ts";
import { drawSplits } from "../splits.ts";
import { refuseExisting, writeCohort } from "../write.ts";
import type { CohortItem } from "../write.ts";
import { chest } from "./chest.ts";
import type { PhantomKind } from "./kind.ts";
import { mass } from "./mass.ts";
import { drawPerson } from "./population.ts";
import { volume } from "./volume.ts";

const kinds = { chest, mass, volume } as const satisfies Record<string, PhantomKind>;

export type PhantomKindName = keyof typeof kinds;
export const phantomKinds = Object.keys(kinds) as PhantomKindName[];

export interface PhantomCohortOptions {
  readonly kind: PhantomKindName;
  readonly patients: number;
  readonly seed: number;
  /** The folder to write; it must not exist. */
  readonly out: string;
  /** Side of the square images, or of the slices of volumes, in pixels. */
  readonly imageSize?: number;
  /** From 0, plain to see, to 1, close to chance. */
  readonly difficulty?: number;
  readonly onProgress?: (patients: number, total: number) => void;
}

/**
 * Draws and writes a cohort of 1 to 4 images, or 1 to 2 volumes, a patient with age, sex, comorbidity, hospital and view, split 70/15/15 by
 * patient. The same options give the same files; patient k is the same person in a larger cohort of the same seed.
 * Throws LG-COHORT-014 for a folder that exists, LG-COHORT-015 for options out of range.
 */
export async function makePhantomCohort(options: PhantomCohortOptions): Promise<{ images: number; patients: number }> {
  const { kind: name, patients, seed, out, difficulty = 0.5, onProgress } = options;
  const refuse = (message: string, hint: string) =>
    new LeadglassError("LG-COHORT-015", `phantoms: ${message}`, { hint });
  if (!Object.hasOwn(kinds, name)) throw refuse(`kind "${name}"`, `The kinds are: ${phantomKinds.join(", ")}.`);
  const kind: PhantomKind = kinds[name];
  const { imageSize: size = kind.imageSize } = options;
  if (!Number.isInteger(patients) || patients < 10 || patients > 1_000_000)
    throw refuse(`${patients} patients`, "Ask for 10 to 1,000,000: fewer do not fill three splits.");
  if (!Number.isInteger(size) || size < 32 || size > kind.largestSize)
    throw refuse(`images of ${size} pixels a side`, `Ask for 32 to ${kind.largestSize}.`);
  if (!(difficulty >= 0 && difficulty <= 1)) throw refuse(`difficulty ${difficulty}`, "Ask for 0 to 1.");
  if (!Number.isSafeInteger(seed)) throw refuse(`seed ${seed}`, "Give a whole number.");
  await refuseExisting(out);

  function* draw(): Generator<CohortItem> {
    const people = Array.from({ length: patients }, (_, i) =>
      drawPerson(seededRandom(seed, name, "person", i), i, kind.femaleShare),
    );
    const drawn = (i: number) => kind.draw(people[i]!, seededRandom(seed, name, "images", i), { size, difficulty });
    // Splits are balanced on the labels, so illness is drawn for everybody first; pixels are drawn only when asked for.
    const strata = people.map((_, i) => Number.parseInt(Object.values(drawn(i).labels).join(""), 2));
    const ids = people.map((person) => person.patientId);
    const splits = drawSplits(ids, strata, { seed });
    for (const [i, person] of people.entries()) {
      const { labels, images } = drawn(i);
      let k = 0;
      for (const image of images) {
        const { view, attributes } = image;
        const name = `${person.patientId}-${++k}`;
        const row = {
          file_name: "volume" in image ? `volumes/${name}.nii.gz` : `images/${name}.png`,
          patient_id: person.patientId,
          split: splits.get(person.patientId)!,
          hospital: person.hospital,
          age: person.ageYears,
          sex: person.sex,
          comorbidity: person.comorbidity,
          view,
          ...attributes,
          ...labels,
        };
        yield "volume" in image
          ? { row, volume: image.volume, encoding: image.encoding }
          : { row, image: toPixels({ channels: 1, width: size, height: size, data: image.pixels }) };
      }
      onProgress?.(i + 1, patients);
    }
  }
  const { images } = await writeCohort(out, draw());
  return { images, patients };
}
