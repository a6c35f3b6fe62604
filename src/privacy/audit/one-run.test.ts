import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { normalCdf, normalQuantile } from "../../math/statistics.ts";
import { gaussianEpsilon, gaussianMu } from "../gaussian.ts";
import { auditOneRun, declaredGuesses } from "./guesses.ts";
import { oneRunEpsilon, oneRunPValue, refutesCurve } from "./one-run.ts";

interface Vector {
  readonly kind: string;
  readonly m: number;
  readonly n_guess: number;
  readonly n_correct: number;
  readonly n_in: number;
  readonly n_out: number;
  readonly shift: number;
  readonly epsilon: number;
  readonly delta: number;
  readonly significance: number;
  readonly epsilon_expected: number;
  readonly p_expected: number;
  readonly tolerance?: number;
  readonly tolerance_rel?: number;
}

const countsOf = (v: Vector) => ({ canaries: v.m, guesses: v.n_guess, correct: v.n_correct });
/** Normal scores at the quantiles (i + 1/2) / n, as the vectors say. */
const scoresOf = (n: number, shift: number) =>
  Float64Array.from({ length: n }, (_, i) => normalQuantile((i + 0.5) / n) + shift);

function valueOf(v: Vector): number {
  const options = {
    delta: v.delta,
    confidence: 1 - v.significance,
    assume: v.kind.includes("fdp") ? ("gaussian" as const) : ("nothing" as const),
  };
  switch (v.kind) {
    case "one_run_p_value":
      return oneRunPValue(countsOf(v), v);
    case "one_run_counts":
    case "one_run_fdp_counts":
      return oneRunEpsilon(countsOf(v), options);
    case "one_run":
    case "one_run_fdp":
      return auditOneRun(scoresOf(v.n_in, v.shift), scoresOf(v.n_out, 0), { ...options, guessing: "hull" }).epsilon;
  }
  throw new Error(`a vector of an unknown kind: ${v.kind}`);
}

function expectVector(v: Vector): void {
  const expected = v.p_expected ?? v.epsilon_expected;
  const tolerance = v.tolerance ?? Math.max(v.tolerance_rel! * Math.abs(expected), 1e-15);
  expect(Math.abs(valueOf(v) - expected), JSON.stringify(v)).toBeLessThanOrEqual(tolerance);
}

const vectorFile = new URL("../../../../shared/vectors/auditing.json", import.meta.url);

describe.skipIf(!existsSync(vectorFile))("shared vectors (skipped where ../shared/vectors is absent)", () => {
  const vectors = (existsSync(vectorFile) ? JSON.parse(readFileSync(vectorFile, "utf8")) : []) as Vector[];
  it("areAllOfTheKindsWeKnow_moreThanFifty", () => expect(vectors.length).toBeGreaterThan(50));
  it.each(vectors.map((v, i) => [i, v.kind, v] as const))("%i %s", (_i, _kind, v) => expectVector(v));
});

describe("bounds from counts", () => {
  // JAX-Privacy (8967688), auditing._one_run_p_value, ._epsilon_one_run and ._epsilon_one_run_fdp, at significance 0.05.
  it.each([
    { kind: "one_run_p_value", m: 100, n_guess: 50, n_correct: 45, epsilon: 1, delta: 1e-5, p: 0.003249361729548418 },
    {
      kind: "one_run_p_value",
      m: 5000,
      n_guess: 1000,
      n_correct: 800,
      epsilon: 1,
      delta: 1e-5,
      p: 0.0010431187052650005,
    },
    { kind: "one_run_p_value", m: 1000, n_guess: 100, n_correct: 95, epsilon: 2, delta: 1e-5, p: 0.01782463464307135 },
    { kind: "one_run_counts", m: 1000, n_guess: 200, n_correct: 170, delta: 1e-5, e: 1.3974589415435028 },
    { kind: "one_run_counts", m: 5000, n_guess: 500, n_correct: 490, delta: 1e-3, e: 0.5387018462085346 },
    { kind: "one_run_counts", m: 10000, n_guess: 500, n_correct: 500, delta: 1e-3, e: 0 },
    { kind: "one_run_fdp_counts", m: 1000, n_guess: 200, n_correct: 170, delta: 1e-5, e: 2.2406908643498515 },
    { kind: "one_run_fdp_counts", m: 10000, n_guess: 500, n_correct: 500, delta: 1e-5, e: 7.393633112583978 },
  ])("$kind $m $n_guess $n_correct", ({ p, e, ...vector }) =>
    expectVector({
      significance: 0.05,
      ...(p === undefined ? { epsilon_expected: e, tolerance: 1e-5 } : { p_expected: p, tolerance_rel: 1e-8 }),
      ...vector,
    } as Vector),
  );

  // JAX-Privacy (8967688) tests/auditing_test.py::test_epsilon_one_run_close.
  it.each([
    ["one_run", 2, 2.311945],
    ["one_run_fdp", 2, 4.7218075],
  ])("%s of normal scores %d apart", (kind, shift, epsilon) =>
    expectVector({
      ...{ kind, shift, n_in: 10000, n_out: 10000, significance: 0.05, delta: 1e-6, tolerance_rel: 1e-5 },
      epsilon_expected: epsilon,
    } as Vector),
  );

  it("pValue_isTheBinomialTail_whereDeltaIsZero", () => {
    // By hand: three of three right against a fair coin, and 1 - (1 - q)^2 with q = e / (1 + e) for one of two.
    expect(oneRunPValue({ canaries: 9, guesses: 3, correct: 3 }, { epsilon: 0, delta: 0 })).toBeCloseTo(0.125, 14);
    const wrong = 1 / (1 + Math.E);
    const one = oneRunPValue({ canaries: 9, guesses: 2, correct: 1 }, { epsilon: 1, delta: 0 });
    expect(one).toBeCloseTo(1 - wrong ** 2, 14);
  });

  it("pValue_isAsDefined_withDelta", () => {
    // The definition summed plainly, without the early end: counts on both sides of the mode.
    for (const [guesses, correct, epsilon] of [
      [20, 19, 0.5],
      [20, 12, 1],
      [40, 25, 0],
    ] as const) {
      const q = 1 / (1 + Math.exp(-epsilon));
      const choose = (k: number): number => (k === 0 ? 1 : (choose(k - 1) * (guesses - k + 1)) / k);
      const pmf = (k: number): number => choose(k) * q ** k * (1 - q) ** (guesses - k);
      const range = (from: number, to: number): number => {
        let sum = 0;
        for (let k = from; k < to; k++) sum += pmf(k);
        return sum;
      };
      const alpha = Math.max(...Array.from({ length: correct }, (_, i) => range(correct - i - 1, correct) / (i + 1)));
      const expected = Math.min(1, range(correct, guesses + 1) + 2 * 50 * 1e-3 * alpha);
      expect(oneRunPValue({ canaries: 50, guesses, correct }, { epsilon, delta: 1e-3 })).toBeCloseTo(expected, 12);
    }
  });

  it("curveOfAGaussian_isNotRefuted_whereEpsilonIsAtMostItsOwn", () => {
    const counts = { canaries: 1000, guesses: 200, correct: 170 };
    const epsilon = oneRunEpsilon(counts, { delta: 1e-5, assume: "gaussian" });
    const refuted = (mu: number) => refutesCurve(counts, (x) => normalCdf(normalQuantile(x) - mu), 0.05);
    const mu = gaussianMu(epsilon, 1e-5);
    expect([refuted(mu - 1e-6), refuted(mu + 1e-6)]).toEqual([true, false]);
    // Sanity of the pair of conversions: the mu of an epsilon has that epsilon.
    expect(gaussianEpsilon(1 / mu, 1e-5)).toBeCloseTo(epsilon, 8);
  });

  it.each([
    [{ canaries: 0, guesses: 0, correct: 0 }, {}, "canaries"],
    [{ canaries: 10, guesses: 11, correct: 1 }, {}, "guesses"],
    [{ canaries: 10, guesses: 5, correct: 6 }, {}, "correct"],
    [{ canaries: 10, guesses: 5, correct: 2.5 }, {}, "correct"],
    [{ canaries: 10, guesses: 5, correct: 5 }, { confidence: 1 }, "confidence"],
    [{ canaries: 10, guesses: 5, correct: 5 }, { delta: -1 }, "delta"],
    [{ canaries: 10, guesses: 5, correct: 5 }, { delta: 0, assume: "gaussian" as const }, "delta"],
  ])("impossible numbers are refused by name %#", (counts, options, parameter) => {
    expect(() => oneRunEpsilon(counts, { delta: 1e-5, ...options })).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-001", fields: { parameter } }),
    );
  });
});

describe("guesses from scores", () => {
  it("declaredGuesses_areHalvesOfHalves_chosenWithoutTheCoins", () => {
    expect(declaredGuesses(1000)).toEqual([1000, 500, 250, 125, 62, 31, 15]);
    expect(declaredGuesses(100_000)).toHaveLength(8);
    expect(declaredGuesses(5)).toEqual([5]);
  });

  it("extremes_areGuessed_andTiesAtTheEdgeAreNot", () => {
    const options = { delta: 0, guessing: 4, confidence: 0.5 };
    expect(auditOneRun([9, 8, 5, 1], [7, 5, 3, 2], options)).toMatchObject({ canaries: 8, guesses: 4, correct: 3 });
    // 5, 5 and 5 stand on the edge: only 9 above and 1 below are beyond it.
    expect(auditOneRun([9, 5, 5], [1, 5, 2], { ...options, guessing: 5 })).toMatchObject({ guesses: 3, correct: 3 });
    expect(auditOneRun([1, 1], [1, 1], { ...options, guessing: "declared" })).toMatchObject({ epsilon: 0, guesses: 0 });
    expect(auditOneRun([9, 8], [7], { ...options, guessing: 2, sides: "in" })).toMatchObject({
      guesses: 2,
      correct: 2,
    });
  });

  it("choiceAmongSeveral_costsConfidence", () => {
    // Every guess right: the bound is log(x / (1 - x)) with x^guesses = significance / candidates.
    const scores = Float64Array.from({ length: 500 }, (_, i) => i);
    const audit = auditOneRun(
      scores.map((s) => s + 1000),
      scores,
      { delta: 0 },
    );
    expect(audit).toMatchObject({ guesses: 1000, correct: 1000, candidates: 7 });
    const x = (0.05 / 7) ** (1 / 1000);
    expect(audit.epsilon).toBeCloseTo(Math.log(x / (1 - x)), 6);
  });

  it.each(["nothing", "gaussian"] as const)(
    "auditOfAGaussianMechanism_staysBelowItsEpsilon_in200Repetitions, assuming %s",
    (assume) => {
      // The exact (epsilon, 1e-5) of unit noise on canaries of length 1: 4.3775. A bound above it is a false alarm, of
      // probability at most 5 %; 20 of 200 or more have probability below 0.2 % even then (binomial tail). Fixed seed.
      const epsilon = gaussianEpsilon(1, 1e-5);
      const coins = seededRandom(7, "one-run audit");
      let [alarms, sum] = [0, 0];
      for (let repetition = 0; repetition < 200; repetition++) {
        const [inside, outside]: [number[], number[]] = [[], []];
        for (let i = 0; i < 400; i++)
          if (coins.uniform() < 0.5) inside.push(1 + coins.gaussian());
          else outside.push(coins.gaussian());
        const audit = auditOneRun(inside, outside, { delta: 1e-5, assume });
        if (audit.epsilon > epsilon) alarms++;
        sum += audit.epsilon;
      }
      expect(alarms).toBeLessThan(20);
      // And it is of use: some epsilon is refuted on average.
      expect(sum / 200).toBeGreaterThan(assume === "gaussian" ? 1 : 0.4);
    },
  );

  it.each([
    [[NaN], [0], {}, "inScores[0]"],
    [[1], [0, Infinity], {}, "outScores[1]"],
    [[], [], {}, "canaries"],
    [[1], [0], { guessing: 3 }, "guesses"],
  ])("unusable scores are refused by name %#", (inside, outside, options, parameter) => {
    expect(() => auditOneRun(inside, outside, { delta: 0, ...options })).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-001", fields: { parameter } }),
    );
  });
});
