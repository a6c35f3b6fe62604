/** Nearest images, in any space of vectors. */

/**
 * Images as vectors of one length. `views` are the forms in which the same image may return (its mirror images); where
 * there are none the vectors themselves are the only form.
 */
export interface Vectors {
  readonly count: number;
  readonly length: number;
  readonly data: Float32Array;
  readonly views?: readonly Float32Array[];
}

export interface Nearest {
  /** Row of the reference set; -1 where there is none of another unit. */
  readonly row: number;
  readonly distance: number;
}

/** For each query its nearest reference row, and the nearest of another unit than that row's. */
export interface NearestTwo {
  readonly first: Nearest;
  readonly second: Nearest;
}

/** The squared distance, or any number not below `limit` as soon as it is known to be that far. */
function squaredDistance(
  a: Float32Array,
  i: number,
  b: Float32Array,
  j: number,
  length: number,
  limit: number,
): number {
  let sum = 0;
  for (let from = 0; from < length; from += 32) {
    const to = Math.min(length, from + 32);
    for (let c = from; c < to; c++) {
      const d = a[i + c]! - b[j + c]!;
      sum += d * d;
    }
    if (sum >= limit) return sum;
  }
  return sum;
}

/**
 * Finds for each query the nearest reference image, and the nearest that belongs to another patient. With `ownUnits` (the
 * queries are reference images themselves, row for row) images of the query's own patient are left out.
 * Gives the event loop a turn now and then, through `onProgress`, which may throw to stop.
 */
export async function nearestTwo(
  queries: Vectors,
  reference: Vectors,
  units: readonly number[],
  {
    ownUnits = false,
    onProgress,
  }: { readonly ownUnits?: boolean; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<NearestTwo[]> {
  const { length } = queries;
  const forms = queries.views ?? [queries.data];
  const found: NearestTwo[] = [];
  for (let q = 0; q < queries.count; q++) {
    let [first, second, firstRow, secondRow] = [Infinity, Infinity, -1, -1];
    for (let r = 0; r < reference.count; r++) {
      const unit = units[r]!;
      if (ownUnits && units[q] === unit) continue;
      let least = second;
      for (const form of forms)
        least = Math.min(least, squaredDistance(form, q * length, reference.data, r * length, length, least));
      if (least < first) {
        if (firstRow >= 0 && units[firstRow] !== unit) [second, secondRow] = [first, firstRow];
        [first, firstRow] = [least, r];
      } else if (least < second && units[firstRow] !== unit) [second, secondRow] = [least, r];
    }
    found.push({
      first: { row: firstRow, distance: Math.sqrt(first) },
      second: { row: secondRow, distance: Math.sqrt(second) },
    });
    if (q % 16 === 15) {
      onProgress?.(q + 1, queries.count);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  onProgress?.(queries.count, queries.count);
  return found;
}

/** Some rows of vectors. */
export function vectorRows({ length, data, views }: Vectors, rows: readonly number[]): Vectors {
  const pick = (from: Float32Array): Float32Array => {
    const out = new Float32Array(rows.length * length);
    rows.forEach((row, i) => out.set(from.subarray(row * length, (row + 1) * length), i * length));
    return out;
  };
  return { count: rows.length, length, data: pick(data), ...(views ? { views: views.map(pick) } : {}) };
}
