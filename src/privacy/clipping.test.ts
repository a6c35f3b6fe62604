import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { completeClipping, nextNorm, sensitivityOf, sumNoiseMultiplier, type AdaptiveClipping } from "./clipping.ts";

const withCode = (code: string) => expect.objectContaining({ code });
const adaptive: AdaptiveClipping = { kind: "adaptive", norm: 1, quantile: 0.5, rate: 0.2, countNoise: 10 };

describe("sensitivityOf", () => {
  it("isTheNorm_andTwiceThatWhereAUnitIsExchanged", () => {
    for (const kind of ["flat", "per-layer"] as const) {
      expect(sensitivityOf({ kind, norm: 3 }, "add-or-remove-one")).toBe(3);
      expect(sensitivityOf({ kind, norm: 3 }, "replace-one")).toBe(6);
    }
    expect(sensitivityOf({ kind: "automatic", norm: 3, gamma: 0.01 }, "add-or-remove-one")).toBe(3);
    expect(sensitivityOf(adaptive, "replace-one", 0.25)).toBe(0.5);
  });
});

describe("sumNoiseMultiplier", () => {
  it("isThePlans_whereNothingElseIsReleased", () => {
    expect(sumNoiseMultiplier({ kind: "flat", norm: 1 }, 1.3)).toBe(1.3);
  });

  it("leavesRoomForTheCount: the joint sensitivity in units of noise is that of the plan", () => {
    // What one unit moves, in deviations of noise: 1 / zSum in the sum, (1/2) / countNoise in the count less one half.
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 50, noNaN: true }),
        fc.double({ min: 1.01, max: 50, noNaN: true }),
        (z, ratio) => {
          const countNoise = (ratio * z) / 2;
          const zSum = sumNoiseMultiplier({ ...adaptive, countNoise }, z);
          expect(Math.hypot(1 / zSum, 0.5 / countNoise) * z).toBeCloseTo(1, 12);
        },
      ),
    );
    // arXiv 1905.03871, theorem 1 with z = 1 and count noise 5: (1 - 1 / 100)^(-1/2).
    expect(sumNoiseMultiplier({ ...adaptive, countNoise: 5 }, 1)).toBeCloseTo(0.99 ** -0.5, 14);
  });
});

describe("nextNorm", () => {
  it("staysAtTheQuantile_fallsWhereTooManyAreWithin_risesWhereTooFewAre", () => {
    expect(nextNorm(adaptive, 2, 0, 100)).toBe(2);
    // All within: the share is 1, so the norm is multiplied by exp(-0.2 (1 - 0.5)); in float32.
    expect(nextNorm(adaptive, 1, 50, 100)).toBe(Math.fround(Math.exp(-0.1)));
    expect(nextNorm(adaptive, 1, -50, 100)).toBe(Math.fround(Math.exp(0.1)));
    expect(nextNorm({ ...adaptive, quantile: 0.9 }, 1, 40, 100)).toBe(1);
  });

  it("stays in the range in which float32 norms can be trusted", () => {
    expect(nextNorm(adaptive, 1, 1e9, 1)).toBe(Math.fround(1e-9));
    expect(nextNorm(adaptive, 1, -1e9, 1)).toBe(1e9);
  });

  it("followsTheQuantileOfItsUnits", () => {
    // Norms 1..99 and a noiseless count: the median is 50.
    const norms = Array.from({ length: 99 }, (_, i) => i + 1);
    let norm = 1;
    for (let step = 0; step < 300; step++)
      norm = nextNorm(adaptive, norm, norms.filter((n) => n <= norm).length - 49.5, 99);
    // It turns around the median in steps of at most exp(0.2 x 1 / 99).
    expect(Math.abs(norm - 50)).toBeLessThan(1);
  });
});

describe("completeClipping", () => {
  it.each<[string, Parameters<typeof completeClipping>, string]>([
    ["a norm of 0", [{ kind: "flat", norm: 0 }, 1, 10], "LG-PRIVACY-001"],
    ["a norm that float32 squares to 0", [{ kind: "flat", norm: 1e-20 }, 1, 10], "LG-PRIVACY-001"],
    ["an infinite norm", [{ kind: "per-layer", norm: Infinity }, 1, 10], "LG-PRIVACY-001"],
    ["gamma 0", [{ kind: "automatic", norm: 1, gamma: 0 }, 1, 10], "LG-PRIVACY-001"],
    ["a quantile of 1", [{ kind: "adaptive", norm: 1, quantile: 1 }, 1, 10], "LG-PRIVACY-001"],
    ["no public batch size for adaptive", [{ kind: "adaptive", norm: 1 }, 1, null], "LG-PRIVACY-001"],
    ["a count that costs everything", [{ kind: "adaptive", norm: 1, countNoise: 0.5 }, 1, 10], "LG-PRIVACY-005"],
  ])("refuses %s", (_, args, code) => {
    expect(() => completeClipping(...args)).toThrow(withCode(code));
  });
});
