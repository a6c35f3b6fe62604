import { runCommand } from "citty";
import { afterEach, describe, expect, it, vi } from "vitest";
import { command, group, HelpWanted } from "./command.ts";

afterEach(() => vi.restoreAllMocks());

const said = (name: string) =>
  command({
    name,
    about: `says ${name}`,
    options: { loud: { kind: "flag", about: "louder" } },
    examples: [name],
    run: ({ loud }) => ({ json: null, text: `${name}${loud ? "!" : ""}` }),
  });

const commands = { deep: { about: "says deep", load: () => Promise.resolve(said("deep")) } };
const both = group({
  name: "say",
  about: "Says its name.",
  commands,
  own: { about: "says say", load: () => Promise.resolve(said("say")) },
  examples: ["say deep"],
});

async function outputOf(words: readonly string[], spec = both): Promise<string> {
  let text = "";
  vi.spyOn(process.stdout, "write").mockImplementation((part) => ((text += String(part)), true));
  await runCommand(spec, { rawArgs: [...words] });
  return text;
}

describe("a group that does something itself", () => {
  it("options_goToTheGroup_andWordsToItsCommands", async () => {
    expect(await outputOf(["--loud"])).toBe("say!\n");
    expect(await outputOf(["deep", "--loud"])).toBe("deep!\n");
    expect(await outputOf(["--help"])).toMatch(/^says say/);
  });

  it("nothing_isAnsweredWithBoth_andAnUnknownWordRefused", async () => {
    const help = await runCommand(both, { rawArgs: [] }).catch((error: unknown) => error);
    expect(help).toBeInstanceOf(HelpWanted);
    expect((help as HelpWanted).text).toMatch(/\[options\] +says say\n +deep +says deep/);
    await expect(runCommand(both, { rawArgs: ["dep"] })).rejects.toMatchObject({
      code: "LG-USAGE-002",
      hint: expect.stringContaining("say deep") as string,
    });
  });

  it("options_whereTheGroupDoesNothing_areRefused", async () => {
    const pure = group({ name: "say", about: "Says.", commands, examples: ["say deep"] });
    await expect(outputOf(["--loud"], pure)).rejects.toMatchObject({ code: "LG-USAGE-002" });
  });
});
