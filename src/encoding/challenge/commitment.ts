/** Sealed answers: published as a hash before anything else, opened later, and checked by anybody. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { LeadglassError } from "../../errors.ts";
import { releaseOrder } from "../encode.ts";

const hex = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));

/** What decides every answer before the release exists; its hash is the commitment. */
export const sealedSchema = z.strictObject({
  format: z.literal("leadglass challenge answers 1"),
  /** Keeps short answers from being guessed from their hash. */
  salt: hex(64),
  /** The release's secret nonce: its order and every shuffle follow. */
  nonce: hex(64),
  keyFingerprint: hex(64),
  /** Files whose images are encoded, in the cohort's order. */
  files: z.array(z.string()),
  /** Their indices in the cohort, ascending. */
  images: z.array(z.int().nonnegative()),
  /** Numbers that stand for the patients of `files`. */
  patients: z.array(z.int().nonnegative()),
});

export type Sealed = Readonly<z.infer<typeof sealedSchema>>;

export const publicSchema = z.strictObject({
  format: z.literal("leadglass challenge 1"),
  /** SHA-256 of the sealed answers' text. */
  commitment: hex(64),
  images: z.int().positive(),
  /** Track 1: the files that the encodings show, sorted by name. */
  candidates: z.array(z.string()),
  /** Pairs given to the attacker. */
  known: z.array(z.strictObject({ encoding: z.int().nonnegative(), file: z.string() })),
  /** Track 2: files whose mean encodings are to be made without the key; none of them is in the release. */
  targets: z.array(z.string()),
});

export type PublicChallenge = Readonly<z.infer<typeof publicSchema>>;

export const sealedText = (sealed: Sealed): string => `${JSON.stringify(sealed)}\n`;
export const commitmentOf = (text: string): string => createHash("sha256").update(text).digest("hex");
export const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

/** The file behind each encoding: it follows from the sealed nonce, so it cannot be changed afterwards. */
export function filesOfEncodings({ nonce, images, files }: Sealed): string[] {
  const places = new Map(images.map((image, at) => [image, files[at]!]));
  return releaseOrder(images, bytesOf(nonce)).map((image) => places.get(image)!);
}

/** Reads sealed answers and checks them against their commitment. Throws LG-ATTACK-001 where they do not belong to it. */
export function openSealed(text: string, { commitment }: Pick<PublicChallenge, "commitment">): Sealed {
  const found = commitmentOf(text);
  if (found !== commitment)
    throw new LeadglassError(
      "LG-ATTACK-001",
      `sealed answers: their hash begins ${found.slice(0, 12)}, the published commitment ${commitment.slice(0, 12)}`,
      { hint: "These are not the answers that were committed to: ask the organiser, and believe no score." },
    );
  return sealedSchema.parse(JSON.parse(text));
}
