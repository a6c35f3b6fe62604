/** What a training owes to the ledger of its cohort: what it will cost, before the first patient is read, and what it came to. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import type { Cohort } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import {
  budgetOf,
  costOfModel,
  eventOf,
  patientEpsilon,
  type DpPlan,
  type LedgerBody,
  type LedgerEntry,
  type PatientCost,
} from "../privacy/index.ts";
import type { TrainingSettings } from "../training/train.ts";
import { historyOf } from "./history.ts";
import { nobodysEntries, type NobodysImages } from "./nobodys-images.ts";
import { cellsPerTarget } from "./noisy-threshold.ts";
import { codeVersion, readLedger, recordDigest, type RunRecord, type RunStart } from "./run-folder.ts";
import type { ChosenSettings } from "./settings.ts";
import { isWeightsFile } from "./starting-weights.ts";
import { generatorsBehind, originEntry } from "./synthetic-origin.ts";
import type { TrainRequest } from "./train-run.ts";

/** When something happened; a run that is to be repeated exactly has no clock. */
export const timeOf = ({ settings }: Pick<RunStart, "settings">): string | undefined =>
  settings.reproducible ? undefined : new Date().toISOString();

export const anchorOf = ({ ledger: { index, hash } }: RunRecord) => ({ index, hash });

export interface Opening {
  readonly chosen: ChosenSettings;
  readonly cohort: Cohort;
  /** True where there is a validation split. */
  readonly validation: boolean;
  readonly request: TrainRequest;
  readonly nobodys: NobodysImages | null;
}

/**
 * What the ledger says before the first patient is read: everything the run will cost is reserved at once, so that a run
 * that is killed has never spent more than its ledger tells.
 */
export async function opening(
  entries: readonly LedgerEntry[],
  { start, ...how }: Opening & { readonly start: RunStart },
): Promise<{ name: string; bodies: LedgerBody[] }> {
  const { cohortFingerprint, settings } = start;
  const { request } = how;
  const out = resolve(request.out);
  const file = request.initFrom !== undefined && isWeightsFile(request.initFrom) ? request.initFrom : undefined;
  const digest =
    file &&
    createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  const fromRun = file === undefined ? request.initFrom : undefined;
  const history = fromRun ? await historyOf(fromRun, cohortFingerprint, entries) : null;
  const inherited = [...firstBudget(entries, how.cohort), ...(history?.bodies ?? [])];
  const place = createHash("sha256").update(out).update(settings.seed).digest("hex").slice(0, 8);
  const name = settings.reproducible
    ? `seed ${settings.seed}, entry ${entries.length + inherited.length}`
    : `${basename(out)} ${place}`;
  const at = timeOf(start);
  const own: LedgerBody[] = [
    { kind: "cohort-opened", cohortFingerprint, run: name, record: recordDigest(start) },
    ...(history ? [{ kind: "started-from", cohortFingerprint, run: name, from: history.from } as const] : []),
    ...(digest
      ? [{ kind: "public", cohortFingerprint, run: name, what: "starting weights from a file, declared public: no patient of this cohort may have been among what they learned from", details: { sha256: digest } } as const] // prettier-ignore
      : []),
    ...(fromRun ? await generatorsBehind(fromRun, cohortFingerprint, { run: name, ledger: entries }) : []),
    ...accesses(settings, name, how, entries),
  ];
  return {
    name,
    bodies: [...inherited, ...own.map((body) => ({ ...body, codeVersion, ...(at === undefined ? {} : { at }) }))],
  };
}

/** The budget that cohort.yaml begins with, where the ledger has none yet. */
export const firstBudget = (entries: readonly LedgerEntry[], { fingerprint, budget }: Cohort): LedgerBody[] =>
  budget === null || budgetOf(entries, fingerprint) !== undefined
    ? []
    : [{ kind: "budget", cohortFingerprint: fingerprint, ...budget, details: { from: "cohort.yaml" }, codeVersion }];

/** Every use that a run makes of the cohort's patients. */
export function accesses(
  settings: TrainingSettings,
  run: string,
  { chosen, cohort, validation, request, nobodys }: Opening,
  ledger: readonly LedgerEntry[],
): LedgerBody[] {
  const { fingerprint: cohortFingerprint } = cohort;
  const { bestOf: best } = request.choices;
  const common = { cohortFingerprint, run };
  const train = { ...common, splits: ["train"] };
  const val = { ...common, splits: ["val"] };
  const origin = [
    ...(cohort.synthetic ? [originEntry(cohort.synthetic, cohortFingerprint, run)] : []),
    ...(nobodys ? nobodysEntries(nobodys, cohortFingerprint, { run, ledger }) : []),
  ];
  // Images of nobody: what their generator has cost is all there is to say.
  if (cohort.synthetic && settings.batches.kind !== "private") return origin;
  if (settings.batches.kind !== "private") {
    const what = "training without privacy on the train split";
    const use = `the validation split chose the decision threshold${best === undefined ? "" : ` and the best of ${best} states of the training`}, and its AUROC is reported`;
    return [
      { kind: "not-accounted", ...train, what },
      ...(nobodys ? nobodysEntries(nobodys, cohortFingerprint, { run, ledger }) : []),
      ...(validation ? [{ kind: "not-accounted", ...val, what: use } as const] : []),
    ];
  }
  const { plan } = settings.batches;
  const { unit, relation, delta } = plan;
  const noise = chosen.noise!;
  const targets = request.targets.length;
  const bodies: LedgerBody[] = [...origin];
  if (noise.labelCounts !== null)
    bodies.push({
      kind: "noisy-count",
      ...train,
      ...{ unit, relation, delta, noiseMultiplier: noise.labelCounts },
      what: `how many training ${unit}s have and have not each of ${targets} finding(s), for the weight of positives`,
    });
  bodies.push({ kind: "training", ...train, plan, stepsDone: plan.steps });
  if (chosen.architecture.startsWith("features:"))
    bodies.push({
      kind: "public",
      ...train,
      what: "the feature extractor, a file, declared public: no patient of this cohort may have been among what it learned from",
      details: { architecture: chosen.architecture },
    });
  bodies.push({
    kind: "public",
    ...train,
    what: `the number of training ${unit}s, declared public: it fixes batch size and learning rate`,
  });
  if (request.choices.model === undefined && cohort.framing)
    bodies.push({
      kind: "public",
      ...common,
      what: `how images are framed (${cohort.framing.from}), declared public: it decides which model is trained`,
    });
  if (cohort.warnings.some((warning) => warning.code === "LG-COHORT-017"))
    bodies.push({
      kind: "public",
      ...common,
      what: "which patient is in which split, declared public: no column says so, and it was drawn in view of all patients",
    });
  if (request.intervention) {
    const { what, ownerOnly } = request.intervention;
    bodies.push({ kind: "public", ...train, what });
    if (ownerOnly !== undefined) bodies.push({ kind: "owner-only", ...train, what: ownerOnly });
  }
  bodies.push({
    kind: "owner-only",
    ...train,
    what: "the number of training images, of gradients left out for not being finite, and the time that training took",
  });
  if (validation && request.choices.validation === "public")
    bodies.push({
      kind: "public",
      ...val,
      what: `the validation patients, declared public: the decision threshold${best === undefined ? "" : `, the best of ${best} states of the training`} and the AUROC are theirs, without noise`,
    });
  else if (validation) {
    if (noise.choice !== null)
      bodies.push({
        kind: "private-choice",
        ...val,
        ...{ unit, relation, delta, candidates: best!, pureEpsilon: noise.choice },
        what: "which state of the training is kept, by the squared errors of the validation patients",
      });
    bodies.push({
      kind: "noisy-histogram",
      ...val,
      ...{ unit, relation, delta, noiseMultiplier: noise.validation, cells: targets * cellsPerTarget },
      what: "scores of the validation patients, for the decision threshold",
    });
    bodies.push({ kind: "owner-only", ...val, what: "the AUROC on the validation split with its interval" });
  }
  return bodies;
}

/** What the ledger comes to: this model with whatever its starting weights had cost the same patients. */
export async function guaranteeOf(dir: string, { ledger, cohortFingerprint }: RunRecord) {
  const { entries } = await readLedger(dir);
  const { epsilon, delta, notAccounted } = costOfModel(entries, ledger.run)!;
  const cumulative = entries.findLast(
    (entry) => entry.run === ledger.run && entry.cohortFingerprint === cohortFingerprint && entry.cumulative !== null,
  )!.cumulative!;
  return { epsilon, delta, notAccounted, cumulative };
}

export function costOfWholePatient(plan: DpPlan, { records }: Cohort, images: readonly number[]): PatientCost | null {
  const event = eventOf(plan, plan.steps);
  if (plan.unit === "patient" || event.kind !== "poisson-gaussian") return null;
  const counts = [...Map.groupBy(images, (i) => records[i]!.patientId).values()].map((of) => of.length);
  return patientEpsilon([event], plan.delta, Math.max(...counts), { relation: plan.relation });
}

/** The noise that a run's ledger has reserved for the histogram of its validation scores. */
export async function histogramNoise({ ledger }: RunRecord, dir: string): Promise<number> {
  const { entries } = await readLedger(dir);
  const reserved = entries.find((entry) => entry.kind === "noisy-histogram" && entry.run === ledger.run);
  if (reserved?.kind === "noisy-histogram") return reserved.noiseMultiplier;
  throw new LeadglassError("LG-BUG-001", "a private validation without its entry in the ledger");
}
