import { expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { weakKey } from "../keys.ts";
import { schemes } from "../schemes/scheme.ts";
import { drawWeights } from "../schemes/weights.ts";
import { searchSeed } from "./seed-search.ts";

it("aSeedOf20Bits_isFound", () => {
  const scheme = { ...schemes.linear, patch: 4, width: 8, outputs: 8 };
  const seed = 2 ** 20 - 12345;
  const { first } = drawWeights(scheme, weakKey(seed), { channels: 1, height: 4, width: 4 });
  const random = seededRandom(4, "patch");
  const patch = Float32Array.from({ length: 16 }, () => random.gaussian());
  const code = first.bias.map((b, o) => patch.reduce((sum, x, k) => sum + x * first.weight[o * 16 + k]!, b));
  expect(searchSeed(scheme, patch, code, { bits: 20 }).seed).toBe(seed);
}, 600_000);
