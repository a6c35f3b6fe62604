import { forwardFft, inverseFft, mirroredPosition } from "../../math/fft.ts";
import type { Bounds, LossGrid, LossSample } from "./grid.ts";
import { type Direction, gridCumulant, leastAt, sampleCumulant, type Steps, totalCumulant } from "./moments.ts";

/** The rounding unit of float64. */
const ROUNDING = 2 ** -53;

/** Mass of the tilted total that may lie outside the window. */
const OUTSIDE = 1e-9;

/** The range of the total loss that is computed, and the exponents with which what lies outside is bounded. */
export interface Window {
  readonly low: number;
  readonly high: number;
  readonly lowExponent: number;
  readonly highExponent: number;
}

/** The mean and deviation of the total loss under the exponential tilt by `tilt`. */
export function tiltedTotal(samples: readonly Steps<LossSample>[], direction: Direction, tilt: number) {
  let [mean, variance] = [0, 0];
  for (const { of, steps } of samples) {
    const sign = direction === "forward" ? 1 : -1;
    const logMass = direction === "forward" ? of.logP : of.logQ;
    const cumulant = sampleCumulant(of, direction, tilt);
    let [first, second] = [0, 0];
    for (let i = 0; i < logMass.length; i++) {
      const loss = sign * of.loss[i]!;
      const weight = Math.exp(logMass[i]! + tilt * loss - cumulant);
      first += weight * loss;
      second += weight * loss * loss;
    }
    mean += steps * first;
    variance += steps * Math.max(0, second - first * first);
  }
  return { mean, deviation: Math.sqrt(variance) };
}

/** A window that holds all of the tilted total but about 1e-9, by Chernoff's bound. */
export function windowFor(samples: readonly Steps<LossSample>[], direction: Direction, tilt: number): Window {
  const { mean, deviation } = tiltedTotal(samples, direction, tilt);
  const middle = totalCumulant(samples, direction, tilt);
  const reach = Math.max(deviation, 1e-12 * Math.abs(mean), 1e-300);
  const beyond = (exponent: number): number =>
    (totalCumulant(samples, direction, tilt + exponent) - middle - Math.log(OUTSIDE)) / Math.abs(exponent);
  const highExponent = leastAt(0.01 / reach, 1e3 / reach, beyond);
  const lowExponent = leastAt(0.01 / reach, 1e3 / reach, (exponent) => beyond(-exponent));
  return { low: -beyond(-lowExponent), high: beyond(highExponent), lowExponent, highExponent };
}

/** A bound of the distribution of the total loss, multiplied by exp(tilt loss - logScale). */
interface TiltedLosses {
  /** The loss of density[0]. */
  readonly start: number;
  readonly density: Float64Array;
  readonly logScale: number;
  /** How far each entry may be off by rounding. */
  readonly rounding: number;
  /** At most this much lies above the window, and below it; it may have been wrapped to anywhere within. */
  readonly above: number;
  readonly below: number;
  /** The probability of an infinite loss. */
  readonly infinite: number;
  /** Losses are overstated by at most this much. */
  readonly slack: number;
}

/** Both bounds of the total loss of all steps in one direction, good near the losses that the tilt brings forward. */
export interface Composition {
  readonly spacing: number;
  readonly tilt: number;
  readonly upper: TiltedLosses;
  readonly lower: TiltedLosses;
}

/**
 * Composes steps: the distribution of a sum of independent losses, as the inverse transform of a product of powers of
 * transforms. The exponential tilt moves to the middle what would otherwise be a far tail, so that even a delta of 1e-12
 * keeps its digits; the window is cyclic, and what lies outside of it is bounded, not ignored.
 * Both bounds go through one complex transform, one as the real, one as the imaginary part.
 */
export function compose(
  items: readonly Steps<Bounds>[],
  { spacing, tilt, window, guesses }: { spacing: number; tilt: number; window: Window; guesses: readonly number[] },
): Composition {
  const points = 2 ** Math.max(4, Math.ceil(Math.log2((window.high - window.low) / spacing + 4)));
  const upper = { ...newTotals(), logModulus: new Float64Array(points), phase: new Float64Array(points) };
  const lower = { ...newTotals(), logModulus: new Float64Array(points), phase: new Float64Array(points) };
  let [re, im] = [new Float64Array(points), new Float64Array(points)];
  let middle = 0;
  items.forEach(({ of, steps }, i) => {
    upper.cumulant = gridCumulant(of.upper, spacing, tilt, guesses[i]!);
    lower.cumulant = gridCumulant(of.lower, spacing, tilt, guesses[i]!);
    const centre = centreOf(of.upper, spacing, tilt, upper.cumulant);
    middle += steps * centre;
    re = wrapTilted(of.upper, spacing, tilt, upper.cumulant, centre, re.fill(0));
    im = wrapTilted(of.lower, spacing, tilt, lower.cumulant, centre, im.fill(0));
    forwardFft(re, im);
    forEachPair(points, (j, mirror) => {
      // The transforms of two real sequences, told apart by their symmetry.
      addPower(upper, j, 0.5 * (re[j]! + re[mirror]!), 0.5 * (im[j]! - im[mirror]!), steps);
      addPower(lower, j, 0.5 * (im[j]! + im[mirror]!), 0.5 * (re[mirror]! - re[j]!), steps);
    });
    for (const [total, grid] of [
      [upper, of.upper],
      [lower, of.lower],
    ] as const) {
      total.logScale += steps * total.cumulant;
      total.offset += steps * grid.offset;
      total.slack += steps * grid.slack;
      total.logFinite += steps * Math.log1p(-grid.infinite);
      total.least += steps * grid.base;
      total.most += steps * (grid.base + grid.mass.length - 1);
      total.highCumulant += steps * gridCumulant(grid, spacing, tilt + window.highExponent, guesses[i]!);
      total.lowCumulant += steps * gridCumulant(grid, spacing, tilt - window.lowExponent, guesses[i]!);
    }
  });

  const counts = items.map(({ steps }) => steps);
  forEachPair(points, (j, mirror) => {
    const twice = mirror === j ? 1 : 2;
    const [a, b] = valueOf(upper, j, twice, counts);
    const [c, d] = valueOf(lower, j, twice, counts);
    re[j] = a - d;
    im[j] = b + c;
    re[mirror] = a + d;
    im[mirror] = c - b;
  });
  inverseFft(re, im);
  return {
    spacing,
    tilt,
    upper: unwrapped(upper, re, middle, spacing, window),
    lower: unwrapped(lower, im, middle, spacing, window),
  };
}

/** Positions of frequencies that are not conjugates of earlier ones, each with that of its conjugate. */
function forEachPair(points: number, visit: (position: number, mirror: number) => void): void {
  visit(0, 0);
  if (points > 1) visit(1, 1);
  for (let block = 2; block < points; block *= 2)
    for (let j = block; j < 1.5 * block; j++) visit(j, mirroredPosition(j));
}

/** A product with a smaller logarithm than this is below anything that rounding leaves. */
const NOTHING = -100;

function addPower(total: Totals, j: number, real: number, imaginary: number, steps: number): void {
  // No transform of a distribution is above 1, so what is nothing stays nothing.
  if (total.logModulus[j]! < NOTHING) return;
  total.logModulus[j]! += 0.5 * steps * Math.log(real * real + imaginary * imaginary);
  if (total.logModulus[j]! > NOTHING) total.phase[j]! += steps * Math.atan2(imaginary, real);
}

/** The product of powers at a position, and what errors in its factors do to it, added to the totals. */
function valueOf(total: Totals, j: number, twice: number, counts: readonly number[]): [number, number] {
  const log = total.logModulus[j]!;
  const size = log > NOTHING ? Math.exp(log) : 0;
  total.size += twice * size;
  // A factor of modulus m in the power n adds n m^(n - 1) times the others, none of which is above 1.
  for (const steps of counts) total.error += twice * (steps === 1 ? 1 : size === 0 ? 0 : steps * Math.exp(log * (1 - 1 / steps))); // prettier-ignore
  return [size * Math.cos(total.phase[j]!), size * Math.sin(total.phase[j]!)];
}

/** The window out of the cyclic sequence, with what is spare on both of its sides alike. */
function unwrapped(total: Totals, cyclic: Float64Array, middle: number, spacing: number, window: Window): TiltedLosses {
  const points = cyclic.length;
  const first = Math.round((0.5 * (window.low + window.high) - total.offset) / spacing) - points / 2;
  const density = new Float64Array(points);
  const cut = (((first - middle) % points) + points) % points;
  density.set(cyclic.subarray(cut));
  density.set(cyclic.subarray(0, cut), points - cut);
  const start = total.offset + first * spacing;
  const end = start + (points - 1) * spacing;
  const allBelowEnd = total.most <= first + points - 1;
  const allAboveStart = total.least >= first;
  const transformError = 8 * ROUNDING * (Math.log2(points) + 2);
  return {
    start,
    density,
    logScale: total.logScale,
    rounding: (transformError * (total.error + 2 * total.size)) / points,
    above: allBelowEnd ? 0 : Math.exp(total.highCumulant - total.logScale - window.highExponent * end),
    below: allAboveStart ? 0 : Math.exp(total.lowCumulant - total.logScale + window.lowExponent * start),
    infinite: 0 - Math.expm1(total.logFinite),
    slack: total.slack,
  };
}

type Totals = ReturnType<typeof newTotals> & { readonly logModulus: Float64Array; readonly phase: Float64Array };

const newTotals = () => ({
  /** Of the item at hand. */
  cumulant: 0,
  /** Sizes of all products, and what errors in their factors do to them, added up. */
  size: 0,
  error: 0,
  logScale: 0,
  offset: 0,
  slack: 0,
  logFinite: 0,
  least: 0,
  most: 0,
  highCumulant: 0,
  lowCumulant: 0,
});

/** The grid point nearest to the tilted mean. */
function centreOf(grid: LossGrid, spacing: number, tilt: number, cumulant: number): number {
  let mean = 0;
  for (let i = 0; i < grid.mass.length; i++)
    if (grid.mass[i]! > 0) mean += tilted(grid.mass[i]!, tilt * lossOf(grid, spacing, i) - cumulant) * (grid.base + i);
  return Math.round(mean);
}

const lossOf = (grid: LossGrid, spacing: number, i: number): number => grid.offset + (grid.base + i) * spacing;

/** mass exp(exponent), also where the one underflows and the other overflows. */
function tilted(mass: number, exponent: number): number {
  if (mass === 0) return 0;
  return exponent > 600 ? Math.exp(exponent + Math.log(mass)) : mass * Math.exp(exponent);
}

function wrapTilted(
  grid: LossGrid,
  spacing: number,
  tilt: number,
  cumulant: number,
  centre: number,
  wrapped: Float64Array<ArrayBuffer>,
): Float64Array<ArrayBuffer> {
  const points = wrapped.length;
  for (let i = 0; i < grid.mass.length; i++) {
    if (grid.mass[i] === 0) continue;
    const place = (((grid.base + i - centre) % points) + points) % points;
    wrapped[place]! += tilted(grid.mass[i]!, tilt * lossOf(grid, spacing, i) - cumulant);
  }
  return wrapped;
}

/**
 * Walks down from the window's top. At each point the sums over all losses at or above it, of the density times
 * exp(-tilt d) and times exp(-(tilt + 1) d) with d the distance, give the hockey-stick divergence anywhere between this
 * point and the one below: exp(logScale - tilt loss) (sum - exp(epsilon - loss) steeper). `visit` returns true to stop.
 */
function descend(
  { spacing, tilt }: Composition,
  losses: TiltedLosses,
  side: "upper" | "lower",
  visit: (loss: number, sum: number, steeper: number) => boolean,
): void {
  const { density, start } = losses;
  const [near, far] = [Math.exp(-tilt * spacing), Math.exp(-(tilt + 1) * spacing)];
  // The same sums over ones bound what rounding can do; both are taken where they are largest.
  const weight = Math.min(density.length, 1 / -Math.expm1(-tilt * spacing)) - 1 / -Math.expm1(-(tilt + 1) * spacing);
  const shape = 1 / (tilt + 1);
  const doubt =
    side === "upper"
      ? losses.rounding * (weight + 1) + losses.above
      : -losses.rounding * (weight + 1) - shape * (losses.above + losses.below);
  // Each sum takes in as many terms as weigh anything, and is rounded at each.
  const rounded = (side === "upper" ? 4 : -4) * ROUNDING * Math.min(density.length, 1 / -Math.expm1(-tilt * spacing));
  let [sum, steeper] = [0, 0];
  for (let j = density.length - 1; j >= 0; j--) {
    sum = density[j]! + near * sum;
    steeper = density[j]! + far * steeper;
    if (visit(start + j * spacing, sum * (1 + rounded) + doubt / near, steeper)) return;
  }
}

/** The largest epsilon at which the bound of delta is still above `delta`; null below the window, Infinity above any. */
export function epsilonOf(composition: Composition, side: "upper" | "lower", delta: number): number | null {
  const losses = composition[side];
  const { spacing, tilt } = composition;
  const rest = delta - losses.infinite;
  if (rest <= 0) return Infinity;
  let found: number | null = null;
  descend(composition, losses, side, (loss, sum, steeper) => {
    const wanted = Math.exp(Math.log(rest) + tilt * loss - losses.logScale);
    if (sum - Math.exp(-spacing) * steeper <= wanted) return false;
    const ratio = (sum - wanted) / steeper;
    // Above the window nothing is known but its total.
    if (side === "upper" && ratio > 1 && loss > losses.start + (losses.density.length - 1.5) * spacing) {
      found = Infinity;
      return true;
    }
    found = loss + Math.max(-spacing, Math.min(0, Math.log(Math.max(ratio, 1e-300))));
    return true;
  });
  return found === null ? null : side === "upper" ? found : found - losses.slack;
}

/** A bound of delta at epsilon; outside the window the trivial one. */
export function deltaOf(composition: Composition, side: "upper" | "lower", epsilon: number): number {
  const losses = composition[side];
  const { spacing, tilt } = composition;
  // A lower bound is read off further up, by as much as its losses are overstated.
  const at = side === "upper" ? epsilon : epsilon + losses.slack;
  let finite = side === "upper" ? 1 : 0;
  if (at > losses.start - spacing && at <= losses.start + (losses.density.length - 1) * spacing)
    descend(composition, losses, side, (loss, sum, steeper) => {
      if (loss - spacing >= at) return false;
      finite = Math.exp(losses.logScale - tilt * loss) * (sum - Math.exp(at - loss) * steeper);
      return true;
    });
  return Math.min(1, Math.max(0, finite) + losses.infinite);
}

/** The epsilon that Chernoff's bound proves from the upper grids alone. */
export function chernoffEpsilon({ tilt, upper }: Composition, delta: number): number {
  const rest = delta - upper.infinite;
  return rest <= 0 ? Infinity : Math.max(0, (upper.logScale - Math.log(rest)) / tilt);
}
