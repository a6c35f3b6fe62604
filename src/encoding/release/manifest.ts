/** What a release says of itself, in `manifest.json`. */
import { z } from "zod";
import { schemeSchema } from "../schemes/scheme.ts";

export const manifestFile = "manifest.json";
export const labelsFile = "labels.parquet";
/** The tensor of a shard. */
export const tensorName = "encodings";
export const shardFile = (index: number): string => `encodings-${String(index).padStart(5, "0")}.safetensors`;

const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const columnName = z.string().min(1).max(64);

export const manifestSchema = z.strictObject({
  format: z.literal("leadglass release 1"),
  /** What a reader must know. */
  notice: z.string().max(600),
  /** Random; names the release. */
  release: z.string().regex(/^[0-9a-f]{16}$/),
  /** The id of the key: releases with the same one can be linked, and share one feature space. */
  key: z.string().regex(/^[0-9a-f]{16}$/),
  scheme: schemeSchema,
  /** Pixels of the images before encoding, in [0, 1]. */
  image: z.strictObject({ channels: z.int().positive(), height: z.int().positive(), width: z.int().positive() }),
  encodings: z.strictObject({
    /** Of one image: patches, numbers of a patch. */
    shape: z.tuple([z.int().positive(), z.int().positive()]),
    dtype: z.enum(["float16", "float32"]),
    /** What rounding to `dtype` changes: at most, relative to each number (2^-11 for float16), and measured, as root mean squares. */
    rounding: z.strictObject({ relativeMost: z.number().nonnegative(), relativeRms: z.number().nonnegative() }),
  }),
  /** What the scheme's noise proves for each image against somebody who knows the key; null where nothing is proven. */
  bound: z.strictObject({ mu: z.number().positive(), informationNats: z.number().nonnegative() }).nullable(),
  images: count,
  splits: z.record(columnName, count),
  labels: z.strictObject({
    sha256,
    bytes: count,
    targets: z.array(columnName),
    /** Columns to describe images by; every combination of their values is borne by several images. */
    groups: z.array(columnName),
  }),
  shards: z.array(z.strictObject({ file: z.string(), images: z.int().positive(), bytes: count, sha256 })),
});

export type ReleaseManifest = Readonly<z.infer<typeof manifestSchema>>;

/** Stands in every manifest. */
export const notice =
  "Encodings of medical images by a secret network, with their labels in plain. The scheme has published breaks: treat this as personal data. Without noise nothing is proven about what it gives away; see bound.";
