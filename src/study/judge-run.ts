import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openCohort, type Cohort } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import type { LedgerBody, LedgerEntry } from "../privacy/index.ts";
import { judgeSynthetic, readNetwork, type Figure, type Judgement } from "../synthesis/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import { appendToCohortLedger, ledgerForRun } from "./cohort-ledger.ts";
import { judgePage } from "./report/judge-page.ts";
import { imageGrid } from "./report/pair-sheet.ts";
import { codeVersion } from "./run-folder.ts";

/** What `synth judge --json` prints. */
export interface JudgeReport extends Omit<Judgement, "memorisation" | "memorisedIn" | "falseAlarmRate"> {
  readonly split: string;
  readonly target: string | null;
  /** Of radiomics: the synthetic images, with the bound between halves of the real ones and the held-out control. */
  readonly frechet: Figure & {
    readonly features: string;
    readonly extrapolated: number | null;
    readonly bound: Figure;
    readonly heldOut: Figure | null;
  };
  readonly coverage: Figure & { readonly features: string; readonly heldOut: Figure | null };
  readonly nearestNeighbour: {
    /** Null where no held-out patient is there to compare with. */
    readonly memorised: boolean | null;
    readonly spaces: readonly string[];
    readonly falseAlarmRate: number;
    readonly memorisation: Judgement["memorisation"];
  };
  readonly page: string;
  readonly table: string;
  /** Where the ledger of the real cohort says so; null where it could not be written. */
  readonly ledger: { readonly path: string; readonly entries: readonly number[] } | null;
}

export interface JudgeRunRequest {
  readonly real: string;
  readonly split: string;
  readonly synthetic: string;
  readonly target?: string;
  readonly canaries?: string;
  /** An ONNX file. */
  readonly features?: string;
  readonly out: string;
  readonly most?: number;
  readonly seed?: number;
  /** Of the Frechet distance's interval; 60 unless given. */
  readonly resamples?: number;
  readonly ledger?: string;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
  readonly onWarning?: (line: string) => void;
}

export const judgeFiles = { table: "judge.json", page: "judge.html" } as const;

/**
 * Judges synthetic images against a real cohort, writes the table and a page of pictures, and enters into the real cohort's
 * ledger that figures without noise and pictures of patients were made.
 * Throws what {@link judgeSynthetic} and the opening of cohorts throw.
 */
export async function judgeRun(request: JudgeRunRequest): Promise<JudgeReport> {
  const { split, target, canaries, most, resamples, seed = 1, out } = request;
  const network = request.features === undefined ? undefined : await readNetwork(request.features);
  const [real, synthetic] = [await openCohort(request.real), await openCohort(request.synthetic)];
  const judgement = await judgeSynthetic({
    ...{ real, split, synthetic, seed },
    ...(target === undefined ? {} : { target }),
    ...(canaries === undefined ? {} : { canaries }),
    ...(network ? { network } : {}),
    ...(most === undefined ? {} : { most }),
    ...(resamples === undefined ? {} : { resamples }),
    ...(request.onProgress ? { onProgress: request.onProgress } : {}),
  });
  await mkdir(out, { recursive: true });
  const ledger = await enter(request, real);
  const { memorisation, memorisedIn, falseAlarmRate, ...rest } = judgement;
  const headline = "radiomics";
  const row = (images: string) =>
    judgement.fidelity.find((r) => r.features === headline && r.images === images && r.label === null);
  const [made, control, bound] = [row("synthetic"), row("held-out real"), row("real against real")];
  if (!made?.coverage || !bound) throw new LeadglassError("LG-BUG-001", "synth judge: the table lacks a row");
  const report: JudgeReport = {
    split,
    target: target ?? null,
    frechet: { features: headline, ...made.frechet, bound: bound.frechet, heldOut: control?.frechet ?? null },
    coverage: {
      features: headline,
      ...made.coverage.coverage,
      heldOut: control?.coverage?.coverage ?? null,
    },
    nearestNeighbour: {
      memorised: memorisation === null ? null : memorisedIn.length > 0,
      spaces: memorisedIn,
      falseAlarmRate,
      memorisation,
    },
    ...rest,
    page: join(out, judgeFiles.page),
    table: join(out, judgeFiles.table),
    ledger,
  };
  await writeAtomically(report.table, `${JSON.stringify(report, null, 2)}\n`);
  await writeAtomically(report.page, judgePage(report, await picturesOf(report, real, synthetic, seed)));
  return report;
}

const perRow = 10;

async function picturesOf(report: JudgeReport, real: Cohort, synthetic: Cohort, seed: number) {
  const random = seededRandom(seed, "judge", "pictures");
  const some = (cohort: Cohort, among: number[]) => {
    const images = shuffle(among, random).slice(0, 2 * perRow);
    return [0, perRow].map((from) => ({ cohort, images: images.slice(from, from + perRow) }));
  };
  const samples = await imageGrid([
    ...some(real, real.imagesOf(report.split)),
    ...some(synthetic, [...synthetic.records.keys()]),
  ]);
  const bySpace = Map.groupBy(report.nearDuplicates, ({ space }) => space);
  const nearDuplicates: Record<string, Uint8Array> = {};
  for (const [space, pairs] of bySpace)
    nearDuplicates[space] = await imageGrid([
      { cohort: synthetic, images: pairs.map((pair) => pair.synthetic) },
      { cohort: real, images: pairs.map((pair) => pair.real) },
    ]);
  return { samples, nearDuplicates };
}

/** Enters a judgement, once however often it is repeated. */
async function enter(
  { split, out, ledger, target, onWarning }: JudgeRunRequest,
  { fingerprint: cohortFingerprint }: Cohort,
): Promise<JudgeReport["ledger"]> {
  const path = await ledgerForRun(cohortFingerprint, { out, ...(ledger === undefined ? {} : { ledger }) });
  const by = target === undefined ? "" : `, by ${target}`;
  const at = new Date().toISOString();
  const bodies = [
    {
      kind: "evaluation",
      cohortFingerprint,
      what: `how like synthetic images are to the patients of ${split}, against all other splits${by}`,
      codeVersion,
      at,
    },
    {
      kind: "owner-only",
      cohortFingerprint,
      what: "real images beside the synthetic images closest to them, and distances between them",
      codeVersion,
      at,
    },
  ] as const satisfies LedgerBody[];
  const isSame = (body: (typeof bodies)[number]) => (entry: LedgerEntry) =>
    entry.kind === body.kind && entry.what === body.what && entry.cohortFingerprint === cohortFingerprint;
  try {
    const entries = await appendToCohortLedger(path, (before) => bodies.filter((body) => !before.some(isSame(body))));
    return { path, entries: bodies.map((body) => entries.find(isSame(body))!.index) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!["EACCES", "EPERM", "EROFS"].includes(code)) throw error;
    onWarning?.(`${path}: the ledger cannot be written (${code}), so this judgement is not in it.`);
    return null;
  }
}
