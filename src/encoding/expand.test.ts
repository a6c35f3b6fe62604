import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { expandTensor, expandWords, normalQuantileExact } from "./expand.ts";
import { fingerprintOf, keyOf, makeKey, subsetKey, weakKey, weaknessOf } from "./keys.ts";
import { releasedEncoding, shufflePermutation } from "./nonce.ts";
import { schemes } from "./schemes/index.ts";

// Written by fixtures/expand.py, which has HKDF and ChaCha20 of its own and takes quantiles from scipy.
const fixture = JSON.parse(readFileSync(new URL("./fixtures/expand.json", import.meta.url), "utf8")) as {
  secret: string;
  fingerprint: string;
  subsetNorth: string;
  words: number[];
  uniformBits: number[];
  uniformSha256: string;
  normalBits: number[];
  normal: number[];
  normalSha256: string;
};
const key = keyOf(Uint8Array.from(Buffer.from(fixture.secret, "hex")));
const bitsOf = (x: Float32Array): number[] => [...new Uint32Array(x.buffer, x.byteOffset, x.length)];
const ends = <T>(values: ArrayLike<T>): T[] => [...Array.from(values).slice(0, 4), ...Array.from(values).slice(-4)];
const sha256 = (x: Float32Array): string =>
  createHash("sha256")
    .update(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
    .digest("hex");

describe("expandTensor", () => {
  it("words_areThoseOfAnotherImplementation_beyondTheFirstBlockToo", () => {
    expect(ends(expandWords(key.secret, "first.weight", 70_000))).toEqual(fixture.words);
  });

  it("uniformAndNormal_areBitExact", () => {
    const uniform = expandTensor(key, "first.weight", [70_000], { kind: "uniform", bound: 0.0625 });
    expect(ends(bitsOf(uniform))).toEqual(fixture.uniformBits);
    expect(sha256(uniform)).toBe(fixture.uniformSha256);
    const normal = expandTensor(key, "position", [4000], { kind: "normal", deviation: 1 });
    expect(bitsOf(normal).slice(0, 8)).toEqual(fixture.normalBits);
    expect(sha256(normal)).toBe(fixture.normalSha256);
  });

  it("normalQuantile_agreesWithScipy", () => {
    const words = expandWords(key.secret, "position", 16);
    // Relative 1e-14: AS 241 states about 1e-16, scipy's own error is of the order of 1e-15.
    words.forEach((w, i) => {
      const z = normalQuantileExact((w + 0.5) / 2 ** 32);
      expect(Math.abs(z / fixture.normal[i]! - 1)).toBeLessThan(1e-14);
    });
    // scipy 1.16: norm.ppf(2**-33), the furthest that occurs.
    expect(normalQuantileExact(2 ** -33)).toBeCloseTo(-6.3379577545537895, 13);
  });

  it("tensorsOfOtherNamesAndKeys_areUncorrelated", () => {
    const n = 20_000;
    const draw = (k: typeof key, name: string): Float32Array =>
      expandTensor(k, name, [n], { kind: "normal", deviation: 1 });
    const correlation = (a: Float32Array, b: Float32Array): number => a.reduce((s, v, i) => s + v * b[i]!, 0) / n;
    const other = keyOf(Uint8Array.from(key.secret, (b, i) => (i === 0 ? b ^ 1 : b)));
    // Of independent draws the deviation is 1 / sqrt(n) = 0.007; six of them.
    expect(Math.abs(correlation(draw(key, "a"), draw(key, "b")))).toBeLessThan(0.042);
    expect(Math.abs(correlation(draw(key, "a"), draw(other, "a")))).toBeLessThan(0.042);
  });
});

describe("keys", () => {
  it("fingerprintAndSubsets_areThoseOfAnotherImplementation", () => {
    expect(fingerprintOf(key)).toBe(fixture.fingerprint);
    expect(key.id).toBe(fixture.fingerprint.slice(0, 16));
    expect(Buffer.from(subsetKey(key, "north").secret).toString("hex")).toBe(fixture.subsetNorth);
  });

  it("freshKeys_differ_andNothingSpeaksAgainstThem", () => {
    const [a, b] = [makeKey(), makeKey()];
    expect(a.id).not.toBe(b.id);
    expect(weaknessOf(a)).toBeUndefined();
  });

  it.each([
    ["a 32-bit seed", weakKey(123_456)],
    ["the same, called a system key", keyOf(weakKey(0xfedcba98).secret)],
    ["a seeded generator", makeKey(seededRandom(1))],
    ["all zeros", keyOf(new Uint8Array(32))],
    ["counting bytes", key],
  ])("weakKeys_areKnown: %s", (_, weak) => {
    expect(weaknessOf(weak)).toBeDefined();
  });

  it("secretsOfAnotherLength_areRefused", () => {
    expect(() => keyOf(new Uint8Array(31))).toThrow(/31 bytes; 32/);
  });
});

describe("nonces", () => {
  it("shufflePermutation_isAPermutation_sameForSameNonce_otherForOther", () => {
    const nonce = new Uint8Array(32).fill(7);
    const order = shufflePermutation(nonce, 256);
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(256).keys()]);
    expect(shufflePermutation(nonce, 256)).toEqual(order);
    expect(shufflePermutation(new Uint8Array(32).fill(8), 256)).not.toEqual(order);
  });

  it("shufflePermutation_sendsEveryPatchEverywhereEquallyOften", () => {
    const counts = new Float64Array(16);
    const n = 4000;
    for (let i = 0; i < n; i++) {
      const nonce = new Uint8Array(32);
      new DataView(nonce.buffer).setUint32(0, i);
      const order = shufflePermutation(nonce, 4);
      order.forEach((patch, place) => counts[4 * place + patch]!++);
    }
    const chiSquare = counts.reduce((s, c) => s + (c - n / 4) ** 2 / (n / 4), 0);
    // Sum over a doubly stochastic 4 x 4 table: 9 degrees of freedom; its 99.99 % point is 33.7 (chi2.ppf). The seeds are fixed.
    expect(chiSquare).toBeLessThan(33.7);
  });

  it("releasedEncoding_dropsShufflesAndKeepsTheNorm", () => {
    const shape = { channels: 1, height: 64, width: 64 };
    const encoding = Float32Array.from({ length: 16 * 2 }, (_, i) => i);
    const dropped = releasedEncoding({ ...schemes.dropped, outputs: 2 }, shape, encoding, new Uint8Array(32));
    expect(dropped.length).toBe(8 * 2);
    const patches = Array.from({ length: 8 }, (_, j) => dropped[2 * j]! / 2);
    expect(new Set(patches).size).toBe(8);
    patches.forEach((p, j) => expect(dropped[2 * j + 1]).toBe(2 * p + 1));
    const noisy = { ...schemes.noisy, outputs: 2, noise: { deviation: 1e-6, clip: 1 } };
    const released = releasedEncoding(noisy, shape, encoding, new Uint8Array(32));
    expect(Math.sqrt(released.reduce((s, v) => s + v * v, 0))).toBeCloseTo(1, 4);
  });
});
