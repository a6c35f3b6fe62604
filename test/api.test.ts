import { existsSync, readFileSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";

const root = new URL("../", import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
  exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
};

/** The source that a published entry is built from. */
const entries = Object.entries(exports).flatMap(([entry, target]) =>
  typeof target === "string"
    ? []
    : [{ entry, target, source: target.default.replace(/^\.\/dist\//, "src/").replace(/\.js$/, ".ts") }],
);

describe("public API", () => {
  it("entries_haveSourceAndTypes", () => {
    for (const { entry, target, source } of entries) {
      expect(existsSync(new URL(source, root)), `${entry}: ${source}`).toBe(true);
      expect(target.types).toBe(target.default.replace(/\.js$/, ".d.ts"));
    }
  });

  it("everyFolder_hasAnEntry", () => {
    // The command line is a program, not a library.
    const folders = readdirSync(new URL("src/", root), { withFileTypes: true })
      .filter((item) => item.isDirectory() && item.name !== "cli")
      .map((item) => `./${item.name}`);
    expect(Object.keys(exports)).toEqual(expect.arrayContaining(folders));
  });

  // A change of this snapshot is a change of what others build on: say it in CHANGELOG.md, then `npx vitest run -u`.
  it.each(entries)("names_areThoseOfTheSnapshot $entry", async ({ entry, source }) => {
    const module = (await import(new URL(source, root).href)) as object;
    expect(Object.keys(module).sort().join("\n")).toMatchSnapshot(entry);
  });
});
