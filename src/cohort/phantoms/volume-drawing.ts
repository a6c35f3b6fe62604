/**
 * Abdominal CT in Hounsfield units, painted organ over organ: fat, muscle, bone, vessels, liver, spleen, stomach, bowel,
 * kidneys, pancreas. Millimetres from the middle of the volume: x to the patient's right, y to the front, z to the head.
 */
import type { Volume } from "../../imaging/index.ts";
import { fillGaussian, seededRandom } from "../../math/random.ts";
import type { RandomSource } from "../../math/random.ts";
import { bell, clamp, edge, mix } from "./canvas.ts";

type Point = readonly [number, number, number];

/** An organ as an ellipsoid, turned about z. */
export interface Ellipsoid {
  readonly centre: Point;
  readonly radii: Point;
  /** In radians, counter-clockwise seen from the head. */
  readonly turn?: number;
  /** How far its surface is uneven, as a share of its radii. */
  readonly uneven?: number;
}

/** A patient's abdomen; lengths in millimetres. */
export interface Abdomen {
  /** Half-widths of the trunk. */
  readonly halfWidth: number;
  readonly halfDepth: number;
  /** Thickness of the fat under the skin and of the muscle under it. */
  readonly fat: number;
  readonly muscle: number;
  /** Where the middle of the vertebrae lies, towards the back. */
  readonly spineY: number;
  /** Hounsfield units of cancellous bone and of muscle, and of the liver before contrast. */
  readonly boneHu: number;
  readonly muscleHu: number;
  readonly liverHu: number;
  /** Share of the aorta's wall that is calcified. */
  readonly calcified: number;
  readonly liver: Ellipsoid;
  readonly leftLobe: Ellipsoid;
  readonly spleen: Ellipsoid;
  readonly stomach: Ellipsoid;
  readonly kidneys: readonly [Ellipsoid, Ellipsoid];
  readonly bowel: readonly (Ellipsoid & { readonly hu: number })[];
  /** The pancreas from head to tail: points of its axis, with its half-thickness there. */
  readonly pancreas: readonly { readonly at: Point; readonly radius: number }[];
  /** Share of fat between the lobules of the pancreas. */
  readonly fatty: number;
  /** Half-width of the pancreatic duct from the lesion, or the head, to the tail. */
  readonly duct: number;
  readonly discPhase: number;
  readonly ribPhase: number;
  readonly seed: number;
}

/** What is to be found, or looks a little like it. */
export interface Lesion extends Ellipsoid {
  /** Hounsfield units below the pancreas around it. */
  readonly drop: number;
}

/** One scan of the patient. */
export interface Scan {
  /** Hounsfield units that contrast agent adds: in arteries, veins, and organs by their share. */
  readonly arteries: number;
  readonly veins: number;
  readonly organs: number;
  readonly pancreas: number;
  readonly kidneys: number;
  /** Where the patient lies: shift in millimetres, turn in radians. */
  readonly shift: Point;
  readonly turn: number;
  /** Standard deviation of the noise in Hounsfield units. */
  readonly noise: number;
  /** What the scanner reads for water. */
  readonly offset: number;
  /** Half-width of the blur of an edge, in voxels. */
  readonly blur: number;
  readonly shape: readonly [number, number, number];
  readonly spacingMm: readonly [number, number, number];
}

const AIR = -1000;
const FAT = -105;
const TABLE = -600; // a foam core

/** Lengths of short vectors, several times as fast as Math.hypot, which guards against overflow. */
const length = (x: number, y: number, z = 0) => Math.sqrt(x * x + y * y + z * z);

/** Smooth noise in space, from -1 to 1, with a grid of unit 1. */
function spaceNoise(random: RandomSource): (x: number, y: number, z: number) => number {
  const N = 16;
  const grid = Float32Array.from({ length: N ** 3 }, () => 2 * random.uniform() - 1);
  const smooth = (t: number) => t * t * (3 - 2 * t);
  return (x, y, z) => {
    const [i, j, k] = [Math.floor(x), Math.floor(y), Math.floor(z)];
    const [u, v, w] = [smooth(x - i), smooth(y - j), smooth(z - k)];
    const [x0, x1] = [i & (N - 1), (i + 1) & (N - 1)];
    const [y0, y1] = [(j & (N - 1)) * N, ((j + 1) & (N - 1)) * N];
    const [z0, z1] = [(k & (N - 1)) * N * N, ((k + 1) & (N - 1)) * N * N];
    const low = mix(
      mix(grid[z0 + y0 + x0]!, grid[z0 + y0 + x1]!, u),
      mix(grid[z0 + y1 + x0]!, grid[z0 + y1 + x1]!, u),
      v,
    );
    const high = mix(
      mix(grid[z1 + y0 + x0]!, grid[z1 + y0 + x1]!, u),
      mix(grid[z1 + y1 + x0]!, grid[z1 + y1 + x1]!, u),
      v,
    );
    return mix(low, high, w);
  };
}

/** Draws one scan; the result is in whole Hounsfield units from -1024 to 3071, as scanners store them. */
export function drawAbdomen(abdomen: Abdomen, lesions: readonly Lesion[], scan: Scan, random: RandomSource): Volume {
  const { shape, spacingMm } = scan;
  const [depth, height, width] = shape;
  const data = new Float32Array(depth * height * width);
  const noise = spaceNoise(random);
  const paint = painter(abdomen, lesions, scan, spaceNoise(seededRandom(abdomen.seed, "texture")));
  const [cos, sin] = [Math.cos(scan.turn), Math.sin(scan.turn)];
  const grain = grainOf(shape, scan.noise, random);
  for (let k = 0, i = 0; k < depth; k++) {
    const z = (k + 0.5 - depth / 2) * spacingMm[0] - scan.shift[2];
    for (let j = 0; j < height; j++) {
      const v = (j + 0.5 - height / 2) * spacingMm[1] - scan.shift[1];
      for (let l = 0; l < width; l++, i++) {
        const u = (l + 0.5 - width / 2) * spacingMm[2] - scan.shift[0];
        const [x, y] = [cos * u + sin * v, cos * v - sin * u];
        // A little breathing and unlike shapes: all places are bent by a few millimetres.
        const bend = 3 * noise(x / 60, y / 60, z / 60);
        const hu = paint(x + bend, y - bend, z) + scan.offset + grain[i]!;
        data[i] = clamp(Math.round(hu), -1024, 3071);
      }
    }
  }
  return { shape, spacingMm, data };
}

/** Noise as filtered back-projection leaves it: neighbours in a slice go together. */
function grainOf([depth, height, width]: Scan["shape"], std: number, random: RandomSource): Float32Array {
  const white = new Float32Array(depth * height * width);
  fillGaussian(random, white, std / 0.375); // binomial weights 1 2 1 both ways leave (6 / 16) of the deviation
  const out = new Float32Array(white.length);
  for (let k = 0, i = 0; k < depth; k++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        let sum = 0;
        for (let b = -1; b <= 1; b++)
          for (let a = -1; a <= 1; a++) {
            const row = (k * height + clamp(y + b, 0, height - 1)) * width;
            sum += ((2 - Math.abs(a)) * (2 - Math.abs(b)) * white[row + clamp(x + a, 0, width - 1)]!) / 16;
          }
        out[i] = sum;
      }
  return out;
}

type Noise = ReturnType<typeof spaceNoise>;
type Depth = (x: number, y: number, z: number) => number;

/** Hounsfield units at a place, before noise. */
function painter(body: Abdomen, lesions: readonly Lesion[], scan: Scan, noise: Noise): (...at: Point) => number {
  const soft = 0.5 * Math.max(scan.spacingMm[1], 2) * (1 + scan.blur);
  /** How much of a voxel is covered that lies `depth` millimetres inside a surface. */
  const cover = (depth: number) => edge(depth / soft);
  const back = 0.92 * body.halfDepth;
  const wall = body.fat + body.muscle;

  /** How deep a place lies in an organ, in millimetres; negative, and not exact, outside. Made once, asked a million times. */
  const depthIn = ({ centre: [cx, cy, cz], radii: [a, b, c], turn = 0, uneven = 0 }: Ellipsoid): Depth => {
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    const reach = 1.6 * Math.max(a, b);
    const least = Math.min(a, b, c);
    return (x, y, z) => {
      const dx = x - cx;
      const dy = y - cy;
      const dz = (z - cz) / c;
      if (dz > 1.5 || dz < -1.5 || dx > reach || dx < -reach || dy > reach || dy < -reach) return -1e3;
      const q = length((cos * dx + sin * dy) / a, (cos * dy - sin * dx) / b, dz);
      if (q > 1.6) return -1e3;
      return (1 - q + (uneven === 0 ? 0 : uneven * noise(x / 28, y / 28, z / 28))) * least;
    };
  };
  const [liver, leftLobe, spleen, stomach] = [body.liver, body.leftLobe, body.spleen, body.stomach].map(depthIn) as [Depth, Depth, Depth, Depth]; // prettier-ignore
  const kidneys = body.kidneys.map((kidney) => ({ centre: kidney.centre, depth: depthIn(kidney) }));
  const bowel = body.bowel.map((loop) => ({ hu: loop.hu, depth: depthIn(loop) }));
  const tumours = lesions.map((lesion) => ({ drop: lesion.drop, depth: depthIn(lesion) }));

  /** Ribs, spine and the muscles along it. */
  const frame = (hu: number, depth: number, x: number, y: number, z: number) => {
    const s = y - body.spineY;
    let value = hu;
    for (let side = -1; side <= 1 && s < 40 && depth > 0; side += 2) {
      const erector = 1 - length((x - side * 34) / 28, (s + 46) / 20);
      value = mix(value, body.muscleHu, cover(20 * erector));
      const psoas = 1 - length((x - side * 38) / 19, (s + 2) / clamp(20 - z / 8, 4, 26));
      value = mix(value, body.muscleHu, cover(15 * psoas));
    }
    // Ribs run down from the spine to the sides and the front, and the lowest end at the back.
    const rib = (z + 0.3 * y + 0.4 * Math.abs(x)) / 29 + body.ribPhase;
    const band = 1 - Math.abs(rib - Math.round(rib)) / 0.17;
    const within = 1 - Math.abs(depth - body.fat - 0.5 * body.muscle) / 5.5;
    if (band > -1 && within > -1 && Math.abs(x) > 45 && y < 1.1 * (z + 25))
      value = mix(value, 330, cover(5 * Math.min(band, within)));

    if (Math.abs(x) < 60 && s < 30) {
      const level = z / 33 + body.discPhase;
      const fromDisc = Math.abs(level - Math.round(level)) * 33; // millimetres from the middle of the nearest disc
      const isBone = cover(fromDisc - 5);
      const vertebra = (1 - length(x / 22, s / 17)) * 17;
      const cortex = Math.max(bell((vertebra - 2) / 4), bell((fromDisc - 6) / 4));
      value = mix(value, mix(85, body.boneHu + 260 * cortex, isBone), cover(vertebra));
      const arch = 6 - Math.abs(length(x / 1.1, s + 27) - 13);
      value = mix(value, body.boneHu + 150, cover(arch) * (0.4 + 0.6 * isBone));
      const processes = Math.max(
        Math.min(5 - Math.abs(x), 14 - Math.abs(s + 50)),
        Math.min(5 - Math.abs(s + 20), 42 - Math.abs(x), Math.abs(x) - 12),
      );
      value = mix(value, body.boneHu + 130, cover(processes) * isBone);
      value = mix(value, 25, cover(8 - length(x, s + 27)));
    }
    return value;
  };

  const round = (value: number, hu: number, x: number, y: number, radius: number) =>
    mix(value, hu, cover(radius - length(x, y)));

  const vessels = (hu: number, x: number, y: number, z: number) => {
    const s = y - body.spineY;
    let value = hu;
    const aorta = length(x + 8, s - 27);
    value = mix(value, 42 + scan.arteries, cover(10 - aorta));
    const plaque = bell((aorta - 10) / 3) * (noise(x / 9 + 3, y / 9, z / 14) > 1 - 2 * body.calcified ? 1 : 0);
    value = mix(value, 600, 0.8 * plaque);
    value = mix(value, 42 + scan.veins, cover(10 * (1 - length((x - 20) / 13, (s - 24) / 9))));
    if (z < 8) {
      value = round(value, 42 + scan.veins, x - 10, s - 46, 6.5);
      value = round(value, 42 + scan.arteries, x + 6, s - 43, 4.5);
    }
    return value;
  };

  const reach = body.pancreas.map(({ radius }) => 2 * radius);
  const ends = (pick: typeof Math.min, sign: 1 | -1) =>
    [0, 1, 2].map((a) => pick(...body.pancreas.map(({ at }, k) => at[a]! + sign * reach[k]!))) as unknown as Point;
  const [lowest, highest] = [ends(Math.min, -1), ends(Math.max, 1)];
  const segments = body.pancreas.slice(1).map((to, k) => {
    const from = body.pancreas[k]!;
    const way = to.at.map((v, a) => v - from.at[a]!) as unknown as Point;
    return {
      from: from.at,
      way,
      square: way[0] ** 2 + way[1] ** 2 + way[2] ** 2,
      radii: [from.radius, to.radius] as const,
    };
  });

  const pancreas = (hu: number, x: number, y: number, z: number) => {
    if (x < lowest[0] || x > highest[0] || y < lowest[1] || y > highest[1] || z < lowest[2] || z > highest[2])
      return hu;
    let inside = -1e3;
    let axis = 1e3;
    let along = 0;
    for (let k = 0; k < segments.length; k++) {
      const { from, way, square, radii } = segments[k]!;
      const dx = x - from[0];
      const dy = y - from[1];
      const dz = z - from[2];
      const t = clamp((dx * way[0] + dy * way[1] + dz * way[2]) / square, 0, 1);
      const distance = length(dx - t * way[0], dy - t * way[1], dz - t * way[2]);
      inside = Math.max(inside, mix(radii[0], radii[1], t) - distance);
      if (distance < axis) {
        axis = distance;
        along = k + t;
      }
    }
    const lobules = noise(x / 7, y / 7, z / 7);
    const tissue = mix(42 + scan.pancreas, FAT, clamp(body.fatty * (0.6 + lobules), 0, 0.8));
    let value = mix(hu, tissue, cover(inside + 1.8 * lobules));
    const duct = along > 0.8 ? body.duct : 0;
    const wide = Math.max(duct, soft);
    value = mix(value, 12, Math.min(1, duct / soft) * bell(axis / wide));
    for (const { drop, depth } of tumours) {
      const own = 42 + scan.pancreas - drop * (0.6 + 0.4 * (scan.pancreas / 75));
      value = mix(value, own, cover(depth(x, y, z)));
    }
    return value;
  };

  const solid = (value: number, depth: number, hu: number, texture: number) =>
    depth < -soft ? value : mix(value, hu + texture, cover(depth));

  const organs = (hu: number, x: number, y: number, z: number) => {
    let value = hu;
    for (let k = 0; k < bowel.length; k++) {
      const depth = bowel[k]!.depth(x, y, z);
      if (depth > -soft) value = mix(value, mix(48 + 0.5 * scan.organs, bowel[k]!.hu, cover(depth - 5)), cover(depth));
    }
    const inStomach = stomach(x, y, z);
    if (inStomach > -soft) {
      // On the back, air rises to the front.
      const content = mix(18, -850, cover(y - body.stomach.centre[1] - 0.45 * body.stomach.radii[1]));
      value = mix(value, mix(50 + 0.6 * scan.organs, content, cover(inStomach - 5)), cover(inStomach));
    }
    const texture = noise(x / 9 + 5, y / 9, z / 9);
    const inLiver = liver(x, y, z);
    value = solid(value, inLiver, body.liverHu + scan.organs, 9 * texture);
    value = solid(value, leftLobe(x, y, z), body.liverHu + scan.organs, 9 * texture);
    // Vessels of the liver, where the noise crosses zero.
    if (inLiver > 8) value += 0.35 * bell(noise(x / 22 + 7, y / 22, z / 22) / 0.12) * scan.veins;
    value = solid(value, spleen(x, y, z), 48 + 1.1 * scan.organs, 7 * texture);
    for (let k = 0; k < kidneys.length; k++) {
      const { centre, depth } = kidneys[k]!;
      const inKidney = depth(x, y, z);
      if (inKidney < -soft) continue;
      // The pelvis opens towards the spine, and is fat.
      const inward = Math.sign(centre[0]) * (x - centre[0]);
      const sinus = 11 - length(inward + 12, y - centre[1], (z - centre[2]) / 2.2);
      const cortex = 34 + scan.kidneys * mix(0.72, 1, bell((inKidney - 2) / 8));
      value = mix(value, mix(cortex, -60, cover(sinus)), cover(inKidney));
    }
    return value;
  };

  return (x, y, z) => {
    const b = y < 0 ? back : body.halfDepth;
    const t = (Math.abs(x / body.halfWidth) ** 2.4 + Math.abs(y / b) ** 2.4) ** (1 / 2.4);
    const depth = (1 - t) * b;
    if (depth < -3 * soft) {
      const under = y + back + 12 - 0.0007 * x * x;
      const table = Math.abs(x) < 190 ? 9 - Math.abs(under + 9) : -1e3;
      return mix(AIR, mix(-320, TABLE, cover(table - 3)), cover(table));
    }
    const clouds = noise(x / 40, y / 40, z / 40);
    let value = mix(AIR, FAT + 6 * clouds, cover(depth));
    if (depth < body.fat - 3 * soft) return value;
    value = mix(value, body.muscleHu + 6 * clouds, cover(depth - body.fat));
    const inside = depth - wall;
    const strands = bell(noise(x / 13, y / 13 + 9, z / 13) / 0.15);
    let within = FAT + 8 + 6 * clouds + 55 * strands;
    if (inside > -3 * soft) within = pancreas(vessels(organs(within, x, y, z), x, y, z), x, y, z);
    value = mix(value, within, cover(inside));
    const lung = cover(z - 66 - 50 * (1 - t * t) - 0.15 * y) * cover(inside);
    return frame(mix(value, -840 + 60 * strands, lung), depth, x, y, z);
  };
}
