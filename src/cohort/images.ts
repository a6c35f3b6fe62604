/** Pixels of a cohort, streamed from disk, ready for a model. */
import { decodeImage, normalise, referencePlanes, resize, toPlanes } from "../imaging/index.ts";
import type { DecodeOptions, Fit, Kernel, Normalisation } from "../imaging/index.ts";
import type { Cohort } from "./cohort.ts";
import type { Content } from "./content.ts";
import { requireMedium } from "./medium.ts";
import { openStore } from "./store.ts";
import type { Store, StoreOptions } from "./store.ts";

export interface ImageStoreOptions extends StoreOptions {
  /** Side of the square that images are brought to, or both sides. */
  readonly size: number | { readonly width: number; readonly height: number };
  /** 1 is grey (colour becomes luma), 3 is colour (grey is repeated). */
  readonly channels?: 1 | 3;
  readonly fit?: Fit;
  readonly kernel?: Kernel;
  readonly normalise?: Normalisation;
  /** "reference" prepares radiographs as {@link referencePlanes} does, in place of fit, kernel and normalise. */
  readonly preparation?: "plain" | "reference";
  readonly alpha?: DecodeOptions["alpha"];
  readonly maxPixels?: number;
}

/** Prepared pixels: each image is [channels, height, width]. */
export interface ImageStore extends Store {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Opens the pixels of a cohort. Nothing is read before it is asked for. Throws LG-COHORT-024 for a cohort of volumes.
 * Reading throws LG-COHORT-007 for a file that is gone and LG-IMAGE-001 to -004, -014 and -015 for one that cannot be
 * decoded.
 */
export function openImages(cohort: Cohort, options: ImageStoreOptions): ImageStore {
  requireMedium(cohort, "images");
  const { channels = 1, fit, kernel, alpha, maxPixels } = options;
  const { width, height } =
    typeof options.size === "number" ? { width: options.size, height: options.size } : options.size;
  const prepare = async (content: Content, name: string) => {
    // A cohort of images names no folder. A DICOM file that stores white as 0 is turned round when it is decoded.
    const image = await decodeImage(content as Uint8Array, { name, alpha, maxPixels });
    if (options.preparation === "reference") return referencePlanes(image, { size: width, channels }).data;
    const planes = resize(toPlanes(image, { channels }), { width, height, fit, kernel });
    return normalise(planes, options.normalise ?? "standardise").data;
  };
  const store = openStore(cohort, channels * height * width, prepare, options);
  return Object.assign(store, { channels, height, width });
}
