/** What a kind of phantom is: one entry of the table in `make.ts`. */
import type { NiftiEncoding, Volume } from "../../imaging/index.ts";
import type { RandomSource } from "../../math/random.ts";
import type { Cell } from "../write.ts";
import type { Person } from "./population.ts";

/** One person's illness, and the images of it. */
export interface PhantomPatient {
  /** Targets of every image, in the order of their columns. */
  readonly labels: Readonly<Record<string, 0 | 1>>;
  /** Drawn one by one as they are asked for. */
  readonly images: Iterable<PhantomImage | PhantomVolume>;
}

export interface PhantomImage {
  readonly view: string;
  /** Further columns. */
  readonly attributes?: Readonly<Record<string, Cell>>;
  /** `size * size` grey values in [0, 1]. */
  readonly pixels: Float32Array;
}

export interface PhantomVolume {
  readonly view: string;
  readonly attributes?: Readonly<Record<string, Cell>>;
  /** Whole Hounsfield units. */
  readonly volume: Volume;
  readonly encoding: NiftiEncoding;
}

export interface PhantomOptions {
  readonly size: number;
  /** 0 is plain to see, 1 is close to chance; 0.5 is like a hard clinical question. */
  readonly difficulty: number;
}

export interface PhantomKind {
  /** Side of an image where none is asked for; of a slice, where volumes are drawn. */
  readonly imageSize: number;
  readonly largestSize: number;
  readonly femaleShare: number;
  /** Depends on nothing but its arguments. */
  readonly draw: (person: Person, random: RandomSource, options: PhantomOptions) => PhantomPatient;
}
