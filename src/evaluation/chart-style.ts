/** What all charts share: colours, type sizes, legend rows, and the way from a plot to the text of an SVG file. */

import { plot, type PlotOptions } from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { LeadglassError } from "../errors.ts";

/** One look a model: a colour, and a dash and a symbol so that no meaning hangs on colour alone. */
export interface Look {
  readonly color: string;
  readonly dash: string;
  readonly symbol: "circle" | "square2" | "triangle" | "diamond2" | "star" | "cross";
}

/** Colours by Okabe and Ito (2008), which stay apart for all common kinds of colour blindness and in print. */
export const looks: readonly Look[] = [
  { color: "#0072b2", dash: "none", symbol: "circle" },
  { color: "#d55e00", dash: "7 3", symbol: "square2" },
  { color: "#009e73", dash: "2.5 2.5", symbol: "triangle" },
  { color: "#cc79a7", dash: "9 3 2.5 3", symbol: "diamond2" },
  { color: "#000000", dash: "4 4", symbol: "cross" },
  { color: "#e69f00", dash: "12 4", symbol: "star" },
];

export const ink = { text: "#1a1a1a", quiet: "#6b6b6b", grid: "#e3e3e3", rule: "#9a9a9a" } as const;
export const fontSize = 13;
export const smallFontSize = 11.5;

/** The look of each model in the order of the names. Throws LG-EVAL-006 for more models than there are looks, or none. */
export function lookByName(names: readonly string[]): Map<string, Look> {
  const distinct = [...new Set(names)];
  if (distinct.length === 0 || distinct.length > looks.length)
    throw new LeadglassError("LG-EVAL-006", `models: ${distinct.length}; 1 to ${looks.length} fit in one chart`, {
      hint: "Draw several charts, or leave models out.",
    });
  return new Map(distinct.map((name, i) => [name, looks[i]!]));
}

/** "0.71 [0.63, 0.79]", or why there is no such number. */
export function intervalText(x: { value: number | null; low: number | null; high: number | null; reason?: string }) {
  const digits = (value: number) => value.toFixed(2);
  if (x.value === null) return x.reason ?? "not defined";
  return `${digits(x.value)} ${x.low === null || x.high === null ? "[no interval]" : `[${digits(x.low)}, ${digits(x.high)}]`}`;
}

/** "95 %". */
export function percent(level: number): string {
  return `${Number((100 * level).toFixed(2))} %`;
}

/** Widths of characters in ems, first match first. */
const characterWidths: readonly (readonly [RegExp, number])[] = [
  [/[ijl.,:;'| ]/, 0.33],
  [/[tfr()[\]-]/, 0.42],
  [/[mMW@%]/, 0.98],
  [/[A-Zw]/, 0.76],
  [/./su, 0.64],
];

/**
 * A guess at the pixels that a line of text takes, on the wide side: after DejaVu Sans, the widest of the fonts that
 * stand in for Helvetica. There is no layout engine here; what must not overlap is given this much room.
 */
export function textWidth(text: string, size: number, { bold = false } = {}): number {
  let ems = 0;
  for (const character of text) ems += characterWidths.find(([kind]) => kind.test(character))![1];
  return ems * size * (bold ? 1.13 : 1);
}

/** Breaks text into lines no wider than `width` pixels: at spaces, and inside a word that is wider by itself. */
export function wrapText(text: string, width: number, size: number, { bold = false } = {}): string[] {
  const fits = (line: string) => textWidth(line, size, { bold }) <= width;
  const lines: string[] = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && fits(longer)) {
      lines[lines.length - 1] = longer;
      continue;
    }
    lines.push("");
    for (const character of word) {
      if (lines.at(-1) !== "" && !fits(lines.at(-1)! + character)) lines.push("");
      lines[lines.length - 1] += character;
    }
  }
  return lines;
}

/**
 * Draws a plot without a browser and returns it as the text of an SVG file with a white ground, a title and, for those who
 * hear it read, a description.
 */
export function renderSvg(title: string, options: PlotOptions, description = ""): string {
  const { document } = parseHTML("<html></html>");
  const svg = plot({ ...options, document: document as unknown as Document, className: "leadglass-chart" });
  // Plot's style element is for web pages: other programs that read SVG take fonts from attributes.
  svg.querySelector("style")?.remove();
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "Helvetica, Arial, 'Liberation Sans', sans-serif");
  svg.setAttribute("role", "img");
  // What lies inside an image is not read, and ARIA forbids names there: they are kept for programs.
  for (const mark of svg.querySelectorAll("[aria-label]")) {
    mark.setAttribute("data-mark", mark.getAttribute("aria-label")!);
    mark.removeAttribute("aria-label");
  }
  for (const mark of svg.querySelectorAll("[aria-description]")) mark.removeAttribute("aria-description");
  const ground = svg.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: "#ffffff" }))
    ground.setAttribute(name, value);
  svg.prepend(ground);
  for (const [name, content] of [
    ["desc", description],
    ["title", title],
  ] as const) {
    if (content === "") continue;
    const element = svg.ownerDocument.createElementNS("http://www.w3.org/2000/svg", name);
    element.textContent = content;
    svg.prepend(element);
  }
  // A hundredth of a pixel is finer than any screen or printer, and keeps files small and differences readable.
  // What a reader sees is left as it is.
  const rounded = svg.outerHTML.replace(/<[^>]+>/g, (tag) =>
    tag.replace(/-?\d+\.\d{3,}/g, (digits) => String(Number(Number(digits).toFixed(2)))),
  );
  return `${rounded.replaceAll("><", ">\n<")}\n`;
}

/** Colours of a page in place of a chart's own: each as a CSS variable that falls back on what the file has. */
const pageColors: Readonly<Record<string, string>> = {
  "#ffffff": "--chart-ground",
  [ink.text]: "--chart-text",
  [ink.quiet]: "--chart-quiet",
  [ink.grid]: "--chart-grid",
  [ink.rule]: "--chart-rule",
  ...Object.fromEntries(looks.map(({ color }, i) => [color, `--chart-look-${i + 1}`])),
};

/** A chart for a page that sets its own colours, such as those of a dark one, in variables named as in `pageColors`. */
export const themed = (svg: string): string =>
  svg.replace(/(fill|stroke)="(#[0-9a-f]{6})"/g, (whole, attribute: string, color: string) =>
    pageColors[color] === undefined ? whole : `${attribute}="var(${pageColors[color]}, ${color})"`,
  );
