import { expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { schemes } from "../schemes/scheme.ts";
import { weakKey } from "../keys.ts";
import { drawWeights } from "../schemes/weights.ts";
import { agreement, patchesOfPixels, pixelsOfPatches } from "./arrays.ts";
import { psnr, ssim } from "./fidelity.ts";
import { searchSeed } from "./seed-search.ts";
import { runAttack } from "./run.ts";
import { drawnImages, shape, small, staged } from "./stage.fixture.ts";
import { stageRelease } from "./view.ts";

// The shuffle and the secret network together hide less than a pair of images in hundred: the published break's finding.
it("neuracryptPatches_areUnshuffled", async () => {
  const { view, truth } = await staged(schemes.neuracrypt);
  const { success, chance } = await runAttack("unshuffle", view, { truth, control: false });
  expect(success!.value).toBeGreaterThan(0.99);
  expect(chance).toBe(1 / 64);
});

it("knownPairs_giveAwayTheOthers", async () => {
  const { view, truth } = await staged(schemes.neuracrypt);
  const { success, valid, verdict } = await runAttack("known-pairs", view, { truth });
  expect(success!.value).toBeGreaterThan(0.9);
  expect(valid).toBe(true);
  expect(verdict).toBe("breaks the release");
});

it("matchingWithoutPairs_breaksLinear", async () => {
  const { view, truth } = await staged(schemes.linear, { known: 0 });
  const { success } = await runAttack("matching", view, { truth, control: false });
  expect(success!.value).toBeGreaterThan(0.9);
});

it("matchingWithoutPairs_breaksNeuracrypt", async () => {
  const { view, truth } = await staged(schemes.neuracrypt, { images: 64, known: 0 });
  const { success, chance, guesswork } = await runAttack("matching", view, { truth, control: false });
  expect(chance).toBe(1 / 64);
  expect(success!.value).toBeGreaterThan(0.9);
  expect(guesswork).toEqual({ ideal: 32.5, attacker: 1 });
});

it("mmd_breaksLinear", async () => {
  const { view, truth } = await staged(schemes.linear, { known: 0 });
  const { success } = await runAttack("mmd", view, { truth, control: false });
  expect(success!.value).toBeGreaterThan(0.9);
});

it("answersOfOtherImages_areNoSuccess", async () => {
  const { view, truth } = await staged(schemes.neuracrypt);
  // The codes of one half with the originals of other images: nothing can be found, and nothing may be claimed.
  const others = await stageRelease({
    pixels: drawnImages(48, 99),
    patients: Array.from({ length: 48 }, (_, i) => i),
    ...{ scheme: small(schemes.neuracrypt), shape, known: 0, seed: 2 },
    random: seededRandom(2, "nonces"),
  });
  const { success, valid } = await runAttack(
    "matching",
    { ...view, known: [], candidates: others.view.candidates },
    { truth, control: false },
  );
  // At most 5 of 48 by luck: P(Poisson(1) > 5) = 6e-4.
  expect(success!.value).toBeLessThan(6 / 48);
  expect(valid).toBeNull();
});

it("aWeakKey_isFoundByTryingSeeds", () => {
  const scheme = { ...small(schemes.linear), patch: 4, outputs: 8 };
  const seed = 777;
  const { first } = drawWeights(scheme, weakKey(seed), { channels: 1, height: 4, width: 4 });
  const random = seededRandom(4, "patch");
  const patch = Float32Array.from({ length: 16 }, () => random.gaussian());
  const code = first.bias.map((b, o) => patch.reduce((sum, x, k) => sum + x * first.weight[o * 16 + k]!, b));
  expect(searchSeed(scheme, patch, code, { bits: 11 }).seed).toBe(seed);
  expect(searchSeed(scheme, patch, code, { bits: 9 })).toEqual({ seed: undefined, next: 512 });
  expect(searchSeed(scheme, patch, code, { bits: 11, from: 700 }).seed).toBe(seed);
});

it("patches_areTheImageCutUp", () => {
  const pixels = Float32Array.from({ length: 2 * 4 * 4 }, (_, i) => i);
  const size = { channels: 1, height: 4, width: 4, side: 2 };
  const cut = patchesOfPixels(pixels, size);
  expect([...cut.data.slice(0, 8)]).toEqual([0, 1, 4, 5, 2, 3, 6, 7]);
  expect([...pixelsOfPatches(cut, size)]).toEqual([...pixels]);
});

it("fidelity_isOneAndInfiniteForEqualImages_andKnownForAShift", () => {
  const a = Float32Array.from({ length: 256 }, (_, i) => (i % 16) / 16);
  const shifted = a.map((x) => x + 0.1);
  expect(ssim(a, a, 16, 16)).toBeCloseTo(1, 12);
  // A constant error of 0.1 has mean square 0.01: 20 dB.
  expect(psnr(a, shifted)).toBeCloseTo(20, 4);
  expect(ssim(a, shifted, 16, 16)).toBeLessThan(1);
});

// scipy.stats.binomtest(3, 4).proportion_ci(): [0.19412, 0.99369]
it("agreement_hasTheExactInterval", () => {
  const { value, low, high } = agreement([1, 2, 3, 9], [1, 2, 3, 4]);
  expect([value, low, high].map((x) => Number(x.toFixed(5)))).toEqual([0.75, 0.19412, 0.99369]);
});
