/** The charts of a study's report: SVG that takes its colours from the page, for a wide and for a narrow one. */
import { themed } from "../../evaluation/chart-style.ts";
import { intervalChart, type IntervalRow } from "../../evaluation/charts.ts";
import { historyChart, type HistoryLine } from "../../evaluation/curve-charts.ts";
import { tradeOffChart, type TradeOffArm } from "../../evaluation/trade-off-chart.ts";
import { intervalOf, kindNames, type ArmSummary, type Averaged, type StudySummary } from "./summary.ts";

/** One chart for wide and one for narrow pages; often the same. */
export interface Drawing {
  readonly wide: string;
  readonly narrow: string;
}

const kinds = Object.values(kindNames);
const widths = { wide: 680, narrow: 350 } as const;
/** Most arms in one chart. */
const mostArms = 6;

const both = (draw: (width: number) => string): Drawing => ({
  wide: themed(draw(widths.wide)),
  narrow: themed(draw(widths.narrow)),
});

/** What a proof promises and what attacks measured, with one utility axis; none where no arm has the target. */
export function drawTradeOffs({ arms }: StudySummary, target: string): readonly Drawing[] {
  const shown = arms.filter(({ auroc }) => (auroc[target]?.value ?? null) !== null);
  if (shown.length === 0) return [];
  const of = (x: (arm: ArmSummary) => TradeOffArm["x"]): TradeOffArm[] =>
    shown.map((arm) => ({
      ...{ mark: arm.mark, kind: kindNames[arm.arm.kind], utility: arm.auroc[target]!, x: x(arm) },
    }));
  const y = { label: `AUROC for ${target}`, reference: 0.5, referenceName: "guessing" };
  const units = [...new Set(shown.flatMap(({ arm }) => (arm.epsilon === null ? [] : [arm.unit ?? "unit"])))];
  const promised = {
    title: "Promised: what a proof limits",
    kinds,
    x: {
      label: `proven epsilon for each ${units.join(" or ") || "patient"}; smaller is more private`,
      ...({ scale: "log", without: "no proof", side: "right" } as const),
    },
    y,
  } as const;
  const measured = {
    title: "Measured: what the best attack got",
    kinds,
    x: {
      label: "attack success: 0 is guessing, 1 is everything",
      ...({ scale: "share", without: "not attacked", side: "left" } as const),
    },
    y,
  } as const;
  const epsilons = of(({ arm }) => (arm.epsilon === null ? null : { value: arm.epsilon, low: null, high: null }));
  const successes = of(({ worst }) => worst?.gain ?? null);
  return [
    { wide: themed(tradeOffChart(epsilons, promised)), narrow: themed(tradeOffChart(epsilons, { ...promised, width: 350 })) }, // prettier-ignore
    { wide: themed(tradeOffChart(successes, measured)), narrow: themed(tradeOffChart(successes, { ...measured, width: 350 })) }, // prettier-ignore
  ];
}

/** AUROC by arm, one target a block. */
export function drawUtility({ arms }: StudySummary, targets: readonly string[]): Drawing | null {
  const rows = targets.flatMap((target) =>
    arms.flatMap(({ mark, arm, auroc }): IntervalRow[] => {
      const own = auroc[target];
      if (own === undefined) return [];
      return [
        { label: `${mark}  ${arm.name}`, model: target, ...estimate(own), reference: 0.5, detail: kindNames[arm.kind] },
      ];
    }),
  );
  if (rows.length === 0 || targets.length > mostArms) return null;
  return both((width) => intervalChart(rows, { title: "AUROC by arm", axis: "AUROC", width }));
}

const estimate = ({ value, low, high }: Averaged) => ({
  ...{ value, low, high },
  ...(value === null ? { reason: "too few patients" } : {}),
});

/** AUROC group by group, up to six arms a chart. */
export function drawGroups({ arms, groups }: StudySummary, target: string): Drawing[] {
  const own = groups[target] ?? [];
  const shown = arms.filter(({ arm }) => own.some(({ auroc }) => (auroc[arm.name]?.low ?? null) !== null));
  const charts: Drawing[] = [];
  for (let from = 0; from < shown.length; from += mostArms) {
    const part = shown.slice(from, from + mostArms);
    const rows = own.flatMap(({ column, value, auroc }) =>
      part.flatMap(({ mark, arm }): IntervalRow[] => {
        const measured = auroc[arm.name];
        if (measured === undefined) return [];
        const detail = measured.patients === null ? "size suppressed" : `${measured.patients} patients`;
        return [
          {
            ...{ label: `${column}: ${value}`, detail, model: `${mark}  ${arm.name}`, reference: 0.5 },
            // A value without an interval would invite a comparison that nobody can make.
            ...(measured.low === null ? { value: null, low: null, high: null } : estimate(measured)),
            ...(measured.low === null
              ? { reason: measured.patients === null ? "suppressed" : "too few patients" }
              : {}),
          },
        ];
      }),
    );
    const title = `${target}: AUROC by group${shown.length > mostArms ? `, arms ${part[0]!.mark} to ${part.at(-1)!.mark}` : ""}`; // prettier-ignore
    charts.push(both((width) => intervalChart(rows, { title, axis: "AUROC", width })));
  }
  return charts;
}

/** The course of one arm's trainings, up to six seeds in a chart; null where there is too little to draw. */
export function drawHistory(
  lines: readonly HistoryLine[],
  labels: { readonly title: string; readonly x: string; readonly y: string },
): Drawing | null {
  const shown = lines.slice(0, mostArms);
  if (!shown.some(({ points }) => points.filter(({ value }) => Number.isFinite(value)).length > 1)) return null;
  const chart = themed(historyChart(shown, { ...labels, width: 400 }));
  return { wide: chart, narrow: chart };
}

/** The words that stand for a value in a table. */
export const cell = (value: Averaged | undefined): string => {
  if (value === undefined) return "not measured";
  if (value.patients === null && value.value === null) return "suppressed: too few patients to be shown";
  return intervalOf(value);
};

/** The same for a group: without an interval there is nothing to be compared. */
export const groupCell = (value: Averaged | undefined): string =>
  value?.low === null && value.patients !== null ? "not enough patients to tell" : cell(value);
