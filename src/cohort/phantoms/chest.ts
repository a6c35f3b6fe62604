/**
 * Frontal chest radiographs, drawn as a sum of attenuations: body, lungs, mediastinum, heart, diaphragm, bones, vessels,
 * and the findings effusion, nodule, cardiomegaly and pneumonia, each graded so that mild disease overlaps with health.
 */
import type { RandomSource } from "../../math/random.ts";
import { drawChest } from "./chest-drawing.ts";
import type { Anatomy, Findings, Pose } from "./chest-drawing.ts";
import { between, clamp, mix, normal } from "./canvas.ts";
import type { PhantomImage, PhantomKind, PhantomOptions, PhantomPatient } from "./kind.ts";
import { acquisitions, chance, logistic } from "./population.ts";
import type { Person } from "./population.ts";

export const findingNames = ["effusion", "nodule", "cardiomegaly", "pneumonia"] as const;
type FindingName = (typeof findingNames)[number];

/** How likely each finding is: on a logit scale, at age 57, for men and women alike unless said. */
const risks: Readonly<Record<FindingName, (person: Person) => number>> = {
  effusion: (p) => -1.15 + 0.018 * (p.ageYears - 57) + (p.comorbidity === "heart-failure" ? 0.9 : 0),
  nodule: (p) => -1.1 + 0.022 * (p.ageYears - 57) + (p.comorbidity === "copd" ? 0.6 : 0) + (p.sex === "M" ? 0.2 : 0),
  cardiomegaly: (p) => -1.1 + 0.02 * (p.ageYears - 57) + (p.comorbidity === "heart-failure" ? 1.1 : 0),
  pneumonia: (p) => -0.9 + 0.012 * (p.ageYears - 57) + (p.comorbidity === "copd" ? 0.6 : 0),
};

export const chest: PhantomKind = {
  imageSize: 128,
  largestSize: 2048,
  femaleShare: 0.48,
  draw: drawPatient,
};

function drawPatient(person: Person, random: RandomSource, { size, difficulty }: PhantomOptions): PhantomPatient {
  const ill = Object.fromEntries(
    findingNames.map((name) => [name, chance(random, logistic(risks[name](person)))]),
  ) as Record<FindingName, boolean>;
  const anatomy = drawAnatomy(person, ill.cardiomegaly, difficulty, random);
  const findings = drawFindings(ill, difficulty, random);
  const style = acquisitions[person.hospital];
  const healthy = !findingNames.some((name) => ill[name]);
  function* images(): Generator<PhantomImage> {
    for (let k = 0; k < person.images; k++) {
      // The sick are more often filmed in bed, mildly: a shortcut that real cohorts have, and audits should find.
      const view = chance(random, style.bedside + (healthy ? 0 : 0.12)) ? "AP" : "PA";
      const today = regrade(findings, random);
      yield { view, pixels: drawChest(anatomy, today, drawPose(view, random), style, random, size) };
    }
  }
  const labels: Record<string, 0 | 1> = {
    ...Object.fromEntries(findingNames.map((name) => [name, ill[name] ? 1 : 0])),
    normal: healthy ? 1 : 0,
  };
  return { labels, images: images() };
}

function drawAnatomy(person: Person, cardiomegaly: boolean, difficulty: number, random: RandomSource): Anatomy {
  const female = person.sex === "F";
  const older = (person.ageYears - 57) / 16;
  // Cardiothoracic ratio: above 0.5 is called enlarged; the two distributions move together as difficulty grows.
  const gap = mix(0.13, 0.035, difficulty);
  const ratio = normal(random, 0.455 + 0.008 * older, 0.036) + (cardiomegaly ? normal(random, gap, 0.035) : 0);
  return {
    heartRatio: clamp(ratio, 0.38, 0.72),
    heartTilt: normal(random, -0.55, 0.1),
    heartShift: normal(random, 0.1, 0.015),
    lungWidth: normal(random, female ? 0.7 : 0.74, 0.035),
    lungTop: normal(random, -0.76, 0.025),
    domeRight: normal(random, female ? 0.4 : 0.43, 0.04),
    domeLeft: normal(random, 0.06, 0.02),
    ribPhase: random.uniform(),
    ribSpacing: normal(random, 0.148, 0.008),
    ribSlope: normal(random, 0.2, 0.04),
    boneStrength: clamp(1 - 0.12 * older, 0.6, 1.3),
    spineBend: normal(random, 0, 0.018),
    aorta: clamp(0.05 + 0.018 * older + normal(random, 0, 0.01), 0.02, 0.11),
    habitus: clamp(normal(random, 0, 1), -2, 2),
    breasts: female ? Math.max(0, normal(random, 0.5, 0.3)) : 0,
    breastSag: between(random, 0.24, 0.4),
    emphysema: person.comorbidity === "copd" ? between(random, 0.2, 1) : 0,
    vesselSeed: random.uint32(),
    stomach: between(random, 0, 1),
  };
}

function drawFindings(ill: Readonly<Record<FindingName, boolean>>, difficulty: number, random: RandomSource): Findings {
  const visibility = mix(1.5, 0.5, difficulty);
  const side = () => (chance(random, 0.5) ? -1 : 1);
  // Amounts are log-normal, so most disease is mild. The healthy have little of the same: pleural scars, vessels seen
  // end-on and nipples, hazy bases.
  const grade = (sick: boolean, amount: number, spread: number, mimic: number) =>
    sick
      ? amount * visibility * Math.exp(normal(random, 0, spread))
      : chance(random, 0.5)
        ? mimic * random.uniform()
        : 0;
  const effusion = clamp(grade(ill.effusion, 0.26, 0.55, 0.06), 0, 0.8);
  const nodule = clamp(grade(ill.nodule, 0.4, 0.3, 0.08), 0, 0.6);
  const pneumonia = clamp(grade(ill.pneumonia, 0.46, 0.4, 0.1), 0, 1.2);
  const noduleSide = side();
  const pneumoniaSide = side();
  return {
    effusion,
    effusionSide: side(),
    effusionOther: chance(random, 0.3) ? 0.7 : 0,
    nodule,
    noduleX: noduleSide * between(random, 0.3, 0.56),
    noduleY: between(random, -0.45, 0.3),
    noduleRadius: ill.nodule ? between(random, 0.065, 0.12) : between(random, 0.025, 0.045),
    pneumonia,
    pneumoniaX: pneumoniaSide * between(random, 0.3, 0.52),
    pneumoniaY: between(random, -0.35, 0.35),
    pneumoniaWidth: between(random, 0.2, 0.34),
    pneumoniaHeight: between(random, 0.2, 0.36),
    textureSeed: random.uint32(),
  };
}

/** The same disease on another day. */
function regrade(findings: Findings, random: RandomSource): Findings {
  return {
    ...findings,
    effusion: findings.effusion * Math.exp(normal(random, 0, 0.18)),
    nodule: findings.nodule * Math.exp(normal(random, 0, 0.1)),
    pneumonia: findings.pneumonia * Math.exp(normal(random, 0, 0.2)),
  };
}

function drawPose(view: "AP" | "PA", random: RandomSource): Pose {
  const bedside = view === "AP";
  return {
    bedside,
    turn: normal(random, 0, bedside ? 0.035 : 0.018),
    shiftX: normal(random, 0, bedside ? 0.04 : 0.02),
    shiftY: normal(random, bedside ? 0.03 : 0, 0.03),
    zoom: normal(random, bedside ? 1.03 : 0.98, 0.045),
    // How far the lungs are filled: in bed less.
    inspiration: normal(random, bedside ? -0.07 : 0, 0.035),
    exposure: normal(random, 0, bedside ? 0.09 : 0.05),
    marker: chance(random, 0.75),
  };
}
