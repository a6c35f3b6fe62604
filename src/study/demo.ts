/** The whole story in a minute: drawn patients, a model without and models with privacy, and what the difference is. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { makePhantomCohort } from "../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { pairedDifference, type PairedInterval, type ScoreEvaluation } from "../evaluation/index.ts";
import { lineageOf, parsePlan, summariseLedger, type LedgerEntry, type LedgerRow } from "../privacy/index.ts";
import { evaluateRun, type Prediction } from "./evaluate-run.ts";
import { contactSheet } from "./report/contact-sheet.ts";
import { demoPage } from "./report/demo-page.ts";
import { attackerBound, type AttackerBound } from "./report/meaning.ts";
import { readLedger } from "./run-folder.ts";
import { trainRun, type TrainReport } from "./train-run.ts";

export interface DemoOptions {
  /** Taken as it is where nothing is there; otherwise with -2, -3, ... behind it. */
  readonly out: string;
  readonly patients: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  /** How far one stage is. */
  readonly onProgress?: (stage: string, unit: string, done: number, total: number) => void;
}

/** One model of the comparison. */
export interface DemoArm {
  readonly name: string;
  readonly run: string;
  readonly model: string;
  readonly privacy: TrainReport["privacy"];
  /** What an attacker can do at most; null without privacy, where nothing limits it. */
  readonly attacker: AttackerBound | null;
  readonly metrics: Readonly<Record<string, Omit<ScoreEvaluation, "groups" | "fairness">>>;
  /** AUROC of the first arm minus this one's, on the same images; null for the first. */
  readonly aurocLost: PairedInterval | null;
  readonly ledger: readonly LedgerRow[];
}

export interface DemoReport {
  readonly report: string;
  readonly cohort: string;
  readonly figures: readonly string[];
  readonly target: string;
  readonly images: number;
  readonly patients: number;
  readonly testImages: number;
  readonly testPatients: number;
  readonly arms: readonly DemoArm[];
  readonly seconds: number;
}

const target = "malignant";
/** The first arm is what the others are compared with. */
const arms: readonly { readonly name: string; readonly folder: string; readonly epsilon?: number }[] = [
  { name: "no privacy", folder: "open" },
  { name: "epsilon 8", folder: "epsilon-8", epsilon: 8 },
  { name: "epsilon 1", folder: "epsilon-1", epsilon: 1 },
];

/** Of the drawn patients: the same on every machine. */
const cohortSeed = 1;

/**
 * Draws a cohort, trains the arms, evaluates them on the test split and writes a report with its figures, all in one
 * folder. Interrupted or refused, it leaves nothing.
 * Throws LG-INTERRUPTED-001, LG-COHORT-015 for too few patients, and whatever training throws.
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const out = await freeFolder(options.out);
  try {
    return await tell(out, options);
  } catch (error) {
    await rm(out, { recursive: true, force: true });
    if (isLeadglassError(error) && error.code === "LG-RUNTIME-004")
      throw new LeadglassError("LG-INTERRUPTED-001", "demo: interrupted", {
        hint: "Nothing was left behind. Run it again.",
        cause: error,
      });
    throw error;
  }
}

async function tell(out: string, { patients, signal, onNote, onProgress }: DemoOptions): Promise<DemoReport> {
  const started = performance.now();
  const dir = join(out, "cohort");
  await mkdir(out, { recursive: true });
  onNote?.(`drawing ${patients} patients who never lived, into ${dir}`);
  await makePhantomCohort({
    kind: "mass",
    patients,
    seed: cohortSeed,
    out: dir,
    onProgress: (done, total) => onProgress?.("drawing", "patients", done, total),
  });
  const finished: (DemoArm & { readonly prediction: Prediction })[] = [];
  for (const { name, folder, epsilon } of arms) {
    onNote?.(epsilon === undefined ? "training without privacy" : `training privately, ${name}`);
    const run = join(out, "runs", folder);
    const trained = await trainRun({
      cohort: dir,
      targets: [target],
      out: run,
      choices: { epsilon },
      ledger: join(out, "runs", "ledgers"),
      ...(epsilon === undefined ? { seed: 1 } : {}),
      ...(signal ? { signal } : {}),
      onFeatures: (done, total) => onProgress?.(`reading, ${name}`, "images", done, total),
      onStep: ({ step, steps }) => onProgress?.(`training, ${name}`, "steps", step, steps),
    });
    const { report, prediction } = await evaluateRun({ run, cohort: dir, split: "test", groups: [] });
    const { settings } = prediction.run;
    const { cohort: accesses } = await readLedger(run);
    finished.push({
      name,
      run,
      model: trained.model,
      privacy: trained.privacy,
      attacker: settings.batches.kind === "private" ? attackerBound(parsePlan(settings.batches.plan)) : null,
      metrics: report.metrics,
      aurocLost: finished[0] ? lostAuroc(finished[0].prediction, prediction) : null,
      ledger: rowsOf(accesses.entries ?? [], prediction.run.ledger.run),
      prediction,
    });
  }
  onNote?.("drawing the report");
  const { cohort, images } = finished[0]!.prediction;
  const figures = await drawFigures(out, finished);
  const sheets = await Promise.all(
    ([0, 1] as const).map((label) => contactSheet(cohort, cohort.target(target), { label, split: "train" })),
  );
  const sheetFiles = ["benign.png", "malignant.png"].map((name) => join(out, "figures", name));
  await Promise.all(sheetFiles.map((file, i) => writeFile(file, sheets[i]!)));
  const report: DemoReport = {
    report: join(out, "report.html"),
    cohort: dir,
    figures: [...figures.files, ...sheetFiles],
    target,
    images: cohort.records.length,
    patients: cohort.patients,
    testImages: images.length,
    testPatients: new Set(images.map((i) => cohort.records[i]!.patientId)).size,
    arms: finished.map(({ prediction: _prediction, ...arm }) => arm),
    seconds: (performance.now() - started) / 1000,
  };
  await writeFile(
    report.report,
    demoPage(report, { roc: figures.roc, intervals: figures.intervals, benign: sheets[0]!, malignant: sheets[1]! }),
  );
  return report;
}

/** What one model did, of all that stands in the ledger that the models share. */
function rowsOf(entries: readonly LedgerEntry[], run: string): LedgerRow[] {
  const own = lineageOf(entries, run);
  return summariseLedger(entries).rows.filter((row) => row.run !== null && own.has(row.run));
}

/** The folder itself where it is free, or the first free one of DIR-2, DIR-3, ... */
async function freeFolder(wanted: string): Promise<string> {
  const base = wanted.replace(/[/\\]+$/, "");
  for (let i = 1; ; i++) {
    const path = i === 1 ? base : `${base}-${i}`;
    const taken = await stat(path).then(
      () => true,
      (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
        throw error;
      },
    );
    if (!taken) return path;
  }
}

const labelsOf = ({ cohort, images }: Prediction): Float32Array => {
  const { labels, present } = cohort.target(target);
  return Float32Array.from(images, (i) => (present[i] === 1 ? labels[i]! : NaN));
};

function lostAuroc(first: Prediction, other: Prediction): PairedInterval {
  const { cohort, images } = other;
  return pairedDifference({
    scoresA: first.probabilities,
    scoresB: other.probabilities,
    labels: labelsOf(other),
    patients: images.map((i) => cohort.records[i]!.patientId),
    metrics: ["auroc"],
    seed: 1,
  }).auroc;
}

async function drawFigures(
  out: string,
  finished: readonly (DemoArm & { readonly prediction: Prediction })[],
): Promise<{ roc: string; intervals: string; files: string[] }> {
  // The drawing library takes a second to load.
  const { intervalChart, metricRows, rocChart } = await import("../evaluation/charts.ts");
  const roc = rocChart(
    finished.map(({ name, metrics, prediction }) => ({
      model: name,
      scores: prediction.probabilities,
      labels: labelsOf(prediction),
      auroc: metrics[target]!.auroc,
      threshold: metrics[target]!.threshold,
    })),
    { title: "Test images, malignant or benign" },
  );
  const intervals = intervalChart(
    metricRows(
      finished.map(({ name, metrics }) => ({
        model: name,
        evaluation: { ...metrics[target]!, groups: [], fairness: null },
      })),
      ["auroc", "auprc", "accuracy", "sensitivity", "specificity"],
    ),
    { title: "The same test images, by metric" },
  );
  await mkdir(join(out, "figures"));
  const files = await Promise.all(
    Object.entries({ roc, intervals }).map(async ([name, svg]) => {
      const [svgFile, pngFile] = ["svg", "png"].map((ending) => join(out, "figures", `${name}.${ending}`)) as [
        string,
        string,
      ];
      await writeFile(svgFile, svg);
      await sharp(Buffer.from(svg), { density: 192 }).png().toFile(pngFile);
      return [svgFile, pngFile];
    }),
  );
  return { roc, intervals, files: files.flat() };
}
