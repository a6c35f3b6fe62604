/** Reads a study file: what is wrong is told with its line, what was expected, and the nearest valid name. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { LeadglassError } from "../../errors.ts";
import { nearestName } from "./nearest.ts";
import { armKinds } from "../results/record.ts";
import { armSchema, studySchema, type CohortSource, type Study, type StudyArm } from "./schema.ts";

type Path = readonly (string | number)[];
type Written = z.infer<typeof studySchema>;

/**
 * Reads a study file; folders become absolute. `preset` names one of the file's presets, whose settings take the place of
 * those of the same name. Throws LG-USAGE-004 with the line of what is not YAML, unknown, of a wrong type or out of range.
 */
export async function readStudyFile(path: string, preset?: string): Promise<{ study: Study; text: string }> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new LeadglassError("LG-USAGE-004", `${path}: cannot be read`, {
      hint: "Give the path of a study file (YAML).",
      cause,
    });
  });
  const study = parseStudyFile(text, path, preset);
  const absolute = (folder: string): string => resolve(dirname(path), folder);
  return {
    text,
    study: {
      ...study,
      cohorts: Object.fromEntries(
        Object.entries(study.cohorts).map(([name, source]) => [
          name,
          "folder" in source ? { folder: absolute(source.folder) } : source,
        ]),
      ),
      arms: study.arms.map((arm) =>
        arm.kind === "synthetic" && arm.generator.folder !== undefined
          ? { ...arm, generator: { ...arm.generator, folder: absolute(arm.generator.folder) } }
          : arm,
      ),
    },
  };
}

/** As {@link readStudyFile}, of a text; folders stay as they are written. */
export function parseStudyFile(text: string, place: string, preset?: string): Study {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const fail = (path: Path, message: string, hint: string): LeadglassError =>
    new LeadglassError("LG-USAGE-004", `${place}, line ${lineOf(document, path, lines)}: ${at(path)}: ${message}`, { hint }); // prettier-ignore
  const fault = document.errors[0];
  if (fault !== undefined)
    throw new LeadglassError("LG-USAGE-004", `${place}, line ${fault.linePos?.[0].line ?? "?"}: not YAML (${fault.code})`, { hint: "Correct that line." }); // prettier-ignore
  let written: unknown = document.toJS() ?? {};
  if (preset !== undefined) {
    const presets = (written as { presets?: Record<string, Record<string, unknown>> }).presets ?? {};
    if (!Object.hasOwn(presets, preset))
      throw fail(["presets"], `there is no preset ${preset}`, knownHint(preset, Object.keys(presets)));
    written = { ...(written as object), ...presets[preset] };
  }
  const parsed = studySchema.safeParse(written);
  if (!parsed.success) throw issueError(parsed.error.issues[0]!, written, fail);
  return completed(parsed.data, fail);
}

const at = (path: Path): string => path.join(".") || "the file";
const knownHint = (word: string, known: readonly string[]): string => {
  const nearest = nearestName(word, known);
  return known.length === 0
    ? "There is none."
    : `${nearest === undefined ? "" : `Did you mean ${nearest}? `}Known: ${known.join(", ")}.`;
};

const isText = (value: unknown): value is string => typeof value === "string";
const typeName = (value: unknown): string =>
  value === null ? "nothing" : Array.isArray(value) ? `the list [${value.map(String).join(", ").slice(0, 40)}]` : isText(value) ? `the text "${value.slice(0, 40)}"` : typeof value === "object" ? "a mapping" : `${String(value)}`; // prettier-ignore

/** The first thing that is wrong, said so that it can be put right. */
function issueError(
  issue: z.core.$ZodIssue,
  written: unknown,
  fail: (path: Path, message: string, hint: string) => LeadglassError,
): LeadglassError {
  const path = issue.path as Path;
  const value = path.reduce<unknown>((v, key) => (v as Record<string, unknown> | undefined)?.[key], written);
  switch (issue.code) {
    case "unrecognized_keys": {
      const key = issue.keys[0]!;
      return fail([...path, key], "there is no such setting", knownHint(key, knownKeys(path, written)));
    }
    case "invalid_value":
    case "invalid_union": {
      if (path.at(-1) === "kind")
        return value === undefined
          ? fail(path.slice(0, -1), "kind is missing", `Kinds of arms: ${armKinds.join(", ")}.`)
          : fail(path, `${typeName(value)} is no kind of arm`, knownHint(String(value), armKinds));
      if (issue.code === "invalid_union") return unionError(issue, path, value, written, fail);
      const known = issue.values.map(String);
      return fail(path, `one of ${known.join(", ")} was expected, got ${typeName(value)}`, knownHint(String(value), known)); // prettier-ignore
    }
    case "invalid_type": {
      if (value === undefined && path.length > 0)
        return fail(path, "it is missing", `Add ${String(path.at(-1))}: it takes ${kindOf(issue.expected)}.`);
      return fail(path, `${kindOf(issue.expected)} was expected, got ${typeName(value)}`, "Correct the value.");
    }
    default:
      return fail(path, `${issue.message.replace(/^Too (small|big): /, "")}, got ${typeName(value)}`, "Correct the value."); // prettier-ignore
  }
}

const kindOf = (expected: string): string =>
  ({ int: "a whole number", number: "a number", string: "a text", array: "a list", object: "a mapping", boolean: "true or false", record: "a mapping" })[expected] ?? expected; // prettier-ignore

function unionError(
  issue: z.core.$ZodIssueInvalidUnion,
  path: Path,
  value: unknown,
  written: unknown,
  fail: (path: Path, message: string, hint: string) => LeadglassError,
): LeadglassError {
  // The alternative that has least against it speaks for the union.
  const isMapping = value !== null && typeof value === "object" && !Array.isArray(value);
  const nested = isMapping
    ? issue.errors.filter((e) => e.length > 0).sort((a, b) => score(a) - score(b))[0]?.[0]
    : undefined;
  return nested && nested.code !== "invalid_type"
    ? issueError({ ...nested, path: [...path, ...nested.path] } as z.core.$ZodIssue, written, fail)
    : fail(path, `${issue.message === "Invalid input" ? "a number above 0, inf, or a list of them was expected" : issue.message}, got ${typeName(value)}`, "Correct the value."); // prettier-ignore
}
const score = (issues: readonly z.core.$ZodIssue[]): number =>
  issues.reduce((sum, i) => sum + (i.code === "invalid_type" ? 10 : 1), 0);

/** The settings that may stand at a place. */
function knownKeys(path: Path, written: unknown): string[] {
  let schema: unknown = studySchema;
  let value: unknown = written;
  for (const key of path) {
    value = (value as Record<string, unknown> | undefined)?.[key as string];
    schema = step(schema, key, value);
  }
  const object = unwrap(schema, value) as { shape?: Record<string, unknown> } | undefined;
  return object?.shape ? Object.keys(object.shape) : [];
}

interface Def {
  readonly type: string;
  readonly innerType?: unknown;
  readonly options?: readonly unknown[];
  readonly element?: unknown;
  readonly valueType?: unknown;
}
const defOf = (schema: unknown): Def | undefined => (schema as { def?: Def } | undefined)?.def;

/** Inside of defaults and optionals; of a union, the alternative that shares most keys with what was written. */
function unwrap(schema: unknown, value: unknown): unknown {
  const def = defOf(schema);
  if (def?.innerType !== undefined) return unwrap(def.innerType, value);
  if (def?.type !== "union") return schema;
  const keys = value !== null && typeof value === "object" ? Object.keys(value) : [];
  const kind = (value as { kind?: unknown } | null)?.kind;
  const objects = (def.options ?? []).map((o) => unwrap(o, value)) as { shape?: Record<string, unknown> }[];
  const ofKind = objects.find((o) => kind !== undefined && (defOf(o.shape?.["kind"]) as { values?: unknown[] } | undefined)?.values?.includes(kind)); // prettier-ignore
  const shared = (o: { shape?: Record<string, unknown> }): number => keys.filter((k) => o.shape && k in o.shape).length;
  return ofKind ?? objects.filter((o) => o.shape).sort((a, b) => shared(b) - shared(a))[0];
}

function step(schema: unknown, key: string | number, value: unknown): unknown {
  const inner = unwrap(schema, value) as { shape?: Record<string, unknown> } | undefined;
  const def = defOf(inner);
  if (typeof key === "number") return def?.element;
  return inner?.shape?.[key] ?? def?.valueType;
}

/** Names, budgets and references; what refers to nothing or to itself is refused. */
function completed(written: Written, fail: (path: Path, message: string, hint: string) => LeadglassError): Study {
  const { cohort, arms, epsilon, delta, unit, train, presets: _presets, cohorts = {}, ...rest } = written;
  if (cohort === undefined && Object.keys(cohorts).length === 0)
    throw fail(["cohorts"], "it is missing", "Name one with cohort: FOLDER, or several under cohorts.");
  if (cohort !== undefined && Object.keys(cohorts).length > 0)
    throw fail(["cohort"], "it stands beside cohorts", "Leave one of the two out.");
  if (arms === undefined && epsilon === undefined)
    throw fail(["arms"], "it is missing", "List arms, or give epsilon: [1, 8, inf] for one training each.");
  if (arms !== undefined && epsilon !== undefined)
    throw fail(["epsilon"], "it stands beside arms", "Give epsilon to the arms of kind private.");
  const given = cohort === undefined ? cohorts : { cohort: { folder: cohort } };
  const known = Object.keys(given);
  const { sources, ...columns } = columnsOf(written, given, fail);
  const listed = arms ?? [armSchema.parse({ kind: "private", epsilon, delta, unit, train })];
  const all = listed.flatMap((arm, i): { arm: StudyArm; i: number }[] => {
    if (arm.cohort !== undefined && !known.includes(arm.cohort))
      throw fail(["arms", i, "cohort"], `there is no cohort "${arm.cohort}"`, knownHint(arm.cohort, known));
    const common = { cohort: arm.cohort ?? known[0]!, seeds: [...new Set(arm.seeds ?? rest.seeds)] };
    const budgets = "epsilon" in arm && arm.epsilon !== undefined ? [arm.epsilon].flat() : [undefined];
    const numbers = [...new Set(budgets.map((e) => (e === undefined || e === "inf" || e === Infinity ? Infinity : Number(e))))].sort((a, b) => b - a); // prettier-ignore
    return numbers.map((e) => {
      const own = { ...arm, ...common, epsilon: e === Infinity ? null : e } as unknown as StudyArm;
      // Without privacy a private arm is an open one.
      const plain =
        own.kind === "private" && own.epsilon === null ? { ...(own as unknown as object), kind: "open" } : own;
      const named = { ...plain, name: nameOf(arm, e, numbers.length) } as StudyArm;
      return { arm: named, i };
    });
  });
  const names = all.map(({ arm }) => arm.name);
  all.forEach(({ arm, i }, k) => {
    if (names.indexOf(arm.name) !== k)
      throw fail(["arms", i, "name"], `two arms are called "${arm.name}"`, "Give every arm a name of its own.");
    if (arm.kind === "synthetic" && arm.delta !== undefined && arm.epsilon === null)
      throw fail(["arms", i, "delta"], "it stands without epsilon", "Give epsilon, or leave delta out.");
  });
  const starts = new Map(all.map(({ arm }) => [arm.name, "startFrom" in arm ? arm.startFrom : undefined]));
  for (const { arm, i } of all) {
    const chain = [arm.name];
    for (let next = starts.get(arm.name); next !== undefined; next = starts.get(next)) {
      if (!starts.has(next))
        throw fail(["arms", i, "startFrom"], `there is no arm "${next}"`, knownHint(next, names.filter((n) => n !== arm.name))); // prettier-ignore
      if (chain.includes(next))
        throw fail(["arms", i, "startFrom"], `it goes in a circle: ${[...chain, next].join(" from ")}`, "Let one of them start from nothing."); // prettier-ignore
      chain.push(next);
    }
  }
  const { target } = rest.decision ?? {};
  if (target !== undefined && !columns.targets.includes(target))
    throw fail(["decision", "target"], `"${target}" is none of the targets`, knownHint(target, columns.targets));
  return { ...rest, ...columns, cohorts: sources, seeds: [...new Set(rest.seeds)], arms: all.map(({ arm }) => arm) };
}

/** What is asked of a cohort's columns, whether it stands with the first cohort or by itself; and the cohorts without it. */
function columnsOf(
  written: Pick<Written, "targets" | "groups" | "hospitals">,
  given: NonNullable<Written["cohorts"]>,
  fail: (path: Path, message: string, hint: string) => LeadglassError,
): Pick<Study, "targets" | "groups" | "hospitals"> & { readonly sources: Record<string, CohortSource> } {
  const asked = { targets: written.targets, groups: written.groups, hospitals: written.hospitals };
  const sources = Object.entries(given).map(([name, { targets, groups, hospitals, ...source }], i) => {
    for (const [key, value] of Object.entries({ targets, groups, hospitals })) {
      if (value === undefined) continue;
      if (i > 0) throw fail(["cohorts", name, key], "it stands with a cohort that is not the first", `Name ${key} with the first cohort; all cohorts are asked for the same.`); // prettier-ignore
      if (asked[key as keyof typeof asked] !== undefined) throw fail([key], `it stands beside ${key} of cohort ${name}`, "Leave one of the two out."); // prettier-ignore
      Object.assign(asked, { [key]: value });
    }
    return [name, source as CohortSource] as const;
  });
  const { targets, groups = [], hospitals = { count: 3 } } = asked;
  if (targets === undefined) throw fail(["targets"], "it is missing", "Add targets, a list of columns to learn, here or with the first cohort."); // prettier-ignore
  return { targets, groups, hospitals, sources: Object.fromEntries(sources) };
}

function nameOf(arm: z.infer<typeof armSchema>, epsilon: number, budgets: number): string {
  const budget = epsilon === Infinity ? "no privacy" : `epsilon ${epsilon}`;
  if (arm.name !== undefined) return budgets > 1 ? `${arm.name}, ${budget}` : arm.name;
  if (arm.kind === "encodings") return `${arm.scheme}, ${arm.keys === "one" ? "one key" : "own keys"}`;
  if (arm.kind === "synthetic") return `synthetic, ${arm.use}${epsilon === Infinity ? "" : `, ${budget}`}`;
  return arm.kind === "open" ? "no privacy" : budget;
}

/** The line of a key, of its value, or of the nearest thing around it that is there. */
function lineOf(document: ReturnType<typeof parseDocument>, path: Path, lines: LineCounter): number {
  for (let depth = path.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true);
    const pair = isMap(parent)
      ? parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path[depth - 1])
      : undefined;
    const node = pair?.key ?? document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}
