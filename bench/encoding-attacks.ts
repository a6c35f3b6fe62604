/**
 * What the closed-form attacks take from encodings of real chest x-rays: un-shuffling, known pairs, no pair. Run as
 *   node bench/encoding-attacks.ts OUT.json [--depth 0,4,10] [--width 512] [--position 1] [--noise 0]
 * and the picture sheets are written beside OUT.json. Rows already in OUT.json are kept: it can be interrupted.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openCohort, openImages } from "../src/cohort/index.ts";
import {
  agreement,
  centred,
  meanImage,
  patchesOfPixels,
  pick,
  pixelsOfPatches,
  reorder,
  vectors,
} from "../src/encoding/attacks/arrays.ts";
import { decode, nearest, similarity } from "../src/encoding/attacks/decoder.ts";
import { psnr, ssim } from "../src/encoding/attacks/fidelity.ts";
import { breakByKnownPairs } from "../src/encoding/attacks/known-pairs.ts";
import { startProducts } from "../src/encoding/attacks/products.ts";
import { pictureSheet } from "../src/encoding/attacks/sheet.ts";
import { unshuffle, unshuffleSuccess } from "../src/encoding/attacks/unshuffle.ts";
import { breakUnpaired } from "../src/encoding/attacks/unpaired.ts";
import { seededRandom, shuffle } from "../src/math/random.ts";
import { mean } from "../src/math/statistics.ts";
import { randomEncodings, shuffledOrders } from "../test/support/random-encoder.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    depth: { type: "string", default: "0,4,10" },
    width: { type: "string", default: "512" },
    position: { type: "string", default: "1" },
    noise: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    data: { type: "string", default: "../shared/data/nih-cxr-256" },
  },
});
const out = positionals[0] ?? "encoding-attacks.json";
const [width, position, noise, seed] = [values.width, values.position, values.noise, values.seed].map(Number) as [
  number,
  number,
  number,
  number,
];
const rows: Record<string, unknown>[] = existsSync(out)
  ? (JSON.parse(readFileSync(out, "utf8")) as Record<string, unknown>[])
  : [];

const [challenge, held, known] = [128, 32, 32];
const cohort = await openCohort(values.data);
const firsts = [...Map.groupBy(cohort.records.keys(), (i) => cohort.records[i]!.patientId).values()].map((i) => i[0]!);
const chosen = shuffle(firsts, seededRandom(seed, "patients")).slice(0, challenge + held + 40);
const store = openImages(cohort, { size: 256, normalise: "none" });
const pixels = await store.readBatch(chosen);
const shape = { channels: 1, height: 256, width: 256, side: 16 };
const all = patchesOfPixels(pixels, shape);
// Public statistics: images of other patients, beyond those that are encoded.
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => from + k);
const publicSet = pick(all, range(challenge + held, challenge + held + 40));
const centre = mean(publicSet.data);
const scale = Math.sqrt(mean(publicSet.data.map((x) => (x - centre) ** 2)));
const standard = (set: typeof all) => ({ ...set, data: set.data.map((x) => (x - centre) / scale) });
const originals = standard(pick(all, range(0, challenge + held)));

for (const depth of values.depth.split(",").map(Number)) {
  const name = `depth ${depth}, width ${width}, position x${position}, noise ${noise}, seed ${seed}`;
  if (rows.some((row) => row["name"] === name)) continue;
  await using products = await startProducts();
  const plain = await randomEncodings(
    originals,
    standard(publicSet),
    { width, depth, position, noise, seed },
    products,
  );
  const positions = shuffledOrders(plain.images, plain.patches, seed);
  const shuffled = reorder(plain, positions);
  const seconds = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const start = performance.now();
    const result = await work();
    return [result, Math.round((performance.now() - start) / 100) / 10];
  };
  const [undone, unshuffleSeconds] = await seconds(() => unshuffle(shuffled, products));
  const { success: patches } = unshuffleSuccess(undone, positions);
  const challengeCodes = pick(undone.aligned, range(0, challenge));
  const challengeImages = pick(originals, range(0, challenge));

  // K1: pairs 0 to 31 are known; the other 96 of the challenge are to be found among themselves.
  const others = range(known, challenge);
  const [k1, k1Seconds] = await seconds(() =>
    breakByKnownPairs(
      { aligned: undone.aligned, known: range(0, known), originals: pick(originals, range(0, known)) },
      products,
    ),
  );
  const otherImages = centred(pick(originals, others), k1.mean);
  const k1Scores = await similarity(pick(k1.decoded, others), otherImages, products);

  // No pair: the attacker holds the 128 originals in another order. The 32 held-out encodings have no original in hand.
  const order = shuffle(range(0, challenge), seededRandom(seed, "candidates"));
  const truth = Int32Array.from(range(0, challenge), (i) => order.indexOf(i));
  const [unpaired, unpairedSeconds] = await seconds(() =>
    breakUnpaired({ aligned: challengeCodes, candidates: pick(challengeImages, order) }, products),
  );
  const heldIndices = range(challenge, challenge + held);
  const heldDecoded = await decode(
    centred(pick(undone.aligned, heldIndices), unpaired.codeMean),
    unpaired.decoder,
    products,
  );

  // Reconstruction of images that neither attacker holds, beside the mean image, which needs no encoding.
  const truthPixels = pixelsOfPatches(pick(all, heldIndices), shape);
  const inPixels = (set: typeof all, meanOf: Float32Array): Float32Array =>
    pixelsOfPatches(
      { ...set, data: set.data.map((x, at) => (x + meanOf[at % meanOf.length]!) * scale + centre) },
      shape,
    );
  const flat = vectors(new Float32Array(heldDecoded.data.length), held, all.patches, all.width);
  const pictures = {
    knownPairs: inPixels(pick(k1.decoded, heldIndices), k1.mean),
    noPair: inPixels(heldDecoded, unpaired.mean),
    chance: inPixels(flat, meanImage(standard(publicSet))),
  };
  const each = (set: Float32Array, i: number) => set.subarray(i * 65536, (i + 1) * 65536);
  const clamp = (x: Float32Array) => x.map((v) => Math.min(1, Math.max(0, v)));
  const quality = Object.fromEntries(
    Object.entries(pictures).map(([key, set]) => {
      const found = range(0, held).map((i) => [clamp(each(set, i)), each(truthPixels, i)] as const);
      return [
        key,
        {
          ssim: mean(found.map(([a, b]) => ssim(a, b, 256, 256))),
          psnr: mean(found.map(([a, b]) => psnr(a, b))),
        },
      ];
    }),
  );
  const six = range(0, 6);
  const sheet = await pictureSheet(
    [truthPixels, pictures.knownPairs, pictures.noPair, pictures.chance].map((set) =>
      six.map((i) => clamp(each(set, i))),
    ),
    { height: 256, width: 256 },
  );
  writeFileSync(join(dirname(out), `${name.replaceAll(/[ ,.]+/g, "-")}.png`), sheet);
  rows.push({
    name,
    unshuffle: { ...patches, chance: 1 / all.patches, seconds: unshuffleSeconds },
    knownPairs: {
      ...agreement(nearest(k1Scores, others.length), range(0, others.length)),
      chance: 1 / others.length,
      explained: k1.decoder.explained,
      seconds: k1Seconds,
    },
    noPair: {
      ...agreement(unpaired.images, truth),
      graphsAlone: agreement(unpaired.firstImages, truth),
      chance: 1 / challenge,
      explained: unpaired.decoder.explained,
      seconds: unpairedSeconds,
    },
    reconstruction: quality,
  });
  writeFileSync(out, `${JSON.stringify(rows, null, 2)}\n`);
  process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
}
