/** Volumes of a cohort, streamed from disk, ready for a model. */
import { decodeNifti, toVolume, volumeTensor } from "../imaging/index.ts";
import type { NiftiOptions, ToVolumeOptions, VolumeTensorOptions } from "../imaging/index.ts";
import type { Cohort } from "./cohort.ts";
import { requireMedium } from "./medium.ts";
import { openStore } from "./store.ts";
import type { Store, StoreOptions } from "./store.ts";

export interface VolumeStoreOptions extends StoreOptions, VolumeTensorOptions {
  /** See `toVolume`. */
  readonly unoriented?: ToVolumeOptions["unoriented"];
  readonly maxVoxels?: NiftiOptions["maxVoxels"];
}

/** Prepared volumes: each is [1, depth, height, width] in [0, 1]. */
export interface VolumeStore extends Store {
  readonly channels: 1;
  readonly depth: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Opens the volumes of a cohort: each is read, brought to canonical axes, and made a tensor as `volumeTensor` does. Nothing
 * is read before it is asked for. Throws LG-COHORT-024 for a cohort of images. Reading throws LG-COHORT-007 for a file that
 * is gone, and LG-IMAGE-002, -009, -010 and -011 for one that cannot be decoded or brought to the shape.
 */
export function openVolumes(cohort: Cohort, options: VolumeStoreOptions): VolumeStore {
  requireMedium(cohort, "volumes");
  const { unoriented, maxVoxels } = options;
  const [depth, height, width] = options.shape;
  const prepare = async (bytes: Uint8Array, name: string) => {
    const volume = toVolume(await decodeNifti(bytes, { name, maxVoxels }), { name, unoriented });
    return volumeTensor(volume, options).data;
  };
  // A clinical CT takes a gigabyte while it is decoded, so fewer at a time than images.
  const store = openStore(cohort, depth * height * width, prepare, { concurrency: 2, ...options });
  return Object.assign(store, { channels: 1, depth, height, width } as const);
}
