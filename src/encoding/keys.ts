/** A hospital's secret: 256 bits from which an encoder and nothing else is drawn. Files are read and written in `key-file.ts`. */
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { LeadglassError } from "../errors.ts";
import { secureRandom, type RandomSource } from "../math/random.ts";

/** Bytes of a secret. */
export const secretBytes = 32;

/** A key. Its secret never leaves the hospital: whoever has it can undo every encoding made with it. */
export interface Key {
  /** The first 16 digits of the fingerprint: names the key in releases and ledgers. */
  readonly id: string;
  readonly secret: Uint8Array;
  /** The day it was made, as YYYY-MM-DD; empty where nobody said. */
  readonly created: string;
  /** Where the secret came from. What a seed gives can be found by trying seeds. */
  readonly source: "system" | "seed";
  /** The subset of the hospital's images that it is for; null for all. */
  readonly subset: string | null;
  /** The id of the key that it took over from; null for the first. */
  readonly replaces: string | null;
}

/**
 * Makes a key from the system's generator; `random` is for tests, and marks the key as one that protects nobody.
 * @param options.created the day, as YYYY-MM-DD; `subset` what it is for; `replaces` the key that it follows.
 */
export function makeKey(
  random?: RandomSource,
  options: { readonly created?: string; readonly subset?: string | null; readonly replaces?: string | null } = {},
): Key {
  using own = random ? undefined : secureRandom();
  const source = (random ?? own)!;
  return keyOf(source.bytes(secretBytes), { ...options, source: source.secure ? "system" : "seed" });
}

/** The key of a secret that is at hand. Throws LG-ENCODE-001 unless it has 32 bytes. */
export function keyOf(secret: Uint8Array, details: Partial<Omit<Key, "id" | "secret">> = {}): Key {
  if (secret.length !== secretBytes)
    throw new LeadglassError("LG-ENCODE-001", `key: a secret of ${secret.length} bytes; ${secretBytes} were expected`, {
      hint: "Make a key with leadglass key make.",
    });
  const { created = "", source = "system", subset = null, replaces = null } = details;
  return { id: fingerprintOf({ secret }).slice(0, 16), secret, created, source, subset, replaces };
}

/**
 * The key for one subset of the images, drawn from a hospital's key: one subset's encoder says nothing of another's, and
 * the same subset always has the same one. HKDF-SHA256 (RFC 5869).
 */
export const subsetKey = (key: Key, subset: string): Key =>
  keyOf(hkdf(sha256, key.secret, utf8ToBytes("leadglass encoding 1"), utf8ToBytes(`subset ${subset}`), secretBytes), {
    ...key,
    subset,
  });

/** A fresh key to follow an old one: what is published from now on cannot be linked to what the old one encoded. */
export const rotatedKey = (old: Pick<Key, "id" | "subset">, created = ""): Key =>
  makeKey(undefined, { created, subset: old.subset, replaces: old.id });

/** SHA-256 of the secret under a fixed label, 64 hexadecimal digits. It may be shown; of 256 random bits it gives nothing away. */
export const fingerprintOf = ({ secret }: Pick<Key, "secret">): string =>
  bytesToHex(sha256(concatBytes(utf8ToBytes("leadglass encoding key fingerprint 1\n"), secret)));

/**
 * The key that a 32-bit seed gives, as the generators of machine-learning libraries seed themselves: the seed in the first
 * four bytes, lowest first, and zeros. It exists so that the search for seeds can be shown; `encode` refuses it.
 */
export function weakKey(seed: number): Key {
  const secret = new Uint8Array(secretBytes);
  new DataView(secret.buffer).setUint32(0, seed, true);
  return keyOf(secret, { source: "seed" });
}

/** Fewer different bytes than this among 32 random ones have a probability below 10^-10. */
const leastDistinctBytes = 18;

/** Why a key cannot protect anybody; undefined where nothing speaks against it. */
export function weaknessOf({ secret, source }: Pick<Key, "secret" | "source">): string | undefined {
  if (source === "seed") return "its secret came from a seed that can be found by trying";
  const distinct = new Set(secret).size;
  if (distinct < leastDistinctBytes) return `its secret has only ${distinct} different bytes among ${secretBytes}`;
  const steps = new Set(secret.slice(1).map((byte, i) => byte - secret[i]!));
  if (steps.size < leastDistinctBytes / 2) return "the bytes of its secret follow a simple rule";
  return undefined;
}

/** Throws LG-ENCODE-002 for a key that can be found by trying. */
export function refuseWeakKey(key: Key): void {
  const weakness = weaknessOf(key);
  if (weakness === undefined) return;
  throw new LeadglassError("LG-ENCODE-002", `key ${key.id}: ${weakness}`, {
    hint: "Make a key with leadglass key make, which takes 256 bits from the system's generator.",
  });
}
