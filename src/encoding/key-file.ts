/** Keys as files, for their owner's eyes alone, and beside each a count of what was published with it. */
import { lstat, open, readFile, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { LeadglassError } from "../errors.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import { fingerprintOf, keyOf, refuseWeakKey, secretBytes, type Key } from "./keys.ts";

/** What a key file begins with, so that it can be told from anything else. */
export const keyFormat = "leadglass encoding key 1";

const keySchema = z.strictObject({
  format: z.literal(keyFormat),
  warning: z.string(),
  id: z.string().regex(/^[0-9a-f]{16}$/),
  created: z.string().max(10),
  source: z.enum(["system", "seed"]),
  subset: z.string().min(1).nullable(),
  replaces: z.string().nullable(),
  secret: z.string().regex(/^[0-9a-f]{64}$/),
});

const unreadable = (path: string, what: string, cause?: unknown): LeadglassError =>
  new LeadglassError("LG-ENCODE-001", `${path}: ${what}`, {
    hint: "Name a file that leadglass key make has written.",
    ...(cause === undefined ? {} : { cause }),
  });

/** True for the text of a key file, whole or not. */
export const looksLikeKey = (text: string): boolean => text.includes(keyFormat.slice(0, -2));

/**
 * Writes a key to a new file that only its owner can read (mode 0600).
 * Throws LG-ENCODE-002 for a weak key, LG-USAGE-003 where something is there, LG-ENCODE-004 inside a release.
 */
export async function writeKey(path: string, key: Key): Promise<void> {
  refuseWeakKey(key);
  if (
    await stat(join(dirname(resolve(path)), "manifest.json")).then(
      () => true,
      () => false,
    )
  )
    // prettier-ignore
    throw new LeadglassError("LG-ENCODE-004", `${path}: this folder holds a release, which others read`, {
      hint: "Keep keys in a folder of their own.",
    });
  const text = `${JSON.stringify(
    {
      format: keyFormat,
      warning: "SECRET. Whoever reads this can undo every encoding made with it. Never publish or send it.",
      ...{ id: key.id, created: key.created, source: key.source, subset: key.subset, replaces: key.replaces },
      secret: Buffer.from(key.secret).toString("hex"),
    },
    null,
    2,
  )}\n`;
  try {
    const file = await open(path, "wx", 0o600);
    try {
      // The mode of open is cut by the umask; this is not.
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") {
      await rm(path, { force: true });
      throw cause;
    }
    throw new LeadglassError("LG-USAGE-003", `${path}: there is something already`, {
      hint: "Give another --out: a key that is overwritten is lost.",
      cause,
    });
  }
}

/**
 * Reads a key. Throws LG-ENCODE-001 for anything else, LG-ENCODE-002 for a weak one or a file that others can read.
 */
export async function readKey(path: string): Promise<Key> {
  const found = await lstat(path).catch((cause: NodeJS.ErrnoException): never => {
    throw unreadable(path, cause.code === "ENOENT" ? "there is no such file" : `it cannot be read (${cause.code})`);
  });
  if (found.isDirectory()) throw unreadable(path, "a folder; a key file was expected");
  if (process.platform !== "win32" && ((await stat(path)).mode & 0o077) !== 0)
    throw new LeadglassError("LG-ENCODE-002", `${path}: others than its owner can read this key`, {
      hint: `Run chmod 600 on it. If anybody may have read it, make a new key: leadglass key make --rotate.`,
    });
  if (found.size > 65_536) throw unreadable(path, `${found.size} bytes; a key has fewer than 1,000`);
  let parsed: z.infer<typeof keySchema>;
  try {
    parsed = keySchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    // Neither the parser's message nor its cause: they may quote the secret.
    throw unreadable(path, "this is not a key");
  }
  const { secret, id, created, source, subset, replaces } = parsed;
  const key = keyOf(Uint8Array.from(Buffer.from(secret, "hex")), { created, source, subset, replaces });
  if (key.secret.length !== secretBytes || key.id !== id) throw unreadable(path, "its id and its secret do not agree");
  refuseWeakKey(key);
  return key;
}

const countSchema = z.strictObject({
  fingerprint: z.string(),
  releases: z.array(z.strictObject({ release: z.string(), images: z.int().nonnegative(), at: z.string() })),
});

/** What was published with a key. */
export interface Published {
  readonly images: number;
  readonly releases: readonly { readonly release: string; readonly images: number; readonly at: string }[];
}

const countPath = (path: string): string => `${path}.published.json`;

/** How much was published with the key of a file, as the count beside it says. Throws LG-ENCODE-001 for a count of another key. */
export async function publishedWith(path: string, key: Key): Promise<Published> {
  const text = await readFile(countPath(path), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return { images: 0, releases: [] };
  let count: z.infer<typeof countSchema>;
  try {
    count = countSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw unreadable(countPath(path), "the count of what was published cannot be read", cause);
  }
  if (count.fingerprint !== fingerprintOf(key)) throw unreadable(countPath(path), "this count belongs to another key");
  return { images: count.releases.reduce((sum, { images }) => sum + images, 0), releases: count.releases };
}

/** Adds a release to the count beside a key file, once however often it is told. */
export async function countPublished(
  path: string,
  key: Key,
  release: Published["releases"][number],
): Promise<Published> {
  const before = await publishedWith(path, key);
  const releases = [...before.releases.filter((r) => r.release !== release.release), release];
  await writeAtomically(countPath(path), `${JSON.stringify({ fingerprint: fingerprintOf(key), releases }, null, 2)}\n`);
  return { images: releases.reduce((sum, { images }) => sum + images, 0), releases };
}
