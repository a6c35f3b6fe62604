/**
 * Charts of lines: a metric against epsilon with bands, precision against recall, and probability against frequency. As
 * charts.ts, apart from the rest of evaluation because the drawing library takes a second to load.
 */
import { areaY, axisX, axisY, dot, frame, gridY, line, link, ruleY, text } from "@observablehq/plot";
import { LeadglassError } from "../errors.ts";
import type { Reliability } from "./calibration.ts";
import { fontSize, ink, lookByName, renderSvg, smallFontSize, textWidth, wrapText, type Look } from "./chart-style.ts";
import { precisionRecallCurve } from "./curves.ts";

/** One place of a trend: a value with what surrounds it, and the values it is the mean of. */
export interface TrendPoint {
  readonly at: string;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** For example one a seed; drawn as faint dots. */
  readonly single?: readonly number[];
}

export interface TrendLine {
  readonly name: string;
  readonly points: readonly TrendPoint[];
}

interface Key {
  readonly name: string;
  readonly value?: string;
}

const margin = { left: 62, right: 20, bottom: 56 };
const rowHeight = 18;

/** Title, one row a line in the key, and a note; as marks placed in pixels from the top, and the height they take. */
function heading(
  keys: readonly Key[],
  look: Map<string, Look>,
  options: { title: string; note: string; width: number },
) {
  const { title, note, width } = options;
  const inner = width - margin.left - margin.right;
  const values = Math.max(0, ...keys.map(({ value = "" }) => textWidth(value, fontSize)));
  let cursor = 4;
  const placed: { content: string; top: number; left: number; bold?: boolean; quiet?: boolean; end?: boolean }[] = [];
  const samples: { top: number; look: Look }[] = [];
  const down = (): number => (cursor += rowHeight);
  for (const content of wrapText(title, inner, fontSize + 1, { bold: true }))
    placed.push({ content, top: down(), left: 0, bold: true });
  if (title) cursor += 4;
  for (const { name, value } of keys) {
    const lines = wrapText(name, inner - 36 - values - 16, fontSize);
    lines.forEach((content, i) => {
      const top = down();
      placed.push({ content, top, left: 36 });
      if (i === 0) {
        samples.push({ top, look: look.get(name)! });
        if (value !== undefined) placed.push({ content: value, top, left: inner, end: true });
      }
    });
  }
  for (const content of wrapText(note, inner, smallFontSize))
    placed.push({ content, top: down(), left: 0, quiet: true });
  const height = cursor + 20;
  const at = (top: number) => ({ frameAnchor: "top-left" as const, dy: top - height, dx: 0 });
  const marks = [
    ...placed.map(({ content, top, left, bold, quiet, end }) =>
      text([content], {
        ...{
          ...at(top),
          dx: left,
          textAnchor: end ? ("end" as const) : ("start" as const),
          lineAnchor: "middle" as const,
        },
        ...{ fill: quiet ? ink.quiet : ink.text, fontSize: quiet ? smallFontSize : bold ? fontSize + 1 : fontSize },
        ...(bold ? { fontWeight: "bold" } : {}),
      }),
    ),
    ...samples.map(({ top, look: { color, symbol } }) =>
      dot([0], { ...at(top), dx: 14, symbol, fill: color, stroke: "#ffffff", strokeWidth: 0.8, r: 5 }),
    ),
  ];
  return { marks, height };
}

const stroke = ({ color, dash }: Look) => ({
  stroke: color,
  strokeWidth: 1.9,
  strokeDasharray: dash,
  strokeLinejoin: "round" as const,
});

/**
 * Lines over ordered places, for example AUROC over epsilon, with a band from low to high around each. A point without a
 * value breaks its line. `reference` is drawn across, as chance or no gap. Returns the text of an SVG file.
 * Throws LG-EVAL-006 for no lines, more than six, or two of one name.
 */
export function trendChart(
  lines: readonly TrendLine[],
  options: {
    readonly title?: string;
    readonly note?: string;
    readonly x: string;
    readonly y: string;
    readonly reference?: number;
    readonly width?: number;
  },
): string {
  const { title = "", note = "", x, y, reference, width = 620 } = options;
  const look = lookByName(lines.map(({ name }) => name));
  if (look.size < lines.length) throw new LeadglassError("LG-EVAL-006", "lines: two of the same name");
  const places = [...new Set(lines.flatMap(({ points }) => points.map(({ at }) => at)))];
  const numbers = lines
    .flatMap(({ points }) => points.flatMap(({ value, low, high, single = [] }) => [value, low, high, ...single]))
    .concat(reference ?? null)
    .filter((v) => v !== null);
  const tenth = (v: number, round: (v: number) => number): number => round(v * 20) / 20;
  const domain = [tenth(Math.min(...numbers), Math.floor), tenth(Math.max(...numbers), Math.ceil)];
  const top = heading(lines, look, { title, note, width });
  // Lines of one place stand side by side, so that their bands can be told apart.
  const beside = (i: number): number => (i - (lines.length - 1) / 2) * Math.min(0.06, 0.3 / lines.length);
  return renderSvg(title || y, {
    ...{ width, height: top.height + 320 + margin.bottom, marginTop: top.height },
    ...{ marginLeft: margin.left, marginRight: margin.right, marginBottom: margin.bottom },
    style: { fontSize: `${fontSize}px` },
    x: { domain: [-0.4, places.length - 0.6] },
    y: { domain },
    marks: [
      gridY({ ticks: 6, stroke: ink.grid, strokeOpacity: 1 }),
      frame({ stroke: ink.rule }),
      axisX(
        places.map((_, i) => i),
        {
          ...{ tickFormat: (i: number) => places[i] ?? "", color: ink.text, label: x, labelAnchor: "center" as const },
          ...{ labelArrow: "none" as const, fontSize, tickSize: 4, labelOffset: 44 },
        },
      ),
      axisY({
        ...{ ticks: 6, color: ink.text, label: y, labelAnchor: "center" as const, labelArrow: "none" as const },
        ...{ fontSize, tickSize: 4, labelOffset: 50 },
      }),
      ...(reference === undefined ? [] : [ruleY([reference], { stroke: ink.rule, strokeDasharray: "3 2" })]),
      ...lines.flatMap(({ name, points }, i) => {
        const own = look.get(name)!;
        const rows = points.map((point) => ({ ...point, x: places.indexOf(point.at) + beside(i) }));
        const known = rows.filter(({ value }) => value !== null);
        const bars = rows.filter(({ low, high }) => low !== null && high !== null);
        return [
          areaY(bars, { x: "x", y1: "low", y2: "high", fill: own.color, fillOpacity: lines.length > 3 ? 0.06 : 0.13 }),
          link(bars, { x1: "x", x2: "x", y1: "low", y2: "high", stroke: own.color, strokeOpacity: 0.55 }),
          line(known, { x: "x", y: "value", ...stroke(own) }),
          dot(
            rows.flatMap(({ x, single = [] }) => single.map((value) => ({ x, value }))),
            { x: "x", y: "value", r: 2.4, fill: own.color, fillOpacity: 0.45 },
          ),
          dot(known, {
            x: "x",
            y: "value",
            symbol: own.symbol,
            fill: own.color,
            stroke: "#ffffff",
            strokeWidth: 0.8,
            r: 4.8,
          }),
        ];
      }),
      ...top.marks,
    ],
  });
}

/** A line whose places are numbers, as the loss of a training over its steps. */
export interface HistoryLine {
  readonly name: string;
  readonly points: readonly { readonly at: number; readonly value: number }[];
}

/**
 * Lines over numbers, for example loss over steps. Values that are not finite break their line. Returns the text of an SVG
 * file. Throws LG-EVAL-006 as {@link trendChart}, and where no line has two points.
 */
export function historyChart(
  lines: readonly HistoryLine[],
  options: {
    readonly title?: string;
    readonly note?: string;
    readonly x: string;
    readonly y: string;
    readonly width?: number;
  },
): string {
  const { title = "", note = "", x, y, width = 400 } = options;
  const look = lookByName(lines.map(({ name }) => name));
  const points = lines.flatMap(({ points }) => points.filter(({ value }) => Number.isFinite(value)));
  if (look.size < lines.length || points.length < 2)
    throw new LeadglassError("LG-EVAL-006", "lines: two of the same name, or none with two points");
  const top = heading(
    lines.map(({ name }) => ({ name })),
    look,
    { title, note, width },
  );
  const axis = { ticks: 5, color: ink.text, labelAnchor: "center", labelArrow: "none", tickSize: 4 } as const;
  const last = (line: HistoryLine) => line.points.at(-1);
  return renderSvg(
    title || y,
    {
      ...{ width, height: top.height + 190 + margin.bottom, marginTop: top.height },
      ...{ marginLeft: margin.left, marginRight: margin.right, marginBottom: margin.bottom },
      style: { fontSize: `${fontSize}px` },
      x: { domain: [Math.min(...points.map(({ at }) => at)), Math.max(...points.map(({ at }) => at))] },
      y: { domain: [Math.min(...points.map(({ value }) => value)), Math.max(...points.map(({ value }) => value))] },
      marks: [
        gridY({ ticks: 5, stroke: ink.grid, strokeOpacity: 1 }),
        frame({ stroke: ink.rule }),
        axisX({ ...axis, label: x, labelOffset: 44, fontSize: smallFontSize }),
        axisY({ ...axis, label: y, labelOffset: 52, fontSize: smallFontSize }),
        ...lines.map(({ name, points }) => line(points, { x: "at", y: "value", ...stroke(look.get(name)!) })),
        ...top.marks,
      ],
    },
    lines
      .flatMap((line) =>
        last(line) === undefined ? [] : [`${line.name} ends at ${last(line)!.value.toPrecision(3)}.`],
      )
      .join(" "),
  );
}

/** Axes from 0 to 1 both ways with a key above. */
function unitSquare(
  keys: readonly Key[],
  look: Map<string, Look>,
  marks: readonly unknown[],
  options: { title: string; note: string; x: string; y: string; width: number },
): string {
  const { title, x, y, width } = options;
  const top = heading(keys, look, options);
  const axis = { ticks: 5, color: ink.text, labelAnchor: "center", labelArrow: "none", fontSize, tickSize: 4 } as const;
  return renderSvg(title || y, {
    ...{ width, height: top.height + (width - margin.left - margin.right) + margin.bottom, marginTop: top.height },
    ...{ marginLeft: margin.left, marginRight: margin.right, marginBottom: margin.bottom },
    style: { fontSize: `${fontSize}px` },
    x: { domain: [0, 1] },
    y: { domain: [0, 1] },
    marks: [
      gridY({ ticks: 5, stroke: ink.grid, strokeOpacity: 1 }),
      frame({ stroke: ink.rule }),
      axisX({ ...axis, label: x, labelOffset: 44 }),
      axisY({ ...axis, label: y, labelOffset: 50 }),
      ...(marks as []),
      ...top.marks,
    ],
  });
}

/**
 * Precision against recall of up to six models, with what a useless score gets as a dashed line. `value` stands behind
 * the name. Returns the text of an SVG file. Throws LG-EVAL-006 as {@link trendChart}, and for a model without a positive.
 */
export function precisionRecallChart(
  models: readonly {
    readonly model: string;
    readonly scores: ArrayLike<number>;
    readonly labels: ArrayLike<number>;
    readonly value?: string;
  }[],
  { title = "", width = 480 }: { title?: string; width?: number } = {},
): string {
  const look = lookByName(models.map(({ model }) => model));
  const labels = models[0]!.labels;
  let [positives, known] = [0, 0];
  for (let i = 0; i < labels.length; i++) {
    if (Number.isNaN(labels[i])) continue;
    known++;
    positives += labels[i]!;
  }
  const marks = models.flatMap(({ model, scores, labels }) => {
    const curve = precisionRecallCurve(scores, labels);
    if (curve.length === 0) throw new LeadglassError("LG-EVAL-006", "models: one has no positive; no curve exists");
    // Precision before the first positive is what it is there: the curve starts at the first score's own.
    return [
      line([{ recall: 0, precision: curve[0]!.precision }, ...curve], {
        x: "recall",
        y: "precision",
        ...stroke(look.get(model)!),
      }),
    ];
  });
  const keys = models.map(({ model, value }) => ({ name: model, ...(value === undefined ? {} : { value }) }));
  const prevalence = ruleY([positives / known], { stroke: ink.rule, strokeDasharray: "3 2" });
  const note = `dashed: prevalence ${(positives / known).toFixed(2)}, what a useless score gets`;
  return unitSquare(keys, look, [prevalence, ...marks], {
    title,
    note,
    width,
    x: "Recall (sensitivity)",
    y: "Precision",
  });
}

/** Frequency against probability of up to six models, with Wilson intervals. Throws LG-EVAL-006 as {@link trendChart}. */
export function reliabilityChart(
  models: readonly { readonly model: string; readonly reliability: Reliability; readonly value?: string }[],
  { title = "", width = 480 }: { title?: string; width?: number } = {},
): string {
  const look = lookByName(models.map(({ model }) => model));
  const diagonal = link([0], { x1: 0, y1: 0, x2: 1, y2: 1, stroke: ink.rule, strokeDasharray: "3 2" });
  const marks = models.flatMap(({ model, reliability: { bins } }) => {
    const own = look.get(model)!;
    const filled = bins.filter(({ n }) => n > 0);
    return [
      link(filled, {
        x1: "meanProbability",
        x2: "meanProbability",
        y1: "low",
        y2: "high",
        stroke: own.color,
        strokeOpacity: 0.5,
      }),
      line(filled, { x: "meanProbability", y: "frequency", ...stroke(own) }),
      dot(filled, {
        x: "meanProbability",
        y: "frequency",
        symbol: own.symbol,
        fill: own.color,
        stroke: "#ffffff",
        r: 4.6,
      }),
    ];
  });
  const keys = models.map(({ model, value }) => ({ name: model, ...(value === undefined ? {} : { value }) }));
  const note = "bars: 95 % intervals that take images as independent; dashed: right as often as it says";
  return unitSquare(keys, look, [diagonal, ...marks], {
    title,
    note,
    width,
    x: "Mean probability",
    y: "Share of positives",
  });
}
