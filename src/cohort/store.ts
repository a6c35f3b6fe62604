/** Files of a cohort prepared for a model one by one, a few at a time, with a cache bounded in bytes. */
import type { Cohort } from "./cohort.ts";
import { readContent } from "./content.ts";
import type { Content } from "./content.ts";
import { mapConcurrent } from "./pool.ts";
import { fileTag, problemError } from "./problems.ts";

export interface StoreOptions {
  /** Most bytes of prepared images to keep; the least recently used go first. */
  readonly cacheBytes?: number;
  /** Images read and decoded at the same time. */
  readonly concurrency?: number;
  /** Show file names in errors. */
  readonly showNames?: boolean;
}

export interface Store {
  /** What is prepared of one image or volume. Shared with the cache: read it, never write into it. */
  read(index: number): Promise<Float32Array>;
  /** Several of them into one array, one after another. */
  readBatch(indices: readonly number[], out?: Float32Array): Promise<Float32Array>;
  /** What the cache did so far; `bytes` is what it holds now. */
  readonly stats: { readonly hits: number; readonly misses: number; readonly bytes: number };
  /** Forgets the cache. */
  [Symbol.dispose](): void;
}

/**
 * A store of `length` numbers for each record, made by `prepare` from what it names and what to call it in errors.
 * Reading throws LG-COHORT-007 for a file that is gone, and what `prepare` throws.
 */
export function openStore(
  cohort: Cohort,
  length: number,
  prepare: (content: Content, name: string) => Promise<Float32Array>,
  { cacheBytes = 512 * 2 ** 20, concurrency = 4, showNames = false }: StoreOptions,
): Store {
  const bytesEach = 4 * length;
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
      return await prepareRecord(index);
    } finally {
      const next = waiting.shift();
      if (next === undefined) active--;
      else next();
    }
  };

  const prepareRecord = async (index: number): Promise<Float32Array> => {
    const record = cohort.records[index];
    if (record === undefined) throw new RangeError(`image ${index} of ${cohort.records.length}`);
    const name = `${cohort.place}, data row ${record.row}: ${fileTag(record.file, showNames)}`;
    const content = await readContent(cohort.dir, record.file, name, showNames).catch((cause: unknown): never => {
      throw problemError({
        code: "LG-COHORT-007",
        severity: "error",
        place: name,
        message: `cannot be read (${(cause as NodeJS.ErrnoException).code ?? "unknown"})`,
        remedy: "Put the image into the folder, or remove its row.",
        rows: [record.row],
      });
    });
    return prepare(content, name);
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
    read,
    readBatch: async (indices, out = new Float32Array(indices.length * length)) => {
      await mapConcurrent(indices, concurrency, async (index, i) => out.set(await read(index), i * length));
      return out;
    },
    get stats() {
      return { hits, misses, bytes: cache.size * bytesEach };
    },
    [Symbol.dispose]: () => cache.clear(),
  };
}
