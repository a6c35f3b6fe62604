/** Private encodings in a study: encode once, train on the releases, evaluate as the owner can, attack. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCohort, openImages, type Cohort } from "../../cohort/index.ts";
import { pixelsOfPatches } from "../../encoding/attacks/arrays.ts";
import { pictureSheet } from "../../encoding/attacks/sheet.ts";
import { reconstruct, runAttack, type AttackReport } from "../../encoding/attacks/run.ts";
import { stageRelease, type AttackView } from "../../encoding/attacks/view.ts";
import { encodeCohort, keyOf, schemeNamed, type Scheme } from "../../encoding/index.ts";
import { LeadglassError } from "../../errors.ts";
import { evaluateTargets } from "../../evaluation/index.ts";
import { seededRandom, shuffle } from "../../math/random.ts";
import type { TrainingProgress } from "../../training/index.ts";
import { appendToCohortLedger, ledgerForRun } from "../cohort-ledger.ts";
import { courseFile, courseRecorder } from "../results/index.ts";
import { groupingOf } from "../evaluate-run.ts";
import type { ArmOf, Study } from "../file/schema.ts";
import { predictRelease, trainReleases, type ReleaseTrainReport } from "../release-run.ts";
import { codeVersion } from "../run-folder.ts";
import { maskedLabels } from "../train-validation.ts";
import type { CohortOutput } from "./cohort-tasks.ts";
import type { EvaluateOutput } from "./model-tasks.ts";
import { keepPrediction } from "./prediction.ts";
import { emptied, type Task } from "./task.ts";

type EncodingsArm = ArmOf<"encodings">;

export interface EncodeOutput {
  readonly releases: readonly {
    readonly hospital: string;
    readonly dir: string;
    /** The cohort's image behind each encoding. */
    readonly order: readonly number[];
  }[];
  readonly ledger: EvaluateOutput["ledger"];
  readonly secondsPerImage: number;
}

export const schemeOf = ({ scheme, depth, width }: EncodingsArm): Scheme => ({
  ...schemeNamed(scheme),
  ...(depth === undefined ? {} : { depth }),
  ...(width === undefined ? {} : { width, outputs: width }),
});

/** Hospitals by a column, or patients dealt at random. */
function hospitalsOf(cohort: Cohort, hospitals: Study["hospitals"]): { name: string; images: number[] }[] {
  if ("column" in hospitals) {
    const cells = cohort.column(hospitals.column);
    return [...Map.groupBy([...cells.keys()], (i) => cells[i] || "none")]
      .map(([name, images]) => ({ name, images }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  const ids = shuffle([...new Set(cohort.records.map((r) => r.patientId))].sort(), seededRandom(1, "hospitals"));
  const place = new Map(ids.map((id, i) => [id, i % hospitals.count]));
  return Array.from({ length: hospitals.count }, (_, h) => ({
    name: `hospital ${h + 1}`,
    images: cohort.records.flatMap((r, i) => (place.get(r.patientId) === h ? [i] : [])),
  }));
}

/**
 * A secret that a study can draw again. It protects nobody, and need not: these releases stay in the study's folder, with
 * the images' owner.
 */
const studySecret = (...parts: readonly (string | number)[]): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(JSON.stringify(["leadglass study", ...parts]))
      .digest(),
  );

export function encodeTask(
  arm: EncodingsArm,
  cohort: Task<CohortOutput>,
  { hospitals, targets }: Pick<Study, "hospitals" | "targets">,
): Task<EncodeOutput> {
  // prettier-ignore
  const scheme = schemeOf(arm);
  const settings = { scheme, keys: arm.keys, imageSize: arm.imageSize, hospitals, targets };
  return {
    ...{ kind: "encode", name: `encode, ${arm.name}`, settings, needs: [cohort] },
    run: async ({ folder, ledgers, outputOf, onProgress, signal }) => {
      const opened = await openCohort(outputOf(cohort).dir);
      const ledger = await enter(opened, ledgers, scheme.name);
      const parts = hospitalsOf(opened, hospitals);
      const total = parts.reduce((sum, { images }) => sum + images.length, 0);
      const releases: EncodeOutput["releases"][number][] = [];
      const started = performance.now();
      let before = 0;
      for (const [h, { name, images }] of parts.entries()) {
        const secret = studySecret("key", scheme.name, arm.keys === "one" ? 0 : h);
        const dir = await emptied(join(folder, `release-${h + 1}`));
        const { order } = await encodeCohort({
          ...{ cohort: opened, images, key: keyOf(secret), scheme, size: arm.imageSize, out: dir },
          targets: targets.map((target) => opened.target(target)),
          nonce: studySecret("nonce", h),
          ...(signal ? { signal } : {}),
          onProgress: (done) => onProgress("images", before + done, total),
        });
        before += images.length;
        releases.push({ hospital: name, dir, order });
      }
      return { releases, ledger, secondsPerImage: (performance.now() - started) / 1000 / total };
    },
  };
}

/** The use of patients for encodings that nobody gets, once in a cohort's ledger. */
async function enter(cohort: Cohort, ledgers: string, scheme: string): Promise<EvaluateOutput["ledger"]> {
  const path = await ledgerForRun(cohort.fingerprint, { out: ledgers, ledger: ledgers });
  const what = `encodings of these patients by scheme ${scheme}, and models on them with their metrics, for a study; the encodings are kept in the study's folder`;
  const entries = await appendToCohortLedger(path, (before) =>
    before.some((e) => e.kind === "owner-only" && e.what === what)
      ? []
      : [{ kind: "owner-only", cohortFingerprint: cohort.fingerprint, what, codeVersion }],
  );
  const entry = entries.find((e) => e.kind === "owner-only" && e.what === what)!;
  return { path, index: entry.index, access: entry.access };
}

export interface ReleaseTrainOutput {
  readonly run: string;
  readonly report: ReleaseTrainReport;
}

export function releaseTrainTask(
  arm: EncodingsArm,
  encoded: Task<EncodeOutput>,
  targets: readonly string[],
  seed: number,
): Task<ReleaseTrainOutput> {
  // prettier-ignore
  return {
    ...{ kind: "train-releases", name: `train ${arm.name}, seed ${seed}`, needs: [encoded] },
    settings: { choices: arm.train, targets, seed },
    run: async ({ folder, outputOf, onProgress, signal }) => {
      const keepCourse = courseRecorder(join(folder, courseFile));
      const request = {
        ...{ releases: outputOf(encoded).releases.map(({ dir }) => dir), targets, out: join(folder, "run"), seed },
        choices: arm.train as Parameters<typeof trainReleases>[0]["choices"],
        ...(signal ? { signal } : {}),
        onFeatures: (done: number, total: number) => onProgress("reading", done, total),
        onStep: (progress: TrainingProgress) => {
          keepCourse(progress);
          onProgress("step", progress.step, progress.steps);
        },
      };
      // What was interrupted goes on from its checkpoint, or, without a whole beginning, from the start.
      const report = await trainReleases({ ...request, resume: true }).catch(async (error: unknown) => {
        if (!(error instanceof LeadglassError) || error.code !== "LG-TRAIN-002") throw error;
        await emptied(request.out);
        return trainReleases(request);
      });
      return { run: request.out, report };
    },
  };
}

/** Evaluates as the owner can, who knows whose the encodings are: by patient, and by any group. */
export function releaseEvaluateTask(
  arm: EncodingsArm,
  {
    cohort,
    encoded,
    trained,
  }: { cohort: Task<CohortOutput>; encoded: Task<EncodeOutput>; trained: Task<ReleaseTrainOutput> },
  settings: { readonly split: string; readonly groups: readonly string[] },
): Task<EvaluateOutput> {
  return {
    ...{ kind: "evaluate-releases", name: `evaluate ${arm.name}`, settings, needs: [cohort, encoded, trained] },
    run: async ({ folder, outputOf }) => {
      const opened = await openCohort(outputOf(cohort).dir);
      const { releases, ledger } = outputOf(encoded);
      const answers = new Map<number, Float32Array>();
      let thresholds: readonly number[] = [];
      let targets: readonly string[] = [];
      for (const { dir, order } of releases) {
        const found = await predictRelease({ run: outputOf(trained).run, release: dir, split: settings.split });
        ({ thresholds, targets } = found);
        const { length } = targets;
        found.rows.forEach((row, i) => answers.set(order[row]!, found.probabilities.slice(i * length, (i + 1) * length))); // prettier-ignore
      }
      // In the order of the cohort, so that models on images can be compared image by image.
      const images = [...answers.keys()].sort((a, b) => a - b);
      if (images.length === 0) throw new LeadglassError("LG-COHORT-011", `split ${settings.split} has no images`);
      const probabilities = Float32Array.from(images.flatMap((i) => [...answers.get(i)!]));
      const { columns, bands, by } = groupingOf(opened, settings.groups, images);
      const patients = images.map((i) => opened.records[i]!.patientId);
      const evaluations = evaluateTargets({
        ...{ targets, scores: probabilities, thresholds, patients, groups: columns, bands, by, seed: 1 },
        labels: maskedLabels(targets.map((t) => opened.target(t)), images), // prettier-ignore
      });
      await keepPrediction(folder, { images, probabilities, thresholds });
      const entries = Object.entries(evaluations);
      return {
        ledger,
        evaluation: {
          ...{ split: settings.split, n: images.length, patients: new Set(patients).size },
          metrics: Object.fromEntries(entries.map(([t, { groups: _g, fairness: _f, ...rest }]) => [t, rest])),
          groups: entries.flatMap(([target, { groups }]) => groups.map((g) => ({ target, ...g }))),
          fairness: Object.fromEntries(entries.map(([t, { fairness }]) => [t, fairness])),
        },
      };
    },
  };
}

export interface AttackOutput extends AttackReport {
  /** Original, reconstruction and the mean image, where the attack gets as far; in the task's folder. */
  readonly picture: string | null;
}

/** Attacks a release of the arm's scheme under a fresh key: of images of this cohort, which the attacker holds unordered. */
export function attackTask(arm: EncodingsArm, cohort: Task<CohortOutput>, attack: string): Task<AttackOutput> {
  const scheme = schemeOf(arm);
  const { imageSize, attacked } = arm;
  return {
    ...{ kind: "attack", name: `attack ${arm.name} by ${attack}`, needs: [cohort] },
    settings: { scheme, imageSize, attacked, attack },
    run: async ({ folder, outputOf, onProgress }) => {
      const opened = await openCohort(outputOf(cohort).dir);
      const count = Math.min(attacked.images, opened.records.length);
      const random = seededRandom(attacked.seed, "attacked");
      const drawn = shuffle([...opened.records.keys()], random).slice(0, count);
      const numbers = new Map([...new Set(drawn.map((i) => opened.records[i]!.patientId))].map((id, n) => [id, n]));
      using store = openImages(opened, { size: imageSize, channels: 1, normalise: "none", cacheBytes: 0 });
      const { view, truth } = await stageRelease({
        ...{ pixels: await store.readBatch(drawn), scheme, random, seed: attacked.seed, known: attacked.known },
        patients: drawn.map((i) => numbers.get(opened.records[i]!.patientId)!),
        shape: { channels: 1, height: imageSize, width: imageSize },
        key: keyOf(studySecret("attacked key", attacked.seed)),
      });
      const {
        candidates: _candidates,
        imitations: _imitations,
        ...report
      } = await runAttack(attack, view, {
        truth,
        onProgress: (done, total) => onProgress("", done, total),
      });
      const picture = attack === "known-pairs" || attack === "matching" ? await drawPicture(attack, view, truth.candidateOf) : null; // prettier-ignore
      if (picture) {
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, "reconstruction.png"), picture);
      }
      return { ...report, picture: picture && "reconstruction.png" };
    },
  };
}

/** Six encodings that are no known pairs: originals, reconstructions and the mean image, row by row. */
async function drawPicture(
  attack: "known-pairs" | "matching",
  view: AttackView,
  candidateOf: Int32Array,
): Promise<Uint8Array | null> {
  // prettier-ignore
  const known = new Set(view.known.map(({ encoding }) => encoding));
  const which = [...candidateOf.keys()].filter((i) => !known.has(i)).slice(0, 6);
  const found = await reconstruct(attack, view, which);
  if (!found) return null;
  const { height, width } = view.shape;
  const size = height * width;
  const pixels = pixelsOfPatches(view.candidates, { ...view.shape, side: view.scheme.patch });
  const mean = new Float32Array(size);
  pixels.forEach((x, at) => (mean[at % size]! += x / view.candidates.images));
  const row = (of: Float32Array, indices: readonly number[]) => indices.map((i) => of.slice(i * size, (i + 1) * size));
  const originals = row(pixels, which.map((i) => candidateOf[i]!)); // prettier-ignore
  return pictureSheet([originals, row(found, [...which.keys()]), which.map(() => mean)], { height, width });
}
