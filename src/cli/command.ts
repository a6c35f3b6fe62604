/** From a declaration to a citty command: strict parsing, help, one JSON document or a text on standard output. */
import { defineCommand, runCommand, type CommandDef } from "citty";
import { LeadglassError } from "../errors.ts";
import { commandHelp, groupHelp } from "./help.ts";
import { nearestOf, parseWords, type Options, type Values } from "./options.ts";
import { styled } from "./output.ts";
import { startProgress, type Progress } from "./progress.ts";
import { stopSignal } from "./signals.ts";

/** What a handler may do besides returning its result. */
export interface Terminal {
  /** A line for the person on standard error. */
  readonly note: (line: string) => void;
  readonly warn: (line: string) => void;
  /** With `leave`, an interrupt is the work's own business. */
  readonly progress: (label: string, unit: string, options?: { readonly leave?: boolean }) => Progress;
  /** Aborted by Ctrl-C and by SIGTERM. */
  readonly signal: AbortSignal;
}

/** One result, told in two ways. */
export interface Result {
  readonly json: unknown;
  readonly text: string;
  /** For a result that is itself bad news: a cohort with errors, a ledger that was changed. */
  readonly exitCode?: number;
}

export interface CommandSpec<O extends Options> {
  /** With the group's name before it: `cohort make`. */
  readonly name: string;
  readonly about: string;
  readonly positionals?: readonly string[];
  readonly options: O;
  readonly examples: readonly string[];
  readonly notes?: string;
  readonly run: (values: Values<O>, terminal: Terminal, positionals: readonly string[]) => Result | Promise<Result>;
}

const everywhere = {
  json: { kind: "flag", about: "print one JSON document and nothing else on standard output" },
  help: { kind: "flag", about: "print this help" },
} as const satisfies Options;

const askedForHelp = (words: readonly string[]): boolean => words.includes("--help") || words.includes("-h");

/** What commands were declared as, for whoever writes about them. */
const declared = new WeakMap<CommandDef, Declared>();
export type Declared = { readonly command: Omit<CommandSpec<Options>, "run"> } | { readonly group: GroupSpec };

/** What a command was declared as, without the options that all have. */
export const declarationOf = (definition: CommandDef): Declared => declared.get(definition)!;

/** A command that does something. */
export function command<const O extends Options>(spec: CommandSpec<O>): CommandDef {
  const options = { ...spec.options, ...everywhere };
  const definition = defineCommand({
    meta: { name: spec.name, description: spec.about },
    async run({ rawArgs }) {
      if (askedForHelp(rawArgs)) return void process.stdout.write(commandHelp({ ...spec, options }));
      const { values, positionals } = parseWords(rawArgs, options, spec.positionals ?? [], spec.name);
      const signal = stopSignal();
      const terminal: Terminal = {
        note: (line) => process.stderr.write(`${line}\n`),
        warn: (line) => process.stderr.write(`${styled("yellow", "warning:", process.stderr)} ${line}\n`),
        progress: (label, unit, { leave = false } = {}) => startProgress(label, { unit, ...(leave ? {} : { signal }) }),
        signal,
      };
      const result = await spec.run(values as unknown as Values<O>, terminal, positionals);
      process.stdout.write(
        (values as { json: boolean }).json ? `${JSON.stringify(result.json, null, 2)}\n` : `${result.text}\n`,
      );
      process.exitCode = result.exitCode ?? 0;
    },
  });
  declared.set(definition, { command: spec });
  return definition;
}

export interface GroupSpec {
  readonly name: string;
  readonly about: string;
  readonly commands: Readonly<Record<string, { readonly about: string; readonly load: () => Promise<CommandDef> }>>;
  /** What the group does itself, where its name is followed by options: `audit --cohort DIR`. */
  readonly own?: { readonly about: string; readonly load: () => Promise<CommandDef> };
  readonly examples: readonly string[];
}

/** A command that only holds others; each is loaded when it is called. */
export function group(spec: GroupSpec): CommandDef {
  const names = Object.keys(spec.commands);
  const see = `See ${["leadglass", spec.name].filter(Boolean).join(" ")} --help.`;
  const definition = defineCommand({
    meta: { name: spec.name, description: spec.about },
    async run({ rawArgs }) {
      const word = rawArgs[0];
      if (word !== undefined && names.includes(word))
        return void (await runCommand(await spec.commands[word]!.load(), { rawArgs: rawArgs.slice(1) }));
      if (spec.own && word?.startsWith("-")) return void (await runCommand(await spec.own.load(), { rawArgs }));
      if (word === undefined || word === "--help" || word === "-h")
        throw new HelpWanted(groupHelp(spec), word !== undefined);
      const known = word.startsWith("-") ? undefined : nearestOf(word, names);
      throw new LeadglassError(
        "LG-USAGE-002",
        word.startsWith("-")
          ? `${word}: a command was expected first, one of ${names.join(", ")}`
          : `${[spec.name, word].filter(Boolean).join(" ")}: there is no such command`,
        { hint: known === undefined ? see : `Did you mean ${[spec.name, known].filter(Boolean).join(" ")}? ${see}` },
      );
    },
  });
  declared.set(definition, { group: spec });
  return definition;
}

/** Ends a group without a command: with its help, asked for or not. */
export class HelpWanted extends Error {
  readonly text: string;
  readonly asked: boolean;
  constructor(text: string, asked: boolean) {
    super("help");
    this.text = text;
    this.asked = asked;
  }
}
