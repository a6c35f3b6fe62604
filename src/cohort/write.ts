/** Writes a cohort folder, whole or not at all. */
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { basename, dirname, join, resolve } from "node:path";
import { stringify } from "yaml";
import { LeadglassError } from "../errors.ts";
import { encodeNifti, encodePng } from "../imaging/index.ts";
import type { NiftiEncoding, PixelImage, Volume } from "../imaging/index.ts";
import type { Manifest } from "./manifest.ts";

export type Cell = string | number | null;

/**
 * One image or volume with its row; `row.file_name` says where it goes, with forward slashes, and ends in `.png` for an
 * image and in `.nii.gz` for a volume.
 */
export type CohortItem = { readonly row: Readonly<Record<string, Cell>> & { readonly file_name: string } } & (
  { readonly image: PixelImage } | { readonly volume: Volume; readonly encoding?: NiftiEncoding }
);

/** Images encoded and written at the same time; also how many are held in memory. */
const CONCURRENCY = 8;

/** Throws LG-COHORT-014 where something is already at `dir`. */
export async function refuseExisting(dir: string): Promise<void> {
  if (
    await stat(dir).then(
      () => true,
      () => false,
    )
  )
    // prettier-ignore
    throw new LeadglassError("LG-COHORT-014", `${basename(resolve(dir))}: the output folder exists`, {
      hint: "Name a new folder, or remove this one first; nothing is overwritten.",
    });
}

/**
 * Writes images as PNG, volumes as gzipped NIfTI, with `metadata.csv` and, where a manifest is given, `cohort.yaml`. The folder appears under its
 * name only when it is complete: until then it is a hidden neighbour, which is removed on failure.
 * The columns are those of the first row. Throws LG-COHORT-014 for a folder that exists.
 */
export async function writeCohort(
  dir: string,
  items: Iterable<CohortItem> | AsyncIterable<CohortItem>,
  { manifest }: { manifest?: Manifest } = {},
): Promise<{ images: number }> {
  const target = resolve(dir);
  await refuseExisting(target);
  const partial = join(dirname(target), `.${basename(target)}.partial-${randomBytes(4).toString("hex")}`);
  await mkdir(partial, { recursive: true });
  let underway: Promise<void>[] = [];
  try {
    const lines: string[] = [];
    let columns: string[] | undefined;
    const folders = new Set<string>();
    for await (const item of items) {
      const { row } = item;
      columns ??= Object.keys(row);
      lines.push(columns.map((name) => csvCell(row[name] ?? null)).join(","));
      const path = join(partial, row.file_name);
      if (!folders.has(dirname(path))) await mkdir(dirname(path), { recursive: true });
      folders.add(dirname(path));
      const encoded = "image" in item ? encodePng(item.image) : encodeNifti(item.volume, item.encoding);
      const written = encoded.then((bytes) => writeFile(path, bytes, { flag: "wx" }));
      // Its failure is told where it is awaited; until then it must not end the process.
      written.catch(() => undefined);
      underway.push(written);
      if (underway.length === CONCURRENCY) {
        await Promise.all(underway);
        underway = [];
      }
    }
    await Promise.all(underway);
    const header = (columns ?? ["file_name"]).map(csvCell).join(",");
    await writeFile(join(partial, "metadata.csv"), [header, ...lines, ""].join("\n"));
    if (manifest !== undefined) await writeFile(join(partial, "cohort.yaml"), stringify(manifest));
    await refuseExisting(target);
    await rename(partial, target);
    return { images: lines.length };
  } catch (error) {
    // A file still being written would come back after the folder is gone, and fail where nobody is listening.
    await Promise.allSettled(underway);
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** A cell as RFC 4180 writes it. */
function csvCell(value: Cell): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
