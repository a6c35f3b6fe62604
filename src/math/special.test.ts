import { describe, expect, it } from "vitest";
import {
  betaQuantile,
  erf,
  erfc,
  log1pExp,
  logAddExp,
  logBeta,
  logErfc,
  logExpm1,
  logGamma,
  logNormalCdf,
  logSumExp,
  regularizedBeta,
} from "./special.ts";

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

describe("gamma and beta functions", () => {
  it("logGamma_agreesWithMpmath", () => {
    // mpmath 1.3.0 at 40 digits, loggamma; at 1 the value is 0 and the difference is absolute.
    expectTable(
      logGamma,
      [
        [1e-5, 11.512919692895826],
        [0.3, 1.0957979948180756],
        [1, 0],
        [4.5, 2.4537365708424423],
        [9.99, 12.779315214350193],
        [10, 12.80182748008147],
        [123.4, 469.3360974421906],
        [20000, 178065.71824964616],
      ],
      1e-14,
    );
  });

  it("logBeta_agreesWithMpmath_alsoWhereLogGammasCancel", () => {
    // mpmath 1.3.0 at 40 digits, log(beta(a, b)).
    for (const [a, b, expected] of [
      [0.5, 0.5, 1.1447298858494002],
      [2, 3, -2.4849066497880004],
      [5, 1e4, -42.87464787956629],
      [30, 40, -48.30174909591612],
      [1e4, 1e4, -13866.28325676141],
      [1, 1e6, -13.815510557964274],
    ] as const)
      expect(relativeError(logBeta(a, b), expected), `${a}, ${b}`).toBeLessThan(1e-14);
  });

  it("regularizedBeta_agreesWithSumsOfBinomialTerms", () => {
    // Sums of binomial terms with mpmath 1.3.0 at 50 digits; the last two by betainc(..., regularized=True) at 40.
    for (const [x, a, b, expected] of [
      [0.5, 50, 51, 0.5397946186935894],
      [0.73, 800, 201, 1.6951990014502285e-7],
      [0.5, 10000, 10001, 0.5028209126561102],
      [0.52, 10000, 10001, 0.999999992702671],
      [0.4, 10000, 10001, 8.718431753596163e-180],
      [1e-6, 3, 100000, 0.00015465782069545682],
      [0.3, 2.5, 0.7, 0.029814024845250465],
      [0.9, 2, 3, 0.9963],
    ] as const)
      expect(relativeError(regularizedBeta(x, a, b), expected), `${x}, ${a}, ${b}`).toBeLessThan(2e-11);
    expect([regularizedBeta(0, 2, 3), regularizedBeta(1, 2, 3), regularizedBeta(-1, 2, 3)]).toEqual([0, 1, NaN]);
  });

  it("betaQuantile_agreesWithScipy", () => {
    // scipy 1.17, stats.beta.ppf(p, a, b).
    for (const [p, a, b, expected] of [
      [0.025, 1, 20, 0.0012650894979498038],
      [0.975, 1, 20, 0.1684334709830853],
      [0.025, 45, 6, 0.7818646335657977],
      [0.05, 500, 1, 0.9940264484836504],
      [0.95, 1, 500, 0.005973551516349557],
      [0.025, 3, 99998, 6.186763958922033e-6],
      [0.5, 2.5, 0.7, 0.841502178841484],
      [1e-6, 10, 10, 0.08614319020886935],
    ] as const)
      expect(relativeError(betaQuantile(p, a, b), expected), `${p}, ${a}, ${b}`).toBeLessThan(1e-11);
    expect([betaQuantile(0, 2, 3), betaQuantile(1, 2, 3), betaQuantile(1.5, 2, 3)]).toEqual([0, 1, NaN]);
  });
});
