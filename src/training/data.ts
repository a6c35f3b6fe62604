import type { RandomSource } from "../math/random.ts";
import type { Shape } from "../graph/index.ts";
import type { Canaries } from "./canaries.ts";

/** One row of a batch: which image, and which view of it. */
export interface RowRequest {
  readonly image: number;
  /** The number of a fixed variant, or the seed of a random one. */
  readonly variant: number;
}

/** What a trainer needs to know of a cohort: units, labels, and where rows come from. */
export interface TrainingData {
  /** The images of every unit. */
  readonly units: readonly (readonly number[])[];
  /** [images, outputs]: 1 or 0; anything where `known` is 0. */
  readonly targets: Float32Array;
  /** [images, outputs]: 1 where there is a label. */
  readonly known: Float32Array;
  readonly outputs: number;
  /** Shape of one row as the model reads it. */
  readonly rowShape: Shape;
  /** How many fixed variants each image has (1: only itself), or fresh random ones without end. */
  readonly variants: number | "random";
  /** Fills `out` [requests, ...rowShape]. */
  readonly load: (requests: readonly RowRequest[], out: Float32Array) => Promise<void>;
  /** Which units are canaries of an audit. */
  readonly canaries?: Canaries;
}

/** The views of one unit and the weight of each, which add up to 1. */
export interface ChosenViews {
  readonly requests: readonly RowRequest[];
  readonly weights: readonly number[];
}

/**
 * Chooses at most `views` views of a unit. With fixed variants, each of the unit's images in each variant once, or a random
 * subset where there are more; with random ones, fresh views spread evenly over the images, in random order. `randomOf`
 * is called only where there is something to choose.
 */
export function chooseViews(
  images: readonly number[],
  variants: number | "random",
  views: number,
  randomOf: () => RandomSource,
): ChosenViews {
  if (variants === "random") {
    const random = randomOf();
    const order = partialShuffle([...images], Math.min(views, images.length), random);
    const requests = Array.from({ length: views }, (_, i) => ({
      image: order[i % order.length]!,
      variant: random.uint32(),
    }));
    return { requests, weights: requests.map(() => 1 / views) };
  }
  const all = images.flatMap((image) => Array.from({ length: variants }, (_, variant) => ({ image, variant })));
  const requests = all.length <= views ? all : partialShuffle(all, views, randomOf());
  return { requests, weights: requests.map(() => 1 / requests.length) };
}

/** The first `count` items of a random order, in place (Fisher and Yates). */
function partialShuffle<T>(items: T[], count: number, random: RandomSource): T[] {
  for (let i = 0; i < count; i++) {
    const j = i + random.integer(items.length - i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items.slice(0, count);
}
