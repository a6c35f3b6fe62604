/** Pearson's correlation with its interval, and what few points cannot say. */

import { LeadglassError } from "../errors.ts";
import { normalQuantile } from "../math/statistics.ts";
import { studentCdf } from "./student.ts";
import { bcaLevels, intervalAt, percentileLevels } from "./interval.ts";
import { patientDraws, requireResampling } from "./resamples.ts";

export interface Correlation {
  /** Null where a series is constant, or there are fewer than three points. */
  r: number | null;
  n: number;
  /** By Fisher's z; from four points. */
  fisher: { low: number; high: number } | null;
  /** Resampling points; null where a resample in ten or more is constant. */
  bootstrap: { low: number; high: number; method: "bca" | "percentile" } | null;
  /** Two-sided, against no correlation, by Student's t. */
  pValue: number | null;
  reason?: string;
}

/**
 * Pearson's r of two series of finite numbers with one entry a point, such as epsilon and gap over the runs of a sweep, or
 * size and performance over groups. Points of a sweep that share patients are not independent, and eight of them say
 * little: with n of 8, an r below .71 is within chance.
 * Throws LG-EVAL-001 for series of different length, LG-EVAL-002 for a number that is not finite (leave epsilon infinity
 * out, or give 1/epsilon), LG-EVAL-003 for unusable options.
 * Source: Fisher 1921; the bootstrap, Efron 1987.
 */
export function pearson(
  x: readonly number[],
  y: readonly number[],
  {
    level = 0.95,
    resamples = 2000,
    seed,
  }: { readonly level?: number; readonly resamples?: number; readonly seed: number | string },
): Correlation {
  requireResampling(resamples, level);
  const n = x.length;
  if (n !== y.length) throw new LeadglassError("LG-EVAL-001", `x: ${n} points; y has ${y.length}`);
  for (const [name, series] of Object.entries({ x, y })) {
    const index = series.findIndex((value) => !Number.isFinite(value));
    if (index >= 0)
      throw new LeadglassError("LG-EVAL-002", `${name}, point ${index}: not a finite number`, {
        hint: "Leave points at epsilon infinity out, or correlate with 1/epsilon.",
        fields: { index },
      });
  }
  const of = (weights: ArrayLike<number>) => weightedPearson(x, y, weights);
  const r = n < 3 ? NaN : of(new Float64Array(n).fill(1));
  if (!Number.isFinite(r)) {
    const reason = n < 3 ? "fewer than three points" : "a series is constant";
    return { r: null, n, fisher: null, bootstrap: null, pValue: null, reason };
  }
  const reach = normalQuantile((1 + level) / 2) / Math.sqrt(n - 3);
  const t = r * Math.sqrt((n - 2) / (1 - r * r));
  return {
    ...{ r, n },
    fisher: n < 4 ? null : { low: Math.tanh(Math.atanh(r) - reach), high: Math.tanh(Math.atanh(r) + reach) },
    bootstrap: bootstrapOf(of, r, n, { level, resamples, seed }),
    pValue: Math.abs(r) === 1 ? 0 : 2 * studentCdf(-Math.abs(t), n - 2),
  };
}

function weightedPearson(x: readonly number[], y: readonly number[], weights: ArrayLike<number>): number {
  let [total, meanX, meanY] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    total += weights[i]!;
    meanX += weights[i]! * x[i]!;
    meanY += weights[i]! * y[i]!;
  }
  meanX /= total;
  meanY /= total;
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [x[i]! - meanX, y[i]! - meanY];
    xx += weights[i]! * dx * dx;
    xy += weights[i]! * dx * dy;
    yy += weights[i]! * dy * dy;
  }
  // What is left of a constant after rounding is no spread.
  const [scaleX, scaleY] = [x, y].map((s) => Math.max(...s.map(Math.abs))) as [number, number];
  if (xx <= total * (1e-14 * scaleX) ** 2 || yy <= total * (1e-14 * scaleY) ** 2) return NaN;
  return Math.min(1, Math.max(-1, xy / Math.sqrt(xx * yy)));
}

function bootstrapOf(
  of: (weights: ArrayLike<number>) => number,
  r: number,
  n: number,
  { level, resamples, seed }: { level: number; resamples: number; seed: number | string },
): Correlation["bootstrap"] {
  const weights = new Float64Array(n);
  const draw = patientDraws(seed, n);
  const values: number[] = [];
  for (let i = 0; i < resamples; i++) {
    draw(weights);
    const value = of(weights);
    if (Number.isFinite(value)) values.push(value);
  }
  if (values.length <= 0.9 * resamples) return null;
  values.sort((a, b) => a - b);
  const jackknife = Array.from({ length: n }, (_, left) => of(weights.fill(1).map((w, i) => (i === left ? 0 : w))));
  const levels = bcaLevels(values, r, jackknife, level);
  return { ...intervalAt(values, levels ?? percentileLevels(level)), method: levels ? "bca" : "percentile" };
}
