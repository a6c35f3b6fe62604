/** What docs/ says is what the program says. */
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { drawAttacker } from "../docs/figures/attacker.ts";
import { leadglass } from "./support/cli.ts";

const read = (name: string): Promise<string> => readFile(new URL(`../docs/${name}`, import.meta.url), "utf8");

describe("docs/privacy.md", () => {
  it("commands_printWhatStandsBelowThem", { timeout: 120_000 }, async () => {
    const blocks = [...(await read("privacy.md")).matchAll(/^```\n\$ leadglass (.*)\n([^]*?)```$/gm)];
    expect(blocks).toHaveLength(4);
    for (const [, command, shown] of blocks) {
      const { code, stdout } = await leadglass(command!.split(" "));
      expect(code, command).toBe(0);
      // A block may leave out what an earlier one has shown.
      expect(stdout, command).toContain(shown!.trimEnd());
    }
  });

  it("picture_isTheOneThatItsScriptDraws_andSaysWhatTheTextSays", async () => {
    const svg = await read("figures/attacker.svg");
    expect(svg).toBe(drawAttacker());
    // 100 dots a panel: 1 + 3 + 32 + 100 are dark, as the page says.
    expect([...svg.matchAll(/<circle/g)]).toHaveLength(400);
    expect([...svg.matchAll(/<circle[^>]*fill="#1a1a1a"/g)]).toHaveLength(136);
    const text = await read("privacy.md");
    expect(text).toContain("at **epsilon 1**: 3 of 100");
    expect(text).toContain("at **epsilon 8**: 32 of 100");
  });
});
