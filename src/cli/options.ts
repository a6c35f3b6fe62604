/** Options of a command: declared as data, parsed strictly. Nothing unknown, doubled or misspelt passes. */
import { parseArgs } from "node:util";
import { LeadglassError } from "../errors.ts";

export interface Option {
  /** A `list` may be given several times, or its values separated by commas. */
  readonly kind: "text" | "number" | "whole" | "flag" | "list";
  readonly about: string;
  /** What the help calls the value. */
  readonly value?: string;
  readonly required?: true;
  readonly oneOf?: readonly string[];
  /** Taken where the option is not given. */
  readonly initial?: string | number;
  /** Bounds of a number; the first two are allowed themselves. */
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly above?: number;
  readonly below?: number;
}

export type Options = Readonly<Record<string, Option>>;

type Given<O extends Option> = O["kind"] extends "number" | "whole"
  ? number
  : O extends { oneOf: readonly (infer Name)[] }
    ? Name
    : string;

/** What a handler gets for its options. */
export type Values<O extends Options> = {
  readonly [Name in keyof O]: O[Name]["kind"] extends "flag"
    ? boolean
    : O[Name]["kind"] extends "list"
      ? readonly string[]
      : O[Name] extends { required: true } | { initial: string | number }
        ? Given<O[Name]>
        : Given<O[Name]> | undefined;
};

const usage = (message: string, hint: string): LeadglassError => new LeadglassError("LG-USAGE-001", message, { hint });

/**
 * Reads the words after a command's name by its declared options and positional arguments.
 * Throws LG-USAGE-001, naming the option and what was expected, for anything that does not fit.
 */
export function parseWords<O extends Options>(
  words: readonly string[],
  options: O,
  positionals: readonly string[],
  command: string,
): { readonly values: Values<O>; readonly positionals: readonly string[] } {
  const help = `See leadglass ${command} --help.`;
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { kind }]) => [name, { type: kind === "flag" ? "boolean" : "string" }]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<string, string[]>();
  const places: string[] = [];
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") {
      places.push(token.value);
      continue;
    }
    const option = Object.hasOwn(options, token.name) ? options[token.name]! : undefined;
    if (!option) throw usage(`${token.rawName}: ${command} has no such option`, nearest(token.name, options, help));
    const values = given.get(token.name) ?? [];
    if (values.length > 0 && option.kind !== "list") throw usage(`--${token.name}: it is given twice`, "Give it once.");
    if (option.kind === "flag") {
      if (token.value !== undefined) throw usage(`--${token.name}: it takes no value`, `Write --${token.name} alone.`);
      values.push("");
    } else {
      const missing = token.value === undefined || (!token.inlineValue && isOptionLike(token.value));
      if (missing || token.value === "") throw usage(`--${token.name}: a value was expected after it`, help);
      values.push(...(option.kind === "list" ? splitList(token.value!) : [token.value!]));
    }
    given.set(token.name, values);
  }
  if (places.length > positionals.length)
    throw usage(
      positionals.length === 0
        ? `${command}: a stray argument of length ${places[0]!.length}; only options were expected`
        : `${command}: ${places.length} arguments; ${positionals.join(" ")} was expected`,
      help,
    );
  if (places.length < positionals.length) throw usage(`${command}: ${positionals[places.length]} is missing`, help);
  const values = Object.fromEntries(
    Object.entries(options).map(([name, option]) => [name, valueOf(name, option, given.get(name), help)]),
  );
  return { values: values as Values<O>, positionals: places };
}

/** A word that starts another option; a negative number does not. */
const isOptionLike = (word: string): boolean => /^--?[a-z]/i.test(word);

const splitList = (text: string): string[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

function valueOf(name: string, option: Option, given: readonly string[] | undefined, help: string): unknown {
  if (option.kind === "flag") return given !== undefined;
  if (given === undefined || given.length === 0) {
    if (option.required) throw usage(`--${name} is missing`, help);
    return option.kind === "list" ? [] : option.initial;
  }
  if (option.kind === "list") return given;
  const text = given[0]!;
  if (option.kind === "text") {
    if (option.oneOf && !option.oneOf.includes(text))
      throw usage(
        `--${name}: one of ${option.oneOf.join(", ")} was expected, not "${text}"`,
        nearestWord(text, option.oneOf, help),
      );
    return text;
  }
  return numberOf(name, option, text);
}

function numberOf(name: string, { kind, atLeast, atMost, above, below }: Option, text: string): number {
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
  const fits =
    (kind === "whole" ? Number.isSafeInteger(value) : Number.isFinite(value)) &&
    !(atLeast !== undefined && value < atLeast) &&
    !(atMost !== undefined && value > atMost) &&
    !(above !== undefined && value <= above) &&
    !(below !== undefined && value >= below);
  if (fits) return value;
  const bounds = [
    ...(atLeast !== undefined ? [`at least ${atLeast}`] : above !== undefined ? [`above ${above}`] : []),
    ...(atMost !== undefined ? [`at most ${atMost}`] : below !== undefined ? [`below ${below}`] : []),
  ].join(" and ");
  const expected = `${kind === "whole" ? "a whole number" : "a number"}${bounds && ` ${bounds}`}`;
  throw usage(`--${name}: ${expected} was expected, not "${text}"`, `Give --${name} as ${expected}.`);
}

/** "Did you mean --epsilon?", or where to read on. */
function nearest(name: string, options: Options, help: string): string {
  const found = nearestOf(name, Object.keys(options));
  return found === undefined ? help : `Did you mean --${found}? ${help}`;
}

function nearestWord(word: string, words: readonly string[], help: string): string {
  const found = nearestOf(word, words);
  return found === undefined ? help : `Did you mean ${found}?`;
}

/** The word with the fewest edits, where they are few enough to be a slip. */
export function nearestOf(word: string, words: readonly string[]): string | undefined {
  const ranked = words
    .map((other) => ({ other, edits: editDistance(word.toLowerCase(), other.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  if (best !== undefined && best.edits <= Math.max(2, Math.ceil(word.length / 3))) return best.other;
  return words.find((other) => other.startsWith(word) || word.startsWith(other));
}

/** Insertions, deletions, exchanges of a letter, and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const change = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swap =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? rows[i - 2]![j - 2]! + 1 : Infinity;
      rows[i]![j] = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, change, swap);
    }
  return rows[a.length]![b.length]!;
}
