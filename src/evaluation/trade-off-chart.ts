/**
 * Utility against privacy: one dot an arm with its intervals both ways, on axes that all arms share. As charts.ts, apart
 * from the rest of evaluation because the drawing library takes a second to load.
 */
import { axisX, axisY, dot, frame, gridY, link, rect, ruleY, text } from "@observablehq/plot";
import { LeadglassError } from "../errors.ts";
import {
  fontSize,
  ink,
  intervalText,
  lookByName,
  renderSvg,
  smallFontSize,
  textWidth,
  wrapText,
  type Look,
} from "./chart-style.ts";

type Interval = { readonly value: number | null; readonly low: number | null; readonly high: number | null };

/** One arm: where it stands, and the short mark it is called by beside its dot. */
export interface TradeOffArm {
  readonly mark: string;
  /** The kind of arm, which gives the look. */
  readonly kind: string;
  readonly utility: Interval;
  /** What the x axis measures; null for an arm that has no such number, which stands in a band of its own. */
  readonly x: Interval | null;
}

export interface TradeOffOptions {
  readonly title?: string;
  readonly note?: string;
  /** Kinds in the order of their looks, whether or not an arm has them; at most six. */
  readonly kinds: readonly string[];
  readonly x: {
    readonly label: string;
    /** "log" for epsilon, "share" for 0 to 1. */
    readonly scale: "log" | "share";
    /** What stands below the band of arms without a number, and on which side it lies. */
    readonly without: string;
    readonly side: "left" | "right";
  };
  readonly y: { readonly label: string; readonly reference?: number; readonly referenceName?: string };
  readonly width?: number;
}

const margin = { left: 54, right: 16, bottom: 54 };
const plotHeight = 250;
const rowHeight = 18;
/** Share of the width that the band of arms without a number takes at least and at most, and pixels for each of them. */
const band = { least: 0.2, most: 0.5, each: 32 };

/**
 * Draws arms by what they are good for and what they give away. Dots of one kind look alike and carry their mark; bars are
 * intervals. Returns the text of an SVG file that names every arm's numbers in its description.
 * Throws LG-EVAL-006 for no arms or more than six kinds.
 */
export function tradeOffChart(arms: readonly TradeOffArm[], options: TradeOffOptions): string {
  const { title = "", note = "", kinds, x, y, width = 400 } = options;
  const shown = arms.filter(({ utility }) => utility.value !== null);
  if (shown.length === 0) throw new LeadglassError("LG-EVAL-006", "arms: none has a value to be drawn");
  const look = lookByName(kinds);
  const xLines = wrapText(x.label, width - 24, smallFontSize);
  const bottom = margin.bottom + 15 * (xLines.length - 1);
  const inner = width - margin.left - margin.right;
  const inBand = shown.filter((arm) => place(arm.x) === null);
  const wide = Math.min(band.most * inner, Math.max(band.least * inner, band.each * inBand.length));
  const scale = scaleOf(shown, x, { inner, wide: inBand.length > 0 ? wide : 0 });
  const [least, most] = rangeOf(
    shown.map(({ utility }) => utility),
    y.reference,
  );
  const toY = (value: number): number => ((most - value) / (most - least)) * plotHeight;

  const notes = [note, ...(y.referenceName === undefined ? [] : [`dashed: ${y.referenceName}`])].filter(Boolean).join("; "); // prettier-ignore
  let cursor = 4;
  const down = (): number => (cursor += rowHeight);
  const heads = [
    ...wrapText(title, width - 24, fontSize + 1, { bold: true }).map((content) => ({
      content,
      top: down(),
      bold: true,
    })),
    ...wrapText(notes, width - 24, smallFontSize).map((content) => ({ content, top: down(), bold: false })),
  ];
  const present = kinds.filter((kind) => shown.some((arm) => arm.kind === kind));
  const key: { kind: string; left: number; top: number }[] = [];
  let left = 0;
  let top = down() + 2;
  for (const kind of present) {
    const wide = 24 + textWidth(kind, smallFontSize) + 10;
    if (left > 0 && left + wide > width - 24) [left, top] = [0, down() + 2];
    key.push({ kind, left, top });
    left += wide;
  }
  const marginTop = cursor + 24;

  // A band's arms stand side by side; numbers place the others. Everything below is in pixels of the plot.
  const at = shown.map((arm) => ({
    arm,
    left: place(arm.x) ?? NaN,
    y: toY(arm.utility.value!),
    look: look.get(arm.kind)!,
  }));
  for (const spot of at)
    spot.left = Number.isNaN(spot.left)
      ? scale.band(inBand.indexOf(spot.arm), inBand.length)
      : scale.toX(place(spot.arm.x)!);
  const labels = placeMarks(
    at.map(({ arm, left, y }) => ({ mark: arm.mark, left, y })),
    inner,
  );
  const anchor = { frameAnchor: "top-left" as const };
  const bars = at.flatMap(({ arm: { utility, x: across }, left, y, look: { color } }) => [
    ...(utility.low === null || utility.high === null
      ? []
      : [{ x1: left, x2: left, y1: toY(utility.low), y2: toY(utility.high), color }]),
    ...(across === null || across.value === null || across.low === null || across.high === null
      ? []
      : [{ x1: scale.toX(across.low), x2: scale.toX(across.high), y1: y, y2: y, color }]),
  ]);
  const head = marginTop;
  return renderSvg(
    title || `${y.label} against ${x.label}`,
    {
      ...{ width, height: marginTop + plotHeight + bottom, marginTop },
      ...{ marginLeft: margin.left, marginRight: margin.right, marginBottom: bottom },
      style: { fontSize: `${fontSize}px` },
      x: { domain: [0, inner], range: [margin.left, margin.left + inner] },
      y: { domain: [0, plotHeight], range: [marginTop, marginTop + plotHeight] },
      marks: [
        ...(inBand.length > 0
          ? [
              rect([scale.bandRange], {
                ...{ x1: "0", x2: "1", y1: 0, y2: plotHeight, fill: ink.grid, fillOpacity: 0.45 },
              }),
            ]
          : []),
        gridY(
          tenths(least, most).map((value) => toY(value)),
          { stroke: ink.grid, strokeOpacity: 1 },
        ),
        frame({ stroke: ink.rule }),
        axisY(
          tenths(least, most).map((value) => toY(value)),
          {
            ...{ tickFormat: (pixels: number) => (most - (pixels / plotHeight) * (most - least)).toFixed(1) },
            ...{ color: ink.text, label: y.label, labelAnchor: "center" as const, labelArrow: "none" as const },
            ...{ fontSize: smallFontSize, tickSize: 4, labelOffset: 44 },
          },
        ),
        axisX(
          scale.ticks.map(({ left }) => left),
          {
            ...{ tickFormat: (_: number, i: number) => scale.ticks[i]!.text, color: ink.text, fontSize: smallFontSize },
            ...{ tickSize: 4, label: null },
          },
        ),
        ...xLines.map((content, i) =>
          text([content], {
            ...{ ...anchor, dx: width / 2 - margin.left, dy: plotHeight + 38 + i * 15, textAnchor: "middle" as const },
            ...{ lineAnchor: "middle" as const, fill: ink.text, fontSize: smallFontSize },
          }),
        ),
        ...(y.reference === undefined ? [] : [ruleY([toY(y.reference)], { stroke: ink.rule, strokeDasharray: "3 2" })]),
        link(bars, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", stroke: "color", strokeOpacity: 0.75, strokeWidth: 1.6 }),
        ...at.map(({ left, y, look: { color, symbol } }) =>
          dot([0], { x: left, y, symbol, fill: color, stroke: "#ffffff", strokeWidth: 1, r: 6 }),
        ),
        text(labels, {
          ...{ x: "left", y: "top", text: "mark", textAnchor: "middle" as const, fontSize, fontWeight: "bold" },
          ...{ fill: ink.text, stroke: "#ffffff", strokeWidth: 3, paintOrder: "stroke" },
        }),
        ...heads.map(({ content, top, bold }) =>
          text([content], {
            ...{ ...anchor, dx: 12 - margin.left, dy: top - head, textAnchor: "start" as const },
            ...{ lineAnchor: "middle" as const, fontSize: bold ? fontSize + 1 : smallFontSize },
            ...{ fill: bold ? ink.text : ink.quiet, ...(bold ? { fontWeight: "bold" } : {}) },
          }),
        ),
        ...key.flatMap(({ kind, left, top }) => {
          const { color, symbol }: Look = look.get(kind)!;
          return [
            dot([0], { ...anchor, dx: 20 - margin.left + left, dy: top - head, symbol, fill: color, r: 5.5 }),
            text([kind], {
              ...{ ...anchor, dx: 32 - margin.left + left, dy: top - head, textAnchor: "start" as const },
              ...{ lineAnchor: "middle" as const, fontSize: smallFontSize, fill: ink.text },
            }),
          ];
        }),
      ],
    },
    shown
      .map(
        ({ mark, kind, utility, x: across }) =>
          `${mark} (${kind}): ${y.label} ${intervalText(utility)}, ${x.label} ${across === null || across.value === null ? x.without : intervalText(across)}.`,
      )
      .join(" "),
  );
}

const place = (x: Interval | null): number | null => (x === null ? null : x.value);

interface Placement {
  readonly toX: (value: number) => number;
  /** The middle of the i-th of n places in the band. */
  readonly band: (i: number, n: number) => number;
  readonly bandRange: readonly [number, number];
  readonly ticks: readonly { readonly left: number; readonly text: string }[];
}

/** Where numbers lie across the plot: beside the band where there is one. */
function scaleOf(
  arms: readonly TradeOffArm[],
  x: TradeOffOptions["x"],
  { inner, wide }: { readonly inner: number; readonly wide: number },
): Placement {
  const [from, to] = x.side === "left" ? [wide, inner] : [0, inner - wide];
  const bandRange: [number, number] = x.side === "left" ? [0, wide] : [inner - wide, inner];
  const numbers = arms.flatMap(({ x }) => (x?.value === null || x === null ? [] : [x.value, x.low, x.high])).filter((v) => v !== null); // prettier-ignore
  const without = wide > 0 ? [{ left: (bandRange[0] + bandRange[1]) / 2, text: x.without }] : [];
  const inBand = (i: number, n: number): number => bandRange[0] + ((i + 1) / (n + 1)) * wide;
  if (x.scale === "share") {
    const pad = 12;
    const toX = (value: number): number => from + pad + Math.max(0, Math.min(1, value)) * (to - from - 2 * pad);
    const ticks = [0, 0.5, 1].map((value) => ({ left: toX(value), text: value === 0.5 ? "0.5" : String(value) }));
    return { toX, band: inBand, bandRange, ticks: [...ticks, ...without] };
  }
  const positive = numbers.filter((v) => v > 0);
  const [low, high] = positive.length === 0 ? [1, 10] : [Math.min(...positive), Math.max(...positive)];
  const [a, b] = [Math.log10(low) - 0.25, Math.log10(high) + 0.25];
  const toX = (value: number): number => from + ((Math.log10(value) - a) / (b - a)) * (to - from);
  const round = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000].filter((v) => toX(v) > from + 8 && toX(v) < to - 8);
  return {
    toX,
    band: inBand,
    bandRange,
    ticks: [...round.map((v) => ({ left: toX(v), text: String(v) })), ...without],
  };
}

/** From the tenth below all to the tenth above, with the reference inside. */
function rangeOf(intervals: readonly Interval[], reference: number | undefined): [number, number] {
  const all = [...intervals.flatMap(({ value, low, high }) => [value, low, high]), reference ?? null].filter((v) => v !== null); // prettier-ignore
  const [low, high] = [Math.floor(10 * Math.min(...all) - 0.01), Math.ceil(10 * Math.max(...all) + 0.01)];
  // Nothing lies on the frame, but for an AUROC of 1.
  return [low / 10, Math.min(10, Math.max(high, low + 1)) / 10];
}

const tenths = (least: number, most: number): number[] => {
  const [from, to] = [Math.round(10 * least), Math.round(10 * most)];
  const step = to - from > 7 ? 2 : 1;
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
    .filter((tenth) => tenth % step === 0)
    .map((tenth) => tenth / 10);
};

/** Puts each mark beside its dot where it touches the fewest dots and marks: right, left, above or below. */
function placeMarks(spots: readonly { mark: string; left: number; y: number }[], inner: number) {
  const placed: { mark: string; left: number; top: number }[] = [];
  for (const { mark, left, y } of spots) {
    const wide = textWidth(mark, fontSize, { bold: true });
    const offsets = [
      [9 + wide / 2, -9],
      [-9 - wide / 2, -9],
      [9 + wide / 2, 10],
      [-9 - wide / 2, 10],
      [9 + wide / 2, 0],
      [0, -16],
      [0, 17],
    ] as const;
    const cost = ([dx, dy]: readonly [number, number]): number => {
      const [cx, cy] = [left + dx, y + dy];
      const outside = cx - wide / 2 < 2 || cx + wide / 2 > inner - 2 || cy < 8 || cy > plotHeight - 8 ? 4 : 0;
      const near = (x: number, top: number, reach: number) =>
        Math.abs(x - cx) < reach + wide / 2 && Math.abs(top - cy) < reach + 5 ? 1 : 0;
      return (
        outside +
        spots.reduce((sum, spot) => sum + near(spot.left, spot.y, 6), 0) +
        placed.reduce((sum, other) => sum + 2 * near(other.left, other.top, wide / 2 + 2), 0)
      );
    };
    const best = offsets.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    placed.push({ mark, left: left + best[0], top: y + best[1] });
  }
  return placed;
}
