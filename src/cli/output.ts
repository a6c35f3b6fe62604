/** How things look on a terminal: tables, numbers, durations. */
import { stripVTControlCharacters, styleText } from "node:util";

type Style = "bold" | "dim" | "red" | "yellow" | "green" | "underline";

/** Text in a style, where the stream is a terminal and NO_COLOR is not set. */
export const styled = (style: Style, text: string, stream: NodeJS.WriteStream): string =>
  stream.isTTY && !process.env["NO_COLOR"] ? styleText(style, text, { validateStream: false }) : text;

const width = (cell: string): number => [...stripVTControlCharacters(cell)].length;

/**
 * Rows as aligned columns, two spaces apart; the first row is the heading. Columns whose cells are all numbers (or blank)
 * below the heading are aligned to the right.
 */
export function table(rows: readonly (readonly string[])[], { indent = "" }: { indent?: string } = {}): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => width(row[c] ?? ""))));
  const numeric = widths.map((_, c) => rows.slice(1).every((row) => /^[-–\d.,e% ]*$/.test(row[c] ?? "")));
  return rows
    .map((row) =>
      widths
        .map((wide, c) => {
          const cell = row[c] ?? "";
          const space = " ".repeat(wide - width(cell));
          return numeric[c] ? space + cell : cell + space;
        })
        .join("  ")
        .trimEnd(),
    )
    .map((line) => indent + line)
    .join("\n");
}

interface Interval {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly reason?: string;
}

const digits = (value: number): string => value.toFixed(3);

/** "0.712 [0.634, 0.791]", or why there is no number. */
export function interval({ value, low, high, reason }: Interval): string {
  if (value === null) return reason ?? "not defined";
  return `${digits(value)} ${low === null || high === null ? "[no interval]" : `[${digits(low)}, ${digits(high)}]`}`;
}

/** Four significant digits without an exponent where that is readable. */
export const significant = (value: number): string =>
  value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)
    ? value.toExponential(2).replace(/\.?0+e/, "e")
    : String(Number(value.toPrecision(4)));

/** Five significant digits, never below the value: a guarantee is not rounded down. */
export function significantUp(value: number): string {
  if (value === 0) return "0";
  const unit = 10 ** (Math.floor(Math.log10(value)) - 4);
  return String(Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(5)));
}

/** "20 ms", "4.5 s", "45 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (seconds < 0.1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

export const count = (value: number): string => value.toLocaleString("en-US");

export const fileSize = (bytes: number): string =>
  bytes < 2 ** 20 ? `${count(Math.ceil(bytes / 2 ** 10))} KiB` : `${count(Math.round(bytes / 2 ** 20))} MiB`;
