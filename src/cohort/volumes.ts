/** Volumes of a cohort, streamed from disk, ready for a model. */
import { decodeDicomSeries, decodeNifti, seriesToVolume, toVolume, volumeTensor } from "../imaging/index.ts";
import type { NiftiOptions, ToVolumeOptions, Volume, VolumeTensorOptions } from "../imaging/index.ts";
import type { Cohort } from "./cohort.ts";
import type { Content } from "./content.ts";
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
 * is gone, and LG-IMAGE-002, -009 to -011, -014 and -015 for one that cannot be decoded or brought to the shape.
 */
export function openVolumes(cohort: Cohort, options: VolumeStoreOptions): VolumeStore {
  requireMedium(cohort, "volumes");
  const { unoriented, maxVoxels } = options;
  const [depth, height, width] = options.shape;
  const prepare = async (content: Content, name: string) => {
    const { volume } = await volumeOf(content, { name, unoriented, maxVoxels });
    return volumeTensor(volume, options).data;
  };
  // A clinical CT takes a gigabyte while it is decoded, so fewer at a time than images.
  const store = openStore(cohort, depth * height * width, prepare, { concurrency: 2, ...options });
  return Object.assign(store, { channels: 1, depth, height, width } as const);
}

/**
 * The volume of a NIfTI file, or of the slices of a DICOM series, and what it is stored as. Throws LG-IMAGE-002, -009 and
 * -010, or -014 and -015.
 */
export async function volumeOf(
  content: Content,
  options: Pick<ToVolumeOptions, "name" | "unoriented"> & Pick<NiftiOptions, "maxVoxels">,
): Promise<{ readonly volume: Volume; readonly storedAs: string }> {
  const { name, unoriented, maxVoxels } = options;
  if (content instanceof Uint8Array) {
    const image = await decodeNifti(content, { name, maxVoxels });
    return { volume: toVolume(image, { name, unoriented }), storedAs: image.dataType };
  }
  const series = await decodeDicomSeries(content, { name, maxVoxels });
  return { volume: seriesToVolume(series), storedAs: "DICOM" };
}
