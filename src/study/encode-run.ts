import { writeFile } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { openCohort, type Cohort } from "../cohort/index.ts";
import {
  countPublished,
  encodeCohort,
  noiseBound,
  publishedWith,
  readKey,
  schemeNamed,
  subsetKey,
  type NoiseBound,
  type Published,
} from "../encoding/index.ts";
import { LeadglassError } from "../errors.ts";
import type { LedgerBody } from "../privacy/index.ts";
import type { Device } from "../runtime/index.ts";
import { appendToCohortLedger, ledgerForRun } from "./cohort-ledger.ts";
import { codeVersion } from "./run-folder.ts";

export interface EncodeRequest {
  readonly cohort: string;
  /** The file of the key. */
  readonly key: string;
  readonly out: string;
  readonly scheme?: string;
  /** All targets of the cohort by default. */
  readonly targets?: readonly string[];
  readonly groups?: readonly string[];
  /** Only images whose column holds this value, as COLUMN=VALUE. */
  readonly where?: string;
  /** Encode with the key that this one gives to a subset of this name. */
  readonly subset?: string;
  readonly imageSize?: number;
  readonly channels?: 1 | 3;
  readonly dtype?: "float16" | "float32";
  /** A file of the owner's, for which image is behind which encoding; refused inside the release. */
  readonly map?: string;
  readonly ledger?: string;
  readonly resume?: boolean;
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  readonly onWarning?: (line: string) => void;
}

/** What `encode --json` prints. */
export interface EncodeReport {
  readonly release: string;
  readonly id: string;
  readonly scheme: string;
  readonly key: string;
  readonly images: number;
  readonly shape: readonly number[];
  readonly targets: readonly string[];
  readonly bytes: number;
  readonly secondsPerImage: number;
  readonly peakMemoryBytes: number;
  /** What the scheme's noise proves; null where nothing is proven. */
  readonly bound: NoiseBound | null;
  /** Images published with this key so far, these with them. */
  readonly publishedWithKey: number;
  readonly ledger: { readonly path: string; readonly index: number };
}

const defaultSize = 256;
/** More images than this under one key deserve a word: every one of them helps to find the key. */
const manyImages = 10_000;

/**
 * Encodes a cohort as a release, and enters that into the cohort's ledger before anything is written: an encoding without
 * noise carries no proof.
 * Throws LG-ENCODE-..., LG-COHORT-..., LG-USAGE-001, LG-USAGE-003, LG-RUNTIME-004.
 */
export async function encodeRun(request: EncodeRequest): Promise<EncodeReport> {
  const owner = await readKey(request.key);
  const key = request.subset === undefined ? owner : subsetKey(owner, request.subset);
  const scheme = schemeNamed(request.scheme ?? "neuracrypt");
  const cohort = await openCohort(request.cohort);
  const targets = (request.targets?.length ? request.targets : cohort.targets).map((name) => cohort.target(name));
  const images = chosenImages(cohort, request.where);
  if (request.map !== undefined) refuseInside(request.map, request.out);
  const size = request.imageSize ?? defaultSize;
  const shape = { channels: request.channels ?? 1, height: size, width: size };
  const published = await publishedWith(request.key, owner);
  warnOfMany(published, images.length, request.onWarning);

  const path = await ledgerForRun(cohort.fingerprint, request);
  const body: LedgerBody = {
    kind: "not-accounted",
    cohortFingerprint: cohort.fingerprint,
    splits: [...new Set(images.map((i) => cohort.records[i]!.split))].sort(),
    what: `encodings of ${images.length} images with their labels, made by scheme ${scheme.name} under key ${key.id}; ${
      scheme.noise ? "their noise bounds what each image gives away, but no epsilon adds it up" : "nothing is proven about what they give away" // prettier-ignore
    }`,
    codeVersion,
    at: new Date().toISOString(),
  };
  const isSame = (entry: { readonly kind: string; readonly what?: string }): boolean =>
    entry.kind === "not-accounted" && entry.what === body.what;
  const entries = await appendToCohortLedger(path, (before) => (request.resume && before.some(isSame) ? [] : [body]));
  const { manifest, order, bytes, secondsPerImage } = await encodeCohort({
    ...{ cohort, images, key, scheme, targets, size },
    ...(request.groups ? { groups: request.groups } : {}),
    out: request.out,
    ...(request.channels ? { channels: request.channels } : {}),
    ...(request.dtype ? { dtype: request.dtype } : {}),
    ...(request.resume ? { resume: true } : {}),
    ...(request.device ? { device: request.device } : {}),
    ...(request.signal ? { signal: request.signal } : {}),
    ...(request.onProgress ? { onProgress: request.onProgress } : {}),
  });
  const at = new Date().toISOString();
  const total = await countPublished(request.key, owner, { release: manifest.release, images: manifest.images, at });
  if (request.map !== undefined) await writeMap(request.map, manifest.release, cohort, order);
  return {
    release: request.out,
    id: manifest.release,
    scheme: scheme.name,
    key: key.id,
    images: manifest.images,
    shape: manifest.encodings.shape,
    targets: manifest.labels.targets,
    bytes,
    secondsPerImage,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    bound: noiseBound(scheme, shape),
    publishedWithKey: total.images,
    ledger: { path, index: entries.findLast(isSame)!.index },
  };
}

function chosenImages(cohort: Cohort, where: string | undefined): number[] {
  const all = [...cohort.records.keys()];
  if (where === undefined) return all;
  const at = where.indexOf("=");
  if (at < 1)
    throw new LeadglassError("LG-USAGE-001", `--where: text of length ${where.length}; COLUMN=VALUE was expected`, {
      hint: "For example --where hospital=north.",
    });
  const cells = cohort.column(where.slice(0, at));
  const images = all.filter((i) => cells[i] === where.slice(at + 1));
  if (images.length > 0) return images;
  throw new LeadglassError("LG-COHORT-011", `--where: no image has this value in column "${where.slice(0, at)}"`, {
    hint: "Spell the value as the column does, with the same capitals.",
  });
}

function warnOfMany({ images }: Published, more: number, onWarning?: (line: string) => void): void {
  if (images + more > manyImages)
    onWarning?.(
      `${images + more} images will be published under one key. Each helps an attacker to find it: rotate the key (key make --rotate) or use one for each subset (encode --subset).`,
    );
}

/** The way back from encodings to images is as secret as the key. */
function refuseInside(map: string, out: string): void {
  if (!`${resolve(map)}${sep}`.startsWith(`${resolve(out)}${sep}`)) return;
  throw new LeadglassError("LG-ENCODE-004", "--map: this file would lie inside the release", {
    hint: `Keep it elsewhere, for example in ${dirname(resolve(out))}: it says who is behind each encoding.`,
  });
}

async function writeMap(path: string, release: string, cohort: Cohort, order: readonly number[]): Promise<void> {
  const rows = order.map((i) => ({ file_name: cohort.records[i]!.file, patient_id: cohort.records[i]!.patientId }));
  const text = JSON.stringify({ warning: "SECRET: who is behind each encoding of the release.", release, rows });
  await writeFile(path, `${text}\n`, { mode: 0o600 });
}
