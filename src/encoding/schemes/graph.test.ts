import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEngine, type Engine } from "../../runtime/index.ts";
import { startEncoder } from "../encode.ts";
import { keyOf } from "../keys.ts";
import { drawWeights, encoderGraphOf, schemeNames, schemes, secretParameters, type Scheme } from "./index.ts";

const secret = (seed: number): { secret: Uint8Array } => keyOf(new Uint8Array(32).fill(seed));
const small: Scheme = { ...schemes.neuracrypt, patch: 8, width: 64, outputs: 64 };
const shape = { channels: 1, height: 32, width: 24 };

describe("schemes", () => {
  // Counts of the published network, section 14 of its specification: 526,336 + d x 4,200,448 + 524,288 + 4,196,352.
  it.each([
    [0, 5_246_976],
    [4, 22_048_768],
    [44, 190_066_688],
  ])("parametersAtDepth_areThePublishedOnes: %i", (depth, count) => {
    const whole = { channels: 1, height: 256, width: 256 };
    expect(secretParameters({ ...schemes.neuracrypt, depth }, whole)).toBe(count);
  });
});

describe("encoderGraph", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 2 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });
  const images = (n: number, s = shape): Float32Array =>
    Float32Array.from({ length: n * s.channels * s.height * s.width }, (_, i) => ((i * 2654435761) % 1009) / 1009);
  const encoded = async (scheme: Scheme, pixels: Float32Array, seed = 1, s = shape): Promise<Float32Array> => {
    await using encoder = await startEncoder(engine, scheme, secret(seed), s);
    return await encoder.encode(pixels);
  };

  it("reference_isTheFormulaOfThePublishedCode", async () => {
    // fixtures/encoder.py: torch 2, weights and input with the output.
    const f = JSON.parse(readFileSync(new URL("../fixtures/encoder.json", import.meta.url), "utf8")) as {
      [name in "patch" | "width" | "depth" | "outputs" | "side" | "rows"]: number;
    } & { [name in "first" | "last"]: { weight: number[]; bias: number[] } } & {
      hidden: { weight: number[]; bias: number[] }[];
      position: number[];
      image: number[];
      encodings: number[];
    };
    const scheme = {
      ...schemes["neuracrypt-reference"],
      ...{ patch: f.patch, width: f.width, depth: f.depth, outputs: f.outputs },
    };
    const arrays = (a: { weight: number[]; bias: number[] }) => ({
      weight: Float32Array.from(a.weight),
      bias: Float32Array.from(a.bias),
    });
    const graph = encoderGraphOf(
      scheme,
      {
        ...{ first: arrays(f.first), hidden: f.hidden.map(arrays), last: arrays(f.last) },
        ...{ statistics: [], signs: [], position: Float32Array.from(f.position) },
      },
      { rows: f.rows, channels: 1, height: f.side, width: f.side },
    );
    await using program = await engine.load(graph);
    const { encodings } = await program.run({
      image: { data: Float32Array.from(f.image), shape: [f.rows, 1, f.side, f.side] },
    });
    expect(encodings!.shape).toEqual([f.rows, (f.side / f.patch) ** 2, f.outputs]);
    const worst = Math.max(...f.encodings.map((v, i) => Math.abs(v - (encodings!.data as Float32Array)[i]!)));
    expect(worst).toBeLessThan(1e-4);
  });

  it("encoding_dependsOnKeyAndImageAlone_notOnWhatIsEncodedWithIt", async () => {
    const pixels = images(32);
    const size = pixels.length / 32;
    const whole = await encoded(small, pixels);
    const inParts = async (batch: number): Promise<number[]> => {
      await using encoder = await startEncoder(engine, small, secret(1), shape);
      const out: number[] = [];
      for (let i = 0; i < 32; i += batch)
        out.push(...(await encoder.encode(pixels.subarray(i * size, (i + batch) * size))));
      return out;
    };
    // To the bit.
    for (const batch of [1, 7, 32]) expect(await inParts(batch)).toEqual([...whole]);
    // An image's bytes do not depend on its row either.
    const last = pixels.slice(31 * size);
    expect([...(await encoded(small, last))]).toEqual([...whole.subarray(-whole.length / 32)]);
  });

  it("reference_dependsOnItsBatchMates", async () => {
    const scheme = { ...small, normalisation: "batch" as const };
    const pixels = images(4);
    const together = await encoded(scheme, pixels);
    const alone = await encoded(scheme, pixels.slice(0, pixels.length / 4));
    expect([...alone]).not.toEqual([...together.subarray(0, alone.length)]);
  });

  it("otherKeys_shareNothing", async () => {
    const [a, b] = [await encoded(small, images(4), 1), await encoded(small, images(4), 2)];
    const mean = (x: Float32Array): number => x.reduce((s, v) => s + v, 0) / x.length;
    const [ma, mb] = [mean(a), mean(b)];
    let [ab, aa, bb] = [0, 0, 0];
    a.forEach((v, i) => {
      ab += (v - ma) * (b[i]! - mb);
      aa += (v - ma) ** 2;
      bb += (b[i]! - mb) ** 2;
    });
    // 64 independent output units: the correlation's deviation is about 1 / sqrt(64); the keys are fixed.
    expect(Math.abs(ab / Math.sqrt(aa * bb))).toBeLessThan(0.4);
  });

  it("fixedStatistics_areOfTheKey_andNormaliseWhatTheyWereTakenFrom", () => {
    const weights = drawWeights(small, secret(1), shape);
    expect(weights.statistics.length).toBe(small.depth);
    expect(drawWeights(small, secret(1), { channels: 1, height: 8, width: 8 }).statistics).toEqual(weights.statistics);
    for (const { mean, variance } of weights.statistics) {
      expect(mean.length).toBe(64);
      expect(Math.min(...variance)).toBeGreaterThan(0);
    }
  });

  it.each(schemeNames)("scheme_givesItsShapeForAnySizeAndChannels: %s", async (name) => {
    const scheme = { ...schemes[name], patch: 8, width: 16, outputs: 12, depth: schemes[name].linear ? 0 : 2 };
    const odd = { channels: 3, height: 19, width: 33 };
    const y = await encoded(scheme, images(2, odd), 1, odd);
    expect(y.length).toBe(2 * 3 * 5 * 12);
    expect(y.every(Number.isFinite)).toBe(true);
    expect(new Set(y.subarray(0, 12)).size).toBeGreaterThan(6);
  });

  it("keyedSignsAndMixing_changeWhatTheyShould", async () => {
    const constant = new Float32Array(32 * 24).fill(0.5);
    const patch = (y: Float32Array, p: number): number[] => [...y.subarray(p * 64, (p + 1) * 64)];
    const removed = await encoded({ ...small, position: { kind: "none" } }, constant);
    expect(patch(removed, 0)).toEqual(patch(removed, 1));
    for (const scheme of [small, { ...small, position: { kind: "keyed" as const } }]) {
      const placed = await encoded(scheme, constant);
      expect(patch(placed, 0)).not.toEqual(patch(placed, 1));
    }
    // With mixing, one patch's pixels change every released vector; without, only its own.
    const other = constant.slice();
    other[0] = 1;
    const changed = async (scheme: Scheme): Promise<number> => {
      const [a, b] = [await encoded(scheme, constant), await encoded(scheme, other)];
      return [...Array(12).keys()].filter((p) => patch(a, p).some((v, i) => v !== patch(b, p)[i])).length;
    };
    expect(await changed(small)).toBe(1);
    expect(await changed({ ...small, mixing: true })).toBe(12);
  });
});
