import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../math/random.ts";
import { startEngine, type Engine } from "../../runtime/index.ts";
import { startEncoder } from "../encode.ts";
import { keyOf, makeKey } from "../keys.ts";
import { releasedEncoding } from "../nonce.ts";
import { openRelease, startRelease, type Release } from "../release/index.ts";
import { schemes, type Scheme } from "../schemes/index.ts";
import { coordinatesOf, fitCoordinates } from "./coordinates.ts";
import { meanPatches, predictOnRelease, trainOnReleases } from "./train.ts";

const scheme: Scheme = { ...schemes.neuracrypt, patch: 8, width: 64, outputs: 64, depth: 1 };
const shape = { channels: 1, height: 16, width: 16 };

describe("training on releases", () => {
  let dir: string;
  let engine: Engine;
  const releases: Release[] = [];
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "leadglass-union-"));
    engine = await startEngine({ threads: 1 });
    for (const [k, n] of [240, 160].entries()) releases.push(await drawn(k, n, keyOf(new Uint8Array(32).fill(k + 1))));
  }, 60_000);
  afterAll(async () => {
    for (const release of releases) await release[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  /** Noise with a bright upper left corner where the label is 1, under a key of its own. */
  async function drawn(k: number, n: number, key = makeKey(), target = "bright"): Promise<Release> {
    const random = seededRandom("images", k);
    const labels = Array.from({ length: n }, () => (random.uniform() < 0.4 ? 1 : 0) as 0 | 1);
    const splits = labels.map((_, i) => ["train", "train", "val", "test"][random.integer(4) + 0 * i]!);
    const pixels = Float32Array.from({ length: n * 256 }, (_, at) => {
      const [image, y, x] = [Math.floor(at / 256), Math.floor(at / 16) % 16, at % 16];
      return 0.4 + 0.1 * random.gaussian() + (labels[image] === 1 && y < 8 && x < 8 ? 0.3 : 0);
    });
    await using encoder = await startEncoder(engine, scheme, key, shape);
    const encoded = await encoder.encode(pixels);
    const each = 4 * 64;
    const out = new Float32Array(encoded.length);
    for (let i = 0; i < n; i++) {
      const nonce = new Uint8Array(32).fill(k);
      new DataView(nonce.buffer).setUint32(0, i);
      out.set(releasedEncoding(scheme, shape, encoded.subarray(i * each, (i + 1) * each), nonce), i * each);
    }
    const place = join(dir, `${target}-${k}-${key.id}`);
    const start = {
      key: key.id,
      scheme,
      image: shape,
      bound: null,
      shape: [4, 64] as const,
      dtype: "float16" as const,
    };
    const writer = await startRelease(place, start, { settings: "", nonce: new Uint8Array(32).fill(k + 1) });
    await writer.add(out);
    await writer.finish({ splits, targets: { [target]: labels }, groups: {} });
    return openRelease(place);
  }

  const testAuroc = async (
    trained: Parameters<typeof predictOnRelease>[0]["trained"],
    release: Release,
  ): Promise<number> => {
    // prettier-ignore
    const images = release.imagesOf("test");
    const scores = await predictOnRelease({ engine, trained, release, images });
    const of = (label: number): number[] =>
      images.flatMap((i, k) => (release.labels.targets["bright"]![i] === label ? [scores[k]!] : []));
    const pairs = of(1).flatMap((p) => of(0).map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
    return pairs.reduce<number>((sum, won) => sum + won, 0) / pairs.length;
  };

  it("oneModel_learnsFromHospitalsOfDifferentKeysAndSizes", async () => {
    const options = { engine, targets: ["bright"], seed: "1", choices: { epochs: 100 } };
    const { trained, images } = await trainOnReleases({ ...options, releases });
    expect(images).toBe(releases.reduce((sum, r) => sum + r.imagesOf("train").length, 0));
    expect(trained.keys.length).toBe(2);
    // Three deviations of the pixels' noise over a quarter of the image. Draw and keys are fixed.
    for (const release of releases) expect(await testAuroc(trained, release)).toBeGreaterThan(0.9);
  });

  it("setTransformer_runsOnTheSameReleases", async () => {
    const choices = { model: "set-transformer" as const, epochs: 20, batch: 32, learningRate: 1e-3 };
    const { trained } = await trainOnReleases({ engine, releases, targets: ["bright"], seed: "1", choices });
    const mean = (await testAuroc(trained, releases[0]!)) / 2 + (await testAuroc(trained, releases[1]!)) / 2;
    expect(mean).toBeGreaterThan(0.8);
  }, 60_000);

  it("meanPatches_areMeans_whateverTheShuffle", async () => {
    const release = releases[0]!;
    const [x, means] = [await release.load([5]), await meanPatches(release, [5])];
    const direct = Array.from({ length: 64 }, (_, c) => [0, 1, 2, 3].reduce((s, p) => s + x[p * 64 + c]! / 4, 0));
    direct.forEach((v, c) => expect(means[c]).toBeCloseTo(v, 5));
  });

  it("keysThatWereNotTrainedOn_areRefused", async () => {
    const { trained } = await trainOnReleases({ engine, releases: [releases[0]!], targets: ["bright"], seed: "1", choices: { epochs: 1 } }); // prettier-ignore
    await expect(testAuroc(trained, releases[1]!)).rejects.toMatchObject({ code: "LG-ENCODE-005" });
  });

  it("releasesWithoutTheTarget_areRefused", async () => {
    await using other = await drawn(7, 40, makeKey(), "dark");
    await expect(
      trainOnReleases({ engine, releases: [releases[0]!, other], targets: ["bright"], seed: "1" }),
    ).rejects.toMatchObject({ code: "LG-ENCODE-005", exitCode: 3 });
  });
});

describe("fitCoordinates", () => {
  it("coordinates_areUncorrelated_withMeanZero_andTheWideOnesFirst", () => {
    const [n, outputs, count] = [200, 12, 4];
    const random = seededRandom("rows");
    const factors = Float64Array.from({ length: n * 5 }, () => random.gaussian());
    const mixing = Float64Array.from({ length: 5 * outputs }, () => random.gaussian());
    const rows = Float32Array.from({ length: n * outputs }, (_, at) => {
      const [i, c] = [Math.floor(at / outputs), at % outputs];
      return 3 + [0, 1, 2, 3, 4].reduce((s, f) => s + factors[i * 5 + f]! * mixing[f * outputs + c]!, 0);
    });
    const squares: number[] = [];
    const z = coordinatesOf(fitCoordinates(rows, outputs, count), rows);
    for (let a = 0; a < count; a++) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += z[i * count + a]!;
      expect(Math.abs(sum / n)).toBeLessThan(1e-4);
      for (let b = 0; b < count; b++) {
        let product = 0;
        for (let i = 0; i < n; i++) product += (z[i * count + a]! * z[i * count + b]!) / n;
        // Float32 directions: about 1e-6 times the 200 rows' sums.
        if (a === b) squares.push(product);
        else expect(product).toBeCloseTo(0, 3);
      }
    }
    expect(squares.reduce((s, v) => s + v / count, 0)).toBeCloseTo(1, 3);
    expect(squares).toEqual([...squares].sort((a, b) => b - a));
  });
});
