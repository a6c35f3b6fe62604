import { describe, expect, it } from "vitest";
import { erf, erfc, log1pExp, logAddExp, logErfc, logExpm1, logNormalCdf, logSumExp } from "./special.ts";

const relativeError = (got: number, expected: number): number =>
  expected === 0 ? Math.abs(got) : Math.abs(got / expected - 1);

/** Every expected value: mpmath 1.3.0 at 40 digits, the function of the same name. */
function expectTable(f: (x: number) => number, table: [number, number][], tolerance: number): void {
  for (const [x, expected] of table) {
    expect(relativeError(f(x), expected), `argument ${x}: ${f(x)} against ${expected}`).toBeLessThan(tolerance);
  }
}

describe("error function", () => {
  it("erf_agreesWithMpmath", () => {
    expectTable(
      erf,
      [
        [1e-10, 1.1283791670955126e-10],
        [0.3, 0.3286267594591274],
        [1, 0.8427007929497149],
        [1.49, 0.9648978648432042],
        [1.51, 0.9672767481287117],
        [3, 0.9999779095030014],
        [-1, -0.8427007929497149],
      ],
      4e-15,
    );
  });

  it("erfc_keepsRelativeAccuracyFarIntoTheTail", () => {
    expectTable(
      erfc,
      [
        [-2, 1.9953222650189526],
        [0.5, 0.4795001221869535],
        [1.49, 0.03510213515679579],
        [1.5, 0.033894853524689274],
        [2.5, 0.0004069520174449589],
        [5, 1.537459794428035e-12],
        [10, 2.088487583762545e-45],
        [26, 5.663192408856143e-296],
      ],
      1e-13,
    );
  });

  it("logErfc_isFiniteWhereErfcUnderflows", () => {
    expectTable(
      logErfc,
      [
        [-3, 0.6931361352504468],
        [1e-3, -0.0011290158896213548],
        [1, -1.8496055099332482],
        [4, -17.987778312103007],
        [100, -10005.177585122665],
        [1e4, -100000009.78270532],
      ],
      1e-14,
    );
    expect(logNormalCdf(0)).toBeCloseTo(-Math.LN2, 15);
  });
});

describe("logarithms of sums", () => {
  it("logSums_neitherOverflowNorCancel", () => {
    // By hand: log(e^1000 + e^1000) = 1000 + log 2, and log(e^-1e9 + 0) = -1e9.
    expect(logAddExp(1000, 1000)).toBeCloseTo(1000 + Math.LN2, 12);
    expect(logAddExp(-1e9, -Infinity)).toBe(-1e9);
    expect(logSumExp([1000, 1000, 1000])).toBeCloseTo(1000 + Math.log(3), 12);
    expect(logSumExp([])).toBe(-Infinity);
    // log(exp(x) - 1) is x for large x and log x + x/2 for small x (Taylor).
    expect(logExpm1(5000)).toBe(5000);
    expect(relativeError(logExpm1(1e-12), Math.log(1e-12) + 5e-13)).toBeLessThan(1e-15);
    expect(log1pExp(5000)).toBe(5000);
    expect(relativeError(log1pExp(-50), Math.exp(-50))).toBeLessThan(1e-15);
  });
});
