/** The charts of a sweep, as SVG files. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rocChart } from "../../evaluation/charts.ts";
import {
  precisionRecallChart,
  reliabilityChart,
  trendChart,
  type TrendLine,
  type TrendPoint,
} from "../../evaluation/curve-charts.ts";
import { reliability } from "../../evaluation/index.ts";
import { columnOf, type SweepRun } from "./analysis.ts";

type Interval = { readonly value: number | null; readonly low: number | null; readonly high: number | null };

/** Most lines of one chart; further groups are in the table. */
const mostLines = 6;

/** The mean over seeds, within the lowest and the highest end of their intervals. */
function overSeeds(at: string, intervals: readonly Interval[]): TrendPoint {
  const known = intervals.filter(({ value }) => value !== null);
  const ends = known.filter(({ low, high }) => low !== null && high !== null);
  const single = known.map(({ value }) => value!);
  if (known.length === 0) return { at, value: null, low: null, high: null };
  return {
    at,
    value: single.reduce((a, b) => a + b, 0) / single.length,
    low: ends.length > 0 ? Math.min(...ends.map(({ low }) => low!)) : null,
    high: ends.length > 0 ? Math.max(...ends.map(({ high }) => high!)) : null,
    ...(single.length > 1 ? { single } : {}),
  };
}

const armLabel = (arm: string): string => (arm === "inf" ? "no privacy" : arm);
const modelName = (arm: string): string => (arm === "inf" ? "no privacy" : `epsilon ${arm}`);
/** Names of files: what is not a letter or digit becomes a dash. */
const fileName = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, ""); // prettier-ignore
const intervalText = ({ value, low, high }: Interval): string =>
  value === null
    ? ""
    : `${value.toFixed(2)}${low === null || high === null ? "" : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`}`;

/**
 * Draws, for every target: AUROC and AUPRC against epsilon, and for each grouping AUROC and accuracy gap by group; and of
 * the first seed the ROC, precision-recall and reliability curves of up to six arms. `verdicts` holds a sentence for each
 * target that stands on every chart of a discrimination. Returns the files' paths.
 */
export async function drawSweep(
  runs: readonly SweepRun[],
  { out, targets, verdicts }: { out: string; targets: readonly string[]; verdicts: Readonly<Record<string, string>> },
): Promise<string[]> {
  await mkdir(out, { recursive: true });
  const files: string[] = [];
  const save = async (name: string, svg: string): Promise<void> => {
    const path = join(out, `${fileName(name)}.svg`);
    await writeFile(path, svg);
    files.push(path);
  };
  // The tightest budget first, no privacy last: utility rises to the right.
  const arms = [...new Set(runs.map(({ arm }) => arm))].reverse();
  const ofArm = (arm: string) => runs.filter((run) => run.arm === arm);
  const seeds = new Set(runs.map(({ seed }) => seed)).size;
  const bands =
    seeds > 1
      ? `Mean over ${seeds} seeds (dots); bars from the lowest to the highest end of their 95 % intervals, resampled by patient.`
      : "Bars: 95 % intervals, resampled by patient.";
  const x = "epsilon";
  for (const target of targets) {
    const note = verdicts[target] === undefined ? bands : `${bands} ${verdicts[target]}`;
    const trend = (name: string, of: (run: SweepRun) => Interval): TrendLine => ({
      name,
      points: arms.map((arm) => overSeeds(armLabel(arm), ofArm(arm).map(of))),
    });
    const utility = (["auroc", "auprc"] as const).map((metric) =>
      trend(metric.toUpperCase(), ({ evaluation }) => evaluation.metrics[target]![metric]),
    );
    await save(
      `${target}-utility`,
      trendChart(utility, { title: `${target}: utility against epsilon`, note, x, y: "AUROC, AUPRC", reference: 0.5 }),
    );
    const first = runs[0]!.evaluation;
    const columns = [...new Set(first.groups.map(({ column }) => column))];
    for (const column of columns) {
      const values = first.groups.filter((g) => g.target === target && g.column === column && g.value !== null);
      // The largest groups: what few patients say is in the table, with why.
      const shown = values
        .filter(({ auroc }) => auroc.value !== null)
        .sort((a, b) => (b.patients ?? 0) - (a.patients ?? 0))
        .slice(0, mostLines)
        .map(({ value }) => value!)
        .sort((a, b) => Number(b.startsWith("under")) - Number(a.startsWith("under")) || (a < b ? -1 : 1));
      if (shown.length === 0) continue;
      const nothing = { value: null, low: null, high: null };
      const left = values.length - shown.length;
      const more = left > 0 ? ` In the table only, being small or without an AUROC: ${left}.` : "";
      const groups = shown.map((value) =>
        trend(
          value,
          ({ evaluation }) =>
            evaluation.groups.find((g) => g.target === target && g.column === column && g.value === value)?.auroc ??
            nothing,
        ),
      );
      const title = `${target} by ${column}`;
      await save(
        `${target}-groups-${column}`,
        trendChart(groups, { title: `${title}: AUROC`, note: note + more, x, y: "AUROC", reference: 0.5 }),
      );
      const gaps = shown.map((value) =>
        trend(
          value,
          ({ evaluation }) =>
            evaluation.fairness[target]?.columns.find((c) => c.column === column)?.groups.find((g) => g.value === value)
              ?.gaps.accuracy ?? nothing,
        ),
      );
      if (gaps.some(({ points }) => points.some(({ value }) => value !== null)))
        await save(
          `${target}-gap-${column}`,
          trendChart(gaps, {
            title: `${title}: accuracy minus that of the other groups`,
            note: `${bands} Intervals hold for all groups together.`,
            ...{ x, y: "accuracy gap", reference: 0 },
          }),
        );
    }
    const seed = runs[0]!.seed;
    const chosen = runs.filter((run) => run.seed === seed).slice(0, mostLines);
    const models = chosen.map(({ arm, prediction, evaluation }) => ({
      model: modelName(arm),
      ...columnOf(prediction, target),
      evaluation: evaluation.metrics[target]!,
    }));
    const title = (what: string): string => `${target}: ${what}${seeds > 1 ? `, seed ${seed}` : ""}`;
    await save(
      `${target}-roc`,
      rocChart(
        models.map(({ evaluation, ...model }) => ({ ...model, auroc: evaluation.auroc })),
        { title: [title("ROC"), verdicts[target]].filter(Boolean).join(". ") },
      ),
    );
    await save(
      `${target}-precision-recall`,
      precisionRecallChart(
        models.map(({ model, scores, labels, evaluation }) => ({
          ...{ model, scores, labels },
          value: intervalText(evaluation.auprc),
        })),
        { title: title("precision and recall") },
      ),
    );
    await save(
      `${target}-reliability`,
      reliabilityChart(
        models.map(({ model, scores, labels, evaluation }) => ({
          model,
          reliability: reliability(scores, labels),
          value: `ECE ${intervalText(evaluation.ece)}`,
        })),
        { title: title("reliability") },
      ),
    );
  }
  return files;
}
