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

function squaredDistance(a: Float32Array, i: number, b: Float32Array, j: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const whole = length - (length % 4);
  let c = 0;
  for (; c < whole; c += 4) {
    const [d0, d1] = [a[i + c]! - b[j + c]!, a[i + c + 1]! - b[j + c + 1]!];
    const [d2, d3] = [a[i + c + 2]! - b[j + c + 2]!, a[i + c + 3]! - b[j + c + 3]!];
    s0 += d0 * d0;
    s1 += d1 * d1;
    s2 += d2 * d2;
    s3 += d3 * d3;
  }
  for (; c < length; c++) s0 += (a[i + c]! - b[j + c]!) ** 2;
  return s0 + s1 + s2 + s3;
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
      let least = Infinity;
      for (const form of forms)
        least = Math.min(least, squaredDistance(form, q * length, reference.data, r * length, length));
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
