/** Writes docs/api.md from the doc comments of what each entry exports: `node docs/reference/api.ts`. */
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { formatted } from "./markdown.ts";

const root = new URL("../../", import.meta.url);
const pathOf = (name: string): string => fileURLToPath(new URL(name, root));

interface Exported {
  readonly name: string;
  readonly kind: "function" | "class" | "constant" | "type";
  /** How it is called, for a function. */
  readonly signature: string;
  readonly about: string;
}

/** The published entries and the source that each is built from. */
function entries(): { entry: string; source: string }[] {
  const { exports } = JSON.parse(readFileSync(pathOf("package.json"), "utf8")) as {
    exports: Readonly<Record<string, string | { readonly default: string }>>;
  };
  return Object.entries(exports).flatMap(([entry, target]) =>
    typeof target === "string"
      ? []
      : [
          {
            entry: entry.replace(/^\./, "leadglass"),
            source: pathOf(target.default.replace(/^\.\/dist\//, "src/").replace(/\.js$/, ".ts")),
          },
        ],
  );
}

function exportsOf(source: ts.SourceFile, checker: ts.TypeChecker): Exported[] {
  const module = checker.getSymbolAtLocation(source);
  if (module === undefined) return [];
  return checker
    .getExportsOfModule(module)
    .map((symbol): Exported => {
      const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const about = ts.displayPartsToString(own.getDocumentationComment(checker)).replace(/\s+/g, " ").trim();
      const declaration = own.valueDeclaration;
      const type = declaration && checker.getTypeOfSymbolAtLocation(own, declaration);
      const call = type?.getCallSignatures()[0];
      const kind = own.flags & ts.SymbolFlags.Class ? "class" : call ? "function" : type ? "constant" : "type";
      const parameters = call?.getParameters().map((parameter) => {
        const at = parameter.valueDeclaration;
        const optional = at !== undefined && ts.isParameter(at) && (at.questionToken ?? at.initializer) !== undefined;
        // Names that were taken apart in the signature are options.
        const name = /^__\d+$/.test(parameter.name) ? "options" : parameter.name;
        return `${name}${optional ? "?" : ""}`;
      });
      return { name: symbol.name, kind, signature: parameters ? `(${parameters.join(", ")})` : "", about };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const kinds = [
  ["function", "Functions"],
  ["class", "Classes"],
  ["constant", "Constants"],
  ["type", "Types"],
] as const;

const plain = (text: string): string => text.replace(/[<>*_|]/g, (character) => `\\${character}`).replace(/\{@link (\w+)\}/g, "`$1`"); // prettier-ignore

function section(entry: string, exported: readonly Exported[]): string {
  const parts = kinds.flatMap(([kind, title]) => {
    const own = exported.filter((each) => each.kind === kind);
    if (own.length === 0) return [];
    const lines = own.map(({ name, signature, about }) => `- \`${name}${signature}\`${about === "" ? "" : `: ${plain(about)}`}`); // prettier-ignore
    return [`### ${title}`, lines.join("\n")];
  });
  return [`## ${entry}`, ...parts].join("\n\n");
}

/** The page, as Markdown. */
export async function apiReference(): Promise<string> {
  const config = ts.readConfigFile(pathOf("tsconfig.json"), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, fileURLToPath(root));
  const all = entries();
  const program = ts.createProgram(all.map(({ source }) => source), options); // prettier-ignore
  const checker = program.getTypeChecker();
  const link = (entry: string): string => `[${entry}](#${entry.replaceAll("/", "")})`;
  return formatted([
    "# The library",
    "Written by `docs/reference/api.ts` from the doc comments in the source; do not edit it by hand. Every name comes with its types.",
    all.map(({ entry }) => link(entry)).join(" · "),
    ...all.map(({ entry, source }) => section(entry, exportsOf(program.getSourceFile(source)!, checker))),
  ]);
}

if (import.meta.main) await writeFile(new URL("../api.md", import.meta.url), await apiReference());
