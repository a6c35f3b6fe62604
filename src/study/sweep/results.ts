/** Results of a sweep as one tidy table: a row a number. */
import type { MetricInterval } from "../../evaluation/index.ts";
import type { EvaluateReport } from "../evaluate-run.ts";

/** One number with where it comes from. */
export interface ResultRow {
  /** "inf", or epsilon as text: the arm's name. */
  readonly arm: string;
  readonly seed: number;
  readonly run: string;
  readonly split: string;
  readonly target: string;
  /** Column and value of a group; null for everybody. */
  readonly groupColumn: string | null;
  readonly groupValue: string | null;
  readonly metric: string;
  readonly value: number | null;
  /** 95 % interval. */
  readonly low: number | null;
  readonly high: number | null;
  readonly images: number | null;
  readonly patients: number | null;
  /** Null without privacy. */
  readonly epsilon: number | null;
  readonly delta: number | null;
  /** Of the shortcut audit of the target; null where there was none. */
  readonly shortcuts: string | null;
}

const metrics = [
  ...(["auroc", "auprc", "accuracy", "sensitivity", "specificity", "falsePositiveRate", "selectionRate"] as const),
  ...(["f1", "brier", "ece"] as const),
] as const;

type Measured = Readonly<Record<(typeof metrics)[number], MetricInterval>> & {
  readonly n: number | null;
  readonly patients: number | null;
};

/** Every number of one evaluation. */
export function rowsOf(report: EvaluateReport, arm: string, seed: number): ResultRow[] {
  const common = {
    arm,
    seed,
    run: report.run,
    split: report.split,
    epsilon: report.privacy?.epsilon ?? null,
    delta: report.privacy?.delta ?? null,
  };
  const rows = (
    target: string,
    group: { column: string; value: string | null } | null,
    measured: Measured,
  ): ResultRow[] =>
    metrics.map((metric) => ({
      ...common,
      target,
      groupColumn: group?.column ?? null,
      groupValue: group ? (group.value ?? "missing") : null,
      metric,
      value: measured[metric].value,
      low: measured[metric].low,
      high: measured[metric].high,
      images: measured.n,
      patients: measured.patients,
      shortcuts: report.shortcuts[target]?.verdict ?? null,
    }));
  return [
    ...Object.entries(report.metrics).flatMap(([target, measured]) => rows(target, null, measured)),
    ...report.groups.flatMap((group) => rows(group.target, group, group)),
  ];
}

/** Columns for a Parquet writer, in the order of {@link ResultRow}. */
export function parquetColumns(rows: readonly ResultRow[]) {
  const texts = ["arm", "run", "split", "target", "groupColumn", "groupValue", "metric", "shortcuts"] as const;
  const numbers = ["value", "low", "high", "epsilon", "delta"] as const;
  const counts = ["seed", "images", "patients"] as const;
  return [
    ...texts.map((name) => ({ name, type: "STRING" as const, data: rows.map((row) => row[name]), nullable: true })),
    ...counts.map((name) => ({ name, type: "INT32" as const, data: rows.map((row) => row[name]), nullable: true })),
    ...numbers.map((name) => ({ name, type: "DOUBLE" as const, data: rows.map((row) => row[name]), nullable: true })),
  ];
}
