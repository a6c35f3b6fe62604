import { resolve } from "node:path";
import { ageYearsOf, openCohort, type Cohort } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import {
  defaultBands,
  evaluateTargets,
  groupRows,
  parseGroups,
  referenceEvaluation,
  type Bands,
  type GroupColumn,
  type ReferenceEvaluation,
  type ScoreEvaluation,
} from "../evaluation/index.ts";
import type { Access, LedgerBody, LedgerEntry } from "../privacy/index.ts";
import { startEngine } from "../runtime/index.ts";
import { appendToCohortLedger, ledgerForRun } from "./cohort-ledger.ts";
import { openRows, predictImages, type Progress } from "./rows.ts";
import { codeVersion, readFinishedRun, readWeights, type RunRecord } from "./run-folder.ts";
import { readVerdicts, type KnownVerdict } from "./shortcuts/record.ts";
import { maskedLabels } from "./train-validation.ts";
import type { TrainReport } from "./train-report.ts";

export interface Prediction {
  readonly run: RunRecord & { readonly result: { readonly thresholds: readonly number[] } };
  readonly cohort: Cohort;
  readonly split: string;
  readonly images: readonly number[];
  /** [images, targets] */
  readonly probabilities: Float32Array;
}

/** Probabilities of a finished run for the images of a split. */
export async function predictRun(options: {
  readonly run: string;
  readonly cohort: string;
  readonly split: string;
  readonly onProgress?: Progress;
}): Promise<Prediction> {
  const run = await readFinishedRun(options.run);
  const cohort = await openCohort(options.cohort);
  const images = options.split === "all" ? cohort.records.map((_, i) => i) : cohort.imagesOf(options.split);
  await using engine = await startEngine();
  const source = openRows(cohort, run);
  using _store = source.store;
  const probabilities = await predictImages({
    engine,
    source,
    architecture: run.architecture,
    outputs: run.targets.length,
    weights: await readWeights(options.run),
    mirror: run.mirror,
    images,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  });
  return { run, cohort, split: options.split, images, probabilities };
}

/** What `evaluate --json` prints. */
export interface EvaluateReport {
  readonly run: string;
  readonly split: string;
  /** Images and patients of the split. */
  readonly n: number;
  readonly patients: number;
  readonly metrics: Readonly<Record<string, Omit<ScoreEvaluation, "groups" | "fairness">>>;
  readonly groups: readonly (ScoreEvaluation["groups"][number] & { readonly target: string })[];
  /** Comparison of the groups, by target; null without groups. */
  readonly fairness: Readonly<Record<string, ScoreEvaluation["fairness"]>>;
  /** What a shortcut audit of this cohort said, by target; null where none was made. */
  readonly shortcuts: Readonly<Record<string, KnownVerdict | null>>;
  /** The same done as the reference study did it; only where that was asked for. */
  readonly reference?: ReferenceEvaluation;
  readonly privacy: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: string;
    readonly insecureSeed: boolean;
    readonly notAccounted: readonly string[];
  } | null;
  /** Where the ledger of the evaluated cohort says so; null where it could not be written. */
  readonly ledger: {
    readonly path: string;
    readonly index: number;
    /** "public" where the patients were declared public. */
    readonly access: Access;
  } | null;
}

/** What to group some images by, as `--group` asks: columns of cells, the bands of numbers, and the groupings. */
export function groupingOf(
  cohort: Cohort,
  words: readonly string[],
  images: readonly number[],
): { columns: Record<string, GroupColumn>; bands: Bands; by: readonly (readonly string[])[] } {
  const asked = parseGroups(words, cohort.columns);
  const bands = { ...defaultBands, ...asked.bands };
  const columns: Record<string, GroupColumn> = {};
  for (const name of asked.columns) {
    const cells = cohort.column(name);
    // Bands take numbers; what is none, or no age in a column of ages, counts as missing.
    const number = (cell: string) => (Object.hasOwn(defaultBands, name) ? (ageYearsOf(cell) ?? null) : Number(cell));
    const value = (cell: string) => (Object.hasOwn(bands, name) ? number(cell) : cell);
    columns[name] = images.map((i) => (cells[i] ? value(cells[i]) : null));
  }
  return { columns, bands, by: asked.by };
}

/**
 * Evaluates a finished run on a split, overall and by group, with patient-resampled 95 % intervals and the thresholds
 * that were frozen on validation, and enters that into the ledger of the cohort it was evaluated on: the figures carry no
 * noise. A ledger that cannot be written is told of, and no reason to stop.
 * Throws LG-TRAIN-002 for an unfinished run, LG-EVAL-... where the split cannot be evaluated.
 */
export async function evaluateRun(options: {
  readonly run: string;
  readonly cohort: string;
  readonly split: string;
  /** Columns as `sex`, with bands as `age:18,40,60,75`, or intersections as `sex+age:18,60`. */
  readonly groups: readonly string[];
  /** Leaves out the numbers of groups that a release must not show. */
  readonly release?: boolean;
  /** Also as the reference study evaluates, see {@link referenceEvaluation}. */
  readonly profile?: "reference";
  readonly seed?: number;
  readonly onProgress?: Progress;
  readonly onWarning?: (line: string) => void;
}): Promise<{ report: EvaluateReport; prediction: Prediction }> {
  const prediction = await predictRun(options);
  const { run, cohort, images, probabilities } = prediction;
  const targets = run.targets.map((t) => cohort.target(t));
  const { columns, bands, by } = groupingOf(cohort, options.groups, images);
  const patients = images.map((i) => cohort.records[i]!.patientId);
  if (patients.length === 0) throw new LeadglassError("LG-COHORT-011", `split ${options.split} has no images`);
  const evaluations = evaluateTargets({
    targets: run.targets,
    scores: probabilities,
    labels: maskedLabels(targets, images),
    thresholds: run.result.thresholds,
    patients,
    groups: columns,
    ...{ bands, by, release: options.release ?? false },
    seed: options.seed ?? 1,
  });
  const parts = groupRows(columns, images.length, bands, by);
  const valuesOf = (column: string): (string | null)[] => {
    const values = Array<string | null>(images.length).fill(null);
    for (const part of parts) if (part.column === column) for (const row of part.rows) values[row] = part.value;
    return values;
  };
  const reference =
    options.profile === "reference"
      ? referenceEvaluation({
          targets: run.targets,
          scores: probabilities,
          labels: maskedLabels(targets, images),
          // Their gaps know no smallest group, so a release has none.
          groups: options.release
            ? {}
            : Object.fromEntries([...new Set(parts.map(({ column }) => column))].map((name) => [name, valuesOf(name)])),
          seed: options.seed ?? 1,
        })
      : undefined;
  const verdicts = await readVerdicts(await ledgerOf(options.run, prediction), cohort.fingerprint);
  const ledger = await enter(options, prediction);
  const trained = run.result.report as TrainReport;
  return {
    prediction,
    report: {
      run: options.run,
      split: options.split,
      n: images.length,
      patients: new Set(patients).size,
      metrics: Object.fromEntries(
        Object.entries(evaluations).map(([name, evaluation]) => {
          const { groups: _groups, fairness: _fairness, ...rest } = evaluation;
          return [name, rest];
        }),
      ),
      groups: Object.entries(evaluations).flatMap(([target, { groups }]) => groups.map((g) => ({ target, ...g }))),
      fairness: Object.fromEntries(Object.entries(evaluations).map(([target, { fairness }]) => [target, fairness])),
      shortcuts: Object.fromEntries(run.targets.map((target) => [target, verdicts[target] ?? null])),
      ...(reference ? { reference } : {}),
      privacy: trained.privacy && {
        epsilon: trained.privacy.epsilon,
        delta: trained.privacy.delta,
        unit: trained.privacy.unit,
        insecureSeed: trained.privacy.insecureSeed,
        notAccounted: trained.privacy.notAccounted,
      },
      ledger,
    },
  };
}

/** The ledger of the cohort that is evaluated on: the run's own where it is the same. */
const ledgerOf = async (dir: string, { run, cohort }: Pick<Prediction, "run" | "cohort">): Promise<string> =>
  run.cohortFingerprint === cohort.fingerprint
    ? resolve(dir, run.ledger.path)
    : ledgerForRun(cohort.fingerprint, { out: dir });

/** Enters an evaluation, once however often it is repeated. */
async function enter(
  { run: dir, split, groups, onWarning }: Parameters<typeof evaluateRun>[0],
  { run, cohort }: Prediction,
): Promise<EvaluateReport["ledger"]> {
  const { fingerprint: cohortFingerprint } = cohort;
  const own = run.cohortFingerprint === cohortFingerprint;
  const path = await ledgerOf(dir, { run, cohort });
  const isPublic = own && split === "val" && run.choices.validation === "public";
  const by = groups.length > 0 ? `, by ${groups.join(", ")}` : "";
  const body = {
    kind: isPublic ? ("public" as const) : ("evaluation" as const),
    cohortFingerprint,
    run: run.ledger.run,
    ...(split === "all" ? {} : { splits: [split] }),
    what: `metrics of the model of run "${run.ledger.run}" on the patients of ${split === "all" ? "all splits" : split}${by}${isPublic ? ", declared public" : ""}`,
    codeVersion,
  } satisfies LedgerBody;
  const at = run.settings.reproducible ? {} : { at: new Date().toISOString() };
  const isSame = (entry: LedgerEntry): boolean =>
    (entry.kind === "public" || entry.kind === "evaluation") &&
    entry.kind === body.kind &&
    entry.what === body.what &&
    entry.cohortFingerprint === cohortFingerprint;
  try {
    const entries = await appendToCohortLedger(path, (before) => (before.some(isSame) ? [] : [{ ...body, ...at }]));
    const { index, access } = entries.find(isSame)!;
    return { path, index, access };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!["EACCES", "EPERM", "EROFS"].includes(code)) throw error;
    onWarning?.(`${path}: the ledger cannot be written (${code}), so this evaluation is not in it.`);
    return null;
  }
}
