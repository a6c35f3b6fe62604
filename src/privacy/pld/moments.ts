import type { LossGrid, LossSample } from "./grid.ts";

/** Several steps of one thing, of which a copy knows its cumulants. */
export interface Steps<Of> {
  readonly of: Of;
  readonly steps: number;
}

export type Direction = "forward" | "backward";

/** log E exp(t loss) over a sample, with P true (forward), or with Q true and the loss log(dQ/dP) (backward). */
export function sampleCumulant({ loss, logP, logQ }: LossSample, direction: Direction, t: number): number {
  const sign = direction === "forward" ? t : -t;
  const logMass = direction === "forward" ? logP : logQ;
  let top = -Infinity;
  for (let i = 0; i < loss.length; i++) top = Math.max(top, sign * loss[i]! + logMass[i]!);
  let sum = 0;
  for (let i = 0; i < loss.length; i++) sum += Math.exp(sign * loss[i]! + logMass[i]! - top);
  return top + Math.log(sum);
}

/** log of the sum of mass exp(t loss) over the finite losses of a grid; `guess` is about the result. */
export function gridCumulant(grid: LossGrid, spacing: number, t: number, guess: number): number {
  let sum = 0;
  for (let i = 0; i < grid.mass.length; i++) {
    const mass = grid.mass[i]!;
    if (mass === 0) continue;
    const exponent = t * (grid.offset + (grid.base + i) * spacing) - guess;
    sum += exponent > 600 ? Math.exp(exponent + Math.log(mass)) : mass * Math.exp(exponent);
  }
  if (sum > 0 && sum < Infinity) return guess + Math.log(sum);
  // The guess was too far off for the range of floating point: the largest term is a better one.
  let top = -Infinity;
  for (let i = 0; i < grid.mass.length; i++)
    if (grid.mass[i]! > 0) top = Math.max(top, t * (grid.offset + (grid.base + i) * spacing) + Math.log(grid.mass[i]!));
  return Number.isFinite(top) && Math.abs(top - guess) > 1 ? gridCumulant(grid, spacing, t, top) : top;
}

/** The place in [low, high] where a function with one valley is least, searched for on a logarithmic scale. */
export function leastAt(low: number, high: number, f: (x: number) => number): number {
  const golden = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [Math.log(low), Math.log(high)];
  let [c, d] = [b - golden * (b - a), a + golden * (b - a)];
  let [atC, atD] = [f(Math.exp(c)), f(Math.exp(d))];
  while (b - a > 1e-3) {
    // Beyond what can be computed, the function is taken to rise to the right.
    if (atC <= atD || Number.isNaN(atD)) {
      [b, d, atD] = [d, c, atC];
      c = b - golden * (b - a);
      atC = f(Math.exp(c));
    } else {
      [a, c, atC] = [c, d, atD];
      d = a + golden * (b - a);
      atD = f(Math.exp(d));
    }
  }
  return Math.exp(0.5 * (a + b));
}

/** The total loss of all steps under the exponential tilt by `t`: its cumulant, mean and standard deviation. */
export function totalCumulant(samples: readonly Steps<LossSample>[], direction: Direction, t: number): number {
  return samples.reduce((sum, { of, steps }) => sum + steps * sampleCumulant(of, direction, t), 0);
}
