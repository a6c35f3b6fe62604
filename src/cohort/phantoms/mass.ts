/**
 * Mammographic crops around a mass. Benign masses tend to be round or oval with smooth margins, malignant ones irregular,
 * spiculated and denser; both are drawn from one continuous scale of suspicion on which the classes overlap.
 */
import { seededRandom } from "../../math/random.ts";
import type { RandomSource } from "../../math/random.ts";
import {
  between,
  blur,
  canvas,
  clamp,
  edge,
  forEachPixel,
  fractal,
  mix,
  normal,
  stroke,
  valueNoise,
  bell,
} from "./canvas.ts";
import type { Canvas } from "./canvas.ts";
import type { PhantomImage, PhantomKind, PhantomOptions, PhantomPatient } from "./kind.ts";
import { acquisitions, chance, choose, logistic } from "./population.ts";
import type { Acquisition, Person } from "./population.ts";

export const mass: PhantomKind = {
  imageSize: 128,
  largestSize: 2048,
  femaleShare: 1,
  draw: drawPatient,
};

/** One lesion; lengths in half image sides. */
interface Lesion {
  readonly radius: number;
  readonly aspect: number;
  readonly turn: number;
  /** Harmonics of the outline: index, height, phase. */
  readonly outline: readonly (readonly [number, number, number])[];
  /** Half-width of the margin. */
  readonly margin: number;
  readonly density: number;
  readonly spicules: number;
  readonly spiculeLength: number;
  readonly halo: number;
  readonly calcifications: number;
  readonly seed: number;
}

/** The breast around it. */
interface Breast {
  /** Share of gland, from 0 (fat) to 1, as the four classes of breast density grade it. */
  readonly gland: number;
  /** Direction of the ducts, in radians. */
  readonly ducts: number;
  readonly seed: number;
}

function drawPatient(person: Person, random: RandomSource, { size, difficulty }: PhantomOptions): PhantomPatient {
  const older = (person.ageYears - 57) / 16;
  const risk = -0.25 + 0.45 * older + (person.comorbidity === "diabetes" ? 0.25 : 0);
  const malignant = chance(random, logistic(risk)) ? 1 : 0;
  const density = 1 + choose(random, older > 0 ? [0.16, 0.44, 0.31, 0.09] : [0.07, 0.33, 0.41, 0.19]);
  // The two classes stand this many standard deviations apart on the scale of suspicion.
  const apart = mix(4, 1.3, difficulty);
  const suspicion = normal(random, (malignant - 0.5) * apart, 1);
  const lesion = drawLesion(suspicion, difficulty, random);
  const breast = { gland: (density - 0.5) / 4, ducts: between(random, 0, Math.PI), seed: random.uint32() };
  const style = acquisitions[person.hospital];
  function* images(): Generator<PhantomImage> {
    for (let k = 0; k < person.images; k++) {
      const pixels = drawCrop(
        fromAnotherSide(lesion, random),
        { ...breast, seed: breast.seed + k },
        style,
        random,
        size,
      );
      yield { view: k % 2 === 0 ? "CC" : "MLO", attributes: { density }, pixels };
    }
  }
  return { labels: { malignant }, images: images() };
}

function drawLesion(suspicion: number, difficulty: number, random: RandomSource): Lesion {
  // Each sign follows the suspicion, loosely: no single one decides.
  const sign = () => logistic(1.1 * (suspicion + normal(random, 0, 0.7)));
  const irregular = sign();
  const outline = Array.from({ length: 8 }, (_, k) => {
    const height =
      k === 0 ? 0.05 : ((0.015 + 0.26 * irregular * irregular) / Math.sqrt(k + 4)) * Math.abs(normal(random, 0, 1));
    return [k + 2, height, between(random, 0, 2 * Math.PI)] as const;
  });
  const spiculated = sign();
  const circumscribed = 1 - sign();
  return {
    radius: between(random, 0.22, 0.44),
    aspect: mix(between(random, 0.72, 1), between(random, 0.6, 1), irregular),
    turn: between(random, 0, Math.PI),
    outline,
    margin: mix(0.24, 0.06, circumscribed) + 0.02 * random.uniform(),
    density: mix(0.22, 0.13, difficulty) * (0.75 + 0.6 * sign()) * Math.exp(normal(random, 0, 0.25)),
    spicules: Math.round(30 * clamp(1.25 * spiculated - 0.25, 0, 1)),
    spiculeLength: between(random, 0.5, 1.1),
    halo: 0.03 * circumscribed * circumscribed,
    calcifications: chance(random, 0.12 + 0.12 * sign()) ? 1 + random.integer(6) : 0,
    seed: random.uint32(),
  };
}

/** The same lesion, compressed in another direction. */
function fromAnotherSide(lesion: Lesion, random: RandomSource): Lesion {
  return {
    ...lesion,
    radius: lesion.radius * Math.exp(normal(random, 0, 0.08)),
    turn: lesion.turn + normal(random, 0, 0.8),
    aspect: clamp(lesion.aspect * Math.exp(normal(random, 0, 0.07)), 0.5, 1),
    density: lesion.density * Math.exp(normal(random, 0, 0.12)),
    outline: lesion.outline.map(([k, height, phase]) => [k, height, phase + normal(random, 0, 0.3)]),
  };
}

function drawCrop(
  lesion: Lesion,
  breast: Breast,
  style: Acquisition,
  random: RandomSource,
  size: number,
): Float32Array {
  const image = canvas(size);
  const [x0, y0] = [normal(random, 0, 0.09), normal(random, 0, 0.09)];
  const noise = valueNoise(seededRandom(breast.seed, "tissue"));
  const spicules = drawSpicules(lesion, x0, y0, size);
  const ligaments = drawLigaments(breast, size);
  const [dc, ds] = [Math.cos(breast.ducts), Math.sin(breast.ducts)];
  const [tc, ts] = [Math.cos(lesion.turn), Math.sin(lesion.turn)];
  const level = normal(random, 0.42 + 0.1 * breast.gland, 0.05) + style.brightness;
  const slope = [normal(random, 0, 0.07), normal(random, 0, 0.07)] as const;
  // Some crops reach the skin: beyond it the film is black.
  const skin = chance(random, 0.12) ? between(random, 0.55, 0.95) : Infinity;
  const skinAngle = between(random, 0, 2 * Math.PI);
  const [kc, ks] = [Math.cos(skinAngle), Math.sin(skinAngle)];

  forEachPixel(size, (x, y, i) => {
    // Tissue, drawn out along the ducts: broad glandular clouds, and strands where the field crosses zero.
    const u = dc * x + ds * y;
    const v = dc * y - ds * x;
    const bend = 0.35 * noise(1.3 * u + 40, 1.3 * v);
    const clouds = fractal(noise, 1.1 * u, 1.7 * (v + bend), 6, 0.58);
    const strands = 1 - Math.abs(fractal(noise, 1.5 * u + 90, 4.2 * (v + bend), 4, 0.6));
    const gland = edge((clouds + 1.5 * breast.gland - 0.8) / 0.8);
    let value = level + slope[0] * x + slope[1] * y;
    value += 0.14 * gland + 0.055 * clouds + (0.035 + 0.05 * gland) * (strands - 0.6) + 0.8 * ligaments.data[i]!;

    const ex = tc * (x - x0) + ts * (y - y0);
    const ey = (tc * (y - y0) - ts * (x - x0)) / lesion.aspect;
    const r = Math.sqrt(ex * ex + ey * ey);
    let core = 0;
    if (r < 2.2 * lesion.radius) {
      const theta = Math.atan2(ey, ex);
      let outline = lesion.radius;
      for (const [k, height, phase] of lesion.outline) outline += lesion.radius * height * Math.cos(k * theta + phase);
      const margin = lesion.margin * (0.75 + 0.5 * lesion.radius);
      const inside = edge((outline - r) / margin);
      const thick = 0.6 + 0.4 * Math.sqrt(Math.max(0, 1 - (r / (outline + margin)) ** 2));
      core = inside;
      value += lesion.density * inside * thick * (1 + 0.25 * fractal(noise, 6 * x, 6 * y, 2));
      value -= lesion.halo * bell((r - outline - margin) / (0.4 * margin + 0.03));
    }
    value += spicules.data[i]! * (1 - 0.75 * core);
    const depth = skin - kc * x - ks * y - 0.12 * (ks * x - kc * y) ** 2;
    if (depth < 0.3)
      value =
        value * edge((depth - 0.02) / 0.03) * (0.5 + 0.5 * Math.min(1, depth / 0.3)) +
        0.03 * bell((depth - 0.02) / 0.03);
    image.data[i] = value;
  });

  blur(image, style.blur * size);
  const grain = canvas(size);
  for (let i = 0; i < grain.data.length; i++) grain.data[i] = random.gaussian();
  blur(grain, 0.5);
  for (let i = 0; i < image.data.length; i++) {
    const value = 0.5 + 1.05 * style.contrast * (image.data[i]! - 0.5) + 1.4 * style.noise * grain.data[i]!;
    image.data[i] = clamp(value, 0, 1);
  }
  return image.data;
}

/** Fine lines radiating from a malignant mass, bent a little, of different length and strength. */
function drawSpicules(lesion: Lesion, x0: number, y0: number, size: number): Canvas {
  const layer = canvas(size);
  const random = seededRandom(lesion.seed, "spicules");
  for (let k = 0; k < lesion.spicules; k++) {
    const angle = ((k + 1.6 * random.uniform()) / lesion.spicules) * 2 * Math.PI + lesion.turn;
    const from = lesion.radius * between(random, 0.5, 0.85);
    const to = lesion.radius * (1.1 + lesion.spiculeLength * random.uniform() ** 1.5);
    const bend = normal(random, 0, 0.2);
    const width = between(random, 0.014, 0.05);
    const height = lesion.density * between(random, 0.15, 0.65);
    const middle = (from + to) / 2;
    const at = (r: number, a: number) => [x0 + r * Math.cos(a), y0 + r * Math.sin(a)] as const;
    stroke(layer, [...at(from, angle), ...at(middle, angle + bend)], [width, 0.7 * width], height);
    stroke(layer, [...at(middle, angle + bend), ...at(to, angle + 1.5 * bend)], [0.7 * width, 0.012], 0.75 * height);
  }
  for (let k = 0; k < lesion.calcifications; k++) {
    const [r, a] = [lesion.radius * random.uniform(), between(random, 0, 2 * Math.PI)];
    const [x, y] = [x0 + r * Math.cos(a), y0 + r * Math.sin(a)];
    stroke(layer, [x, y, x + 0.01, y + 0.01], [0.022, 0.018], between(random, 0.12, 0.3));
  }
  return layer;
}

/** Cooper's ligaments and vessels: long faint curves across the crop, mostly along the ducts. */
function drawLigaments(breast: Breast, size: number): Canvas {
  const layer = canvas(size);
  const random = seededRandom(breast.seed, "ligaments");
  const count = 7 + random.integer(9);
  for (let k = 0; k < count; k++) {
    let [x, y] = [between(random, -1.1, 1.1), between(random, -1.1, 1.1)];
    let angle = breast.ducts + normal(random, 0, 0.45);
    const width = between(random, 0.012, 0.034);
    const height = between(random, 0.02, 0.075);
    const length = 8 + random.integer(12);
    for (let s = 0; s < length; s++) {
      const [nx, ny] = [x + 0.1 * Math.cos(angle), y + 0.1 * Math.sin(angle)];
      const fade = Math.sin((Math.PI * (s + 1)) / (length + 1));
      stroke(layer, [x, y, nx, ny], [width, width], height * fade);
      [x, y] = [nx, ny];
      angle += normal(random, 0, 0.13);
    }
  }
  return layer;
}
