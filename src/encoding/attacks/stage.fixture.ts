/** Drawn images and small releases of them, for tests of attacks. */
import { seededRandom } from "../../math/random.ts";
import { keyOf } from "../keys.ts";
import type { Scheme } from "../schemes/scheme.ts";
import { stageRelease } from "./view.ts";

export const shape = { channels: 1, height: 64, width: 64 };
export const small = (scheme: Scheme): Scheme => ({
  ...scheme,
  patch: 8,
  width: 96,
  outputs: Math.min(96, scheme.outputs),
});

/**
 * Smooth images that share a template, as chest images do: a few random blobs each on a common shade. Those whose label is
 * 1 have one more blob in the middle, those whose attribute is 1 faint stripes.
 */
export function drawnImages(
  count: number,
  seed: number,
  { labels = [], attribute = [] }: { readonly labels?: readonly number[]; readonly attribute?: readonly number[] } = {},
): Float32Array {
  const random = seededRandom(seed, "blobs");
  const out = new Float32Array(count * 64 * 64);
  for (let i = 0; i < count; i++) {
    const blobs = Array.from({ length: 10 }, () => ({
      y: 64 * random.uniform(),
      x: 64 * random.uniform(),
      size: 4 + 8 * random.uniform(),
      height: 0.3 * random.gaussian(),
    }));
    if (labels[i] === 1) blobs.push({ y: 32, x: 32, size: 6, height: 0.5 });
    for (let y = 0; y < 64; y++)
      for (let x = 0; x < 64; x++) {
        let v = 0.5 + 0.25 * Math.sin(y / 11) * Math.cos(x / 9);
        if (attribute[i] === 1) v += 0.1 * Math.sin(x / 3);
        for (const b of blobs) v += b.height * Math.exp(-((y - b.y) ** 2 + (x - b.x) ** 2) / (2 * b.size ** 2));
        out[i * 4096 + y * 64 + x] = Math.min(1, Math.max(0, v + 0.01 * random.gaussian()));
      }
  }
  return out;
}

const coins = (count: number, seed: number, name: string): number[] => {
  const random = seededRandom(seed, name);
  return Array.from({ length: count }, () => Number(random.uniform() < 0.5));
};

/** A release of drawn images with everything that an attack may ask for. */
export function staged(scheme: Scheme, { images = 48, known = 24 } = {}) {
  const labels = coins(images, 3, "labels");
  const attribute = coins(images, 3, "attribute");
  const outside = coins(64, 4, "labels");
  return stageRelease({
    pixels: drawnImages(images, 3, { labels, attribute }),
    patients: Array.from({ length: images }, (_, i) => i),
    ...{ scheme: small(scheme), shape, known, seed: 1, labels },
    attribute: { name: "stripes", values: attribute },
    outside: { pixels: drawnImages(64, 9, { labels: outside }), labels: outside, targets: 12 },
    key: keyOf(Uint8Array.from({ length: 32 }, (_, i) => (37 * i + 11) % 256)),
    random: seededRandom(1, "nonces"),
  });
}
