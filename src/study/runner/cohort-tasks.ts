/** Cohorts of a study, and what their targets betray. */
import { join } from "node:path";
import { makePhantomCohort, openCohort, type PhantomKindName } from "../../cohort/index.ts";
import { groupingOf } from "../evaluate-run.ts";
import type { CohortSource, Study } from "../file/schema.ts";
import { auditShortcuts } from "../shortcuts/audit.ts";
import { ledgerForRun } from "../cohort-ledger.ts";
import { keepVerdict, readVerdicts, type KnownVerdict } from "../shortcuts/record.ts";
import { emptied, type Task } from "./task.ts";

export interface CohortOutput {
  readonly dir: string;
  readonly images: number;
  readonly patients: number;
  readonly fingerprint: string;
  readonly phantom: boolean;
}

/**
 * Opens a cohort where it lies, or draws one. Throws LG-COHORT-... for a folder that is none, or that lacks what the study
 * asks for: nobody should learn of a missing column hours later.
 */
export async function cohortTask(
  name: string,
  source: CohortSource,
  asked: Pick<Study, "targets" | "groups" | "split">,
): Promise<Task<CohortOutput>> {
  const read = async (dir: string, phantom: boolean): Promise<CohortOutput> => {
    const { records, patients, fingerprint } = await openCohort(dir);
    return { dir, images: records.length, patients, fingerprint, phantom };
  };
  if ("folder" in source) {
    const known = await read(source.folder, false);
    const opened = await openCohort(source.folder);
    asked.targets.forEach((target) => opened.target(target));
    groupingOf(opened, asked.groups, opened.imagesOf(asked.split));
    return {
      ...{ kind: "cohort", name: `cohort ${name}`, needs: [], settings: known.fingerprint },
      run: () => read(source.folder, false),
    };
  }
  const { phantom, patients, seed, imageSize, difficulty } = source;
  return {
    ...{ kind: "phantoms", name: `cohort ${name}`, needs: [], settings: source },
    run: async ({ folder, onProgress }) => {
      const dir = await emptied(join(folder, "cohort"));
      await makePhantomCohort({
        ...{ kind: phantom as PhantomKindName, patients, seed, out: dir },
        ...(imageSize === undefined ? {} : { imageSize }),
        ...(difficulty === undefined ? {} : { difficulty }),
        onProgress: (done, total) => onProgress("patients", done, total),
      });
      return read(dir, true);
    },
  };
}

/** Audits one target for shortcuts; a verdict that stands beside the cohort's ledger already is taken as it is. */
export function shortcutTask(
  cohort: Task<CohortOutput>,
  target: string,
  region: readonly [number, number, number, number] | undefined,
): Task<KnownVerdict> {
  const asked = region && { x: region[0], y: region[1], width: region[2], height: region[3] };
  return {
    ...{ kind: "shortcuts", name: `shortcuts of ${target}`, needs: [cohort], settings: { target, region } },
    run: async ({ outputOf, ledgers, onProgress }) => {
      const { dir, fingerprint } = outputOf(cohort);
      const ledger = await ledgerForRun(fingerprint, { out: dir, ledger: ledgers });
      const kept = (await readVerdicts(ledger, fingerprint))[target];
      if (kept && (!asked || JSON.stringify(kept.region) === JSON.stringify(asked))) return kept;
      const report = await auditShortcuts({ cohort: dir, target, ...(asked ? { region: asked } : {}), onProgress });
      await keepVerdict(ledger, fingerprint, report);
      return { verdict: report.verdict, reasons: report.reasons, region: report.region };
    },
  };
}
