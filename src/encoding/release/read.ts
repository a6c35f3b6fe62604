/** Releases as their readers see them. */
import { createHash } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { LeadglassError } from "../../errors.ts";
import { sizeOf } from "../../graph/index.ts";
import { looksLikeKey } from "../key-file.ts";
import { noiseBound } from "../nonce.ts";
import { releasedPatches } from "../schemes/scheme.ts";
import { labelsFile, manifestFile, manifestSchema, tensorName, type ReleaseManifest } from "./manifest.ts";

/** The labels of a release, one entry an image, in the order of its encodings. */
export interface ReleaseLabels {
  readonly splits: readonly string[];
  /** 0, 1, or null where there is none. */
  readonly targets: Readonly<Record<string, readonly (0 | 1 | null)[]>>;
  readonly groups: Readonly<Record<string, readonly (string | null)[]>>;
}

export interface Release extends AsyncDisposable {
  readonly dir: string;
  readonly manifest: ReleaseManifest;
  readonly labels: ReleaseLabels;
  /** Patches and numbers of a patch. */
  readonly shape: readonly [number, number];
  /** The images of a split; throws LG-ENCODE-005 where there are none. */
  readonly imagesOf: (split: string) => number[];
  /**
   * Encodings of some images, [images, patches, outputs]. A shard's hash is compared before anything of it is handed out.
   * Throws LG-ENCODE-003 for one that is not what the manifest says.
   */
  readonly load: (images: readonly number[], out?: Float32Array) => Promise<Float32Array>;
}

export const unreadable = (place: string, what: string, cause?: unknown): LeadglassError =>
  new LeadglassError("LG-ENCODE-003", `${place}: ${what}`, {
    hint: "Fetch the release again from whoever published it; if it is as they made it, it is damaged or not a release.",
    ...(cause === undefined ? {} : { cause }),
  });

/**
 * Opens a release: reads its manifest and labels and compares sizes; encodings are read when they are asked for.
 * Throws LG-ENCODE-003 for what is not a release, disagrees with its manifest or lies about shapes, and LG-ENCODE-004 for a
 * key where a release was expected.
 */
export async function openRelease(dir: string): Promise<Release> {
  const manifest = await readManifest(dir);
  const labels = await readLabels(dir, manifest);
  const shape = manifest.encodings.shape;
  const size = sizeOf(shape);
  const each = size * (manifest.encodings.dtype === "float16" ? 2 : 4);
  const starts: number[] = [];
  let total = 0;
  for (const { file, images, bytes } of manifest.shards) {
    const found = await stat(join(dir, file)).catch(() => undefined);
    if (!found) throw unreadable(`${dir}/${file}`, "this shard is not there");
    if (found.size !== bytes) throw unreadable(`${dir}/${file}`, `${found.size} bytes; the manifest says ${bytes}`);
    if (bytes < images * each)
      throw unreadable(`${dir}/${file}`, `${bytes} bytes cannot hold ${images} encodings of ${each} bytes`);
    starts.push(total);
    total += images;
  }
  if (total !== manifest.images)
    throw unreadable(`${dir}/${manifestFile}`, `its shards hold ${total} images; it says ${manifest.images}`);

  const opened = new Map<number, Promise<OpenShard>>();
  const shardAt = (k: number): Promise<OpenShard> => {
    const known = opened.get(k);
    if (known) return known;
    const opening = openShard(dir, manifest, k);
    opened.set(k, opening);
    return opening;
  };
  return {
    dir,
    manifest,
    labels,
    shape,
    imagesOf: (split) => {
      const images = labels.splits.flatMap((s, i) => (s === split ? [i] : []));
      if (images.length > 0) return images;
      throw new LeadglassError("LG-ENCODE-005", `${dir}: split "${split}" has no image`, {
        hint: `The splits are: ${Object.entries(manifest.splits)
          .map(([name, n]) => `${name} (${n})`)
          .join(", ")}.`,
      });
    },
    load: async (images, out = new Float32Array(images.length * size)) => {
      const bytes = new Uint8Array(each);
      for (const [i, image] of images.entries()) {
        if (!(Number.isInteger(image) && image >= 0 && image < total))
          throw new RangeError(`encoding ${image} of ${total}`);
        let k = starts.length - 1;
        while (starts[k]! > image) k--;
        const { file, start } = await shardAt(k);
        await file.read(bytes, 0, each, start + (image - starts[k]!) * each);
        out.set(
          manifest.encodings.dtype === "float16"
            ? new Float16Array(bytes.buffer, 0, size)
            : new Float32Array(bytes.buffer, 0, size),
          i * size,
        );
      }
      return out;
    },
    [Symbol.asyncDispose]: async () => {
      for (const opening of opened.values()) await (await opening.catch(() => undefined))?.file.close();
    },
  };
}

async function readManifest(dir: string): Promise<ReleaseManifest> {
  const found = await stat(dir).catch(() => undefined);
  if (!found) throw unreadable(dir, "there is no such folder");
  if (found.isFile()) {
    if (found.size < 65_536 && looksLikeKey(await readFile(dir, "utf8")))
      throw new LeadglassError("LG-ENCODE-004", `${dir}: this is a secret key; a release was expected`, {
        hint: "Name the folder that encode has written. If anybody else was meant to get this file, make a new key.",
      });
    throw unreadable(dir, "a file; the folder of a release was expected");
  }
  const place = join(dir, manifestFile);
  let text: string;
  try {
    text = await readFile(place, "utf8");
  } catch (cause) {
    throw unreadable(dir, `no ${manifestFile} is there`, cause);
  }
  let manifest: ReleaseManifest;
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(text));
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!;
      throw unreadable(place, `${issue.path.join(".") || "the document"}: ${issue.message}`);
    }
    manifest = parsed.data;
  } catch (cause) {
    if (cause instanceof SyntaxError) throw unreadable(place, "this is not JSON", cause);
    throw cause;
  }
  checkManifest(place, manifest);
  return manifest;
}

/** What a manifest says must agree with itself. */
function checkManifest(place: string, manifest: ReleaseManifest): void {
  const { scheme, image, encodings, shards, splits, images, bound } = manifest;
  const [patches, outputs] = encodings.shape;
  const expected = [releasedPatches(scheme, image), scheme.outputs];
  if (patches !== expected[0] || outputs !== expected[1])
    throw unreadable(
      place,
      `encodings of shape [${encodings.shape.join(", ")}]; scheme ${scheme.name} on ${image.height} x ${image.width} images gives [${expected.join(", ")}]`,
    );
  if (shards.some(({ file }) => !/^encodings-\d{5}\.safetensors$/.test(file)))
    throw unreadable(place, "a shard is not called encodings-NNNNN.safetensors");
  const inSplits = Object.values(splits).reduce((sum, n) => sum + n, 0);
  if (inSplits !== images) throw unreadable(place, `its splits hold ${inSplits} images; it says ${images}`);
  const proven = noiseBound(scheme, image);
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.abs(b);
  if (
    (bound === null) !== (proven === null) ||
    (bound && proven && !(close(bound.mu, proven.mu) && close(bound.informationNats, proven.informationNats)))
  )
    throw unreadable(place, "the bound it states is not the one that its scheme's noise gives");
}

async function readLabels(dir: string, manifest: ReleaseManifest): Promise<ReleaseLabels> {
  const place = join(dir, labelsFile);
  const { labels, images } = manifest;
  const bytes = await readFile(place).catch((cause: unknown): never => {
    throw unreadable(place, "the labels are not there", cause);
  });
  if (bytes.length !== labels.bytes || createHash("sha256").update(bytes).digest("hex") !== labels.sha256)
    throw unreadable(place, "the labels are not those that the manifest describes");
  let rows: Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file: await asyncBufferFromFile(place) });
  } catch (cause) {
    throw unreadable(place, "not a readable Parquet file", cause);
  }
  if (rows.length !== images) throw unreadable(place, `${rows.length} rows; the manifest says ${images} images`);
  const columns = Object.keys(rows[0] ?? {}).sort();
  const expected = ["split", ...labels.targets, ...labels.groups].sort();
  if (columns.join("\n") !== expected.join("\n"))
    throw unreadable(place, `columns ${columns.join(", ")}; the manifest says ${expected.join(", ")}`);
  const textOf = (v: unknown): string | null =>
    v === null || v === undefined ? null : typeof v === "string" ? v : JSON.stringify(v);
  const splits = rows.map((row) => textOf(row["split"]) ?? "");
  for (const [name, n] of Object.entries(manifest.splits))
    if (splits.filter((s) => s === name).length !== n)
      throw unreadable(place, `split "${name}" does not have the ${n} images that the manifest says`);
  return {
    splits,
    targets: Object.fromEntries(
      labels.targets.map((name) => [
        name,
        rows.map((row, i) => {
          const v = row[name];
          if (v === null || v === undefined) return null;
          if (v === 0 || v === 1) return v;
          throw unreadable(place, `data row ${i + 1}: column "${name}" holds a value that is not 0, 1 or blank`);
        }),
      ]),
    ),
    groups: Object.fromEntries(labels.groups.map((name) => [name, rows.map((row) => textOf(row[name]))])),
  };
}

interface OpenShard {
  readonly file: Awaited<ReturnType<typeof open>>;
  /** Where the first encoding begins. */
  readonly start: number;
}

/** Opens a shard once its hash and its header are what the manifest says; in constant memory. */
async function openShard(dir: string, manifest: ReleaseManifest, k: number): Promise<OpenShard> {
  const shard = manifest.shards[k]!;
  const path = join(dir, shard.file);
  const file = await open(path, "r");
  try {
    const hash = createHash("sha256");
    for await (const chunk of file.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Buffer);
    if (hash.digest("hex") !== shard.sha256)
      throw unreadable(path, "its SHA-256 is not the one in the manifest: it was changed or damaged");
    return { file, start: await checkHeader(path, file, manifest, k) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads a shard's header alone; returns where its data begin. */
async function checkHeader(
  path: string,
  file: OpenShard["file"],
  { encodings, shards }: ReleaseManifest,
  k: number,
): Promise<number> {
  const { images, bytes } = shards[k]!;
  const length = Buffer.alloc(8);
  await file.read(length, 0, 8, 0);
  const header = Number(length.readBigUInt64LE());
  if (!(header <= Math.min(bytes - 8, 4096))) throw unreadable(path, "this is not a shard of encodings");
  const text = Buffer.alloc(header);
  await file.read(text, 0, header, 8);
  const dtype = encodings.dtype === "float16" ? "F16" : "F32";
  const data = images * sizeOf(encodings.shape) * (dtype === "F16" ? 2 : 4);
  const expected = {
    [tensorName]: { dtype, shape: [images, ...encodings.shape], data_offsets: [0, data] },
  };
  if (text.toString("utf8").trim() !== JSON.stringify(expected))
    throw unreadable(path, `its header is not that of one tensor "${tensorName}" of ${dtype} [${[images, ...encodings.shape].join(", ")}]`); // prettier-ignore
  if (8 + header + data !== bytes)
    throw unreadable(path, `${bytes} bytes; the tensor and its header take ${8 + header + data}`);
  return 8 + header;
}
