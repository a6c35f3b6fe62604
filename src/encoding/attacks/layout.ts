/** K3 and K4: what encodings alone give away. */
import type { Vectors } from "./arrays.ts";
import { centred } from "./arrays.ts";
import { energies, standardiseRows } from "./decoder.ts";
import { meansOf } from "./means.ts";
import type { Products } from "./products.ts";

/** For each slot, the slot that varies most alike across images: neighbours in the picture vary together. */
export async function mostAlikeSlots(aligned: Vectors, { product }: Products): Promise<Int32Array> {
  const { images, patches } = aligned;
  const profiles = standardiseRows(energies(centred(aligned)), patches);
  const alike = await product(profiles, profiles, { m: patches, k: images, n: patches }, { transB: true });
  return mostAlike(alike);
}

/** For each node of a graph [n, n], the other node that it is tied to most strongly. */
export function mostAlike(graph: Float32Array): Int32Array {
  const n = Math.sqrt(graph.length);
  return Int32Array.from({ length: n }, (_, s) => {
    let best = s === 0 ? 1 : 0;
    for (let t = 0; t < n; t++) if (t !== s && graph[s * n + t]! > graph[s * n + best]!) best = t;
    return best;
  });
}

/** For each encoding, the other encoding with the nearest mean patch: likely the same patient again. */
export async function nearestEncodings(codes: Vectors, { product }: Products): Promise<Int32Array> {
  const { images, width, data } = centred(meansOf(codes));
  const dots = await product(data, data, { m: images, k: width, n: images }, { transB: true });
  const squares = Array.from({ length: images }, (_, i) => dots[i * images + i]!);
  return Int32Array.from({ length: images }, (_, i) => {
    let [best, least] = [-1, Infinity];
    for (let j = 0; j < images; j++) {
      const distance = squares[j]! - 2 * dots[i * images + j]!;
      if (j !== i && distance < least) [best, least] = [j, distance];
    }
    return best;
  });
}
