/** The reference pages are what the source says. After a change of a command or a doc comment: `npm run docs`. */
import { readdir, readFile, stat } from "node:fs/promises";
import { expect, it } from "vitest";
import { apiReference } from "../docs/reference/api.ts";
import { cliReference, commandsOf } from "../docs/reference/cli.ts";
import { declarationOf } from "../src/cli/command.ts";
import { leadglass } from "../src/cli/main.ts";
import { parseWords } from "../src/cli/options.ts";

const read = (name: string): Promise<string> => readFile(new URL(`../docs/${name}`, import.meta.url), "utf8");
const remedy = "it is out of date: npm run docs";

it("cli_isWhatTheCommandsDeclare", async () => {
  expect((await read("cli.md")) === (await cliReference()), `docs/cli.md: ${remedy}`).toBe(true);
});

it("api_isWhatTheDocCommentsSay", async () => {
  expect((await read("api.md")) === (await apiReference()), `docs/api.md: ${remedy}`).toBe(true);
});

const pages = async (): Promise<{ page: string; text: string }[]> =>
  Promise.all(
    (await readdir(new URL("../docs/", import.meta.url)))
      .filter((name) => name.endsWith(".md"))
      .map(async (page) => ({ page, text: await read(page) })),
  );

it("everyCommandInTheGuides_isOneWithThoseOptions", async () => {
  const commands = await commandsOf(declarationOf(leadglass));
  let seen = 0;
  for (const { page, text } of await pages())
    for (const [, block] of text.matchAll(/^```sh\n([^]*?)^```$/gm))
      for (const [, line] of block!.matchAll(/^leadglass (.*)$/gm)) {
        const words = line!.split(/\s+/);
        // The longest name: "audit membership" before "audit".
        const command = commands
          .filter(({ name }) => words.slice(0, name.split(" ").length).join(" ") === name)
          .sort((a, b) => b.name.length - a.name.length)[0];
        expect(command, `${page}: ${line}`).toBeDefined();
        const rest = words.slice(command!.name.split(" ").length);
        const options = { ...command!.options, json: { kind: "flag", about: "" } } as const;
        expect(
          () => parseWords(rest, options, command!.positionals ?? [], command!.name),
          `${page}: ${line}`,
        ).not.toThrow();
        seen++;
      }
  expect(seen).toBeGreaterThan(60);
});

it("everyLinkAndExampleInTheGuides_leadsSomewhere", async () => {
  for (const { page, text } of await pages()) {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g)].map(([, target]) => `docs/${target}`);
    const files = [...text.matchAll(/`((?:examples|studies)\/[\w.-]+\.\w+)`/g)].map(([, file]) => file!);
    for (const file of [...links, ...files])
      await expect(stat(new URL(`../${file}`, import.meta.url)), `${page}: ${file}`).resolves.toBeDefined();
  }
});
