/** Writes docs/cli.md from what the commands declare: `node docs/reference/cli.ts`. */
import { writeFile } from "node:fs/promises";
import { formatted } from "./markdown.ts";
import { declarationOf, type Declared } from "../../src/cli/command.ts";
import { aboutOf, usageOf } from "../../src/cli/help.ts";
import { leadglass } from "../../src/cli/main.ts";

type Command = Extract<Declared, { command: unknown }>["command"];

/** All commands, in the order in which help lists them. */
export async function commandsOf(declaration: Declared): Promise<Command[]> {
  if ("command" in declaration) return [declaration.command];
  const { commands, own } = declaration.group;
  const found: Command[] = [];
  for (const { load } of [...(own ? [own] : []), ...Object.values(commands)])
    found.push(...(await commandsOf(declarationOf(await load()))));
  return found;
}

/** Text that Markdown leaves alone, also inside a table. */
const plain = (text: string): string => text.replace(/[|<>*_]/g, (character) => `\\${character}`);

function section({ name, about, positionals = [], options, examples, notes }: Command): string {
  const required = Object.entries(options).filter(([, option]) => option.required);
  const usage = ["leadglass", name, ...positionals, ...required.map(([n, o]) => usageOf(n, o)), "[options]"].join(" ");
  const rows = Object.entries(options).map(([n, o]) => `| \`${usageOf(n, o).replaceAll("|", "\\|")}\` | ${plain(aboutOf(o))} |`); // prettier-ignore
  return [
    `## leadglass ${name}`,
    plain(about),
    `\`\`\`\n${usage}\n\`\`\``,
    ...(rows.length === 0 ? [] : [["| option | what it does |", "| --- | --- |", ...rows].join("\n")]),
    ...(notes === undefined ? [] : [plain(notes)]),
    `\`\`\`sh\n${examples.join("\n")}\n\`\`\``,
  ].join("\n\n");
}

/** The page, as Markdown. */
export async function cliReference(): Promise<string> {
  const commands = await commandsOf(declarationOf(leadglass));
  const link = (name: string): string => `[${name}](#leadglass-${name.replaceAll(" ", "-")})`;
  return formatted([
    "# The command line",
    "Written by `docs/reference/cli.ts` from what the commands declare; do not edit it by hand.",
    "Every command takes `--help`, and `--json`, which prints one JSON document on standard output and nothing else there; progress, warnings and tables go to standard error. Exit codes: 0 done, 2 wrong usage, 3 bad input data, 4 privacy refused, 5 interrupted, 70 a bug of ours.",
    commands.map(({ name }) => link(name)).join(" · "),
    ...commands.map(section),
  ]);
}

if (import.meta.main) await writeFile(new URL("../cli.md", import.meta.url), await cliReference());
