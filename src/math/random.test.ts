import { describe, expect, it } from "vitest";
import { fillGaussian, type RandomSource, secureRandom, seededRandom, shuffle } from "./random.ts";
import { erfc } from "./special.ts";

const normalCdf = (x: number): number => 0.5 * erfc(-x / Math.SQRT2);

/** Words of a stream, as an array. */
function wordsOf(source: RandomSource, count: number): Uint32Array {
  const out = new Uint32Array(count);
  source.words(out);
  return out;
}

// z-scores and the Kolmogorov-Smirnov statistic below have these false-alarm rates for a correct generator:
// |z| > 6.1 has probability 1.1e-9; sqrt(n) D > 3.27 has at most 2 exp(-2 * 3.27^2) = 1.1e-9 (Massart 1990).
// The count beyond 4 standard deviations has mean 66 and is Poisson rather than normal: for it, 1e-7.
const Z_LIMIT = 6.1;
const KS_LIMIT = 3.27;

const sources: [string, () => RandomSource][] = [
  ["secure", () => secureRandom()],
  ["seeded", () => seededRandom(20260, "test")],
];

describe.each(sources)("%s source", (_, makeSource) => {
  it("fillGaussian_followsTheNormalDistribution [false alarms: 7 checks of 1.1e-9]", () => {
    const n = 1 << 20;
    const x = new Float32Array(n);
    fillGaussian(makeSource(), x, 1);

    x.sort();
    let distance = 0;
    for (let i = 0; i < n; i++) {
      const p = normalCdf(x[i]!);
      distance = Math.max(distance, (i + 1) / n - p, p - i / n);
    }
    expect(Math.sqrt(n) * distance).toBeLessThan(KS_LIMIT);

    // Moments of the standard normal: E x^k and the variance of x^k are from E x^2m = (2m - 1)!!.
    const moments: [power: number, mean: number, variance: number][] = [
      [1, 0, 1],
      [2, 1, 2],
      [3, 0, 15],
      [4, 3, 96],
    ];
    for (const [power, mean, variance] of moments) {
      let sum = 0;
      for (const value of x) sum += value ** power;
      expect(Math.abs(sum / n - mean) / Math.sqrt(variance / n), `moment ${power}`).toBeLessThan(Z_LIMIT);
    }

    // Counts beyond 2 and 4 standard deviations; the second lies wholly in the tail beyond the last layer.
    for (const limit of [2, 4]) {
      const p = erfc(limit / Math.SQRT2);
      const count = x.reduce((total, value) => total + (Math.abs(value) > limit ? 1 : 0), 0);
      expect(Math.abs(count - n * p) / Math.sqrt(n * p), `beyond ${limit}`).toBeLessThan(Z_LIMIT);
    }
  });

  it("fillGaussian_hasTheExactShapeBeyondTheLastLayer [false alarms: 2 of 1.1e-9, 1 of about 1e-8]", () => {
    const source = makeSource();
    const start = 3.6541528853610088;
    const excess: number[] = [];
    const block = new Float32Array(1 << 20);
    for (let round = 0; round < 16; round++) {
      fillGaussian(source, block, 1);
      for (const value of block) if (Math.abs(value) > start) excess.push(Math.abs(value) - start);
    }
    const n = 16 * block.length;
    const mass = erfc(start / Math.SQRT2);
    expect(Math.abs(excess.length - n * mass) / Math.sqrt(n * mass)).toBeLessThan(Z_LIMIT);

    // Mean and variance of a normal beyond a point follow from its hazard there. An exponential tail would have mean
    // 1 / start = 0.274 instead of 0.239, which is 9 standard errors here.
    const hazard = (Math.sqrt(2 / Math.PI) * Math.exp(-0.5 * start * start)) / mass;
    const mean = hazard - start;
    const variance = 1 - hazard * mean;
    const got = excess.reduce((sum, value) => sum + value, 0) / excess.length;
    expect(Math.abs(got - mean) / Math.sqrt(variance / excess.length)).toBeLessThan(Z_LIMIT);

    excess.sort((a, b) => a - b);
    let distance = 0;
    excess.forEach((value, i) => {
      const p = 1 - erfc((start + value) / Math.SQRT2) / mass;
      distance = Math.max(distance, (i + 1) / excess.length - p, p - i / excess.length);
    });
    expect(Math.sqrt(excess.length) * distance).toBeLessThan(KS_LIMIT);
  });

  it("gaussian_hasUnitVarianceAndNoCorrelationWithItsPredecessor [false alarms: 2 of 1.1e-9]", () => {
    const source = makeSource();
    const n = 200_000;
    let [squares, products, previous] = [0, 0, source.gaussian()];
    for (let i = 0; i < n; i++) {
      const x = source.gaussian();
      squares += x * x;
      products += x * previous;
      previous = x;
    }
    expect(Math.abs(squares / n - 1) / Math.sqrt(2 / n)).toBeLessThan(Z_LIMIT);
    expect(Math.abs(products / n) / Math.sqrt(1 / n)).toBeLessThan(Z_LIMIT);
  });

  it("uniform_liesInTheHalfOpenUnitIntervalWithTheRightMean [false alarm: 1.1e-9]", () => {
    const source = makeSource();
    const n = 100_000;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const u = source.uniform();
      expect(u >= 0 && u < 1 && Number.isInteger(u * 2 ** 53)).toBe(true);
      sum += u;
    }
    expect(Math.abs(sum / n - 0.5) / Math.sqrt(1 / 12 / n)).toBeLessThan(Z_LIMIT);
  });

  it("integer_isUnbiasedWhereAModuloWouldFavourSmallValues [false alarms: 2 of 1.1e-9]", () => {
    const source = makeSource();
    const n = 30_000;
    // A plain modulo of 32 bits by 3 * 2^30 would give values below 2^30 with probability 1/2 instead of 1/3.
    for (const range of [3 * 2 ** 30, 3 * 2 ** 51]) {
      let low = 0;
      for (let i = 0; i < n; i++) {
        const value = source.integer(range);
        expect(Number.isInteger(value) && value >= 0 && value < range).toBe(true);
        if (value < range / 3) low++;
      }
      expect(Math.abs(low - n / 3) / Math.sqrt((n * 2) / 9)).toBeLessThan(Z_LIMIT);
    }
    expect(source.integer(1)).toBe(0);
    expect(() => source.integer(0)).toThrow(/integer from 1/);
  });

  it("bytes_andWords_coverMoreThanOneCryptoBlockWithEveryBitBalanced [false alarms: 9 of 1.1e-9]", () => {
    const bytes = makeSource().bytes(200_001);
    expect(bytes).toHaveLength(200_001);
    for (let bit = 0; bit < 8; bit++) {
      const ones = bytes.reduce((total, byte) => total + ((byte >> bit) & 1), 0);
      expect(Math.abs(ones - bytes.length / 2) / Math.sqrt(bytes.length / 4), `bit ${bit}`).toBeLessThan(Z_LIMIT);
    }
    const words = wordsOf(makeSource(), 40_000);
    const late = words.subarray(30_000).reduce((total, word) => total + (word >>> 31), 0);
    expect(Math.abs(late - 5000) / 50).toBeLessThan(Z_LIMIT);
  });

  it("shuffle_givesEveryOrderEquallyOften [false alarm: 24 checks of 1.1e-9]", () => {
    const source = makeSource();
    const counts = new Map<string, number>();
    const n = 24_000;
    for (let i = 0; i < n; i++) {
      const order = shuffle([0, 1, 2, 3], source).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    for (const count of counts.values()) expect(Math.abs(count - 1000) / Math.sqrt(1000)).toBeLessThan(Z_LIMIT);
  });

  it("dispose_endsTheSource", () => {
    const source = makeSource();
    source.uint32();
    source[Symbol.dispose]();
    expect(() => source.uint32()).toThrow(/disposed/);
    expect(() => source.words(new Uint32Array(2))).toThrow(/disposed/);
  });
});

describe("secureRandom", () => {
  it("declaresItselfSecure_andSeededDoesNot", () => {
    expect(secureRandom().secure).toBe(true);
    expect(seededRandom(1).secure).toBe(false);
  });

  it("neverRepeatsItself [false alarm: 2^-128]", () => {
    expect(wordsOf(secureRandom(), 4)).not.toEqual(wordsOf(secureRandom(), 4));
  });
});

describe("seededRandom", () => {
  it("samePath_sameNumbers", () => {
    const draw = (): number[] => {
      const source = seededRandom("trial", "noise", 7);
      const block = new Float32Array(1000);
      fillGaussian(source, block, 2);
      return [source.uint32(), source.uniform(), source.gaussian(), source.integer(10), ...source.bytes(3), ...block];
    };
    expect(draw()).toEqual(draw());
  });

  it("streams_stayTheSameFromVersionToVersion", () => {
    // Recorded from this implementation when it was first committed: a change breaks every resumable run.
    expect([...wordsOf(seededRandom(1, "noise", 0), 4)]).toEqual([4103414712, 180144919, 1968378285, 469001787]);
  });

  it("differentPaths_differInHalfTheirBits [false alarm: 1.1e-9 a pair, 4950 + 4 pairs]", () => {
    const first = (seed: number | string, ...path: (number | string)[]): Uint32Array =>
      wordsOf(seededRandom(seed, ...path), 32);
    const differingBits = (a: Uint32Array, b: Uint32Array): number => {
      let bits = 0;
      for (let i = 0; i < a.length; i++) for (let x = a[i]! ^ b[i]!; x !== 0; x &= x - 1) bits++;
      return bits;
    };
    const pairs: [Uint32Array, Uint32Array][] = [
      [first(1, "a", "b"), first(1, "a,b")],
      [first(1), first("1")],
      [first(1, 2, 3), first(1, 23)],
      [first(1, "noise", 1), first(1, "batch", 1)],
    ];
    const steps = Array.from({ length: 100 }, (_, step) => first(1, "noise", step));
    steps.forEach((a, i) => steps.slice(0, i).forEach((b) => pairs.push([a, b])));
    for (const [a, b] of pairs) {
      // 1024 fair bits: mean 512, standard deviation 16.
      expect(Math.abs(differingBits(a, b) - 512) / 16).toBeLessThan(Z_LIMIT);
    }
  });

  it("refusesAPathThatIsNotANumberOrText", () => {
    expect(() => seededRandom(1, NaN)).toThrow(/finite/);
  });
});

describe("fillGaussian", () => {
  it("scalesBySigma_andGivesZerosForZero", () => {
    const [one, three, zero] = [1, 3, 0].map((sigma) => {
      const out = new Float32Array(100);
      fillGaussian(seededRandom(5), out, sigma);
      return out;
    });
    // One rounding to float32 on each side: 2^-24 relative each.
    one!.forEach((value, i) => expect(Math.abs(three![i]! / (3 * value) - 1)).toBeLessThan(1.2e-7));
    expect(zero!.every((value) => value === 0)).toBe(true);
    expect(() => fillGaussian(seededRandom(5), new Float32Array(1), NaN)).toThrow(/standard deviation/);
  });

  it("theZigguratsClose: the top layer ends where the density does", () => {
    // Restates the table: 255 equal areas stacked on the tail must reach height 1 at x = 0, or TAIL_START is wrong.
    const bell = (x: number): number => Math.exp(-0.5 * x * x);
    const start = 3.6541528853610088;
    const area = start * bell(start) + Math.sqrt(Math.PI / 2) * erfc(start / Math.SQRT2);
    let x = start;
    for (let layer = 1; layer < 255; layer++) x = Math.sqrt(-2 * Math.log(bell(x) + area / x));
    expect(bell(x) + area / x).toBeCloseTo(1, 12);
  });
});
