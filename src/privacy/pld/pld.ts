import type { Event, Relation } from "../events.ts";
import { chernoffEpsilon, compose, type Composition, deltaOf, epsilonOf, tiltedTotal, windowFor } from "./compose.ts";
import { type Bounds, lossRange, type LossSample, sampleLosses, type StepGrids, stepGrids } from "./grid.ts";
import { mechanismsOf, type Mechanism } from "./mechanism.ts";
import { type Direction, gridCumulant, leastAt, sampleCumulant, type Steps, totalCumulant } from "./moments.ts";

/** How narrow an interval is asked for, relative to epsilon, and how many grid points may be spent on it. */
export interface Effort {
  readonly width: number;
  readonly mostPoints: number;
}

export const defaultEffort: Effort = { width: 2e-4, mostPoints: 2 ** 20 };

/** Below this an epsilon is known to an absolute width, not a relative one. */
const SMALL_EPSILON = 1e-3;

/** Losses of one step further apart than this protect nobody; finding each of a million points there takes half a minute. */
const SENSELESS_RANGE = 1000;
const POINTS_BEYOND = 2 ** 15;

/** Mass of a single step that may be given away, in units of delta per step: far below what any grid can resolve. */
const GIVEN_AWAY = 1e-12;

/** A direction with the tilt that brings forward the losses which decide epsilon. */
interface Aim {
  readonly direction: Direction;
  readonly tilt: number;
  /** About the epsilon. */
  readonly epsilon: number;
}

/**
 * The tilt, and about the epsilon, at which the total loss exceeds epsilon with about delta. The bound that is minimised
 * is Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), proposition 12, with the loss's cumulants.
 */
function aimAt(samples: readonly Steps<LossSample>[], direction: Direction, delta: number): Aim {
  const epsilonAt = (tilt: number): number =>
    (totalCumulant(samples, direction, tilt) - Math.log(delta) - Math.log1p(tilt)) / tilt - Math.log1p(1 / tilt);
  const tilt = leastAt(1e-4, 1e9, epsilonAt);
  return { direction, tilt, epsilon: Math.max(0, epsilonAt(tilt)) };
}

/** How many deviations from the means hold all but a negligible part of delta. */
const reachFor = (delta: number, steps: number): number =>
  Math.sqrt(2 * (Math.log(Math.max(1, steps)) - Math.log(delta) - Math.log(GIVEN_AWAY)));

const boundsIn = (grids: readonly Steps<StepGrids>[], direction: Direction): Steps<Bounds>[] =>
  grids.map(({ of, steps }) => ({ of: of[direction], steps }));

/** About how far apart the epsilons of the two bounds will be: how far apart their cumulants are, per tilt. */
function gapOf(bounds: readonly Steps<Bounds>[], spacing: number, tilt: number, guesses: readonly number[]): number {
  return bounds.reduce((sum, { of, steps }, i) => {
    const upper = gridCumulant(of.upper, spacing, tilt, guesses[i]!);
    const lower = gridCumulant(of.lower, spacing, tilt, guesses[i]!);
    return sum + steps * ((upper - lower) / tilt + of.lower.slack);
  }, 0);
}

/** Everything about some mechanisms that does not depend on a grid. */
interface Sampled {
  readonly mechanisms: readonly Mechanism[];
  readonly samples: readonly Steps<LossSample>[];
  readonly reach: number;
  readonly directions: readonly Direction[];
  readonly steps: number;
}

function sampled(mechanisms: readonly Mechanism[], delta: number): Sampled {
  const steps = mechanisms.reduce((sum, mechanism) => sum + mechanism.steps, 0);
  const reach = reachFor(delta, steps);
  const symmetric = mechanisms.every((mechanism) => mechanism.kind === "response" || mechanism.symmetric);
  return {
    mechanisms,
    samples: mechanisms.map((mechanism) => ({ of: sampleLosses(mechanism, reach), steps: mechanism.steps })),
    reach,
    directions: symmetric ? ["forward"] : ["forward", "backward"],
    steps,
  };
}

/** Composes in one direction at one tilt. */
function composeAt(
  { samples }: Sampled,
  grids: readonly Steps<StepGrids>[],
  spacing: number,
  direction: Direction,
  tilt: number,
): Composition {
  const guesses = samples.map(({ of }) => sampleCumulant(of, direction, tilt));
  const window = windowFor(samples, direction, tilt);
  return compose(boundsIn(grids, direction), { spacing, tilt, window, guesses });
}

/** The spacing on which randomised response, if it is most of the steps, has its losses; otherwise as it is. */
function fitted(mechanisms: readonly Mechanism[], spacing: number): number {
  const responses = mechanisms.flatMap((mechanism) => (mechanism.kind === "response" ? [mechanism] : []));
  const first = responses.sort((a, b) => b.steps * b.epsilon - a.steps * a.epsilon)[0];
  return first && first.epsilon > spacing ? first.epsilon / Math.ceil(first.epsilon / spacing) : spacing;
}

/** The grids of all mechanisms. */
const gridsAt = ({ mechanisms, reach }: Sampled, spacing: number): Steps<StepGrids>[] =>
  mechanisms.map((mechanism) => ({ of: stepGrids(mechanism, spacing, reach), steps: mechanism.steps }));

/**
 * A certified interval that holds the epsilon of all events together at delta: the upper end from pessimistic grids, the
 * lower from optimistic ones (see {@link stepGrids}), composed exactly (see {@link compose}). The spacing is chosen from
 * the target and the steps, and halved until the interval is as narrow as asked for or the points are spent; the interval
 * is then wider, and still holds. Upper is Infinity where the events' own deltas already use up delta.
 */
export function pldEpsilon(
  events: readonly Event[],
  delta: number,
  relation: Relation,
  { width, mostPoints }: Effort = defaultEffort,
): { readonly lower: number; readonly upper: number } {
  const mechanisms = mechanismsOf(events, relation);
  const revealed = mechanisms.reduce(
    (sum, mechanism) => sum + (mechanism.kind === "response" ? mechanism.steps * Math.log1p(-mechanism.revealed) : 0),
    0,
  );
  const rest = delta + Math.expm1(revealed);
  if (mechanisms.length === 0) return { lower: 0, upper: 0 };
  if (rest <= 0) return { lower: Infinity, upper: Infinity };
  const source = sampled(mechanisms, rest);
  const aims = source.directions.map((direction) => aimAt(source.samples, direction, rest));
  const range = Math.max(...mechanisms.map((mechanism) => lossRange(mechanism, source.reach)));
  const affordable = range > SENSELESS_RANGE ? Math.min(mostPoints, POINTS_BEYOND) : mostPoints;
  const wanted = width * Math.max(SMALL_EPSILON, ...aims.map(({ epsilon }) => epsilon));

  // The two bounds' cumulants differ by about steps tilt (tilt + 1) spacing^2 / 8.
  let spacing = Math.min(...aims.map(({ tilt }) => Math.sqrt((8 * wanted) / (source.steps * (tilt + 1)))));
  const least = leastSpacing(source, aims, affordable);
  // Losses so large that floating point does not tell them apart: nothing is known here, and other accountants may know.
  if (!(least > 0 && least < Infinity && spacing > 0)) return { lower: 0, upper: Infinity };
  let [lower, upper] = [0, Infinity];
  for (let round = 0; round < 4; round++) {
    spacing = fitted(mechanisms, Math.max(spacing, least));
    const grids = gridsAt(source, spacing);
    const gap = Math.max(
      ...aims.map(({ direction, tilt }) => {
        const guesses = source.samples.map(({ of }) => sampleCumulant(of, direction, tilt));
        return gapOf(boundsIn(grids, direction), spacing, tilt, guesses);
      }),
    );
    const finest = spacing <= least * 1.01;
    if (round < 3 && gap > 1.3 * wanted && !finest) {
      spacing *= Math.max(0.2, 0.9 * Math.sqrt(wanted / gap));
      continue;
    }
    const ends = aims.map(({ direction, tilt }) => {
      const composition = composeAt(source, grids, spacing, direction, tilt);
      const above = epsilonOf(composition, "upper", delta) ?? composition.upper.start - spacing;
      return {
        lower: epsilonOf(composition, "lower", delta) ?? 0,
        upper: Math.min(above, chernoffEpsilon(composition, delta)),
      };
    });
    const [below, above] = [Math.max(...ends.map((end) => end.lower)), Math.max(0, ...ends.map((end) => end.upper))];
    // What could not be computed proves nothing.
    if (Number.isNaN(below) || Number.isNaN(above)) break;
    lower = Math.max(lower, below);
    upper = Math.min(upper, above);
    if (finest || upper - lower <= 2 * wanted) break;
    spacing *= Math.max(0.2, 0.9 * Math.sqrt(wanted / (upper - lower)));
  }
  return { lower: Math.min(lower, upper), upper };
}

/** The spacing at which neither the losses of a step nor those that count in the total are more than `mostPoints`. */
function leastSpacing(source: Sampled, aims: readonly Aim[], mostPoints: number): number {
  const widths = aims.map(({ direction, tilt }) => {
    const { low, high } = windowFor(source.samples, direction, tilt);
    return high - low;
  });
  const ranges = source.mechanisms.map((mechanism) => lossRange(mechanism, source.reach));
  return Math.max(...widths, ...ranges) / (mostPoints - 8);
}

/** Profiles are computed with grids made for this delta, to about this relative width of delta. */
const PROFILE_DELTA = 1e-9;
const PROFILE_WIDTH = 2e-3;
const PROFILE_POINTS = 2 ** 17;
/** A delta below exp(this) is given as a bound only. */
const LEAST_LOG_DELTA = -70;

/**
 * The privacy profile of all events together: for any epsilon from 0 a certified interval that holds the smallest delta
 * with which they are (epsilon, delta)-differentially private. Grids are made once; every part of the curve is composed
 * at a tilt of its own when it is first asked for.
 */
export function pldProfile(
  events: readonly Event[],
  relation: Relation,
): (epsilon: number) => { readonly lower: number; readonly upper: number } {
  const mechanisms = mechanismsOf(events, relation);
  if (mechanisms.length === 0) return () => ({ lower: 0, upper: 0 });
  const source = sampled(mechanisms, Math.exp(LEAST_LOG_DELTA));
  const aims = source.directions.map((direction) => aimAt(source.samples, direction, PROFILE_DELTA));
  const wanted = Math.min(
    ...aims.map(({ tilt }) => Math.sqrt((8 * PROFILE_WIDTH) / (source.steps * tilt * (tilt + 1)))),
  );
  const spacing = fitted(mechanisms, Math.max(wanted, leastSpacing(source, aims, PROFILE_POINTS)));
  const grids = gridsAt(source, spacing);
  const known = aims.map(() => [] as { mean: number; deviation: number; composition: Composition }[]);

  const boundIn = (direction: Direction, cache: (typeof known)[number], epsilon: number) => {
    const exponent = (tilt: number): number => totalCumulant(source.samples, direction, tilt) - tilt * epsilon;
    const untilted = tiltedTotal(source.samples, direction, 0);
    const tilt = epsilon <= untilted.mean ? 0 : leastAt(1e-4 / (untilted.deviation + epsilon), 1e9, exponent);
    if (exponent(tilt) < LEAST_LOG_DELTA) {
      const bounds = boundsIn(grids, direction);
      const cumulant = bounds.reduce((sum, { of, steps }, i) => {
        const guess = sampleCumulant(source.samples[i]!.of, direction, tilt);
        return sum + steps * gridCumulant(of.upper, spacing, tilt, guess);
      }, 0);
      const infinite = (side: "upper" | "lower"): number =>
        0 - Math.expm1(bounds.reduce((sum, { of, steps }) => sum + steps * Math.log1p(-of[side].infinite), 0));
      return { lower: infinite("lower"), upper: Math.min(1, Math.exp(cumulant - tilt * epsilon) + infinite("upper")) };
    }
    let near = cache.find(({ mean, deviation }) => Math.abs(epsilon - mean) <= 1.5 * deviation);
    if (near === undefined) {
      near = {
        ...tiltedTotal(source.samples, direction, tilt),
        composition: composeAt(source, grids, spacing, direction, tilt),
      };
      cache.push(near);
    }
    return {
      lower: deltaOf(near.composition, "lower", epsilon),
      upper: deltaOf(near.composition, "upper", epsilon),
    };
  };
  return (epsilon) => {
    const bounds = source.directions.map((direction, i) => boundIn(direction, known[i]!, epsilon));
    const upper = Math.max(...bounds.map((bound) => bound.upper));
    return { lower: Math.min(upper, Math.max(...bounds.map((bound) => bound.lower))), upper };
  };
}
