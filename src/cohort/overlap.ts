/** Patients that two cohorts share: by identifier, and by images that are nearly the same. */
import type { Cohort } from "./cohort.ts";
import { openImages } from "./images.ts";

export interface CohortOverlap {
  /** Patients whose identifier is in both cohorts. */
  readonly byIdentifier: number;
  /** Pairs of nearly identical images, one of each cohort, whose patients have different identifiers. */
  readonly pairs: readonly { readonly rowA: number; readonly rowB: number; readonly correlation: number }[];
  /** Images of the first cohort whose patient is in the second, by either sign: indices into its records. */
  readonly imagesA: readonly number[];
}

const side = 24;
/**
 * Correlation of two thumbnails, each without the mean thumbnail of both cohorts, from which they count as one image.
 * Two images of one region of the body are then near 0; a resized or recompressed copy is above 0.97.
 */
const nearlyTheSame = 0.95;

/**
 * Compares every image of one cohort with every image of another; a copy that was resized, recompressed or brightened is
 * found, one that was cropped or turned is not. About a second for a million pairs.
 * Throws what reading images throws.
 */
export async function cohortOverlap(
  a: Cohort,
  b: Cohort,
  { onProgress }: { readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<CohortOverlap> {
  const total = a.records.length + b.records.length;
  const [ofA, ofB] = [
    await thumbnails(a, (done) => onProgress?.(done, total)),
    await thumbnails(b, (done) => onProgress?.(a.records.length + done, total)),
  ];
  removeCommon([ofA, ofB]);
  const area = side * side;
  const pairs: CohortOverlap["pairs"][number][] = [];
  const known = new Set(b.records.map(({ patientId }) => patientId));
  const shared = new Set(a.records.map(({ patientId }) => patientId).filter((id) => known.has(id)));
  const imagesA = new Set(a.records.flatMap(({ patientId }, i) => (shared.has(patientId) ? [i] : [])));
  for (let i = 0; i < a.records.length; i++)
    for (let j = 0; j < b.records.length; j++) {
      let correlation = 0;
      for (let p = 0, x = i * area, y = j * area; p < area; p++) correlation += ofA[x + p]! * ofB[y + p]!;
      if (correlation < nearlyTheSame) continue;
      imagesA.add(i);
      const [one, other] = [a.records[i]!, b.records[j]!];
      if (one.patientId !== other.patientId) pairs.push({ rowA: one.row, rowB: other.row, correlation });
    }
  return { byIdentifier: shared.size, pairs, imagesA: [...imagesA].sort((x, y) => x - y) };
}

/** Grey thumbnails [images, side x side] of deviation 1. */
async function thumbnails(cohort: Cohort, onProgress: (done: number) => void): Promise<Float32Array> {
  using store = openImages(cohort, { size: side, normalise: "standardise", cacheBytes: 0 });
  const area = side * side;
  const all = new Float32Array(cohort.records.length * area);
  const chunk = 64;
  for (let at = 0; at < cohort.records.length; at += chunk) {
    const indices = Array.from({ length: Math.min(chunk, cohort.records.length - at) }, (_, k) => at + k);
    await store.readBatch(indices, all.subarray(at * area, (at + indices.length) * area));
    onProgress(at + indices.length);
  }
  return all;
}

/** Takes the mean over all thumbnails from each, and brings each to mean 0 and norm 1, in place. */
function removeCommon(sets: readonly Float32Array[]): void {
  const area = side * side;
  const mean = new Float64Array(area);
  const rows = sets.reduce((n, set) => n + set.length / area, 0);
  for (const set of sets) for (let i = 0; i < set.length; i++) mean[i % area]! += set[i]! / rows;
  for (const set of sets)
    for (let at = 0; at < set.length; at += area) {
      const row = set.subarray(at, at + area);
      let sum = 0;
      for (let p = 0; p < area; p++) sum += row[p]! -= mean[p]!;
      let squares = 0;
      for (let p = 0; p < area; p++) squares += (row[p]! -= sum / area) ** 2;
      const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
      for (let p = 0; p < area; p++) row[p]! *= scale;
    }
}
