/** Help texts. */
import type { Option, Options } from "./options.ts";

/** Two columns; what does not fit beside goes on under itself. */
function columns(rows: readonly (readonly [string, string])[], width = 100): string {
  const left = Math.min(30, Math.max(...rows.map(([name]) => name.length)));
  return rows
    .map(([name, about]) => {
      const lines = wrap(about, width - left - 4);
      const head = name.length > left ? [`  ${name}`] : [];
      const body = lines.map((line, i) => `  ${(i === 0 && head.length === 0 ? name : "").padEnd(left)}  ${line}`);
      return [...head, ...body].join("\n").trimEnd();
    })
    .join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1)!;
    if (last !== "" && last.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}

export function usageOf(name: string, option: Option): string {
  if (option.kind === "flag") return `--${name}`;
  const value = option.oneOf ? option.oneOf.join("|") : (option.value ?? "VALUE");
  return `--${name} ${value}${option.kind === "list" ? "[,...]" : ""}`;
}

export const aboutOf = ({ about, initial, required }: Option): string =>
  `${about}${required ? " (required)" : initial === undefined ? "" : ` (${initial} unless given)`}`;

interface CommandText {
  readonly name: string;
  readonly about: string;
  readonly positionals?: readonly string[];
  readonly options: Options;
  readonly examples: readonly string[];
  readonly notes?: string;
}

export function commandHelp({ name, about, positionals = [], options, examples, notes }: CommandText): string {
  const required = Object.entries(options).filter(([, option]) => option.required);
  const usage = ["leadglass", name, ...positionals, ...required.map(([n, o]) => usageOf(n, o)), "[options]"].join(" ");
  return [
    `${wrap(about, 100).join("\n")}\n`,
    `Usage: ${usage}\n`,
    "Options:",
    `${columns(Object.entries(options).map(([n, o]) => [usageOf(n, o), aboutOf(o)]))}\n`,
    ...(notes === undefined ? [] : [`${wrap(notes, 100).join("\n")}\n`]),
    `Example${examples.length > 1 ? "s" : ""}:`,
    ...examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

interface GroupText {
  readonly name: string;
  readonly about: string;
  readonly commands: Readonly<Record<string, { readonly about: string }>>;
  readonly own?: { readonly about: string };
  readonly examples: readonly string[];
}

export function groupHelp({ name, about, commands, own, examples }: GroupText): string {
  const path = ["leadglass", name].filter(Boolean).join(" ");
  return [
    `${wrap(about, 100).join("\n")}\n`,
    `Usage: ${path} COMMAND [options]\n`,
    "Commands:",
    `${columns([...(own ? [["[options]", own.about] as const] : []), ...Object.entries(commands).map(([n, c]) => [n, c.about] as const)])}\n`,
    `${path} COMMAND --help says more. Exit codes: 0 done, 2 wrong usage, 3 bad input data, 4 privacy\nrefused, 5 interrupted, 70 a bug of ours.\n`,
    `Example${examples.length > 1 ? "s" : ""}:`,
    ...examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}
