/** NGTDM: how far voxels of a grey level are from the mean of their neighbours. */
import type { GreyLevels } from "./region.ts";
import { neighboursOf } from "./sizes.ts";

export interface ToneMatrix {
  /** By grey level, from 1 at index 0: voxels with a neighbour in the region, and their summed differences. */
  readonly counts: Float64Array;
  readonly differences: Float64Array;
}

/** Source: IBSI reference manual (arXiv 1612.07003), section 3.10, family IPET. */
export function toneMatrix(grey: GreyLevels, dimensions: 2 | 3): ToneMatrix {
  const { levels, count } = grey;
  const [counts, differences] = [new Float64Array(count), new Float64Array(count)];
  const neighbours = neighboursOf(grey, dimensions);
  for (let at = 0; at < levels.length; at++) {
    const level = levels[at]!;
    if (level === 0) continue;
    let [sum, n] = [0, 0];
    neighbours(at, (to) => {
      const other = levels[to]!;
      if (other === 0) return;
      sum += other;
      n++;
    });
    if (n === 0) continue;
    counts[level - 1]!++;
    differences[level - 1]! += Math.abs(level - sum / n);
  }
  return { counts, differences };
}

export function mergeTones(matrices: readonly ToneMatrix[]): ToneMatrix {
  const sum = (key: keyof ToneMatrix): Float64Array =>
    matrices[0]![key].map((_, i) => matrices.reduce((all, matrix) => all + matrix[key][i]!, 0));
  return { counts: sum("counts"), differences: sum("differences") };
}

/** The 5 features; NaN where no voxel has a neighbour. Source: IBSI reference manual, section 3.10. */
export function toneFeatures({ counts, differences }: ToneMatrix): Record<string, number> {
  const n = counts.reduce((a, b) => a + b, 0);
  const present = [...counts.keys()].filter((k) => counts[k]! > 0);
  const p = counts.map((count) => count / n);
  const total = differences.reduce((a, b) => a + b, 0);
  const weighted = present.reduce((sum, k) => sum + p[k]! * differences[k]!, 0);
  let [spread, gaps, complexity, strength] = [0, 0, 0, 0];
  for (const a of present)
    for (const b of present) {
      const [pa, pb, distance] = [p[a]!, p[b]!, Math.abs(a - b)];
      spread += pa * pb * distance ** 2;
      gaps += Math.abs((a + 1) * pa - (b + 1) * pb);
      complexity += (distance * (pa * differences[a]! + pb * differences[b]!)) / (pa + pb);
      strength += (pa + pb) * distance ** 2;
    }
  const kinds = present.length;
  const features = {
    coarseness: weighted > 0 ? Math.min(1e6, 1 / weighted) : 1e6,
    contrast: kinds > 1 ? (spread / (kinds * (kinds - 1))) * (total / n) : 0,
    // The gaps vanish where levels times shares are all equal; the manual sets busyness to 0 for a single level.
    busyness: gaps > 0 ? weighted / gaps : 0,
    complexity: complexity / n,
    strength: total > 0 ? strength / total : 0,
  };
  return n > 0 ? features : Object.fromEntries(Object.keys(features).map((name) => [name, NaN]));
}
