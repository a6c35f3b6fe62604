/**
 * Abdominal CT of people with or without a tumour of the pancreas: less bright than the gland around it, most often in the
 * head, with a wide duct and a wasted gland behind it, each sign loosely, so that small and faint tumours look like health.
 */
import type { RandomSource } from "../../math/random.ts";
import { between, clamp, mix, normal } from "./canvas.ts";
import type { PhantomKind, PhantomOptions, PhantomPatient, PhantomVolume } from "./kind.ts";
import { acquisitions, chance, logistic } from "./population.ts";
import type { Hospital, Person } from "./population.ts";
import { drawAbdomen } from "./volume-drawing.ts";
import type { Abdomen, Lesion, Scan } from "./volume-drawing.ts";

export const volume: PhantomKind = {
  imageSize: 64,
  largestSize: 192,
  femaleShare: 0.48,
  draw: drawPatient,
};

/** How each hospital scans and stores: field of view and slice distance in millimetres, direction of the file's axes. */
const protocols: Readonly<Record<Hospital, { fieldMm: number; sliceMm: number; axes: "LPS" | "LAS" | "RAS" }>> = {
  north: { fieldMm: 400, sliceMm: 5, axes: "LPS" },
  river: { fieldMm: 420, sliceMm: 5.5, axes: "LAS" },
  hill: { fieldMm: 385, sliceMm: 5, axes: "RAS" },
};

function drawPatient(person: Person, random: RandomSource, { size, difficulty }: PhantomOptions): PhantomPatient {
  const older = (person.ageYears - 57) / 16;
  const risk = -0.25 + 0.5 * older + (person.comorbidity === "diabetes" ? 0.6 : 0) + (person.sex === "M" ? 0.15 : 0);
  const ill = chance(random, logistic(risk));
  const healthy = drawBody(person, random);
  const { abdomen, lesions } = withFindings(healthy, ill, difficulty, random);
  const style = acquisitions[person.hospital];
  const { fieldMm, sliceMm, axes } = protocols[person.hospital];
  function* images(): Generator<PhantomVolume> {
    // A second scan is a control: CT is repeated less often than a radiograph.
    for (let k = 0; k < Math.ceil(person.images / 2); k++) {
      // Whoever is suspected of a tumour is more often scanned in the pancreatic phase, mildly: a shortcut to be found.
      const phase = chance(random, style.bedside + (ill ? 0.12 : 0)) ? "pancreatic" : "portal";
      const late = phase === "portal";
      const strength = Math.exp(normal(random, 0, 0.12)) * style.contrast;
      const depth = Math.round((5 * size) / 8);
      // Thinner slices for finer voxels: the volume covers the same stretch of the body at any size.
      const scan: Scan = {
        arteries: strength * (late ? 120 : 230),
        veins: strength * (late ? 125 : 85),
        organs: strength * (late ? 58 : 32),
        pancreas: strength * (late ? 58 : 78),
        kidneys: strength * (late ? 145 : 120),
        shift: [normal(random, 0, 7), normal(random, 0, 6), normal(random, 0, 7)],
        turn: normal(random, 0, 0.035),
        noise: 800 * style.noise * Math.exp(normal(random, 0, 0.15)),
        offset: 60 * style.brightness + normal(random, 0, 1.5),
        blur: 60 * style.blur,
        shape: [depth, size, size],
        spacingMm: [(sliceMm * 40) / depth, fieldMm / size, fieldMm / size],
      };
      const drawn = drawAbdomen(abdomen, lesions, scan, random);
      yield { view: phase, volume: drawn, encoding: { axes, originMm: [-fieldMm / 2, -fieldMm / 2, 900] } };
    }
  }
  return { labels: { lesion: ill ? 1 : 0 }, images: images() };
}

export function drawBody(person: Person, random: RandomSource): Abdomen {
  const female = person.sex === "F";
  const older = (person.ageYears - 57) / 16;
  const diabetes = person.comorbidity === "diabetes" ? 1 : 0;
  const habitus = clamp(normal(random, 0.35 * diabetes, 1), -2, 2.3);
  const halfWidth = normal(random, female ? 158 : 168, 6) + 9 * habitus;
  const halfDepth = normal(random, female ? 113 : 120, 5) + 10 * habitus;
  const spineY = -0.92 * halfDepth + 78 + 3 * habitus;
  const spread = halfWidth / 165;
  const at = (x: number, forward: number, z: number, by = 4): [number, number, number] => [
    x * spread + normal(random, 0, by),
    spineY + forward + normal(random, 0, by),
    z + normal(random, 0, 1.5 * by),
  ];
  const low = normal(random, 0, 8); // where the pancreas lies against the vertebrae
  const wasting = clamp(1 - 0.06 * older, 0.7, 1.2);
  const bend = normal(random, 0, 5);
  return {
    halfWidth,
    halfDepth,
    spineY,
    fat: clamp(normal(random, female ? 23 : 16, 4) + 7 * habitus, 6, 48),
    muscle: clamp(normal(random, female ? 11 : 14, 1.5) - older, 7, 18),
    boneHu: clamp(normal(random, 190 - 38 * older - (female && person.ageYears > 55 ? 25 : 0), 25), 70, 330),
    muscleHu: clamp(normal(random, 57 - 4 * older - 2 * habitus, 4), 38, 68),
    liverHu: clamp(normal(random, 58 - 9 * diabetes - 4 * habitus, 6), 15, 70),
    calcified: clamp(0.08 + 0.13 * older + (person.comorbidity === "heart-failure" ? 0.1 : 0), 0, 0.45),
    liver: { centre: at(88, 32, 38), radii: [74 * spread, normal(random, 74, 5), normal(random, 78, 7)], uneven: 0.09 },
    leftLobe: { centre: at(12, 82, 46), radii: [68, 34, normal(random, 48, 6)], turn: -0.25, uneven: 0.12 },
    spleen: {
      centre: at(-106, 2, 46),
      radii: [27, 44, normal(random, 42, 6)],
      turn: 0.35 + normal(random, 0, 0.15),
      uneven: 0.08,
    },
    stomach: {
      centre: at(-58, 72, 44, 6),
      radii: [normal(random, 46, 5), normal(random, 29, 4), normal(random, 42, 6)],
      turn: 0.3,
      uneven: 0.12,
    },
    kidneys: [
      { centre: at(62, -2, -32), radii: [25, 28, normal(random, 50, 4)], turn: 0.5, uneven: 0.05 },
      { centre: at(-62, -4, -20), radii: [25, 28, normal(random, 52, 4)], turn: -0.5, uneven: 0.05 },
    ],
    bowel: Array.from({ length: 22 + random.integer(9) }, () => {
      const radius = between(random, 13, 22);
      const gas = chance(random, 0.22);
      return {
        centre: [
          between(random, -0.62, 0.62) * halfWidth,
          spineY + between(random, 48, 100) + 4 * habitus,
          between(random, -115, -12),
        ] as const,
        radii: [radius * between(random, 1, 1.9), radius, radius * between(random, 0.9, 1.4)] as const,
        turn: between(random, 0, Math.PI),
        uneven: 0.15,
        hu: gas ? between(random, -850, -300) : between(random, 5, 40),
      };
    }),
    pancreas: [
      { at: at(31, 36, low - 24, 2), radius: 13 * wasting },
      { at: at(25, 44, low - 8, 2), radius: 13.5 * wasting },
      { at: at(4, 55, low + 2, 2), radius: 9.5 * wasting },
      { at: at(-26, 54 + bend, low + 9, 3), radius: 10.5 * wasting },
      { at: at(-54, 40 + bend, low + 16, 3), radius: 10.5 * wasting },
      { at: at(-80, 22, low + 24, 4), radius: 9 * wasting },
    ],
    fatty: clamp(normal(random, 0.12 + 0.09 * older + 0.08 * diabetes + 0.05 * habitus, 0.06), 0, 0.45),
    duct: clamp(normal(random, 1.2 + 0.2 * older, 0.4), 0.5, 2.5),
    discPhase: random.uniform(),
    ribPhase: random.uniform(),
    seed: random.uint32(),
  };
}

/** Adds the tumour with what it does to the gland, and in some of the healthy a cyst, a wide duct or a wasted gland. */
export function withFindings(body: Abdomen, ill: boolean, difficulty: number, random: RandomSource) {
  const place = chance(random, 0.65) ? between(random, 0.3, 1.6) : between(random, 1.6, 4.4);
  const k = Math.floor(place);
  const [from, to] = [body.pancreas[k]!, body.pancreas[k + 1]!];
  const centre = from.at.map((v, a) => mix(v, to.at[a]!, place - k) + normal(random, 0, 2)) as [number, number, number];
  if (!ill) {
    const mimic = random.uniform();
    const cyst = mimic < 0.12 ? between(random, 4, 7) : 0;
    const lesions: Lesion[] = cyst > 0 ? [{ centre, radii: [cyst, cyst, cyst], drop: between(random, 30, 80) }] : [];
    const duct = mimic > 0.88 ? between(random, 2, 3.5) : body.duct;
    return { abdomen: { ...body, duct }, lesions };
  }
  const grade = mix(1.35, 0.6, difficulty);
  const radius = clamp(mix(19, 13, difficulty) * Math.exp(normal(random, 0, 0.25)), 6, 28);
  const stretch = () => Math.exp(normal(random, 0, 0.15));
  const lesion: Lesion = {
    centre,
    radii: [radius * stretch(), radius * stretch(), radius * stretch()],
    turn: between(random, 0, Math.PI),
    uneven: 0.2,
    drop: 62 * grade * Math.exp(normal(random, 0, 0.25)),
  };
  const blocks = place < 3 && chance(random, 0.65);
  const shrink = blocks ? between(random, 0.72, 0.95) : 1;
  const pancreas = body.pancreas.map((point, i) => (i > place ? { ...point, radius: point.radius * shrink } : point));
  const duct = blocks ? between(random, 2, 5) * Math.min(1.2, grade + 0.2) : body.duct;
  return { abdomen: { ...body, pancreas, duct: Math.max(duct, body.duct) }, lesions: [lesion] };
}
