/**
 * A generator that is strong on few patients: one noisy release of means and second moments of an image's spectrum in a
 * public basis of cosines, and images drawn from the normal distribution that has them. One step, every patient in it, one
 * vector of norm at most 1 from each: nothing else of the cohort is used, so drawing costs nothing more.
 */
import { LeadglassError } from "../errors.ts";
import { symmetricEigen } from "../math/symmetric-eigen.ts";
import type { RandomSource } from "../math/random.ts";
import { cosineTransform, inverseCosineTransform } from "./cosines.ts";

/** Coarse structure: frequencies up to this radius, counted in half waves, each with its own mean and covariances. */
const coarseRadius = 7;
/** Rings of finer frequencies, in each of two directions: whole-plane texture, by energy alone. */
const ringsPerOctave = 3;
const directions = 2;

/** Public ranges: the mean of 0-1 pixels, the log of their deviation, and log energies about a 1 / f^3 law. */
const brightness = { centre: 0.5, spread: 0.35 };
const contrast = { centre: -2.2, spread: 1.2 };
const energySpread = 3;
/** Energy of a coefficient at radius r, as a fraction of all, under the public law. */
const law = (r: number): number => r ** -3;

/** Shares of the squared norm that a patient may give to each part. */
const shares = { count: 0.1, style: 0.15, styleSquares: 0.25, coarse: 0.15, coarseSquares: 0.35 } as const;
type Part = keyof typeof shares;

export interface SpectralShape {
  readonly imageSize: number;
  readonly classes: number;
}

interface Layout {
  /** Flat places of the coarse coefficients. */
  readonly coarse: readonly number[];
  readonly coarseLaw: Float64Array;
  /** The ring of each coefficient, -1 for coarse ones and the mean. */
  readonly ringOf: Int16Array;
  readonly ringSizes: readonly number[];
  readonly ringLaw: Float64Array;
  readonly style: number;
  /** Where each part of the vector begins, and its length for one class (second moments of coarse ones are shared). */
  readonly parts: Readonly<Record<Part, { readonly at: number; readonly length: number; readonly perClass: boolean }>>;
  readonly length: number;
}

const triangle = (n: number): number => (n * (n + 1)) / 2;

const layouts = new Map<string, Layout>();

function layoutOf({ imageSize: n, classes }: SpectralShape): Layout {
  const key = `${n} ${classes}`;
  const known = layouts.get(key);
  if (known) return known;
  const coarse: number[] = [];
  const radii: number[] = [];
  const ringOf = new Int16Array(n * n).fill(-1);
  const ringNames = new Map<string, number>();
  const ringSizes: number[] = [];
  const ringRadii: number[] = [];
  for (let v = 0; v < n; v++)
    for (let u = 0; u < n; u++) {
      const r = Math.hypot(u, v);
      if (r === 0) continue;
      if (r <= coarseRadius) {
        coarse.push(v * n + u);
        radii.push(r);
        continue;
      }
      const octave = Math.floor(ringsPerOctave * Math.log2(r / coarseRadius));
      const name = `${octave} ${Math.min(directions - 1, Math.floor((directions * Math.atan2(v, u)) / (Math.PI / 2)))}`;
      if (!ringNames.has(name)) {
        ringNames.set(name, ringSizes.length);
        ringSizes.push(0);
        ringRadii.push(0);
      }
      const ring = ringNames.get(name)!;
      ringOf[v * n + u] = ring;
      ringSizes[ring]!++;
      ringRadii[ring]! += Math.log(r);
    }
  const scale = 1 / (2 * Math.PI * 0.25); // The integral of r^-3 over a quarter plane from radius 1, roughly.
  const lawOf = (r: number): number => scale * law(r);
  const style = 2 + ringSizes.length;
  const lengths: Record<Part, { length: number; perClass: boolean }> = {
    count: { length: 1, perClass: true },
    style: { length: style, perClass: true },
    styleSquares: { length: triangle(style), perClass: true },
    coarse: { length: coarse.length, perClass: true },
    coarseSquares: { length: triangle(coarse.length), perClass: false },
  };
  let at = 0;
  const parts = Object.fromEntries(
    Object.entries(lengths).map(([name, part]) => {
      const placed = { at, ...part };
      at += part.length * (part.perClass ? classes : 1);
      return [name, placed];
    }),
  ) as unknown as Layout["parts"];
  const made: Layout = {
    coarse,
    coarseLaw: Float64Array.from(radii, lawOf),
    ringOf,
    ringSizes,
    ringLaw: Float64Array.from(ringSizes, (size, i) => lawOf(Math.exp(ringRadii[i]! / size))),
    style,
    parts,
    length: at,
  };
  layouts.set(key, made);
  return made;
}

/** How many numbers are released. */
export const spectralLength = (shape: SpectralShape): number => layoutOf(shape).length;

const clampUnit = (x: number): number => Math.min(1, Math.max(-1, x));

/** Style (in [-1, 1] each) and coarse coefficients (over the root of the public law) of one image in [0, 1]. */
function describe(pixels: ArrayLike<number>, shape: SpectralShape): { style: Float64Array; coarse: Float64Array } {
  const { imageSize: n } = shape;
  const layout = layoutOf(shape);
  const count = n * n;
  let mean = 0;
  for (let i = 0; i < count; i++) mean += pixels[i]! / count;
  let square = 0;
  for (let i = 0; i < count; i++) square += (pixels[i]! - mean) ** 2 / count;
  const deviation = Math.sqrt(square) + 1e-3;
  const coefficients = cosineTransform(
    Float64Array.from(pixels, (v) => (v - mean) / deviation / n),
    n,
  );
  const energies = new Float64Array(layout.ringSizes.length);
  for (let i = 0; i < count; i++) {
    const ring = layout.ringOf[i]!;
    if (ring >= 0) energies[ring]! += coefficients[i]! ** 2 / layout.ringSizes[ring]!;
  }
  const style = Float64Array.of(
    clampUnit((mean - brightness.centre) / brightness.spread),
    clampUnit((Math.log(deviation) - contrast.centre) / contrast.spread),
    ...Array.from(energies, (e, i) => clampUnit(Math.log((e + 1e-12) / layout.ringLaw[i]!) / energySpread)),
  );
  const coarse = Float64Array.from(layout.coarse, (at, i) => coefficients[at]! / Math.sqrt(layout.coarseLaw[i]!));
  return { style, coarse };
}

/** Upper triangle of x x', off-diagonal entries times sqrt(2), so that its norm is |x|^2. */
function squares(x: Float64Array): Float64Array {
  const out = new Float64Array(triangle(x.length));
  let at = 0;
  for (let i = 0; i < x.length; i++) for (let j = i; j < x.length; j++) out[at++] = x[i]! * x[j]! * (i === j ? 1 : Math.SQRT2); // prettier-ignore
  return out;
}

const norm = (x: Float64Array): number => Math.sqrt(x.reduce((s, v) => s + v * v, 0));

/**
 * What one image gives: a vector of norm at most 1, whose sum over patients is released. Each part is within its share by
 * construction: style numbers are clamped, coarse coefficients scaled down where they are too many.
 */
export function spectralVector(pixels: ArrayLike<number>, label: number, shape: SpectralShape): Float64Array {
  const layout = layoutOf(shape);
  const { style, coarse } = describe(pixels, shape);
  const out = new Float64Array(layout.length);
  const put = (part: Part, values: Float64Array, factor: number): void => {
    const { at, length, perClass } = layout.parts[part];
    const from = at + (perClass ? label * length : 0);
    const f = Math.sqrt(shares[part]) * factor;
    values.forEach((v, i) => (out[from + i] = v * f));
  };
  const styleNorm = Math.sqrt(layout.style);
  const limit = coarseLimit(layout);
  const shrink = Math.min(1, limit / Math.max(norm(coarse), 1e-12));
  const held = coarse.map((v) => v * shrink);
  put("count", Float64Array.of(1), 1);
  put("style", style, 1 / styleNorm);
  put("styleSquares", squares(style), 1 / layout.style);
  put("coarse", held, 1 / limit);
  put("coarseSquares", squares(held), 1 / limit ** 2);
  return out;
}

/** The largest norm of coarse coefficients that is let through: 1.5 times that of an image that follows the public law. */
const coarseLimit = (layout: Layout): number => 1.5 * Math.sqrt(layout.coarse.length);

/** What is drawn from: for each class a distribution of styles and of coarse coefficients. */
export interface SpectralModel {
  readonly shape: SpectralShape;
  readonly classes: readonly {
    readonly share: number;
    readonly style: Normal;
    readonly coarse: Normal;
  }[];
}

interface Normal {
  readonly mean: Float64Array;
  /** Columns [n, n] (row-major) that map independent standard normals to deviations from the mean. */
  readonly root: Float64Array;
}

/**
 * The model of a released sum; noise is met by what is public: counts are at least 1, covariances lose what is within the
 * noise's reach of 0.
 * @param deviation of the noise in every number of the sum; 0 where there is none.
 * Throws LG-TRAIN-001 where a class is lost in the noise.
 */
export function spectralModel(sum: ArrayLike<number>, deviation: number, shape: SpectralShape): SpectralModel {
  const layout = layoutOf(shape);
  const slice = (part: Part, label: number): Float64Array => {
    const { at, length, perClass } = layout.parts[part];
    const from = at + (perClass ? label * length : 0);
    return Float64Array.from({ length }, (_, i) => sum[from + i]! / Math.sqrt(shares[part]));
  };
  const labels = Array.from({ length: shape.classes }, (_, label) => label);
  const counts = labels.map((label) => slice("count", label)[0]!);
  const noiseOfCount = deviation / Math.sqrt(shares.count);
  labels.forEach((label) => {
    if (counts[label]! > Math.max(3 * noiseOfCount, 0.5)) return;
    throw new LeadglassError("LG-TRAIN-001", `class ${label} is lost in the noise: too few patients have it`, {
      hint: "Raise --epsilon, or gather more patients of this class.",
    });
  });
  const total = counts.reduce((a, b) => a + b, 0);
  const limit = coarseLimit(layout);
  const coarseMeans = labels.map((label) => slice("coarse", label).map((v) => (v * limit) / counts[label]!));
  const noiseOf = (part: Part, factor: number, count: number): number =>
    (deviation / Math.sqrt(shares[part]) / count) * factor;
  // Within classes: the second moment of all less what the classes' means explain.
  const pooled = symmetric(slice("coarseSquares", 0), layout.coarse.length).map((v) => (v * limit ** 2) / total);
  const n = layout.coarse.length;
  labels.forEach((label) => {
    const m = coarseMeans[label]!;
    const weight = counts[label]! / total;
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) pooled[i * n + j]! -= weight * m[i]! * m[j]!;
  });
  const coarseRoot = rootOf(pooled, n, noiseOf("coarseSquares", limit ** 2, total));
  return {
    shape,
    classes: labels.map((label) => {
      const count = counts[label]!;
      const mean = slice("style", label).map((v) => clampUnit((v * Math.sqrt(layout.style)) / count));
      const second = symmetric(slice("styleSquares", label), layout.style).map((v) => (v * layout.style) / count);
      for (let i = 0; i < layout.style; i++)
        for (let j = 0; j < layout.style; j++) second[i * layout.style + j]! -= mean[i]! * mean[j]!;
      const root = rootOf(second, layout.style, noiseOf("styleSquares", layout.style, count));
      // A mean within the noise's reach of 0 is more likely 0: shrunk as James and Stein do, number by number.
      const reach = noiseOf("coarse", limit, count);
      const coarse = coarseMeans[label]!.map((m) => m * Math.max(0, 1 - (reach * reach) / (m * m + 1e-12)));
      return { share: count / total, style: { mean, root }, coarse: { mean: coarse, root: coarseRoot } };
    }),
  };
}

/** A symmetric matrix of its upper triangle as {@link squares} writes it. */
function symmetric(upper: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  let at = 0;
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      const v = upper[at++]! / (i === j ? 1 : Math.SQRT2);
      out[i * n + j] = v;
      out[j * n + i] = v;
    }
  return out;
}

/**
 * A root of a covariance that was seen through noise of deviation `noise` in its entries: the spectrum of such noise
 * reaches to sqrt(2 n) times that (Wigner's semicircle, with our scaling of off-diagonal entries), and what is below is
 * taken for noise. Its trace, which noise moves little, is kept by spreading what is missing over all directions.
 */
function rootOf(covariance: Float64Array, n: number, noise: number): Float64Array {
  const { values, vectors } = symmetricEigen(covariance, n) as { values: Float64Array; vectors: Float64Array };
  const edge = noise * Math.sqrt(2 * n);
  const trace = values.reduce((a, b) => a + b, 0);
  const kept = Float64Array.from(values, (v) => Math.max(0, v > edge ? v - (edge * edge) / (4 * v) : 0));
  const missing = Math.max(0, trace - kept.reduce((a, b) => a + b, 0)) / n;
  const root = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    const s = Math.sqrt(kept[k]! + missing);
    for (let i = 0; i < n; i++) root[i * n + k] = s * vectors[k * n + i]!;
  }
  return root;
}

function draw({ mean, root }: Normal, random: RandomSource): Float64Array {
  const n = mean.length;
  const z = Float64Array.from({ length: n }, () => random.gaussian());
  return Float64Array.from(mean, (m, i) => {
    let v = m;
    for (let k = 0; k < n; k++) v += root[i * n + k]! * z[k]!;
    return v;
  });
}

/** Draws one image [size, size] of a class, in [0, 1]. */
export function drawSpectral({ shape, classes }: SpectralModel, label: number, random: RandomSource): Float32Array {
  const layout = layoutOf(shape);
  const { imageSize: n } = shape;
  const { style, coarse } = classes[label]!;
  const s = draw(style, random).map(clampUnit);
  const c = draw(coarse, random);
  const coefficients = new Float64Array(n * n);
  // Squares of all coefficients add up to 1: what the rings leave is the coarse part's, which is drawn for its shape.
  const energies = Array.from(layout.ringLaw, (l, i) => l * Math.exp(s[2 + i]! * energySpread));
  const fine = energies.reduce((sum, e, i) => sum + e * layout.ringSizes[i]!, 0);
  let drawn = 0;
  layout.coarse.forEach((at, i) => {
    coefficients[at] = c[i]! * Math.sqrt(layout.coarseLaw[i]!);
    drawn += coefficients[at] ** 2;
  });
  const scale = Math.sqrt(Math.max(1 - fine, 0.02) / Math.max(drawn, 1e-12));
  for (const at of layout.coarse) coefficients[at]! *= scale;
  for (let i = 0; i < n * n; i++) {
    const ring = layout.ringOf[i]!;
    if (ring >= 0) coefficients[i] = Math.sqrt(energies[ring]!) * random.gaussian();
  }
  const image = inverseCosineTransform(coefficients, n);
  const deviation = Math.sqrt(image.reduce((sum, v) => sum + v * v, 0) / (n * n)) + 1e-12;
  const mean = brightness.centre + brightness.spread * s[0]!;
  const spread = Math.exp(contrast.centre + contrast.spread * s[1]!);
  return Float32Array.from(image, (v) => Math.min(1, Math.max(0, mean + (spread * v) / deviation)));
}
