import { logNormalCdf } from "../../math/special.ts";
import type { Mechanism } from "./mechanism.ts";
import { type GaussianMixturePair, type IntervalMasses, lossAt, mixtureMasses, outcomeOf } from "./mixture.ts";

/**
 * A distribution of the privacy loss of one step: mass[i] at loss offset + (base + i) spacing, `infinite` at infinity.
 * In an optimistic grid every loss is overstated by at most `slack`, and some mass may be missing.
 */
export interface LossGrid {
  readonly base: number;
  readonly mass: Float64Array;
  offset: number;
  infinite: number;
  slack: number;
}

/** Bounds of one truth: `upper` is easier to tell apart than it, `lower` harder. */
export interface Bounds {
  readonly upper: LossGrid;
  readonly lower: LossGrid;
}

/** One step of a mechanism: what an observer learns where P is true, and where Q is (with the loss log(dQ/dP)). */
export interface StepGrids {
  readonly forward: Bounds;
  readonly backward: Bounds;
}

const emptyGrid = (from: number, to: number): LossGrid => ({
  base: from,
  mass: new Float64Array(to - from + 1),
  offset: 0,
  infinite: 0,
  slack: 0,
});

const put = (grid: LossGrid, point: number, amount: number): void => {
  grid.mass[point - grid.base]! += amount;
};

/** Where almost all outcomes lie: `reach` deviations beyond the outermost means. */
function ends({ means }: GaussianMixturePair, reach: number): { low: number; high: number } {
  return { low: means[0]! - reach, high: means.at(-1)! + reach };
}

/**
 * Bounds one step of a mechanism by losses `spacing` apart; outcomes further than `reach` deviations beyond every mean
 * are given away (upper) or left out (lower).
 *
 * Upper: outcomes are taken interval by interval between the multiples, and an interval's probabilities under P and Q are
 * those of an outcome that says which end's loss it has. That is a spread of exp(-loss) that keeps its mean, so it only
 * helps the observer; the hockey-stick curve is exact on the multiples and linear in exp(epsilon) between them.
 * Source: Doroshenko, Ghazi, Kamath, Kumar, Manurangsi, Connect the Dots, 2022 (arXiv 2207.04380).
 *
 * Lower: neighbouring outcomes are told apart no more, which only hurts the observer. The intervals are chosen one after
 * another such that the losses log(P / Q) of wholes are `spacing` apart: nothing is rounded, and the error is of second
 * order in the spacing, as that of the upper bound.
 *
 * Where units are sampled, most outcomes say little and their losses crowd above log(1 - q); the points then start there.
 */
export function stepGrids(mechanism: Mechanism, spacing: number, reach: number): StepGrids {
  if (mechanism.kind === "response") return responseGrids(mechanism, spacing);
  let [from, to] = [Infinity, -Infinity];
  for (const { pair } of mechanism.parts) {
    const { low, high } = ends(pair, reach);
    from = Math.min(from, Math.floor(lossAt(pair, low) / spacing) - 2);
    to = Math.max(to, Math.ceil(lossAt(pair, high) / spacing) + 2);
  }
  const forward = { upper: emptyGrid(from, to), lower: emptyGrid(from, to) };
  const backward = { upper: emptyGrid(-to, -from), lower: emptyGrid(-to, -from) };
  const [crowded] = mechanism.parts;
  if (!mechanism.symmetric && crowded !== undefined) {
    const { low, high } = ends(crowded.pair, reach);
    const least = lossAt(crowded.pair, low);
    forward.upper.offset = least - Math.round(least / spacing) * spacing;
    const first = firstWhole(crowded.pair, spacing, low, high);
    forward.lower.offset = first.loss - Math.round(first.loss / spacing) * spacing;
  }
  backward.upper.offset = -forward.upper.offset;
  backward.lower.offset = -forward.lower.offset;
  for (const { weight, pair } of mechanism.parts) {
    connectDots(pair, weight, spacing, reach, forward.upper, backward.upper);
    mergeOutcomes(pair, weight, spacing, reach, forward.lower, backward.lower);
  }
  return { forward, backward };
}

/** How far the losses of one step lie apart. */
export function lossRange(mechanism: Mechanism, reach: number): number {
  if (mechanism.kind === "response") return 2 * mechanism.epsilon;
  const ranges = mechanism.parts.map(({ pair }) => {
    const { low, high } = ends(pair, reach);
    return lossAt(pair, high) - lossAt(pair, low);
  });
  return Math.max(...ranges);
}

/** The interval from `low` whose own loss is half a spacing below that of its right edge. */
function firstWhole(pair: GaussianMixturePair, spacing: number, low: number, high: number) {
  const masses: IntervalMasses = { logP: 0, logQ: 0, loss: 0 };
  const least = lossAt(pair, low);
  let [edge, loss] = [high, least];
  let [below, above] = [least, lossAt(pair, high)];
  for (let step = 0; step < 60 && above - below > 1e-9 * spacing; step++) {
    const edgeLoss = step === 0 ? Math.min(least + spacing, above) : 0.5 * (below + above);
    edge = outcomeOf(pair, edgeLoss, { low, high, guess: low, tolerance: 1e-10 * spacing });
    if (edge <= low) {
      below = edgeLoss;
      continue;
    }
    mixtureMasses(pair, low, edge, masses);
    loss = masses.loss;
    if (edgeLoss - loss > 0.5 * spacing) above = edgeLoss;
    else below = edgeLoss;
  }
  return { edge, edgeLoss: loss + 0.5 * spacing, loss };
}

/** The probability of less than `x` (or, mirrored, of more) under a mixture. */
function tail({ means }: GaussianMixturePair, weights: readonly number[], x: number, sign: 1 | -1): number {
  return means.reduce((sum, mean, j) => sum + weights[j]! * Math.exp(logNormalCdf(sign * (x - mean))), 0);
}

function connectDots(
  pair: GaussianMixturePair,
  weight: number,
  spacing: number,
  reach: number,
  forward: LossGrid,
  backward: LossGrid,
): void {
  const { low, high } = ends(pair, reach);
  const { offset } = forward;
  const first = Math.floor((lossAt(pair, low) - offset) / spacing + 1e-9);
  const last = Math.max(first + 1, Math.ceil((lossAt(pair, high) - offset) / spacing));
  const whole = -Math.expm1(-spacing);
  const masses: IntervalMasses = { logP: 0, logQ: 0, loss: 0 };
  let a = low;
  for (let k = first; k < last; k++) {
    const [start, end] = [offset + k * spacing, offset + (k + 1) * spacing];
    const tolerance = 1e-9 * spacing + 4e-16 * Math.abs(end);
    const b = k + 1 === last ? high : outcomeOf(pair, end, { low: a, high, guess: a, tolerance });
    if (b <= a) continue;
    mixtureMasses(pair, a, b, masses);
    const p = weight * Math.exp(masses.logP);
    const q = weight * Math.exp(masses.logQ);
    const up = Math.min(1, Math.max(0, -Math.expm1(start - masses.loss) / whole));
    put(forward, k + 1, p * up);
    put(forward, k, p * (1 - up));
    const down = Math.min(1, Math.max(0, -Math.expm1(masses.loss - end) / whole));
    put(backward, -k, q * down);
    put(backward, -k - 1, q * (1 - down));
    a = b;
  }
  forward.infinite += weight * tail(pair, pair.p, high, -1);
  put(forward, first + 1, weight * tail(pair, pair.p, low, 1));
  backward.infinite += weight * tail(pair, pair.q, low, 1);
  put(backward, 1 - last, weight * tail(pair, pair.q, high, -1));
}

function mergeOutcomes(
  pair: GaussianMixturePair,
  weight: number,
  spacing: number,
  reach: number,
  forward: LossGrid,
  backward: LossGrid,
): void {
  const { low, high } = ends(pair, reach);
  const { offset } = forward;
  const masses: IntervalMasses = { logP: 0, logQ: 0, loss: 0 };
  // Far below what merging itself loses, h^2 / 24, and not below what the arithmetic can tell.
  const toleranceAt = (loss: number): number => 1e-4 * spacing * spacing + 4e-15 * Math.abs(loss);
  const keep = (): void => {
    const p = weight * Math.exp(masses.logP);
    const q = weight * Math.exp(masses.logQ);
    const place = (masses.loss - offset) / spacing;
    const excess = Math.abs(Math.round(place) - place) * spacing;
    if (excess <= toleranceAt(masses.loss)) {
      put(forward, Math.round(place), p);
      put(backward, -Math.round(place), q);
      forward.slack = Math.max(forward.slack, excess);
      backward.slack = Math.max(backward.slack, excess);
    } else {
      put(forward, Math.floor(place), p);
      put(backward, -Math.ceil(place), q);
    }
  };

  const middle = lossAt(pair, 0);
  let edgeLoss = offset + (Math.floor((middle - offset) / spacing) + 0.5) * spacing;
  let directions: readonly (1 | -1)[] = [1, -1];
  let start = outcomeOf(pair, edgeLoss, { low, high, guess: 0, tolerance: toleranceAt(edgeLoss) / 4 });
  if (offset !== 0) {
    const first = firstWhole(pair, spacing, low, high);
    if (Math.abs(Math.round((first.loss - offset) / spacing) - (first.loss - offset) / spacing) < 1e-6) {
      start = first.edge;
      edgeLoss = first.edgeLoss;
      directions = [1];
      mixtureMasses(pair, low, start, masses);
      keep();
    }
  }
  const startLoss = start > low && start < high ? edgeLoss : lossAt(pair, start);
  for (const sign of directions) {
    const far = sign === 1 ? high : low;
    let edge = start;
    edgeLoss = startLoss;
    while (sign * (far - edge) > 0) {
      const place = (edgeLoss - offset) / spacing;
      const goal = offset + (sign === 1 ? Math.floor(place + 1e-6) + 1 : Math.ceil(place - 1e-6) - 1) * spacing;
      const tolerance = toleranceAt(goal);
      // Losses at the interval's ends average to about that of the whole; then secant steps.
      let other = 2 * goal - edgeLoss;
      let x = far;
      let [previousOther, previousError] = [NaN, NaN];
      for (let step = 0; step < 12; step++) {
        x = outcomeOf(pair, other, {
          low: sign === 1 ? edge : low,
          high: sign === 1 ? high : edge,
          guess: edge,
          tolerance: tolerance / 4,
        });
        if (x === edge) x = far;
        mixtureMasses(pair, Math.min(edge, x), Math.max(edge, x), masses);
        const error = masses.loss - goal;
        if (x === far || Math.abs(error) <= tolerance) break;
        const slope = step === 0 ? 0.5 : (error - previousError) / (other - previousOther);
        [previousOther, previousError] = [other, error];
        other -= error / (slope > 0.1 && slope < 2 ? slope : 0.5);
      }
      keep();
      edge = x;
      edgeLoss = x === far ? lossAt(pair, x) : other;
    }
  }
}

function responseGrids({ epsilon, revealed }: Extract<Mechanism, { kind: "response" }>, spacing: number): StepGrids {
  const below = Math.floor(epsilon / spacing + 1e-9);
  const upper = emptyGrid(-below - 1, below + 1);
  const whole = -Math.expm1(-spacing);
  const kept = (1 - revealed) / (1 + Math.exp(-epsilon));
  const flipped = (1 - revealed) / (1 + Math.exp(epsilon));
  const up = Math.max(0, -Math.expm1(below * spacing - epsilon) / whole);
  put(upper, below + 1, kept * up);
  put(upper, below, kept * (1 - up));
  const down = Math.min(1, -Math.expm1(epsilon - (below + 1) * spacing) / whole);
  put(upper, -below, flipped * down);
  put(upper, -below - 1, flipped * (1 - down));
  upper.infinite = revealed;
  // Randomised response with the next smaller epsilon on the grid.
  const lower = emptyGrid(-below - 1, below + 1);
  put(lower, below, (1 - revealed) / (1 + Math.exp(-below * spacing)));
  put(lower, -below, (1 - revealed) / (1 + Math.exp(below * spacing)));
  lower.infinite = revealed;
  lower.slack = Math.max(0, below * spacing - epsilon);
  return { forward: { upper, lower }, backward: { upper, lower } };
}

/** Losses with the logarithms of their probabilities where P, and where Q, is true: to size a grid, not to prove. */
export interface LossSample {
  readonly loss: Float64Array;
  readonly logP: Float64Array;
  readonly logQ: Float64Array;
}

/** Cuts the outcomes into intervals a twentieth of a deviation wide. */
export function sampleLosses(mechanism: Mechanism, reach: number): LossSample {
  if (mechanism.kind === "response") {
    const { epsilon, revealed } = mechanism;
    const kept = Math.log1p(-revealed) - Math.log1p(Math.exp(-epsilon));
    return {
      loss: Float64Array.of(-epsilon, epsilon),
      logP: Float64Array.of(kept - epsilon, kept),
      logQ: Float64Array.of(kept, kept - epsilon),
    };
  }
  const [loss, logP, logQ]: [number[], number[], number[]] = [[], [], []];
  const masses: IntervalMasses = { logP: 0, logQ: 0, loss: 0 };
  for (const { weight, pair } of mechanism.parts) {
    const { low, high } = ends(pair, reach);
    const count = Math.ceil((high - low) * 20);
    for (let i = 0; i < count; i++) {
      const step = (high - low) / count;
      mixtureMasses(pair, low + i * step, low + (i + 1) * step, masses);
      loss.push(masses.loss);
      logP.push(Math.log(weight) + masses.logP);
      logQ.push(Math.log(weight) + masses.logQ);
    }
  }
  return { loss: Float64Array.from(loss), logP: Float64Array.from(logP), logQ: Float64Array.from(logQ) };
}
