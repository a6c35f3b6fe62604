/** What a record names: a file, or a folder of the slices of one DICOM series, whose name then ends in a slash. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SeriesFile } from "../imaging/index.ts";
import { fileTag } from "./problems.ts";

export type Content = Uint8Array | readonly SeriesFile[];

/** The slices in a folder by name; `links` counts what is not read because it may lead out of it. */
export async function slicesIn(folder: string): Promise<{ readonly names: readonly string[]; readonly links: number }> {
  const entries = await readdir(folder, { withFileTypes: true });
  // A DICOMDIR lists what is on a disc; hidden files are the system's.
  const seen = entries.filter(({ name }) => !name.startsWith(".") && name.toUpperCase() !== "DICOMDIR");
  return {
    names: seen.filter((entry) => entry.isFile()).map(({ name }) => name).sort(), // prettier-ignore
    links: seen.filter((entry) => entry.isSymbolicLink()).length,
  };
}

/** The bytes of a record's file, or its slices, which are read when asked for. Rejects as `readFile` where it is gone. */
export async function readContent(dir: string, file: string, name: string, showNames: boolean): Promise<Content> {
  if (!file.endsWith("/")) return readFile(join(dir, file));
  const { names } = await slicesIn(join(dir, file));
  return names.map((slice) => ({
    name: `${name}, ${fileTag(slice, showNames)}`,
    bytes: () => readFile(join(dir, file, slice)),
  }));
}
