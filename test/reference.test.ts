/** The reference pages are what the source says. After a change of a command or a doc comment: `npm run docs`. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { apiReference } from "../docs/reference/api.ts";
import { cliReference } from "../docs/reference/cli.ts";

const read = (name: string): Promise<string> => readFile(new URL(`../docs/${name}`, import.meta.url), "utf8");
const remedy = "it is out of date: npm run docs";

it("cli_isWhatTheCommandsDeclare", async () => {
  expect((await read("cli.md")) === (await cliReference()), `docs/cli.md: ${remedy}`).toBe(true);
});

it("api_isWhatTheDocCommentsSay", async () => {
  expect((await read("api.md")) === (await apiReference()), `docs/api.md: ${remedy}`).toBe(true);
});
