import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { secureRandom, seededRandom } from "../math/random.ts";
import { accountantNamed, privacyProfile } from "./accountant.ts";
import type { Event, Repetitions } from "./events.ts";
import { rdpToEpsilon } from "./rdp.ts";
import { planSearch } from "./search.ts";
import { chooseBestOf, drawRepetitions, rdpOfSearch, sumOfUnitScores } from "./selection.ts";

/** Made by fixtures/make-tradeoff.py with mpmath at 40 digits, from the definitions. */
const fixture = JSON.parse(readFileSync(new URL("./fixtures/tradeoff.json", import.meta.url), "utf8")) as {
  negative_binomial: [shape: number, gamma: number, mean: number, probabilities: number[]][];
};

/**
 * Pearson's statistic against probabilities of the first categories, the rest in one. The limits used below are the
 * quantiles of chi-square at a false-alarm rate of 1e-6 (scipy 1.17.1, chi2.isf(1e-6, df)); seeds are fixed, so a pass stays.
 */
function chiSquare(counts: readonly number[], probabilities: readonly number[]): number {
  const draws = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((sum, n, i) => sum + (n - draws * probabilities[i]!) ** 2 / (draws * probabilities[i]!), 0);
}
/** chi2.isf(1e-6, df) for df = 1 to 6. */
const limits = [23.928127, 27.631021, 30.66485, 33.376842, 35.888187, 38.258336];

describe("rdpOfSearch", () => {
  const rho = 0.05;
  const orders = Array.from({ length: 4000 }, (_, i) => 1 + (i + 1) / 50);
  const gaussian = orders.map((order) => rho * order);

  it("ofAGaussian_isItsClosedForm", () => {
    // Corollary 4 of Papernot and Steinke 2022, for rho <= log(1 / gamma): to the spacing of the orders, 1e-4 relative.
    for (const [shape, gamma, mean] of fixture.negative_binomial) {
      if (rho > -Math.log(gamma)) continue;
      const got = rdpOfSearch(gaussian, { kind: "negative-binomial", shape, mean }, orders);
      const constant = 2 * (1 + shape) * Math.sqrt(-rho * Math.log(gamma)) - shape * rho;
      orders.forEach((order, i) => {
        if (i % 100 !== 0 || order > 40) return;
        const expected =
          order <= 1 + Math.sqrt(Math.log(mean) / rho)
            ? 2 * Math.sqrt(rho * Math.log(mean)) + constant
            : rho * (order - 1) + Math.log(mean) / (order - 1) + constant;
        expect(Math.abs(got[i]! / expected - 1), `shape ${shape}, gamma ${gamma}, order ${order}`).toBeLessThan(1e-4);
        expect(got[i]!).toBeGreaterThan(expected * (1 - 1e-9));
      });
    }
  });

  it("ofPureEpsilon_isTwoPlusShapeTimesIt", () => {
    // Corollary 3 of the paper: at the largest order, where the rest vanishes.
    for (const shape of [-0.5, 0, 0.5, 1, 5]) {
      const [got] = rdpOfSearch([0.7], { kind: "negative-binomial", shape, mean: 1000 }, [1e10]);
      expect(got!).toBeCloseTo(0.7 * (2 + shape), 6);
    }
  });

  it("poisson_isTheoremSix, written out for a single order", () => {
    // Its epsilon is log(a / (a - 1)), and Canonne, Kamath, Steinke 2020 give its delta.
    const [a, mean] = [4, 10];
    const delta = (Math.exp((a - 1) * (rho * a - Math.log(a / (a - 1)))) * (1 - 1 / a) ** a) / (a - 1);
    const [got] = rdpOfSearch([rho * a], { kind: "poisson", mean }, [a]);
    expect(got!).toBeCloseTo(rho * a + mean * delta + Math.log(mean) / (a - 1), 12);
  });

  it("costsMoreThanOneTraining_andFarLessThanItsMeanNumber", () => {
    const one = rdpToEpsilon(gaussian, 1e-5, orders).epsilon;
    const ten = rdpToEpsilon(
      gaussian.map((x) => 10 * x),
      1e-5,
      orders,
    ).epsilon;
    for (const repetitions of [
      { kind: "negative-binomial", shape: 0, mean: 10 },
      { kind: "negative-binomial", shape: 1, mean: 10 },
      { kind: "poisson", mean: 10 },
    ] as const) {
      const search = rdpToEpsilon(rdpOfSearch(gaussian, repetitions, orders), 1e-5, orders).epsilon;
      expect(search).toBeGreaterThan(one);
      expect(search).toBeLessThan(ten);
    }
  });

  it("oneRepetition_costsWhatOneTrainingCosts", () => {
    const got = rdpOfSearch(gaussian, { kind: "negative-binomial", shape: 1, mean: 1 }, orders);
    // The theorem still charges (1 + shape) times the least of (1 - 1/a) rdp, which vanishes towards order 1.
    orders.forEach((_, i) => expect(got[i]! - gaussian[i]!).toBeLessThan(0.0021));
  });

  it("refusesImpossibleNumbers", () => {
    const refused: Repetitions[] = [
      { kind: "poisson", mean: 0.5 },
      { kind: "negative-binomial", shape: -1, mean: 5 },
      { kind: "negative-binomial", shape: NaN, mean: 5 },
      { kind: "negative-binomial", shape: 1, mean: 1e7 },
    ];
    for (const repetitions of refused)
      expect(() => rdpOfSearch([1], repetitions, [2])).toThrow(expect.objectContaining({ code: "LG-PRIVACY-001" }));
  });
});

describe("a selection among other events", () => {
  const training: Event = { kind: "poisson-gaussian", samplingProbability: 0.1, noiseMultiplier: 6, steps: 100 };
  const repetitions: Repetitions = { kind: "negative-binomial", shape: 1, mean: 8 };
  const search: Event = { kind: "selection", of: [training], repetitions, steps: 1 };
  const rdp = accountantNamed("rdp");

  it("addsUp_likeAnyOther", () => {
    const alone = rdp.epsilon([search], 1e-5).upper;
    const withCount = rdp.epsilon([search, { kind: "pure", epsilon: 0.1, steps: 1 }], 1e-5).upper;
    expect(withCount).toBeGreaterThan(alone);
    expect(withCount).toBeLessThanOrEqual(alone + 0.1 + 1e-9);
    expect(rdp.epsilon([{ ...search, steps: 2 }], 1e-5).upper).toBeCloseTo(
      rdp.epsilon([search, search], 1e-5).upper,
      12,
    );
    expect(rdp.epsilon([{ ...search, steps: 0 }], 1e-5).upper).toBe(0);
  });

  it("hasAProfileThatAgreesWithItsEpsilon", () => {
    const { upper } = rdp.epsilon([search], 1e-5);
    expect(privacyProfile([search])(upper).upper).toBeCloseTo(1e-5, 12);
  });

  it("isRefused_whereItCannotBe", () => {
    const refused = (event: Event): void =>
      expect(() => rdp.epsilon([event], 1e-5)).toThrow(expect.objectContaining({ code: "LG-PRIVACY-001" }));
    refused({ ...search, of: [] });
    refused({ ...search, repetitions: { kind: "poisson", mean: 0 } });
    refused({ ...search, of: [{ ...training, noiseMultiplier: -1 }] });
    expect(() => accountantNamed("gaussian").epsilon([search], 1e-5)).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-004" }),
    );
  });

  it("planSearch_staysWithinItsTarget_andIsNotWasteful", () => {
    for (const samplingProbability of [1, 0.1]) {
      const target = { epsilon: 8, delta: 1e-4 };
      const plan = planSearch({ target, repetitions, samplingProbability, steps: 100 });
      expect(plan.epsilon).toBeLessThanOrEqual(8);
      expect(plan.epsilon).toBeGreaterThan(8 * (1 - 1e-4));
      expect(plan.epsilonOfOne).toBeLessThan(plan.epsilon);
      // As many trainings as there are on average would cost more, were all of them published.
      const eight = Array.from({ length: 8 }, () => plan.event.of).flat();
      expect(rdp.epsilon(eight, 1e-4).upper).toBeGreaterThan(1.2 * plan.epsilon);
      expect(rdp.epsilon([plan.event], 1e-4).upper).toBe(plan.epsilon);
      // What one training costs by itself is what its noise says.
      expect(rdp.epsilon(plan.event.of, 1e-4).upper).toBeGreaterThanOrEqual(plan.epsilonOfOne - 1e-12);
    }
  });
});

describe("drawRepetitions", () => {
  const draws = 10_000;

  it("negativeBinomial_hasItsProbabilities [false alarm 1e-6 each, seeded]", () => {
    for (const [shape, gamma, mean, probabilities] of fixture.negative_binomial) {
      const source = seededRandom(1, "repetitions", shape, gamma);
      // Categories: 1, 2, 3, 4, and more; those expected fewer than 10 times join the last.
      const kept = probabilities.slice(0, 4).filter((p) => p * draws > 10);
      const counts = new Array<number>(kept.length + 1).fill(0);
      for (let i = 0; i < draws; i++) {
        const k = drawRepetitions({ kind: "negative-binomial", shape, mean }, source, { insecureSeed: true });
        counts[Math.min(k - 1, kept.length)]!++;
      }
      const rest = 1 - kept.reduce((a, b) => a + b, 0);
      const statistic = chiSquare(counts, [...kept, rest]);
      expect(statistic, `shape ${shape}, gamma ${gamma}`).toBeLessThan(limits[kept.length - 1]!);
    }
  });

  it("poisson_hasItsMeanAndVariance [false alarm 1e-6 each, seeded]", () => {
    for (const mean of [1, 5, 100]) {
      const source = seededRandom(2, "poisson", mean);
      const numbers = Float64Array.from({ length: draws }, () =>
        drawRepetitions({ kind: "poisson", mean }, source, { insecureSeed: true }),
      );
      const average = numbers.reduce((a, b) => a + b, 0) / draws;
      const spread = numbers.reduce((a, b) => a + (b - mean) ** 2, 0) / draws;
      // 4.9 standard errors: norm.isf(5e-7); the fourth central moment is mean (1 + 3 mean).
      expect(Math.abs(average - mean)).toBeLessThan(4.9 * Math.sqrt(mean / draws));
      expect(Math.abs(spread - mean)).toBeLessThan(4.9 * Math.sqrt((mean + 2 * mean * mean) / draws));
    }
  });

  it("wantsACryptographicSource", () => {
    const once: Repetitions = { kind: "negative-binomial", shape: 1, mean: 1 };
    expect(() => drawRepetitions(once, seededRandom(1))).toThrow(expect.objectContaining({ code: "LG-PRIVACY-007" }));
    using source = secureRandom();
    expect(drawRepetitions(once, source)).toBe(1);
  });
});

/** P(i wins) after exponential noise of rate `rate` on each score: the integral over i's noise, by inclusion and exclusion. */
function noisyMaxProbabilities(scores: readonly number[], rate: number): number[] {
  const best = Math.max(...scores);
  return scores.map((score, i) => {
    const others = scores.filter((_, j) => j !== i);
    let sum = 0;
    for (let subset = 0; subset < 2 ** others.length; subset++) {
      const members = others.filter((_, j) => (subset >> j) & 1);
      const lead = members.reduce((total, other) => total + score - other, 0);
      const least = (1 + members.length) * (best - score);
      sum += ((-1) ** members.length * Math.exp(-rate * (lead + least))) / (1 + members.length);
    }
    return sum;
  });
}

/** The exponential mechanism: proportional to exp(rate score). */
function exponentialProbabilities(scores: readonly number[], rate: number): number[] {
  const weights = scores.map((score) => Math.exp(rate * score));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

const exact = { "noisy-max": noisyMaxProbabilities, exponential: exponentialProbabilities } as const;

describe("chooseBestOf", () => {
  const cases = [[3, 2.5, 1, 0], [5, 5, 5], [0, 4], [7.25]];

  it("drawsFromItsExactDistribution [false alarm 1e-6 each, seeded]", () => {
    for (const mechanism of ["noisy-max", "exponential"] as const)
      for (const relation of ["add-or-remove-one", "replace-one"] as const)
        for (const scores of cases) {
          const epsilon = 0.8;
          const source = seededRandom(3, mechanism, relation, ...scores);
          const counts = scores.map(() => 0);
          for (let i = 0; i < 20_000; i++)
            counts[chooseBestOf(scores, { epsilon, source, mechanism, relation, insecureSeed: true }).index]!++;
          const rate = relation === "replace-one" ? epsilon / 2 : epsilon;
          const statistic = chiSquare(counts, exact[mechanism](scores, rate));
          expect(statistic, `${mechanism} ${relation} ${String(scores)}`).toBeLessThan(
            limits[scores.length - 2] ?? 1e-9,
          );
        }
  });

  /** The largest |log ratio| of any outcome between all score vectors on a grid and their neighbours on it. */
  function loss(mechanism: keyof typeof exact, rate: number, moves: readonly number[]): number {
    const levels = [0, 0.5, 1, 2, 4];
    let worst = 0;
    for (const a of levels)
      for (const b of levels)
        for (const c of levels)
          for (const x of moves)
            for (const y of moves)
              for (const z of moves) {
                const before = exact[mechanism]([a, b, c], rate);
                const after = exact[mechanism]([a + x, b + y, c + z], rate);
                before.forEach((p, i) => (worst = Math.max(worst, Math.abs(Math.log(p / after[i]!)))));
              }
    return worst;
  }

  it("lossBetweenNeighbours_isAtMostEpsilon_andAlmostReachesIt [all of a grid]", () => {
    const epsilon = 1.5;
    for (const mechanism of ["noisy-max", "exponential"] as const) {
      // One patient more adds 0 to 1 to every score: rate epsilon. One exchanged moves each by up to 1 either way: half.
      const added = loss(mechanism, epsilon, [0, 0.5, 1]);
      const exchanged = loss(mechanism, epsilon / 2, [-1, 0, 1]);
      for (const value of [added, exchanged]) {
        expect(value, mechanism).toBeLessThanOrEqual(epsilon + 1e-12);
        expect(value, mechanism).toBeGreaterThan(0.85 * epsilon);
      }
    }
  });

  it("replacing_atTheRateOfAdding_wouldCostMoreThanEpsilon", () => {
    for (const mechanism of ["noisy-max", "exponential"] as const)
      expect(loss(mechanism, 1.5, [-1, 0, 1])).toBeGreaterThan(1.6);
  });

  it("statesItsEvent_andWorksAtExtremes", () => {
    using source = secureRandom();
    expect(chooseBestOf([1e9, 0, 3], { epsilon: 1, source })).toEqual({
      index: 0,
      event: { kind: "pure", epsilon: 1, steps: 1 },
    });
    expect(chooseBestOf([0], { epsilon: 1e-9, source }).index).toBe(0);
  });

  it("refusesWhatItCannotProtect", () => {
    using source = secureRandom();
    const refused = (run: () => unknown, code: string): void => expect(run).toThrow(expect.objectContaining({ code }));
    refused(() => chooseBestOf([], { epsilon: 1, source }), "LG-PRIVACY-001");
    refused(() => chooseBestOf([1, NaN], { epsilon: 1, source }), "LG-PRIVACY-001");
    refused(() => chooseBestOf([1, -1], { epsilon: 1, source }), "LG-PRIVACY-001");
    refused(() => chooseBestOf([1], { epsilon: 0, source }), "LG-PRIVACY-001");
    refused(() => chooseBestOf([1], { epsilon: 1, source: seededRandom(1) }), "LG-PRIVACY-007");
  });
});

describe("sumOfUnitScores", () => {
  it("oneUnit_changesItByAtMostOne_exactly", () => {
    const others = Array.from({ length: 1000 }, (_, i) => Math.abs(Math.sin(i)));
    const without = sumOfUnitScores(others);
    for (const value of [0, 0.1, 1, 5, -3, NaN, Infinity]) {
      const change = sumOfUnitScores([...others, value]) - without;
      expect(change).toBeGreaterThanOrEqual(0);
      expect(change).toBeLessThanOrEqual(1);
    }
    expect(sumOfUnitScores([0.5, 7, NaN, -1])).toBe(1.5);
  });
});
