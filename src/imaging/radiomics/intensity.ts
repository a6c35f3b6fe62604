/** First-order features: of intensities as they are, and of their histogram. */
import { mean, quantileSorted } from "../../math/statistics.ts";

const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/**
 * The 18 intensity-based statistics. Percentiles interpolate linearly between order statistics; skewness and kurtosis of
 * a constant are 0, and so are ratios with a denominator of 0.
 * Source: IBSI reference manual (arXiv 1612.07003), section 3.3, family UHIW.
 */
export function intensityFeatures(values: Float64Array): Record<string, number> {
  const sorted = values.slice().sort();
  const [p10, p25, median, p75, p90] = [0.1, 0.25, 0.5, 0.75, 0.9].map((p) => quantileSorted(sorted, p)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const n = values.length;
  const centre = mean(values);
  let [squares, cubes, fourths, absolute, fromMedian, energy] = [0, 0, 0, 0, 0, 0];
  let [robustSum, robustCount] = [0, 0];
  for (const x of values) {
    const d = x - centre;
    squares += d * d;
    cubes += d ** 3;
    fourths += d ** 4;
    absolute += Math.abs(d);
    fromMedian += Math.abs(x - median);
    energy += x * x;
    if (x < p10 || x > p90) continue;
    robustSum += x;
    robustCount++;
  }
  const robustCentre = ratio(robustSum, robustCount);
  const robust = values.reduce((sum, x) => (x < p10 || x > p90 ? sum : sum + Math.abs(x - robustCentre)), 0);
  const variance = squares / n;
  return {
    mean: centre,
    variance,
    skewness: ratio(cubes / n, variance ** 1.5),
    excessKurtosis: variance === 0 ? 0 : fourths / n / variance ** 2 - 3,
    median,
    minimum: sorted[0]!,
    percentile10: p10,
    percentile90: p90,
    maximum: sorted[n - 1]!,
    interquartileRange: p75 - p25,
    range: sorted[n - 1]! - sorted[0]!,
    meanAbsoluteDeviation: absolute / n,
    robustMeanAbsoluteDeviation: ratio(robust, robustCount),
    medianAbsoluteDeviation: fromMedian / n,
    coefficientOfVariation: ratio(Math.sqrt(variance), centre),
    quartileCoefficientOfDispersion: ratio(p75 - p25, p75 + p25),
    energy,
    rootMeanSquare: Math.sqrt(energy / n),
  };
}

/** Entropy in bits and uniformity of the grey levels inside (those above 0). Source: IBSI manual, section 3.4, TLU2 and BJ5W. */
export function histogramFeatures(levels: Uint16Array): Record<string, number> {
  const counts = new Map<number, number>();
  let n = 0;
  for (const level of levels) {
    if (level === 0) continue;
    counts.set(level, (counts.get(level) ?? 0) + 1);
    n++;
  }
  let [entropy, uniformity] = [0, 0];
  for (const count of counts.values()) {
    const p = count / n;
    entropy -= p * Math.log2(p);
    uniformity += p * p;
  }
  return { entropy, uniformity };
}
