import {
  add,
  clip,
  concat,
  constant,
  conv,
  div,
  log,
  matMul,
  mul,
  reduceMean,
  reshape,
  scalar,
  sigmoid,
  slice,
  sqrt,
  sub,
  type Value,
} from "../graph/index.ts";
import { zeros } from "./initialisers.ts";
import { dense, imageStatistics } from "./layers.ts";
import { modelOf, type Model, type ModelShape } from "./model.ts";
import { ringComponents } from "./ring-components.ts";
import {
  border,
  energyFloor,
  halve,
  kernelSize,
  logEnergySpread,
  morletBank,
  orientations,
  typicalLogEnergy,
} from "./texture.ts";

/** Outer radii of the rings, as fractions of half the side; the last one takes in the corners. */
const radii = [0.25, 0.5, 0.75, 1, 1.5];
/** Brightness, in deviations from the image's mean, above which the share of pixels is taken. */
const thresholds = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2];

/**
 * Averages over rings, [rings x weights, n x n]: of a map itself, or of its product with the cosine or sine of twice the
 * angle at which a pixel lies.
 */
function ringMatrix(n: number, weight: (angle: number) => number): Float32Array {
  const matrix = new Float32Array(radii.length * n * n);
  const counts = new Float64Array(radii.length);
  const ringOf = (i: number): { ring: number; angle: number } => {
    const y = (2 * Math.floor(i / n) + 1) / n - 1;
    const x = (2 * (i % n) + 1) / n - 1;
    const ring = radii.findIndex((r) => Math.hypot(x, y) <= r);
    return { ring: ring < 0 ? radii.length - 1 : ring, angle: Math.atan2(y, x) };
  };
  for (let i = 0; i < n * n; i++) counts[ringOf(i).ring]!++;
  for (let i = 0; i < n * n; i++) {
    const { ring, angle } = ringOf(i);
    matrix[ring * n * n + i] = weight(angle) / Math.max(1, counts[ring]!);
  }
  return matrix;
}

/** Averages of maps [rows, channels, n, n] over rings: [rows, channels, rings]. */
function overRings(x: Value, weight: (angle: number) => number): Value {
  const [rows, channels, n] = x.shape as [number, number, number, number];
  const matrix = ringMatrix(n, weight);
  const rings = radii.length;
  const transposed = new Float32Array(matrix.length);
  for (let r = 0; r < rings; r++) for (let i = 0; i < n * n; i++) transposed[i * rings + r] = matrix[r * n * n + i]!;
  return matMul(reshape(x, [rows, channels, n * n]), constant(transposed, [n * n, rings]));
}

const one = (): number => 1;
const cosine = (angle: number): number => Math.cos(2 * angle);
const sine = (angle: number): number => Math.sin(2 * angle);

/**
 * Fixed features of something round in the middle of an image, [rows, n]: for concentric rings and up to five octaves, how
 * much texture there is (log energy of oriented Morlet filters), how far waves run along the radius rather than around it
 * (an outline against spicules), and how far they agree in direction; with the brightness of each ring, and the shares of
 * pixels above nine levels. Every number is a constant or comes from the image alone, so the features cost no privacy.
 * Unlike a grid's, they do not change when the image is turned by right angles or mirrored.
 */
export function ringFeatures(image: Value): Value {
  const [rows, channels, size] = image.shape as [number, number, number, number];
  const grey = channels === 1 ? image : reduceMean(image, [1], true);
  const { mean, deviation, centred } = imageStatistics(mul(reshape(grey, [rows, size * size]), scalar(255)));
  const contrast = add(deviation, scalar(1));
  const normal = reshape(div(centred, contrast), [rows, 1, size, size]);
  const levels = Math.max(1, Math.min(typicalLogEnergy.length, Math.floor(Math.log2(size / 8)) + 1));
  const bank = constant(morletBank(), [2 * orientations, 1, kernelSize, kernelSize]);
  const angles = Array.from({ length: orientations }, (_, o) => (2 * Math.PI * o) / orientations);
  const mixing = (f: (a: number) => number): Value =>
    constant(
      Float32Array.from(angles, (a) => f(a) / orientations),
      [1, orientations, 1, 1],
    );
  const flat = (v: Value): Value => reshape(v, [rows, -1]);
  const features: Value[] = [mul(flat(overRings(normal, one)), scalar(1.5))];
  let level = normal;
  for (let j = 0; j < levels; j++) {
    const waves = conv(border(level, (kernelSize - 1) / 2), bank);
    const [re, im] = [0, 1].map((i) => slice(waves, [i * orientations], [(i + 1) * orientations], [1])) as [Value, Value]; // prettier-ignore
    const energy = sqrt(add(add(mul(re, re), mul(im, im)), scalar(1e-8)));
    const [amount, c, s] = [one, Math.cos, Math.sin].map((f) => conv(energy, mixing(f))) as [Value, Value, Value];
    const pooled = add(overRings(amount, one), scalar(energyFloor));
    features.push(flat(mul(sub(log(pooled), scalar(typicalLogEnergy[j]!)), scalar(1 / logEnergySpread))));
    // cos 2 (wave - place), energy by energy.
    const radial = add(overRings(c, cosine), overRings(s, sine));
    features.push(flat(mul(div(radial, pooled), scalar(10))));
    const agreement = sqrt(add(add(mul(c, c), mul(s, s)), scalar(1e-10)));
    features.push(flat(mul(sub(div(overRings(agreement, one), pooled), scalar(0.25)), scalar(8))));
    if (j + 1 < levels) level = halve(level);
  }
  for (const t of thresholds) {
    const above = reduceMean(sigmoid(mul(sub(flat(normal), scalar(t)), scalar(8))), [1], true);
    features.push(mul(sub(above, scalar(1 / (1 + Math.exp(1.7 * t)))), scalar(5)));
  }
  features.push(mul(sub(mean, scalar(128)), scalar(1 / 32)), mul(sub(log(contrast), scalar(3.5)), scalar(2)));
  return concat(features, 1);
}

/** Numbers that a text holds in base64, little-endian. */
function numbersOf(text: string, kind: "float32" | "int8"): Float32Array {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return kind === "int8"
    ? Float32Array.from(bytes, (_, i) => view.getInt8(i))
    : Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/**
 * Ring features standardised as those of drawn masses and brought to the principal components of those: few numbers, so
 * that little noise meets them, and none of them from a patient.
 */
function ringComponentsOf(image: Value): Value {
  const features = ringFeatures(image);
  const { features: n, components, mean, deviation, scale, matrix } = ringComponents;
  // An image too small for five octaves has fewer features, and they are used as they are.
  if (features.shape[1] !== n) return features;
  const standard = div(
    sub(features, constant(numbersOf(mean, "float32"), [1, n])),
    constant(numbersOf(deviation, "float32"), [1, n]),
  );
  const scales = numbersOf(scale, "float32");
  const columns = numbersOf(matrix, "int8").map((v, i) => v * scales[i % components]!);
  return matMul(clip(standard, scalar(-4), scalar(4)), constant(columns, [n, components]));
}

/** Linear model on features of concentric rings, for what is round and centred. */
export function ringsLinear(shape: ModelShape): Model {
  return modelOf("rings", shape, ringComponentsOf, (scope, x) =>
    dense(scope.at("head"), x, shape.outputs, { weight: zeros }),
  );
}
