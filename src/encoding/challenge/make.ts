/** A challenge from a cohort: a release, what attackers may know, and sealed answers. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openImages, type Cohort, type Target } from "../../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../../errors.ts";
import { secureRandom, shuffle } from "../../math/random.ts";
import { startEngine } from "../../runtime/index.ts";
import { meansOf } from "../attacks/means.ts";
import { pick, vectors } from "../attacks/arrays.ts";
import { halfKnown, positionsOf, schemePatches, type AttackTruth, type AttackView } from "../attacks/view.ts";
import { encodeCohort, releaseOrder, startEncoder } from "../encode.ts";
import { fingerprintOf, type Key } from "../keys.ts";
import { imageNonce } from "../nonce.ts";
import { openRelease } from "../release/index.ts";
import { patchGrid, type Scheme } from "../schemes/scheme.ts";
import {
  bytesOf,
  commitmentOf,
  filesOfEncodings,
  openSealed,
  publicSchema,
  sealedText,
  type PublicChallenge,
  type Sealed,
} from "./commitment.ts";

export interface ChallengeOptions {
  readonly cohort: Cohort;
  readonly key: Key;
  readonly scheme: Scheme;
  readonly target: string;
  readonly out: string;
  readonly images: number;
  /** Pairs given away. */
  readonly known: number;
  /** Images of track 2. */
  readonly targets: number;
  readonly size: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/**
 * Makes OUT/public (challenge.json, commitment.txt, release/) and OUT/sealed/answers.json. The commitment is written
 * before the release; what it commits to decides every answer. Images are drawn from the system's generator.
 * Throws LG-ATTACK-001 for a cohort that is too small, and what encoding throws.
 */
export async function makeChallenge(options: ChallengeOptions): Promise<PublicChallenge> {
  const { cohort, key, scheme, out, images: count, known, targets, size } = options;
  if (count + targets > cohort.records.length || known >= count)
    throw new LeadglassError(
      "LG-ATTACK-001",
      `challenge: ${count} images, ${targets} targets and ${known} known pairs; the cohort has ${cohort.records.length} images`,
      { hint: "Ask for fewer images or targets, and fewer known pairs than images." },
    );
  using random = secureRandom();
  const drawn = shuffle([...cohort.records.keys()], random);
  const images = drawn.slice(0, count).sort((a, b) => a - b);
  const files = images.map((i) => cohort.records[i]!.file);
  const numbers = new Map<string, number>();
  const patients = images.map((i) => {
    const { patientId } = cohort.records[i]!;
    if (!numbers.has(patientId)) numbers.set(patientId, numbers.size);
    return numbers.get(patientId)!;
  });
  const sealed: Sealed = {
    format: "leadglass challenge answers 1",
    salt: toHex(random.bytes(32)),
    nonce: toHex(random.bytes(32)),
    keyFingerprint: fingerprintOf(key),
    ...{ files, images, patients },
  };
  const text = sealedText(sealed);
  const commitment = commitmentOf(text);
  await mkdir(join(out, "public"), { recursive: true });
  await mkdir(join(out, "sealed"), { recursive: true, mode: 0o700 });
  await writeFile(join(out, "sealed", "answers.json"), text, { mode: 0o600, flag: "wx" });
  await writeFile(join(out, "public", "commitment.txt"), `${commitment}\n`, { flag: "wx" });
  await encodeCohort({
    ...{ cohort, key, scheme, images, size },
    targets: [cohort.target(options.target)],
    out: join(out, "public", "release"),
    nonce: bytesOf(sealed.nonce),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const behind = filesOfEncodings(sealed);
  const challenge: PublicChallenge = {
    format: "leadglass challenge 1",
    ...{ commitment, images: count },
    candidates: [...files].sort(),
    known: behind.slice(0, known).map((file, encoding) => ({ encoding, file })),
    targets: drawn.slice(count, count + targets).map((i) => cohort.records[i]!.file),
  };
  await writeFile(join(out, "public", "challenge.json"), `${JSON.stringify(challenge, null, 2)}\n`, { flag: "wx" });
  return challenge;
}

/** Reads OUT/public/challenge.json. Throws LG-ATTACK-001 where it is not one. */
export async function readChallenge(dir: string): Promise<PublicChallenge> {
  const text = await readFile(join(dir, "challenge.json"), "utf8").catch(() => undefined);
  const parsed = publicSchema.safeParse(text === undefined ? undefined : parseJson(text));
  if (parsed.success) return parsed.data;
  throw new LeadglassError("LG-ATTACK-001", `${dir}/challenge.json: there is none, or it is not a challenge's`, {
    hint: "Name the public folder of a challenge, made by leadglass challenge make.",
  });
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Reads sealed answers and checks them against the challenge. Throws LG-ATTACK-001. */
export const readAnswers = async (file: string, challenge: Pick<PublicChallenge, "commitment">): Promise<Sealed> =>
  openSealed(await readFile(file, "utf8"), challenge);

/**
 * What an attacker sees of a challenge whose cohort is at hand, and, with the sealed answers, the truth.
 * Throws LG-ATTACK-001 where the cohort lacks a candidate or its images are no whole patches.
 */
export async function viewOfChallenge(
  dir: string,
  cohort: Cohort,
  {
    answers,
    attribute,
    seed,
  }: {
    readonly answers?: string;
    /** A column, or COLUMN=VALUE, that was not published. */
    readonly attribute?: string;
    readonly seed: number;
  },
): Promise<{ readonly view: AttackView; readonly truth?: AttackTruth; readonly challenge: PublicChallenge }> {
  const challenge = await readChallenge(dir);
  await using release = await openRelease(join(dir, "release"));
  const { scheme, image: shape } = release.manifest;
  if (shape.height % scheme.patch !== 0 || shape.width % scheme.patch !== 0)
    throw new LeadglassError(
      "LG-ATTACK-001",
      `${dir}: ${shape.height} x ${shape.width} pixels, patches of ${scheme.patch}`,
      {
        hint: "These attacks need images of whole patches.",
      },
    );
  const places = new Map(cohort.records.map(({ file }, i) => [file, i]));
  const indices = challenge.candidates.map((file) => {
    const found = places.get(file);
    if (found === undefined)
      throw new LeadglassError("LG-ATTACK-001", `${cohort.place}: it lacks a candidate of the challenge`, {
        hint: "Give --public the cohort that the challenge was made from.",
      });
    return found;
  });
  using store = openImages(cohort, {
    size: { width: shape.width, height: shape.height },
    channels: shape.channels === 3 ? 3 : 1,
    normalise: "none",
  });
  const n = challenge.images;
  const codes = await release.load([...Array(n).keys()]);
  const at = new Map(challenge.candidates.map((file, i) => [file, i]));
  const targets = challenge.targets.flatMap((file) => places.get(file) ?? []);
  const taken = new Set([...indices, ...targets]);
  // The targets first, then others that nobody encoded: as many as there are encodings.
  const rest = [...places.values()].filter((i) => !taken.has(i)).slice(0, Math.max(0, n - targets.length));
  const outside = [...targets, ...rest];
  const patchesOfImages = async (images: readonly number[]) =>
    schemePatches(scheme, shape, await store.readBatch([...images]));
  const outsiders = outside.length > 0 ? await patchesOfImages(outside) : undefined;
  const label = release.manifest.labels.targets[0];
  const published = label === undefined ? undefined : release.labels.targets[label];
  const held = label === undefined ? undefined : targetOf(cohort, label);
  const labelOf = (image: number): number => (held?.present[image] === 1 ? held.labels[image]! : Number.NaN);
  const hidden = attribute === undefined ? undefined : cohort.target(attribute);
  const hiddenOf = (image: number): number => (hidden?.present[image] === 1 ? hidden.labels[image]! : Number.NaN);
  const known = challenge.known.map(({ encoding, file }) => ({ encoding, candidate: at.get(file)! }));
  const knownAttribute = new Float32Array(n).fill(Number.NaN);
  for (const { encoding, candidate } of known) knownAttribute[encoding] = hiddenOf(indices[candidate]!);
  const view: AttackView = {
    ...{ scheme, shape, seed },
    codes: vectors(codes, n, release.shape[0], release.shape[1]),
    candidates: await patchesOfImages(indices),
    known,
    ...(outsiders ? { outsiders } : {}),
    ...(outsiders && targets.length > 0 ? { targets: pick(outsiders, [...targets.keys()]) } : {}),
    ...(published && held
      ? {
          labels: {
            codes: Float32Array.from(published, (v) => v ?? Number.NaN),
            candidates: Float32Array.from(indices, labelOf),
            outsiders: Float32Array.from(outside, labelOf),
          },
        }
      : {}),
    ...(hidden ? { attribute: { name: hidden.name, codes: knownAttribute } } : {}),
  };
  if (answers === undefined) return { view, challenge };
  const sealed = await readAnswers(answers, challenge);
  const nonce = bytesOf(sealed.nonce);
  const order = releaseOrder(sealed.images, nonce);
  const patientOf = new Map(sealed.images.map((image, k) => [image, sealed.patients[k]!]));
  const attributes = hidden ? Float32Array.from(order, hiddenOf) : undefined;
  return {
    // With the answers at hand, the attacker is given half of the patients' attribute.
    view: attributes ? { ...view, attribute: { name: hidden!.name, codes: halfKnown(attributes, seed) } } : view,
    challenge,
    truth: {
      candidateOf: Int32Array.from(filesOfEncodings(sealed), (file) => at.get(file)!),
      positions: positionsOf(
        scheme,
        shape,
        order.map((image) => imageNonce(nonce, image)),
      ),
      patients: Int32Array.from(order, (image) => patientOf.get(image)!),
      ...(attributes ? { attribute: attributes } : {}),
    },
  };
}

/** The cohort's target that a release calls `name`; undefined where it has none. */
function targetOf(cohort: Cohort, name: string): Target | undefined {
  try {
    return cohort.target(name);
  } catch (error) {
    if (isLeadglassError(error)) return undefined;
    throw error;
  }
}

/** True mean encodings of track 2's targets, [targets][outputs]. Throws LG-ATTACK-001 for another key than committed. */
export async function targetEncodings(dir: string, cohort: Cohort, key: Key, sealed: Sealed): Promise<Float32Array[]> {
  if (fingerprintOf(key) !== sealed.keyFingerprint)
    throw new LeadglassError("LG-ATTACK-001", `key ${key.id}: it is not the one that the challenge committed to`, {
      hint: "Give the key that the challenge was made with.",
    });
  const challenge = await readChallenge(dir);
  await using release = await openRelease(join(dir, "release"));
  const { scheme, image: shape } = release.manifest;
  const places = new Map(cohort.records.map(({ file }, i) => [file, i]));
  using store = openImages(cohort, { size: { width: shape.width, height: shape.height }, normalise: "none" });
  await using engine = await startEngine();
  await using encoder = await startEncoder(engine, scheme, key, shape);
  const encoded = await encoder.encode(await store.readBatch(challenge.targets.map((file) => places.get(file)!)));
  const { patches } = patchGrid(scheme, shape);
  const { data, width } = meansOf(vectors(encoded, challenge.targets.length, patches, scheme.outputs));
  return challenge.targets.map((_, i) => data.slice(i * width, (i + 1) * width));
}
