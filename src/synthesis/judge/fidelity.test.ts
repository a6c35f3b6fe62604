import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { coverageFigures } from "./coverage.ts";
import { frechetBound, frechetDistance, frechetFigure } from "./frechet.ts";
import { kernelBound, kernelFigure } from "./kernel-distance.ts";
import { drawRows, halves, type Sample } from "./sample.ts";

/** Made by fixtures/fidelity.py with numpy and scipy. */
const fixture = JSON.parse(readFileSync(new URL("fixtures/fidelity.json", import.meta.url), "utf8")) as {
  real: number[][];
  fake: number[][];
  frechet: number;
  frechetOfFewRows: number;
  kid: number;
  prdc: Record<"precision" | "recall" | "density" | "coverage", number>;
};
const tableOf = (rows: number[][]): Table => ({
  rows: rows.length,
  columns: rows[0]!.length,
  data: Float64Array.from(rows.flat()),
});
const sampleOf = (rows: number[][]): Sample => ({ table: tableOf(rows), units: rows.map((_, i) => i) });
const normal = (rows: number, columns: number, seed: number, shift = 0): number[][] => {
  const random = seededRandom(seed, "normal");
  return Array.from({ length: rows }, () => Array.from({ length: columns }, () => random.gaussian() + shift));
};
const { real, fake } = fixture;

describe("frechetDistance", () => {
  it("agreesWithScipy_alsoWhereACovarianceIsSingular", () => {
    // scipy.linalg.sqrtm; 1e-9 relative, and 1e-6 where the root of a singular matrix loses half the digits.
    expect(frechetDistance(tableOf(real), tableOf(fake)) / fixture.frechet).toBeCloseTo(1, 9);
    expect(frechetDistance(tableOf(real.slice(0, 4)), tableOf(fake)) / fixture.frechetOfFewRows).toBeCloseTo(1, 6);
  });

  it("ofItself_isZero_andOfAShift_isItsSquare", () => {
    const shifted = tableOf(real.map((row) => row.map((x) => x + 2)));
    expect(frechetDistance(tableOf(real), tableOf(real))).toBeLessThan(1e-10);
    // Closed form: equal covariances leave |m1 - m2|^2 = 5 * 2^2.
    expect(frechetDistance(tableOf(real), shifted)).toBeCloseTo(20, 9);
  });

  it("extrapolation_takesMostOfTheBiasAway", () => {
    // Two samples of one distribution: the truth is 0, the plug-in figure about d (d + 1) / 4 (1/n + 1/m) above it.
    const [a, b] = [sampleOf(normal(150, 12, 1)), sampleOf(normal(150, 12, 2))];
    const found = frechetFigure(a, b, { seed: 1, resamples: 10 });
    expect(found.value).toBeGreaterThan(0.2);
    expect(Math.abs(found.extrapolated)).toBeLessThan(found.value / 3);
    expect(found.low).toBeLessThan(found.value);
    const bound = frechetBound(a, { seed: 1 });
    expect(bound.value).toBeGreaterThan(found.value);
    expect(bound.low).toBeLessThanOrEqual(bound.value);
  });
});

describe("kernelFigure", () => {
  it("agreesWithNumpy", () => {
    const found = kernelFigure(sampleOf(real), sampleOf(fake), { seed: 1 });
    // numpy in float64; ours keeps the kernel in float32.
    expect(found.value / fixture.kid).toBeCloseTo(1, 5);
    expect(found.low).toBeLessThan(found.value);
    expect(found.high).toBeGreaterThan(found.value);
  });

  it("isWithoutBias_alsoWherePatientsHaveTwinImages", () => {
    // Each image twice under one patient: pairs within patients would pull the distance of equal distributions up.
    const twins = (seed: number): Sample => {
      const rows = normal(60, 6, seed);
      return { table: tableOf([...rows, ...rows]), units: [...rows.keys(), ...rows.keys()] };
    };
    const found = Array.from({ length: 40 }, (_, i) => kernelBound(twins(i), { seed: i, draws: 5 }).value);
    const average = found.reduce((a, b) => a + b, 0) / found.length;
    const deviation = Math.sqrt(found.reduce((sum, x) => sum + (x - average) ** 2, 0) / found.length);
    // Mean 0 within 4 standard errors: a false alarm in 16,000 such seeds; the seeds are fixed.
    expect(Math.abs(average)).toBeLessThan((4 * deviation) / Math.sqrt(found.length));
  });
});

describe("coverageFigures", () => {
  it("agreeWithNumpy", () => {
    const found = coverageFigures(sampleOf(real.slice(0, 30)), sampleOf(fake), { seed: 1 });
    for (const name of ["precision", "recall", "density", "coverage"] as const) {
      expect(found[name].value, name).toBeCloseTo(fixture.prdc[name], 9);
      expect(found[name].low, name).toBeLessThanOrEqual(found[name].value);
      expect(found[name].high, name).toBeGreaterThanOrEqual(found[name].value);
    }
  });

  it("equalDistributions_areCoveredAsTheoryHasIt", () => {
    // Naeem et al. 2020, equation 10: expected coverage 1 - (N-1)...(N-k) / ((2N-1)...(2N-k)), N images on both sides.
    const n = 400;
    const expected = 1 - [1, 2, 3, 4, 5].reduce((product, i) => (product * (n - i)) / (2 * n - i), 1);
    const found = coverageFigures(sampleOf(normal(n, 3, 3)), sampleOf(normal(n, 3, 4)), { seed: 1 });
    // Standard error about sqrt(.97 * .03 / 400) = .0085, somewhat more as neighbours share images; 4 of them.
    expect(Math.abs(found.coverage.value - expected)).toBeLessThan(0.04);
    expect(Math.abs(found.density.value - 1)).toBeLessThan(0.15);
  });
});

describe("samples", () => {
  it("halvesAndDraws_keepPatientsTogether", () => {
    const units = Array.from({ length: 60 }, (_, i) => Math.floor(i / 3));
    const [one, other] = halves(units, seededRandom(1));
    expect([...one, ...other].sort((a, b) => a - b)).toEqual([...units.keys()]);
    const first = new Set(one.map((i) => units[i]!));
    expect(other.some((i) => first.has(units[i]!))).toBe(false);
    const drawn = drawRows(units, 30, seededRandom(1));
    expect(drawn.length).toBe(30);
    expect(new Set(drawn.map((i) => units[i]!)).size).toBe(10);
  });
});
