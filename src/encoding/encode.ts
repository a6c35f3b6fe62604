/** From a cohort to a release: images through the secret encoder, shuffled, in random order, shard by shard. */
import { ageBand, ageColumn, openImages, type Cohort, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { sizeOf } from "../graph/index.ts";
import { secureRandom } from "../math/random.ts";
import { startEngine, type Device, type Engine } from "../runtime/index.ts";
import { expandWords } from "./expand.ts";
import { refuseWeakKey, type Key } from "./keys.ts";
import { imageNonce, nonceBytes, noiseBound, releasedEncoding } from "./nonce.ts";
import { lintLabels } from "./release/lint.ts";
import { startRelease } from "./release/write.ts";
import type { ReleaseLabels } from "./release/read.ts";
import type { ReleaseManifest } from "./release/manifest.ts";
import { encoderGraph } from "./schemes/graph.ts";
import { patchGrid, releasedPatches, type ImageShape, type Scheme } from "./schemes/scheme.ts";

/** Encodes images that are in memory; the secret stays in the engine. */
export interface Encoder extends AsyncDisposable {
  readonly scheme: Scheme;
  readonly shape: ImageShape;
  /**
   * Encodings before shuffling, [images, patches, outputs], of images [images, channels, height, width] in [0, 1].
   * A fixed number of rows is compiled and the rest filled up, so an image gets the same bytes whoever is encoded with it;
   * with batch statistics (the reference) all images of a call are one batch.
   */
  readonly encode: (images: Float32Array) => Promise<Float32Array>;
}

/** Patches that one run of the graph should have at least; more would only take memory. */
const patchesOfRun = 256;

/** Compiles the encoder of a key for images of one shape. */
export async function startEncoder(
  engine: Engine,
  scheme: Scheme,
  key: Pick<Key, "secret">,
  shape: ImageShape,
): Promise<Encoder> {
  const pixels = shape.channels * shape.height * shape.width;
  const { patches } = patchGrid(scheme, shape);
  const size = patches * scheme.outputs;
  const batch = scheme.normalisation === "batch" && scheme.depth > 0 && !scheme.linear;
  const fixedRows = Math.max(1, Math.ceil(patchesOfRun / patches));
  const programs = new Map<number, ReturnType<Engine["load"]>>();
  const programFor = (rows: number): ReturnType<Engine["load"]> => {
    const known = programs.get(rows);
    if (known) return known;
    const loading = engine.load(encoderGraph(scheme, key, { rows, ...shape }));
    programs.set(rows, loading);
    return loading;
  };
  if (!batch) await programFor(fixedRows);
  return {
    scheme,
    shape,
    encode: async (images) => {
      const count = images.length / pixels;
      const rows = batch ? count : fixedRows;
      const program = await programFor(rows);
      const out = new Float32Array(count * size);
      for (let i = 0; i < count; i += rows) {
        const n = Math.min(rows, count - i);
        const data = new Float32Array(rows * pixels);
        data.set(images.subarray(i * pixels, (i + n) * pixels));
        const { encodings } = await program.run({
          image: { data, shape: [rows, shape.channels, shape.height, shape.width] },
        });
        out.set((encodings!.data as Float32Array).subarray(0, n * size), i * size);
      }
      return out;
    },
    [Symbol.asyncDispose]: async () => {
      for (const loading of programs.values()) await (await loading)[Symbol.asyncDispose]();
      programs.clear();
    },
  };
}

export interface EncodeOptions {
  readonly cohort: Cohort;
  /** Images to encode, by their index in the cohort; all by default. Their order does not matter. */
  readonly images?: readonly number[];
  readonly key: Key;
  readonly scheme: Scheme;
  readonly targets: readonly Target[];
  /** Columns to publish beside the labels, for evaluation by group; ages are put into bands. */
  readonly groups?: readonly string[];
  readonly out: string;
  /** Sides that images are brought to. */
  readonly size: number | { readonly width: number; readonly height: number };
  readonly channels?: 1 | 3;
  readonly dtype?: "float16" | "float32";
  /** Images read and encoded at a time; without influence on the result, but for `neuracrypt-reference`. */
  readonly batch?: number;
  readonly resume?: boolean;
  /** 32 secret bytes from which orders and noise come; fresh ones by default. Only to repeat a release byte for byte. */
  readonly nonce?: Uint8Array;
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface EncodeResult {
  readonly manifest: ReleaseManifest;
  /** The cohort's image behind each encoding, in order: the owner's secret. */
  readonly order: readonly number[];
  readonly bytes: number;
  /** Of this call, without starting the engine and drawing the encoder. */
  readonly secondsPerImage: number;
}

/**
 * Encodes images of a cohort and publishes them as a release. Memory does not depend on the number of images; an
 * interrupted writing goes on with `resume`. Nothing has the name `out` before it is whole and has been linted.
 * Throws LG-ENCODE-002 for a weak key, LG-ENCODE-004 for a release that would give away more than it should,
 * LG-ENCODE-006, LG-USAGE-003, LG-RUNTIME-004 (cancelled; resumable), and what reading images throws.
 */
export async function encodeCohort(options: EncodeOptions): Promise<EncodeResult> {
  const { cohort, key, scheme, targets, channels = 1, dtype = "float16" } = options;
  refuseWeakKey(key);
  const { width, height } =
    typeof options.size === "number" ? { width: options.size, height: options.size } : options.size;
  if (![width, height].every((n) => Number.isInteger(n) && n >= 1 && n <= 8192))
    throw new LeadglassError("LG-ENCODE-006", `images of ${width} x ${height} pixels`, {
      hint: "Give sides from 1 to 8192.",
    });
  const shape = { channels, height, width };
  const images = [...new Set(options.images ?? cohort.records.keys())].sort((a, b) => a - b);
  const writer = await startRelease(
    options.out,
    {
      ...{ key: key.id, scheme, image: shape, dtype },
      shape: [releasedPatches(scheme, shape), scheme.outputs],
      bound: noiseBound(scheme, shape),
    },
    {
      settings: JSON.stringify([cohort.fingerprint, images, targets.map((t) => t.name), options.groups ?? []]),
      nonce: options.nonce ?? freshNonce(),
      ...(options.resume ? { resume: true } : {}),
    },
  );
  const order = releaseOrder(images, writer.nonce);
  const labels = labelsOf(options, order);
  lintLabels(labels);
  using store = openImages(cohort, { size: { width, height }, channels, normalise: "none", cacheBytes: 0 });
  await using engine = await startEngine({ device: options.device });
  await using encoder = await startEncoder(engine, scheme, key, shape);
  const started = performance.now();
  const each = patchGrid(scheme, shape).patches * scheme.outputs;
  const releasedEach = sizeOf([releasedPatches(scheme, shape), scheme.outputs]);
  const batch = options.batch ?? (scheme.normalisation === "batch" ? 32 : 8);
  let written: Promise<void> = Promise.resolve();
  const read = (from: number): Promise<Float32Array> | undefined => {
    if (from >= order.length) return undefined;
    const pixels = store.readBatch(order.slice(from, from + batch));
    pixels.catch(() => undefined);
    return pixels;
  };
  const encode = (pixels: Promise<Float32Array> | undefined): Promise<Float32Array> | undefined => {
    const encodings = pixels?.then(encoder.encode);
    encodings?.catch(() => undefined);
    return encodings;
  };
  let encoding = encode(read(writer.written));
  let reading = read(writer.written + batch);
  let shard = new Float32Array(0);
  let filled = 0;
  for (let i = writer.written; i < order.length;) {
    const chunk = order.slice(i, i + batch);
    const encoded = (await encoding)!;
    // The next images are encoded, those after them read, and the last shard written, while these are shuffled.
    encoding = encode(reading);
    reading = read(i + 2 * batch);
    for (const [j, image] of chunk.entries()) {
      if (filled === 0) shard = new Float32Array(Math.min(writer.shardImages, order.length - i - j) * releasedEach);
      const one = encoded.subarray(j * each, (j + 1) * each);
      shard.set(releasedEncoding(scheme, shape, one, imageNonce(writer.nonce, image)), filled);
      filled += releasedEach;
      if (filled < shard.length) continue;
      await written;
      written = writer.add(shard);
      written.catch(() => undefined);
      filled = 0;
    }
    i += chunk.length;
    options.onProgress?.(Math.min(i, order.length), order.length);
    if (options.signal?.aborted && i < order.length) {
      await written;
      await Promise.allSettled([encoding, reading]);
      throw new LeadglassError("LG-RUNTIME-004", `encoding was cancelled after ${i} of ${order.length} images`, {
        hint: "Run the same command with --resume to go on.",
      });
    }
  }
  await written;
  const manifest = await writer.finish(labels);
  const done = Math.max(1, order.length - writer.written);
  return {
    manifest,
    order,
    bytes: manifest.shards.reduce((sum, { bytes }) => sum + bytes, manifest.labels.bytes),
    secondsPerImage: (performance.now() - started) / 1000 / done,
  };
}

function freshNonce(): Uint8Array {
  using random = secureRandom();
  return random.bytes(nonceBytes);
}

/** A random order that the release's secret nonce decides: sorted by 64 random bits each. */
export function releaseOrder(images: readonly number[], nonce: Uint8Array): number[] {
  const words = expandWords(nonce, "order", 2 * images.length);
  const rank = (i: number): number => words[2 * i]! * 2 ** 21 + (words[2 * i + 1]! >>> 11);
  return [...images.keys()].sort((a, b) => rank(a) - rank(b)).map((i) => images[i]!);
}

function labelsOf({ cohort, targets, groups = [] }: EncodeOptions, order: readonly number[]): ReleaseLabels {
  return {
    splits: order.map((i) => cohort.records[i]!.split),
    targets: Object.fromEntries(
      targets.map((t) => [
        // What a column=value target is called must not look like free text to a reader of tables.
        t.name.replaceAll("=", "_"),
        order.map((i) => (t.present[i] === 1 ? (t.labels[i] as 0 | 1) : null)),
      ]),
    ),
    groups: Object.fromEntries(
      groups.map((name) => {
        const cells = cohort.column(name);
        const isAge = ageColumn([name]) !== undefined;
        return [name, order.map((i) => (isAge ? ageBand(cells[i] ?? "") : (cells[i] ?? null)))];
      }),
    ),
  };
}
