/**
 * Charts as the text of SVG files. Apart from the rest of evaluation, because the drawing library takes a second to
 * load: import it where a chart is drawn.
 */

import { axisX, axisY, dot, frame, gridX, gridY, line, link, ruleX, text } from "@observablehq/plot";
import { LeadglassError } from "../errors.ts";
import type { Estimate, IntervalRow } from "./chart-rows.ts";
import { rocCurve } from "./curves.ts";
import { confusionAt } from "./metrics.ts";
import {
  fontSize,
  ink,
  intervalText,
  lookByName,
  percent,
  renderSvg,
  smallFontSize,
  textWidth,
  wrapText,
} from "./chart-style.ts";

export { groupMetricRows, metricRows, type EvaluatedModel, type IntervalRow } from "./chart-rows.ts";

/** One model of a ROC chart: its scores on labelled rows, and its AUROC as evaluated on the same rows. */
export interface RocModel {
  readonly model: string;
  readonly scores: ArrayLike<number>;
  /** 1, 0, or NaN for missing. */
  readonly labels: ArrayLike<number>;
  readonly auroc: Estimate;
  /** Marks the operating point on the curve. */
  readonly threshold?: number;
}

/**
 * ROC curves of up to six models on one pair of axes, with AUROC and interval in the key above them.
 * Returns the text of an SVG file, `width` pixels wide and about as high plus the key.
 * Throws LG-EVAL-006 for no or too many models, two of one name, or a model without both classes.
 */
export function rocChart(
  models: readonly RocModel[],
  { title = "", width = 480, level = 0.95 }: { title?: string; width?: number; level?: number } = {},
): string {
  const look = lookByName(models.map(({ model }) => model));
  if (look.size < models.length) throw new LeadglassError("LG-EVAL-006", "models: two of the same name");
  const margin = { left: 58, right: 18, bottom: 52 };
  const side = width - margin.left - margin.right;
  const lineHeight = 18;
  const values = models.map(({ auroc }) => intervalText(auroc));
  const valueHeading = `AUROC [${percent(level)} interval]`;
  const valueWidth = Math.max(...[...values, valueHeading].map((value) => textWidth(value, fontSize)));
  const sample = 34;
  const names = models.map(({ model }) => wrapText(model, side - sample - valueWidth - 16, fontSize));
  const titleLines = wrapText(title, side, fontSize + 1, { bold: true });
  const marked = models.some(({ threshold }) => threshold !== undefined);

  // The key is laid out downwards in pixels from the top edge, then placed on the axes' own scale above 1.
  let cursor = 2;
  const down = (pixels: number) => (cursor += pixels);
  const titleTops = titleLines.map(() => down(lineHeight));
  const headingTop = down(titleLines.length > 0 ? lineHeight + 4 : 4);
  const rowTops = names.map((lines) => lines.map(() => down(lineHeight)));
  const marginTop = down(18);
  const toY = (top: number) => 1 + (marginTop - top) / side;
  const toX = (left: number) => left / side;

  return renderSvg(title || "ROC curves", {
    width,
    height: marginTop + side + margin.bottom,
    marginTop,
    marginLeft: margin.left,
    marginRight: margin.right,
    marginBottom: margin.bottom,
    style: { fontSize: `${fontSize}px` },
    x: { domain: [0, 1] },
    y: { domain: [0, 1] },
    marks: [
      gridX({ ticks: 5, stroke: ink.grid, strokeOpacity: 1 }),
      gridY({ ticks: 5, stroke: ink.grid, strokeOpacity: 1 }),
      frame({ stroke: ink.rule }),
      link([0], { x1: 0, y1: 0, x2: 1, y2: 1, stroke: ink.rule, strokeDasharray: "1 3" }),
      axisX({
        ...{ ticks: 5, color: ink.text, label: "1 − specificity (false-positive rate)" },
        ...{ labelAnchor: "center", labelArrow: "none", fontSize, tickSize: 4, labelOffset: 42 },
      }),
      axisY({
        ...{ ticks: 5, color: ink.text, label: "Sensitivity (true-positive rate)" },
        ...{ labelAnchor: "center", labelArrow: "none", fontSize, tickSize: 4, labelOffset: 46 },
      }),
      ...models.flatMap(({ model, scores, labels, threshold }) => {
        const { color, dash } = look.get(model)!;
        const curve = rocCurve(scores, labels);
        if (curve.length === 0)
          throw new LeadglassError("LG-EVAL-006", "models: one has no positives or no negatives; no ROC curve exists");
        const marks = [
          line(curve, {
            ...{ x: "falsePositiveRate", y: "truePositiveRate" },
            ...{ stroke: color, strokeWidth: 1.9, strokeDasharray: dash, strokeLinejoin: "round" as const },
          }),
        ];
        if (threshold === undefined) return marks;
        const { sensitivity, specificity } = confusionAt(scores, labels, threshold);
        const point = [[1 - specificity!, sensitivity!]] as [number, number][];
        return [...marks, dot(point, { r: 5, fill: "#ffffff", stroke: color, strokeWidth: 2 })];
      }),
      text(titleLines, {
        ...{ x: 0, y: (_, i: number) => toY(titleTops[i]!), textAnchor: "start" as const },
        ...{ fontSize: fontSize + 1, fontWeight: "bold", fill: ink.text },
      }),
      text([valueHeading], { x: 1, y: toY(headingTop), textAnchor: "end", fill: ink.quiet, fontSize: smallFontSize }),
      text(marked ? ["○ operating point"] : [], {
        ...{ x: 0, y: toY(headingTop), textAnchor: "start" as const, fill: ink.quiet, fontSize: smallFontSize },
      }),
      ...models.flatMap(({ model }, i) => {
        const { color, dash } = look.get(model)!;
        const first = toY(rowTops[i]![0]!);
        const stroke = { stroke: color, strokeWidth: 2.2, strokeDasharray: dash };
        return [
          link([0], { x1: 0, x2: toX(sample - 8), y1: first, y2: first, ...stroke }),
          text(names[i]!, {
            ...{ x: toX(sample), y: (_, k: number) => toY(rowTops[i]![k]!), textAnchor: "start" as const },
            ...{ fill: ink.text, fontSize },
          }),
          text([values[i]!], {
            ...{ x: 1, y: first, textAnchor: "end" as const, fill: ink.text, fontSize, fontVariant: "tabular-nums" },
          }),
        ];
      }),
    ],
  });
}

/**
 * Dots with intervals that compare up to six models on several metrics or groups, with the numbers beside them. A row
 * without a value shows its reason. Returns the text of an SVG file `width` pixels wide, as high as its rows need; below
 * 480 pixels, as on a phone, labels stand above their rows.
 * `domain` of the axis is by default what the rows span, to the next tenth.
 * Throws LG-EVAL-006 for no rows or too many models.
 */
export function intervalChart(
  rows: readonly IntervalRow[],
  {
    title = "",
    axis = "",
    width = 680,
    level = 0.95,
    domain,
  }: { title?: string; axis?: string; width?: number; level?: number; domain?: readonly [number, number] } = {},
): string {
  const look = lookByName(rows.map(({ model }) => model));
  const labels = [...new Set(rows.map(({ label }) => label))];
  const values = rows.map(intervalText);
  const valueHeading = `value [${percent(level)} interval]`;
  const valueWidth = Math.max(...[...values, valueHeading].map((value) => textWidth(value, smallFontSize)));
  const labelWidth = Math.min(
    220,
    Math.max(
      ...labels.map((label) => textWidth(label, fontSize)),
      ...rows.map(({ detail = "" }) => textWidth(detail, smallFontSize)),
    ),
  );
  const stacked = width < 480;
  const marginLeft = stacked ? 16 : Math.ceil(labelWidth) + 26;
  const marginRight = Math.ceil(valueWidth) + 26;
  const inner = width - marginLeft - marginRight;
  const [rowHeight, gap, lineHeight] = [18, 13, 16];

  // Downwards in pixels: title, key, then a block for each label.
  let cursor = 6;
  const down = (pixels: number) => (cursor += pixels);
  const titleLines = wrapText(title, width - 32, fontSize + 1, { bold: true });
  const titleTops = titleLines.map(() => down(lineHeight + 2));
  if (titleLines.length > 0) down(4);
  const hasReference = rows.some(({ reference }) => reference !== undefined);
  const key = layOutKey(
    [...look.keys(), ...(hasReference ? [chanceName] : [])],
    width - 32 - textWidth(valueHeading, smallFontSize) - 20,
  );
  const keyTop = down(lineHeight);
  const headingTop = keyTop + (key.lineCount - 1) * lineHeight;
  cursor = headingTop;
  const marginTop = down(lineHeight);
  const tops = new Map<IntervalRow, number>();
  const blocks = labels.map((label) => {
    const members = rows.filter((row) => row.label === label);
    const room = stacked ? width - 32 : labelWidth + 1;
    const names = wrapText(label, room, fontSize);
    const details = wrapText(members.find((row) => row.detail)?.detail ?? "", room, smallFontSize);
    const lines = [
      ...names.map((content) => ({ content, quiet: false })),
      ...details.filter(Boolean).map((content) => ({ content, quiet: true })),
    ];
    const [rowsHeight, linesHeight] = [members.length * rowHeight, lines.length * lineHeight];
    const from = cursor;
    const to = down(gap + (stacked ? rowsHeight + linesHeight : Math.max(rowsHeight, linesHeight)));
    const middle = (from + to) / 2;
    const firstRow = stacked ? from + gap / 2 + linesHeight + rowHeight / 2 : middle - (rowsHeight - rowHeight) / 2;
    const firstLine = stacked ? from + gap / 2 + lineHeight / 2 : middle - (linesHeight - lineHeight) / 2;
    members.forEach((row, i) => tops.set(row, firstRow + i * rowHeight));
    return { from, to, firstRow, members, lines: lines.map((l, i) => ({ ...l, top: firstLine + i * lineHeight })) };
  });
  const bottom = cursor;
  const [least, most] = domain ?? span(rows);
  const shown = rows.filter((row) => row.value !== null);

  const left = { textAnchor: "start" as const, frameAnchor: "left" as const };
  const halo = stacked ? { stroke: "#ffffff", strokeWidth: 4, paintOrder: "stroke" } : {};
  return renderSvg(title || "Intervals", {
    width,
    height: bottom + (axis === "" ? 30 : 50),
    marginTop,
    marginLeft,
    marginRight,
    marginBottom: axis === "" ? 30 : 50,
    style: { fontSize: `${fontSize}px` },
    x: { domain: [least, most] },
    // Pixels from the top edge, as laid out above.
    y: { domain: [marginTop, bottom], range: [marginTop, bottom], axis: null },
    marks: [
      gridX({ ticks: inner / 60, stroke: ink.grid, strokeOpacity: 1 }),
      axisX({
        ...{ ticks: inner / 60, color: ink.text, fontSize: smallFontSize, tickSize: 4 },
        ...{ label: axis === "" ? null : axis, labelAnchor: "center", labelArrow: "none", labelOffset: 40 },
      }),
      ...(stacked ? [] : [ruleX([least], { stroke: ink.rule })]),
      link(blocks.slice(1), {
        ...{ x1: least, x2: most, y1: "from", y2: "from", stroke: ink.grid },
      }),
      link(
        blocks.flatMap(({ members, from, firstRow, to }) =>
          [...new Set(members.map((row) => row.reference))].flatMap((x) =>
            x === undefined ? [] : [{ x, from: stacked ? firstRow - rowHeight / 2 - 4 : from, to }],
          ),
        ),
        {
          ...{ x1: "x", x2: "x", y1: ({ from }: { from: number }) => from + 4, y2: ({ to }: { to: number }) => to - 4 },
          ...{ stroke: ink.rule, strokeWidth: 1.3, strokeDasharray: "3 2" },
        },
      ),
      ...shown.flatMap((row) => {
        const { color, symbol } = look.get(row.model)!;
        const y = tops.get(row)!;
        const bar = row.low === null || row.high === null ? [] : [row];
        return [
          link(bar, { x1: "low", x2: "high", y1: y, y2: y, stroke: color, strokeWidth: 2 }),
          dot([row], { x: "value", y, symbol, fill: color, stroke: "#ffffff", strokeWidth: 0.8, r: 4.6 }),
        ];
      }),
      text(
        blocks.flatMap(({ lines }) => lines.filter(({ quiet }) => !quiet)),
        { ...left, text: "content", y: "top", dx: 16 - marginLeft, fontSize, fill: ink.text, ...halo },
      ),
      text(
        blocks.flatMap(({ lines }) => lines.filter(({ quiet }) => quiet)),
        { ...left, text: "content", y: "top", dx: 16 - marginLeft, fontSize: smallFontSize, fill: ink.quiet, ...halo },
      ),
      text(rows, {
        ...{ text: (_, i: number) => values[i]!, y: (row: IntervalRow) => tops.get(row)! },
        ...{ frameAnchor: "right" as const, textAnchor: "end" as const, dx: marginRight - 16 },
        ...{ fontSize: smallFontSize, fill: (row: IntervalRow) => (row.value === null ? ink.quiet : ink.text) },
        ...{ fontVariant: "tabular-nums" },
      }),
      text(titleLines, {
        ...{ ...left, y: (_, i: number) => titleTops[i]!, dx: 16 - marginLeft },
        ...{ fontSize: fontSize + 1, fontWeight: "bold", fill: ink.text },
      }),
      text([valueHeading], {
        ...{ frameAnchor: "right" as const, textAnchor: "end" as const, y: headingTop, dx: marginRight - 16 },
        ...{ fontSize: smallFontSize, fill: ink.quiet },
      }),
      ...key.entries.flatMap(({ name, lines, x, line }, i) => {
        const y = keyTop + line * lineHeight;
        const names = text(lines, {
          ...{ ...left, y: (_, k: number) => y + k * lineHeight, dx: 32 + x - marginLeft, fontSize, fill: ink.text },
        });
        // The last entry, also where a model has that name.
        if (hasReference && i === key.entries.length - 1)
          return [text(["┆"], { ...left, y, dx: 19 + x - marginLeft, fontSize: fontSize + 3, fill: ink.quiet }), names];
        const { color, symbol } = look.get(name)!;
        return [dot([0], { frameAnchor: "left", y, dx: 22 + x - marginLeft, symbol, fill: color, r: 4.6 }), names];
      }),
    ],
  });
}

/** The dashed ticks in the key. */
const chanceName = "chance";

interface KeyEntry {
  readonly name: string;
  readonly lines: readonly string[];
  readonly x: number;
  /** Of the first line of the name. */
  readonly line: number;
}

/** Places the models' names side by side, and on further lines where they do not fit. */
function layOutKey(names: readonly string[], width: number): { entries: KeyEntry[]; lineCount: number } {
  const symbolWidth = 20;
  let [x, line] = [0, 0];
  const entries = names.map((name) => {
    const lines = wrapText(name, width - symbolWidth, fontSize);
    const wide = symbolWidth + Math.max(...lines.map((each) => textWidth(each, fontSize)));
    if (x > 0 && x + wide > width) [x, line] = [0, line + 1];
    const entry = { name, lines, x, line };
    [x, line] = lines.length > 1 ? [0, line + lines.length] : [x + wide + 14, line];
    return entry;
  });
  return { entries, lineCount: x === 0 ? line : line + 1 };
}

/** The axis: from the tenth below all that is drawn to the tenth above, with references off its ends. */
function span(rows: readonly IntervalRow[]): [number, number] {
  const numbers = (values: readonly (number | null | undefined)[]) => values.filter((x) => typeof x === "number");
  const all = numbers(rows.flatMap(({ value, low, high, reference }) => [value, low, high, reference]));
  if (all.length === 0) return [0, 1];
  const references = numbers(rows.map(({ reference }) => reference));
  const tenths = [Math.floor(10 * Math.min(...all)), Math.ceil(10 * Math.max(...all))] as const;
  const [least, most] = [tenths[0] / 10, tenths[1] / 10];
  const widen = least === most;
  return [
    widen || (least > 0 && references.includes(least)) ? (tenths[0] - 1) / 10 : least,
    widen || (most < 1 && references.includes(most)) ? (tenths[1] + 1) / 10 : most,
  ];
}
