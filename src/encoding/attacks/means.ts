import { vectors, type Vectors } from "./arrays.ts";

/** The mean patch of every image, [images, 1, width]: what no shuffle hides. */
export function meansOf({ images, patches, width, data }: Vectors): Vectors {
  const out = new Float32Array(images * width);
  for (let i = 0, at = 0; i < images; i++)
    for (let p = 0; p < patches; p++) for (let k = 0; k < width; k++) out[i * width + k]! += data[at++]! / patches;
  return vectors(out, images, 1, width);
}
