import { describe, expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { gaussianEpsilon } from "../gaussian.ts";
import { clopperPearson, manyRunEpsilon } from "./clopper-pearson.ts";

describe("audits of many trainings", () => {
  // scipy 1.17: beta.ppf(t, k, n - k + 1) and beta.ppf(1 - t, k + 1, n - k) with t = (1 - level) / 2.
  it.each([
    [0, 10, 0.95, 0, 0.3084971078187607],
    [3, 10, 0.95, 0.0667395111777345, 0.6524528500599973],
    [10, 10, 0.95, 0.6915028921812392, 1],
    [490, 500, 0.9, 0.9663117276688555, 0.9891100986982001],
    [1, 100000, 0.95, 2.531780477933316e-7, 5.571516034774275e-5],
  ])("interval of %d of %d at %d", (successes, trials, level, low, high) => {
    const interval = clopperPearson(successes, trials, { level });
    expect(Math.abs(interval.low - low)).toBeLessThanOrEqual(1e-10 * low);
    expect(Math.abs(interval.high - high)).toBeLessThanOrEqual(1e-10 * high);
  });

  // scipy 1.17: the larger of log((t - d) / f) and log((1 - f - d) / (1 - t)), 0 where both are negative, with
  // t = beta.ppf(.025, tp, n - tp + 1) and f = beta.ppf(.975, fp + 1, n - fp).
  it.each([
    [500, 400, 50, 1e-5, 1.7709124468898378],
    [500, 500, 0, 0, 4.905594210033939],
    [500, 480, 300, 1e-3, 1.7617056307855725],
    [100, 50, 50, 1e-5, 0],
  ])(
    "epsilon of %d and as many, %d caught, %d accused, delta %d",
    (n, truePositives, falsePositives, delta, expected) => {
      const audit = manyRunEpsilon({ ins: n, truePositives, outs: n, falsePositives }, { delta });
      expect(audit.epsilon).toBeCloseTo(expected, 9);
    },
  );

  it("boundOfAGaussianMechanism_staysBelowItsEpsilon_andComesNear", () => {
    // mu = 1, delta 1e-5: epsilon 4.3775. The bound exceeds it with probability at most 5 % an audit: 20 or more of 200 have
    // probability below 0.2 % (binomial tail). Fixed seed.
    const [coins, epsilon] = [seededRandom(3, "many-run audit"), gaussianEpsilon(1, 1e-5)];
    let [alarms, sum] = [0, 0];
    for (let repetition = 0; repetition < 200; repetition++) {
      const counts = { ins: 1000, outs: 1000, truePositives: 0, falsePositives: 0 };
      for (let i = 0; i < 1000; i++) {
        // A rule fixed beforehand: in above 2.
        if (1 + coins.gaussian() > 2) counts.truePositives++;
        if (coins.gaussian() > 2) counts.falsePositives++;
      }
      const audit = manyRunEpsilon(counts, { delta: 1e-5 });
      if (audit.epsilon > epsilon) alarms++;
      sum += audit.epsilon;
    }
    expect(alarms).toBeLessThan(20);
    // At these thresholds log(TPR / FPR) is log(0.15866 / 0.02275) = 1.94; the exact bounds cost about a quarter of it.
    expect(sum / 200).toBeGreaterThan(1.2);
  });

  it.each([
    [{ ins: 0, truePositives: 0, outs: 1, falsePositives: 0 }, "trials"],
    [{ ins: 5, truePositives: 6, outs: 1, falsePositives: 0 }, "successes"],
  ])("impossible counts are refused by name %#", (counts, parameter) => {
    expect(() => manyRunEpsilon(counts, { delta: 0 })).toThrow(
      expect.objectContaining({ code: "LG-PRIVACY-001", fields: { parameter } }),
    );
  });
});
