/** The drawing of one chest radiograph from numbers that say what the patient is like. */
import { seededRandom } from "../../math/random.ts";
import type { RandomSource } from "../../math/random.ts";
import { bell, blur, canvas, clamp, edge, forEachPixel, fractal, mix, stroke, valueNoise } from "./canvas.ts";
import type { Canvas } from "./canvas.ts";
import type { Acquisition } from "./population.ts";

/** One person's chest; lengths in half image sides, y downwards, the patient's right on the left of the image. */
export interface Anatomy {
  /** Width of the heart over the inner width of the chest. */
  readonly heartRatio: number;
  readonly heartTilt: number;
  readonly heartShift: number;
  readonly lungWidth: number;
  readonly lungTop: number;
  /** Height of the right dome of the diaphragm, and how much lower the left one stands. */
  readonly domeRight: number;
  readonly domeLeft: number;
  readonly ribPhase: number;
  readonly ribSpacing: number;
  readonly ribSlope: number;
  readonly boneStrength: number;
  readonly spineBend: number;
  readonly aorta: number;
  /** Standard deviations above the mean body mass. */
  readonly habitus: number;
  readonly breasts: number;
  readonly breastSag: number;
  readonly emphysema: number;
  readonly vesselSeed: number;
  readonly stomach: number;
}

export interface Findings {
  /** Height of the fluid above the costophrenic angle. */
  readonly effusion: number;
  readonly effusionSide: number;
  /** How much of it there is on the other side. */
  readonly effusionOther: number;
  /** Attenuation at its middle, like `pneumonia`. */
  readonly nodule: number;
  readonly noduleX: number;
  readonly noduleY: number;
  readonly noduleRadius: number;
  readonly pneumonia: number;
  readonly pneumoniaX: number;
  readonly pneumoniaY: number;
  readonly pneumoniaWidth: number;
  readonly pneumoniaHeight: number;
  readonly textureSeed: number;
}

export interface Pose {
  readonly bedside: boolean;
  readonly turn: number;
  readonly shiftX: number;
  readonly shiftY: number;
  readonly zoom: number;
  readonly inspiration: number;
  readonly exposure: number;
  readonly marker: boolean;
}

/** Math.hypot guards against overflow, at ten times the cost. */
const length = (dx: number, dy: number) => Math.sqrt(dx * dx + dy * dy);

/** Draws one radiograph, grey in [0, 1], white where much is absorbed. */
export function drawChest(
  a: Anatomy,
  f: Findings,
  pose: Pose,
  style: Acquisition,
  random: RandomSource,
  size: number,
): Float32Array {
  const image = canvas(size);
  const vessels = drawVessels(a, size);
  const bones = drawClavicles(a, size);
  const tissue = valueNoise(seededRandom(a.vesselSeed, "tissue"));
  const patches = valueNoise(seededRandom(f.textureSeed, "patches"));
  const [cos, sin] = [Math.cos(pose.turn) / pose.zoom, Math.sin(pose.turn) / pose.zoom];

  const heartWidth = a.heartRatio * a.lungWidth * (pose.bedside ? 1.1 : 1);
  // The long axis points down to the left: stretched so that the shadow is as wide as the ratio says.
  const heartHeight = 0.7 * heartWidth;
  const heartLength = Math.sqrt(heartWidth ** 2 - (heartHeight * Math.sin(a.heartTilt)) ** 2) / Math.cos(a.heartTilt);
  const heartX = a.heartShift + 0.22 * (heartWidth - 0.33);
  const heartY = 0.29 + 0.6 * pose.inspiration;
  const [tiltCos, tiltSin] = [Math.cos(a.heartTilt), Math.sin(a.heartTilt)];
  const base = pose.inspiration;
  const chestMiddle = (a.lungTop + 0.72) / 2;
  const chestHalf = (0.78 - a.lungTop) / 2 + 0.06;
  const air = 0.92 + 0.06 * a.emphysema - 0.04 * Math.max(0, a.habitus);
  const bulk = 1 + 0.1 * a.habitus;

  forEachPixel(size, (px, py, i) => {
    const qx = px - pose.shiftX;
    const qy = py - pose.shiftY;
    const x = cos * qx + sin * qy;
    const y = cos * qy - sin * qx;
    const side = x < 0 ? -1 : 1;
    const ax = Math.abs(x);

    // The body: neck, sloping shoulders, trunk, and arms that leave a gap below the armpits.
    const steep = Math.max(0, ax - 0.2);
    const shoulder = y + 0.9 - 0.42 * steep * Math.sqrt(Math.sqrt(steep)) - 0.1 * edge((ax - 0.24) / 0.1);
    const trunk = 0.87 + 0.03 * a.habitus - 0.05 * y + 0.16 * edge((-0.3 - y) / 0.25);
    const inTrunk = edge((trunk - ax) / 0.02) * edge(shoulder / 0.025);
    const inNeck = edge((0.23 + 0.05 * edge((y + 0.85) / 0.1) - ax) / 0.03);
    const armAxis = 0.95 + 0.1 * Math.max(0, y + 0.45);
    const inArm = edge((0.15 - length(ax - armAxis, Math.min(0, y + 0.45))) / 0.02);
    const body = Math.max(inTrunk, inNeck * edge((-0.4 - y) / 0.2), inArm * 0.9);
    if (body === 0) return;
    const round = Math.sqrt(Math.max(0.04, 1 - (ax / (trunk + 0.02)) ** 2));
    let value = body * bulk * (0.3 + 0.78 * Math.max(round, inArm * 0.35) - 0.28 * edge((-0.7 - y) / 0.2));

    // The lungs: inside an egg of ribs, beside the mediastinum and heart, above the diaphragm.
    const lateral = ax / a.lungWidth;
    const vertical = (y - chestMiddle) / chestHalf;
    const wide = lateral * lateral;
    const square = vertical * vertical;
    const tall = vertical < 0 ? square : square * square;
    const egg = wide * (0.55 + 0.45 * wide) + tall;
    const dome = (side < 0 ? a.domeRight : a.domeRight + a.domeLeft) + base;
    const fromTop = (ax - 0.36) / 0.38;
    const diaphragm = dome + (fromTop > 0 ? 0.24 : side < 0 ? 0.14 : 0.06) * fromTop * fromTop;
    const above = edge((diaphragm - y) / 0.02);
    const mediastinum =
      side < 0
        ? 0.115 + 0.025 * bell((y + 0.3) / 0.3)
        : 0.105 + a.aorta * bell((y + 0.3) / 0.12) + 0.035 * bell((y + 0.08) / 0.14);
    // Towards the diaphragm fat and the great vein fill the corner beside the heart.
    const corner = (side < 0 ? 0.05 : 0.17) * edge((y - dome - 0.02) / 0.1);
    const beside = edge((ax - mediastinum - corner + 0.03 * edge((-0.5 - y) / 0.15)) / 0.03);
    const hx = (x - heartX) * tiltCos - (y - heartY) * tiltSin;
    const hy = (x - heartX) * tiltSin + (y - heartY) * tiltCos;
    const heart = edge(
      (1 - Math.sqrt((hx / heartLength) ** 2 + (hy / (hy > 0 ? 1.3 * heartHeight : heartHeight)) ** 2)) / 0.07,
    );
    const inEgg = edge((1 - egg) / 0.09);
    const field = inEgg * beside * above;
    let lung = field * (1 - 0.94 * heart);
    // A little lung hangs behind the dome.
    lung += 0.12 * inEgg * (1 - above) * edge((diaphragm + 0.1 - y) / 0.08) * beside;

    // Fluid: level in the middle, climbing the chest wall, filling the angle first.
    if (f.effusion > 0.003 && lung > 0) {
      const amount = side === f.effusionSide ? f.effusion : f.effusion * f.effusionOther;
      const angle = dome + 0.27;
      const climb = Math.exp(-Math.max(0, 1 - lateral) / 0.16);
      const level = angle - amount * (1 + 0.75 * climb) + 0.02;
      if (amount > 0.003) lung *= 1 - 0.97 * edge((y - level) / 0.04);
    }
    const depth = Math.sqrt(Math.max(0, 1 - Math.min(1, egg))) * 0.45 + 0.55;
    value -= lung * depth * air * bulk * round;
    value += 0.1 * heart * above + 0.1 * (1 - above) * edge((0.9 - lateral) / 0.25);

    // What is in the lungs.
    const texture = fractal(tissue, x * 5, y * 5, 4);
    value += 0.035 * texture * body + lung * (0.85 * vessels.data[i]! + 0.03 * (pose.bedside ? 1 : 0));
    if (f.nodule > 0.005) {
      const r = ((x - f.noduleX) ** 2 + (y - f.noduleY) ** 2) / (f.noduleRadius * f.noduleRadius);
      if (r < 1.3) value += f.nodule * lung * Math.sqrt(Math.max(0, 1 - r / 1.3));
    }
    if (f.pneumonia > 0.005) {
      const envelope = bell(
        Math.min(1, length((x - f.pneumoniaX) / f.pneumoniaWidth, (y - f.pneumoniaY) / f.pneumoniaHeight) / 1.25),
      );
      if (envelope > 0) value += f.pneumonia * lung * envelope * edge(fractal(patches, x * 7, y * 7, 4, 0.6) + 0.15);
    }

    // Bones. Posterior ribs run outwards and down at the side; anterior ones come back down to the middle, fainter.
    if (egg < 1.12 && y < 0.75) {
      const cage = edge((1.08 - egg) / 0.05) * edge((ax - 0.05) / 0.04);
      const back =
        (y - (a.ribSlope * 0.5 * wide * lateral - 0.16 * lateral * (1 - lateral))) / a.ribSpacing - a.ribPhase;
      const front = (y - 0.62 * (1 - lateral) - 0.06) / (a.ribSpacing * 1.12) - a.ribPhase;
      const faint = edge((lateral - 0.45) / 0.2);
      const below = 1 - 0.8 * (1 - above);
      value += a.boneStrength * cage * below * (0.15 * ribProfile(back) + 0.085 * faint * ribProfile(front));
    }
    const spine = x - a.spineBend * Math.sin(2.2 * y);
    const vertebrae = 0.75 + 0.25 * Math.cos((2 * Math.PI * (y + 0.1 * a.ribPhase)) / 0.135);
    value +=
      0.14 *
      a.boneStrength *
      vertebrae *
      edge((0.075 - Math.abs(spine)) / 0.02) *
      (0.55 + 0.45 * edge((-0.25 - y) / 0.3));
    value -= 0.2 * edge((0.036 - Math.abs(spine - 0.008)) / 0.018) * edge((-0.2 - y) / 0.06);
    value += a.boneStrength * bones.data[i]! * body;

    // Breasts end in a sharp lower fold; the stomach holds air under the left dome.
    if (a.breasts > 0) {
      const r = length((ax - 0.43) / 0.3, (y - a.breastSag) / (y > a.breastSag ? 0.24 : 0.5));
      value += 0.13 * a.breasts * edge((1 - r) / (y > a.breastSag ? 0.1 : 0.6)) * body;
    }
    if (a.stomach > 0.35) {
      const r = length((x - 0.36) / (0.17 * a.stomach), (y - dome - 0.13) / (0.09 * a.stomach));
      value -= 0.28 * edge((1 - r) / 0.3) * (1 - above);
    }
    image.data[i] = value;
  });
  develop(image, pose, style, random);
  return image.data;
}

/** A rib across its width: a band with brighter rims, `t` in ribs. */
function ribProfile(t: number): number {
  const u = Math.abs(t - Math.floor(t) - 0.5) / 0.27;
  return u >= 1 ? 0 : edge((1 - u) / 0.22) * (0.65 + 0.5 * u * u);
}

/** Vessels branch outwards from both hila, thinner and fainter as they go. */
function drawVessels(a: Anatomy, size: number): Canvas {
  const layer = canvas(size);
  const random = seededRandom(a.vesselSeed, "vessels");
  const grow = (x: number, y: number, angle: number, reach: number, width: number, depth: number): void => {
    const [x1, y1] = [x + reach * Math.cos(angle), y + reach * Math.sin(angle)];
    stroke(layer, [x, y, x1, y1], [width, width * 0.75], clamp(width * 14, 0.05, 0.32));
    if (depth === 0) return;
    const spread = 0.25 + 0.35 * random.uniform();
    grow(x1, y1, angle + spread, reach * (0.7 + 0.2 * random.uniform()), width * 0.72, depth - 1);
    grow(x1, y1, angle - spread, reach * (0.7 + 0.2 * random.uniform()), width * 0.72, depth - 1);
  };
  for (const side of [-1, 1]) {
    const [x, y] = [side * 0.15, side < 0 ? -0.02 : -0.06];
    stroke(layer, [x, y - 0.1, x + side * 0.04, y + 0.14], [0.05, 0.035], 0.24);
    for (const angle of [-1.15, -0.55, 0.1, 0.6, 1.05]) {
      const turned = angle + 0.25 * (random.uniform() - 0.5);
      grow(x, y, side > 0 ? turned : Math.PI - turned, 0.15 + 0.05 * random.uniform(), 0.019, 4);
    }
  }
  return layer;
}

/** Collar bones with a gentle S, and the inner borders of the shoulder blades. */
function drawClavicles(a: Anatomy, size: number): Canvas {
  const layer = canvas(size);
  for (const side of [-1, 1]) {
    const points = Array.from({ length: 9 }, (_, k) => {
      const t = k / 8;
      return [side * mix(0.07, 0.8, t), a.lungTop + 0.2 - 0.16 * t + 0.05 * Math.sin(2 * Math.PI * t)] as const;
    });
    for (let k = 0; k < 8; k++)
      stroke(layer, [...points[k]!, ...points[k + 1]!], [0.036 - 0.0012 * k, 0.035 - 0.0012 * k], 0.2);
    const blade = [side * 0.76, a.lungTop + 0.2, side * 0.66, a.lungTop + 0.62] as const;
    stroke(layer, blade, [0.03, 0.02], 0.07);
    stroke(layer, [side * 0.86, a.lungTop + 0.16, side * 1.02, a.lungTop + 0.7], [0.06, 0.05], 0.2); // humerus
  }
  return layer;
}

/** From attenuation to film: the detector's blur and curve, quantum noise, exposure, and a side marker. */
function develop(image: Canvas, pose: Pose, style: Acquisition, random: RandomSource): void {
  const { size, data } = image;
  blur(image, (style.blur + (pose.bedside ? 0.002 : 0)) * size);
  const contrast = style.contrast * (pose.bedside ? 0.88 : 1) * 1.55;
  const grain = canvas(size);
  for (let i = 0; i < data.length; i++) grain.data[i] = random.gaussian();
  blur(grain, 0.45);
  for (let i = 0; i < data.length; i++) {
    const absorbed = data[i]!;
    const film = 0.5 + 0.5 * Math.tanh(contrast * (absorbed - 0.62) + pose.exposure + style.brightness);
    const black = absorbed <= 0.02 ? 0.35 : 1;
    // Fewer quanta arrive where more is absorbed.
    const noise = 0.9 * style.noise * (0.5 + 0.8 * Math.min(1.2, absorbed)) * grain.data[i]!;
    data[i] = clamp(film * black + noise, 0, 1);
  }
  if (!pose.marker) return;
  // The letter L at the patient's left shoulder.
  const marker = canvas(size);
  const [x, y] = [0.84 + 0.04 * random.uniform(), -0.9 + 0.08 * random.uniform()];
  stroke(marker, [x, y, x, y + 0.1], [0.012, 0.012], 0.95);
  stroke(marker, [x, y + 0.1, x + 0.05, y + 0.1], [0.012, 0.012], 0.95);
  for (let i = 0; i < data.length; i++) data[i] = Math.max(data[i]!, marker.data[i]!);
}
