/** Writes a release shard by shard: constant memory, resumable, and under its name only when it is whole. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { LeadglassError } from "../../errors.ts";
import { sizeOf } from "../../graph/index.ts";
import { encodeSafetensors } from "../../runtime/safetensors.ts";
import { writeAtomically } from "../../training/checkpoint.ts";
import { lintRelease } from "./lint.ts";
import { labelsFile, manifestFile, notice, shardFile, tensorName, type ReleaseManifest } from "./manifest.ts";
import type { ReleaseLabels } from "./read.ts";

/** What a release says of itself before anything is written. */
export type ReleaseStart = Pick<ReleaseManifest, "key" | "scheme" | "image" | "bound"> & {
  readonly shape: readonly [number, number];
  readonly dtype: "float16" | "float32";
};

/** What the owner keeps until a release is whole: the secret nonce, and what it is for. */
interface WritingState {
  readonly release: string;
  /** 32 bytes, hexadecimal; all orders and noise come from it. */
  readonly nonce: string;
  /** SHA-256 of everything that decides the release. */
  readonly settings: string;
}

export interface ReleaseWriter {
  readonly release: string;
  readonly nonce: Uint8Array;
  /** Images that one shard holds. */
  readonly shardImages: number;
  /** Images that are on the disk already, of a writing that was interrupted. */
  readonly written: number;
  /** Writes a shard's worth of encodings [images, patches, outputs]; the last may be smaller. */
  readonly add: (encodings: Float32Array) => Promise<void>;
  /** Writes labels and manifest, has everything linted, and gives the folder its name. */
  readonly finish: (labels: ReleaseLabels) => Promise<ReleaseManifest>;
}

/** Bytes of a shard, at most, where it holds more than one image. */
const shardBytes = 32 * 2 ** 20;
/** The day that all files of a release are dated: when they were made is nobody's business. */
const noDay = new Date(0);

/** Where a release that is not whole yet lies, with the secret it is made from. */
const partialOf = (dir: string): string => join(dirname(resolve(dir)), `.${basename(resolve(dir))}.partial`);

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** The writing of `dir` that was interrupted; undefined where there is none. */
async function interrupted(dir: string): Promise<WritingState | undefined> {
  const text = await readFile(join(partialOf(dir), "state.json"), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as WritingState);
}

/**
 * Starts or goes on writing a release. Until it is finished it lies in a hidden folder beside `dir`, with the secret nonce
 * in a file that only its owner can read.
 * @param options.settings everything that decides the release, as text: a writing is resumed only under the same.
 * Throws LG-USAGE-003 where something is there already, LG-ENCODE-006 where there is nothing of these settings to resume.
 */
export async function startRelease(
  dir: string,
  start: ReleaseStart,
  options: { readonly settings: string; readonly nonce: Uint8Array; readonly resume?: boolean },
): Promise<ReleaseWriter> {
  if (await exists(dir))
    throw new LeadglassError("LG-USAGE-003", `${dir}: there is something already`, { hint: "Give another --out." });
  const partial = partialOf(dir);
  const folder = join(partial, "release");
  const settings = createHash("sha256")
    .update(JSON.stringify([start, options.settings]))
    .digest("hex");
  const before = await interrupted(dir);
  if (options.resume && before?.settings !== settings)
    throw new LeadglassError(
      "LG-ENCODE-006",
      `${dir}: there is no interrupted encoding ${before ? "with these settings" : ""} to resume`,
      { hint: "Leave out --resume, or give the options that it was begun with." },
    );
  let state: WritingState;
  if (options.resume) state = before!;
  else {
    await rm(partial, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await chmod(partial, 0o700);
    const nonce = Buffer.from(options.nonce).toString("hex");
    state = {
      release: createHash("sha256").update(`release ${nonce}`).digest("hex").slice(0, 16),
      nonce,
      settings,
    };
    await writeFile(join(partial, "state.json"), JSON.stringify(state), { mode: 0o600 });
  }
  const size = sizeOf(start.shape);
  const each = size * (start.dtype === "float16" ? 2 : 4);
  const shardImages = Math.max(1, Math.floor(shardBytes / each));
  const shards: { file: string; images: number; bytes: number; sha256: string }[] = [];
  const totals = { squares: 0, errors: 0 };
  while (options.resume && (await exists(join(folder, shardFile(shards.length))))) {
    const path = join(folder, shardFile(shards.length));
    const { size: bytes } = await stat(path);
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    const images = Math.floor(bytes / each);
    shards.push({ file: basename(path), images, bytes, sha256: hash.digest("hex") });
  }
  return {
    release: state.release,
    nonce: Uint8Array.from(Buffer.from(state.nonce, "hex")),
    shardImages,
    written: shards.reduce((sum, { images }) => sum + images, 0),
    add: async (encodings) => {
      const images = encodings.length / size;
      const shape = [images, ...start.shape];
      let data: Float32Array | Uint16Array = encodings;
      if (start.dtype === "float16") {
        const rounded = new Float16Array(encodings);
        // The first image of each shard stands for all in what the manifest says of rounding.
        for (let i = 0; i < size; i++) {
          totals.squares += encodings[i]! ** 2;
          totals.errors += (encodings[i]! - rounded[i]!) ** 2;
        }
        data = new Uint16Array(rounded.buffer);
      }
      const bytes = encodeSafetensors({ [tensorName]: { dtype: start.dtype, shape, data } });
      const file = shardFile(shards.length);
      await writeAtomically(join(folder, file), bytes);
      shards.push({ file, images, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
    },
    finish: async (labels) => {
      const table = labelBytes(labels);
      await writeFile(join(folder, labelsFile), table);
      const relativeRms = totals.squares > 0 ? Math.sqrt(totals.errors / totals.squares) : 0;
      const manifest: ReleaseManifest = {
        format: "leadglass release 1",
        notice,
        release: state.release,
        key: start.key,
        scheme: start.scheme,
        image: start.image,
        encodings: {
          shape: [...start.shape],
          dtype: start.dtype,
          rounding: {
            relativeMost: start.dtype === "float16" ? 2 ** -11 : 0,
            relativeRms: Number(relativeRms.toPrecision(3)),
          },
        },
        bound: start.bound,
        images: labels.splits.length,
        splits: Object.fromEntries(
          [...Map.groupBy(labels.splits, (s) => s)].map(([name, rows]) => [name, rows.length]).sort(),
        ) as Record<string, number>,
        labels: {
          sha256: createHash("sha256").update(table).digest("hex"),
          bytes: table.length,
          targets: Object.keys(labels.targets),
          groups: Object.keys(labels.groups),
        },
        shards,
      };
      await writeFile(join(folder, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`);
      for (const file of [manifestFile, labelsFile, ...shards.map((s) => s.file)])
        await utimes(join(folder, file), noDay, noDay);
      await lintRelease(folder);
      await rename(folder, dir);
      await rm(partial, { recursive: true, force: true });
      return manifest;
    },
  };
}

function labelBytes({ splits, targets, groups }: ReleaseLabels): Uint8Array {
  return new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: "split", type: "STRING", data: [...splits] },
        ...Object.entries(targets).map(([name, data]) => ({
          name,
          type: "INT32" as const,
          data: [...data],
          nullable: true,
        })),
        ...Object.entries(groups).map(([name, data]) => ({
          name,
          type: "STRING" as const,
          data: [...data],
          nullable: true,
        })),
      ],
    }),
  );
}
