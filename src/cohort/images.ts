/** Pixels of a cohort, streamed from disk, ready for a model, with a cache bounded in bytes. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { decodeImage, normalise, resize, toPlanes } from "../imaging/index.ts";
import type { DecodeOptions, Fit, Kernel, Normalisation } from "../imaging/index.ts";
import type { Cohort } from "./cohort.ts";
import { mapConcurrent } from "./pool.ts";
import { fileTag, problemError } from "./problems.ts";

export interface ImageStoreOptions {
  /** Side of the square that images are brought to, or both sides. */
  readonly size: number | { readonly width: number; readonly height: number };
  /** 1 is grey (colour becomes luma), 3 is colour (grey is repeated). */
  readonly channels?: 1 | 3;
  readonly fit?: Fit;
  readonly kernel?: Kernel;
  readonly normalise?: Normalisation;
  /** Most bytes of prepared images to keep; the least recently used go first. */
  readonly cacheBytes?: number;
  /** Images read and decoded at the same time. */
  readonly concurrency?: number;
  /** Show file names in errors. */
  readonly showNames?: boolean;
  readonly alpha?: DecodeOptions["alpha"];
  readonly maxPixels?: number;
}

export interface ImageStore {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Prepared pixels of one image, [channels, height, width]. Shared with the cache: read it, never write into it. */
  read(index: number): Promise<Float32Array>;
  /** Several images into one array, [indices.length, channels, height, width]. */
  readBatch(indices: readonly number[], out?: Float32Array): Promise<Float32Array>;
  /** What the cache did so far; `bytes` is what it holds now. */
  readonly stats: { readonly hits: number; readonly misses: number; readonly bytes: number };
  /** Forgets the cache. */
  [Symbol.dispose](): void;
}

/**
 * Opens the pixels of a cohort. Nothing is read before it is asked for.
 * Reading throws LG-COHORT-007 for a file that is gone and LG-IMAGE-001 to -004 for one that cannot be decoded.
 */
export function openImages(cohort: Cohort, options: ImageStoreOptions): ImageStore {
  const { channels = 1, cacheBytes = 512 * 2 ** 20, concurrency = 4, showNames = false } = options;
  const { width, height } =
    typeof options.size === "number" ? { width: options.size, height: options.size } : options.size;
  const bytesEach = 4 * channels * height * width;
  // A Map keeps the order of insertion, so its first key is the least recently used when every hit is put back last.
  const cache = new Map<number, Float32Array>();
  const underway = new Map<number, Promise<Float32Array>>();
  let [hits, misses, active] = [0, 0, 0];
  const waiting: (() => void)[] = [];

  const load = async (index: number): Promise<Float32Array> => {
    // A slot is handed on to the next in line without being given back, so no newcomer can take it in between.
    if (active >= concurrency) await new Promise<void>((resolve) => waiting.push(resolve));
    else active++;
    try {
      return await prepare(index);
    } finally {
      const next = waiting.shift();
      if (next === undefined) active--;
      else next();
    }
  };

  const prepare = async (index: number): Promise<Float32Array> => {
    const record = cohort.records[index];
    if (record === undefined) throw new RangeError(`image ${index} of ${cohort.records.length}`);
    const name = `${cohort.place}, data row ${record.row}: ${fileTag(record.file, showNames)}`;
    const bytes = await readFile(join(cohort.dir, record.file)).catch((cause: unknown): never => {
      throw problemError({
        code: "LG-COHORT-007",
        severity: "error",
        place: name,
        message: `cannot be read (${(cause as NodeJS.ErrnoException).code ?? "unknown"})`,
        remedy: "Put the image into the folder, or remove its row.",
        rows: [record.row],
      });
    });
    const image = await decodeImage(bytes, { name, alpha: options.alpha, maxPixels: options.maxPixels });
    const { fit, kernel } = options;
    const planes = resize(toPlanes(image, { channels }), { width, height, fit, kernel });
    return normalise(planes, options.normalise ?? "standardise").data;
  };

  const read = (index: number): Promise<Float32Array> => {
    const kept = cache.get(index);
    if (kept !== undefined) {
      hits++;
      cache.delete(index);
      cache.set(index, kept);
      return Promise.resolve(kept);
    }
    const already = underway.get(index);
    if (already !== undefined) return already;
    misses++;
    const loading = load(index)
      .then((data) => {
        while (cache.size > 0 && (cache.size + 1) * bytesEach > cacheBytes) cache.delete(cache.keys().next().value!);
        if (bytesEach <= cacheBytes) cache.set(index, data);
        return data;
      })
      .finally(() => underway.delete(index));
    underway.set(index, loading);
    return loading;
  };

  return {
    channels,
    height,
    width,
    read,
    readBatch: async (indices, out = new Float32Array(indices.length * channels * height * width)) => {
      await mapConcurrent(indices, concurrency, async (index, i) => out.set(await read(index), (i * bytesEach) / 4));
      return out;
    },
    get stats() {
      return { hits, misses, bytes: cache.size * bytesEach };
    },
    [Symbol.dispose]: () => cache.clear(),
  };
}
