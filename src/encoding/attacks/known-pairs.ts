/** K1 and K2: a few images whose originals are known give away the others of the same key. */
import { centred, meanImage, pick, type Vectors } from "./arrays.ts";
import { decode, fitDecoder, layoutFromEnergies, type Decoder } from "./decoder.ts";
import type { Products } from "./products.ts";

export interface KnownPairsBreak {
  readonly decoder: Decoder;
  /** The mean of the known originals, [patches, patch width]; add it to `decoded` for pixels. */
  readonly mean: Float32Array;
  /** Every encoding, decoded, in the positions of the image, minus `mean`. */
  readonly decoded: Vectors;
}

/**
 * Learns to decode from known pairs and decodes everything. `aligned` are all encodings of the key after un-shuffling;
 * `known[k]` is the encoding whose original is image k of `originals` (as patches of pixels). Where the release was
 * never shuffled (K2), give `layout`: slot s is position layout[s].
 * Source: known-plaintext regression; energy profiles find the layout because a mixing layer keeps lengths roughly.
 */
export async function breakByKnownPairs(
  {
    aligned,
    known,
    originals,
    layout,
  }: {
    readonly aligned: Vectors;
    readonly known: ArrayLike<number>;
    readonly originals: Vectors;
    readonly layout?: Int32Array;
  },
  products: Products,
): Promise<KnownPairsBreak> {
  const codes = centred(aligned);
  const mean = meanImage(originals);
  const pixels = centred(originals, mean);
  const pairs = pick(codes, known);
  const start = layout ?? (await layoutFromEnergies(pairs, pixels, products));
  const decoder = await fitDecoder(pairs, pixels, start, products, layout ? { rounds: 1 } : {});
  return { decoder, mean, decoded: await decode(codes, decoder, products) };
}
